"""Which steps can run now: those whose inputs are there, cohort by cohort, in the plan's order.

A cohort is handed out when all of it can run, since together its steps cost less than one by one;
when more workers are free than cohorts are ready, the largest are shared out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polydrift.launch.worker import Outcome
from polydrift.step import Step


class Schedule:
    """The steps still to do. made: how many are done; problems: {step: sentence} of the rest.

    A failed step holds back what depends on it, directly or not, and nothing else.
    """

    def __init__(self, todo: Iterable[Step]) -> None:
        self._waiting = {step.key: step for step in todo}
        self._unmade = dict(self._waiting)  # waiting, running or failed
        self.made = 0
        self.problems: dict[str, str] = {}

    @property
    def waiting(self) -> bool:
        """Whether steps are left that have not been handed out."""
        return bool(self._waiting)

    @property
    def left(self) -> int:
        """How many steps are left that have not been handed out."""
        return len(self._waiting)

    def take(self, count: int) -> list[tuple[Step, ...]]:
        """At most `count` batches of steps that can run now; they count as running from here on."""
        cohorts: dict[tuple[str | int | None, ...], list[Step]] = {}
        incomplete = set()
        if count > 0:
            for step in self._waiting.values():
                cohorts.setdefault(step.cohort, []).append(step)
                if any(made.key in self._unmade for made in step.inputs.values()):
                    incomplete.add(step.cohort)
        ready = [tuple(steps) for name, steps in cohorts.items() if name not in incomplete]
        ready.sort(key=lambda batch: batch[0].kind != "tune")  # what most others wait for
        taken = _shared_out(ready[: max(count, 0)], count)
        for batch in taken:
            for step in batch:
                del self._waiting[step.key]
        return taken

    def ended(self, batch: Sequence[Step], outcomes: Iterable[Outcome]) -> dict[str, str]:
        """Note how a batch ended; the new problems, of held-back steps too."""
        steps = {step.name: step for step in batch}
        problems: dict[str, str] = {}
        for outcome in outcomes:
            if outcome.problem is None:
                del self._unmade[steps[outcome.name].key]
                self.made += 1
            else:
                problems[outcome.name] = outcome.problem
        problems |= self._held_back({steps[name].key: name for name in problems})
        self.problems |= problems
        return problems

    def _held_back(self, failed: dict[str, str]) -> dict[str, str]:
        """{step: sentence} for all that wait for `failed` {key: name}; they leave the list."""
        problems: dict[str, str] = {}
        for step in list(self._waiting.values()):  # inputs stand before what needs them
            for made in step.inputs.values():
                if made.key in failed and step.key in self._waiting:
                    problems[step.name] = f"not run: it needs {failed[made.key]}, which failed."
                    failed[step.key] = failed[made.key]
                    del self._waiting[step.key]
        return problems


def _shared_out(batches: list[tuple[Step, ...]], count: int) -> list[tuple[Step, ...]]:
    """As many batches as there are workers, if there are steps enough: the largest are halved."""
    batches = list(batches)
    while batches and len(batches) < count and max(map(len, batches)) > 1:
        largest = max(range(len(batches)), key=lambda i: len(batches[i]))
        half = (len(batches[largest]) + 1) // 2
        batches[largest : largest + 1] = [batches[largest][:half], batches[largest][half:]]
    return batches
