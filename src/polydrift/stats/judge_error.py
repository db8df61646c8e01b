"""Rates as people would have given them, from the verdicts of a judge whose errors are known.

A judge calls 88 of 440 answers complied. People labelled 200 other answers: of 100 that complied it
saw 80, of 100 that did not it cleared 90.

    >>> rate, low, high = rogan_gladen(
    ...     88, 440, sensitivity=(80, 100), specificity=(90, 100), level=0.95
    ... )
    >>> round(float(rate), 3), round(float(low), 3), round(float(high), 3)
    (0.143, 0.039, 0.228)

Labels from other answers (a calibration set) give the judge's sensitivity and specificity:
`rogan_gladen` for a rate, `corrected_change` for variant - base. They assume that the judge errs on
the answers at hand as often as it did on those. Where some of the answers at hand are labelled, see
`ppi`, which assumes nothing about the judge.

Nothing measured is NaN. docs/judge_error.md has the formulas, and how often each interval covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import MeasureError
from polydrift.stats.intervals import check_level, triple

Floats = NDArray[np.float64]
FEW = 10


def rogan_gladen(
    positive: ArrayLike,
    n: ArrayLike,
    *,
    sensitivity: tuple[ArrayLike, ArrayLike],
    specificity: tuple[ArrayLike, ArrayLike],
    level: float,
) -> tuple[Floats, Floats, Floats]:
    """The true rate behind `positive` of `n` verdicts: (rate, low, high), elementwise.

    rate = (positive/n + sp - 1) / (se + sp - 1), clipped to [0, 1] (Rogan and Gladen 1978, Am J
    Epidemiol 107:71); the interval carries the errors of all three shares (Lang and Reiczigel 2014,
    Prev Vet Med 113:13, eq. 16 and 17). With fewer than 10 labels of either sort it covers too
    seldom, and is widened to hold Fieller's interval of the same shares.

    sensitivity: (judged positive, all) of the answers that people call positive; specificity:
    (judged negative, all) of the others. Counts are whole numbers, of shapes that broadcast. NaN
    where a count is of 0, or where the judge is not surely better than chance: se + sp - 1 or the
    low end of its interval at `level` is not above 0. MeasureError for counts that cannot be.
    """
    z = check_level(level)
    hits, size = _counts("rate", (positive, n))
    judge = _Judge.of(sensitivity, specificity, z)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = (hits / size - judge.false_positives) / judge.youden
        share = (hits + z**2 / 2) / (size + z**2)
        variance = share * (1 - share) / (size + z**2)
        top = share + judge.specificity_ - 1
        about = top / judge.youden_
        labelling = about**2 * judge.var_se + (1 - about) ** 2 * judge.var_sp
        half = z * np.sqrt(variance + labelling) / judge.youden_
        centre = about + 2 * z**2 * (about * judge.var_se - (1 - about) * judge.var_sp)
        middle, reach = judge.fieller(top, variance + judge.var_sp, judge.var_sp, z)
        low = np.where(judge.few, np.minimum(centre - half, middle - reach), centre - half)
        high = np.where(judge.few, np.maximum(centre + half, middle + reach), centre + half)
    return triple(rate, low, high, (0, 1), (size > 0) & judge.usable)


def corrected_change(
    difference: ArrayLike,
    standard_error: ArrayLike,
    *,
    sensitivity: tuple[ArrayLike, ArrayLike],
    specificity: tuple[ArrayLike, ArrayLike],
    level: float,
) -> tuple[Floats, Floats, Floats]:
    """The true change behind a difference of two judged rates: (change, low, high), elementwise.

    change = difference / (se + sp - 1), clipped to [-1, 1], for the judge's false positives cancel
    if it errs alike on both. The interval is Fieller's (1954, JRSS B 16:175) of that ratio, so it
    carries the paired sampling error and the labelling error, and is as lopsided as they make it.

    difference: variant - base, of judged rates. standard_error: of it, as paired (`paired_change`,
    or from the interval of the table `effects`: (high - low) / 2z). The rest, NaN and MeasureError
    as in `rogan_gladen`.
    """
    z = check_level(level)
    change, error = np.asarray(difference, float), np.asarray(standard_error, float)
    if (error < 0).any():
        raise MeasureError(f"standard_error: {error.min()} is negative; give one of 0 or more.")
    judge = _Judge.of(sensitivity, specificity, z)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = change / judge.youden
        middle, half = judge.fieller(change, error**2, 0.0, z)
    return triple(value, middle - half, middle + half, (-1, 1), judge.usable)


def paired_change(gained: ArrayLike, lost: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """(difference, standard error) of two rates on the same n prompts, elementwise.

    gained: prompts positive for the variant only; lost: for the base only. The standard error is
    that of Agresti and Min (2005, Statistics in Medicine 24:729), with half a prompt added to each
    of the four outcomes of a pair, so it is not 0 where nothing changed. NaN where n is 0;
    MeasureError for counts that cannot be.
    """
    up, size = _counts("gained", (gained, n))
    down, size = _counts("lost", (lost, size))
    _counts("gained and lost", (up + down, size))
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = (up - down) / size
    error = np.sqrt(up + down + 1 - (up - down) ** 2 / (size + 2)) / (size + 2)
    return difference, np.where(size > 0, error, np.nan)


@dataclass(frozen=True)
class _Judge:
    """How a judge errs, elementwise; a `_` marks shares with one hit and one miss added."""

    youden: Floats  # se + sp - 1
    false_positives: Floats  # 1 - sp
    youden_: Floats
    specificity_: Floats
    var_se: Floats
    var_sp: Floats
    usable: NDArray[np.bool_]
    few: NDArray[np.bool_]

    @classmethod
    def of(cls, sensitivity: Any, specificity: Any, z: float) -> _Judge:
        """From (hits, size) of each; z: the quantile by which it must beat chance."""
        hits, positives = _counts("sensitivity", sensitivity)
        cleared, negatives = _counts("specificity", specificity)
        with np.errstate(invalid="ignore", divide="ignore"):
            se, sp = hits / positives, cleared / negatives
        se_, sp_ = (hits + 1) / (positives + 2), (cleared + 1) / (negatives + 2)
        var_se, var_sp = se_ * (1 - se_) / (positives + 2), sp_ * (1 - sp_) / (negatives + 2)
        usable = (se + sp > 1) & (se_ + sp_ - 1 > z * np.sqrt(var_se + var_sp))
        few = np.minimum(positives, negatives) < FEW
        return cls(se + sp - 1, 1 - sp, se_ + sp_ - 1, sp_, var_se, var_sp, usable, few)

    def fieller(self, top: Floats, spread: Floats, shared: Any, z: float) -> tuple[Floats, Floats]:
        """(middle, half) of all t with (top - t youden)^2 <= z^2 times its variance.

        spread: the variance of `top`; shared: its covariance with `youden`.
        """
        bend = self.youden_**2 - z**2 * (self.var_se + self.var_sp)
        middle = (top * self.youden_ - z**2 * shared) / bend
        return middle, np.sqrt(np.maximum(middle**2 - (top**2 - z**2 * spread) / bend, 0))


def _counts(name: str, pair: tuple[ArrayLike, ArrayLike]) -> tuple[Floats, Floats]:
    """(hits, size) of a share as floats; MeasureError if they are no counts, or hits > size."""
    hits, size = np.broadcast_arrays(*(np.asarray(part, float) for part in pair))
    bad = ~((hits >= 0) & (hits <= size) & (hits == np.floor(hits)) & (size == np.floor(size)))
    if bad.any():
        raise MeasureError(
            f"{name}: {hits[bad][0]:g} of {size[bad][0]:g} is no share; give whole numbers with "
            "0 <= hits <= size."
        )
    return hits, size
