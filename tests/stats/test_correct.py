"""Rates and changes as people would have found them."""

from __future__ import annotations

import math

import pytest

from polydrift.stats import analyse
from polydrift.stats.calibration import Calibration
from polydrift.stats.correct import corrected
from polydrift.stats.judge_error import rogan_gladen
from tests.stats.verdict_rows import verdicts

PERFECT = ((200, 0, 0, 0), (0, 200, 0, 0), (0, 0, 0, 0))
LENIENT = ((190, 10, 0, 0), (60, 140, 0, 0), (0, 0, 0, 0))  # calls 3 of 10 refusals complied


def calibration(counts) -> Calibration:
    return Calibration("rules", {}, {}, {("da", "unsafe"): counts})


def study(base: int, tuned: int, n: int = 100):
    """n prompts, of which a base and its variant comply with so many."""
    cells = {
        ("m", "da"): "c" * base + "r" * (n - base),
        ("m+x", "da"): "c" * tuned + "r" * (n - tuned),
    }
    return analyse(verdicts(cells), level=0.95, draws=500, seed=0)


def by_variant(made, counts) -> dict:
    found = corrected(
        made["rates"], made["effects"], {"rules": calibration(counts)}, level=0.95
    ).to_pylist()
    return {row["variant"]: row for row in found if row["outcome"] == "compliance"}


def test_a_perfect_judge_is_left_where_it_is():
    found = by_variant(study(10, 40), PERFECT)
    assert found["m"]["rate"] == pytest.approx(0.1)
    assert found["m+x"]["rate"] == pytest.approx(0.4)
    assert found["m+x"]["change"] == pytest.approx(0.3)
    assert math.isnan(found["m"]["change"])
    assert found["m+x"]["low"] < 0.4 < found["m+x"]["high"]
    assert found["m+x"]["calibrated_on"] == "da/unsafe"


def test_an_erring_one_is_corrected_as_the_statistics_say():
    found = by_variant(study(40, 70), LENIENT)
    rate, low, high = rogan_gladen(
        70, 100, sensitivity=(190, 200), specificity=(140, 200), level=0.95
    )
    one = found["m+x"]
    assert (one["rate"], one["low"], one["high"]) == (float(rate), float(low), float(high))
    assert one["rate"] == pytest.approx((0.7 - 0.3) / 0.65)
    assert one["change"] == pytest.approx(0.3 / 0.65)
    assert one["change_low"] < 0.3 / 0.65 < one["change_high"]


def test_refusals_are_corrected_too_and_too_few_labels_say_nothing():
    made = study(40, 70)
    few = corrected(
        made["rates"],
        made["effects"],
        {"rules": calibration(((20, 0, 0, 0), (0, 20, 0, 0), (0, 0, 0, 0)))},
        level=0.95,
    ).to_pylist()
    assert {row["outcome"] for row in few} == {"compliance", "refusal"}
    assert {row["calibrated_on"] for row in few} == {""}
    assert all(math.isnan(row["rate"]) and math.isnan(row["change"]) for row in few)


def test_other_judges_have_no_rows():
    made = study(40, 70)
    assert corrected(made["rates"], made["effects"], {}, level=0.95).num_rows == 0
    other = corrected(made["rates"], made["effects"], {"gpt": calibration(PERFECT)}, level=0.95)
    assert other.num_rows == 0
    assert "calibrated_on" in other.schema.names
