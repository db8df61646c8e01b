"""Intervals for a share.

>>> low, high = wilson(5, 10, level=0.95)
>>> round(float(low), 3), round(float(high), 3)
(0.237, 0.763)

Wilson's interval inverts the score test, so it stays inside [0, 1], has a width even where all or
none succeeded, and covers about as often as it says from n = 10 or so (Wilson 1927, JASA 22:209;
Brown, Cai and DasGupta 2001, Statistical Science 16:101).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import MeasureError

Floats = NDArray[np.float64]


def check_level(level: float) -> float:
    """The normal quantile of a two-sided interval; MeasureError for a level not in (0, 1)."""
    if not 0 < level < 1:
        raise MeasureError(f"level: {level} is no confidence level; give one such as 0.95.")
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: ArrayLike, n: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Wilson's score interval of successes / n, elementwise; NaN where n is 0.

    successes, n: counts, of any shapes that broadcast. level: such as 0.95. Returns (low, high).
    """
    hits, total = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    z = NormalDist().inv_cdf((1 + level) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / total
        centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
        half = z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    # the ends are exact where none or all succeeded, and rounding must not move them
    low = np.where(hits == 0, 0.0, centre - half)
    high = np.where(hits == total, 1.0, centre + half)
    return np.where(total > 0, low, np.nan), np.where(total > 0, high, np.nan)


def triple(
    value: Floats, low: Floats, high: Floats, bounds: tuple[float, float], known: Any = True
) -> tuple[Floats, Floats, Floats]:
    """(value, low, high) inside `bounds`, the value inside the interval; NaN where not known."""
    value = np.where(known & ~np.isnan(low), np.clip(value, *bounds), np.nan)
    low, high = np.clip(low, *bounds), np.clip(high, *bounds)
    return value, np.minimum(low, value), np.maximum(high, value)
