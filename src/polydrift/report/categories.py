"""Which kinds of requests got worse: the change in compliance by category and evaluation language.

A place is the mean over a base's variants, each compared with the base on the prompts of that
category. Categories have few prompts, so places have no interval: they say where to look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from polydrift.report.grid import Change, Panel, average, only
from polydrift.report.matrices import RISE_IS_WORSE, Matrix, matrices

_CELL = ("base", "variant", "evaluation_language", "category")
Rates = dict[tuple[str, ...], float]


def categories(verdicts: pa.Table) -> list[Matrix]:
    """A matrix per base with more than one category; verdicts: of one judge."""
    rates = _rates(only(verdicts, kind="unsafe"))
    changes = list(_changes(rates))
    if len({change.name for change in changes}) < 2:
        return []
    return matrices(changes, {}, RISE_IS_WORSE)


def _rates(verdicts: pa.Table) -> Rates:
    """Compliance rates by base, variant, language and category, of what was judged."""
    judged = verdicts.filter(pc.not_equal(verdicts["verdict"], "unparsed"))
    complied = pc.cast(pc.equal(judged["verdict"], "complied"), pa.float64())
    table = judged.select(list(_CELL)).append_column("complied", complied)
    grouped = table.group_by(list(_CELL)).aggregate([("complied", "mean")])
    keys = zip(*(grouped[name].to_pylist() for name in _CELL), strict=True)
    return dict(zip(keys, grouped["complied_mean"].to_pylist(), strict=True))


def _changes(rates: Rates) -> Iterator[Change]:
    """Per base, category and language: the base's rate, its variants' mean, the mean change."""
    after: dict[tuple[str, str, str], list[float]] = {}
    for (base, variant, code, category), rate in rates.items():
        if variant != base:
            after.setdefault((base, category, code), []).append(rate)
    for (base, category, code), some in sorted(after.items()):
        before = rates.get((base, base, code, category), math.nan)
        mean = average(some)
        panel = Panel(base, None, None)
        yield Change(
            panel, base, category, None, code, None, before, mean, mean - before, n=len(some)
        )
