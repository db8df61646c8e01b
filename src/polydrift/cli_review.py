"""`polydrift review`: native speakers check translations and label answers, on a local page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polydrift.errors import DataError, StudyError

app = typer.Typer(
    no_args_is_help=True,
    help="Reviews: people check translations or label answers on a local web page.",
)
console = Console(soft_wrap=True, highlight=False)

Reviewer = Annotated[
    str, typer.Option(help="Your name; a second reviewer gives another.", show_default=False)
]
Begun = Annotated[Path, typer.Argument(help="The review (DB) that was begun.", show_default=False)]
Database = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="The review's database; by default named after the file, here."
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="By default the same each time, or a free one if that is taken."
    ),
]


@app.command()
def translations(
    file: Annotated[
        Path, typer.Argument(help="A file of items (JSONL), or a review begun.", show_default=False)
    ],
    reviewer: Reviewer,
    language: Annotated[str | None, typer.Option(help="Whose rows are reviewed.")] = None,
    source: Annotated[
        Path | None, typer.Option(help="The file of the English rows, if it is another.")
    ] = None,
    out: Database = None,
    port: Port = None,
) -> None:
    """Check translations beside their English texts: accept, edit, reject, comment."""
    from polydrift.review import beginning, tasks
    from polydrift.review.states import reviewer_named

    name = reviewer_named(reviewer)
    if beginning.is_review(file):
        _alone(file, "translations", language=language, source=source, out=out)
        _serve(file, name, port)
        return
    if language is None:
        raise StudyError([f"say which rows of {file} are reviewed with --language CODE."])
    task = tasks.translations(file, language, source=source)
    path = out or Path(f"{_stem(file)}-{language}.review")
    beginning.begin(path, task, file.name).close()
    _serve(path, name, port)


@app.command()
def answers(
    file: Annotated[
        Path,
        typer.Argument(
            help="Answers (JSONL, CSV, Parquet), a results directory, or a review begun.",
            show_default=False,
        ),
    ],
    reviewer: Reviewer,
    language: Annotated[
        str | None, typer.Option(help="Only these answers; that of rows that do not say.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="How many, evenly of every model and language; by default all."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the sample and the order; by default 0.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="What a file calls our column, as answer=completion; repeatable."),
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Use only rows where column=value; repeatable.")
    ] = None,
    out: Database = None,
    port: Port = None,
) -> None:
    """Label answers as complied, refused, partial or other, without seeing whose they are."""
    from polydrift.audit import pairs
    from polydrift.review import beginning, tasks
    from polydrift.review.states import reviewer_named

    name = reviewer_named(reviewer)
    if beginning.is_review(file):
        _alone(
            *(file, "answers"),
            language=language,
            sample=sample,
            seed=seed,
            column=column,
            select=select,
            out=out,
        )
        _serve(file, name, port)
        return
    task = tasks.answers(
        file,
        language=language,
        columns=pairs(column or [], "--column"),
        select=pairs(select or [], "--select"),
        sample=sample,
        seed=seed or 0,
    )
    path = out or Path(f"{_stem(file)}{'-' + language if language else ''}.review")
    beginning.begin(path, task, file.name).close()
    _serve(path, name, port)


@app.command()
def settle(
    review: Begun,
    reviewer: Reviewer,
    names: Annotated[bool, typer.Option("--names", help="Show who decided what.")] = False,
    port: Port = None,
) -> None:
    """Settle the rows on which reviewers differ; they are called A and B there."""
    from polydrift.review.states import reviewer_named

    _serve(review, reviewer_named(reviewer), port, settling=True, names=names)


@app.command()
def agreement(
    review: Begun,
    names: Annotated[bool, typer.Option("--names", help="Call reviewers by name.")] = False,
) -> None:
    """Say how far reviewers are and how far they agree: Cohen's kappa and its 95% interval."""
    from polydrift.review import agree, beginning
    from polydrift.review.look import progress
    from polydrift.review.states import SETTLED
    from polydrift.review.views import kappa

    opened = beginning.resume(review)
    called = {n: n if names else letter for n, letter in agree.letters(opened).items()}
    for name in called:
        done = progress(opened, name)
        parts = ", ".join(f"{count:,} {word}" for word, count in done.decisions.items())
        console.print(f"{called[name]}: {done.done:,} of {done.rows:,} ({parts})", markup=False)
    for pair in agree.agreements(opened):
        edits = f"; {pair.same_edits:,} of {pair.edits:,} edits alike" if pair.edits else ""
        console.print(
            f"{called[pair.first]} and {called[pair.second]}: the same decision on {pair.same:,} "
            f"of {pair.both:,} rows{edits}; kappa {kappa(pair)}",
            markup=False,
        )
    waiting = progress(opened, SETTLED)
    console.print(f"differences settled: {waiting.done:,} of {waiting.rows:,}", markup=False)
    opened.close()


@app.command()
def export(
    review: Begun,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write (JSONL).")],
    unsettled: Annotated[
        str | None,
        typer.Option(help="keep or drop rows on which reviewers differ; else they are refused."),
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="With the reviewers' names.")] = False,
) -> None:
    """Write the reviewed translations, or the labels for `polydrift judge validate`."""
    from polydrift.review import beginning
    from polydrift.review.export import UNSETTLED, write

    chosen = next((word for word in UNSETTLED if word == unsettled), None)
    if unsettled is not None and chosen is None:
        raise StudyError([f"--unsettled {unsettled!r}: write {' or '.join(UNSETTLED)}."])
    opened = beginning.resume(review)
    counts = write(opened, out, unsettled=chosen, names=names)
    opened.close()
    parts = ", ".join(f"{count:,} {standing}" for standing, count in counts.items())
    console.print(f"{out}: {parts}", markup=False)


def _serve(
    path: Path, reviewer: str, port: int | None, *, settling: bool = False, names: bool = False
) -> None:
    """Serve the page until Ctrl+C, which is how a sitting ends."""
    from polydrift.review import beginning
    from polydrift.review.agree import reviewers
    from polydrift.review.serve import serve
    from polydrift.review.views import Sitting

    opened = beginning.resume(path)
    others = reviewers(opened)
    if others and reviewer not in others and not settling:
        console.print(f"{reviewer} is new here, beside {', '.join(others)}.", markup=False)

    def announce(address: str) -> None:
        console.print(f"Open {address}", markup=False)
        console.print(f"Everything is saved in {path} at once. Ctrl+C ends.", markup=False)

    try:
        sitting = Sitting(opened, reviewer, settling=settling, names=names)
        serve(sitting, announce=announce, port=port)
    except KeyboardInterrupt:
        console.print(f"Ended; {path} has everything.", markup=False)
    finally:
        opened.close()


def _alone(path: Path, kind: str, **options: object) -> None:
    """DataError unless a review begun is one of this kind, and no options say what it is of."""
    from polydrift.review import beginning

    for option, value in options.items():
        if value not in (None, []):
            raise DataError(
                f"{path} is a review that was begun and knows its rows: leave --{option} out."
            )
    opened = beginning.resume(path)
    there = opened.kind
    opened.close()
    if there != kind:
        raise DataError(f"{path} is a review of {there}: use `polydrift review {there} {path}`.")


def _stem(file: Path) -> str:
    """A file's name without what says its kind."""
    name = file.resolve().name.removesuffix(".gz")
    return name if file.is_dir() else Path(name).stem
