"""Win rates: how often judges prefer a variant's answers to a reference's, with their intervals.

    made = win_rates(preferences, items, level=0.95, draws=2000, seed=0)
    made["win_rate"], made["low"], made["high"]       percent; 50: as often as not

A pair's y is the mean of both orders that it was shown in, and NaN, not judged, where either reply
could not be read (`measures.preference`, which computes what stands here). Instructions are what is
sampled, so instructions are resampled, with all samples of theirs.

Several judges have a row each and one together, the judge *panel*: y is the mean over those of them
that could be read in both orders, NaN where none could.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.measures.irt import Items, gp_irt
from polydrift.measures.preference import length_controlled, swapped, win_rate
from polydrift.stats.cells import CELL
from polydrift.stats.intervals import check_level

PANEL = "panel"
_CELL = (*CELL[: CELL.index("evaluation_language") + 1], "benchmark")
_RATES = (
    *("win_rate", "low", "high", "discrete"),
    *("controlled", "controlled_low", "controlled_high"),
)
_COUNTS = ("wins", "losses", "ties", "judged", "unjudged")
_MORE = ("position_bias", "consistent", "gp_irt", "gp_irt_error", "length", "reference_length")
_SCHEMA = pa.schema(
    {
        **{name: pa.string() for name in _CELL},
        **{name: pa.int64() for name in ("tuning_seed", "epochs")},
        "judge": pa.string(),
        **{name: pa.float64() for name in _RATES},
        **{name: pa.int64() for name in _COUNTS},
        **{name: pa.float64() for name in _MORE},
    }
)

Floats = NDArray[np.float64]


class _Said(NamedTuple):
    """What a judge says of one variant's pairs (prompt id and sample, sorted); [n] each."""

    pairs: list[tuple[str, int]]
    first: Floats
    second: Floats
    asked: NDArray[np.bool_]
    lengths: Floats
    reference_lengths: Floats

    @property
    def prompts(self) -> list[str]:
        return [prompt_id for prompt_id, _ in self.pairs]

    @property
    def y(self) -> Floats:
        return swapped(self.first, self.second).y


def win_rates(
    preferences: pa.Table, items: Mapping[str, Items], *, level: float, draws: int, seed: int
) -> pa.Table:
    """The table `win_rates`: a row per variant, evaluation language, benchmark and judge, sorted.

    preferences: the table of docs/tables.md, in any order of rows. items: of the benchmarks that
    have gp-IRT, by name. level: of the intervals. draws, seed: of their bootstrap.

    win_rate, low, high, discrete: percent, as in `WinRate`. controlled: the length-controlled rate,
    without a term for instructions, and its interval; NaN where every answer differs from the
    reference's by the same length. wins, losses, ties; judged, unjudged: pairs. position_bias,
    consistent: as in `Swapped`, -0.5 to 0.5 and 0 to 1. gp_irt and its error: percent; NaN without
    items. length, reference_length: mean characters of all answers, judged or not. MeasureError: a
    pair that one judge judged twice, or prompt ids that gp-IRT cannot put in the anchors' order.
    """
    check_level(level)
    made: list[dict[str, Any]] = []
    for cell, judges in _by_cell(preferences):
        each = dict(judges)
        if len(judges) > 1:
            each[PANEL] = _panel(list(judges.values()))
        benchmark = cell["benchmark"]
        for judge, said in each.items():
            found = _figures(said, level, draws, seed)
            if benchmark in items:
                found |= _whole(said, items[benchmark], benchmark)
            made.append({**cell, "judge": judge, **found})
    order = [(name, "ascending") for name in (*_CELL, "judge")]
    return pa.Table.from_pylist(made, schema=_SCHEMA).sort_by(order).combine_chunks()


def _by_cell(preferences: pa.Table) -> list[tuple[dict[str, Any], dict[str, _Said]]]:
    """The variants on each benchmark, and what each judge says there."""
    keys = [*_CELL, "judge"]
    values = ["prompt_id", "sample", "first", "second", "asked", "length", "reference_length"]
    table = preferences.sort_by([(name, "ascending") for name in (*keys, "prompt_id", "sample")])
    lists = table.group_by(keys, use_threads=False).aggregate([(name, "list") for name in values])
    found: dict[tuple[Any, ...], dict[str, _Said]] = {}
    for row in range(lists.num_rows):
        *cell, judge = (lists[name][row].as_py() for name in keys)
        prompts, samples, *arrays = (lists[f"{name}_list"][row].values for name in values)
        first, second, asked, ours, theirs = (one.to_numpy(zero_copy_only=False) for one in arrays)
        pairs = list(zip(prompts.to_pylist(), samples.to_pylist(), strict=True))
        for one, other in pairwise(pairs):
            if one == other:
                raise MeasureError(
                    f"preferences: two rows of {judge} for prompt {one[0]!r}, sample {one[1]}, of "
                    f"{cell[1]} in {cell[_CELL.index('evaluation_language')]}; each pair is judged "
                    "once by a judge."
                )
        said = _Said(pairs, first, second, asked, ours.astype(float), theirs.astype(float))
        found.setdefault(tuple(cell), {})[judge] = said
    return [(dict(zip(_CELL, cell, strict=True)), judges) for cell, judges in found.items()]


def _panel(judges: Sequence[_Said]) -> _Said:
    """The mean of the judges that could be read, pair by pair."""
    pairs = sorted({pair for one in judges for pair in one.pairs})
    place = {pair: i for i, pair in enumerate(pairs)}
    both = np.full((2, len(judges), len(pairs)), np.nan)
    asked = np.zeros(len(pairs), bool)
    lengths, reference_lengths = np.zeros((2, len(pairs)))
    for row, one in enumerate(judges):
        here = [place[pair] for pair in one.pairs]
        both[:, row, here] = np.where(np.isnan(one.y), np.nan, (one.first, one.second))
        asked[here] |= one.asked
        lengths[here], reference_lengths[here] = one.lengths, one.reference_lengths
    with np.errstate(invalid="ignore"):
        first, second = np.nansum(both, axis=1) / (~np.isnan(both)).sum(axis=1)
    return _Said(pairs, first, second, asked, lengths, reference_lengths)


def _figures(said: _Said, level: float, draws: int, seed: int) -> dict[str, Any]:
    """The columns of a row but gp-IRT's."""
    both = swapped(said.first, said.second, asked=said.asked)
    prompts = said.prompts
    plain = win_rate(both.y, clusters=prompts, level=level, draws=draws, seed=seed)
    rates = [plain.win_rate, plain.low, plain.high, plain.discrete]
    if _tells_length(said):
        alike = length_controlled(
            both.y,
            said.lengths,
            said.reference_lengths,
            clusters=prompts,
            level=level,
            draws=draws,
            seed=seed,
        )
        rates += [alike.win_rate, alike.low, alike.high]
    else:
        rates += [np.nan] * 3
    counts = (plain.wins, plain.losses, plain.ties, plain.n, plain.unjudged)
    return {
        **dict(zip(_RATES, rates, strict=True)),
        **dict(zip(_COUNTS, counts, strict=True)),
        "position_bias": both.position_bias,
        "consistent": both.consistent,
        "gp_irt": np.nan,
        "gp_irt_error": np.nan,
        "length": said.lengths.mean(),
        "reference_length": said.reference_lengths.mean(),
    }


def _tells_length(said: _Said) -> bool:
    """Whether `length_controlled` can tell length from strength: not by one difference alone."""
    difference = (said.lengths - said.reference_lengths)[~np.isnan(said.y)]
    return len(difference) < 2 or not difference.any() or bool(np.ptp(difference) > 0)


def _whole(said: _Said, items: Items, benchmark: str) -> dict[str, float]:
    """gp-IRT's columns: each anchor's y is the mean over its samples that were judged."""
    size = len(items.anchors)
    wanted, given = {str(number): number for number in range(size)}, set(said.prompts)
    for ids, what in (
        (sorted(given - wanted.keys()), "is none of them"),
        ([one for one in wanted if one not in given], "is lacking"),
    ):
        if ids:
            raise MeasureError(
                f"preferences: gp-IRT of {benchmark!r} needs instructions whose ids are the whole "
                f"numbers 0 to {size - 1}, in the order of the anchors, and {ids[0]!r} {what}; "
                "number them so, ask all of them, or leave `irt` out."
            )
    known = ~np.isnan(y := said.y)
    anchor = np.array([wanted[one] for one in said.prompts])[known]
    with np.errstate(invalid="ignore"):
        means = np.bincount(anchor, y[known], size) / np.bincount(anchor, minlength=size)
    found = gp_irt(means, items)
    return {"gp_irt": 100 * found.gp_irt, "gp_irt_error": 100 * found.error}
