"""`polydrift specimens`: list the built-in models and data, raise models anew, evaluate them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polydrift import specimens

app = typer.Typer(
    no_args_is_help=True,
    help="The built-in micro models and data: laboratory animals for trying the instruments.",
)
console = Console(soft_wrap=True, highlight=False)


@app.command("list")
def list_() -> None:
    """Say what names there are and where they lead."""
    for name in specimens.names():
        path = specimens.path(name)
        console.print(f"{name:20} {path if path.exists() else '(not here)'}", markup=False)


@app.command()
def corpus(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the files.")],
) -> None:
    """Write the suite, the tuning sets and the held-out pairs."""
    from polydrift.specimens import files

    for path in files.write(out):
        console.print(str(path), markup=False)


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to put the model directories.")],
    family: Annotated[
        list[str] | None, typer.Option(help="llama, qwen3 or gemma3 (repeatable); else all.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="A base seed (repeatable); else 0 and 1.")
    ] = None,
    size: Annotated[str, typer.Option(help="full, or small: seconds, for tests.")] = "full",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the paths only.")] = False,
) -> None:
    """Raise models from nothing, as the shipped ones were: two minutes each on one core."""
    from polydrift.specimens.train import train as raise_all

    families, seeds = family or list(specimens.FAMILIES), seed or list(specimens.SEEDS)
    with _bar(quiet) as update:
        made = raise_all(out, families, seeds, size, update)
    for path in made:
        console.print(str(path), markup=False)


@app.command()
def evaluate(
    models: Annotated[list[Path], typer.Argument(help="Model directories.", show_default=False)],
    card: Annotated[
        bool, typer.Option(help="Write the figures into each directory's README.md.")
    ] = False,
) -> None:
    """Ask models the built-in suite and print how they answer, with intervals."""
    from polydrift.specimens import cards
    from polydrift.specimens.evaluate import evaluate as ask

    for directory in models:
        figures = ask(directory)
        console.print(cards.tables(figures), markup=False)
        if card:
            console.print(str(cards.write(directory, figures)), markup=False)


@contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """A bar on standard error with the time left; takes the share that is done, and of what."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars:
        task = bars.add_task("beginning", total=1.0)
        yield lambda done, text: bars.update(task, completed=done, description=text)
