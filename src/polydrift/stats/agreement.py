"""How far two sides agree: a judge and people, two judges, several people.

    >>> found = agreement(
    ...     ours=["refused", "refused", "complied", "refused", "unparsed"],
    ...     theirs=["refused", "complied", "complied", "refused", "refused"],
    ...     labels=["complied", "refused"],
    ... )
    >>> found.n, found.n_unparsed, found.accuracy.value, round(found.kappa.value, 3)
    (4, 1, 0.75, 0.5)

- *accuracy*: the share of equal labels. Blind to chance: where nine in ten answers are refused,
  saying "refused" always has 0.9.
- *kappa* (Cohen 1960, Educational and Psychological Measurement 20:37): 1 all agree, 0 as often as
  two that label at random with their own shares, negative: less often than that.
- *alpha* (Krippendorff 2011, Computing Krippendorff's alpha-reliability; nominal): the same for any
  number of raters and missing labels, with chance from the shares of all raters together.

NaN where nothing was labelled; kappa and alpha are NaN also where only one label was ever used, for
then chance agrees always.

**Intervals.** Prompts, not answers, are what is sampled, so clusters of answers (several models' to
one prompt) are resampled together: a percentile bootstrap. The plain one has no width where all
agree, and where one label is rare it covers the truth far too seldom (a test shows half as often).
Therefore two imagined clusters are resampled along with the real ones, one that agrees, spread over
the labels in use, and one that does not, spread over the pairs of them: with two labels, half a
cluster for each of the four cells (Agresti and Min 2005, Statistics in Medicine 24:729). The value
is left alone, as in `effects`. Accuracy has Wilson's interval, its n divided by the design effect
of the clusters, the same two among them (Korn and Graubard 1998, Survey Methodology 24:193).
docs/judge_error.md has how often each covers the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.seeds import named_seed
from polydrift.stats.intervals import check_level, wilson

UNPARSED = "unparsed"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Estimate(NamedTuple):
    """A number and its interval, each NaN where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How far two sides agree.

    n: answers that both labelled. n_unparsed: answers left out because a side could not be parsed.
    labels: [k]. confusion: [k + 1, k + 1] counts, rows theirs, columns ours, in the order of
    `labels` and then unparsed. prevalence: [k] the share of each label in theirs, of the n.
    """

    n: int
    n_unparsed: int
    labels: tuple[Hashable, ...]
    confusion: Ints
    prevalence: Floats
    accuracy: Estimate
    kappa: Estimate
    alpha: Estimate


def agreement(
    ours: Sequence[Hashable],
    theirs: Sequence[Hashable],
    *,
    labels: Sequence[Hashable],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Agreement:
    """Accuracy, kappa and alpha of two sides that labelled the same answers.

    ours, theirs: [n] one of `labels`, or "unparsed": such an answer has a row or a column of its
    own in the confusion, and is left out of all else but counted. clusters: [n] what was sampled
    as one, usually the prompt's id; None if each answer is its own. level: of the intervals; draws,
    seed: of the bootstrap. Intervals of fewer than two clusters are NaN. MeasureError for lists of
    different lengths, unknown or repeated labels, and a level or a number of draws that is none.
    """
    check_level(level)
    _check_draws(draws)
    table = confusion(ours, theirs, labels)
    row, column = _codes(theirs, labels, "theirs"), _codes(ours, labels, "ours")
    size = len(labels)
    parsed = (row < size) & (column < size)
    n = int(parsed.sum())
    number, groups = _renumber(_groups(clusters, len(row))[parsed])
    tables = np.zeros((number, size, size))
    np.add.at(tables, (groups, row[parsed], column[parsed]), 1.0)
    with np.errstate(invalid="ignore"):
        prevalence = table[:size, :size].sum(axis=1) / np.float64(n)
    rng = np.random.default_rng(named_seed("agreement", seed))
    drawn = _resample(tables, draws, rng)
    return Agreement(
        n=n,
        n_unparsed=len(row) - n,
        labels=tuple(labels),
        confusion=table,
        prevalence=prevalence,
        accuracy=_accuracy(tables, level),
        kappa=_estimate(kappa, tables, drawn, level),
        alpha=_estimate(_alpha_of_two, tables, drawn, level),
    )


def confusion(
    ours: Sequence[Hashable], theirs: Sequence[Hashable], labels: Sequence[Hashable]
) -> Ints:
    """[k + 1, k + 1] counts: rows theirs, columns ours, by `labels` and then "unparsed".

    MeasureError for lists of different lengths, and for unknown or repeated labels.
    """
    if len(ours) != len(theirs):
        raise MeasureError(
            f"ours and theirs: {len(ours)} and {len(theirs)} labels; give both for each answer."
        )
    size = len(labels) + 1
    cells = _codes(theirs, labels, "theirs") * size + _codes(ours, labels, "ours")
    return np.bincount(cells, minlength=size**2).reshape(size, size)


def krippendorff(
    ratings: Sequence[Sequence[Hashable]],
    *,
    labels: Sequence[Hashable],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Krippendorff's alpha, nominal, of two or more raters, with its bootstrap interval.

    ratings: [raters][n] one of `labels`, or "unparsed" where a rater has none. An answer counts
    where two or more have one. The rest, NaN and MeasureError as in `agreement`.
    """
    check_level(level)
    _check_draws(draws)
    if len(ratings) < 2 or len({len(one) for one in ratings}) != 1:
        raise MeasureError(
            f"ratings: lists of {', '.join(str(len(one)) for one in ratings) or 'nobody'}; give "
            "those of two or more raters, all of the same answers."
        )
    codes = np.array([_codes(one, labels, f"rater {i}") for i, one in enumerate(ratings, 1)])
    counts = (codes[:, :, None] == np.arange(len(labels))).sum(axis=0)  # [n, k]
    raters = counts.sum(axis=1)
    kept = raters > 1
    counts, groups = counts[kept], _groups(clusters, codes.shape[1])[kept]
    pairs = counts[:, :, None] * counts[:, None, :] - np.eye(len(labels)) * counts[:, None, :]
    number, groups = _renumber(groups)
    tables = np.zeros((number, len(labels), len(labels)))
    np.add.at(tables, groups, pairs / (raters[kept] - 1)[:, None, None])
    rng = np.random.default_rng(named_seed("krippendorff", seed))
    return _estimate(alpha, tables, _resample(tables, draws, rng), level)


def kappa(tables: Floats) -> Floats:
    """Cohen's kappa of confusion tables [..., k, k] -> [...]; NaN for one label only, or none."""
    total = tables.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        agreed = np.trace(tables, axis1=-2, axis2=-1) / total
        chance = (tables.sum(-1) * tables.sum(-2)).sum(-1) / total**2
        return np.where(chance < 1, (agreed - chance) / (1 - chance), np.nan)


def alpha(tables: Floats) -> Floats:
    """Krippendorff's nominal alpha of coincidence tables [..., k, k] -> [...].

    tables[c, d]: pairs of labels c and d in the same answer, each answer's divided by its number of
    labels less one; symmetric (Krippendorff 2011, section C). NaN as in `kappa`.
    """
    total, margins = tables.sum(axis=(-2, -1)), tables.sum(-1)
    observed = total - np.trace(tables, axis1=-2, axis2=-1)
    expected = total**2 - (margins**2).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (total - 1) * observed / expected, np.nan)


def _alpha_of_two(tables: Floats) -> Floats:
    """Alpha of two raters from their confusion tables [..., k, k]."""
    return alpha(tables + np.swapaxes(tables, -2, -1))


def _resample(tables: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """[draws, k, k]: the sums over as many clusters as there are, drawn anew, and imagined ones.

    tables: [clusters, k, k]. Clusters of equal tables are drawn as one kind: the same, but quicker.
    """
    number, size = tables.shape[:2]
    kinds, times = np.unique(tables.reshape(number, size**2), axis=0, return_counts=True)
    total = tables.sum(axis=0)
    used = (total.sum(axis=0) + total.sum(axis=1)) > 0
    pairs = np.flatnonzero(np.outer(used, used))
    equal = pairs % (size + 1) == 0  # on the diagonal
    usual = total.sum() / max(number, 1)  # answers of a usual cluster
    if not number:
        return np.full((draws, size, size), np.nan)
    imagined = np.where(equal, 1 / equal.sum(), 1 / max((~equal).sum(), 1))
    weights = np.append(times, imagined)
    counts = rng.multinomial(round(weights.sum()), weights / weights.sum(), size=draws)
    drawn = counts @ np.concatenate([kinds, usual * np.eye(size**2)[pairs]])
    found: Floats = drawn.reshape(draws, size, size)
    return found


def _estimate(
    statistic: Callable[[Floats], Floats], tables: Floats, drawn: Floats, level: float
) -> Estimate:
    """A statistic of the sum of tables [clusters, k, k], its interval from draws [draws, k, k]."""
    value = float(statistic(tables.sum(axis=0)))
    found = statistic(drawn)
    found = found[~np.isnan(found)]  # a draw of one label only says nothing
    if np.isnan(value) or len(tables) < 2 or not len(found):
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value))


def _accuracy(tables: Floats, level: float) -> Estimate:
    """The share on the diagonal of tables [clusters, k, k], with Wilson's interval."""
    hits, sizes = np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2))
    n, number = sizes.sum(), len(tables)
    if number < 2:
        return Estimate(float(hits.sum() / n) if n else np.nan, np.nan, np.nan)
    share, effect = hits.sum() / n, 1.0
    if n > number:
        # two imagined clusters, one all equal and one not, for few clusters tell little
        usual = n / number
        total = n + 2 * usual
        about = (hits.sum() + usual) / total
        among = ((hits - about * sizes) ** 2).sum() + usual**2 * (about**2 + (1 - about) ** 2)
        effect = max(1.0, among / (about * (1 - about) * total))
    low, high = wilson(hits.sum() / effect, n / effect, level)
    return Estimate(float(share), float(low), float(high))


def _codes(values: Sequence[Hashable], labels: Sequence[Hashable], name: str) -> Ints:
    """[n] the position of each value in `labels`; "unparsed" comes after them."""
    places = {label: place for place, label in enumerate([*labels, UNPARSED])}
    if len(places) != len(labels) + 1 or not labels:
        raise MeasureError(
            f"labels: {', '.join(map(str, labels)) or 'none'}; give each label once, and not "
            f"{UNPARSED!r}, which is counted apart."
        )
    try:
        return np.array([places[value] for value in values], np.int64)
    except KeyError as error:
        raise MeasureError(
            f"{name}: {error.args[0]!r} is no label; use {', '.join(map(str, labels))} or "
            f"{UNPARSED}."
        ) from None


def _groups(clusters: Sequence[Hashable] | None, n: int) -> Ints:
    """[n] the number of each answer's cluster."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise MeasureError(f"clusters: {len(clusters)} for {n} answers; give one for each.")
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in clusters], np.int64)


def _renumber(groups: Ints) -> tuple[int, Ints]:
    """How many clusters are left, and their numbers without gaps."""
    found, numbers = np.unique(groups, return_inverse=True)
    return len(found), numbers.astype(np.int64)


def _check_draws(draws: int) -> None:
    if draws < 1:
        raise MeasureError(f"draws: {draws}; a bootstrap needs one or more, such as 2000.")
