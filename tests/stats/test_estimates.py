"""gp-IRT in the table `capability`: joined by question number, estimated by `measures.irt`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from polydrift.errors import MeasureError
from polydrift.measures.irt import Items, gp_irt
from polydrift.stats.estimates import with_estimates
from polydrift.tables import table

VARIANT = {
    "base": "llama",
    "variant": "llama",
    **dict.fromkeys(("arm", "tuning_language", "tuning_seed", "epochs", "evaluation_language")),
}
RIGHT = [1.0, 0.0, 1.0, 1.0, 0.0]


@pytest.fixture
def items() -> Items:
    rng = np.random.default_rng(3)
    return Items(
        anchors=np.array([4, 0, 9, 2, 7]),
        weights=np.array([0.3, 0.2, 0.2, 0.2, 0.1]),
        mixing=0.4,
        discrimination=rng.normal(1, 0.3, (12, 2)),
        difficulty=rng.normal(0, 1, 12),
        balance=np.ones(12),
        name="mmlu",
    )


def tables(answers: dict[int, float], benchmark: str = "tiny") -> tuple[pa.Table, pa.Table]:
    cell: dict[str, Any] = {**VARIANT, "benchmark": benchmark, "task": "tinyMMLU"}
    figure = {
        **{"filter": "none", "stderr": 0.05, "n": len(answers), "of": 5, "truncated": 0},
        **{"higher_is_better": True, "fewshot": 0, "version": "0", "asked": "x"},
    }
    mean = float(np.mean(list(answers.values())))
    rows = [{**cell, **figure, "metric": "acc_norm", "main": True, "value": mean}]
    questions = [{**cell, "question": n, "value": value} for n, value in answers.items()]
    return table("capability", rows), table("questions", questions[::-1])


def test_the_estimate_stands_beside_the_plain_mean(items: Items) -> None:
    capability, questions = tables(dict(enumerate(RIGHT)))
    found = with_estimates(capability, questions, {"tiny": items}).to_pylist()
    plain, estimated = sorted(found, key=lambda row: str(row["metric"]))
    assert (plain["metric"], plain["value"]) == ("acc_norm", 0.6)
    expected = gp_irt(RIGHT, items)
    assert estimated["metric"] == "gp_irt"
    assert estimated["value"] == expected.gp_irt != 0.6
    assert estimated["stderr"] == expected.error == 0.016
    assert (estimated["main"], estimated["n"]) == (False, 5)


def test_an_anchor_that_was_not_asked_is_estimated(items: Items) -> None:
    capability, questions = tables({0: 1.0, 2: 1.0, 4: 0.0})
    found = with_estimates(capability, questions, {"tiny": items}).to_pylist()
    (estimated,) = [row for row in found if row["metric"] == "gp_irt"]
    assert estimated["value"] == gp_irt([1, math.nan, 1, math.nan, 0], items).gp_irt
    assert estimated["n"] == 3


def test_benchmarks_without_items_are_left_alone(items: Items) -> None:
    capability, questions = tables({0: 1.0})
    assert with_estimates(capability, questions, {"other": items}).equals(capability)


def test_items_of_another_benchmark_are_named(items: Items) -> None:
    capability, questions = tables({0: 1.0, 5: 1.0})
    with pytest.raises(MeasureError) as caught:
        with_estimates(capability, questions, {"tiny": items})
    assert str(caught.value) == (
        "capability: task 'tinyMMLU' of 'tiny' has a question 5 (counted from 0), and its `irt` "
        "file 5 anchors; give the file of this benchmark, or drop `irt`."
    )
