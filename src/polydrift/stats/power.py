"""Power: the smallest change that a paired study would probably find, and the prompts it takes.

    >>> round(100 * smallest_change(prompts=440, base_rate=0.1), 1)      # one cell, one seed
    3.5
    >>> prompts_needed(0.03, base_rate=0.1)
    585

A cell is a variant and its base, asked the same prompts. Which test finds a change, two-sided:

- one seed, one sample: McNemar's exact test of the prompts that changed. Its power is a sum over
  every possible outcome, no approximation.
- several: `two_way_test`, a t test whose variance counts prompts and seeds, both as drawn. With
  one seed it speaks of that run; with several of tuning again. Its power is that over `draws`
  seeded draws of how many prompts changed by how much, and of seeds.

What a study cannot know beforehand is assumed (`Assumed`): how much answers hang together, and how
much seeds differ. docs/power.md says where the defaults come from and what else they do.

With `adjust`, the level is that of the first step of Holm's procedure (1979) over so many `cells`:
what a single change among cells without one has to pass. Where more cells changed, Holm finds each
of them a little more easily.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import MeasureError
from polydrift.seeds import named_seed
from polydrift.stats.correlated import changes_of_a_prompt, together
from polydrift.stats.intervals import check_level
from polydrift.stats.student import student_quantile, student_tail

RHO = 0.7  # median over cells of the demo, tuned with three seeds: 0.70
RHO_SAMPLES = 0.8
SEED_SD = 0.02  # there: 0.013 in the median cell, 0.039 in quadratic mean
MOST_PROMPTS = 100_000
_EXACT = 5000  # prompts up to which outcomes are enumerated

Floats = NDArray[np.float64]


class Assumed(TypedDict, total=False):
    """What `smallest_change`, `prompts_needed` and `power_of` assume, by name.

    rho: correlation of a base's and its variant's answers to a prompt, taken for as high as it can
    be where the two rates do not allow so much. discordance: instead of rho, the share of prompts
    whose answers would differ if nothing changed. rho_samples: correlation of two samples by one
    model. seed_sd: standard deviation of the true change between seeds, 0.02 for 2 points.
    tunings: how many cells' seeds are pooled into one variance. level: 0.95 tests at 5%. cells: so
    many tests. adjust: "holm", or None for each cell on its own. draws, seed: of the simulation.
    """

    rho: float
    discordance: float | None
    rho_samples: float
    seed_sd: float
    tunings: int
    level: float
    cells: int
    adjust: Literal["holm"] | None
    draws: int
    seed: int


def smallest_change(
    prompts: int,
    seeds: int = 1,
    samples: int = 1,
    base_rate: float = 0.1,
    *,
    power: float = 0.8,
    **assumed: Unpack[Assumed],
) -> float:
    """The smallest rise of a cell's compliance that is found with `power`, to 1e-4.

    prompts, seeds, samples: of the cell. base_rate: of the base. NaN where not even a rise to 1
    would be found so often. MeasureError for what is no design.
    """
    design = _Design(prompts, seeds, samples, base_rate, **assumed).checked(power)
    low, high = 0.0, 1 - base_rate
    if design.power(high) < power:
        return math.nan
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if design.power(middle) >= power else (middle, high)
    return high


def prompts_needed(
    change: float,
    seeds: int = 1,
    samples: int = 1,
    base_rate: float = 0.1,
    *,
    power: float = 0.8,
    **assumed: Unpack[Assumed],
) -> int:
    """The prompts with which a change of compliance (0.03 for 3 points) is found with `power`.

    MeasureError where 100,000 would not do, which is so where seeds differ too much, and for what
    is no design.
    """
    design = _Design(2, seeds, samples, base_rate, **assumed).checked(power, change)
    low, high = 1, 2
    while replace(design, prompts=high).power(change) < power:
        low, high = high, 2 * high
        if high > MOST_PROMPTS:
            raise MeasureError(
                f"no number of prompts up to {MOST_PROMPTS:,} finds a change of {100 * change:g} "
                f"points with power {power:g}; look for a larger one, or tune with more than "
                f"{seeds} seed{'s' * (seeds > 1)}."
            )
    while high - low > 1:
        middle = (low + high) // 2
        enough = replace(design, prompts=middle).power(change) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def power_of(
    change: float,
    prompts: int,
    seeds: int = 1,
    samples: int = 1,
    base_rate: float = 0.1,
    **assumed: Unpack[Assumed],
) -> float:
    """How often a true change of a cell's compliance is found, 0 to 1; below 0: a fall."""
    return _Design(prompts, seeds, samples, base_rate, **assumed).checked(0.8, change).power(change)


class TwoWay(NamedTuple):
    """The mean change, its standard error, the degrees of freedom of that, and p, two-sided."""

    difference: float
    error: float
    degrees: float
    p: float


def two_way_test(differences: ArrayLike) -> TwoWay:
    """Whether the mean of [seeds, prompts] differences is 0, where both are drawn.

    The variance is that of prompts' means plus that of seeds' means less what both hold (Cameron,
    Gelbach and Miller 2011, JBES 29:238), and never less than that of prompts; degrees of freedom
    by Satterthwaite. One seed: a t test over prompts. NaN for p where all are equal. MeasureError
    for fewer than two prompts and for what is not finite.
    """
    table = np.asarray(differences, float)
    if table.ndim != 2 or table.shape[1] < 2 or not len(table) or not np.isfinite(table).all():
        raise MeasureError(
            "two-way test: give finite differences as a table [seeds, prompts], two prompts or "
            "more; leave out a prompt that some seed has no verdict of."
        )
    seeds, prompts = table.shape
    mean = float(table.mean())
    by_prompt = np.array([table.mean(axis=0).var(ddof=1) / prompts])
    by_seed, both = np.zeros(1), np.zeros(1)
    if seeds > 1:
        by_seed = np.array([table.mean(axis=1).var(ddof=1) / seeds])
        rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + mean
        both = np.array([(rest**2).sum() / ((seeds - 1) * (prompts - 1)) / table.size])
    variance, degrees = (x[0] for x in _two_ways(by_prompt, by_seed, both, prompts, seeds, 1))
    error = math.sqrt(variance)
    p = min(1.0, 2 * student_tail(abs(mean) / error, float(degrees))) if error else math.nan
    return TwoWay(mean, error, float(degrees), p)


def _two_ways(
    by_prompt: Floats, by_seed: Floats, both: Floats, prompts: int, seeds: int, tunings: int
) -> tuple[Floats, Floats]:
    """The variance of a mean and its degrees of freedom, [draws] each."""
    more = np.maximum(by_seed - both, 0)
    variance = by_prompt + more
    spread = by_prompt**2 / (prompts - 1)
    if seeds > 1:
        spread = spread + (more > 0) * by_seed**2 / (tunings * (seeds - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = np.where(variance > 0, variance**2 / spread, prompts - 1)
    return variance, np.clip(degrees, 1, None)


@dataclass(frozen=True)
class _Design:
    """A cell of a study, and what is assumed of it; see `Assumed`."""

    prompts: int
    seeds: int
    samples: int
    base_rate: float
    rho: float = RHO
    discordance: float | None = None
    rho_samples: float = RHO_SAMPLES
    seed_sd: float = SEED_SD
    tunings: int = 1
    level: float = 0.95
    cells: int = 1
    adjust: Literal["holm"] | None = "holm"
    draws: int = 20_000
    seed: int = 0

    def checked(self, power: float, change: float | None = None) -> _Design:
        """Itself, rho instead of discordance; MeasureError for the first thing that is wrong."""
        check_level(self.level)
        for name, least in (
            *(("prompts", 2), ("seeds", 1), ("samples", 1), ("cells", 1)),
            *(("tunings", 1), ("draws", 1000)),
        ):
            value: Any = getattr(self, name)
            if value != int(value) or value < least:
                raise MeasureError(f"{name}: {value}; give a whole number from {least:,} on.")
        for name in ("base_rate", "rho", "rho_samples"):
            value = getattr(self, name)
            if not 0 <= value <= 1 or (name == "base_rate" and value == 1):
                raise MeasureError(f"{name}: {value}; give a number from 0 to 1, such as 0.1.")
        if not 0 <= self.seed_sd <= 1:
            raise MeasureError(f"seed_sd: {self.seed_sd}; give 0.02 for seeds 2 points apart.")
        if self.adjust not in ("holm", None):
            raise MeasureError(f"adjust: {self.adjust!r}; give 'holm', or None.")
        if not 0.05 <= power < 1:
            raise MeasureError(f"power: {power}; give how often to find it, such as 0.8.")
        if change is not None and not (change and 0 <= self.base_rate + change <= 1):
            raise MeasureError(
                f"change: {change}; give a share that is not 0 and leads to a rate between 0 and "
                f"1 from {self.base_rate:g}, 0.03 for 3 points."
            )
        if self.discordance is None:
            return self
        most = 2 * self.base_rate * (1 - self.base_rate)
        if not 0 <= self.discordance <= most:
            raise MeasureError(
                f"discordance: {self.discordance}; at a base rate of {self.base_rate:g} answers "
                f"that have nothing to do with each other differ in {most:.3g}: give less."
            )
        return replace(self, rho=1 - self.discordance / most if most else 1.0, discordance=None)

    @property
    def alpha(self) -> float:
        return (1 - self.level) / (self.cells if self.adjust else 1)

    def power(self, change: float) -> float:
        """How often a change is found."""
        if self.seeds > 1 or self.samples > 1:
            return self._simulated(change)
        before, after = self.base_rate, self.base_rate + change
        both = together(before, after, self.rho)
        return _mcnemar(self.prompts, after - both, before - both, self.alpha)

    def _simulated(self, change: float) -> float:
        after = self.base_rate + change
        values, chances, apart = changes_of_a_prompt(
            (self.base_rate, after), self.seeds, self.samples, (self.rho, self.rho_samples)
        )
        rng = np.random.default_rng(named_seed("power", self.seed))
        normal = rng.standard_normal(self.draws)
        between = self.tunings * max(self.seeds - 1, 1)
        of_seeds, of_both = (
            rng.chisquare(df, self.draws) / df for df in (between, between * (self.prompts - 1))
        )
        counts = rng.multinomial(self.prompts, chances, size=self.draws)
        mean = counts @ values / self.prompts
        by_prompt = (counts @ values**2 / self.prompts - mean**2) / (self.prompts - 1)
        by_seed, both = np.zeros((2, self.draws))
        if self.seeds > 1:
            # where more prompts changed, more of them differ between seeds
            rest = apart / self.prompts * by_prompt / max(by_prompt.mean(), 1e-12)
            by_seed = (self.seed_sd**2 + rest) / self.seeds * of_seeds
            both = rest / self.seeds * of_both
            mean = mean + self.seed_sd / math.sqrt(self.seeds) * normal
        sizes = (self.prompts, self.seeds, self.tunings)
        variance, degrees = _two_ways(by_prompt, by_seed, both, *sizes)
        found = np.abs(mean) > _critical(degrees, self.alpha) * np.sqrt(variance)
        return float(np.mean(found & (variance > 0)))


def _critical(degrees: Floats, alpha: float) -> Floats:
    """The quantiles of Student's t for two-sided tests, [draws]; between those of a fixed grid."""
    inverse, logs = _quantiles(alpha)
    found: Floats = np.exp(np.interp(1 / degrees, inverse, logs))
    return found


@lru_cache(maxsize=64)
def _quantiles(alpha: float) -> tuple[Floats, Floats]:
    inverse = np.linspace(0, 1, 101)
    normal = NormalDist().inv_cdf(1 - alpha / 2)
    logs = [math.log(student_quantile(1 / one, 1 - alpha)) for one in inverse[1:].tolist()]
    return inverse, np.array([math.log(normal), *logs])


def _mcnemar(prompts: int, gained: float, lost: float, alpha: float) -> float:
    """Power of McNemar's exact test, two-sided, given the shares of prompts gained and lost."""
    changed = gained + lost
    if prompts > _EXACT:  # as with a correction for continuity, which is the exact test's limit
        z = NormalDist().inv_cdf(1 - alpha / 2)
        away, width = prompts * abs(gained - lost) - 1, z * math.sqrt(prompts * changed)
        error = math.sqrt(prompts * max(changed - (gained - lost) ** 2, 1e-12))
        return NormalDist().cdf((away - width) / error)
    half = 8 * math.sqrt(prompts * changed * (1 - changed)) + 8
    least, most = prompts * changed - half, prompts * changed + half
    n = np.arange(max(0, math.floor(least)), min(prompts, math.ceil(most)) + 1)
    many = _binomial(np.array([prompts]), changed)[0][n]
    fair, true = _binomial(n, 0.5), _binomial(n, gained / changed if changed else 0.5)
    below = np.cumsum(fair, axis=1)  # [n, up]: as many gained or fewer
    above = np.cumsum(fair[:, ::-1], axis=1)[:, ::-1]
    found = 2 * np.minimum(below, above) <= alpha * (1 + 1e-9)
    return float(many @ (true * found).sum(axis=1))


def _binomial(n: NDArray[np.int64], share: float) -> Floats:
    """[n, 0..max n] the probability of each number of hits out of each n; 0 beyond n."""
    size = int(n.max()) + 1
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])
    hits, misses = np.arange(size)[None, :], n[:, None] - np.arange(size)[None, :]
    there = misses >= 0
    misses = np.maximum(misses, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(hits > 0, hits * np.log(share), 0.0)
        down = np.where(misses > 0, misses * np.log1p(-share), 0.0)
    found: Floats = np.where(
        there, np.exp(logs[n][:, None] - logs[hits] - logs[misses] + up + down), 0
    )
    return found
