from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from polydrift.stats.intervals import wilson


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_equals_statsmodels(level: float) -> None:
    n, successes = np.meshgrid([1, 2, 7, 60, 110, 440], np.linspace(0, 1, 11))
    successes = np.round(successes * n)
    low, high = wilson(successes, n, level)
    expected = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    np.testing.assert_allclose(low, expected[0], atol=1e-12)
    np.testing.assert_allclose(high, expected[1], atol=1e-12)


def test_nothing_asked_is_nan_and_the_rest_is_not() -> None:
    low, high = wilson([0, 3], [0, 3], 0.95)
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert 0.2 < low[1] < 1
    assert high[1] == 1.0


def test_none_and_all_have_exact_ends_and_a_width() -> None:
    low, high = wilson([0, 50], 50, 0.95)
    assert (low[0], high[1]) == (0.0, 1.0)
    assert high[0] > 0.05
    assert low[1] < 0.95


def test_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    for n, truth in ((20, 0.1), (60, 0.5), (110, 0.02)):
        low, high = wilson(rng.binomial(n, truth, 20_000), n, 0.95)
        assert 0.93 < np.mean((low <= truth) & (truth <= high)) < 0.985
