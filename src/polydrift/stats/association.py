"""How well something predicts what tuning does to compliance: rank correlations over cells.

    made = associations(effects, measures, capability_effects, level=0.95, draws=2000, seed=0)

A cell is a variant asked unsafe prompts in one language; its outcome is the change in compliance
since the base. Three questions, each of every base and of their mean:

- *early warning*: does a measure that needs no generated token move along with compliance?
- *distance*: do cells whose activations moved further change more, and do they change upwards?
- *capability*: does a benchmark's change tell of compliance's, or are they unrelated?

The number is Spearman's rho, with mid-ranks for ties: 1 the same order, -1 the opposite one.

Its interval: cells of one variant hang together, and so do those of one evaluation language. Both
are drawn with replacement, and a cell counts as often as its variant times as often as its language
(the pigeonhole bootstrap: Owen 2007, Annals of Applied Statistics 1:386). Seeds of one tuning are
drawn as one, for they say nothing of other tunings. For a mean one draw holds for all bases, since
they have tuning sets and prompts in common. With z = artanh(rho) it is

    z -+ t(df) max(s, sqrt((1 + rho^2 / 2) / (cells - 3)))

s: half the width of the middle 68.3% of the drawn z, which draws of very few clusters do not move;
taken for no less than that of independent cells (Bonett and Wright 2000, Psychometrika 65:23), for
few points may lie in perfect order by chance. df: Satterthwaite's, from the jackknife's variances
over tunings and over languages. docs/association.md: how often it covers the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.seeds import named_seed
from polydrift.stats.effects import draw_counts
from polydrift.stats.intervals import check_level
from polydrift.stats.student import student_quantile, student_tail

SIGNED, SIZE = "compliance", "size of compliance change"
WARNING, DISTANCE, CAPABILITY = "early warning", "distance", "capability"
FEWEST = 5  # cells that have a correlation
_MEASURES = (  # and whether what counts is the change since the base
    ("refusal_mass", WARNING, True),
    ("refusal_margin", WARNING, True),
    ("refusal_shift_clearest", WARNING, False),
    ("drift_cosine", DISTANCE, False),
    ("drift_l2", DISTANCE, False),
    ("next_token_js", DISTANCE, False),
    ("accuracy", CAPABILITY, True),
    ("bits_per_byte", CAPABILITY, True),
)
_TEXTS = ("base", "suite", "judge", "predictor", "role", "outcome")
_COUNTS = ("cells", "variants", "tunings", "languages", "bases", "bases_left_out")
_FIGURES = ("rho", "low", "high", "bound", "p_equivalent")
_SCHEMA = pa.schema(
    {
        **{name: pa.string() for name in _TEXTS},
        **{name: pa.int64() for name in _COUNTS},
        **{name: pa.float64() for name in _FIGURES},
        "related": pa.string(),
    }
)
_MIDDLE = (NormalDist().cdf(-1), NormalDist().cdf(1))
_DIGITS = 12  # of a difference that are not rounding
_AT_ONCE = 500_000  # cells times draws held in memory together

Floats = NDArray[np.float64]
Place = tuple[str, str, str | None]  # base, variant, evaluation language
Values = dict[Place, float]
Predictor = tuple[str, str, Values]  # role, name; of variants where a place's language is None


class Points(NamedTuple):
    """Cells of one base. x, y: [cells]. The rest, [cells]: what each belongs to."""

    x: Floats
    y: Floats
    tunings: Sequence[str]
    languages: Sequence[str | None]
    variants: Sequence[str] = ()


class Correlation(NamedTuple):
    """rho, its interval, and the p of |rho| being `bound` or more; NaN where undefined."""

    rho: float
    low: float
    high: float
    p_equivalent: float


def associations(
    effects: pa.Table,
    measures: pa.Table,
    capability_effects: pa.Table,
    *,
    level: float,
    draws: int,
    seed: int,
    bound: float = 0.3,
) -> pa.Table:
    """The table `associations`: a row per base (null: their mean), suite, judge and predictor.

    effects, measures, capability_effects: the tables, rows in any order. level: of the intervals.
    draws, seed: of the bootstrap. bound: a rho nearer to 0 than this counts as none. A predictor
    that no cell has is not there. MeasureError for a bound outside (0, 1), for no draws, and for
    two values of one cell.
    """
    predictors = [*_of_measures(measures), *_of_capability(capability_effects)]
    wanted = pc.and_(pc.equal(effects["kind"], "unsafe"), pc.equal(effects["outcome"], SIGNED))
    cells = effects.filter(wanted)
    tunings = _tunings(cells)
    rows: list[dict[str, Any]] = []
    for suite, judge in sorted(set(_rows(cells, "suite", "judge"))):
        here = pc.and_(pc.equal(cells["suite"], suite), pc.equal(cells["judge"], judge))
        changes = _by_place(cells.filter(here), "difference", f"effects of {suite} by {judge}")
        for role, name, values in predictors:
            for outcome in (SIGNED, SIZE) if role == DISTANCE else (SIGNED,):
                bases = _points(values, changes, tunings, absolute=outcome == SIZE)
                groups: dict[str | None, list[Points]] = {base: [bases[base]] for base in bases}
                if bases:
                    groups[None] = [bases[base] for base in sorted(bases)]
                for base, group in groups.items():
                    texts = (base, suite, judge, name, role, outcome)
                    found = _row(group, level=level, draws=draws, seed=seed, bound=bound)
                    rows.append(dict(zip(_TEXTS, texts, strict=True)) | found)
    order = [(name, "ascending") for name in _TEXTS]
    return pa.Table.from_pylist(rows, schema=_SCHEMA).sort_by(order).combine_chunks()


def correlate(
    bases: Sequence[Points], *, level: float, draws: int, seed: int, bound: float = 0.3
) -> Correlation:
    """The rho of one base, or the mean of several, with its interval.

    NaN where a base has fewer than five cells or a side that is constant, and for no base; the
    interval also where there is one tuning and one language. With one of either, only the other is
    drawn. MeasureError as in `associations`.
    """
    check_level(level)
    if not 0 < bound < 1:
        raise MeasureError(f"bound: {bound} is no correlation between 0 and 1; give one like 0.3.")
    if draws < 2:
        raise MeasureError(f"draws: {draws}; a bootstrap needs two or more, such as 2000.")
    rhos = [_rho(base) for base in bases]
    sample = _Sample.of(bases)
    if not rhos or math.isnan(sum(rhos)) or max(sample.tunings.size, sample.languages.size) < 2:
        return Correlation(float(np.mean(rhos or math.nan)), *(math.nan,) * 3)
    rng = np.random.default_rng(named_seed("association", seed))
    drawn = (draw_counts(side.size, draws, rng).T for side in (sample.tunings, sample.languages))
    below, above = np.quantile(sample.fisher(*drawn), _MIDDLE)
    rho, (z,), degrees = float(np.mean(rhos)), sample.fisher(*sample.whole()), sample.degrees()
    cells = sum(len(base.x) - 3 for base in bases)
    error = max((above - below) / 2, math.sqrt((1 + math.tanh(z) ** 2 / 2) / cells))
    half = student_quantile(degrees, level) * error
    return Correlation(
        rho,
        low=min(math.tanh(z - half), rho),
        high=max(math.tanh(z + half), rho),
        p_equivalent=student_tail((math.atanh(bound) - abs(z)) / error, degrees),
    )


def spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman's rho of weighted cells, [draws].

    x, y: [cells]. weights: [cells, draws], how often a cell is there: whole ones give what repeated
    rows would. NaN where a side is constant among the cells that are there.
    """
    step = max(1, _AT_ONCE // max(len(x), 1))
    parts = []
    for start in range(0, weights.shape[1], step):
        part = weights[:, start : start + step]
        first, second = _ranks(x, part), _ranks(y, part)
        # of whole weights these are sums of quarters: exact, in any order
        both, one, two = ((part * a).sum(axis=0) for a in (first * second, first**2, second**2))
        with np.errstate(invalid="ignore"):
            parts.append(both / np.sqrt(one * two))
    return np.concatenate(parts)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """[cells, draws] mid-ranks of cells that are there `weights` times, less their mean."""
    _, ties, sizes = np.unique(values, return_inverse=True, return_counts=True)
    upto = weights[np.argsort(ties, kind="stable")].cumsum(axis=0)[sizes.cumsum() - 1]
    before = np.concatenate([np.zeros_like(upto[:1]), upto[:-1]])
    middle: Floats = (before + upto - upto[-1]) / 2
    return middle[ties]


def _rho(base: Points) -> float:
    """The rho of one base; NaN for too few cells."""
    if len(base.x) < FEWEST:
        return math.nan
    return float(spearman(base.x, base.y, np.ones((len(base.x), 1)))[0])


class _Side(NamedTuple):
    """Tunings or languages. size: how many; members: of each base's cells, which, [cells]."""

    size: int
    members: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, labels: Sequence[Sequence[str | None]]) -> _Side:
        names = sorted({str(label) for one in labels for label in one})
        places = {name: place for place, name in enumerate(names)}
        members = (np.array([places[str(label)] for label in one], np.int64) for one in labels)
        return cls(len(names), tuple(members))


class _Sample(NamedTuple):
    """Points of some bases, and the two sides that they have in common."""

    bases: Sequence[Points]
    tunings: _Side
    languages: _Side

    @classmethod
    def of(cls, bases: Sequence[Points]) -> _Sample:
        tunings = _Side.of([base.tunings for base in bases])
        return cls(bases, tunings, _Side.of([base.languages for base in bases]))

    def whole(self) -> list[Floats]:
        """Every tuning and every language once, [size, 1] each."""
        return [np.ones((side.size, 1)) for side in (self.tunings, self.languages)]

    def fisher(self, tunings: Floats, languages: Floats) -> Floats:
        """z of the mean rho where tunings and languages count so often, [size, draws] each.

        A draw that leaves all bases constant is not in it.
        """
        found = []
        members = zip(self.tunings.members, self.languages.members, strict=True)
        for base, (tuning, language) in zip(self.bases, members, strict=True):
            # perfect order is taken for half a step less than perfect
            cap = 1 - 6 / (len(base.x) ** 3 - len(base.x))
            rho = spearman(base.x, base.y, tunings[tuning] * languages[language])
            found.append(np.clip(rho, -cap, cap))
        drawn = np.array(found)
        z: Floats = np.arctanh(np.nanmean(drawn[:, ~np.isnan(drawn).all(axis=0)], axis=0))
        return z

    def degrees(self) -> float:
        """Of freedom, by Satterthwaite, each side's variance by leaving one out at a time."""
        parts = []
        for place, side in enumerate((self.tunings, self.languages)):
            if side.size > 1:
                left = self.whole()
                left[place] = 1 - np.eye(side.size)
                z = self.fisher(*left)
                known = len(z) == side.size  # or some side is constant without one of them
                variance = float(np.var(z)) * (side.size - 1) if known else math.nan
                parts.append((variance, side.size - 1))
        total = sum(variance for variance, _ in parts)
        if not total > 0:
            return min(degrees for _, degrees in parts)
        return total**2 / sum(variance**2 / degrees for variance, degrees in parts)


def _row(
    group: list[Points], *, level: float, draws: int, seed: int, bound: float
) -> dict[str, Any]:
    """The counts and figures of some bases together; those without a rho are left out."""
    kept = [base for base in group if not math.isnan(_rho(base))]
    found = correlate(kept, level=level, draws=draws, seed=seed, bound=bound)
    shown = kept or group
    apart, near = found.low > 0 or found.high < 0, found.p_equivalent < 1 - level
    words = {(True, False): "related", (False, True): "unrelated", (True, True): "weak"}
    return {
        "cells": sum(len(base.x) for base in shown),
        "variants": sum(len(set(base.variants)) for base in shown),
        "tunings": len({tuning for base in shown for tuning in base.tunings}),
        "languages": len({language for base in shown for language in base.languages}),
        "bases": len(kept),
        "bases_left_out": len(group) - len(kept),
        **found._asdict(),
        "bound": bound,
        "related": words.get((apart, near), "cannot tell"),
    }


def _points(
    values: Values, changes: Values, tunings: Mapping[tuple[str, str], str], *, absolute: bool
) -> dict[str, Points]:
    """By base, the cells where predictor and outcome are both known."""
    if any(language is None for _, _, language in values):
        changes = _means(((base, variant, None), y) for (base, variant, _), y in changes.items())
    cells: dict[str, list[tuple[Any, ...]]] = {}
    for place, y in changes.items():
        x = values.get(place, math.nan)
        if math.isfinite(x) and math.isfinite(y):
            base, variant, language = place
            cell = (x, abs(y) if absolute else y, tunings[base, variant], language, variant)
            cells.setdefault(base, []).append(cell)
    columns = {base: list(zip(*rows, strict=True)) for base, rows in cells.items()}
    return {base: Points(np.array(x), np.array(y), *of) for base, (x, y, *of) in columns.items()}


def _of_measures(measures: pa.Table) -> Iterator[Predictor]:
    """Those of `measures`; of one that has layers, at the last layer of each base."""
    for name, role, change in _MEASURES:
        rows = measures.filter(pc.equal(measures["measure"], name))
        bases, layers = rows["base"].to_pylist(), rows["layer"].fill_null(-1).to_pylist()
        last: dict[str, int] = {}
        for base, layer in zip(bases, layers, strict=True):
            last[base] = max(last.get(base, layer), layer)
        here = pa.array([last[base] for base in bases], pa.int64())
        rows = rows.filter(pc.equal(pa.array(layers, pa.int64()), here))
        values = _by_place(rows, "value", f"measures: {name}")
        yield role, name, _since_base(values) if change else values


def _since_base(values: Values) -> Values:
    """variant - base in each language; rounded, for 0.4 - 0.3 and 0.3 - 0.2 are a tie."""
    return {
        (base, variant, language): round(value - values[base, base, language], _DIGITS)
        for (base, variant, language), value in values.items()
        if variant != base and (base, base, language) in values
    }


def _of_capability(effects: pa.Table) -> Iterator[Predictor]:
    """Each task, and each benchmark that has tasks in several languages."""
    tasks: dict[tuple[str, str], Values] = {}
    for benchmark, task in sorted(set(_rows(effects, "benchmark", "task"))):
        of = pc.and_(pc.equal(effects["benchmark"], benchmark), pc.equal(effects["task"], task))
        values = _by_place(effects.filter(of), "difference", f"capability_effects: {task}")
        tasks[benchmark, task] = {at: round(value, _DIGITS) for at, value in values.items()}
    for benchmark in dict.fromkeys(benchmark for benchmark, _ in tasks):
        spoken = [
            values
            for (name, _), values in tasks.items()
            if name == benchmark and any(language is not None for _, _, language in values)
        ]
        languages = {place[2] for values in spoken for place in values}
        several = len(spoken) > 1 and len(languages) > 1
        if several:
            everywhere = _means(item for values in spoken for item in values.items())
            yield CAPABILITY, benchmark, everywhere
        for (name, task), values in tasks.items():
            if name == benchmark:
                short = task == benchmark and not several
                yield CAPABILITY, task if short else f"{benchmark}/{task}", values


def _means(items: Iterable[tuple[Place, float]]) -> Values:
    """The mean of the values of each place, those that are NaN left out."""
    found: dict[Place, list[float]] = {}
    for place, value in items:
        if math.isfinite(value):
            found.setdefault(place, []).append(value)
    return {place: math.fsum(values) / len(values) for place, values in found.items()}


def _by_place(table: pa.Table, column: str, where: str) -> Values:
    """A column by base, variant and language; where: begins the sentence of an error."""
    values: Values = {}
    for *place, value in _rows(table, "base", "variant", "evaluation_language", column):
        base, variant, language = place
        if (base, variant, language) in values:
            at = f"{variant} in {language or 'no language'}"
            raise MeasureError(f"{where}: two values of {at}; give one.")
        values[base, variant, language] = math.nan if value is None else value
    return values


def _tunings(cells: pa.Table) -> dict[tuple[str, str], str]:
    """By base and variant, what is equal of variants that differ in their seed alone."""
    names = ("base", "variant", "arm", "tuning_language", "epochs")
    return {
        (base, variant): variant if language is None else f"{arm} in {language}, {epochs} epochs"
        for base, variant, arm, language, epochs in set(_rows(cells, *names))
    }


def _rows(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)
