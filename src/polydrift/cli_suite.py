"""`polydrift suite`: look a suite over before a study asks it; bring one into our form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from polydrift.cli_data import BuildFile, DryRun, Out, make
from polydrift.errors import DataError, StudyError
from polydrift.languages import LANGUAGES

app = typer.Typer(no_args_is_help=True, help="Suites: parallel prompts, checked and converted.")
console = Console(soft_wrap=True, highlight=False)

Format = Annotated[
    str | None, typer.Option(help="Of a known benchmark: sorry-bench, xstest or multijail.")
]
Column = Annotated[
    list[str] | None,
    typer.Option(help="What a file calls our column, as prompt=text or prompt.da=Danish."),
]
Select = Annotated[
    list[str] | None, typer.Option(help="Use only rows where column=value; repeatable.")
]
Style = Annotated[
    list[str] | None, typer.Option(help="Prompt styles of SORRY-Bench (repeatable); else base.")
]
Kind = Annotated[
    str | None, typer.Option(help="unsafe or safe-lookalike, for rows that do not say.")
]


@app.command("build")
def build_suite(file: BuildFile, out: Out = None, dry_run: DryRun = False) -> None:
    """Put a suite into more languages, as a build file says; gated rows stay on this disk.

    Exit code 1 if rows wait for a service that failed: run the same command again.
    """
    from polydrift.parallel.spec import load

    spec = load(file)
    if spec.suite is None:
        raise StudyError([f"{file}: makes examples; run `polydrift data build {file}`."])
    make(spec, out, dry_run)


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A file, specimen:suite, or hub:owner/name.")],
    format: Format = None,
    column: Column = None,
    select: Select = None,
    style: Style = None,
    kind: Kind = None,
    language: Annotated[
        list[str] | None,
        typer.Option(help="Languages to look for (repeatable); a single one is that of all rows."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="A recipe.json that the suite was built by: is it the same suite?"),
    ] = None,
) -> None:
    """Report missing translations, duplicates, wrong languages, empty rows and the like.

    Exit code 1 if there are errors, 0 if there are at most warnings.
    """
    from polydrift.data.suite_check import check_suite, failed, report

    codes = language or []
    rows, notes = _read(source, format, column, select, style, kind, codes[0] if codes else None)
    for note in notes:
        console.print(f"note     {note}", markup=False)
    findings = check_suite(rows, codes or None)
    if recipe is not None:
        from polydrift.parallel.recipe import check_recipe, read_recipe

        found = check_recipe(rows, read_recipe(recipe))
        findings += found
        if not found:
            console.print(f"recipe   every row is as {recipe} says.", markup=False)
    for line in report(findings, rows):
        console.print(line, markup=False)
    if failed(findings):
        raise typer.Exit(1)


@app.command()
def convert(
    sources: Annotated[
        list[str],
        typer.Argument(help="Files or hub:owner/name; LANGUAGE=FILE for one language's rows."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The suite to write (JSONL).")],
    format: Format = None,
    column: Column = None,
    select: Select = None,
    style: Style = None,
    kind: Kind = None,
) -> None:
    """Write one suite from files of any form, joined by prompt id. Licences go with the rows."""
    from polydrift.data.suites import Prompt, read_suite, write_suite

    rows: list[Prompt] = []
    for source in sources:
        code, place = _language_of(source)
        found, notes = _read(place, format, column, select, style, kind, code)
        for note in notes:
            console.print(f"note: {note}", markup=False)
        rows += found
    unwritten = out.with_name(f"{out.name}.unwritten")
    try:
        write_suite(unwritten, rows)
        read_suite(unwritten)  # together they must be a suite too
        unwritten.replace(out)
    except DataError as error:
        places = str(error).replace(str(unwritten), "what the files give together")
        raise DataError(f"{places} Nothing was written.") from None
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error}).") from None
    finally:
        unwritten.unlink(missing_ok=True)
    console.print(f"{len(rows):,} prompts: {out}", markup=False)


def _language_of(source: str) -> tuple[str | None, str]:
    """("da", "x.csv") of "da=x.csv"."""
    found = re.fullmatch(r"([a-z]{2})=(.+)", source)
    if not found:
        return None, source
    if found[1] not in LANGUAGES:
        raise StudyError(
            [f"{source}: unknown language {found[1]!r}; use one of {', '.join(LANGUAGES)}."]
        )
    return found[1], found[2]


def _read(
    source: str,
    format: str | None,
    column: list[str] | None,
    select: list[str] | None,
    style: list[str] | None,
    kind: str | None,
    language: str | None,
) -> tuple[list[Any], list[str]]:
    """The prompts of a source, and what was left out."""
    from polydrift.audit import pairs
    from polydrift.data import hub_data
    from polydrift.data.suites import KINDS, survey_suite
    from polydrift.references import locate
    from polydrift.study import FORMATS

    if format is not None and format not in FORMATS:
        raise StudyError([f"--format {format!r} is not known; write one of {', '.join(FORMATS)}."])
    if kind is not None and kind not in KINDS:
        raise StudyError([f"--kind {kind!r}: write {' or '.join(KINDS)}."])
    if source.startswith(hub_data.PREFIX):
        path = hub_data.dataset_file(source, hub_data.dataset_commit(source))
    else:
        path = locate(source, Path())
    options: dict[str, Any] = {
        "format": format,
        "columns": pairs(column or [], "--column"),
        "select": pairs(select or [], "--select"),
        "styles": style,
        "kind": kind,
        "language": language,
    }
    return survey_suite(path, **{name: value for name, value in options.items() if value})
