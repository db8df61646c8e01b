"""How far a study is: bars with time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from polydrift.step import Step

EVERY = 15  # seconds between two lines in a log file


class Board(Protocol):
    """What a run reports to."""

    def __enter__(self) -> Self:
        """Begin showing."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop showing."""
        ...

    def update(self, name: str, done: float, text: str) -> None:
        """A step has come to `done` (0 to 1)."""
        ...

    def failed(self, name: str, sentence: str) -> None:
        """A step has failed."""
        ...

    def say(self, sentence: str) -> None:
        """Something the user should know."""
        ...


class Silent:
    """`--quiet`: what went wrong and why nothing seems to happen, on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def update(self, name: str, done: float, text: str) -> None:
        """Nothing."""

    def failed(self, name: str, sentence: str) -> None:
        """One line."""
        self._console.print(f"failed: {name}: {sentence}", markup=False)

    def say(self, sentence: str) -> None:
        """One line: waiting and damage are told even to those who want quiet."""
        self._console.print(sentence, markup=False)


class Bars(Silent):
    """An overall bar and one for each step that runs, with time left.

    On a terminal they move; in a log file, a line appears every 15 seconds instead.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self._weights = {step.name: step.cost.weight for step in steps}
        self._total = sum(self._weights.values())
        self._done: dict[str, float] = {}
        self._ended: set[str] = set()
        self._tasks: dict[str, TaskID] = {}
        self._bars = _bars(self._console)
        self._moving = self._console.is_terminal
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if self._moving:
            self._bars.start()
            self._overall = self._bars.add_task("the study", total=self._total, note="")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._moving:
            self._bars.stop()

    def update(self, name: str, done: float, text: str) -> None:
        """Move the step's bar and the overall one."""
        self._done[name] = max(done, self._done.get(name, 0.0))
        if done >= 1.0:
            self._ended.add(name)
        part = sum(self._weights.get(n, 0.0) * d for n, d in self._done.items())
        if not self._moving:
            self._line(part)
            return
        count = f"{len(self._ended)} of {len(self._weights)} steps"
        self._bars.update(self._overall, completed=part, note=count)
        if done >= 1.0:
            if (task := self._tasks.pop(name, None)) is not None:
                self._bars.remove_task(task)
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name[:52], total=1.0, note="")
        self._bars.update(self._tasks[name], completed=done, note=text)

    def say(self, sentence: str) -> None:
        """One line above the bars."""
        self._bars.console.print(sentence, markup=False)

    def failed(self, name: str, sentence: str) -> None:
        """One red line above the bars."""
        self._bars.console.print(f"failed: {name}: {sentence}", style="red", markup=False)

    def _line(self, part: float) -> None:
        now = time.monotonic()
        if now - self._last_line >= EVERY and part > 0:
            self._last_line = now
            left = (now - self._started) * (self._total - part) / part
            self.say(
                f"{100 * part / self._total:3.0f}% done, {len(self._ended)} of "
                f"{len(self._weights)} steps, about {left:.0f} s left"
            )


class Stages(Silent):
    """A bar for each stage of a build, one after the other; in a log file, a line now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, TaskID] = {}
        self._bars = _bars(self._console)
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def update(self, name: str, done: float, text: str) -> None:
        """Move the stage's bar."""
        if not self._console.is_terminal:
            if time.monotonic() - self._last_line >= EVERY:
                self._last_line = time.monotonic()
                self.say(f"{name}: {100 * done:3.0f}%, {text}")
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name[:52], total=1.0, note="")
        self._bars.update(self._tasks[name], completed=done, note=text)

    def say(self, sentence: str) -> None:
        """One line above the bars."""
        self._bars.console.print(sentence, markup=False)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
        console=console,
        transient=True,
    )
