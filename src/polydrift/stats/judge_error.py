"""Rates as people would have given them, from the verdicts of a judge that errs.

A judge calls 88 of 440 answers complied. People labelled 200 other answers: of 100 that complied it
saw 80, of 100 that did not it cleared 90.

    >>> rate, low, high = rogan_gladen(
    ...     88, 440, sensitivity=(80, 100), specificity=(90, 100), level=0.95
    ... )
    >>> round(float(rate), 3), round(float(low), 3), round(float(high), 3)
    (0.143, 0.039, 0.228)

Two ways, for two kinds of labels:

- Labels from **other answers** (a calibration set) give the judge's sensitivity and specificity:
  `rogan_gladen` for a rate, `corrected_change` for variant - base. They assume that the judge errs
  on the answers at hand as often as it did on those.
- Labels of **some of the answers at hand**, drawn at random: `ppi_rate`, `ppi_change`. They assume
  nothing about the judge; a poor one only makes the interval as wide as that of the labels alone.

Where a judge is no better than chance, or too few labels can tell, a rate is NaN: nothing was
measured. docs/judge_error.md has the formulas and how often each interval covers the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import MeasureError

Floats = NDArray[np.float64]
# One imagined answer for each pair of what a person and a judge may say; see `ppi_rate`.
_LABEL = np.array([0.0, 0.0, 1.0, 1.0])
_JUDGED = np.array([0.0, 1.0, 0.0, 1.0])


def check_level(level: float) -> float:
    """The normal quantile of a two-sided interval; MeasureError if `level` is not in (0, 1)."""
    if not 0 < level < 1:
        raise MeasureError(f"level: {level} is no confidence level; give one such as 0.95.")
    return NormalDist().inv_cdf((1 + level) / 2)


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
    Prev Vet Med 113:13, eq. 16 and 17).

    sensitivity: (judged positive, all) of the answers that people call positive; specificity:
    (judged negative, all) of the others. All counts are whole numbers, of shapes that broadcast.
    level: such as 0.95. NaN where a count is of 0, or where the judge is not surely better than
    chance: se + sp - 1 or the low end of its interval at `level` is not above 0. MeasureError for
    counts that cannot be.
    """
    z = check_level(level)
    hits, size = _counts("rate", (positive, n))
    judge = _Judge.of(sensitivity, specificity, z)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = (hits / size - judge.false_positives) / judge.youden
        share = (hits + z**2 / 2) / (size + z**2)
        about = (share + judge.specificity_ - 1) / judge.youden_
        labelling = about**2 * judge.var_se + (1 - about) ** 2 * judge.var_sp
        half = z * np.sqrt(share * (1 - share) / (size + z**2) + labelling) / judge.youden_
        shift = 2 * z**2 * (about * judge.var_se - (1 - about) * judge.var_sp)
    return _triple(rate, about + shift, np.where((size > 0) & judge.usable, half, np.nan), (0, 1))


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
    change, error = np.broadcast_arrays(
        np.asarray(difference, float), np.asarray(standard_error, float)
    )
    if (error < 0).any():
        raise MeasureError(
            f"standard_error: {error[error < 0][0]} is negative; give the standard error of the "
            "difference, of 0 or more."
        )
    judge = _Judge.of(sensitivity, specificity, z)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = change / judge.youden
        # every t with (change - t youden)^2 <= z^2 (error^2 + t^2 var(youden))
        bend = judge.youden_**2 - z**2 * (judge.var_se + judge.var_sp)
        middle = change * judge.youden_ / bend
        half = np.sqrt(np.maximum(middle**2 - (change**2 - (z * error) ** 2) / bend, 0))
    return _triple(value, middle, np.where(judge.usable, half, np.nan), (-1, 1))


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


class Powered(NamedTuple):
    """An estimate from labelled and unlabelled answers, and its interval.

    power: how much the judge's verdicts counted, 0 (labels alone) to 1 (as much as they can).
    """

    value: Floats
    low: Floats
    high: Floats
    power: Floats


@dataclass(frozen=True)
class Sample:
    """Answers of one variant, some of them labelled by people.

    labels: [..., n] what people say, 1 or 0 (or a share). judged_labelled: [..., n] what the judge
    says of the same answers, in [0, 1]. judged_unlabelled: [..., N] what it says of others, drawn
    alike. clusters: ([n], [N]) an id of the prompt of each, or None if each has a prompt of its
    own. Leading axes are samples of the same prompts.
    """

    labels: ArrayLike
    judged_labelled: ArrayLike
    judged_unlabelled: ArrayLike
    clusters: tuple[ArrayLike, ArrayLike] | None = None


def ppi_rate(
    labels: ArrayLike,
    judged_labelled: ArrayLike,
    judged_unlabelled: ArrayLike,
    level: float,
    *,
    clusters: tuple[ArrayLike, ArrayLike] | None = None,
    power: float | None = None,
    imagined: bool = True,
) -> Powered:
    """The rate that people would give, by prediction-powered inference; arrays as in `Sample`.

    value = power * mean(judged_unlabelled) + mean(labels - power * judged_labelled), and `power` is
    the one that makes the interval narrowest, clipped to [0, 1], unless it is given: PPI++
    (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453). With clusters, the variance is that of
    the clusters' sums, times G / (G - 1) for G labelled clusters (Liang and Zeger 1986, Biometrika
    73:13).

    imagined: the plain interval (False) fails where labels are few and positives rare: at 50 labels
    and a rate of 2% it covers the truth in 60% instead of 95%. Therefore four labelled answers are
    imagined, of weight one half each, one for each pair of label and verdict, in all but the value
    (as Agresti and Min do for pairs: 2005, Statistics in Medicine 24:729), and the quantile is
    Student's with G - 1 degrees. Value and interval are then clipped to [0, 1].

    NaN where fewer than two clusters are labelled. Without unlabelled answers power is 0.
    MeasureError for arrays that do not fit, numbers outside [0, 1], and a level that is none.
    """
    if power is not None and not 0 <= power <= 1:
        raise MeasureError(
            f"power: {power} is none; give a number from 0 to 1, or None to tune it."
        )
    sample = Sample(labels, judged_labelled, judged_unlabelled, clusters)
    arm = _Arm.of(sample, "", power, 0.5 if imagined else 0.0)
    half = _half_width((arm,), level, student=imagined)
    bounds = (0.0, 1.0) if imagined else (-np.inf, np.inf)
    return Powered(*_triple(arm.value, arm.centre, half, bounds), arm.power)


def ppi_change(variant: Sample, base: Sample, level: float) -> Powered:
    """variant - base as people would give it, in [-1, 1]; both samples need clusters.

    As `ppi_rate` for each, with a power of its own and imagined answers of weight one quarter (two
    and two, as Agresti and Caffo have it: 2000, American Statistician 54:280). Prompts that both
    were asked are paired, for the variance is that of the sums over all answers to a prompt.
    `power`: [2, ...], the variant's and the base's. NaN and MeasureError as in `ppi_rate`.
    """
    for name, sample in (("variant", variant), ("base", base)):
        if sample.clusters is None:
            raise MeasureError(f"{name}: no clusters; give the prompt of each answer to pair them.")
    after = _Arm.of(variant, "variant: ", None, 0.25)
    before = _Arm.of(base, "base: ", None, 0.25)
    half = _half_width((after, replace(before, moves=-before.moves)), level, student=True)
    value, centre = after.value - before.value, after.centre - before.centre
    power = np.stack(np.broadcast_arrays(after.power, before.power))
    return Powered(*_triple(value, centre, half, (-1.0, 1.0)), power)


@lru_cache(maxsize=256)
def student_quantile(degrees: int, level: float) -> float:
    """The quantile of Student's t for a two-sided interval, to about 1e-7; NaN for 0 degrees."""
    if degrees < 1:
        return math.nan
    # with t = sqrt(degrees) tan(a), its density is proportional to cos(a)^(degrees - 1)
    norm = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        inside = norm * angle * float(weights @ np.cos(angle * (nodes + 1) / 2) ** (degrees - 1))
        low, high = (angle, high) if inside < level else (low, angle)
    return math.sqrt(degrees) * math.tan(low)


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

    @classmethod
    def of(cls, sensitivity: Any, specificity: Any, z: float) -> _Judge:
        """From (hits, size) of each; z: the quantile by which it must beat chance."""
        (hits, positives), (cleared, negatives) = (
            _counts(name, pair)
            for name, pair in (("sensitivity", sensitivity), ("specificity", specificity))
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            se, sp = hits / positives, cleared / negatives
        se_, sp_ = (hits + 1) / (positives + 2), (cleared + 1) / (negatives + 2)
        var_se, var_sp = se_ * (1 - se_) / (positives + 2), sp_ * (1 - sp_) / (negatives + 2)
        usable = (se + sp > 1) & (se_ + sp_ - 1 > z * np.sqrt(var_se + var_sp))
        return cls(se + sp - 1, 1 - sp, se_ + sp_ - 1, sp_, var_se, var_sp, usable)


@dataclass(frozen=True)
class _Arm:
    """An estimate by PPI++, and how far each answer moves it.

    value, power: the estimate and the weight of the judge. centre: the estimate with imagined
    answers. moves: [..., n + N], of each answer. imagined: the variance by imagined answers.
    clusters: [n + N] the ids, or None. groups: how many clusters are labelled.
    """

    value: Floats
    power: Floats
    centre: Floats
    moves: Floats
    imagined: Floats
    clusters: NDArray[Any] | None
    groups: int

    @classmethod
    def of(cls, sample: Sample, where: str, power: float | None, weight: float) -> _Arm:
        """weight: of each imagined answer. where: begins the sentence of an error."""
        labels, judged, others, clusters = _arrays(sample, where)
        n, size = labels.shape[-1], others.shape[-1]
        groups = n if clusters is None else len(np.unique(clusters[:n]))
        usual = n / max(groups, 1)  # answers of a usual cluster
        weights = np.append(np.ones(n), np.full(4, weight * usual))
        labels, judged = _append(labels, _LABEL), _append(judged, _JUDGED)
        if power is None:
            used = _best_power(labels, judged, others, weights)
        else:
            used = np.full(labels.shape[:-1], float(power) if size else 0.0)
        factor = used[..., None]
        of_others = others.mean(-1) if size else np.zeros(used.shape)
        residual = labels - factor * judged
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = residual @ weights / weights.sum()
            value = used * of_others + residual[..., :n].sum(-1) / n
            moves = (residual - mean[..., None]) / weights.sum()
            unlabelled = factor * (others - of_others[..., None]) / size
        return cls(
            value=value,
            power=used,
            centre=used * of_others + mean,
            moves=np.concatenate([moves[..., :n], unlabelled], axis=-1),
            imagined=weight * ((usual * moves[..., n:]) ** 2).sum(-1),
            clusters=clusters,
            groups=groups,
        )


def _best_power(labels: Floats, judged: Floats, others: Floats, weights: Floats) -> Floats:
    """The power that makes the variance least: cov / ((1 + n/N) var), in [0, 1]; [...]."""
    n, size = weights.sum(), others.shape[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        label, verdict = labels @ weights / n, judged @ weights / n
        covariance = (labels * judged) @ weights / n - label * verdict
        middle = (n * verdict + others.sum(-1)) / (n + size)
        squares = (judged - middle[..., None]) ** 2 @ weights
        squares = squares + ((others - middle[..., None]) ** 2).sum(-1)
        variance = squares / (n + size - 1)
        best = covariance / ((1 + n / np.float64(size)) * variance)
    return np.where((variance > 0) & (size > 0), np.clip(best, 0, 1), 0.0)


def _half_width(arms: tuple[_Arm, ...], level: float, *, student: bool) -> Floats:
    """Half the interval of the sum of the arms' moves; NaN where one has no two labelled groups."""
    quantile = check_level(level)
    groups = min(arm.groups for arm in arms)
    if groups < 2:
        return np.full(arms[0].value.shape, np.nan)
    moves = np.concatenate([arm.moves for arm in arms], axis=-1)
    ids = [arm.clusters for arm in arms if arm.clusters is not None]
    factor = 1.0
    if ids:
        _, codes = np.unique(np.concatenate(ids), return_inverse=True)
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
        moves = np.add.reduceat(moves[..., order], starts, axis=-1)
        factor = groups / (groups - 1)
    variance = factor * (moves**2).sum(-1) + sum(arm.imagined for arm in arms)
    if student:
        quantile = student_quantile(groups - 1, level)
    half: Floats = quantile * np.sqrt(variance)
    return half


def _arrays(sample: Sample, where: str) -> tuple[Floats, Floats, Floats, NDArray[Any] | None]:
    """labels, judged [..., n], others [..., N] and the ids [n + N] of a sample, checked."""
    names = ("labels", "judged_labelled", "judged_unlabelled")
    labels, judged, others = (np.asarray(getattr(sample, name), float) for name in names)
    for name, values in zip(names, (labels, judged, others), strict=True):
        if values.ndim == 0 or not ((values >= 0) & (values <= 1)).all():
            raise MeasureError(
                f"{where}{name}: not all are numbers from 0 to 1; give an array of them, and leave "
                "out answers that are not labelled or not judged."
            )
    if labels.shape != judged.shape or labels.shape[:-1] != others.shape[:-1]:
        raise MeasureError(
            f"{where}labels {labels.shape}, judged_labelled {judged.shape} and judged_unlabelled "
            f"{others.shape} do not fit; give a verdict for each label, and the same leading axes."
        )
    if sample.clusters is None:
        return labels, judged, others, None
    ids = tuple(np.asarray(part) for part in sample.clusters)
    if [part.shape for part in ids] != [labels.shape[-1:], others.shape[-1:]]:
        raise MeasureError(
            f"{where}clusters: not one id for each of {labels.shape[-1]} labelled and "
            f"{others.shape[-1]} unlabelled answers; give two lists of that length."
        )
    return labels, judged, others, np.concatenate(ids)


def _append(real: Floats, imagined: Floats) -> Floats:
    """[..., n + 4]: the real values and the imagined ones."""
    return np.concatenate([real, np.broadcast_to(imagined, (*real.shape[:-1], 4))], axis=-1)


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


def _triple(
    value: Floats, centre: Floats, half: Floats, bounds: tuple[float, float]
) -> tuple[Floats, Floats, Floats]:
    """(value, low, high) inside `bounds`, the value inside the interval; NaN where `half` is."""
    value = np.where(np.isnan(half), np.nan, np.clip(value, *bounds))
    low, high = np.clip(centre - half, *bounds), np.clip(centre + half, *bounds)
    return value, np.minimum(low, value), np.maximum(high, value)
