"""One unit of work: what determines its result, what it is called, what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from polydrift.records import step_key
from polydrift.store import Address

Kind = Literal["tune", "answer", "translate", "judge", "measure", "compare", "capability", "prefer"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Raise a number when a step's code changes what it produces; its artifacts are then made anew.
VERSIONS: Mapping[Kind, str] = {
    "tune": "2",
    "answer": "2",
    "translate": "1",
    "judge": "2",
    "measure": "4",
    "compare": "1",
    "capability": "1",
    "prefer": "1",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Where in the grid a result belongs; these become the columns of every table."""

    base: str
    variant: str
    arm: str | None = None
    tuning_language: str | None = None
    tuning_seed: int | None = None
    epochs: int | None = None
    evaluation_language: str | None = None
    suite: str | None = None
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """Estimates: tokens trained on, read and generated at most; answers; bytes kept."""

    train_tokens: float = 0.0
    read_tokens: float = 0.0
    new_tokens: float = 0.0
    answers: int = 0
    bytes: float = 0.0

    @property
    def weight(self) -> float:
        """Relative effort, for progress bars: a trained token costs three read ones, one generated
        token about ten (each takes a pass of its own, part of a batch).
        """
        return 1.0 + 3 * self.train_tokens + self.read_tokens + 10 * self.new_tokens


@dataclass(frozen=True)
class Step:
    """One unit of work and its artifact."""

    kind: Kind
    cell: Cell
    params: Mapping[str, Any]
    inputs: Mapping[str, Step] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = Cost()

    @cached_property
    def key(self) -> str:
        """sha256 of everything that determines the result (64 hexadecimal digits)."""
        return step_key(
            self.kind,
            VERSIONS[self.kind],
            self.params,
            {name: step.key for name, step in self.inputs.items()},
            self.files,
        )

    @cached_property
    def label(self) -> str:
        """A readable name: "llama+benign-da-e3-s3407.ga.specimen.rules"."""
        cell = self.cell
        parts = (cell.variant, cell.evaluation_language, cell.suite, cell.judge)
        return ".".join(part for part in parts if part)

    @property
    def name(self) -> str:
        """How users call the step: "answer/llama.en.specimen"."""
        return f"{self.kind}/{self.label}"

    @property
    def address(self) -> Address:
        """Where its artifact belongs."""
        return Address(self.kind, self.label, self.key)

    @property
    def cohort(self) -> tuple[str | int | None, ...]:
        """Steps of one cohort are given to one worker, which works on them together: variants of
        one base that learn by the same recipe, or that are asked the same.
        """
        cell = self.cell
        if self.kind == "tune":
            return (self.kind, cell.base, cell.arm, cell.epochs)
        # a whole tuned model shares nothing with its base
        alone = cell.variant if "tuned_model" in self.params else None
        return (self.kind, cell.base, cell.evaluation_language, cell.suite, cell.judge, alone)
