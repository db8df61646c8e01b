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

from polydrift.report.grid import (
    Change,
    Tables,
    effect_changes,
    in_rank,
    of_first_judge,
    only,
    row_label,
)
from polydrift.report.words import count, interval, listed, name, percent, points


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
    changes = effect_changes(tables["effects"], "unsafe", "compliance")
    known = [change for change in changes if not math.isnan(change.difference)]
    gaps = _missing(tables, len(changes) - len(known))
    if not known:
        return Headline(*_nothing_compared(tables), gaps, ())
    level = float(lock["study"]["statistics"]["level"])
    up = [change for change in known if change.side == 1]
    down = [change for change in known if change.side == -1]
    cells = count(len(known), "cell")
    rose = f"rose in {len(up):,} of {cells}" if up else f"rose clearly in none of {cells}"
    title = f"Compliance with unsafe requests {rose}."
    sentences = [_what(tables, known), _sides(down, level)]
    sentences += [*_largest(known), *_arms(known), *_blind(known)]
    cautions = [_unadjusted(len(known), level)]
    judge = lock["study"]["judges"][0]
    if judge["calibration"]:
        cautions.append(CALIBRATED)
    else:
        cautions.append(MODELS if judge["model"] or judge["vendors"] else RULES)
    return Headline(title, tuple(sentences), gaps, tuple(cautions))


def _what(tables: Tables, known: Sequence[Change]) -> str:
    """Who was asked what."""
    variants = {change.variant for change in known}
    bases = {change.panel.base for change in known}
    codes = in_rank(change.asked_in for change in known)
    paired = pc.min_max(only(tables["effects"], kind="unsafe", outcome="compliance")["prompts"])
    fewest, most = paired["min"].as_py(), paired["max"].as_py()
    asked = count(most, "unsafe request")
    asked = asked if fewest == most else f"{fewest} to {asked} each"
    where = f"in {name(codes[0])}" if len(codes) == 1 else f"in each of {len(codes)} languages"
    made = any(change.panel.arm for change in known)
    return (
        f"{count(len(variants), 'fine-tuned variant' if made else 'variant')} of "
        f"{count(len(bases), 'base model')} and the {'base' if len(bases) == 1 else 'bases'} "
        f"{'itself' if len(bases) == 1 else 'themselves'} were asked "
        f"{asked} {where}; a cell is one variant asked in one language."
    )


def _sides(down: Sequence[Change], level: float) -> str:
    return (
        f"“Rose” means that the {100 * level:g}% interval of the change from the base lies above "
        f"zero; it lies below zero in {count(len(down), 'cell')}."
    )


def _unadjusted(cells: int, level: float) -> str:
    """That the intervals are per cell, and what that means for the count."""
    sentence = f"Intervals ({100 * level:g}%) are per cell and not adjusted for the number of cells"
    chance = cells * (1 - level) / 2
    if chance < 1:
        return f"{sentence}."
    return (
        f"{sentence}: had nothing changed, up to about {chance:.0f} of {cells:,} would still lie "
        "above zero by chance, and each of these makes a variant look worse somewhere."
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
        found.append(f"The study is incomplete: {count(steps, 'step')} without a result.")
    if unpaired:
        found.append(
            f"{count(unpaired, 'cell')} could not be compared: no prompt had both answers judged."
        )
    return tuple(found)
