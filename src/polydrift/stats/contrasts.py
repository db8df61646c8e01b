"""Contrasts of noisy cells: is there a source, how much does it vary, and how surely.

    contrast = noisy.contrast((1, 9, 9), (0, 1, 1))     # tuning x evaluation language, of one base
    contrast.p()            that there is no such interaction
    contrast.row(0.95)      Cochran's Q, I2 and the effects' standard deviation, with intervals

A *source* is a contrast matrix A over the cells base x tuning language x evaluation language: of
means over some axes, the deviations from the mean along the others. x = A values has covariance
S = A V A'. If the source has no effect, |x|^2 / tr S is about F with f1 = tr(S)^2 / tr(S S) and
Satterthwaite's f2 degrees of freedom (the ANOVA-type statistic: Brunner, Dette and Munk 1997, JASA
92:1494). With df the rank of A and s^2 = tr S / df the typical noise,

    Q = |x|^2 / s^2      Cochran's, with equal weights and whatever covariance
    sd^2 = |x|^2 / df - s^2,  or 0              I2 = sd^2 / (sd^2 + s^2)

and the interval of sd holds what the same F does not reject once sd^2 A A' is added to S (Q-profile
for a generalised Q: Jackson 2013, Research Synthesis Methods 4:220). It takes the effects for
draws, so with nine languages it is wide. Nothing is inverted: cells that did not vary do no harm.

V counts prompts and seeds as drawn: V = P + (R - N) / seeds, P by prompts, R the covariance of the
seeds of one tuning language over evaluation languages, pooled over tuning languages, N the part of
it that prompts explain and P holds too (Cameron, Gelbach and Miller 2011, JBES 29:238). Where
R - N adds less than nothing to a source, it is left out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polydrift.stats.student import student_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PLENTY = 1e5  # degrees of freedom that are as good as more


class Contrast(NamedTuple):
    """A source: |x|^2, tr S, tr S S, half the variance of the first's estimate; of values x."""

    df: int
    size: float
    trace: float
    square: float
    wobble: float
    values: Floats

    @property
    def degrees(self) -> float:
        """Of freedom of the noise."""
        return self.trace**2 / self.wobble

    def half_width(self, level: float) -> float:
        """Of the interval of the one value of a source with df 1."""
        return student_quantile(self.degrees, level) * math.sqrt(self.trace)

    @property
    def variance(self) -> float:
        """Of the source's effects; below 0 where there is less than noise."""
        return (self.size - self.trace) / self.df

    def p(self, variance: float = 0.0) -> float:
        """P of a |x|^2 as large if the effects had this variance."""
        trace = self.trace + variance * self.df
        square = self.square + 2 * variance * self.trace + variance**2 * self.df
        return f_tail(self.size / trace, trace**2 / square, trace**2 / self.wobble)

    def limit(self, p: float) -> float:
        """The variance at which P is p, 0 where it is above that anyway."""
        if self.p() >= p:
            return 0.0
        low, high = 0.0, self.size + self.trace
        while self.p(high) < p and high < 1e12:
            low, high = high, 4 * high
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (low, middle) if self.p(middle) >= p else (middle, high)
        return high

    def row(self, level: float) -> dict[str, float]:
        """Columns of the table `heterogeneity`."""
        noise = self.trace / self.df
        found = {"q": self.size / noise, "df": float(self.df), "p": self.p()}
        limits = (self.limit((1 - level) / 2), self.limit((1 + level) / 2))
        for end, variance in zip(("", "_low", "_high"), (self.variance, *limits), strict=True):
            variance = max(variance, 0.0)
            found |= {f"sd{end}": math.sqrt(variance), f"i2{end}": variance / (variance + noise)}
        return found


class Noisy(NamedTuple):
    """A value of each cell (base x tuning language x evaluation language) and its error.

    values: [cells]. prompts: [cells, cells] covariance by prompts; of `drawn` of them. seeds, both:
    [bases, languages, languages] covariance of one seed, and the part of it that prompts explain;
    `degrees`: [bases] of freedom. runs: [bases * tunings] seeds of each.
    """

    values: Floats
    prompts: Floats
    drawn: int
    seeds: Floats
    both: Floats
    degrees: Ints
    runs: Ints

    def contrast(self, shape: tuple[int, int, int], axes: tuple[int, int, int]) -> Contrast:
        """A source. shape: bases, tuning and evaluation languages. axes: 1 for those that it is of.

        Each of these needs two or more.
        """
        first, *others = (
            np.eye(size) - 1 / size if kept else np.full((1, size), 1 / size)
            for size, kept in zip(shape, axes, strict=True)
        )
        matrix: Floats = first
        for part in others:
            matrix = np.kron(matrix, part)
        df = math.prod(size - 1 for size, kept in zip(shape, axes, strict=True) if kept)
        return self.project(matrix, df)

    def project(self, matrix: Floats, df: int) -> Contrast:
        """The source of a contrast matrix, [rows, cells], of rank df."""
        values, covariance = matrix @ self.values, matrix @ self.prompts @ matrix.T
        n = max(self.drawn - 1, 2)
        square, trace = float((covariance**2).sum()), float(np.trace(covariance))
        wobble = square / n
        # a covariance of few prompts is more uneven than the true one (Bai and Saranadasa 1996)
        excess = square - n**2 / ((n + 2) * (n - 1)) * (square - trace**2 / n)
        tunings = len(self.runs) // len(self.degrees)
        by_run = matrix.reshape(len(matrix), len(self.runs), -1) / np.sqrt(self.runs)[:, None]
        # what each entry of a base's R adds to the trace, [bases, languages, languages]
        weights = np.einsum("kre,krf->ref", by_run, by_run)
        weights = weights.reshape(len(self.degrees), tunings, *weights.shape[1:]).sum(axis=1)
        apart = self.seeds - self.both
        if (weights * apart).sum() > 0:
            spread = np.einsum("kre,ref->krf", by_run, np.repeat(apart, tunings, axis=0))
            covariance += spread.reshape(len(matrix), -1) @ by_run.reshape(len(matrix), -1).T
            for weight, part, degrees in zip(weights, self.seeds, self.degrees, strict=True):
                if degrees:
                    wobble += np.trace(weight @ part @ weight @ part) / degrees
        size, trace = float((values**2).sum()), float(np.trace(covariance))
        square = max(float((covariance**2).sum()) - excess, trace**2 / df)
        return Contrast(df, size, trace, square, float(wobble), values)


def f_tail(x: float, f1: float, f2: float) -> float:
    """P(F > x) of Fisher's F with f1 and f2 degrees of freedom, which need not be whole."""
    if x <= 0:
        return 1.0
    f1, f2 = min(f1, _PLENTY), min(f2, _PLENTY)
    at, rest, a, b = f2 / (f2 + f1 * x), f1 * x / (f2 + f1 * x), f2 / 2, f1 / 2
    if at > (a + 1) / (a + b + 2):
        return max(1 - _beta_below(rest, b, a), 0.0)
    return _beta_below(at, a, b)


def _beta_below(x: float, a: float, b: float) -> float:
    """The incomplete beta function, regularised, by its continued fraction (Lentz's method).

    Converges fast for x < (a + 1) / (a + b + 2); Press et al., Numerical Recipes, section 6.4.
    """
    if x <= 0:
        return 0.0
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    found = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            found *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x)
    return found * math.exp(logs + b * math.log1p(-x)) / a
