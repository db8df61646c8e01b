"""Win rates: AlpacaEval's convention, both orders, length control, and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from polydrift.errors import MeasureError
from polydrift.measures.preference import (
    PENALTY,
    instruction_difficulty,
    length_controlled,
    length_term,
    outcomes,
    swapped,
    win_rate,
)

DRAWS = 300


def test_preferences_from_one_to_two_are_outcomes():
    np.testing.assert_array_equal(
        outcomes([1.0, 2.0, 1.5, 0.0, np.nan]), [0.0, 1.0, 0.5, 0.5, np.nan]
    )
    np.testing.assert_array_equal(outcomes(1.25), 0.25)


@pytest.mark.parametrize("wrong", [0.3, 2.1, -1.0])
def test_other_numbers_are_no_preferences(wrong):
    with pytest.raises(MeasureError) as caught:
        outcomes([1.0, wrong])
    assert str(caught.value) == (
        f"{wrong:g} is no preference; AlpacaEval's lie between 1 (the reference's answer) and 2 "
        "(the model's)."
    )


# --- win rates ------------------------------------------------------------------------------------


def test_the_win_rate_counts_as_alpaca_eval_does():
    found = win_rate([0.0, 0.9, 0.5, 1.0, 0.1, np.nan], draws=DRAWS)
    assert found.win_rate == pytest.approx(50.0)
    assert (found.wins, found.losses, found.ties) == (2, 2, 1)
    assert found.discrete == pytest.approx(50.0)
    assert (found.n, found.unjudged) == (5, 1)
    assert found.standard_error == pytest.approx(
        100 * np.std([0.0, 0.9, 0.5, 1.0, 0.1], ddof=1) / math.sqrt(5)
    )
    assert found.low < 50 < found.high


def test_the_standard_error_is_that_of_clusters():
    random = np.random.default_rng(0)
    ids = random.integers(0, 30, 100)
    y = np.clip(random.random(100) * 0.5 + random.random(30)[ids] * 0.5, 0, 1)
    fit = sm.OLS(y, np.ones(100)).fit(cov_type="cluster", cov_kwds={"groups": ids})
    found = win_rate(y, clusters=[f"instruction {i}" for i in ids], draws=DRAWS)
    assert found.standard_error == pytest.approx(100 * fit.bse[0])
    assert found.win_rate == pytest.approx(100 * y.mean())


def test_samples_of_one_instruction_are_no_more_instructions():
    y = np.random.default_rng(1).random(60)
    once = win_rate(y, draws=2000)
    thrice = win_rate(np.repeat(y, 3), clusters=np.repeat(np.arange(60), 3).tolist(), draws=2000)
    blind = win_rate(np.repeat(y, 3), draws=2000)
    assert thrice.win_rate == pytest.approx(once.win_rate)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    assert blind.high - blind.low < 0.7 * (once.high - once.low)


@pytest.mark.parametrize(("won", "low", "high"), [(0.0, 0.0, 12.0), (1.0, 88.0, 100.0)])
def test_all_lost_and_all_won_still_have_a_width(won, low, high):
    found = win_rate(np.full(50, won))
    assert found.win_rate == 100 * won
    assert found.standard_error == 0.0
    assert low <= found.low < found.high <= high
    assert found.high - found.low > 4


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Of 60 judged with 8% won, the plain interval (its standard error) holds it too seldom."""
    random, held, plain = np.random.default_rng(2), 0, 0
    for study in range(400):
        y = np.where(random.random(60) < 0.08, 0.9, 0.02)
        truth = 100 * (0.08 * 0.9 + 0.92 * 0.02)
        found = win_rate(y, draws=DRAWS, seed=study)
        held += found.low <= truth <= found.high
        plain += abs(found.win_rate - truth) <= 1.96 * found.standard_error
    assert 0.93 <= held / 400 <= 0.99
    assert plain / 400 < 0.92


def test_draws_have_a_seed_of_their_own():
    y = np.random.default_rng(3).random(40)
    np.random.default_rng(99).random(7)
    assert win_rate(y, draws=DRAWS, seed=1) == win_rate(y, draws=DRAWS, seed=1)
    assert win_rate(y, draws=DRAWS, seed=1) != win_rate(y, draws=DRAWS, seed=2)


def test_nothing_judged_is_nan():
    found = win_rate([np.nan, np.nan])
    numbers = (found.win_rate, found.low, found.high, found.standard_error, found.discrete)
    assert np.isnan(numbers).all()
    assert (found.n, found.unjudged) == (0, 2)
    alone = win_rate([1.0])
    assert alone.win_rate == 100.0
    assert np.isnan([alone.low, alone.high, alone.standard_error]).all()
    cut = length_controlled([0.5, np.nan], [3, 4], [4, 3])
    assert np.isnan([cut.win_rate, cut.low, cut.high, cut.strength, cut.length]).all()
    assert cut.n == 1


# --- both orders ----------------------------------------------------------------------------------


def test_both_orders_together_and_the_position_bias():
    first = [1.0, 1.0, 0.0, 0.5, np.nan, 0.5]  # shown first, the model's answer wins twice
    second = [1.0, 0.0, 0.0, 0.5, 1.0, 0.5]
    found = swapped(first, second, asked=[True] * 5 + [False])
    np.testing.assert_array_equal(found.y, [1.0, 0.5, 0.0, 0.5, np.nan, 0.5])
    assert (found.asked, found.judged) == (5, 4)
    # of 8 replies the first place won 1 + 0, 1 + 1, 0 + 1 and 1 times: 5 of 8
    assert found.position_bias == pytest.approx(5 / 8 - 1 / 2)
    assert found.consistent == 3 / 4


def test_a_judge_that_always_takes_the_first_knows_nothing():
    found = swapped([1.0] * 9, [0.0] * 9)
    assert found.position_bias == 0.5
    assert found.consistent == 0.0
    assert win_rate(found.y, draws=DRAWS).win_rate == 50.0


def test_the_leaning_cancels():
    random = np.random.default_rng(4)
    logit = random.normal(-0.4, 1.0, 20_000)
    first, second = (
        (random.random(20_000) < expit(logit + lean)).astype(float) for lean in (0.9, -0.9)
    )
    found = swapped(first, second)
    in_truth = ((expit(logit + 0.9) - expit(logit - 0.9)) / 2).mean()
    assert found.position_bias == pytest.approx(in_truth, abs=0.01)
    assert abs(found.y.mean() - expit(logit).mean()) < 0.02 < abs(first.mean() - found.y.mean())


def test_no_pairs_have_no_bias():
    found = swapped([], [])
    assert math.isnan(found.position_bias)
    assert math.isnan(found.consistent)
    assert (found.asked, found.judged, len(found.y)) == (0, 0, 0)


# --- length control -------------------------------------------------------------------------------


def judged(n: int, theta: float, phi: float, psi: float, longer: float, seed: int = 0):
    """y by equation 1, lengths, those of the reference, and each instruction's gamma."""
    random = np.random.default_rng(seed)
    theirs = random.gamma(4.0, 400.0, n)
    ours = theirs + random.normal(longer, 600.0, n)
    gamma = random.normal(0.0, 1.0, n)
    logit = theta + phi * length_term(ours, theirs) + psi * gamma
    return (random.random(n) < expit(logit)).astype(float), ours, theirs, gamma


def test_length_control_equals_sklearn_on_rows_for_won_and_lost():
    random = np.random.default_rng(5)
    _, ours, theirs, gamma = judged(300, -1.0, 1.5, 0.8, 200.0)
    y = random.beta(0.3, 0.9, 300)
    design = np.stack([np.ones(300), length_term(ours, theirs), gamma], axis=1)
    model = LogisticRegression(C=1 / PENALTY, fit_intercept=False, tol=1e-10, max_iter=10_000)
    model.fit(
        np.concatenate([design, design]),
        np.repeat([1, 0], 300),
        sample_weight=np.concatenate([y, 1 - y]),
    )
    found = length_controlled(y, ours, theirs, difficulty=gamma, draws=DRAWS)
    beta = (found.strength, found.length, found.difficulty)
    np.testing.assert_allclose(beta, model.coef_[0], atol=1e-5)
    design[:, 1] = 0.0
    assert found.win_rate == pytest.approx(100 * model.predict_proba(design)[:, 1].mean(), abs=1e-3)
    assert found.low < found.win_rate < found.high


def test_the_length_term_is_the_papers():
    ours, theirs = np.array([100.0, 300.0, 50.0]), np.array([200.0, 100.0, 50.0])
    d = ours - theirs
    np.testing.assert_allclose(length_term(ours, theirs), np.tanh(d / np.std(d, ddof=1)))
    np.testing.assert_array_equal(length_term([5, 7], [5, 7]), [0.0, 0.0])


def test_known_strength_length_and_difficulty_are_recovered():
    y, ours, theirs, gamma = judged(20_000, -0.7, 1.4, 0.9, -300.0)
    found = length_controlled(y, ours, theirs, difficulty=gamma, draws=20)
    recovered = (found.strength, found.length, found.difficulty)
    np.testing.assert_allclose(recovered, (-0.7, 1.4, 0.9), atol=0.08)
    assert found.win_rate == pytest.approx(100 * expit(-0.7 + 0.9 * gamma).mean(), abs=1.0)


def test_saying_the_same_at_greater_length_gains_nothing():
    brief, long = (judged(20_000, -0.5, 1.5, 0.0, longer, 6) for longer in (-400.0, 400.0))
    plain = [win_rate(y, draws=20).win_rate for y, *_ in (brief, long)]
    fair = [length_controlled(*case[:3], draws=20).win_rate for case in (brief, long)]
    assert plain[1] - plain[0] > 20
    assert abs(fair[1] - fair[0]) < 2


def test_the_other_side_has_what_is_left():
    y, ours, theirs, gamma = judged(200, -0.7, 1.4, 0.9, -300.0)
    one = length_controlled(y, ours, theirs, difficulty=gamma, draws=20)
    other = length_controlled(1 - y, theirs, ours, difficulty=-gamma, draws=20)
    assert one.win_rate + other.win_rate == pytest.approx(100.0)
    assert other.length == pytest.approx(one.length)


def test_answers_as_long_as_the_references_have_the_plain_win_rate():
    y = np.random.default_rng(7).random(100)
    found = length_controlled(y, [50] * 100, [50] * 100, draws=DRAWS)
    assert found.win_rate == pytest.approx(100 * y.mean(), abs=0.01)
    assert found.length == 0.0
    assert math.isnan(found.difficulty)


def test_all_lost_has_a_length_controlled_rate_with_a_width():
    lengths = np.random.default_rng(8).gamma(4.0, 100.0, 100)
    found = length_controlled(np.zeros(100), lengths, lengths[::-1])
    assert 0 < found.win_rate < 0.1
    assert found.low >= 0
    assert 2 < found.high < 12


def test_its_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for study in range(200):
        y, ours, theirs, _ = judged(100, -1.5, 1.5, 0.0, -200.0, seed=study)
        found = length_controlled(y, ours, theirs, draws=200, seed=study)
        held += found.low <= 100 * expit(-1.5) <= found.high
    assert 0.91 <= held / 200 <= 0.99


def test_what_was_not_judged_is_left_out_and_clusters_stay_together():
    y, ours, theirs, gamma = judged(80, -0.7, 1.4, 0.9, -300.0)
    gaps = np.append(y, [np.nan] * 5)
    more = [np.append(x, [1e6, np.nan, 0, 5, 5]) for x in (ours, theirs, gamma)]
    found = length_controlled(gaps, more[0], more[1], difficulty=more[2], draws=DRAWS)
    assert found == length_controlled(y, ours, theirs, difficulty=gamma, draws=DRAWS)
    assert found.n == 80
    twice = length_controlled(
        *(np.repeat(x, 2) for x in (y, ours, theirs)),
        clusters=np.repeat(np.arange(80), 2).tolist(),
        draws=2000,
    )
    once = length_controlled(y, ours, theirs, draws=2000)
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=0.05)


def test_difficulties_are_those_of_the_joint_fit():
    """Equation 1 of all models at once, psi = 1, minimised by scipy."""
    random = np.random.default_rng(9)
    y, terms = random.random((4, 15)), np.tanh(random.normal(size=(4, 15)))
    y[1, 3] = np.nan

    def loss(x):
        theta, phi, gamma = x[:4], x[4:8], x[8:]
        z = theta[:, None] + phi[:, None] * terms + gamma
        cross = -(y * log_expit(z) + (1 - y) * log_expit(-z))
        return np.nansum(cross) + PENALTY / 2 * (x[:8] @ x[:8]) + gamma @ gamma / 2

    wanted = minimize(loss, np.zeros(23), method="BFGS", options={"gtol": 1e-8}).x[8:]
    np.testing.assert_allclose(instruction_difficulty(y, terms), wanted, atol=1e-4)


def test_difficulties_are_recovered_and_of_nothing_are_zero():
    random = np.random.default_rng(10)
    gamma, terms = random.normal(size=200), np.tanh(random.normal(size=(30, 200)))
    logit = random.normal(-1, 1, (30, 1)) + 1.5 * terms + gamma
    y = (random.random((30, 200)) < expit(logit)).astype(float)
    y[:, 7] = np.nan
    found = instruction_difficulty(y, terms)
    assert found[7] == 0.0
    assert np.corrcoef(np.delete(found, 7), np.delete(gamma, 7))[0, 1] > 0.85


# --- what cannot be used --------------------------------------------------------------------------


def test_lists_of_different_lengths_are_refused():
    def said(call, *args, **more):
        with pytest.raises(MeasureError) as caught:
            call(*args, **more)
        return str(caught.value)

    end = "give both for each pair."
    two, three = [0.5, 0.2], [0.5, 0.2, 0.3]
    assert said(swapped, two, three) == f"first and second: 2 and 3 values; {end}"
    assert said(swapped, two, two, asked=[True]) == f"first and asked: 2 and 1 values; {end}"
    assert said(win_rate, two, clusters=["a"]) == f"y and clusters: 2 and 1 values; {end}"
    assert said(length_controlled, two, three, two) == f"y and lengths: 2 and 3 values; {end}"
    assert said(length_controlled, two, two, three) == (
        f"y and reference_lengths: 2 and 3 values; {end}"
    )
    assert said(length_controlled, two, [5, 9], [9, 9], difficulty=three) == (
        f"y and difficulty: 2 and 3 values; {end}"
    )
    assert said(length_term, two, three) == f"lengths and reference_lengths: 2 and 3 values; {end}"
    assert said(instruction_difficulty, [two, two], [two]) == (
        "y and terms: shapes (2, 2) and (1, 2); give [models, instructions] of both."
    )


@pytest.mark.parametrize(
    ("y", "what"), [([0.5, 1.5], "1.5"), ([[0.5, 0.5]], "an array of shape (1, 2)")]
)
def test_outcomes_that_are_none_are_refused(y, what):
    with pytest.raises(MeasureError) as caught:
        win_rate(y)
    assert str(caught.value) == (
        f"y: {what}; give a list of numbers from 0 (lost) to 1 (won), as `outcomes` makes of "
        "AlpacaEval's preferences."
    )


def test_a_length_that_cannot_be_told_from_strength_is_named():
    with pytest.raises(MeasureError) as caught:
        length_controlled([0.0, 1.0, 0.5], [110, 120, 130], [100, 110, 120])
    assert str(caught.value) == (
        "lengths: every answer differs from the reference's by 10 characters, so length cannot be "
        "told from strength; give the plain win rate."
    )


def test_a_missing_length_is_named():
    with pytest.raises(MeasureError) as caught:
        length_controlled([0.0, 1.0], [110, np.nan], [100, 110])
    assert str(caught.value) == (
        "lengths: an answer that was judged has none; give the characters of each answer and of "
        "the reference's."
    )


def test_a_missing_difficulty_is_named():
    with pytest.raises(MeasureError) as caught:
        length_controlled([0.0, 1.0], [110, 150], [100, 110], difficulty=[0.1, np.nan])
    assert str(caught.value) == (
        "difficulty: an instruction that was judged has none; give a number for each, or leave "
        "difficulty out."
    )


def test_a_bootstrap_of_no_draws_or_level_is_refused():
    with pytest.raises(MeasureError, match=r"^draws: 0; a bootstrap needs one or more, such as"):
        win_rate([0.1, 0.4], draws=0)
    with pytest.raises(MeasureError, match=r"^level: 95 is no confidence level; give one such as"):
        win_rate([0.1, 0.4], level=95)
