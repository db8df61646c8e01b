"""What is compared with what: the tables' rows sorted into panels, rows and columns.

A *panel* is one base and one way of tuning it (recipe and epochs) under one suite and judge: a
matrix of the page. Its rows are tuning languages, its columns evaluation languages. What answers
showed is one `Change` a place, over all seeds (`pooled_changes`); what was measured besides is one
per seed. Variants made elsewhere have no recipe of ours: those of one base share a panel, a row
each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from polydrift.languages import LANGUAGES
from polydrift.report.words import count, name

Tables = Mapping[str, pa.Table]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """What a matrix is about; arm and epochs are None for variants made elsewhere."""

    base: str
    arm: str | None
    epochs: int | None
    suite: str = ""
    judge: str = ""

    def title(self, others: Iterable[Panel]) -> str:
        """The base, and of the rest what tells this panel from the others."""
        parts = [self.base]
        others = list(others)
        if len({(panel.arm, panel.epochs) for panel in others}) > 1 or self.arm:
            parts.append(
                f"{self.arm}, {count(self.epochs or 0, 'epoch')}" if self.arm else "as given"
            )
        for field in ("suite", "judge"):
            if len({getattr(panel, field) for panel in others}) > 1:
                parts.append(getattr(self, field))
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class Change:
    """What one variant changed in one language, in shares or in the measure's unit.

    name: of a variant made elsewhere, else None. low, high: NaN where there is no interval.
    n: prompts compared, None for measures. p_holm: of the table `effects` or `pooled`. seeds: how
    many it is over. side: 1 if it is shown to have risen, -1 fallen, 0 neither.
    """

    panel: Panel
    variant: str
    name: str | None
    tuned_on: str | None
    asked_in: str
    seed: int | None
    before: float
    after: float
    difference: float
    low: float = math.nan
    high: float = math.nan
    n: int | None = None
    p_holm: float = math.nan
    seeds: int = 1
    side: int = 0
    fold: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    @property
    def row(self) -> tuple[str | None, str | None]:
        """The row of the panel's matrix that this belongs to."""
        return self.tuned_on, self.name

    @property
    def own(self) -> bool:
        """Whether it was asked in the language it was tuned on."""
        return self.tuned_on == self.asked_in


def only(table: pa.Table, **wanted: str) -> pa.Table:
    """The rows of a table in which each named column has the given value."""
    for column, value in wanted.items():
        table = table.filter(pc.equal(table[column], value))
    return table


def of_first_judge(tables: Tables, lock: Mapping[str, Any]) -> Tables:
    """The tables without the verdicts of all judges but the study's first: one answer counts once.

    lock: the content of study.lock.json.
    """
    first = lock["study"]["judges"][0]["name"]
    judged = (
        *("verdicts", "rates", "effects", "pooled", "blind_spot", "tipping"),
        *("heterogeneity", "corrected"),
    )
    return {**tables, **{name: only(tables[name], judge=first) for name in judged}}


def effect_changes(
    effects: pa.Table, kind: str, outcome: str, *, level: float = 0.95
) -> list[Change]:
    """The changes of one kind and outcome in the table `effects`, one per variant and language,
    panels and languages in order. level: 1 - level is what the adjusted p is held against.
    """
    rows = only(effects, kind=kind, outcome=outcome).to_pylist()
    return _sorted(_answered(row, level) for row in rows)


def pooled_changes(
    pooled: pa.Table, kind: str, outcome: str, *, level: float = 0.95
) -> list[Change]:
    """The same of the table `pooled`: one per tuning and language, over its seeds."""
    rows = only(pooled, kind=kind, outcome=outcome).to_pylist()
    return _sorted(
        _answered({**row, "variant": _tuning(row), "tuning_seed": None}, level) for row in rows
    )


def _tuning(row: Row) -> str:
    """What identifies a tuning of a base, whatever the seed."""
    parts = (row["base"], row["arm"], row["tuning_language"], row["epochs"])
    return "+".join(str(part) for part in parts if part is not None)


def _answered(row: Row, level: float) -> Change:
    shown = row["p_holm"] < 1 - level  # false for NaN
    return _change(
        row,
        Panel(row["base"], *_recipe(row), row["suite"], row["judge"]),
        row["base_rate"],
        row["variant_rate"],
        row["difference"],
        low=row["low"],
        high=row["high"],
        n=row["prompts"],
        p_holm=row["p_holm"],
        seeds=row.get("seeds", 1),
        side=((row["difference"] > 0) - (row["difference"] < 0)) if shown else 0,
        fold=(row["fold"], row["fold_low"], row["fold_high"]),
    )


def measure_changes(measures: pa.Table, measure: str) -> list[Change]:
    """What each variant changed against its base in one measure without layers."""
    rows = only(measures, measure=measure).to_pylist()
    bases = {
        (row["base"], row["evaluation_language"]): row["value"]
        for row in rows
        if row["variant"] == row["base"]
    }
    return _sorted(
        _change(row, panel_of(row), before, row["value"], row["value"] - before)
        for row in rows
        if row["variant"] != row["base"]
        and (before := bases.get((row["base"], row["evaluation_language"]))) is not None
    )


def measure_values(measures: pa.Table, measure: str) -> list[Change]:
    """What a measure that compares a variant with its base says of each: a change from nothing."""
    return _sorted(
        _change(row, panel_of(row), math.nan, row["value"], row["value"])
        for row in only(measures, measure=measure).to_pylist()
        if row["variant"] != row["base"]
    )


def panel_of(row: Row) -> Panel:
    """The panel of a variant, whatever it is asked."""
    return Panel(row["base"], *_recipe(row))


def panels(changes: Iterable[Change]) -> list[Panel]:
    """The panels of some changes, in their order."""
    return list(dict.fromkeys(change.panel for change in changes))


def places(changes: Iterable[Change]) -> dict[tuple[str | None, str | None, str], list[Change]]:
    """The changes of a panel by tuning language, name and evaluation language: one per seed."""
    found: dict[tuple[str | None, str | None, str], list[Change]] = {}
    for change in changes:
        found.setdefault((*change.row, change.asked_in), []).append(change)
    return found


def average(values: Iterable[float]) -> float:
    """The mean of what is known; NaN if nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def row_label(row: tuple[str | None, str | None]) -> str:
    """How a row of a matrix is called."""
    code, given = row
    if given is None:
        return name(code)
    return f"{given} ({name(code)})" if code else given


def rank(code: str | None) -> tuple[int, str]:
    """Sorts languages as the paper does, others after them."""
    order = list(LANGUAGES)
    return (order.index(code) if code in LANGUAGES else len(order), code or "")


def in_rank(codes: Iterable[str]) -> list[str]:
    """Language codes without repeats, in order."""
    return sorted(set(codes), key=rank)


def _recipe(row: Row) -> tuple[str | None, int | None]:
    return (row["arm"], row["epochs"]) if row["epochs"] is not None else (None, None)


def _change(
    row: Row,
    panel: Panel,
    before: float,
    after: float,
    difference: float,
    **rest: Any,
) -> Change:
    return Change(
        panel,
        row["variant"],
        None if panel.arm else row["arm"],
        row["tuning_language"],
        row["evaluation_language"],
        row["tuning_seed"],
        before,
        after,
        difference,
        **rest,
    )


def _sorted(changes: Iterable[Change]) -> list[Change]:
    def key(change: Change) -> tuple[Any, ...]:
        panel = change.panel
        return (
            *(panel.base, panel.arm or "\uffff", panel.epochs or 0, panel.suite, panel.judge),
            *(rank(change.tuned_on), change.name or "", rank(change.asked_in), change.seed or 0),
            change.variant,
        )

    return sorted(changes, key=key)
