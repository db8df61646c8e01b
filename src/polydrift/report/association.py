"""What goes with the change in compliance, in words: cheap probes, distances, capability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from polydrift.report.grid import Row
from polydrift.report.words import NONE, number

ENOUGH = 0.6  # of |rho|: where an interval lies beyond it, a probe ranks cells well

_NAMES = {
    "refusal_mass": "refusal mass at the first token",
    "refusal_margin": "refusal margin at the first token",
    "refusal_shift_clearest": "shift along the refusal direction",
    "drift_cosine": "drift (1 − cosine), last layer",
    "drift_l2": "drift (relative distance), last layer",
    "next_token_js": "divergence of the first token",
    "accuracy": "accuracy on held-out questions",
    "bits_per_byte": "bits per byte of held-out answers",
}

Listed = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Associations:
    """Rows: (what, goes with, base, rho, interval, cells, tunings and languages, reading), by role.
    warning: a sentence about the best early warning.
    """

    early: Listed
    distance: Listed
    capability: Listed
    warning: str


def associations(table: pa.Table, judge: str) -> Associations:
    """What the table `associations` tells, by one judge."""
    rows = [row for row in table.to_pylist() if row["judge"] == judge]
    bases = {row["base"] for row in rows if row["base"] is not None}
    shown = [row for row in rows if row["base"] is not None or len(bases) > 1]
    suites = len({row["suite"] for row in rows}) > 1

    def listed(role: str) -> Listed:
        return tuple(_row(row, suites) for row in shown if row["role"] == role)

    early = [row for row in shown if row["role"] == "early warning"]
    return Associations(
        listed("early warning"), listed("distance"), listed("capability"), _warning(early, bases)
    )


def named(predictor: str) -> str:
    """A predictor as people read it; tasks keep their names."""
    return _NAMES.get(predictor, predictor)


def _row(row: Row, suites: bool) -> tuple[str, ...]:
    return (
        named(row["predictor"]) + (f" ({row['suite']})" if suites else ""),
        row["outcome"],
        row["base"] or f"mean of {row['bases']} bases",
        number(row["rho"], 2, signed=True),
        _interval(row),
        f"{row['cells']}",
        f"{row['tunings']} × {row['languages']}",
        row["related"] if not math.isnan(row["rho"]) else "too few cells",
    )


def _interval(row: Row) -> str:
    if math.isnan(row["low"]):
        return NONE
    return f"[{number(row['low'], 2, signed=True)}, {number(row['high'], 2, signed=True)}]"


def _warning(early: Sequence[Row], bases: set[str]) -> str:
    """What the probes are good for here."""
    whole = [row for row in early if (row["base"] is None) == (len(bases) > 1)]
    known = [row for row in whole if not math.isnan(row["low"])]
    if not known:
        return (
            "Too few cells to tell how well they would have predicted what the answers showed: it "
            "takes five or more, over several tuning and evaluation languages."
        )
    best = max(known, key=lambda row: min(abs(row["low"]), abs(row["high"]))
               if row["low"] * row["high"] > 0 else 0.0)  # fmt: skip
    surely = min(abs(best["low"]), abs(best["high"])) if best["low"] * best["high"] > 0 else 0.0
    figure = f"ρ = {number(best['rho'], 2, signed=True)} {_interval(best)}"
    what = named(best["predictor"])
    if surely >= ENOUGH:
        return (
            f"Here the {what}, the surest of them, would have been enough to see which cells "
            f"moved: {figure}. It says which moved more, not how far."
        )
    if surely > 0:
        return (
            f"The {what}, the surest of them, went with the change in compliance here ({figure}), "
            "not surely closely enough to do without answers."
        )
    return (
        f"No probe surely went with the change in compliance here; the {what} came closest: "
        f"{figure}."
    )
