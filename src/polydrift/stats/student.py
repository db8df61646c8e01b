"""Student's t without SciPy: quantiles and tails, to about 1e-7.

With t = sqrt(degrees) tan(a), the density is proportional to cos(a)^(degrees - 1): smooth, and on a
finite range, so Gauss's rule integrates it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def _inside(angle: float, degrees: float) -> float:
    """P(|T| < sqrt(degrees) tan(angle))."""
    norm = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    return norm * angle * float(_WEIGHTS @ np.cos(angle * (_NODES + 1) / 2) ** (degrees - 1))


@lru_cache(maxsize=256)
def student_quantile(degrees: float, level: float) -> float:
    """The quantile of a two-sided interval; NaN below 1 degree of freedom."""
    if degrees < 1:
        return math.nan
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _inside(angle, degrees) < level else (low, angle)
    return math.sqrt(degrees) * math.tan(low)


def student_tail(t: float, degrees: float) -> float:
    """P(T > t), from 1 degree of freedom on."""
    return (1 - _inside(math.atan(t / math.sqrt(degrees)), degrees)) / 2
