"""`polydrift data`: parallel sets to tune on, made from seeds, and published."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial as partial_of
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from polydrift.errors import StudyError

if TYPE_CHECKING:
    from polydrift.parallel.build import Built
    from polydrift.parallel.items import Item
    from polydrift.parallel.spec import Build

app = typer.Typer(no_args_is_help=True, help="Parallel sets to tune on: made, checked, published.")
console = Console(soft_wrap=True, highlight=False)

BuildFile = Annotated[Path, typer.Argument(help="The build file (TOML).", show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Directory; by default NAME, here.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would take, and send nothing.")
]


@app.command("build")
def build_examples(file: BuildFile, out: Out = None, dry_run: DryRun = False) -> None:
    """Make a benign set in several languages from seeds, as a build file says.

    Exit code 1 if rows wait for a service that failed: run the same command again.
    """
    from polydrift.parallel.spec import load

    spec = load(file)
    if spec.suite is not None:
        raise StudyError([f"{file}: makes a suite; run `polydrift suite build {file}`."])
    make(spec, out, dry_run)


@app.command()
def merge(
    rows: Annotated[Path, typer.Argument(help="rows.jsonl of a build.")],
    reviews: Annotated[list[Path], typer.Argument(help="What reviews exported, one or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The directory to write.")],
) -> None:
    """Put the decisions of reviews back into a set."""
    from polydrift.parallel.outputs import write_set
    from polydrift.parallel.reviewed import merge as put_back

    merged = put_back(rows, reviews)
    written = write_set(out, merged.items, merged.form, merged.about)
    read = ", ".join(f"{number:,} in {code}" for code, number in merged.read.items())
    console.print(f"reviewed: {read or 'nothing'}; {merged.changed:,} changed", markup=False)
    _counts(merged.items)
    console.print(f"written: {', '.join(str(path) for path in written)}", markup=False)


@app.command()
def publish(
    items: Annotated[
        Path, typer.Argument(help="rows.jsonl of a build, or what a review exported.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to lay out.")],
    licence: Annotated[
        str | None, typer.Option(help="Licence of rows that state none, as cc-by-4.0.")
    ] = None,
    partial: Annotated[
        bool, typer.Option(help="Rows too whose id is not accepted in every language.")
    ] = False,
    repo: Annotated[
        str | None, typer.Option(help="Send it to this dataset of the hub, owner/name.")
    ] = None,
    private: Annotated[bool, typer.Option(help="Make the dataset private.")] = False,
    update: Annotated[
        bool, typer.Option(help="The dataset is there already: replace its data.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Lay out a Hugging Face dataset, and send it to the hub with your token."""
    from polydrift.parallel import publish as publishing
    from polydrift.parallel.facts import ABOUT, About, read_about
    from polydrift.parallel.push import push, require_name

    beside = items.parent / ABOUT
    about = read_about(beside) if beside.is_file() else About(name=items.stem)
    if repo is not None:
        require_name(repo)
    lay_out = publishing.lay_out if dry_run else partial_of(publishing.publish, out=out)
    layout = lay_out(items, licence=licence, about=about, partial=partial)
    if dry_run:
        console.print(layout.card, markup=False)
    for path, file in layout.listing().items():
        console.print(f"{file['bytes']:>12,} bytes  {file['sha256'][:12]}  {path}", markup=False)
    if dry_run:
        where = f"{out} and https://huggingface.co/datasets/{repo}" if repo else str(out)
        console.print(f"nothing was written or sent; this would go to {where}.", markup=False)
        return
    if repo is not None:
        console.print(f"sent: {push(out, repo, private=private, update=update).url}", markup=False)


def make(spec: Build, out: Path | None, dry: bool) -> None:
    """Run a build, tell what came of it, and exit 1 if rows wait."""
    from polydrift.parallel.build import build
    from polydrift.parallel.outputs import write_outputs
    from polydrift.progress import Stages

    place = out or Path(spec.name)
    command = shlex.join(["polydrift", *sys.argv[1:]])
    written: list[Path] = []
    with Stages() as board:
        built = build(
            spec,
            place,
            board,
            dry=dry,
            write=lambda built: written.extend(write_outputs(spec, built, place, command)),
        )
    for note in built.notes:
        console.print(f"note: {note}", markup=False)
    if dry:
        if not built.lines:
            console.print("estimate: nothing is left to ask.", markup=False)
        return
    _show(built)
    console.print(f"written: {', '.join(str(path) for path in written)}", markup=False)
    for why in built.waiting:
        console.print(f"waiting: {why}", markup=False)
    if built.waiting:
        console.print("Run the same command again to go on; nothing is asked twice.")
        raise typer.Exit(1)


def _show(built: Built) -> None:
    """How many rows of each language are accepted, and what was dropped."""
    if built.dropped:
        why = Counter(f"{one.stage} ({one.why})" for one in built.dropped)
        console.print(
            "dropped: " + ", ".join(f"{number:,} {name}" for name, number in why.most_common()),
            markup=False,
        )
    _counts(built.items)


def _counts(items: Sequence[Item]) -> None:
    """A table of the rows of each language by status."""
    counts = Counter((item.language, item.status) for item in items)
    by = Counter((item.language, item.translator) for item in items if item.translator)
    table = Table("language", "accepted", "to review", "rejected", "translators", box=None)
    for code in dict.fromkeys(item.language for item in items):
        who = ", ".join(f"{name} {by[code, name]:,}" for one, name in by if one == code)
        numbers = (f"{counts[code, status]:,}" for status in ("accepted", "review", "rejected"))
        table.add_row(code, *numbers, who)
    console.print(table)
