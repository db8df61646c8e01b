from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import mcnemar

from polydrift.errors import MeasureError
from polydrift.stats.paired import Pairs, exact_p, fold_interval, rates_of

Ints = NDArray[np.int64]
Z = scipy.stats.norm.ppf(0.975)


def single(after: Ints, before: Ints) -> Pairs:
    """One column and one answer of each prompt; after, before: [prompts] 0 or 1."""
    return Pairs(after[None], before[None], np.array([(after & before).sum()]), 1 + 0 * after[None])


def table(both: int, gained: int, lost: int, neither: int) -> Pairs:
    after = np.repeat([1, 1, 0, 0], [both, gained, lost, neither])
    before = np.repeat([1, 0, 1, 0], [both, gained, lost, neither])
    return single(after, before)


# --- the test ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gained", "lost"), [(9, 1), (1, 9), (5, 5), (0, 0), (1, 0), (30, 12), (400, 380), (440, 0)]
)
def test_with_one_answer_it_is_mcnemars_exact_test(gained: int, lost: int) -> None:
    pairs = table(20, gained, lost, 30)
    (p,) = exact_p(pairs.changes)
    expected = mcnemar([[20, gained], [lost, 30]], exact=True).pvalue
    assert p == pytest.approx(expected, rel=1e-9)
    if gained + lost:
        assert p == pytest.approx(scipy.stats.binomtest(gained, gained + lost).pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_with_several_it_is_every_flip_of_signs(seed: int) -> None:
    changes = np.random.default_rng(seed).integers(-3, 4, 11)
    signs = np.array(list(itertools.product([-1, 1], repeat=len(changes))))
    as_far = np.abs(signs @ changes) >= abs(changes.sum())
    assert exact_p(changes[None])[0] == pytest.approx(as_far.mean(), rel=1e-12)


def test_equals_scipys_permutation_test() -> None:
    rng = np.random.default_rng(3)
    after, before = rng.binomial(4, 0.5, (2, 40))
    found = scipy.stats.permutation_test(
        (after, before),
        lambda x, y, axis: (x - y).sum(axis=axis),
        permutation_type="samples",
        n_resamples=50_000,
        rng=rng,
    )
    assert exact_p((after - before)[None])[0] == pytest.approx(found.pvalue, abs=0.008)


def test_tails_far_out_are_right() -> None:
    (p,) = exact_p(table(0, 300, 0, 0).changes)
    assert p == pytest.approx(2.0 ** (1 - 300), rel=1e-9)


def test_many_answers_of_many_prompts() -> None:
    rng = np.random.default_rng(4)
    changes = rng.integers(-20, 22, (1, 440))
    z = changes.sum() / np.sqrt((changes**2).sum())
    assert exact_p(changes)[0] == pytest.approx(2 * scipy.stats.norm.sf(abs(z)), rel=0.03)


def test_columns_are_apart_and_signs_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    changes = rng.integers(-2, 3, (30, 25))
    alone = [exact_p(one[None])[0] for one in changes]
    assert exact_p(changes).tolist() == alone
    assert exact_p(-changes).tolist() == alone
    assert exact_p(changes[:, ::-1]).tolist() == alone


def test_nothing_paired_is_nan_and_nothing_changed_is_one() -> None:
    found = exact_p(np.zeros((2, 5), int), np.array([True, False]))
    assert found[0] == 1
    assert math.isnan(found[1])
    assert np.isnan(exact_p(np.zeros((3, 0), int), np.zeros(3, bool))).all()


@pytest.mark.parametrize(
    ("prompts", "samples", "rate"), [(20, 1, 0.3), (110, 1, 0.05), (40, 3, 0.3)]
)
def test_errs_no_more_often_than_it_says(prompts: int, samples: int, rate: float) -> None:
    rng = np.random.default_rng(6)
    chance = rng.beta(2 * rate, 2 - 2 * rate, (4000, prompts))  # a prompt's own
    after, before = rng.binomial(samples, chance, (2, 4000, prompts))
    assert np.mean(exact_p(after - before) < 0.05) <= 0.055


# --- the fold's interval ----------------------------------------------------------------------


def bonett_and_price(both: int, gained: int, lost: int) -> tuple[float, float]:
    """Word for word from the paper, for one answer of each prompt."""
    x1, x2, m = both + gained, both + lost, both + gained + lost
    a = math.sqrt((gained + lost + 2) / ((x1 + 1) * (x2 + 1)))
    b, c = (math.sqrt((1 - (x + 1) / (m + 2)) / (x + 1)) for x in (x1, x2))
    z = a / (b + c) * Z

    def ends(x: int) -> tuple[float, float]:
        middle, half = 2 * x + z * z, z * math.sqrt(z * z + 4 * x * (1 - x / m))
        return (middle - half) / (2 * (m + z * z)), (middle + half) / (2 * (m + z * z))

    (low1, high1), (low2, high2) = ends(x1), ends(x2)
    return low1 / high2, high1 / low2 if x2 else math.inf


def test_with_one_answer_it_is_bonett_and_prices() -> None:
    for both, gained, lost in itertools.product(range(6), range(6), range(6)):
        if both + gained + lost == 0:
            continue
        low, high = fold_interval(table(both, gained, lost, 7), level=0.95)
        expected = bonett_and_price(both, gained, lost)
        assert low[0] == pytest.approx(expected[0], rel=1e-9, abs=1e-12)
        assert high[0] == pytest.approx(expected[1], rel=1e-9)


def test_the_fold_lies_inside_and_says_what_it_can_of_zeros() -> None:
    up, down, none = table(0, 40, 0, 400), table(0, 0, 40, 400), table(0, 0, 0, 440)
    (low,), (high,) = fold_interval(up, level=0.95)
    assert low > 8
    assert high == math.inf
    (low,), (high,) = fold_interval(down, level=0.95)
    assert low == 0
    assert high < 1 / 8
    assert [end[0] for end in fold_interval(none, level=0.95)] == [0, math.inf]
    (low,), (high,) = fold_interval(table(10, 20, 10, 70), level=0.95)
    assert low < rates_of(table(10, 20, 10, 70)).fold[0] < high


def test_swapping_the_sides_turns_the_interval_over() -> None:
    (low,), (high,) = fold_interval(table(12, 20, 5, 70), level=0.9)
    (other_low,), (other_high,) = fold_interval(table(12, 5, 20, 70), level=0.9)
    assert (low, high) == pytest.approx((1 / other_high, 1 / other_low))


def test_answers_copied_say_no_more() -> None:
    rng = np.random.default_rng(7)
    after, before = (rng.random((2, 300)) < [[0.5], [0.3]]).astype(int)
    one = single(after, before)
    three = Pairs(*(3 * values for values in one))
    for end, other in zip(
        fold_interval(one, level=0.95), fold_interval(three, level=0.95), strict=True
    ):
        assert end[0] == pytest.approx(other[0], rel=1e-9)


def test_independent_answers_say_as_much_as_prompts() -> None:
    rng = np.random.default_rng(8)
    after, before = (rng.random((2, 900)) < [[0.5], [0.3]]).astype(int)
    one = single(after, before)
    grouped = Pairs(
        *(values.reshape(1, 300, 3).sum(axis=2) for values in (one.after, one.before)),
        one.both,
        one.sizes.reshape(1, 300, 3).sum(axis=2),
    )
    for end, other in zip(
        fold_interval(one, level=0.95), fold_interval(grouped, level=0.95), strict=True
    ):
        assert end[0] == pytest.approx(other[0], rel=0.02)


@pytest.mark.parametrize(
    ("prompts", "before", "after"),
    [(20, 0.2, 0.5), (20, 0.02, 0.3), (110, 0.02, 0.05), (110, 0.5, 0.5), (440, 0.02, 0.3)],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_covers_as_often_as_it_says(
    prompts: int, before: float, after: float, samples: int
) -> None:
    """Half of a prompt's answers hang together: by samples, and of base and variant."""
    rng = np.random.default_rng(9)
    shape = (4000, prompts, samples)
    own = rng.random((4000, prompts, 1))
    together = rng.random((2, *shape)) < 0.5
    places = np.where(together, own, rng.random((2, *shape)))
    first, second = (places[0] < before).astype(int), (places[1] < after).astype(int)
    pairs = Pairs(
        second.sum(axis=2),
        first.sum(axis=2),
        (first & second).sum(axis=(1, 2)),
        np.full(shape[:2], samples),
    )
    low, high = fold_interval(pairs, level=0.95)
    truth = after / before
    covered = np.mean((low <= truth * (1 + 1e-9)) & (truth * (1 - 1e-9) <= high))
    assert 0.925 <= covered <= (0.98 if before > 0.02 or prompts > 400 else 1)


def test_more_variance_widens_the_logarithms() -> None:
    pairs = table(30, 40, 10, 360)
    (low,), (high,) = fold_interval(pairs, level=0.95)
    (wide_low,), (wide_high,) = fold_interval(pairs, level=0.95, seeds=np.array([0.05**2]))
    middle, rate = math.log(70.5 / 40.5), 70.5 / 441
    for end, wide in ((low, wide_low), (high, wide_high)):
        half, grown = math.log(end) - middle, math.log(wide) - middle
        assert abs(grown) == pytest.approx(math.hypot(half, 0.05 / rate), rel=1e-9)


def test_rates_of_nothing_are_nan() -> None:
    found = rates_of(Pairs(*np.zeros((2, 1, 4), int), np.zeros(1, int), np.zeros((1, 4), int)))
    assert all(math.isnan(getattr(found, name)[0]) for name in ("base_rate", "difference", "fold"))
    assert found.prompts[0] == 0
    ends = fold_interval(
        Pairs(*np.zeros((2, 1, 4), int), np.zeros(1, int), np.zeros((1, 4), int)), level=0.95
    )
    assert all(math.isnan(end[0]) for end in ends)


def test_a_level_that_is_none_is_named() -> None:
    with pytest.raises(MeasureError) as error:
        fold_interval(table(1, 1, 1, 1), level=95)
    assert str(error.value) == "level: 95 is no confidence level; give one such as 0.95."
