"""Effects: what changed between a base and its variant on the same prompts, with an interval.

Both were asked the same prompts, so the effect is a paired difference: a prompt (and sample) counts
where of both answers the outcome is known, and how many prompts did is reported. Prompts are what
is sampled, so prompts, not answers, are resampled: several samples of one prompt stay together.

The interval is a percentile bootstrap over prompts with one addition. The plain one has no width
where no answer changed ("0.0 to 0.0 of 100 prompts"), and where changes are rare it covers the
truth far less often than it says (of 20 prompts, 2% against 100%: 34% instead of 95%). Therefore
two imagined prompts are resampled along with the real ones, one that got worse by sqrt(1/2) and
one that got better by as much: the same spread as Agresti and Min's half a prompt added to each of
the four outcomes of a pair (2005, Statistics in Medicine 24:729), which mends both. Where nothing
changed in n prompts the interval becomes about 0 +- 2/n. The difference itself is left alone. Of
several samples the imagined prompts have as many as the design effect says.

All cells over the same prompts share one matrix of draws, so the whole grid is two matrix products.
The test and the fold's interval need no draws (`stats.paired`). Another seed of tuning is in none
of these; `stats.pooled` has them together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.seeds import named_seed
from polydrift.stats.cells import CELL, OUTCOMES, Block, Cells
from polydrift.stats.intervals import check_level
from polydrift.stats.multiplicity import with_adjusted
from polydrift.stats.paired import Pairs, exact_p, fold_interval, rates_of

_AT_ONCE = 256  # columns of draws held in memory together
_EXACT = 2**24  # whole numbers below it are exact in single precision
_FIGURES = (
    *("base_rate", "variant_rate", "difference", "low", "high", "prompts"),
    *("fold", "fold_low", "fold_high", "p"),
)

Floats = NDArray[np.float64]


def draw_counts(clusters: int, draws: int, rng: np.random.Generator) -> Floats:
    """[draws, clusters]: how often each cluster is drawn when `clusters` are, with replacement."""
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws).astype(float)


def block_counts(block: Block, draws: int, seed: int) -> Floats:
    """The draws of a block's prompts and of two imagined ones, [draws, prompts + 2].

    Each suite and kind has a generator of its own. MeasureError for fewer than two draws.
    """
    if draws < 2:
        raise MeasureError(f"draws: {draws}; a bootstrap needs two or more, such as 2000.")
    rng = np.random.default_rng(named_seed("bootstrap", seed, block.suite, block.kind))
    return draw_counts(block.verdicts.shape[1] + 2, draws, rng)


def bootstrap_interval(
    sums: Floats,
    sizes: Floats,
    counts: Floats,
    *,
    level: float,
    imagined: Floats | None = None,
    weight: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Percentile intervals of sums.sum() / sizes.sum() per column, resampling rows.

    sums, sizes: [clusters, columns], the sum and the number of a cluster's values. counts: from
    `draw_counts`, [draws, clusters]. imagined: [draws, 2] counts of the two imagined clusters that
    the module tells of, or none; weight: [columns] how many values each of these has, those of a
    usual cluster if not given. Returns (low, high), [columns] each; NaN where a column is empty.
    """
    low, high = (np.full(sums.shape[1], np.nan) for _ in range(2))
    tails = [(1 - level) / 2, (1 + level) / 2]
    usable = np.flatnonzero(sizes.sum(axis=0) > 0)
    # products of whole numbers are exact, and so the same on every machine; then halves suffice
    whole = _is_whole(sums, counts) and _is_whole(sizes, counts)
    drawn_how_often = counts.T.astype(np.float32 if whole else float)
    for start in range(0, len(usable), _AT_ONCE):
        columns = usable[start : start + _AT_ONCE]
        top, bottom = (
            (side[:, columns].T.astype(drawn_how_often.dtype) @ drawn_how_often).astype(float)
            for side in (sums, sizes)
        )  # [columns, draws]
        if imagined is not None:
            filled = sizes[:, columns]
            usual = filled.sum(axis=0) / (filled > 0).sum(axis=0)
            size = (usual if weight is None else weight[columns])[:, None]
            top += np.sqrt(0.5) * size * (imagined[:, 0] - imagined[:, 1])
            bottom += size * imagined.sum(axis=1)
        with np.errstate(invalid="ignore"):
            top /= bottom
        # a draw may miss every prompt of a cell that has few: it says nothing
        found = np.nanquantile if np.isnan(top).any() else np.quantile
        low[columns], high[columns] = found(top, tails, axis=1, overwrite_input=True)
    return low, high


def difference_interval(pairs: Pairs, counts: Floats, *, level: float) -> tuple[Floats, Floats]:
    """The interval of each column's difference, (low, high); counts: from `block_counts`."""
    return bootstrap_interval(
        pairs.changes.T.astype(float),
        pairs.sizes.T.astype(float),
        counts[:, :-2],
        level=level,
        imagined=counts[:, -2:],
        weight=imagined_weight(pairs),
    )


def imagined_weight(pairs: Pairs) -> Floats:
    """How many answers each of the two imagined prompts has, [columns]: the design effect.

    1 where answers of a prompt change independently, all k of a usual prompt where they change
    together; the imagined ones, which do, are counted among them.
    """
    total, prompts = pairs.sizes.sum(axis=1), (pairs.sizes > 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        usual = total / prompts
        change = pairs.changes.sum(axis=1) / total
        of_prompts = ((pairs.changes - change[:, None] * pairs.sizes) ** 2).sum(axis=1)
        alone = pairs.after.sum(axis=1) + pairs.before.sum(axis=1) - 2 * pairs.both
        of_answers = alone - total * change**2
        found: Floats = np.clip((of_prompts + usual**2) / (of_answers + usual), 1, usual)
    return found


def effects(cells: Cells, *, level: float, draws: int, seed: int) -> pa.Table:
    """The table `effects`, a row per tuned cell and outcome; see docs/tables.md.

    A cell whose base was not asked there has no row. level: of the intervals. draws, seed: of the
    bootstrap. MeasureError for a level or a number of draws that is none.
    """
    check_level(level)
    rows = cells.table.to_pylist()
    taken: list[int] = []
    figures: dict[str, list[Any]] = {name: [] for name in ("outcome", *_FIGURES)}
    for block in cells.blocks:
        tuned, bases = tuned_and_base(rows, block)
        if not len(tuned):
            continue
        counts = block_counts(block, draws, seed)
        for outcome in OUTCOMES:
            pairs = pairs_of(block, outcome, tuned, bases)
            low, high = difference_interval(pairs, counts, level=level)
            fold_low, fold_high = fold_interval(pairs, level=level)
            p = exact_p(pairs.changes, pairs.sizes.sum(axis=1) > 0)
            found = rates_of(pairs)._asdict() | {"low": low, "high": high, "p": p}
            found |= {"fold_low": fold_low, "fold_high": fold_high}
            taken += block.cells[tuned].tolist()
            figures["outcome"] += [outcome] * len(tuned)
            for name in _FIGURES:
                figures[name] += found[name].tolist()
    made = cells.table.take(pa.array(taken, pa.int64()))
    types = {"outcome": pa.string(), "prompts": pa.int64()}
    for name, values in figures.items():
        made = made.append_column(name, pa.array(values, types.get(name, pa.float64())))
    order = [(name, "ascending") for name in (*CELL, "outcome")]
    return with_adjusted(made.sort_by(order).combine_chunks())


def tuned_and_base(
    rows: list[dict[str, Any]], block: Block
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions in a block of the tuned cells and of the base cell of each, [tuned] each.

    rows: of `Cells.table`. Cells whose base was not asked in their language are left out.
    """
    bases = {
        (rows[cell]["base"], rows[cell]["evaluation_language"]): position
        for position, cell in enumerate(block.cells)
        if rows[cell]["variant"] == rows[cell]["base"]
    }
    pairs = [
        (position, bases[key])
        for position, cell in enumerate(block.cells)
        if rows[cell]["variant"] != rows[cell]["base"]
        and (key := (rows[cell]["base"], rows[cell]["evaluation_language"])) in bases
    ]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def pairs_of(
    block: Block, outcome: str, tuned: NDArray[np.int64], bases: NDArray[np.int64]
) -> Pairs:
    """Answers of tuned cells beside those of their bases, by prompt; outcome: one of OUTCOMES."""
    hit, known = block.outcome(outcome)
    hit &= known
    after, before, sizes = hit[tuned], hit[bases], known[tuned]
    sizes &= known[bases]
    after &= sizes
    before &= sizes
    return Pairs(
        after=after.sum(axis=2),
        before=before.sum(axis=2),
        both=(after & before).sum(axis=(1, 2)),
        sizes=sizes.sum(axis=2),
    )


def _is_whole(values: Floats, counts: Floats) -> bool:
    """Whether all are whole numbers whose drawn sums are exact in single precision."""
    largest = float(np.abs(values).max(initial=0)) * float(counts.sum(axis=1).max(initial=0))
    return largest < _EXACT and bool((values == np.rint(values)).all())
