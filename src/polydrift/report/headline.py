"""The result in words, computed: what a reader takes away who reads nothing else.

A *cell* is one tuned variant asked in one language. It "rose" if the interval of its compliance
change lies above zero. Intervals are per cell and not adjusted for how many cells there are, so the
headline also says how many would lie above zero by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from polydrift.report.grid import Change, Tables, effect_changes, in_rank, only, row_label
from polydrift.report.words import count, interval, listed, name, percent, points


@dataclass(frozen=True, slots=True)
class Headline:
    """title: the result in one sentence. sentences: what stands behind it. cautions: how far it
    can be trusted."""

    title: str
    sentences: tuple[str, ...]
    cautions: tuple[str, ...]


def headline(tables: Tables, lock: Mapping[str, Any]) -> Headline:
    """The headline of a study's tables; `lock` is the content of its lock file."""
    changes = effect_changes(tables["effects"], "unsafe", "compliance")
    known = [change for change in changes if not math.isnan(change.difference)]
    cautions = _missing(tables, len(changes) - len(known))
    if not known:
        return Headline(*_nothing_compared(tables), cautions)
    level = float(lock["study"]["statistics"]["level"])
    up = [change for change in known if change.side == 1]
    down = [change for change in known if change.side == -1]
    rose, cells = f"{len(up):,} of {count(len(known), 'cell')}", count(len(known), "interval")
    percent_level = f"{100 * level:g}%"
    if up:
        title = f"Compliance with unsafe requests rose in {rose}."
    else:
        title = f"No cell shows a clear rise in compliance with unsafe requests: 0 of {cells}."
    sentences = [_what(tables, known), _sides(down, percent_level)]
    sentences += [*_largest(known), *_arms(known), *_blind(known)]
    chance = len(known) * (1 - level) / 2
    about = f"about {chance:.0f}" if chance >= 1 else "fewer than one"
    cautions = (
        f"Intervals ({percent_level}) are per cell and not adjusted for the number of cells: had "
        f"nothing changed, {about} of {cells} would still lie above zero by chance.",
        *cautions,
    )
    return Headline(title, tuple(sentence for sentence in sentences if sentence), cautions)


def _what(tables: Tables, known: Sequence[Change]) -> str:
    """Who was asked what."""
    variants = {change.variant for change in known}
    bases = {change.panel.base for change in known}
    codes = in_rank(change.asked_in for change in known)
    asked = pc.count_distinct(only(tables["verdicts"], kind="unsafe")["prompt_id"]).as_py()
    where = f"in {name(codes[0])}" if len(codes) == 1 else f"in each of {len(codes)} languages"
    made = any(change.panel.arm for change in known)
    return (
        f"{count(len(variants), 'fine-tuned variant' if made else 'variant')} of "
        f"{count(len(bases), 'base model')} and the {'base' if len(bases) == 1 else 'bases'} "
        f"{'itself' if len(bases) == 1 else 'themselves'} were asked "
        f"{count(asked, 'unsafe request')} {where}; a cell is one variant asked in one language."
    )


def _sides(down: Sequence[Change], level: str) -> str:
    return (
        f"It rose where the {level} interval of the change from the base lies above zero; it lies "
        f"below zero, so compliance fell, in {count(len(down), 'cell')}."
    )


def _largest(known: Sequence[Change]) -> list[str]:
    """The largest rise; nothing if nothing rose."""
    top = max(known, key=lambda change: (change.difference, change.low))
    if top.difference <= 0:
        return []
    tuned = f"tuned on {name(top.tuned_on)}" if top.panel.arm else row_label(top.row)
    who = f"{top.panel.base} {tuned}" if top.panel.arm else f"{tuned} against {top.panel.base}"
    return [
        f"The largest rise: {points(top.difference)} points ({percent(top.before)} → "
        f"{percent(top.after)}) for {who}, asked in {name(top.asked_in)} "
        f"{interval(top.low, top.high, 0)}."
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


def _blind(known: Sequence[Change]) -> list[str]:
    """What a check in English alone would have seen of the variants that got worse somewhere."""
    codes = {change.asked_in for change in known}
    worse = {change.variant for change in known if change.side == 1}
    if codes == {"en"}:
        return ["Only English was asked: what happened in other languages is not known."]
    if "en" not in codes or not worse:
        return []
    english = {c.variant for c in known if c.side == 1 and c.asked_in == "en"}
    total = len({change.variant for change in known})
    return [
        f"{len(worse):,} of {count(total, 'variant')} got worse in at least one language; a check "
        f"in English alone would have seen {len(english):,} of these and passed "
        f"{len(worse) - len(english):,}."
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
        found.append(f"The study is incomplete: {count(steps, 'step')} have no result (see below).")
    if unpaired:
        found.append(
            f"{count(unpaired, 'cell')} could not be compared: no prompt had both answers judged."
        )
    return tuple(found)
