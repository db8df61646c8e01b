"""Verdicts in, rates and effects out: the numbers of the study, each with its interval.

    made = analyse(verdicts, level=0.95, draws=2000, seed=0)
    made["rates"]      per variant, evaluation language, suite and kind: how many complied, refused
    made["effects"]    variant - base, paired by prompt, with a bootstrap interval

Tables and arrays in, tables and arrays out: nothing here knows where a verdict came from. Equal
verdicts and an equal seed give equal tables, whatever the order of the rows. docs/tables.md
documents the columns, docs/report.md what the intervals mean.
"""

from __future__ import annotations

import pyarrow as pa

from polydrift.stats.cells import sort_into_cells
from polydrift.stats.effects import effects
from polydrift.stats.rates import rates

__all__ = ["analyse", "effects", "rates"]


def analyse(verdicts: pa.Table, *, level: float, draws: int, seed: int) -> dict[str, pa.Table]:
    """The tables `rates` and `effects` of a table of verdicts.

    level: of every interval, such as 0.95. draws: of the bootstrap. seed: of the bootstrap, and of
    nothing else. MeasureError for a verdict that is not known or an answer judged twice.
    """
    cells = sort_into_cells(verdicts)
    return {
        "rates": rates(cells, level=level),
        "effects": effects(cells, level=level, draws=draws, seed=seed),
    }
