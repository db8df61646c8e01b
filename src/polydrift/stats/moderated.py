"""What seeds vary, with the help of other cells: a variance from three seeds is hardly one.

    found = moderated(ratios, 2, 9)       # three seeds of nine tunings
    found.ratio, found.degrees

With three seeds a variance has two degrees of freedom: by luck it is a tenth of the truth in one
cell of ten, so among a thousand cells nothing can be called certain. But cells of one base tell
something of each other. Each ratio u, of what seeds vary to what they would by chance alone, is its
own true one times chi2(d) / d, and the true ones are taken to lie around s like s d0 / chi2(d0). s
and d0 are read from the spread of log u (Smyth 2004, Statistical Applications in Genetics and
Molecular Biology 3:3), and each ratio is drawn towards s:

    (a s + d u) / (a + d)   with a + d degrees of freedom, a = d0 / 2

Where all cells vary alike d0 is large and the cells' common variance counts, where some vary much
more than others it is small and each counts for itself. What seeds do is alike in all languages a
variant is asked in. So the spread of cells is that of few tunings, and by luck often too small:
half of d0 counts, (n - 1) d at most for n tunings, and nothing for one. Where the seeds of a few
tunings differ by far and those of the rest not at all, the few are taken for surer than they are:
docs/statistics.md has how much.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_LEAST = 1e-3  # of the median, for the logarithm of a ratio that is 0


class Moderated(NamedTuple):
    """ratio, degrees: [cells] drawn together, and what they are worth. prior: d0, scale: s."""

    ratio: Floats
    degrees: Floats
    prior: float
    scale: float


def moderated(ratios: Floats, degrees: int, tunings: int) -> Moderated:
    """Ratios of cells of one base, [cells], drawn together.

    ratios: mean square between seeds / mean square by chance, 0 or more. degrees: d, seeds less
    one. tunings: n, how many different ones the cells are of. Of one tuning, and where no ratio is
    above 0, they are left as they are.
    """
    d = float(degrees)
    least = _LEAST * float(np.median(ratios[ratios > 0])) if (ratios > 0).any() else 0.0
    if tunings < 2 or not least:
        return Moderated(ratios.copy(), np.full(ratios.shape, d), 0.0, math.nan)
    logs = np.log(np.maximum(ratios, least))
    spread = float(logs.var(ddof=1)) - trigamma(d / 2)
    prior = math.inf if spread <= 0 else 2 * inverse_trigamma(spread)
    shift = 0.0 if prior == math.inf else digamma(prior / 2) - math.log(prior / 2)
    scale = math.exp(float(logs.mean()) - digamma(d / 2) + math.log(d / 2) + shift)
    used = min(prior / 2, (tunings - 1) * d)
    ratio = (used * scale + d * ratios) / (used + d)
    return Moderated(ratio, np.full(ratios.shape, used + d), prior, scale)


def digamma(x: float) -> float:
    """The derivative of log gamma, x > 0, to about 1e-13."""
    found = 0.0
    while x < 10:
        found, x = found - 1 / x, x + 1
    s = 1 / x**2
    series = s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s / 132))))
    return found + math.log(x) - 1 / (2 * x) - series


def trigamma(x: float) -> float:
    """The derivative of `digamma`, x > 0, to about 1e-12; it falls from infinity to 0."""
    found = 0.0
    while x < 10:
        found, x = found + 1 / x**2, x + 1
    s = 1 / x**2
    series = s * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * 5 / 66))))
    return found + 1 / x + s / 2 + series / x


def inverse_trigamma(value: float) -> float:
    """The x > 0 with trigamma(x) = value, value > 0."""
    low, high = 1e-8, 1e8
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if trigamma(middle) > value else (low, middle)
    return math.sqrt(low * high)
