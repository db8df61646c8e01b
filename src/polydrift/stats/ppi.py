"""Rates of answers of which people labelled some: prediction-powered inference.

A judge gave a verdict on all answers, people on some of them, drawn at random. `ppi_rate` joins
both for a rate, `ppi_change` for variant - base. Nothing is assumed about the judge: a poor one
leaves the interval that the labels alone would give. Nothing measured is NaN. docs/judge_error.md
has the formulas, and how often each interval covers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import MeasureError
from polydrift.stats.intervals import check_level, triple
from polydrift.stats.student import student_quantile

Floats = NDArray[np.float64]
# One imagined answer for each pair of what a person and a judge may say; see `ppi_rate`.
_LABEL = np.array([0.0, 0.0, 1.0, 1.0])
_JUDGED = np.array([0.0, 1.0, 0.0, 1.0])


class Powered(NamedTuple):
    """An estimate, its interval, and how much the judge counted: 0 (labels alone) to 1."""

    value: Floats
    low: Floats
    high: Floats
    power: Floats


@dataclass(frozen=True)
class Sample:
    """Answers of one variant, some of them labelled by people.

    labels: [..., n] what people say, 1 or 0 (or a share). judged_labelled: [..., n] what the judge
    says of them, in [0, 1]. judged_unlabelled: [..., N] what it says of others, drawn alike.
    clusters: ([n], [N]) the id of each answer's prompt, or None if each has its own. Leading axes
    are samples of the same prompts.
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

    NaN where fewer than two clusters are labelled. Power is 0 without unlabelled answers.
    MeasureError for arrays that do not fit and numbers outside [0, 1].
    """
    if power is not None and not 0 <= power <= 1:
        raise MeasureError(f"power: {power} is none; give one from 0 to 1, or None to tune it.")
    sample = Sample(labels, judged_labelled, judged_unlabelled, clusters)
    arm = _Arm.of(sample, "", power, 0.5 if imagined else 0.0)
    half = _half_width((arm,), level, student=imagined)
    bounds = (0.0, 1.0) if imagined else (-np.inf, np.inf)
    low, high = arm.centre - half, arm.centre + half
    return Powered(*triple(arm.value, low, high, bounds), arm.power)


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
    return Powered(*triple(value, centre - half, centre + half, (-1, 1)), power)


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
        labels, judged = (
            np.concatenate([real, np.broadcast_to(imagined, (*real.shape[:-1], 4))], axis=-1)
            for real, imagined in ((labels, _LABEL), (judged, _JUDGED))
        )
        used = _best_power(labels, judged, others, weights)
        if power is not None:
            used = np.full(used.shape, float(power) if size else 0.0)
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
    arrays = [np.asarray(getattr(sample, name), float) for name in names]
    for name, values in zip(names, arrays, strict=True):
        if values.ndim == 0 or not ((values >= 0) & (values <= 1)).all():
            raise MeasureError(
                f"{where}{name}: not all are numbers from 0 to 1; give an array of them, and leave "
                "out answers that are not labelled or not judged."
            )
    labels, judged, others = arrays
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
