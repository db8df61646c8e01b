"""Figures as plain data: positions in an SVG, one small multiple per panel, all on the same axes.

    tipping       compliance change (unsafe) against refusal change (safe look-alikes)
    scatter       any two changes of the same cells

A point is a tuning language asked in an evaluation language, the mean over its seeds. `inside` has
lines by layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from polydrift.report.grid import (
    Change,
    Panel,
    average,
    effect_changes,
    panels,
    places,
    row_label,
)
from polydrift.report.words import count, name, number, points

WIDTH, HEIGHT = 340.0, 290.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 10.0, 12.0, 44.0  # margins around the plot


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis that holds 0. ticks: (position, label). start, end: positions of its ends."""

    label: str
    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """The position of a value, to a tenth of a pixel."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def zero(self) -> float:
        """The position of 0."""
        return self.at(0.0)


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a scatter plot; kind: own, other or any (no tuning language)."""

    x: float
    y: float
    kind: str
    note: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line, as SVG path data; x, y: where its label begins."""

    kind: str
    label: str
    path: str
    x: float
    y: float
    note: str


@dataclass(frozen=True, slots=True)
class Side:
    """What one axis of a scatter plot shows. label: of the axis; short: in notes. factor: from a
    change to the axis' unit. show: a change in words. least: how far each side of zero reaches at
    least, as a share of the other side.
    """

    label: str
    short: str
    factor: float = 100.0
    show: Callable[[float], str] = lambda value: points(value, 1)
    least: float = 0.0


COMPLIANCE = Side("compliance with unsafe requests, change in points", "compliance")


@dataclass(frozen=True, slots=True)
class Figure:
    """One small multiple."""

    title: str
    x: Axis
    y: Axis
    summary: str
    points: tuple[Point, ...] = ()
    lines: tuple[Line, ...] = ()
    width: float = WIDTH
    height: float = HEIGHT


def kind_of(change: Change) -> str:
    """Whether a change is in the variant's own tuning language, another, or neither is known."""
    return "any" if change.tuned_on is None else "own" if change.own else "other"


def tipping(effects: pa.Table) -> list[Figure]:
    """Compliance change on unsafe prompts (x) against refusal change on look-alikes (y)."""
    return scatter(
        effect_changes(effects, "unsafe", "compliance"),
        effect_changes(effects, "safe-lookalike", "refusal"),
        replace(COMPLIANCE, least=0.35),
        Side("refusal of safe look-alikes, change in points", "over-refusal", least=0.35),
    )


Place = tuple[Panel, tuple[str | None, str | None], str]


def _by_place(changes: Iterable[Change]) -> dict[Place, list[Change]]:
    found: dict[Place, list[Change]] = {}
    for change in changes:
        found.setdefault((change.panel, change.row, change.asked_in), []).append(change)
    return found


def scatter(
    across: Sequence[Change], up: Sequence[Change], x_side: Side, y_side: Side
) -> list[Figure]:
    """One figure per panel of `across` that has points.

    up: of the same cells, or of measures, which know no suite and judge.
    """
    partners = _by_place(up)
    found: dict[Panel, list[tuple[float, float, Change]]] = {}
    for panel in panels(across):
        bare = replace(panel, suite="", judge="")
        for (*row, code), changes in places(c for c in across if c.panel == panel).items():
            there = [
                one
                for key in dict.fromkeys((panel, bare))
                for one in partners.get((key, (row[0], row[1]), code), ())
            ]
            x = average(change.difference for change in changes)
            y = average(change.difference for change in there)
            if not math.isnan(x) and not math.isnan(y):
                found.setdefault(panel, []).append((x, y, changes[0]))
    spots = [spot for spots in found.values() for spot in spots]
    if not spots:
        return []
    x_axis = _fitting(x_side, [x for x, _, _ in spots], LEFT, WIDTH - RIGHT)
    y_axis = _fitting(y_side, [y for _, y, _ in spots], HEIGHT - BOTTOM, TOP)
    return [
        Figure(
            title=panel.title(found),
            x=x_axis,
            y=y_axis,
            summary=_quadrants(spots),
            points=tuple(
                Point(
                    x_axis.at(x_side.factor * x),
                    y_axis.at(y_side.factor * y),
                    kind_of(change),
                    f"{row_label(change.row)} → {name(change.asked_in)}: "
                    f"{x_side.short} {x_side.show(x)}, {y_side.short} {y_side.show(y)}",
                )
                # own-language points last, so that they lie on top
                for x, y, change in sorted(spots, key=lambda spot: kind_of(spot[2]) == "own")
            ),
        )
        for panel, spots in found.items()
    ]


def _fitting(side: Side, changes: Sequence[float], start: float, end: float) -> Axis:
    """The axis of a side that holds some changes."""
    values = [side.factor * change for change in changes]
    values += [-side.least * max(values), -side.least * min(values)]
    return axis(side.label, values, start, end)


def _quadrants(spots: Sequence[tuple[float, float, Change]]) -> str:
    own = [spot for spot in spots if kind_of(spot[2]) == "own"]
    told = f", {len(own)} of them in the tuning language" if own else ""
    return count(len(spots), "point") + told


def axis(
    label: str,
    values: Sequence[float],
    start: float,
    end: float,
    *,
    pad: float = 0.06,
    whole: bool = False,
) -> Axis:
    """An axis that holds all values and 0, with round ticks. pad: share of room at the ends."""
    low, high = min(0.0, *values), max(0.0, *values)
    room = pad * (high - low)
    low, high = low - room, high + room
    if high - low < 1e-9:
        low, high = (low - 1, high + 1) if pad else (low, high + 1)
    step = _round_step((high - low) / 7)
    if whole:
        step = max(1.0, step)
    digits = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    bare = Axis(label, low, high, start, end, ())
    ticks = tuple((bare.at(n * step), number(n * step, digits)) for n in range(first, last + 1))
    return replace(bare, ticks=ticks)


def _round_step(wanted: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `wanted`."""
    power: float = 10.0 ** math.floor(math.log10(wanted))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= wanted * (1 - 1e-9))
