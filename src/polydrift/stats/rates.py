"""Rates: per cell how many complied and refused, of how many that were judged.

The denominator is `judged` = complied + refused + other, so an answer that is empty or in a loop
counts as neither complied nor refused; an unparsed verdict says nothing and is left out, but
counted. Of answers in another language it is `language_known`: those whose language could be told.
Where nothing was judged a rate is NaN, never 0.

*Micro* rates are over answers, *macro* rates are the mean of the categories' rates: a category of
five prompts weighs as much as one of fifty. Only where every category has as many judged answers
are they the same.

Intervals are Wilson's. Where they are not of independent answers, n is an effective number, that
which gives the estimate's own variance (Korn and Graubard 1998, Survey Methodology 24:193):

- of several samples of a prompt, that of the sums over prompts, and no more than there are answers;
- of macro rates, that of prompts drawn anew within their categories, which are the same whoever
  draws. To the squares within each category those of one usual prompt of the cell are added, for
  two prompts that agree do not tell how far a third may lie.

    n = p (1 - p) / V     with two imagined prompts in p and V, one of which complied

A bootstrap does the same where there is much to see, and has no width where nobody complied.
docs/statistics.md: how often each covers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polydrift.stats.cells import OUTCOMES, VERDICTS, Cells
from polydrift.stats.intervals import wilson

_MACRO = ("compliance", "refusal")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def rates(cells: Cells, *, level: float) -> pa.Table:
    """The table `rates`, one row per cell; see docs/tables.md. level: of the intervals."""
    counts = dict(zip(VERDICTS, cells.counts.T, strict=True))
    judged = counts["complied"] + counts["refused"] + counts["other"]
    whole = {
        **counts,
        "judged": judged,
        "total": cells.counts.sum(axis=1),
        "wrong_language": cells.wrong_language,
        "language_known": cells.language_known,
    }
    made = cells.table
    for name, numbers in whole.items():
        made = made.append_column(name, pa.array(numbers, pa.int64()))
    for name, values in _shares(cells, level).items():
        made = made.append_column(name, pa.array(values, pa.float64()))
    return made


def _shares(cells: Cells, level: float) -> dict[str, Floats]:
    """The columns of rates and their intervals, [cells] each."""
    names = [f"{o}_{part}" for o in OUTCOMES for part in ("rate", "low", "high")]
    names += [f"{o}_macro{part}" for o in _MACRO for part in ("", "_low", "_high")]
    found = {name: np.full(cells.table.num_rows, np.nan) for name in names}
    for block in cells.blocks:
        for outcome in OUTCOMES:
            hit, known = block.outcome(outcome)
            hits, sizes = (hit & known).sum(axis=2), known.sum(axis=2)
            ends = {f"{outcome}_rate": _ratio(hits.sum(axis=1), sizes.sum(axis=1))}
            ends[f"{outcome}_low"], ends[f"{outcome}_high"] = micro_interval(hits, sizes, level)
            if outcome in _MACRO:
                macro, low, high = macro_rate(hits, sizes, block.categories, level)
                ends |= {f"{outcome}_macro": macro, f"{outcome}_macro_low": low}
                ends[f"{outcome}_macro_high"] = high
            for name, values in ends.items():
                found[name][block.cells] = values
    return found


def micro_interval(hits: Ints, sizes: Ints, level: float) -> tuple[Floats, Floats]:
    """The interval of the share of answers, [cells] each.

    hits, sizes: [cells, prompts], how many answers of a prompt had the outcome, of how many.
    """
    top, n = hits.sum(axis=1), sizes.sum(axis=1)
    effect = np.ones(len(n))
    if sizes.max(initial=0) > 1:
        prompts = (sizes > 0).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            usual = n / prompts  # answers of a prompt, real or imagined
            share = (top + usual) / (n + 2 * usual)
            spread = ((hits - share[:, None] * sizes) ** 2).sum(axis=1)
            spread = spread + usual**2 * (share**2 + (1 - share) ** 2)
            effect = np.maximum(spread / (share * (1 - share) * (n + 2 * usual)), 1.0)
    return wilson(top / effect, n / effect, level)


def macro_rate(
    hits: Ints, sizes: Ints, categories: Ints, level: float
) -> tuple[Floats, Floats, Floats]:
    """(the mean of the categories' rates, low, high), [cells] each; NaN where nothing is known.

    hits, sizes: [cells, prompts] as before. categories: [prompts]. A category that has no known
    answer in a cell is not in its mean.
    """
    members = np.equal.outer(np.unique(categories), categories).astype(float)  # [k, prompts]
    prompts, answers = (sizes > 0) @ members.T, sizes @ members.T  # [cells, k]
    rate = _ratio(hits @ members.T, answers)
    n, number = prompts.sum(axis=1), (prompts > 0).sum(axis=1)
    macro = _ratio(np.nansum(rate, axis=1), number)
    share = _ratio(n * macro + 1, n + 2)
    imagined = share**2 + (1 - share) ** 2
    apart = np.where(sizes > 0, _ratio(hits, sizes) - share[:, None], 0.0)
    usual = ((apart**2).sum(axis=1) + imagined) / (n + 2)  # of a prompt, squared
    residual = hits - np.nan_to_num(rate) @ members * sizes
    squares = np.where(prompts > 0, residual**2 @ members.T / np.maximum(answers, 1) ** 2, 0.0)
    squares += np.where(prompts > 0, usual[:, None] / np.maximum(prompts, 1) ** 2, 0.0)
    variance = _ratio(squares.sum(axis=1), number**2)
    variance = (n**2 * variance + imagined) / (n + 2) ** 2
    effective = _ratio(share * (1 - share), variance)
    low, high = wilson(macro * effective, effective, level)
    return macro, low, high


def _ratio(top: NDArray[np.generic], bottom: NDArray[np.generic]) -> Floats:
    """top / bottom, NaN where bottom is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.asarray(top, float) / np.asarray(bottom, float)
    return found
