"""The table `corrected`: rates and changes as people would have found them, where a judge's errors
are known.

Only judges with a calibration have rows; docs/judge_error.md tells what is assumed. A change is
corrected on the assumption that the judge errs alike on the base's answers and the variant's.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polydrift.stats.calibration import OUTCOMES, Calibration
from polydrift.stats.cells import CELL

_FIGURES = ("rate", "low", "high", "change", "change_low", "change_high")


def corrected(
    rates: pa.Table, effects: pa.Table, calibrations: Mapping[str, Calibration], *, level: float
) -> pa.Table:
    """The table, a row per cell and outcome; calibrations: by the judge's name. See docs/tables.md.

    level: of the intervals, and of those of `effects`, from which the sampling error is read.
    """
    made = [_of_judge(rates, effects, name, one, level) for name, one in calibrations.items()]
    fields = [rates.schema.field(name) for name in CELL]
    fields += [pa.field("outcome", pa.string()), *(pa.field(n, pa.float64()) for n in _FIGURES)]
    fields += [pa.field("calibrated_on", pa.string())]
    schema = pa.schema(fields)
    table = pa.concat_tables([schema.empty_table(), *made])
    return table.sort_by([(name, "ascending") for name in (*CELL, "outcome")]).combine_chunks()


def _of_judge(
    rates: pa.Table, effects: pa.Table, judge: str, calibration: Calibration, level: float
) -> pa.Table:
    """The rows of one judge."""
    cells = rates.filter(pc.equal(rates["judge"], judge))
    found = calibration.correct(
        complied=cells["complied"].to_numpy(),
        refused=cells["refused"].to_numpy(),
        other=cells["other"].to_numpy(),
        language=cells["evaluation_language"].to_pylist(),
        kind=cells["kind"].to_pylist(),
        level=level,
    )
    key = ("base", "variant", "evaluation_language", "suite", "kind")
    places = list(zip(*(cells[name].to_pylist() for name in key), strict=True))
    parts = []
    for outcome in OUTCOMES:
        changes = _changes(effects, judge, calibration, outcome, key, level)
        none = (np.nan, np.nan, np.nan)
        change = np.array([changes.get(place, none) for place in places]).reshape(-1, 3)
        one = found[outcome]
        columns: dict[str, Any] = {
            "outcome": pa.array([outcome] * cells.num_rows, pa.string()),
            "rate": one.value,
            "low": one.low,
            "high": one.high,
            "change": change[:, 0],
            "change_low": change[:, 1],
            "change_high": change[:, 2],
            "calibrated_on": pa.array(one.group.tolist(), pa.string()),
        }
        table = cells.select(CELL)
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        parts.append(table)
    return pa.concat_tables(parts)


def _changes(
    effects: pa.Table,
    judge: str,
    calibration: Calibration,
    outcome: str,
    key: tuple[str, ...],
    level: float,
) -> dict[tuple[str, ...], tuple[float, float, float]]:
    """Corrected changes by what identifies their cell."""
    wanted = pc.and_(pc.equal(effects["judge"], judge), pc.equal(effects["outcome"], outcome))
    rows = effects.filter(wanted)
    width = rows["high"].to_numpy() - rows["low"].to_numpy()
    found = calibration.correct_changes(
        outcome,
        rows["difference"].to_numpy(),
        np.maximum(width, 0) / (2 * NormalDist().inv_cdf((1 + level) / 2)),
        language=rows["evaluation_language"].to_pylist(),
        kind=rows["kind"].to_pylist(),
        level=level,
    )
    places = zip(*(rows[name].to_pylist() for name in key), strict=True)
    values = zip(found.value.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return dict(zip(places, values, strict=True))
