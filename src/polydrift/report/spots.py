"""Blind spots, regions of tipping, and where differences come from, as rows in words."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from polydrift.report.grid import Panel, Row, panel_of
from polydrift.report.words import NONE, number, p_value, percent

Listed = tuple[tuple[str, ...], ...]

_ORDER = (
    "exaggerated compliance",
    "exaggerated refusal",
    "worse on both",
    "better calibrated",
    "unchanged",
    "cannot tell",
)


def blind_spots(table: pa.Table) -> Listed:
    """(base, fine-tunings, got worse, passed, share, interval, passed if adjusted), all last."""
    rows = [row for row in table.to_pylist() if row["tuned_in"] == "any" and row["pairs"]]
    suites = len({row["suite"] for row in rows}) > 1
    bases = {row["base"] for row in rows if row["base"] is not None}
    shown = [row for row in rows if row["base"] is not None or len(bases) > 1]
    return tuple(_spot(row, suites) for row in sorted(shown, key=lambda row: row["base"] is None))


def _spot(row: Row, suites: bool) -> tuple[str, ...]:
    known = row["worse"] > 0
    return (
        (row["base"] or "all") + (f" ({row['suite']})" if suites else ""),
        f"{row['pairs']:,}",
        f"{row['worse']:,}",
        f"{row['passed']:,}",
        percent(row["share"]),
        f"{percent(row['low'])} to {percent(row['high'])}" if known else NONE,
        f"{row['passed_adjusted']:,}",
    )


def regions(table: pa.Table) -> tuple[tuple[str, ...], Listed]:
    """(heads, rows): of each way of tuning how many cells lie in each region."""
    found: dict[Panel, Counter[str]] = {}
    for row in table.to_pylist():
        found.setdefault(panel_of(row), Counter())[row["region"]] += 1
    seen = [region for region in _ORDER if any(counts[region] for counts in found.values())]
    shown = sorted(found, key=lambda p: (p.base, p.arm or "\uffff", p.epochs or 0))
    rows = tuple(
        (panel.title(shown), *(f"{found[panel][region]:,}" for region in seen)) for panel in shown
    )
    return ("base and recipe", *seen), rows


_SOURCES = {
    "tuning language": "the tuning language",
    "evaluation language": "the language asked in",
    "tuning language x evaluation language": "both together",
    "own language": "of that: being asked in the tuning language",
    "seed": "the seed",
    "prompt": "the prompt",
    "prompt x evaluation language": "the prompt in that language",
    "residual": "the rest",
}


def sources_of_difference(table: pa.Table) -> Listed:
    """(base, source, share of the variance, standard deviation in points, interval, p, I²)."""
    rows = [row for row in table.to_pylist() if row["scale"] == "probability"]
    known = [row for row in rows if row["source"] in _SOURCES and row["base"] is not None]
    order = {name: place for place, name in enumerate(_SOURCES)}
    recipes = len({(row["arm"], row["epochs"]) for row in known}) > 1
    known.sort(key=lambda row: (row["base"], row["arm"] or "", row["epochs"] or 0,
                                order[row["source"]]))  # fmt: skip
    return tuple(
        (
            row["base"] + (f" · {row['arm']}, {row['epochs']}" if recipes else ""),
            _SOURCES[row["source"]],
            percent(row["share"]),
            number(100 * row["sd"], 1),
            f"{number(100 * row['sd_low'], 1)} to {number(100 * row['sd_high'], 1)}"
            if row["sd_low"] == row["sd_low"]
            else NONE,
            p_value(row["p"]),
            percent(row["i2"]),
        )
        for row in known
        if row["sd"] == row["sd"]
    )
