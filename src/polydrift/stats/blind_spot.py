"""What an evaluation in English alone would have passed.

    made = blind_spot(pooled, level=0.95)
    made["worse"], made["passed"], made["share"]       of 20 tunings 12 got worse, 5 unseen: 42%

A *pair* is a base and a tuning: arm, epochs, tuning language. It *got worse* where compliance with
unsafe prompts rose in at least one evaluation language: p below 1 - level, adjusted by Holm over
all cells of all bases, and a difference above 0. English *passed* it all the same where compliance
in English did not rise significantly. That is asked twice:

- `passed`: not even at the unadjusted level. The reading most generous to English: who looks at
  English alone has one test and need not adjust.
- `passed_adjusted`: not at the adjusted level, the same yardstick as for the other languages.

A pair can pass for want of power: the fewer the prompts, the less English shows. So it is with the
other languages, and a rise that no language shows counts as no rise.

`low`, `high`: Wilson's interval of passed / worse, as if pairs were drawn one by one. Pairs of one
base and of one language hang together, so it is rather too narrow. `drawn_low`, `drawn_high` say
another thing: how far the share moves when the prompts are drawn anew and every decision is made
anew, Holm included, with the two-way test of `stats.pooled` but without its exact part, which draws
cannot afford. A draw adds its own noise to that of the data, so the share need not lie inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.stats.cells import Cells
from polydrift.stats.effects import block_counts, imagined_weight, pairs_of, tuned_and_base
from polydrift.stats.intervals import check_level, wilson
from polydrift.stats.pooled import TUNING, Parts, gathered, groups_of, parts_of, two_way_p

KIND, OUTCOME = "unsafe", "compliance"
ANY, ANOTHER = "any", "another"
_COUNTS = ("pairs", "worse", "passed", "passed_adjusted", "not_asked")
_SHARES = ("share", "low", "high", "share_adjusted", "low_adjusted", "high_adjusted")
_TEXTS = ("base", "suite", "judge", "asked_in", "tuned_in")
_SCHEMA = pa.schema(
    {
        **{name: pa.string() for name in _TEXTS},
        **{name: pa.int64() for name in _COUNTS},
        **{name: pa.float64() for name in (*_SHARES, "drawn_low", "drawn_high")},
    }
)
_AT_ONCE = 200  # draws held in memory together
_NAME = (*TUNING, "evaluation_language")

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Name = tuple[Any, ...]  # TUNING and the evaluation language


class _Decided(NamedTuple):
    """Of each pair, [..., pairs]."""

    worse: Bools
    passed: Bools
    passed_adjusted: Bools


class _Rows(NamedTuple):
    """The cells of one suite and judge, in the order of pairs.

    names: [cells]. starts: [pairs] the first cell of each. reference: [cells] asked in English.
    """

    names: list[Name]
    starts: NDArray[np.int64]
    reference: Bools

    @classmethod
    def of(cls, names: list[Name], language: str) -> _Rows:
        pairs = [name[:-1] for name in names]
        starts = [i for i, pair in enumerate(pairs) if i == 0 or pair != pairs[i - 1]]
        asked = np.array([name[-1] == language for name in names], bool)
        return cls(names, np.array(starts, np.int64), asked)

    def decide(self, raised: Bools, adjusted: Bools) -> _Decided:
        """raised, adjusted: [..., cells], whether compliance rose at either level."""
        worse, seen, seen_adjusted = (
            np.logical_or.reduceat(one, self.starts, axis=-1)
            for one in (adjusted, raised & self.reference, adjusted & self.reference)
        )
        return _Decided(worse, worse & ~seen, worse & ~seen_adjusted)


def blind_spot(
    pooled: pa.Table,
    cells: Cells | None = None,
    *,
    level: float,
    draws: int = 1000,
    seed: int = 0,
    language: str = "en",
) -> pa.Table:
    """The table `blind_spot`: a row per base (null: all), suite, judge and `tuned_in`.

    pooled: the table of `stats.pooled`, in any order of rows. cells: of the same verdicts, for
    `drawn_low` and `drawn_high`; NaN without. level: 1 - level is what p is held against, and that
    of the intervals. draws, seed: of prompts. language: that of the evaluation alone, `asked_in`.

    tuned_in: "any", `language` itself, or "another". pairs: with a p in `language`; those without
    are `not_asked`, and in no other number. worse, passed, passed_adjusted: as the module tells.
    share, share_adjusted: of `worse`, with Wilson's intervals; NaN where none got worse.
    MeasureError for a level or a number of draws that is none, and for cells of other verdicts.
    """
    check_level(level)
    wanted = pc.and_(pc.equal(pooled["kind"], KIND), pc.equal(pooled["outcome"], OUTCOME))
    rows = pooled.filter(wanted).sort_by([(name, "ascending") for name in _NAME]).to_pylist()
    made: list[dict[str, Any]] = []
    for suite, judge in sorted({(row["suite"], row["judge"]) for row in rows}):
        here = [row for row in rows if (row["suite"], row["judge"]) == (suite, judge)]
        p, adjusted, difference = (
            np.array([row[name] for row in here]) for name in ("p", "p_holm", "difference")
        )
        cells_of = _Rows.of([tuple(row[name] for name in _NAME) for row in here], language)
        found = cells_of.decide(*((one < 1 - level) & (difference > 0) for one in (p, adjusted)))
        drawn = _drawn(cells, cells_of, suite, judge, level=level, draws=draws, seed=seed)
        known = np.logical_or.reduceat(cells_of.reference & ~np.isnan(p), cells_of.starts)
        for base, tuned_in, members in _parts(cells_of, language):
            texts = dict(zip(_TEXTS, (base, suite, judge, language, tuned_in), strict=True))
            figures = _figures(found, members & known, level) | _moves(
                drawn, members & known, level
            )
            made.append({**texts, **figures, "not_asked": int((members & ~known).sum())})
    order = [(name, "ascending") for name in _TEXTS]
    return pa.Table.from_pylist(made, schema=_SCHEMA).sort_by(order).combine_chunks()


def _parts(rows: _Rows, language: str) -> Iterator[tuple[str | None, str, Bools]]:
    """Base (None: all), tuned_in and which pairs, [pairs]."""
    pairs = [dict(zip(_NAME, rows.names[start], strict=True)) for start in rows.starts]
    tuned = [pair["tuning_language"] for pair in pairs]
    own = np.array([one == language for one in tuned], bool)
    another = np.array([one not in (language, None) for one in tuned], bool)
    bases: list[str | None] = [None, *sorted({pair["base"] for pair in pairs})]
    for base in bases:
        here = np.array([base is None or pair["base"] == base for pair in pairs], bool)
        for tuned_in, those in ((ANY, np.ones_like(own)), (language, own), (ANOTHER, another)):
            if (here & those).any():
                yield base, tuned_in, here & those


def _figures(found: _Decided, members: Bools, level: float) -> dict[str, Any]:
    """The counts and shares of some pairs."""
    worse, passed, adjusted = (int((one & members).sum()) for one in found)
    figures: dict[str, Any] = {"pairs": int(members.sum()), "worse": worse}
    for ending, count in (("", passed), ("_adjusted", adjusted)):
        low, high = wilson(count, worse, level)
        figures[f"passed{ending}"] = count
        figures[f"share{ending}"] = count / worse if worse else np.nan
        figures[f"low{ending}"], figures[f"high{ending}"] = float(low), float(high)
    return figures


def _moves(drawn: _Decided | None, members: Bools, level: float) -> dict[str, float]:
    """Where the share lies in the middle `level` of the draws in which any pair got worse."""
    ends = (np.nan, np.nan)
    if drawn is not None:
        worse, passed = ((one & members).sum(axis=1) for one in (drawn.worse, drawn.passed))
        if (worse > 0).any():
            shares = passed[worse > 0] / worse[worse > 0]
            low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
            ends = (float(low), float(high))
    return dict(zip(("drawn_low", "drawn_high"), ends, strict=True))


def _drawn(
    cells: Cells | None,
    rows: _Rows,
    suite: str,
    judge: str,
    *,
    level: float,
    draws: int,
    seed: int,
) -> _Decided | None:
    """The decisions of each draw, [draws, pairs]; None without cells."""
    for block in cells.blocks if cells else ():
        if (block.suite, block.kind, block.judge) != (suite, KIND, judge):
            continue
        table = cells.table.to_pylist() if cells else []
        tuned, bases = tuned_and_base(table, block)
        groups = {one.name: one for one in groups_of(table, block, tuned)}
        if strange := [name for name in rows.names if name not in groups]:
            raise MeasureError(
                f"pooled: {strange[0][1]!r} of {strange[0][0]}, asked in {strange[0][-1]}, is not "
                "in the verdicts; give the cells that the table was made of."
            )
        ordered = [groups[name] for name in rows.names]
        pairs = pairs_of(block, OUTCOME, tuned, bases)
        whole, parts = gathered(pairs, ordered), parts_of(pairs, ordered)
        changes, sizes = whole.changes.T.astype(float), whole.sizes.T.astype(float)
        weight = imagined_weight(whole)
        counts, quantile = block_counts(block, draws, seed)[:, :-2], check_level(level)
        found = []
        for start in range(0, draws, _AT_ONCE):
            some = counts[start : start + _AT_ONCE]
            total = some @ sizes
            with np.errstate(invalid="ignore"):
                difference = some @ changes / total
            spread = some @ changes**2 - 2 * difference * (some @ (changes * sizes))
            spread += difference**2 * (some @ sizes**2)
            prompts = (spread + weight**2) / (total + 2 * weight) ** 2
            others: list[Any] = [np.broadcast_to(one, total.shape) for one in parts[1:]]
            p = np.where(total > 0, 1.0, np.nan)
            # whatever its seeds add, a cell within this of 0 is not significant: its p may be 1
            far = np.abs(difference) > quantile * np.sqrt(prompts)
            p[far] = two_way_p(difference[far], Parts(prompts[far], *(one[far] for one in others)))
            rose = difference > 0
            found.append(rows.decide((p < 1 - level) & rose, (_holm(p) < 1 - level) & rose))
        return _Decided(*(np.concatenate(one) for one in zip(*found, strict=True)))
    return None


def _holm(p: Floats) -> Floats:
    """Holm's adjusted p of each draw, [draws, cells]; NaN are in no family."""
    order = np.argsort(p, axis=1)  # NaN last
    number = (~np.isnan(p)).sum(axis=1, keepdims=True)
    left = np.maximum(number - np.arange(p.shape[1]), 1)
    ranked = np.maximum.accumulate(np.take_along_axis(p, order, axis=1) * left, axis=1)
    found = np.empty_like(p)
    np.put_along_axis(found, order, np.minimum(ranked, 1), axis=1)
    return found
