"""What the variants can still do, and whose answers are preferred, as plain data for the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from polydrift.report.figures import COMPLIANCE, Figure, Side, scatter
from polydrift.report.grid import (
    Change,
    Panel,
    Row,
    average,
    effect_changes,
    measure_changes,
    panel_of,
    rank,
    row_label,
)
from polydrift.report.words import NONE, interval, name, number, percent, points
from polydrift.stats.estimates import METRIC

ALL = "all languages"
_FIGURES = 6  # benchmarks with a figure of their own; all are in the list
_SHARES = ("acc", "acc_norm", "exact_match", "em", "f1", "acc_mutual_info", METRIC)

Listed = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Capability:
    """figures: (what, figures). tasks: (base, task, asked in, metric, questions, untuned, mean
    change, largest fall, its interval and variant, largest rise, its interval and variant).
    preferences: (variants, benchmark, asked in, judge, win rate, at equal length, lowest, its
    interval and variant, judged, first shown preferred, same both ways).
    """

    figures: tuple[tuple[str, tuple[Figure, ...]], ...]
    tasks: Listed
    preferences: Listed


def capability(
    effects: pa.Table, measures: pa.Table, figures: pa.Table, changes: pa.Table, wins: pa.Table
) -> Capability:
    """What the tables tell; figures: `capability`, changes: `capability_effects`, wins:
    `win_rates`.
    """
    return Capability(
        figures=tuple(_figures(effects, measures, changes)),
        tasks=tuple(_tasks(figures.to_pylist(), changes.to_pylist())),
        preferences=tuple(_preferences(wins.to_pylist())),
    )


def _figures(
    effects: pa.Table, measures: pa.Table, changes: pa.Table
) -> Iterable[tuple[str, tuple[Figure, ...]]]:
    """Compliance change (x) against capability change (y): held-out pairs, then benchmarks."""
    across = effect_changes(effects, "unsafe", "compliance")
    accuracy = scatter(
        across,
        measure_changes(measures, "accuracy"),
        COMPLIANCE,
        Side("accuracy, change in points", "accuracy"),
    )
    if accuracy:
        yield "Held-out harmless questions", tuple(accuracy)
    by_benchmark: dict[str, list[Row]] = {}
    for row in changes.to_pylist():
        by_benchmark.setdefault(_task(row), []).append(row)
    for what, rows in list(by_benchmark.items())[:_FIGURES]:
        spoken = rows[0]["evaluation_language"] is not None
        share = rows[0]["metric"] in _SHARES
        side = Side(
            f"{rows[0]['metric']}, change" + (" in points" if share else ""),
            rows[0]["metric"],
            100.0 if share else 1.0,
            (lambda value: points(value, 1))
            if share
            else (lambda value: number(value, 3, signed=True)),
        )
        drawn = scatter(
            across if spoken else _over_languages(across),
            [_change(row) for row in rows],
            COMPLIANCE if spoken else replace(COMPLIANCE, label=_MEAN),
            side,
        )
        if drawn:
            yield what, tuple(drawn)


_MEAN = "compliance, mean change over languages, points"


def _task(row: Row) -> str:
    """A benchmark by language is one thing; else its tasks are."""
    if row["evaluation_language"] is not None or row["benchmark"] == row["task"]:
        return str(row["benchmark"])
    return f"{row['benchmark']}: {row['task']}"


def _change(row: Row) -> Change:
    panel = panel_of(row)
    return Change(
        panel,
        row["variant"],
        None if panel.arm else row["arm"],
        row["tuning_language"],
        row["evaluation_language"] or ALL,
        row["tuning_seed"],
        row["base_value"],
        row["variant_value"],
        row["difference"],
        row["low"],
        row["high"],
    )


def _over_languages(changes: Iterable[Change]) -> list[Change]:
    """One change per variant: the mean over evaluation languages."""
    found: dict[tuple[Panel, str], list[Change]] = {}
    for change in changes:
        found.setdefault((change.panel, change.variant), []).append(change)
    return [
        replace(some[0], asked_in=ALL, difference=average(one.difference for one in some))
        for some in found.values()
    ]


def _tasks(figures: Sequence[Row], changes: Sequence[Row]) -> list[tuple[str, ...]]:
    """A row per base, task, language and metric that is the main one, or estimated."""
    by_place: dict[tuple[str, ...], list[Row]] = {}
    for row in changes:
        by_place.setdefault(_place(row), []).append(row)
    listed = []
    tuned: dict[tuple[str, ...], list[float]] = {}
    for row in figures:
        if row["variant"] != row["base"]:
            tuned.setdefault((*_place(row), row["metric"]), []).append(row["value"])
    for row in figures:
        shown = row["variant"] == row["base"] and (row["main"] or row["metric"] == METRIC)
        if not shown:
            continue
        share = row["metric"] in _SHARES
        found = sorted(by_place.get(_place(row), []) if row["main"] else [], key=_difference)
        known = [one for one in found if not math.isnan(one["difference"])]
        values = tuned.get((*_place(row), row["metric"]), [])
        listed.append(
            (
                row["base"],
                _task(row),
                name(row["evaluation_language"]) if row["evaluation_language"] else NONE,
                _metric(row),
                f"{row['n']:,}",
                percent(row["value"], 1) if share else number(row["value"], 3),
                _shown(average(values) - row["value"] if values else math.nan, share),
                *_extreme(known, 0, share),
                *_extreme(known, -1, share),
            )
        )
    order = {row: i for i, row in enumerate(dict.fromkeys(row[0] for row in listed))}
    return sorted(listed, key=lambda row: (order[row[0]], row[1]))


def _metric(row: Row) -> str:
    if row["metric"] != METRIC:
        return str(row["metric"])
    error = f", its own error {percent(row['stderr'], 1)}" if not math.isnan(row["stderr"]) else ""
    return f"gp-IRT{error}"


def _place(row: Row) -> tuple[str, ...]:
    return row["base"], row["benchmark"], row["task"], row["evaluation_language"] or ""


def _difference(row: Row) -> float:
    value = float(row["difference"])
    return math.inf if math.isnan(value) else value


def _extreme(rows: Sequence[Row], at: int, share: bool) -> tuple[str, str]:
    """(the first or last of sorted changes, its interval and variant)."""
    if not rows:
        return NONE, ""
    row = rows[at]
    known = not math.isnan(row["low"])
    bounds = (
        interval(row["low"], row["high"])
        if share
        else f"[{number(row['low'], 3, signed=True)}, {number(row['high'], 3, signed=True)}]"
    )
    words = f"{bounds if known else ''} {_variant(row)}".strip()
    return _shown(row["difference"], share), words


def _variant(row: Row) -> str:
    panel = panel_of(row)
    return row_label((row["tuning_language"], None if panel.arm else row["arm"]))


def _shown(value: float, share: bool) -> str:
    return points(value, 1) if share else number(value, 3, signed=True)


def _preferences(wins: Sequence[Row]) -> list[tuple[str, ...]]:
    """A row per way of tuning, benchmark, language and judge."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    panels: list[Panel] = list(
        dict.fromkeys(panel_of(row) for row in wins if row["variant"] != row["base"])
    )
    for row in wins:
        untuned = row["variant"] == row["base"]
        title = f"{row['base']}, untuned" if untuned else panel_of(row).title(panels)
        key = (title, row["benchmark"], row["evaluation_language"], row["judge"])
        groups.setdefault(key, []).append(row)
    listed = []
    for (title, benchmark, code, judge), rows in groups.items():
        known = [row for row in rows if not math.isnan(row["win_rate"])]
        lowest = min(known, key=lambda row: float(row["win_rate"])) if known else None
        judged, total = (
            sum(row["judged"] for row in rows),
            sum(row["judged"] + row["unjudged"] for row in rows),
        )
        listed.append(
            (
                title,
                benchmark,
                name(code),
                judge,
                _percent(average(row["win_rate"] for row in rows)),
                _percent(average(row["controlled"] for row in rows)),
                _percent(lowest["win_rate"]) if lowest else NONE,
                f"{_percent(lowest['low'])} to {_percent(lowest['high'])} {_variant(lowest)}"
                if lowest
                else "",
                f"{judged:,} of {total:,}",
                percent(0.5 + average(row["position_bias"] for row in rows)),
                percent(average(row["consistent"] for row in rows)),
            )
        )
    return sorted(listed, key=lambda row: (row[1], row[0], rank(row[2])))


def _percent(value: float) -> str:
    return percent(value / 100, 1)
