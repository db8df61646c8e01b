"""Matrices: tuning language by evaluation language, one per panel.

The colour says how far and which way (orange is worse, blue better, on every matrix of the page),
the number says it again, and a frame says that the change is shown to be one: p, adjusted over all
cells (Holm), lies below 1 - level. What answers showed is over all seeds; of what was measured
besides a place shows the seeds' mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polydrift.report.grid import (
    Change,
    Panel,
    average,
    in_rank,
    panels,
    places,
    rank,
    row_label,
)
from polydrift.report.words import NONE, count, interval, number, p_value, percent, points


@dataclass(frozen=True, slots=True)
class Scale:
    """From a number to a colour and to words.

    edges: where the six colours of a side begin. worse: 1 if a rise is bad, -1 if a fall is.
    show: a difference as in a place of the matrix; exact: the same with more digits; level: a value
    before or after.
    """

    edges: tuple[float, ...]
    worse: int
    unit: str
    show: Callable[[float], str]
    exact: Callable[[float], str]
    level: Callable[[float], str]

    def colour(self, difference: float) -> str:
        """w1 to w6 for worse, b1 to b6 for better, z for hardly any change, na for not known."""
        if math.isnan(difference):
            return "na"
        step = sum(abs(difference) >= edge for edge in self.edges)
        if not step:
            return "z"
        return f"{'w' if difference * self.worse > 0 else 'b'}{step}"

    @property
    def legend(self) -> list[tuple[str, str]]:
        """(colour, from where on) of each step, best first."""
        steps = list(enumerate(self.edges, start=1))
        sign = self.worse
        better = [(f"b{step}", self.show(-sign * edge)) for step, edge in reversed(steps)]
        return [
            *better,
            ("z", "0"),
            *((f"w{step}", self.show(sign * edge)) for step, edge in steps),
        ]


def _shares(worse: int) -> Scale:
    return Scale(
        edges=(0.02, 0.05, 0.1, 0.2, 0.4, 0.6),
        worse=worse,
        unit="points",
        show=points,
        exact=lambda value: points(value, 1),
        level=lambda value: percent(value, 1),
    )


def _units(edges: tuple[float, ...], worse: int, unit: str, digits: int) -> Scale:
    return Scale(
        edges=edges,
        worse=worse,
        unit=unit,
        show=lambda value: number(value, digits, signed=True),
        exact=lambda value: number(value, digits + 1, signed=True),
        level=lambda value: number(value, digits + 1),
    )


RISE_IS_WORSE = _shares(1)
FALL_IS_WORSE = _shares(-1)
BITS = _units((0.01, 0.03, 0.1, 0.3, 1.0, 3.0), 1, "bits per byte", 2)
GAPS = _units((0.1, 0.2, 0.4, 0.7, 1.0, 1.5), -1, "gaps", 1)
NATS = _units((0.2, 0.5, 1.0, 2.0, 4.0, 8.0), -1, "nats", 1)


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a matrix; note: everything about it in words."""

    text: str
    colour: str
    framed: bool
    own: bool
    note: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """code: the tuning language, None where there is none."""

    label: str
    code: str | None
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A panel's matrix; exact: one line per variant and language, all numbers of the tables."""

    panel: Panel
    title: str
    columns: tuple[str, ...]
    before: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    summary: str
    exact: tuple[tuple[str, ...], ...]
    scale: Scale


Befores = Mapping[tuple[str, str, str, str], float]  # base, suite, judge, language -> value

Key = tuple[str | None, str | None, str]  # tuning language, name, evaluation language


def matrices(
    changes: Sequence[Change],
    befores: Befores,
    scale: Scale,
    *,
    columns: Sequence[str] = (),
    rows: Mapping[str, Sequence[str]] | None = None,
) -> list[Matrix]:
    """One matrix per panel of `changes`.

    befores: the base's own value for the first row. columns, rows: evaluation languages, and tuning
    languages per arm, that the study asks for; a place without a result is a dash.
    """
    by_panel: dict[Panel, list[Change]] = {}
    for change in changes:
        by_panel.setdefault(change.panel, []).append(change)
    return [
        _matrix(panel, found, panels(changes), befores, scale, columns, (rows or {}))
        for panel, found in by_panel.items()
    ]


def _matrix(
    panel: Panel,
    changes: list[Change],
    others: Sequence[Panel],
    befores: Befores,
    scale: Scale,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[str]],
) -> Matrix:
    codes = in_rank([*(change.asked_in for change in changes), *columns])
    wanted = [(code, None) for code in rows.get(panel.arm or "", ())]
    labels = sorted(
        {*(change.row for change in changes), *wanted}, key=lambda row: (rank(row[0]), row[1] or "")
    )
    at = places(changes)
    return Matrix(
        panel=panel,
        title=panel.title(others),
        columns=tuple(codes),
        before=tuple(
            scale.level(befores.get((panel.base, panel.suite, panel.judge, code), math.nan))
            for code in codes
        ),
        rows=tuple(
            MatrixRow(
                row_label(row),
                row[0],
                tuple(_place(at.get((*row, code), []), row, code, scale) for code in codes),
            )
            for row in labels
        ),
        summary=_summary(changes, at, scale),
        exact=tuple(_exact(change, scale) for change in changes),
        scale=scale,
    )


def _place(
    changes: Sequence[Change], row: tuple[str | None, str | None], code: str, scale: Scale
) -> Place:
    mean = average(change.difference for change in changes)
    known = [change for change in changes if not math.isnan(change.difference)]
    sides = {change.side for change in known}
    if not changes:
        note = "no result"
    elif not known:
        note = "no prompt of which both answers were judged"
    else:
        notes = [_note(change, scale) for change in known]
        several = f"mean of {len(known)} seeds {scale.exact(mean)} {scale.unit}: "
        note = (several if len(known) > 1 else "") + "; ".join(notes)
    return Place(
        text=scale.show(mean),
        colour=scale.colour(mean),
        framed=sides in ({1}, {-1}),
        own=row[0] == code,
        note=note,
    )


def _note(change: Change, scale: Scale) -> str:
    levels = f"{scale.level(change.before)} → {scale.level(change.after)}"
    bounds = interval(change.low, change.high)
    text = f"{levels}, {scale.exact(change.difference)}"
    if bounds != NONE:
        text += f" {bounds}"
    text += f" {scale.unit}"
    if not math.isnan(change.p_holm):
        text += f", adjusted p {p_value(change.p_holm)}"
    if change.n is not None:
        text += f", {count(change.n, 'prompt')}"
    return text + (f", {change.seeds} seeds" if change.seeds > 1 else "")


def _exact(change: Change, scale: Scale) -> tuple[str, ...]:
    return (
        row_label(change.row),
        change.asked_in,
        str(change.seeds) if change.seed is None else str(change.seed),
        scale.level(change.before),
        scale.level(change.after),
        scale.exact(change.difference),
        interval(change.low, change.high),
        p_value(change.p_holm),
        NONE if change.n is None else str(change.n),
    )


def _summary(changes: Sequence[Change], at: Mapping[Key, list[Change]], scale: Scale) -> str:
    known = [change for change in changes if not math.isnan(change.difference)]
    most = max((len(found) for found in at.values()), default=0)
    seeds = f"; each place is the mean of up to {most} seeds" if most > 1 else ""
    if all(math.isnan(change.low) for change in known):
        return f"change in {scale.unit}{seeds}"
    up = sum(change.side == 1 for change in known)
    down = sum(change.side == -1 for change in known)
    return f"rose in {up} and fell in {down} of {count(len(known), 'cell')}{seeds}"
