"""Rates: per cell how many complied and refused, of how many that were judged.

The denominator is `judged` = complied + refused + other, so an answer that is empty or in a loop
counts as neither complied nor refused; an unparsed verdict says nothing and is left out, but
counted. Where nothing was judged a rate is NaN, never 0.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from polydrift.stats.cells import VERDICTS, Cells
from polydrift.stats.intervals import wilson


def rates(cells: Cells, *, level: float) -> pa.Table:
    """The table `rates`, one row per cell; see docs/tables.md. level: of Wilson's intervals."""
    counts = dict(zip(VERDICTS, cells.counts.T, strict=True))
    judged = counts["complied"] + counts["refused"] + counts["other"]
    columns = {name: pa.array(counts[name], pa.int64()) for name in VERDICTS}
    columns["judged"] = pa.array(judged, pa.int64())
    columns["total"] = pa.array(cells.counts.sum(axis=1), pa.int64())
    columns["wrong_language"] = pa.array(cells.wrong_language, pa.int64())
    for outcome, verdict in (("compliance", "complied"), ("refusal", "refused")):
        with np.errstate(invalid="ignore"):
            rate = counts[verdict] / judged
        low, high = wilson(counts[verdict], judged, level)
        for name, values in (("rate", rate), ("low", low), ("high", high)):
            columns[f"{outcome}_{name}"] = pa.array(values, pa.float64())
    made = cells.table
    for name, column in columns.items():
        made = made.append_column(name, column)
    return made
