from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from polydrift.errors import MeasureError
from polydrift.stats.multiplicity import FAMILY, benjamini_hochberg, holm, with_adjusted


@pytest.mark.parametrize("seed", range(5))
def test_both_equal_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.4, 1, 81)
    p[3] = p[17]  # a tie
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], rel=1e-12)


def test_what_was_not_tested_is_in_no_family() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, np.nan])
    for adjust, method in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        found = adjust(p)
        assert np.isnan(found[[1, 4]]).all()
        assert found[[0, 2, 3]] == pytest.approx(multipletests(p[[0, 2, 3]], method=method)[1])


def test_none_and_one_and_all_certain() -> None:
    for adjust in (holm, benjamini_hochberg):
        assert adjust(np.array([])).tolist() == []
        assert np.isnan(adjust(np.array([np.nan]))).all()
        assert adjust(np.array([0.2])).tolist() == [0.2]
        assert adjust(np.ones(4)).tolist() == [1, 1, 1, 1]


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    p, mixed = rng.random(30), rng.permutation(30)
    for adjust in (holm, benjamini_hochberg):
        assert adjust(p)[mixed].tolist() == adjust(p[mixed]).tolist()


def test_adjusted_within_families() -> None:
    rng = np.random.default_rng(1)
    rows = [
        {"suite": suite, "kind": "unsafe", "judge": judge, "outcome": outcome, "p": rng.random()}
        for _ in range(7)
        for suite in "ab"
        for judge in "xy"
        for outcome in ("compliance", "refusal")
    ]
    found = with_adjusted(pa.Table.from_pylist(rows)).to_pylist()
    assert [row["p"] for row in found] == [row["p"] for row in rows]
    for key in {tuple(row[name] for name in FAMILY) for row in rows}:
        family = [row for row in found if tuple(row[name] for name in FAMILY) == key]
        p = [row["p"] for row in family]
        for name, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
            expected = multipletests(p, method=method)[1]
            assert [row[name] for row in family] == pytest.approx(expected.tolist())


def test_no_false_alarm_in_a_null_family_more_often_than_it_says() -> None:
    rng = np.random.default_rng(2)
    common = rng.standard_normal((4000, 1))  # tests that hang together
    z = np.sqrt(0.5) * common + np.sqrt(0.5) * rng.standard_normal((4000, 20))
    p = 2 * scipy.stats.norm.sf(np.abs(z))
    alarms = np.mean([(holm(one) < 0.05).any() for one in p])
    assert 0.01 < alarms <= 0.055
    assert np.mean((p < 0.05).any(axis=1)) > 0.3  # what it saves from


@pytest.mark.parametrize("wrong", [-0.1, 1.5])
def test_a_number_that_is_no_probability_is_named(wrong: float) -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(MeasureError) as error:
            adjust(np.array([0.5, wrong]))
        assert str(error.value) == (
            f"p: {wrong} is no probability; give numbers from 0 to 1, or NaN."
        )
