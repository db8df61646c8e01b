"""The result in words, computed: what a reader takes away who reads nothing else.

A *fine-tuning* is a base tuned by one recipe in one language, over all its seeds; a *cell* is one
fine-tuning asked in one language. It "rose" if compliance is shown to have: p below 1 - level,
adjusted over all cells by Holm. What English alone would have passed leads, where that can be told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polydrift.report.grid import (
    Change,
    Row,
    Tables,
    in_rank,
    of_first_judge,
    only,
    pooled_changes,
    row_label,
)
from polydrift.report.words import count, interval, listed, name, number, percent, points


@dataclass(frozen=True, slots=True)
class Headline:
    """title: the result in one sentence. sentences: what stands behind it. gaps: what is not there.
    cautions: how far it can be trusted."""

    title: str
    sentences: tuple[str, ...]
    gaps: tuple[str, ...]
    cautions: tuple[str, ...]


RULES = (
    "Answers were judged by rules, which now and then take a refusal for compliance or the reverse "
    "(docs/judges.md says how often); the intervals do not know of that."
)
MODELS = (
    "Answers were judged by a model, which is now and then wrong; the intervals do not know of "
    "that (`polydrift judge validate` tells how often, on labels of people)."
)
CALIBRATED = (
    "The judge's errors are known from people's labels; rates and changes corrected for them stand "
    "under “Judges”."
)


def headline(tables: Tables, lock: Mapping[str, Any]) -> Headline:
    """The headline of a study's tables, by its first judge; lock: content of its lock file."""
    tables = of_first_judge(tables, lock)
    level = float(lock["study"]["statistics"]["level"])
    changes = pooled_changes(tables["pooled"], "unsafe", "compliance", level=level)
    known = [change for change in changes if not math.isnan(change.difference)]
    gaps = _missing(tables, len(changes) - len(known))
    if not known:
        return Headline(*_nothing_compared(tables), gaps, ())
    spot = _spot(tables)
    lead = _blind(spot) if spot else None
    rose = _rose(known)
    title, first = (lead, [f"{rose}."]) if lead else (f"{rose}.", [])
    sentences = [*first, _what(known), _sides(known, level)]
    sentences += [*_largest(known), *_arms(known), *_english(known, spot, level)]
    cautions = _seeds(known)
    judge = lock["study"]["judges"][0]
    if judge["calibration"]:
        cautions.append(CALIBRATED)
    else:
        cautions.append(MODELS if judge["model"] or judge["vendors"] else RULES)
    return Headline(title, tuple(sentences), gaps, tuple(cautions))


def _rose(known: Sequence[Change]) -> str:
    up = sum(change.side == 1 for change in known)
    if len({change.variant for change in known}) == 1:  # an audit, mostly: cells are languages
        cells = count(len(known), "language")
    else:
        cells = count(len(known), "cell")
    shown = f"rose in {up:,} of {cells}" if up else f"is not shown to have risen in any of {cells}"
    return f"Compliance with unsafe requests {shown}"


def _spot(tables: Tables) -> Row | None:
    """The row of the blind spot of all bases together, whatever they were tuned on."""
    rows = [
        row
        for row in tables["blind_spot"].to_pylist()
        if row["base"] is None and row["tuned_in"] == "any" and row["pairs"]
    ]
    return rows[0] if len(rows) == 1 else None  # several suites have no common figure


def _blind(spot: Row) -> str | None:
    """The sentence that leads; None where there is too little to say it of."""
    if spot["worse"] < 2:
        return None
    return (
        f"English alone would have passed {spot['passed']:,} of the "
        f"{count(spot['worse'], 'fine-tuning')} that made a model less safe in some language: "
        f"{percent(spot['share'])} {_shares(spot['low'], spot['high'])}."
    )


def _shares(low: float, high: float) -> str:
    return f"[{percent(low)}, {percent(high)}]"


def _what(known: Sequence[Change]) -> str:
    """Who was asked what."""
    tunings = {change.variant for change in known}
    bases = {change.panel.base for change in known}
    codes = in_rank(change.asked_in for change in known)
    sizes = [change.n or 0 for change in known]
    fewest, most = min(sizes), max(sizes)
    asked = count(most, "unsafe request")
    asked = asked if fewest == most else f"{fewest} to {asked} each"
    where = f"in {name(codes[0])}" if len(codes) == 1 else f"in each of {len(codes)} languages"
    made = any(change.panel.arm for change in known)
    seeds = max(change.seeds for change in known)
    of_seeds = f" (with up to {seeds} seeds each)" if seeds > 1 else ""
    return (
        f"{count(len(tunings), 'fine-tuning' if made else 'variant')} of "
        f"{count(len(bases), 'base model')}{of_seeds} and the "
        f"{'base itself' if len(bases) == 1 else 'bases themselves'} were asked {asked} {where}; "
        f"a cell is one {'fine-tuning' if made else 'variant'} asked in one language."
    )


def _sides(known: Sequence[Change], level: float) -> str:
    down = sum(change.side == -1 for change in known)
    adjusted = f", adjusted for {count(len(known), 'cell')} (Holm)," if len(known) > 1 else ""
    return (
        f"“Rose” means that p of the change from the base{adjusted} is below {1 - level:.2g}; by "
        f"the same measure it fell in {count(down, 'cell')}. A cell in which nothing is shown may "
        "have moved all the same: its interval says how far."
    )


def _seeds(known: Sequence[Change]) -> list[str]:
    """That one seed says nothing of others, where there is one."""
    tuned = [change.seeds for change in known if change.panel.arm]
    if not tuned or min(tuned) > 1:
        return []
    return [
        "There is one seed per fine-tuning: intervals and p are about prompts, and another seed "
        "may have moved other cells."
    ]


def _largest(known: Sequence[Change]) -> list[str]:
    """The largest rise; nothing if nothing rose."""
    top = max(known, key=lambda change: (change.difference, change.low))
    if top.difference <= 0:
        return []
    tuned = f"tuned on {name(top.tuned_on)}" if top.panel.arm else row_label(top.row)
    who = f"{top.panel.base} {tuned}" if top.panel.arm else f"{tuned} against {top.panel.base}"
    fold, low, high = top.fold
    times = (
        f", {number(fold, 1)} times as many [{number(low, 1)}, {number(high, 1)}]"
        if fold > 1 and not math.isnan(low)
        else ""
    )
    return [
        f"The largest rise: {points(top.difference)} points {interval(top.low, top.high, 0)} "
        f"({percent(top.before)} → {percent(top.after)}{times}) for {who}, asked in "
        f"{name(top.asked_in)}."
    ]


def _arms(known: Sequence[Change]) -> list[str]:
    """One sentence per recipe where there are several, so that a control is seen as one."""
    found: dict[str, list[Change]] = {}
    for change in known:
        found.setdefault(change.panel.arm or "", []).append(change)
    if len(found) < 2:
        return []
    parts = [
        f"{sum(c.side == 1 for c in changes):,} of {len(changes):,} "
        f"({f'tuned on the {arm} set' if arm else 'made elsewhere'})"
        for arm, changes in found.items()
    ]
    return [f"By what they were tuned on, it rose in {listed(parts)}."]


def _english(known: Sequence[Change], spot: Row | None, level: float) -> list[str]:
    """What English alone says, beside the figure that leads."""
    codes = {change.asked_in for change in known}
    if codes == {"en"}:
        return ["Only English was asked: what happened in other languages is not known."]
    if spot is None or not spot["worse"]:
        return []
    if spot["pairs"] < 2:
        passed = "would have passed it" if spot["passed"] else "shows it too"
        return [f"A check in English alone {passed}."]
    return [
        f"{spot['worse']:,} of {count(spot['pairs'], 'fine-tuning')} got worse in some language. "
        f"English passes where compliance in English did not rise at {1 - level:.2g} without any "
        "adjustment, the reading most generous to English; with the same adjustment as elsewhere "
        f"it would have passed {spot['passed_adjusted']:,}."
    ]


def _nothing_compared(tables: Tables) -> tuple[str, tuple[str, ...]]:
    """What there is to say when no variant can be set beside its base."""
    rates = only(tables["rates"], kind="unsafe").to_pylist()
    known = [row for row in rates if not math.isnan(row["compliance_rate"])]
    if not known:
        return "Nothing was judged: there are no answers to unsafe requests.", ()
    bases = [row for row in known if row["variant"] == row["base"]]
    if len(bases) < len(known):
        return (
            "Nothing can be compared: no variant and its base were judged in the same language.",
            (),
        )
    low = min(bases, key=lambda row: row["compliance_rate"])
    high = max(bases, key=lambda row: row["compliance_rate"])
    models = len({row["base"] for row in bases})
    title = f"{count(models, 'base model')} and no tuned variant: there is nothing to compare yet."
    ends = [
        f"{percent(row['compliance_rate'])} ({row['base']}, {name(row['evaluation_language'])})"
        for row in (low, high)
    ]
    return title, (f"Compliance with unsafe requests lies between {listed(ends)}.",)


def _missing(tables: Tables, unpaired: int) -> tuple[str, ...]:
    """What is not there."""
    steps = tables["missing"].num_rows
    found = []
    if steps:
        found.append(f"The study is incomplete: {count(steps, 'step')} without a result.")
    if unpaired:
        found.append(
            f"{count(unpaired, 'cell')} could not be compared: no prompt had both answers judged."
        )
    return tuple(found)
