from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from polydrift.errors import MeasureError
from polydrift.stats.capability import capability_effects

SETTINGS: dict[str, Any] = {"level": 0.95, "draws": 2000, "seed": 0}
COMMON = {
    **{name: pa.string() for name in ("base", "variant", "arm", "tuning_language")},
    **{name: pa.int64() for name in ("tuning_seed", "epochs")},
    **{name: pa.string() for name in ("evaluation_language", "benchmark", "task")},
}
CAPABILITY = pa.schema(
    {
        **COMMON,
        **{name: pa.string() for name in ("metric", "filter")},
        **{name: pa.float64() for name in ("value", "stderr")},
        "n": pa.int64(),
        **{name: pa.bool_() for name in ("main", "higher_is_better")},
    }
)
QUESTIONS = pa.schema({**COMMON, "question": pa.int64(), "value": pa.float64()})

Row = dict[str, Any]
Values = Mapping[int, float | None]


def variant(name: str) -> Row:
    tuned = {"arm": "a", "tuning_language": "da", "tuning_seed": 9, "epochs": 1}
    return {"base": name.split("+")[0], "variant": name, **(tuned if "+" in name else {})}


def figure(name: str, value: float | None, task: str = "t", **values: Any) -> Row:
    known = {"benchmark": "b", "task": task, "metric": "acc", "filter": "none", "stderr": 0.1}
    known |= {"n": 10, "main": True, "higher_is_better": True, "evaluation_language": "da"}
    return variant(name) | known | {"value": value} | values


def answered(name: str, values: Values, task: str = "t", **others: Any) -> list[Row]:
    known = {"benchmark": "b", "task": task, "evaluation_language": "da"}
    return [
        variant(name) | known | {"question": number, "value": value} | others
        for number, value in values.items()
    ]


def tables(figures: Sequence[Row], questions: Sequence[Row]) -> tuple[pa.Table, pa.Table]:
    first = pa.Table.from_pylist(list(figures), schema=CAPABILITY)
    return first, pa.Table.from_pylist(list(questions), schema=QUESTIONS)


def found(figures: Sequence[Row], questions: Sequence[Row], **settings: Any) -> list[Row]:
    made = capability_effects(*tables(figures, questions), **(SETTINGS | settings))
    rows: list[Row] = made.to_pylist()
    return rows


def one(before: Values, after: Values, **others: Any) -> Row:
    """The row of one variant, its main figures being the means."""
    figures = [
        figure(name, float(np.mean([v for v in values.values() if v is not None])), **others)
        for name, values in (("m", before), ("m+a", after))
    ]
    (row,) = found(figures, answered("m", before) + answered("m+a", after))
    return row


def numbered(values: Iterable[float]) -> dict[int, float]:
    return {number: float(value) for number, value in enumerate(values)}


# --- the difference ---------------------------------------------------------------------------


def test_questions_are_paired_by_number() -> None:
    row = one({3: 1, 1: 0, 2: 0, 9: 1}, {1: 1, 2: 1, 3: 1, 8: 0})
    assert row["difference"] == pytest.approx(2 / 3)  # of 1, 2 and 3
    assert row["questions"] == 3
    assert (row["base_value"], row["variant_value"]) == (0.5, 0.75)
    assert (row["metric"], row["filter"], row["higher_is_better"]) == ("acc", "none", True)


def test_values_that_are_nan_or_null_are_left_out_and_not_counted() -> None:
    row = one({1: 1, 2: 0, 3: 0, 4: 1}, {1: 1, 2: 1, 3: None, 4: math.nan})
    assert row["difference"] == pytest.approx(0.5)
    assert row["questions"] == 2


def test_against_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    names = ["m", "m+a", "m+b", "n", "n+a"]
    tasks = [("one", "da"), ("two", "en"), ("three", None)]
    figures, questions, values = [], [], {}
    for name in names:
        for task, language in tasks:
            kept = rng.choice(40, 30, replace=False).tolist()
            mine = {number: float(rng.integers(2)) for number in kept}
            values[name, task] = mine
            others = {"evaluation_language": language}
            figures.append(figure(name, float(rng.random()), task, **others))
            figures.append(figure(name, 0.0, task, metric="other", main=False, **others))
            questions += answered(name, mine, task, **others)
    rows = found(figures, questions)
    assert len(rows) == 3 * 3
    for row in rows:
        base, tuned = values[row["base"], row["task"]], values[row["variant"], row["task"]]
        moved = [tuned[number] - base[number] for number in tuned if number in base]
        assert row["questions"] == len(moved)
        assert row["difference"] == pytest.approx(np.mean(moved))
        assert row["low"] < row["difference"] < row["high"]
        assert row["evaluation_language"] == dict(tasks)[row["task"]]


def test_without_values_of_questions_it_is_of_the_figures() -> None:
    (row,) = found([figure("m", 0.25), figure("m+a", 0.75)], [])
    assert (row["difference"], row["questions"]) == (0.5, 0)
    assert math.isnan(row["low"])
    assert math.isnan(row["high"])
    (row,) = found([figure("m", 0.25), figure("m+a", 0.75)], answered("m", {1: 1.0}))
    assert (row["difference"], row["questions"]) == (0.5, 0)


def test_no_question_in_common_is_nan() -> None:
    row = one({1: 1, 2: 1}, {3: 0, 4: 1})
    assert row["questions"] == 0
    assert all(math.isnan(row[name]) for name in ("difference", "low", "high"))


def test_another_main_metric_is_compared_with_the_same_figure_of_the_base() -> None:
    """It happens where one question of the base has no number in the usual metric."""
    figures = [
        figure("m", 0.5, metric="exact"),
        figure("m", 0.25, main=False),
        figure("m+a", 0.75),
        figure("m+b", 0.75, metric="new"),
    ]
    values = [row for name in ("m", "m+a", "m+b") for row in answered(name, {1: 0.0, 2: 1.0})]
    first, second = found(figures, values)
    assert (first["base_value"], first["difference"], first["questions"]) == (0.25, 0.5, 0)
    assert math.isnan(second["base_value"])
    assert math.isnan(second["difference"])


def test_a_task_that_the_base_was_not_asked_has_no_row() -> None:
    assert found([figure("m", 0.5, "other"), figure("m+a", 0.5), figure("n", 0.5)], []) == []
    made = capability_effects(*tables([], []), **SETTINGS)
    assert made.num_rows == 0
    assert made.column_names[:9] == list(COMMON)


def test_a_figure_without_a_value_is_nan() -> None:
    (row,) = found([figure("m", 0.5), figure("m+a", None)], [])
    assert math.isnan(row["variant_value"])
    assert math.isnan(row["difference"])


# --- its interval -----------------------------------------------------------------------------


def test_values_beyond_0_and_1_have_scipys_percentile_interval() -> None:
    rng = np.random.default_rng(2)
    before, after = rng.gamma(4, 0.5, (2, 62))
    row = one(numbered(before), numbered(after), higher_is_better=False)
    expected = scipy.stats.bootstrap(
        (before, after),
        lambda a, b, axis: (b - a).mean(axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=1,
    ).confidence_interval
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_scores_have_the_interval_with_two_imagined_questions() -> None:
    """Scipy's of the same questions and of one a sqrt(1/2) better and one as much worse."""
    rng = np.random.default_rng(3)
    before, after = rng.integers(2, size=(2, 60)).astype(float)
    row = one(numbered(before), numbered(after))
    imagined = np.append(after - before, [math.sqrt(0.5), -math.sqrt(0.5)])
    expected = scipy.stats.bootstrap(
        (imagined,), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_no_change_is_not_certain_of_scores_and_bits_have_no_imagined_pair() -> None:
    same = numbered([0.0, 1.0] * 50)
    scores = one(same, same)
    assert (scores["low"], scores["high"]) == pytest.approx((-0.02, 0.02), abs=0.003)
    few = numbered([0.5, 0.7, 0.9])
    for bits in (
        one(few, few, higher_is_better=False),  # though within 0 and 1
        one(numbered([1.5, 0.7]), numbered([1.5, 0.7]), higher_is_better=None),
    ):
        assert (bits["low"], bits["high"]) == (0, 0)
    unsaid = one(same, same, higher_is_better=None)
    assert (unsaid["low"], unsaid["high"]) == (scores["low"], scores["high"])


def test_it_covers_a_rare_change() -> None:
    rng = np.random.default_rng(4)
    figures = [figure("m", 0.5), *(figure(f"m+{i}", 0.5) for i in range(300))]
    before = (rng.random(100) < 0.5).astype(float)
    questions = answered("m", numbered(before))
    for i in range(300):
        spoiled = np.where(rng.random(100) < 0.03, 0.0, before)
        questions += answered(f"m+{i}", numbered(spoiled))
    rows = found(figures, questions)
    truth = -0.03 * before.mean()
    assert np.mean([row["low"] <= truth <= row["high"] for row in rows]) > 0.93


def test_the_order_of_rows_changes_nothing_and_neither_do_other_variants() -> None:
    rng = np.random.default_rng(5)
    names = ["m", "m+a", "m+b", "n", "n+a"]
    figures = [figure(name, 0.5) for name in names]
    questions = [
        row for name in names for row in answered(name, numbered(rng.integers(2, size=30)))
    ]
    given = tables(figures, questions)
    mixed = [table.take(rng.permutation(table.num_rows)) for table in given]
    assert capability_effects(*given, **SETTINGS).equals(capability_effects(*mixed, **SETTINGS))
    alone = found(
        [row for row in figures if row["variant"] in ("m", "m+b")],
        [row for row in questions if row["variant"] in ("m", "m+b")],
    )
    assert alone == [row for row in found(figures, questions) if row["variant"] == "m+b"]
    other = found(figures, questions, seed=1)
    assert [row["low"] for row in other] != [row["low"] for row in found(figures, questions)]


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "questions", "settings", "message"),
    [
        (
            [figure("m", 0.5), figure("m", 0.5, metric="f1")],
            [],
            {},
            "capability: two main figures of task 't' for m: acc and f1; mark one as main.",
        ),
        (
            [],
            answered("m+a", {2: 0.5, 7: 1.0}) + answered("m+a", {7: 1.0}),
            {},
            "questions: two values of question 7 of task 't' for m+a; a variant answers each once.",
        ),
        ([], [], {"level": 1.0}, "level: 1.0 is no confidence level; give one such as 0.95."),
    ],
)
def test_errors(
    figures: list[Row], questions: list[Row], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(MeasureError, match=re.escape(message)):
        found(figures, questions, **settings)
