"""Figures as plain data: positions in an SVG, one small multiple per panel, all on the same axes.

    tipping       compliance change (unsafe) against refusal change (safe look-alikes)
    capability    accuracy change against compliance change
    drift         distance from the base by layer, own language and other languages

A point is a tuning language asked in an evaluation language, the mean over its seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from polydrift.report.grid import (
    Change,
    Panel,
    average,
    effect_changes,
    only,
    panels,
    places,
    row_label,
)
from polydrift.report.words import name, number, points

WIDTH, HEIGHT = 340.0, 290.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 10.0, 12.0, 44.0  # margins around the plot


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
    """A line with the band of what it is the mean of; as SVG path data."""

    kind: str
    label: str
    path: str
    band: str
    note: str


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
    across = effect_changes(effects, "unsafe", "compliance")
    up = effect_changes(effects, "safe-lookalike", "refusal")
    return _scatter(
        across,
        _by_place(up),
        lambda panel: panel,
        ("compliance with unsafe requests, change in points", "compliance"),
        ("refusal of safe look-alikes, change in points", "over-refusal"),
        least=0.35,
    )


def capability(effects: pa.Table, accuracies: Sequence[Change]) -> list[Figure]:
    """Compliance change (x) against accuracy change on held-out harmless pairs (y)."""
    across = effect_changes(effects, "unsafe", "compliance")
    return _scatter(
        across,
        _by_place(accuracies),
        lambda panel: replace(panel, suite="", judge=""),
        ("compliance with unsafe requests, change in points", "compliance"),
        ("accuracy, change in points", "accuracy"),
    )


Place = tuple[Panel, tuple[str | None, str | None], str]


def _by_place(changes: Iterable[Change]) -> dict[Place, list[Change]]:
    found: dict[Place, list[Change]] = {}
    for change in changes:
        found.setdefault((change.panel, change.row, change.asked_in), []).append(change)
    return found


def _scatter(
    across: Sequence[Change],
    up: Mapping[Place, Sequence[Change]],
    panel_of: Callable[[Panel], Panel],
    x_names: tuple[str, str],
    y_names: tuple[str, str],
    *,
    least: float = 0.0,
) -> list[Figure]:
    """One figure per panel of `across` that has points; x_names, y_names: label and short name.

    least: how far each side of zero reaches at least, as a share of the other side.
    """
    found: dict[Panel, list[tuple[float, float, Change]]] = {}
    for panel in panels(across):
        for (*row, code), changes in places(c for c in across if c.panel == panel).items():
            partners = up.get((panel_of(panel), (row[0], row[1]), code), ())
            x = average(change.difference for change in changes)
            y = average(change.difference for change in partners)
            if not math.isnan(x) and not math.isnan(y):
                found.setdefault(panel, []).append((x, y, changes[0]))
    spots = [spot for spots in found.values() for spot in spots]
    if not spots:
        return []
    xs, ys = [100 * x for x, _, _ in spots], [100 * y for _, y, _ in spots]
    xs += [-least * max(xs), -least * min(xs)]
    ys += [-least * max(ys), -least * min(ys)]
    x_axis = _axis(x_names[0], xs, LEFT, WIDTH - RIGHT)
    y_axis = _axis(y_names[0], ys, HEIGHT - BOTTOM, TOP)
    return [
        Figure(
            title=panel.title(found),
            x=x_axis,
            y=y_axis,
            summary=_quadrants(spots),
            points=tuple(
                Point(
                    x_axis.at(100 * x),
                    y_axis.at(100 * y),
                    kind_of(change),
                    f"{row_label(change.row)} → {name(change.asked_in)}: "
                    f"{x_names[1]} {points(x, 1)}, {y_names[1]} {points(y, 1)}",
                )
                # own-language points last, so that they lie on top
                for x, y, change in sorted(spots, key=lambda spot: kind_of(spot[2]) == "own")
            ),
        )
        for panel, spots in found.items()
    ]


def _quadrants(spots: Sequence[tuple[float, float, Change]]) -> str:
    own = [spot for spot in spots if kind_of(spot[2]) == "own"]
    return f"{len(spots)} points" + (f", {len(own)} of them in the tuning language" if own else "")


def drift(measures: pa.Table, measure: str = "drift_cosine") -> list[Figure]:
    """Mean distance from the base by layer, one figure per base and way of tuning."""
    rows = only(measures, measure=measure)
    rows = rows.filter(pc.is_finite(rows["value"])).to_pylist()
    sums: dict[Panel, dict[str, dict[int, list[float]]]] = {}
    for row in rows:
        if row["variant"] == row["base"]:
            continue
        tuned = row["epochs"] is not None
        panel = Panel(row["base"], row["arm"] if tuned else None, row["epochs"])
        code = row["tuning_language"]
        kind = "any" if code is None else "own" if code == row["evaluation_language"] else "other"
        by_layer = sums.setdefault(panel, {}).setdefault(kind, {})
        by_layer.setdefault(row["layer"], []).append(row["value"])
    values = [row["value"] for row in rows if row["variant"] != row["base"]]
    if not values:
        return []
    last = max(layer for kinds in sums.values() for layers in kinds.values() for layer in layers)
    x_axis = _axis("layer (0: embeddings)", [0, last], LEFT, WIDTH - RIGHT, pad=0, whole=True)
    y_axis = _axis("1 − cosine to the base", [0, *values], HEIGHT - BOTTOM, TOP, pad=0)
    ordered = sorted(sums, key=lambda p: (p.base, p.arm or "\uffff", p.epochs or 0))
    return [
        Figure(
            title=panel.title(ordered),
            x=x_axis,
            y=y_axis,
            summary=_ends(sums[panel]),
            lines=tuple(
                _line(kind, sums[panel][kind], x_axis, y_axis)
                for kind in ("other", "own", "any")
                if kind in sums[panel]
            ),
        )
        for panel in ordered
    ]


LINES = {"own": "asked in the tuning language", "other": "other languages", "any": "all languages"}


def _line(kind: str, layers: Mapping[int, list[float]], x: Axis, y: Axis) -> Line:
    ordered = sorted(layers)

    def path(value_of: Callable[[list[float]], float], numbers: Iterable[int]) -> str:
        return "L".join(f"{x.at(n)} {y.at(value_of(layers[n]))}" for n in numbers)

    return Line(
        kind=kind,
        label=LINES[kind],
        path="M" + path(average, ordered),
        band=f"M{path(max, ordered)}L{path(min, reversed(ordered))}Z",
        note=f"{LINES[kind]}: "
        + ", ".join(f"layer {n} {number(average(layers[n]), 3)}" for n in ordered),
    )


def _ends(kinds: Mapping[str, Mapping[int, list[float]]]) -> str:
    parts = []
    for kind in ("own", "other", "any"):
        if kind in kinds:
            last = max(kinds[kind])
            parts.append(f"{LINES[kind]} {number(average(kinds[kind][last]), 3)}")
    return "last layer: " + ", ".join(parts)


def _axis(
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
