"""Two answers to each prompt, one of the base and one of the variant: did anything change?

    >>> exact_p(np.array([[1] * 9 + [-1] + [0] * 90])).round(4).tolist()
    [0.0215]

Nine of 100 prompts began to be complied with and one ceased to.

**The test.** If tuning did nothing, each prompt's change could as well have been the opposite one.
So the signs of the changes are flipped in every way, and p is the share of ways whose sum is at
least as far from 0. With one answer for each prompt that is McNemar's exact test (1947,
Psychometrika 12:153). With several, a prompt's change is the sum over its answers, -k ... k, and
the sum of +-1 n_1 times, +-2 n_2 times and so on is a convolution of binomials: exact, with no
draws.

**The fold**, variant / base. Bonett and Price's interval (2006, Computational Statistics and Data
Analysis 51:1523): Wilson's for each rate, over the answers where either had the outcome, both at a
level that makes their quotient cover as often as it says:

    low = l_v / u_b   high = u_v / l_b
    z' = z sqrt((d + 2) / ((v + 1)(b + 1))) / (B(v) + B(b)),  B(x) = sqrt((1 - (x+1)/(m+2)) / (x+1))

v, b: how often variant and base had it; m: how often either; d: how often one alone. It has an end
also where a count is 0: 30 of 440 against none is at least 8-fold. Several answers of a prompt tell
less than as many prompts, so the counts are divided by the design effect

    g = (sum over prompts of (A_p/v' - B_p/b')^2 + k e) / (the same over answers + e)
    v' = v + 1   b' = b + 1   e = 1/v'^2 + 1/b'^2   k: answers of a usual prompt

no less than 1. e is of two imagined prompts, each answered alike in all k: with few events it is
not known how far answers of a prompt hang together, and they are taken to.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polydrift.stats.intervals import check_level, wilson

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Pairs(NamedTuple):
    """Counts of columns (cells) and prompts, over the answers of which both sides are known.

    after, before: [columns, prompts] how often variant and base had the outcome. both: [columns]
    how often both at once, in the same sample. sizes: [columns, prompts] pairs.
    """

    after: Ints
    before: Ints
    both: Ints
    sizes: Ints

    @property
    def changes(self) -> Ints:
        """[columns, prompts] after - before."""
        return self.after - self.before


class Figures(NamedTuple):
    """Of each column: what `rates_of` tells. NaN where there is no pair; fold also at base 0."""

    base_rate: Floats
    variant_rate: Floats
    difference: Floats
    prompts: Ints
    fold: Floats


def rates_of(pairs: Pairs) -> Figures:
    """Both rates, their difference and quotient, and how many prompts they rest on."""
    total = pairs.sizes.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        before, after = pairs.before.sum(axis=1) / total, pairs.after.sum(axis=1) / total
        return Figures(
            base_rate=before,
            variant_rate=after,
            difference=pairs.changes.sum(axis=1) / total,
            prompts=(pairs.sizes > 0).sum(axis=1),
            fold=np.where(before > 0, after / before, np.nan),
        )


def exact_p(changes: Ints, known: NDArray[np.bool_] | None = None) -> Floats:
    """Two-sided p of each column of changes, [columns], by all flips of signs.

    changes: [columns, prompts], whole. known: [columns] which have pairs at all; the others are
    NaN. 1 where nothing changed, and where as much changed one way as the other.
    """
    found = np.full(len(changes), np.nan)
    rows = np.flatnonzero(np.ones(len(changes), bool) if known is None else known)
    if not rows.size:
        return found
    sizes = np.abs(changes[rows])
    top = int(sizes.max(initial=0))
    kinds = [np.count_nonzero(sizes == value, axis=1) for value in range(1, top + 1)]
    keys = np.stack([np.abs(changes[rows].sum(axis=1)), *kinds], axis=1)
    keys, places = np.unique(keys, axis=0, return_inverse=True)
    factorials = np.append(0.0, np.log(np.arange(1, changes.shape[1] + 1)).cumsum())
    each = [_flipped(total, times, factorials) for total, *times in keys.tolist()]
    found[rows] = np.array(each)[places.ravel()]
    return found


def _flipped(total: int, times: list[int], factorials: Floats) -> float:
    """P(|sum| >= total) of `times[v - 1]` changes of +-v each."""
    if total == 0:
        return 1.0
    chances = np.ones(1)  # of the sum of those with a positive sign
    for value, n in enumerate(times, 1):
        if n:
            heads = factorials[n] - factorials[: n + 1] - factorials[n::-1] - n * np.log(2)
            steps = np.zeros(value * n + 1)
            steps[::value] = np.exp(heads)
            chances = np.convolve(chances, steps)
    at_most = (len(chances) - 1 - total) // 2
    return min(1.0, 2 * float(chances[: at_most + 1].sum()))


def fold_interval(pairs: Pairs, *, level: float, seeds: Floats | float = 0.0) -> tuple[Floats, ...]:
    """(low, high) of variant / base, [columns] each.

    seeds: [columns] the square of half an interval that the variant's rate has for another reason,
    in units of rates; it widens the interval of log(variant / base), half of which grows to
    sqrt(half^2 + seeds / rate^2). Where the base never had the outcome high is infinite, where the
    variant never had, low is 0; NaN without a pair.
    """
    check_level(level)
    total = pairs.sizes.sum(axis=1)
    after, before = pairs.after.sum(axis=1), pairs.before.sum(axis=1)
    effect = _design_effect(pairs, after, before)
    v, b, both = after / effect, before / effect, pairs.both / effect
    either = (after + before - pairs.both) / effect
    ends = [np.sqrt(np.maximum(1 - (x + 1) / (either + 2), 0) / (x + 1)) for x in (v, b)]
    with np.errstate(invalid="ignore", divide="ignore"):
        stretch = np.sqrt((either - both + 2) / ((v + 1) * (b + 1))) / (ends[0] + ends[1])
        # Wilson's interval at z * stretch is that of so many fewer at z
        low_v, high_v = wilson(v / stretch**2, either / stretch**2, level)
        low_b, high_b = wilson(b / stretch**2, either / stretch**2, level)
        low, high = low_v / high_b, np.where(before > 0, high_v / low_b, np.inf)
        low, high = np.where(after > 0, low, 0.0), np.where(either > 0, high, np.inf)
        middle = (after + 0.5) / (before + 0.5)
        more = seeds / ((after + 0.5) / (total + 1)) ** 2
        low = middle * np.exp(-np.hypot(np.log(middle / low), np.sqrt(more)))
        high = middle * np.exp(np.hypot(np.log(high / middle), np.sqrt(more)))
    return np.where(total > 0, low, np.nan), np.where(total > 0, high, np.nan)


def _design_effect(pairs: Pairs, after: Ints, before: Ints) -> Floats:
    """[columns] g of the module's text."""
    v, b = after + 1, before + 1
    imagined = 1 / v**2 + 1 / b**2
    usual = pairs.sizes.sum(axis=1) / np.maximum((pairs.sizes > 0).sum(axis=1), 1)
    of_prompts = (pairs.after / v[:, None] - pairs.before / b[:, None]) ** 2
    of_answers = after / v**2 + before / b**2 - 2 * pairs.both / (v * b)
    found: Floats = (of_prompts.sum(axis=1) + usual * imagined) / (of_answers + imagined)
    return np.maximum(found, 1.0)
