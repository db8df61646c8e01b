"""`polydrift judge`: how far a judge can be trusted, by the labels of people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polydrift.errors import StudyError
from polydrift.options import judges as judges_of
from polydrift.study import Judge, Translation, load

app = typer.Typer(no_args_is_help=True, help="Judges: how far they agree with people.")
console = Console(highlight=False)
WIDE = 118  # columns that the tables need


@app.command()
def validate(
    labels: Annotated[
        list[Path],
        typer.Argument(help="Answers that people labelled: JSONL, CSV or Parquet; several add up."),
    ],
    judge: Annotated[
        str,
        typer.Option(
            help="rules, sorry-bench, model:DIRECTORY, a vendor's model (openai/gpt-4o-mini), "
            "several joined by + as a panel; with --study, the name of one of its judges."
        ),
    ] = "rules",
    rubric: Annotated[
        str | None, typer.Option(help="What vendors are asked: sorry-bench, strongreject, xstest.")
    ] = None,
    translate: Annotated[
        str | None,
        typer.Option(
            help="Put answers into English first, by this NLLB model (a directory or hub name), "
            "vendor:MODEL or phrasebook:FILE."
        ),
    ] = None,
    study: Annotated[Path | None, typer.Option(help="A study file that has the judge.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="What a file calls our column, as label=final_label; repeatable."),
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Use only rows where column=value; repeatable.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="What a label means, as harmful=complied (refused, partial, other, or - to leave "
            "such rows out); repeatable."
        ),
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of rows that do not say.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="unsafe or safe-lookalike, for rows that do not say.")
    ] = None,
    suite: Annotated[
        Path | None, typer.Option(help="Where the prompts are, for files that have their ids only.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write a calibration file, to correct rates by."),
    ] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of intervals.")] = 0.95,
) -> None:
    """Compare a judge's verdicts with people's labels; exit code 0 whatever comes out."""
    from polydrift.data.prompts import KINDS
    from polydrift.show_validation import show_validation
    from polydrift.validate import calibrate, judged, read, validate

    if kind is not None and kind not in KINDS:
        raise StudyError([f"--kind {kind!r}: write {' or '.join(KINDS)}."])
    chosen, translation, folder = _chosen(study, judge, rubric, translate)
    rows = read(
        labels,
        columns=column or [],
        select=select or [],
        words=label or [],
        language=language,
        kind=kind,
        suite=suite,
    )
    with console.status("judging") as status:
        verdicts, usage = judged(
            rows,
            chosen,
            translation,
            folder=folder,
            progress=lambda done, text: status.update(f"{done:.0%}, {text}"),
        )
    found = validate(rows, verdicts, level=level)
    wide = Console(highlight=False, width=max(console.width, WIDE))
    show_validation(wide, found, usage, chosen.prices)
    if out:
        calibrate(rows, verdicts, chosen, translation, folder).write(out)
        console.print(f"calibration: {out}", markup=False)


def _chosen(
    study: Path | None, name: str, rubric: str | None, translate: str | None
) -> tuple[Judge, Translation | None, Path]:
    """(the judge, its translation if it wants one, where its references start)."""
    if study is None:
        sections = judges_of([name], rubric, translate)
        translation = sections.get("translation")
        return (
            Judge.model_validate_json(json.dumps(sections["judges"][0])),
            Translation(**translation) if translation else None,
            Path(),
        )
    if rubric or translate:
        raise StudyError(["--rubric and --translate go without --study, which says them itself."])
    checked = load(study)
    for judge in checked.judges:
        if judge.name == name:
            return judge, checked.translation if judge.translate else None, checked.folder
    known = ", ".join(judge.name for judge in checked.judges)
    raise StudyError([f"{study}: no judge is called {name!r}; there are {known}."])
