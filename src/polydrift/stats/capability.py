"""What a variant can still do against what its base could, task by task, with an interval.

Both were asked the same questions, so the change is a paired difference, joined by the questions'
numbers: a question counts where both have a value, and how many do is reported. Questions are what
is sampled, so questions are resampled. Scores from 0 to 1 have the interval of `effects`, with its
two imagined pairs, for the same reason: a change of nothing in 100 questions is not known to be
nothing. Bits per byte and their like have no worst and best, hence no imagined pairs: the plain
percentile bootstrap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.seeds import named_seed
from polydrift.stats.cells import CELL
from polydrift.stats.effects import bootstrap_interval, draw_counts
from polydrift.stats.intervals import check_level

VARIANT = CELL[: CELL.index("evaluation_language") + 1]
_TASK = ("benchmark", "task", "evaluation_language")
_SCHEMA = pa.schema(
    {
        **{name: pa.string() for name in VARIANT},
        **{name: pa.int64() for name in ("tuning_seed", "epochs")},
        **{name: pa.string() for name in ("benchmark", "task", "metric", "filter")},
        "higher_is_better": pa.bool_(),
        **{
            name: pa.float64()
            for name in ("base_value", "variant_value", "difference", "low", "high")
        },
        "questions": pa.int64(),
    }
)

Floats = NDArray[np.float64]
Row = dict[str, Any]
Key = tuple[Any, ...]


class Answered(NamedTuple):
    """The numbers of the questions that have a value, ascending, and their values; [n] each."""

    numbers: NDArray[np.int64]
    values: Floats


_NONE = Answered(np.empty(0, np.int64), np.empty(0))
_UNKNOWN = {"difference": np.nan, "low": np.nan, "high": np.nan, "questions": 0}


def capability_effects(
    capability: pa.Table, questions: pa.Table, *, level: float, draws: int, seed: int
) -> pa.Table:
    """The table `capability_effects`: a row per variant and task, sorted.

    capability, questions: the tables of docs/tables.md, in any order of rows. level: of the
    intervals. draws, seed: of the bootstrap; each base and task draws from a generator of its own.

    metric, filter: of the variant's main figure, which `base_value` and `variant_value` are of.
    difference: variant - base, the mean over the `questions` that both have, NaN where they have
    none in common. Where one of them has no values of questions, or another main metric, it is
    variant_value - base_value, low and high are NaN and `questions` is 0. Values that are NaN are
    left out. A task that the base was not asked has no row. MeasureError for two main figures of a
    task, or two values of a question.
    """
    check_level(level)
    main, figures = _figures(capability)
    values = _values(questions)
    blocks: dict[Key, list[Row]] = {}
    for row in main.values():
        task = tuple(row[name] for name in _TASK)
        if row["variant"] != row["base"] and (row["base"], row["base"], *task) in main:
            blocks.setdefault((row["base"], *task), []).append(row)
    made: list[Row] = []
    for (base, benchmark, name, language), tuned in blocks.items():
        task = (benchmark, name, language)
        before, asked = main[base, base, *task], values.get((base, base, *task), _NONE)
        answered = [
            values.get((base, row["variant"], *task), _NONE)
            if _figure(row) == _figure(before)
            else _NONE
            for row in tuned
        ]
        bounded = before["higher_is_better"] is not False
        rng = np.random.default_rng(named_seed("capability", seed, base, *map(str, task)))
        found = _differences(asked, answered, bounded, level, draws, rng)
        for row, one, figure in zip(tuned, answered, found, strict=True):
            then = figures.get((base, base, *task, *_figure(row)), np.nan)
            if not len(asked.values) or not len(one.values):
                figure["difference"] = row["value"] - then
            made.append({**row, "base_value": then, "variant_value": row["value"], **figure})
    order = [(name, "ascending") for name in (*VARIANT, "benchmark", "task")]
    return pa.Table.from_pylist(made, schema=_SCHEMA).sort_by(order).combine_chunks()


def _figure(row: Row) -> tuple[str, str]:
    return row["metric"], row["filter"]


def _figures(capability: pa.Table) -> tuple[dict[Key, Row], dict[Key, float]]:
    """The main rows by base, variant and task, and every value by these, metric and filter."""
    main: dict[Key, Row] = {}
    figures: dict[Key, float] = {}
    for row in capability.to_pylist():
        row["value"] = np.nan if row["value"] is None else row["value"]
        key = tuple(row[name] for name in ("base", "variant", *_TASK))
        figures[(*key, *_figure(row))] = row["value"]
        if row["main"] and main.setdefault(key, row) is not row:
            raise MeasureError(
                f"capability: two main figures of task {row['task']!r} for {row['variant']}: "
                f"{main[key]['metric']} and {row['metric']}; mark one as main."
            )
    return main, figures


def _values(questions: pa.Table) -> dict[Key, Answered]:
    """The values of each base, variant and task; those that are NaN left out."""
    names = ["base", "variant", *_TASK]
    known = questions.filter(pc.is_finite(questions["value"]))
    grouped = known.group_by(names).aggregate([("question", "list"), ("value", "list")])
    found: dict[Key, Answered] = {}
    keys = zip(*(grouped[name].to_pylist() for name in names), strict=True)
    for key, numbers, values in zip(
        keys, grouped["question_list"], grouped["value_list"], strict=True
    ):
        number = numbers.values.to_numpy()
        order = np.argsort(number)
        number = number[order]
        if (twice := number[1:][number[1:] == number[:-1]]).size:
            raise MeasureError(
                f"questions: two values of question {twice[0]} of task {key[3]!r} for {key[1]}; "
                "a variant answers each once."
            )
        found[key] = Answered(number, values.values.to_numpy()[order])
    return found


def _differences(
    asked: Answered,
    answered: list[Answered],
    bounded: bool,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> list[Row]:
    """What changed from the values of the base, `asked`, to those of each variant.

    bounded: whether values that all lie in [0, 1] are scores between a worst and a best.
    """
    n = len(asked.values)
    if not n:
        return [dict(_UNKNOWN) for _ in answered]
    before, after = asked.values, np.full((len(answered), n), np.nan)
    for row, one in zip(after, answered, strict=True):
        _, here, there = np.intersect1d(
            asked.numbers, one.numbers, assume_unique=True, return_indices=True
        )
        row[here] = one.values[there]
    both = ~np.isnan(after)  # [variants, questions]
    moved = np.where(both, after - before, 0.0)
    sizes = both.sum(axis=1)
    inside = (np.minimum(before, after) >= 0) & (np.maximum(before, after) <= 1)
    scores = (inside | ~both).all(axis=1) & bounded
    low, high = np.full((2, len(answered)), np.nan)
    for chosen, pairs in ((scores, 2), (~scores, 0)):
        real, imagined = np.split(draw_counts(n + pairs, draws, rng), [n], axis=1)
        low[chosen], high[chosen] = bootstrap_interval(
            moved[chosen].T,
            both[chosen].T.astype(float),
            real,
            level=level,
            imagined=imagined if pairs else None,
        )
    with np.errstate(invalid="ignore"):
        difference = moved.sum(axis=1) / sizes
    figures = zip(difference.tolist(), low.tolist(), high.tolist(), sizes.tolist(), strict=True)
    return [dict(zip(_UNKNOWN, row, strict=True)) for row in figures]
