"""Effects over seeds: what a tuning did, whichever seed it was run with.

A row has all variants that differ in their tuning seed alone. Two things were drawn by chance, the
prompts and the seeds, and each seed answers every prompt. The difference is over all pairs of
answers together; its variance has a part of each (Owen 2007, Annals of Applied Statistics 1:386;
Cameron, Gelbach and Miller 2011, JBES 29:238). With r(p, s) what a prompt and seed add beyond the
difference, N pairs, P prompts and S seeds:

    V(prompts) = sum over p of r(p, .)^2 / N^2
    V(seeds)   = S / (S - 1) sum over s of r(., s)^2 / N^2  -  the same of what is left of r
                 when both are taken out; no less than 0

The interval is that of `effects` over prompts, with all seeds of a prompt together, and grows by
Student's t for what the seeds add:

    low = d - sqrt((d - low(prompts))^2 + t(S - 1)^2 V(seeds))       high likewise

Seeds are few, so they are not drawn like prompts: three have ten different draws, whose spread is a
third too small. With three t is 4.3 and not 2: what differs between seeds costs twice as much as
what differs between prompts, and one seed says nothing of it at all. The fold's interval grows by
the same in logarithms.

p is the larger of two. One flips the signs of the prompts' changes, all ways (`paired.exact_p`): it
is exact for few prompts and knows nothing of seeds. The other, two-way, is the level at which an
interval like the above, of normal prompts, ends at 0. What seeds add there is drawn towards what
they add to the other cells of the base, and has the more degrees of freedom (`stats.moderated`), or
no p among a thousand cells would be small enough with three seeds. With one tuning there is nothing
to draw towards, and with one seed a row is that of `effects`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.stats.cells import OUTCOMES, Block, Cells
from polydrift.stats.effects import (
    block_counts,
    difference_interval,
    imagined_weight,
    pairs_of,
    tuned_and_base,
)
from polydrift.stats.intervals import check_level
from polydrift.stats.moderated import moderated
from polydrift.stats.multiplicity import with_adjusted
from polydrift.stats.paired import Pairs, exact_p, fold_interval, rates_of
from polydrift.stats.student import student_quantile

TUNING = ("base", "arm", "epochs", "tuning_language")
_AT = (*TUNING, "evaluation_language", "suite", "kind", "judge", "outcome")
_SCHEMA = pa.schema(
    {
        **{name: pa.int64() if name == "epochs" else pa.string() for name in _AT},
        **{name: pa.float64() for name in ("base_rate", "variant_rate", "difference")},
        **{name: pa.float64() for name in ("low", "high", "p")},
        **{name: pa.float64() for name in ("fold", "fold_low", "fold_high")},
        **{name: pa.int64() for name in ("prompts", "seeds")},
    }
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Parts(NamedTuple):
    """What makes the variance of differences, [groups] each; the module tells how.

    prompts: V(prompts). by_seeds: V(seeds), 0 with one. moderated: the same with the help of other
    cells, and degrees of freedom, whole. seeds: how many have pairs.
    """

    prompts: Floats
    by_seeds: Floats
    moderated: Floats
    degrees: Ints
    seeds: Ints


class Group(NamedTuple):
    """A tuning asked in one language. name: TUNING and language. members: rows of `tuned`."""

    name: tuple[Any, ...]
    members: Ints


def pooled(
    cells: Cells,
    *,
    level: float,
    draws: int,
    seed: int,
    outcomes: Collection[str] = tuple(OUTCOMES),
) -> pa.Table:
    """The table `pooled`: a row per tuning, evaluation language, suite, kind, judge and outcome.

    A tuning is base, arm, epochs and tuning language; a variant that was given is one too. level:
    of the intervals. draws, seed: of the bootstrap, the same draws as in `effects`. outcomes:
    which. p are adjusted within suite, kind, judge and outcome. MeasureError for a level or a
    number of draws that is none, and for two variants of one tuning and seed.
    """
    check_level(level)
    rows = cells.table.to_pylist()
    made: list[pa.Table] = []
    for block in cells.blocks:
        tuned, bases = tuned_and_base(rows, block)
        if not len(tuned):
            continue
        groups = groups_of(rows, block, tuned)
        counts = block_counts(block, draws, seed)
        for outcome in outcomes:
            pairs = pairs_of(block, outcome, tuned, bases)
            figures = figures_of(pairs, groups, counts, level)
            names = [(*one.name, block.suite, block.kind, block.judge, outcome) for one in groups]
            columns = dict(zip(_AT, zip(*names, strict=True), strict=True)) | figures
            arrays = [pa.array(columns[field.name], field.type) for field in _SCHEMA]
            made.append(pa.Table.from_arrays(arrays, schema=_SCHEMA))
    table = pa.concat_tables([_SCHEMA.empty_table(), *made])
    order = [(name, "ascending") for name in _AT]
    return with_adjusted(table.sort_by(order).combine_chunks())


def groups_of(rows: list[dict[str, Any]], block: Block, tuned: Ints) -> list[Group]:
    """The tuned cells of a block that differ in their seed alone; rows: of `Cells.table`."""
    found: dict[tuple[Any, ...], dict[int | None, int]] = {}
    for place, position in enumerate(tuned):
        row = rows[block.cells[position]]
        name = tuple(row[column] for column in (*TUNING, "evaluation_language"))
        if found.setdefault(name, {}).setdefault(row["tuning_seed"], place) != place:
            raise MeasureError(
                f"verdicts: two variants of {row['base']} are arm {row['arm']!r} in "
                f"{row['tuning_language']}, epochs {row['epochs']}, seed {row['tuning_seed']}; "
                "give them different arms or seeds."
            )
    return [Group(name, np.array(list(seeds.values()))) for name, seeds in found.items()]


def gathered(pairs: Pairs, groups: list[Group]) -> Pairs:
    """The pairs of each group together, seeds as if they were samples."""

    def total(values: Ints) -> Ints:
        return np.stack([values[group.members].sum(axis=0) for group in groups])

    return Pairs(*(total(values) for values in pairs))


def parts_of(pairs: Pairs, groups: list[Group]) -> Parts:
    """The variances of the groups' differences."""
    changes = pairs.changes
    weights = imagined_weight(gathered(pairs, groups)).tolist()
    each = [
        _parts(changes[one.members], pairs.sizes[one.members], weight)
        for one, weight in zip(groups, weights, strict=True)
    ]
    prompts, between, within, seeds = (np.array(values) for values in zip(*each, strict=True))
    drawn, degrees = np.zeros(len(groups)), np.maximum(seeds - 1, 1)
    alike: dict[tuple[Any, int], list[int]] = {}
    for place in np.flatnonzero(within > 0).tolist():
        alike.setdefault((groups[place].name[0], int(seeds[place])), []).append(place)
    for (_, number), places in alike.items():
        tunings = len({groups[place].name[: len(TUNING)] for place in places})
        found = moderated(between[places] / within[places], number - 1, tunings)
        drawn[places] = np.maximum(found.ratio - 1, 0) * within[places]
        degrees[places] = np.floor(found.degrees + 1e-9)
    return Parts(prompts, np.maximum(between - within, 0), drawn, degrees, seeds)


def _parts(changes: Ints, sizes: Ints, weight: float) -> tuple[float, float, float, int]:
    """(V(prompts), what seeds vary, what of it is left of prompts and seeds, seeds) of a group.

    changes, sizes: [seeds, prompts]. weight: of each of the two imagined prompts.
    """
    asked = sizes.any(axis=1)
    changes, sizes = changes[asked], sizes[asked]
    total, seeds = sizes.sum(), len(sizes)
    if not seeds:
        return np.nan, np.nan, np.nan, 0
    residual = changes - changes.sum() / total * sizes
    of_prompts, in_prompt = residual.sum(axis=0), sizes.sum(axis=0)
    prompts = ((of_prompts**2).sum() + weight**2) / (total + 2 * weight) ** 2
    if seeds == 1:
        return prompts, 0.0, 0.0, 1
    of_seeds, in_seed = residual.sum(axis=1), sizes.sum(axis=1)
    mean = of_prompts / np.maximum(in_prompt, 1)
    left = residual - sizes * mean - sizes * (of_seeds / in_seed)[:, None]
    cells = np.count_nonzero(sizes)
    freedom = max(cells - np.count_nonzero(in_prompt) - seeds + 1, 1)
    between = (of_seeds**2).sum() * seeds / (seeds - 1)
    within = (left**2).sum() * cells / freedom
    return prompts, between / total**2, within / total**2, seeds


def p_of(whole: Pairs, parts: Parts) -> Floats:
    """p of each group, [groups]; whole: from `gathered`, parts: from `parts_of`."""
    found = exact_p(whole.changes, whole.sizes.sum(axis=1) > 0)
    both = np.maximum(found, two_way_p(rates_of(whole).difference, parts))
    return np.where(parts.seeds > 1, both, found)


def two_way_p(difference: Floats, parts: Parts) -> Floats:
    """The two-way p of the module's text, of any shape, to one part in a thousand."""
    found = np.full(np.shape(difference), np.nan)
    for degrees in np.unique(parts.degrees[parts.seeds > 0]).tolist():
        here = (parts.degrees == degrees) & (parts.seeds > 0)
        t, z, p = _ladder(degrees)
        wanted, v, w = np.abs(difference[here]), parts.prompts[here], parts.moderated[here]
        low, high = np.zeros(wanted.shape, np.int64), np.full(wanted.shape, len(p) - 1)
        while (apart := high - low > 1).any():  # the reach grows from step to step
            middle = (low + high) // 2
            short = z[middle] ** 2 * v + t[middle] ** 2 * w < wanted**2
            low, high = np.where(short, middle, low), np.where(apart & ~short, middle, high)
        near, far = (np.sqrt(z[step] ** 2 * v + t[step] ** 2 * w) for step in (low, high))
        share = np.clip((wanted - near) / (far - near), 0, 1)
        found[here] = np.exp((1 - share) * np.log(p[low]) + share * np.log(p[high]))
    return found


def figures_of(pairs: Pairs, groups: list[Group], counts: Floats, level: float) -> dict[str, Any]:
    """The columns of one outcome, [groups] each."""
    whole, parts = gathered(pairs, groups), parts_of(pairs, groups)
    found = rates_of(whole)
    student = {s: student_quantile(s - 1, level) for s in set(parts.seeds.tolist()) if s > 1}
    t = np.array([student.get(s, 0.0) for s in parts.seeds.tolist()])
    by_seeds = t**2 * parts.by_seeds
    low, high = difference_interval(whole, counts, level=level)
    fold_low, fold_high = fold_interval(whole, level=level, seeds=by_seeds)
    d, grown, several = found.difference, np.sqrt(by_seeds), parts.seeds > 1
    return found._asdict() | {
        "low": np.where(several, np.maximum(d - np.hypot(d - low, grown), -1), low),
        "high": np.where(several, np.minimum(d + np.hypot(high - d, grown), 1), high),
        "p": p_of(whole, parts),
        "fold_low": fold_low,
        "fold_high": fold_high,
        "seeds": parts.seeds,
    }


@lru_cache
def _ladder(degrees: int) -> tuple[Floats, Floats, Floats]:
    """(t, z, p): quantiles of Student's t and the normal distribution with the same two-sided p."""
    # with t = sqrt(degrees) tan(a), its density is proportional to cos(a)^(degrees - 1)
    nodes, weights = np.polynomial.legendre.leggauss(100)
    rest = np.geomspace(np.pi / 2, 10.0 ** -min(150, 310 / degrees), 12_000)  # pi / 2 - a
    tails = rest * (np.sin(rest[:, None] * (nodes + 1) / 2) ** (degrees - 1) @ weights)
    p = tails / tails[0]
    rest, p = rest[p > 1e-300], p[p > 1e-300]
    z = np.array([-NormalDist().inv_cdf(one / 2) for one in p])
    return np.sqrt(degrees) / np.tan(rest), z, p
