"""Two rates on the same prompts: their difference, its one-sided limits, and prompts to tell.

    >>> paired = count([(base, variant)], "compliance")     # [prompts, samples]: 1, 0, -1 absent
    >>> paired.difference, paired.limits(0.95), paired.p_worse()

The limits invert Tango's score test (1998, Statistics in Medicine 17:891), moved outwards by a
quarter of a prompt: without, they leave out a difference in up to 6.5% instead of 5% where answers
change in one direction only; with, never in more than 5% (docs/gate.md).

Prompts are what is drawn. With several samples of each, or the mean over languages, gains and
losses are counted in prompts, and the score's variance is multiplied by that of the prompts'
differences over the one that such counts would have: a design effect, as in Rao and Scott (1992,
Biometrics 48:577). For one sample of one language it is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import MeasureError

POWER = 0.8  # with which the prompts that are said to be needed tell
MOST = 100_000  # prompts that anyone would ask
_AGAINST = 0.25  # of a prompt

Pair = tuple[ArrayLike, ArrayLike]  # of base and variant, [prompts, samples]: 1, 0, or -1 absent
Ints = NDArray[np.int64]


class Paired(NamedTuple):
    """Two rates on the same prompts.

    prompts: judged of both. gained: prompts positive for the variant only; lost: for the base only
    (fractions of prompts, where there are several samples). effect: of the design. languages: of
    which it is the mean.
    """

    prompts: int
    gained: float
    lost: float
    effect: float = 1.0
    languages: int = 1

    @property
    def difference(self) -> float:
        """Variant - base; NaN for no prompts."""
        return (self.gained - self.lost) / self.prompts if self.prompts else math.nan

    def p_worse(self) -> float:
        """One-sided p of no change or a fall: McNemar's score, moved. NaN for no prompts."""
        if not self.prompts:
            return math.nan
        error = math.sqrt((self.gained + self.lost) * self.effect)
        moved = self.gained - self.lost - _AGAINST / self.languages
        return 1 - NormalDist().cdf(moved / error) if error else 1.0

    def limits(self, level: float) -> tuple[float, float]:
        """The two one-sided limits of the difference, each of `level`; NaN for no prompts."""
        if not self.prompts:
            return math.nan, math.nan
        return -self._furthest(self.lost, self.gained, level), self._furthest(
            self.gained, self.lost, level
        )

    def _furthest(self, up: float, down: float, level: float) -> float:
        """The largest difference that the score does not exclude: it falls as that grows."""
        n, bound = self.prompts, NormalDist().inv_cdf(level) ** 2 * self.effect
        low, high = (up - down) / n, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            moved = up - down - n * middle + _AGAINST / self.languages
            excluded = moved < 0 and moved**2 > bound * _variance(up, down, n, middle)
            low, high = (low, middle) if excluded else (middle, high)
        return high

    def needed(self, other: float, level: float) -> int | None:
        """Prompts with which the score would probably tell the difference from another, at `level`.

        With 80% power, by the normal approximation, if the truth is what was seen. None where that
        is more than 100,000, or nothing was seen.
        """
        distance = abs(self.difference - other)
        if not distance > 0:
            return None
        # half a prompt more of each kind, so that no change at all has a variance too
        n, up, down = self.prompts + 2, self.gained + 0.5, self.lost + 0.5
        if_other = _variance(up, down, n, other) / n
        if_seen = (up + down) / n - self.difference**2
        quantile = NormalDist().inv_cdf
        spread = quantile(level) * math.sqrt(if_other) + quantile(POWER) * math.sqrt(if_seen)
        spread *= math.sqrt(self.effect)
        # of n distance - 1/4 = sqrt(n) spread
        root = (spread + math.sqrt(spread**2 + 4 * distance * _AGAINST / self.languages)) / 2
        need = (root / distance) ** 2
        return max(math.ceil(need), self.prompts + 1) if need <= MOST else None


def _variance(gained: float, lost: float, n: float, difference: float) -> float:
    """Of gained - lost, where the difference is `difference` and the rest is most likely."""
    b = (2 * n - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    rest = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    return n * max(2 * rest + difference * (1 - difference), 0.0)


def count(pairs: Sequence[Pair | None], what: str) -> Paired:
    """The mean difference of some languages, over the same prompts.

    pairs: of each language; none: it was not asked, and nothing is known of the mean. Answers count
    alike, so a prompt with fewer judged samples counts less. what: begins the sentence of an error.
    MeasureError for values other than 1, 0 and -1, and for tables that do not match.
    """
    answers = [_answers(pair, what) for pair in pairs if pair is not None]
    if len({len(base) for base, _ in answers}) > 1:
        raise MeasureError(
            f"{what}: some languages have more prompts than others, and a mean is over the same "
            "prompts; give -1 for those that were not judged."
        )
    judged = [(base >= 0) & (variant >= 0) for base, variant in answers]
    if len(answers) < len(pairs) or not all(both.any() for both in judged):
        return Paired(0, 0.0, 0.0, languages=max(len(pairs), 1))
    moves, gained, lost = [], 0.0, 0.0
    for (base, variant), both in zip(answers, judged, strict=True):
        change, sizes = np.where(both, variant - base, 0).sum(axis=1), both.sum(axis=1)
        total = sizes.sum()
        gained += float((both & (variant > base)).sum() / total)
        lost += float((both & (variant < base)).sum() / total)
        moves.append((change - sizes * change.sum() / total) / total)
    prompts = int(np.any([both.any(axis=1) for both in judged], axis=0).sum())
    up, down = gained / len(pairs) * prompts, lost / len(pairs) * prompts
    # an imagined prompt of one language in both, so that an effect of few changes is near 1
    imagined = 1 / len(pairs)
    spread = math.fsum((np.mean(moves, axis=0) ** 2).tolist()) * prompts**2 + imagined
    effect = spread / (up + down - (up - down) ** 2 / prompts + imagined)
    return Paired(prompts, up, down, effect, len(pairs))


def _answers(pair: Pair, what: str) -> tuple[Ints, Ints]:
    """Base and variant, checked."""
    base, variant = (np.asarray(side) for side in pair)
    if base.ndim != 2 or base.shape != variant.shape:
        shapes = " and ".join(" x ".join(map(str, side.shape)) or "one" for side in (base, variant))
        raise MeasureError(
            f"{what}: base and variant must be tables [prompts, samples] alike, not {shapes}."
        )
    for name, side in (("base", base), ("variant", variant)):
        strange = ~np.isin(side, (-1, 0, 1))
        if strange.any():
            raise MeasureError(
                f"{what}: the {name} holds {side[strange][0]}; give 1, 0 or -1 (not judged)."
            )
    return base.astype(np.int64), variant.astype(np.int64)
