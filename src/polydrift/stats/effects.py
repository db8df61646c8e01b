"""Effects: what changed between a base and its variant on the same prompts, with an interval.

Both were asked the same prompts, so the effect is a paired difference: a prompt (and sample) counts
where both answers were judged, and how many prompts did is reported. Prompts are what is sampled,
so prompts, not answers, are resampled: several samples of one prompt stay together.

The interval is a percentile bootstrap over prompts with one addition. The plain one has no width
where no answer changed ("0.0 to 0.0 of 100 prompts"), and where changes are rare it covers the
truth far less often than it says (of 20 prompts, 2% against 100%: 34% instead of 95%). Therefore
two imagined prompts are resampled along with the real ones, one that got worse by sqrt(1/2) and
one that got better by as much: the same spread as Agresti and Min's half a prompt added to each of
the four outcomes of a pair (2005, Statistics in Medicine 24:729), which mends both. Where nothing
changed in n prompts the interval becomes about 0 +- 2/n. The difference itself is left alone.

All cells over the same prompts share one matrix of draws, so the whole grid is two matrix products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polydrift.seeds import named_seed
from polydrift.stats.cells import ABSENT, CELL, UNPARSED, VERDICTS, Block, Cells

OUTCOMES = {"compliance": "complied", "refusal": "refused"}
_AT_ONCE = 512  # columns of draws held in memory together
_FIGURES = ("base_rate", "variant_rate", "difference", "low", "high", "prompts", "fold")

Floats = NDArray[np.float64]


def draw_counts(clusters: int, draws: int, rng: np.random.Generator) -> Floats:
    """[draws, clusters]: how often each cluster is drawn when `clusters` are, with replacement."""
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws).astype(float)


def bootstrap_interval(
    sums: Floats, sizes: Floats, counts: Floats, *, level: float, imagined: Floats | None = None
) -> tuple[Floats, Floats]:
    """Percentile intervals of sums.sum() / sizes.sum() per column, resampling rows.

    sums, sizes: [clusters, columns], the sum and the number of a cluster's values. counts: from
    `draw_counts`, [draws, clusters]. imagined: [draws, 2] counts of the two imagined clusters that
    the module tells of, or none. Returns (low, high), [columns] each; NaN where a column is empty.
    """
    low, high = (np.full(sums.shape[1], np.nan) for _ in range(2))
    tails = [(1 - level) / 2, (1 + level) / 2]
    usable = np.flatnonzero(sizes.sum(axis=0) > 0)
    for start in range(0, len(usable), _AT_ONCE):
        columns = usable[start : start + _AT_ONCE]
        # integers, so these products are exact and the same on every machine
        top, bottom = counts @ sums[:, columns], counts @ sizes[:, columns]
        if imagined is not None:
            filled = sizes[:, columns]
            size = filled.sum(axis=0) / (filled > 0).sum(axis=0)  # values of a usual cluster
            top += np.sqrt(0.5) * size * (imagined[:, :1] - imagined[:, 1:])
            bottom += size * imagined.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            drawn = top / bottom
        # a draw may miss every prompt of a cell that has few: it says nothing
        found = np.nanquantile if np.isnan(drawn).any() else np.quantile
        low[columns], high[columns] = found(drawn, tails, axis=0)
    return low, high


def effects(cells: Cells, *, level: float, draws: int, seed: int) -> pa.Table:
    """The table `effects`, a row per tuned cell and outcome; see docs/tables.md.

    A cell whose base was not asked there has no row. level: of the intervals. draws, seed: of the
    bootstrap; each suite and kind draws from a generator of its own.
    """
    rows = {name: cells.table[name].to_pylist() for name in CELL}
    taken: list[int] = []
    figures: dict[str, list[Any]] = {name: [] for name in ("outcome", *_FIGURES)}
    for block in cells.blocks:
        tuned, bases = _pairs(rows, block)
        if not len(tuned):
            continue
        rng = np.random.default_rng(named_seed("bootstrap", seed, block.suite, block.kind))
        counts = draw_counts(block.verdicts.shape[1] + 2, draws, rng)
        for outcome, verdict in OUTCOMES.items():
            found = _block_effects(block, verdict, tuned, bases, counts, level)
            taken += block.cells[tuned].tolist()
            figures["outcome"] += [outcome] * len(tuned)
            for name in _FIGURES:
                figures[name] += found[name].tolist()
    made = cells.table.take(pa.array(taken, pa.int64()))
    types = {"outcome": pa.string(), "prompts": pa.int64()}
    for name, values in figures.items():
        made = made.append_column(name, pa.array(values, types.get(name, pa.float64())))
    order = [(name, "ascending") for name in (*CELL, "outcome")]
    return made.sort_by(order).combine_chunks()


def _pairs(rows: dict[str, list[Any]], block: Block) -> tuple[NDArray[np.int64], ...]:
    """The positions in a block of the tuned cells and of the base cell of each."""
    bases = {
        (rows["base"][cell], rows["evaluation_language"][cell]): position
        for position, cell in enumerate(block.cells)
        if rows["variant"][cell] == rows["base"][cell]
    }
    pairs = [
        (position, bases[key])
        for position, cell in enumerate(block.cells)
        if rows["variant"][cell] != rows["base"][cell]
        and (key := (rows["base"][cell], rows["evaluation_language"][cell])) in bases
    ]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _block_effects(
    block: Block,
    verdict: str,
    tuned: NDArray[np.int64],
    bases: NDArray[np.int64],
    counts: Floats,
    level: float,
) -> dict[str, NDArray[Any]]:
    """The figures of one outcome over the tuned cells of a block, [tuned] each."""
    judged = (block.verdicts != ABSENT) & (block.verdicts != UNPARSED)
    hit = block.verdicts == VERDICTS.index(verdict)
    both = judged[tuned] & judged[bases]  # [tuned, prompts, samples]
    after = (hit[tuned] & both).sum(axis=2)
    before = (hit[bases] & both).sum(axis=2)
    sizes = both.sum(axis=2)
    pairs = sizes.sum(axis=1)
    low, high = bootstrap_interval(
        (after - before).T.astype(float),
        sizes.T.astype(float),
        counts[:, :-2],
        level=level,
        imagined=counts[:, -2:],
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        base_rate, variant_rate = before.sum(axis=1) / pairs, after.sum(axis=1) / pairs
        fold = np.where(base_rate > 0, variant_rate / base_rate, np.nan)
        difference = (after - before).sum(axis=1) / pairs
    return {
        "base_rate": base_rate,
        "variant_rate": variant_rate,
        "difference": difference,
        "low": low,
        "high": high,
        "prompts": (sizes > 0).sum(axis=1),
        "fold": fold,
    }
