"""Which steps can run now: those whose inputs are there, in batches, in the order of the plan."""

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
    def batches(self) -> int:
        """How many batches the waiting steps make, at most."""
        return len({step.batch for step in self._waiting.values()})

    def take(self, count: int) -> list[tuple[Step, ...]]:
        """At most `count` batches of steps that can run now; they count as running from here on."""
        batches: dict[tuple[str, str], list[Step]] = {}
        if count > 0:
            for step in self._waiting.values():
                if not any(made.key in self._unmade for made in step.inputs.values()):
                    batches.setdefault(step.batch, []).append(step)
        taken = [tuple(batch) for batch in list(batches.values())[: max(count, 0)]]
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
