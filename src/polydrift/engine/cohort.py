"""All variants of one base, worked on together: loaded once, asked and measured side by side.

    >>> cohort = Cohort(model, [None, Path("adapter-da"), Path("adapter-ga")])   # None: the base
    >>> for member, found in cohort.answer(["Hej?"], Decoding(max_new_tokens=64), seeds=[7]):
    ...     print(member, found)          # its answers, or the ModelError that stopped it

Which members go together, and by which route, is `routes`' choice. A member whose adapter cannot be
used, or that breaks on the way, has its error as its result; the others are not touched. Adapters
are read when their turn comes, so the memory that they take is that of those at work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from polydrift.engine import routes
from polydrift.engine.activations import LastToken, Seen, activations
from polydrift.engine.adapters import Adapter, fitted, plain_lora, read_adapter
from polydrift.engine.answer import Answers, answer_lanes
from polydrift.engine.interface import Decoding, Progress, silent
from polydrift.engine.model import Model
from polydrift.engine.score import Ids, Score, score_ids, score_lanes
from polydrift.errors import ModelError

T = TypeVar("T")


@dataclass(frozen=True)
class _Part:
    """Members that are computed together. how: "merged", "stacked" or "beside"."""

    members: list[int]
    how: str
    inside: AbstractContextManager[None]


class Cohort:
    """A base and variants of it, each an adapter's directory or None for the base itself.

    side_by_side: how many to compute at once; chosen from measurements when not given. Of the last
    call, for the record: routes, how each member was computed, and seconds, its share of the time.
    """

    def __init__(
        self, model: Model, adapters: Sequence[Path | None], *, side_by_side: int | None = None
    ) -> None:
        self.model, self._adapters, self._width = model, list(adapters), side_by_side
        self.routes: dict[int, str] = {}
        self.seconds: dict[int, float] = {}

    @property
    def members(self) -> int:
        """How many there are."""
        return len(self._adapters)

    def name(self, member: int) -> str:
        """A member's directory, or the base's name."""
        directory = self._adapters[member]
        return self.model.source.model if directory is None else str(directory)

    def answer(
        self,
        prompts: Sequence[str],
        decoding: Decoding,
        *,
        seeds: Sequence[int],
        progress: Progress = silent,
    ) -> Iterator[tuple[int, Answers]]:
        """Ask every member every prompt; see `interface.Engine`."""

        def work(lanes: int, told: Progress) -> list[Answers]:
            return answer_lanes(self.model, lanes, prompts, decoding, seeds=seeds, progress=told)

        width = routes.asked_together(self.model, len(prompts), self.members)
        yield from self._each(width, work, progress)

    def score(
        self, pairs: Sequence[tuple[str, str]], *, progress: Progress = silent
    ) -> Iterator[tuple[int, list[Score] | ModelError]]:
        """Score (request, response) pairs with every member, as `score.score` does."""

        def work(lanes: int, told: Progress) -> list[list[Score] | ModelError]:
            return [*score_lanes(self.model, lanes, pairs, progress=told)]

        width = routes.read_together(self.model, len(pairs), self.members)
        yield from self._each(width, work, progress)

    def score_ids(
        self, rows: Sequence[Ids], *, progress: Progress = silent
    ) -> Iterator[tuple[int, list[tuple[float, bool]] | ModelError]]:
        """Score token ids with every member, as `score.score_ids` does."""

        def work(lanes: int, told: Progress) -> list[list[tuple[float, bool]] | ModelError]:
            return [*score_ids(self.model, lanes, rows, progress=told)]

        width = routes.read_together(self.model, len(rows), self.members)
        yield from self._each(width, work, progress)

    def compute(
        self,
        work: Callable[[int, Progress], Sequence[T | ModelError]],
        *,
        width: int = 1,
        progress: Progress = silent,
    ) -> Iterator[tuple[int, T | ModelError]]:
        """Have every member do work of the caller's own: (member, what came of it).

        work: told how many adapters the network computes side by side, for which rows of a batch
        are adapter-major; gives one result for each of them. width: how many at most.
        """
        yield from self._each(width, work, progress)

    def activations(
        self, prompts: Sequence[str], *, progress: Progress = silent
    ) -> Iterator[tuple[int, Seen | ModelError]]:
        """A stream of what each member's layers hold, some prompts at a time; an error ends the
        member it names.
        """
        width = routes.read_together(self.model, len(prompts), self.members)
        for part in self._parts(width):
            if isinstance(part, tuple):
                yield part
                continue
            told = self._share(part.members, progress)
            try:
                with self._computing(part):
                    for seen in activations(self.model, len(part.members), prompts, progress=told):
                        yield part.members[seen.lane], seen
            except ModelError as error:
                yield from ((member, error) for member in part.members)

    def last_tokens(
        self, prompts: Sequence[str], *, progress: Progress = silent
    ) -> Iterator[tuple[int, LastToken | ModelError]]:
        """Of each member, its activations at the last tokens of all prompts."""
        started: dict[int, tuple[LastToken, int]] = {}
        for member, seen in self.activations(prompts, progress=progress):
            if isinstance(seen, ModelError):
                started.pop(member, None)
                yield member, seen
                continue
            whole, have = started.get(member) or (LastToken.empty(self.model, len(prompts)), 0)
            whole.take(seen)
            started[member] = whole, have + len(seen.prompts)
            if have + len(seen.prompts) == len(prompts):
                del started[member]
                yield member, whole

    def _each(
        self,
        width: int,
        work: Callable[[int, Progress], Sequence[T | ModelError]],
        progress: Progress,
    ) -> Iterator[tuple[int, T | ModelError]]:
        """Do the work part by part; the base is itself again whenever something is yielded."""
        for part in self._parts(width):
            if isinstance(part, tuple):
                yield part
                continue
            found: Sequence[T | ModelError]
            try:
                with self._computing(part):
                    found = work(len(part.members), self._share(part.members, progress))
            except ModelError as error:
                found = [error] * len(part.members)
            for member, one in zip(part.members, found, strict=True):
                yield member, self._named(member, one) if isinstance(one, ModelError) else one

    @contextmanager
    def _computing(self, part: _Part) -> Iterator[None]:
        """Inside, the network computes the part; its time and its route are noted."""
        together = f"{part.how}, {len(part.members)} side by side"
        route = together if part.how == "stacked" else part.how
        self.routes.update(dict.fromkeys(part.members, route))
        started = time.monotonic()
        self.seconds.update(dict.fromkeys(part.members, 0.0))
        try:
            with part.inside:
                yield
        except torch.OutOfMemoryError as error:
            raise ModelError(
                "the device's memory is full; give the run less of it (--memory), or free some."
            ) from error
        finally:
            share = (time.monotonic() - started) / len(part.members)
            self.seconds.update(dict.fromkeys(part.members, share))

    def _parts(self, width: int) -> Iterator[_Part | tuple[int, ModelError]]:
        """The members in parts that fit together, and those whose adapter cannot be used."""
        network = self.model.network
        waiting: dict[int, routes.Products] = {}
        width = self._width or width
        for member, directory in enumerate(self._adapters):
            try:
                found = self._read(directory)
            except ModelError as error:
                yield member, error
                continue
            if isinstance(found, Adapter):
                yield _Part([member], "beside", routes.beside(network, found))
            elif width == 1 and (routes.mergeable(network) or not found):
                yield _Part([member], "merged", routes.merged(network, found))
            else:
                waiting[member] = found
                if len(waiting) == width:
                    yield self._stacked(waiting)
                    waiting = {}
        if waiting:
            yield self._stacked(waiting)

    def _stacked(self, members: dict[int, routes.Products]) -> _Part:
        inside = routes.stacked(self.model.network, list(members.values()))
        return _Part(list(members), "stacked", inside)

    def _read(self, directory: Path | None) -> routes.Products | Adapter:
        """A plain adapter's products (none for the base), or an adapter that only PEFT computes."""
        if directory is None:
            return {}
        adapter = fitted(read_adapter(directory), self.model.network)
        products = plain_lora(adapter, self.model.network)
        return adapter if isinstance(products, str) else products

    def _share(self, members: Sequence[int], progress: Progress) -> Progress:
        """Progress of a part as progress of the whole; parts come in the members' order."""
        before, whole = members[0], self.members

        def told(done: float, text: str) -> None:
            progress((before + done * len(members)) / whole, text)

        return told

    def _named(self, member: int, error: ModelError) -> ModelError:
        name, text = self.name(member), str(error)
        return error if text.startswith(name) else ModelError(f"{name}: {text}")


@contextmanager
def adapted(model: Model, adapter: Path | None) -> Iterator[Model]:
    """Inside, `model` computes with the adapter in this directory; None is the base itself."""
    for part in Cohort(model, [adapter])._parts(1):
        if isinstance(part, tuple):
            raise part[1]
        with part.inside:
            yield model
