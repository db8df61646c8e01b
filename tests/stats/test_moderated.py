from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from polydrift.stats.moderated import digamma, inverse_trigamma, moderated, trigamma


@pytest.mark.parametrize("x", [0.01, 0.5, 1.0, 3.3, 9.99, 40.0, 1e4])
def test_special_functions_equal_scipys(x: float) -> None:
    assert digamma(x) == pytest.approx(scipy.special.digamma(x), rel=1e-11, abs=1e-12)
    assert trigamma(x) == pytest.approx(scipy.special.polygamma(1, x), rel=1e-11)
    assert inverse_trigamma(trigamma(x)) == pytest.approx(x, rel=1e-8)


def test_equals_smyths_formulas() -> None:
    rng = np.random.default_rng(1)
    u = 2.0 * 2 / rng.chisquare(2, 60) * rng.chisquare(2, 60) / 2
    e = np.log(u) - scipy.special.digamma(1.0) + math.log(1.0)
    wanted = e.var(ddof=1) - scipy.special.polygamma(1, 1.0)
    half = scipy.optimize.brentq(lambda x: scipy.special.polygamma(1, x) - wanted, 1e-3, 1e3)
    prior, scale = 2 * half, math.exp(e.mean() + scipy.special.digamma(half) - math.log(half))
    found = moderated(u, 2, 60)
    assert (found.prior, found.scale) == pytest.approx((prior, scale), rel=1e-6)
    used = prior / 2
    assert found.ratio == pytest.approx((used * scale + 2 * u) / (used + 2), rel=1e-6)
    assert found.degrees == pytest.approx(np.full(60, used + 2), rel=1e-6)


@pytest.mark.parametrize(("prior", "scale"), [(3.0, 2.0), (10.0, 1.5)])
def test_finds_what_the_ratios_were_drawn_with(prior: float, scale: float) -> None:
    rng = np.random.default_rng(2)
    u = scale * prior / rng.chisquare(prior, 20_000) * rng.chisquare(2, 20_000) / 2
    found = moderated(u, 2, 20_000)
    assert (found.prior, found.scale) == pytest.approx((prior, scale), rel=0.1)


def test_cells_that_vary_alike_are_worth_what_their_tunings_are() -> None:
    u = np.random.default_rng(3).permutation(np.linspace(0.9, 1.1, 81))
    found = moderated(u, 2, 9)
    assert found.prior == math.inf
    assert found.degrees.tolist() == [18.0] * 81
    assert np.ptp(found.ratio) == pytest.approx(0.2 * 2 / 18)


def test_of_one_tuning_and_of_no_variance_they_are_left_alone() -> None:
    u = np.array([0.2, 3.0, 1.0])
    for ratios, tunings in ((u, 1), (np.zeros(3), 5)):
        found = moderated(ratios, 2, tunings)
        assert found.ratio.tolist() == ratios.tolist()
        assert found.degrees.tolist() == [2.0] * 3


def test_a_ratio_of_zero_is_drawn_up() -> None:
    found = moderated(np.array([0.0, 0.8, 1.5, 2.0, 0.4, 1.1]), 2, 6)
    assert 0 < found.ratio[0] < found.ratio[4] < found.ratio[3] < 2


def test_the_order_of_cells_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    u, mixed = rng.exponential(1, 12), rng.permutation(12)
    found, other = moderated(u, 2, 4), moderated(u[mixed], 2, 4)
    assert found.ratio[mixed] == pytest.approx(other.ratio, rel=1e-12)
