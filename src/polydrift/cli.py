"""The command line: parse, call one function, print. Mistakes are one sentence and exit code 2.

exit codes: 0 done · 1 done, but some cells are missing · 2 a mistake to mend · 130 interrupted
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from polydrift import __version__
from polydrift.cli_data import app as data_app
from polydrift.cli_judge import app as judge_app
from polydrift.cli_review import app as review_app
from polydrift.cli_suite import app as suite_app
from polydrift.errors import PolydriftError, StudyError
from polydrift.specimens.cli import app as specimens_app
from polydrift.study import Study, load

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measures what fine-tuning a language model on harmless data in one language does to its "
    "safety in every language.",
)
app.add_typer(data_app, name="data")
app.add_typer(judge_app, name="judge")
app.add_typer(review_app, name="review")
app.add_typer(suite_app, name="suite")
app.add_typer(specimens_app, name="specimens")
console = Console(soft_wrap=True, highlight=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False)

INTERRUPTED = 130

StudyFile = Annotated[Path, typer.Argument(help="The study file (TOML).", show_default=False)]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Results directory; by default NAME-results, here."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Worker processes; by default one per core for small local models, else one."
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        help="What each worker may use beside its model's weights, as 8GB or 500MB; by default "
        "half of what is free on a GPU, 1GB otherwise.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the report's path only.")]
ShowUnsafe = Annotated[
    bool, typer.Option(help="Show the text of answers that comply with unsafe requests.")
]
ResultsDir = Annotated[Path, typer.Argument(help="A results directory.", show_default=False)]


def main() -> None:
    """Run the command line; the entry point of the `polydrift` script."""
    try:
        app()
    except PolydriftError as error:
        problems = error.problems if isinstance(error, StudyError) else (str(error),)
        for problem in problems:
            errors.print(f"[bold red]error:[/] {escape(problem)}")
        sys.exit(2)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:  # typer turns Ctrl-C into this
            errors.print("interrupted; finished work is kept, run the same command again to go on.")
        raise


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        console.print(__version__)
        raise typer.Exit


@app.command()
def plan(
    study: StudyFile,
    detect: Annotated[
        float | None,
        typer.Option(min=0.1, max=99, help="A rise in points: how many prompts would find it?"),
    ] = None,
    base_rate: Annotated[
        float, typer.Option(min=0, max=99, help="Compliance of the base, percent, as assumed.")
    ] = 10.0,
) -> None:
    """Say what a study would do, take and be able to find; runs nothing and loads no model."""
    from polydrift.detectable import detectable, sentences
    from polydrift.estimate import estimate
    from polydrift.needs import lacking
    from polydrift.plan import make_plan
    from polydrift.show import show_estimate
    from polydrift.sources import survey

    checked = load(study)
    sources = survey(checked)
    made = make_plan(checked, sources)
    show_estimate(console, checked, estimate(checked, made, sources), lacking(checked, sources))
    wished = None if detect is None else detect / 100
    for found in detectable(checked, made, sources, base_rate=base_rate / 100, wished=wished):
        for sentence in sentences(found):
            console.print(sentence, markup=False, highlight=False)


@app.command()
def run(
    study: StudyFile,
    out: OutOption = None,
    workers: Workers = None,
    memory: Memory = None,
    quiet: Quiet = False,
) -> None:
    """Run a study, or go on with it: only what is missing is done."""
    checked = load(study)
    if _run(checked, out or Path(f"{checked.name}-results"), workers, memory, quiet):
        raise typer.Exit(1)


@app.command()
def demo(out: OutOption = None, workers: Workers = None, quiet: Quiet = False) -> None:
    """Run the built-in demo: 27 micro models tuned on harmless data, asked in nine languages."""
    from polydrift.builtin import study_path

    checked = load(study_path("demo"))
    if _run(checked, out or Path("demo-results"), workers, None, quiet):
        raise typer.Exit(1)


@app.command()
def audit(
    files: Annotated[
        list[Path] | None, typer.Argument(help="With --answers: the base's file, then the tuned.")
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Judge answers that other tools generated.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="The base model; with --by, the base's value there.")
    ] = None,
    tuned: Annotated[
        list[str] | None, typer.Option(help="An adapter or whole model tuned from it; repeatable.")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="The prompts to ask (JSONL).")] = None,
    by: Annotated[
        str | None, typer.Option(help="One file holds all models: the column that names them.")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(help="Languages to ask in (repeatable), or of files that do not say."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="unsafe or safe-lookalike, for files that do not say.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="What a file calls our column, as answer=completion; repeatable."),
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Use only rows where column=value; repeatable.")
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="rules, sorry-bench, model:DIRECTORY or a vendor's model (openai/gpt-4o-mini; "
            "several joined by + are a panel); repeatable, the first one's verdicts lead."
        ),
    ] = None,
    rubric: Annotated[
        str | None, typer.Option(help="What vendors are asked: sorry-bench, strongreject, xstest.")
    ] = None,
    translate: Annotated[
        str | None,
        typer.Option(
            help="Put answers into English before they are judged, by this NLLB model, "
            "vendor:MODEL or phrasebook:FILE."
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="Correct rates by this file of `polydrift judge validate`."),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Length of answers.")] = 256,
    gate: Annotated[
        str | None,
        typer.Option(
            help='How much worse it may become, as "compliance +3pp, over-refusal +5pp"; exits '
            "with 0 passed, 1 failed, 2 cannot tell."
        ),
    ] = None,
    model_card: Annotated[
        Path | None,
        typer.Option(help="Put a section with the result into this file, as a model's README.md."),
    ] = None,
    out: OutOption = None,
    workers: Workers = None,
    memory: Memory = None,
    quiet: Quiet = False,
) -> None:
    """Compare tuned models with their base: their answers, or the models themselves.

    Without --suite, models are asked polydrift's own prompts of low severity, in nine languages.
    """
    from polydrift import audit as audits
    from polydrift import options
    from polydrift.data.shipped import AUDIT
    from polydrift.stats.gate import parse_gate

    if gate is not None:
        parse_gate(gate)  # what is wrong with it is told before anything is spent

    codes = language or []
    who = options.judges(judge or [], rubric, translate, calibration)
    if answers and (tuned or suite):
        raise StudyError(
            ["--tuned and --suite go with models, not with --answers; leave them out."]
        )
    if not answers and (files or by or kind or column or select):
        raise StudyError(
            ["files, --by, --kind, --column and --select go with --answers; add it, or leave them."]
        )
    if answers:
        if len(codes) > 1:
            raise StudyError(["--answers takes one --language: that of rows that do not say."])
        how = {
            "columns": audits.pairs(column or [], "--column"),
            "select": audits.pairs(select or [], "--select"),
            **({"language": codes[0]} if codes else {}),
            **({"kind": kind} if kind else {}),
        }
        study = audits.of_answers(files or [], how, by=by, base=base, judging=who)
    elif base and tuned:
        asked = {"languages": codes} if codes else {}
        settings = {"max_new_tokens": max_new_tokens, **asked}
        study = audits.of_models(base, tuned, suite or AUDIT, settings, judging=who)
    else:
        raise StudyError(["give `--answers BASE.jsonl TUNED.jsonl`, or both --base and --tuned."])
    directory = out or Path(f"{study.name}-results")
    problems = _run(study, directory, workers, memory, quiet, means=False)
    _audited(directory, gate, model_card, problems, quiet)


def _audited(out: Path, rules: str | None, card: Path | None, problems: bool, quiet: bool) -> None:
    """Tell what an audit found, for people and machines; exits as the gate says."""
    from polydrift import audit_files, gating
    from polydrift.report import audit_rows, print_audit
    from polydrift.results import read_tables
    from polydrift.run import read_lock

    tables, lock = read_tables(out), read_lock(out)
    rows = audit_rows(tables, lock)
    gates = gating.gate(rules, tables, lock) if rules else {}
    written = audit_files.write_files(out, rows, lock, gates, rules or "")
    if card:
        section = audit_files.model_card(rows, lock, gates, rules or "")
        audit_files.write_model_card(card, section)
        written.append(card)
    if not quiet:
        print_audit(rows, console)
        console.print(f"written: {', '.join(str(path) for path in written)}", markup=False)
    for variant, verdict in gates.items():
        console.print(f"{variant}: {verdict}", markup=False)
    codes = [verdict.code for verdict in gates.values()]
    if gates:  # what failed and is asked about is "cannot tell" there
        raise typer.Exit(1 if 1 in codes else max(codes))
    if problems:
        raise typer.Exit(1)


@app.command()
def status(directory: ResultsDir) -> None:
    """Say how far a study is."""
    from polydrift.show import show_status
    from polydrift.status import status as state

    show_status(console, state(directory), directory)


@app.command()
def explain(
    study: StudyFile,
    step: Annotated[str, typer.Argument(help="A step's name, such as tune/…; * for any.")],
    out: OutOption = None,
) -> None:
    """Say why a step will run or will not: which part of its key changed."""
    from polydrift import status as states
    from polydrift.plan import make_plan
    from polydrift.run import known_pins
    from polydrift.sources import survey

    checked = load(study)
    directory = out or Path(f"{checked.name}-results")
    made = make_plan(checked, survey(checked, known_pins(directory)))
    for one in states.matching(made, step):
        for line in states.explain(one, directory):
            console.print(line, markup=False)


@app.command()
def report(directory: ResultsDir, show_unsafe: ShowUnsafe = False) -> None:
    """Draw the report of a results directory again, from its tables."""
    from polydrift.report import render
    from polydrift.results import read_tables
    from polydrift.run import read_lock

    path = directory / "report" / "index.html"
    lock = read_lock(directory)
    render(read_tables(directory), lock, path, show_unsafe=show_unsafe)
    console.print(str(path), markup=False)


@app.command()
def export(
    directory: ResultsDir,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to; by default DIR/export.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option(help="A table's name, repeatable; by default all but texts.")
    ] = None,
    format: Annotated[
        list[str] | None, typer.Option(help="csv, json, md, latex; repeatable.")
    ] = None,
    figure: Annotated[list[str] | None, typer.Option(help="svg, png; repeatable.")] = None,
    show_unsafe: ShowUnsafe = False,
) -> None:
    """Write tables and figures of a results directory in other formats."""
    from polydrift.export import export as write

    only = bool(table) and not figure  # named tables alone, unless figures are asked for too
    written = write(
        directory,
        out or directory / "export",
        tables=table or (),
        formats=format or ("csv",),
        figures=figure or (() if only else ("svg",)),
        show_unsafe=show_unsafe,
    )
    for path in written:
        console.print(str(path), markup=False)


def _run(
    checked: Study,
    out: Path,
    workers: int | None,
    memory: str | None,
    quiet: bool,
    *,
    means: bool = True,
) -> bool:
    """Run a study and tell its result; whether steps failed."""
    from polydrift.report import print_summary
    from polydrift.results import read_tables
    from polydrift.run import read_lock
    from polydrift.run import run as run_study

    ran = run_study(checked, out, workers=workers, memory=_bytes(memory), quiet=quiet)
    if not quiet:
        print_summary(read_tables(out), read_lock(out), console, means=means)
        total = len(ran.plan.steps)
        console.print(f"{ran.there} of {total} steps are there, {ran.made} made now.")
    console.print(str(ran.report) if quiet else f"report: {ran.report}", markup=False)
    return bool(ran.problems)


def _bytes(text: str | None) -> float | None:
    """The size that the user wrote, in bytes; StudyError if it is none."""
    if text is None:
        return None
    units = {"": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?B)?\s*", text, re.IGNORECASE)
    if not found or not float(found[1]):
        raise StudyError([f"--memory {text!r} is no size; write it as 8GB or 500MB."])
    return float(found[1]) * units[(found[2] or "").upper()]
