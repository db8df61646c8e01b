"""Many tests at once: p adjusted for how many there are.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]

- *Holm* (1979, Scandinavian Journal of Statistics 6:65): of all that are below 0.05, the chance
  that even one is a false alarm is at most 5%, however the tests hang together. For "this cell got
  worse".
- *Benjamini and Hochberg* (1995, JRSS B 57:289): of those below 0.05, at most 5% are false alarms
  on average, where the tests are independent or hang together positively. For "about so many cells
  got worse".

A *family* is all that one asks at once: every cell of all bases, for one suite, kind, judge and
outcome. What was not tested (NaN) is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polydrift.errors import MeasureError

FAMILY = ("suite", "kind", "judge", "outcome")

Floats = NDArray[np.float64]


def holm(p: Floats) -> Floats:
    """Adjusted p, [n], in the order of p; NaN stays NaN. MeasureError for one outside [0, 1]."""
    order, ranked = _ranked(p)
    found = np.maximum.accumulate(ranked * np.arange(len(ranked), 0, -1))
    return _back(found, order, p)


def benjamini_hochberg(p: Floats) -> Floats:
    """Adjusted p, [n], likewise."""
    order, ranked = _ranked(p)
    shares = ranked * len(ranked) / np.arange(1, len(ranked) + 1)
    return _back(np.minimum.accumulate(shares[::-1])[::-1], order, p)


def with_adjusted(table: pa.Table, *, family: Sequence[str] = FAMILY) -> pa.Table:
    """The table with columns `p_holm` and `p_bh`: its `p`, adjusted within each family.

    family: the columns that rows of one family have in common. Rows stay in their order.
    """
    p = table["p"].to_numpy()
    adjusted = np.full((2, len(p)), np.nan)
    for rows in _families(table, family):
        adjusted[:, rows] = holm(p[rows]), benjamini_hochberg(p[rows])
    for name, values in zip(("p_holm", "p_bh"), adjusted, strict=True):
        table = table.append_column(name, pa.array(values, pa.float64()))
    return table


def _families(table: pa.Table, family: Sequence[str]) -> list[NDArray[np.int64]]:
    """The numbers of the rows of each family."""
    found: dict[tuple[object, ...], list[int]] = {}
    keys = zip(*(table[name].to_pylist() for name in family), strict=True)
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return [np.array(rows, np.int64) for rows in found.values()]


def _ranked(p: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The numbers of those that are not NaN, and p, both from the smallest on."""
    known = ~np.isnan(p)
    if ((p[known] < 0) | (p[known] > 1)).any():
        wrong = p[known][(p[known] < 0) | (p[known] > 1)][0]
        raise MeasureError(f"p: {wrong} is no probability; give numbers from 0 to 1, or NaN.")
    order = np.flatnonzero(known)[np.argsort(p[known], kind="stable")]
    return order, p[order]


def _back(ranked: Floats, order: NDArray[np.int64], p: Floats) -> Floats:
    found = np.full(p.shape, np.nan)
    found[order] = np.minimum(ranked, 1)
    return found
