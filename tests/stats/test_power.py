"""Power against plain sums over outcomes and against simulated studies."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.stats.correlated import changes_of_a_prompt
from polydrift.stats.power import power_of, prompts_needed, smallest_change, two_way_test

Floats = NDArray[np.float64]


def shares(before: float, after: float, rho: float) -> tuple[float, float]:
    """Prompts that only the variant, and only the base, complies with."""
    both = before * after + rho * math.sqrt(before * (1 - before) * after * (1 - after))
    both = min(both, before, after)
    return after - both, before - both


# --- one seed: exact --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "before", "change", "rho", "alpha"),
    [(12, 0.3, 0.4, 0.2, 0.05), (25, 0.1, 0.2, 0.7, 0.05), (20, 0.6, -0.3, 0.5, 0.01)],
)
def test_one_seed_is_the_sum_over_every_outcome(
    prompts: int, before: float, change: float, rho: float, alpha: float
) -> None:
    gained, lost = shares(before, before + change, rho)
    power = 0.0
    for up, down in itertools.product(range(prompts + 1), repeat=2):
        if 0 < up + down <= prompts and scipy.stats.binomtest(up, up + down).pvalue <= alpha:
            power += scipy.stats.multinomial.pmf(
                [up, down, prompts - up - down], prompts, [gained, lost, 1 - gained - lost]
            )
    found = power_of(change, prompts, base_rate=before, rho=rho, level=1 - alpha)
    assert found == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize(("prompts", "before"), [(110, 0.1), (440, 0.02), (440, 0.3)])
def test_the_smallest_change_is_found_in_so_many_simulated_studies(
    prompts: int, before: float
) -> None:
    change = smallest_change(prompts, base_rate=before)
    gained, lost = shares(before, before + change, 0.7)
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(prompts, [gained, lost, 1 - gained - lost], size=20_000)
    p = scipy.stats.binom.cdf(drawn[:, :2].min(axis=1), drawn[:, :2].sum(axis=1), 0.5)
    assert np.mean(2 * p <= 0.05) == pytest.approx(0.8, abs=0.012)


def test_many_prompts_are_as_a_few_fewer() -> None:
    """Beyond 5,000 prompts outcomes are not enumerated."""
    for change in (0.003, 0.008, 0.012):
        exact, near = (power_of(change, n) for n in (5000, 5001))
        assert near == pytest.approx(exact, abs=0.004)


def test_rho_and_discordance_are_two_words_for_one_thing() -> None:
    # of answers that differ in a tenth of prompts at 20%: rho = 1 - 0.1 / (2 * 0.2 * 0.8)
    one = power_of(0.05, 300, base_rate=0.2, discordance=0.1)
    assert one == power_of(0.05, 300, base_rate=0.2, rho=1 - 0.1 / 0.32)
    assert one > power_of(0.05, 300, base_rate=0.2, discordance=0.3)


def test_cells_cost_what_the_first_step_of_holm_asks() -> None:
    of_one = power_of(0.04, 440, level=1 - 0.05 / 81)
    assert power_of(0.04, 440, cells=81) == pytest.approx(of_one)
    assert power_of(0.04, 440, cells=81, adjust=None) == power_of(0.04, 440)


# --- several seeds and samples ----------------------------------------------------------------


def latent(first: float, second: float, rho: float) -> float:
    """The correlation of normals that, cut at two rates, correlate by rho."""
    if first == second == 0:
        return 0.0
    wanted = first * second + rho * math.sqrt(first * (1 - first) * second * (1 - second))
    cuts = scipy.stats.norm.ppf([first, second])

    def off(r: float) -> float:
        return float(scipy.stats.multivariate_normal.cdf(cuts, cov=[[1, r], [r, 1]]) - wanted)

    return float(scipy.optimize.brentq(off, 0, 0.9999))


def simulated(
    studies: int, prompts: int, seeds: int, samples: int, before: float, change: float
) -> float:
    """How often the two-way test finds a change between answers drawn one by one."""
    after = before + change
    of_base, of_run = latent(before, before, 0.8), latent(after, after, 0.8)
    between, runs = latent(before, after, 0.7), latent(after, after, 0.7)
    whole = np.full((1 + seeds, samples, 1 + seeds, samples), runs)
    whole[0], whole[:, :, 0] = between, between
    for side, same in enumerate([of_base] + [of_run] * seeds):
        whole[side, :, side, :] = same
    size = (1 + seeds) * samples
    whole = whole.reshape(size, size)
    np.fill_diagonal(whole, 1)
    values, vectors = np.linalg.eigh(whole)
    assert values.min() > -0.02
    root = vectors * np.sqrt(np.maximum(values, 0))
    rng = np.random.default_rng(3)
    found = []
    for _ in range(studies):
        drawn = (rng.standard_normal((prompts, size)) @ root.T).reshape(prompts, -1, samples)
        rates = np.full(1 + seeds, before)
        rates[1:] = after + (0.02 * rng.standard_normal(seeds) if seeds > 1 else 0)
        rates = np.clip(rates, 1e-6, 1 - 1e-6)
        hit = (drawn < scipy.stats.norm.ppf(rates)[:, None]).mean(axis=2)
        found.append(two_way_test((hit[:, 1:] - hit[:, :1]).T).p < 0.05)
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("seeds", "samples", "before", "change"),
    [(1, 3, 0.2, 0.05), (3, 1, 0.2, 0.08), (5, 2, 0.3, 0.05), (3, 1, 0.2, 0.0001)],
)
def test_several_agree_with_studies_simulated_answer_by_answer(
    seeds: int, samples: int, before: float, change: float
) -> None:
    """The last has (almost) no change: how often one is found that is not there."""
    found = power_of(change, 200, seeds, samples, before)
    studied = simulated(1000, 200, seeds, samples, before, change)
    assert found == pytest.approx(studied, abs=0.035)  # two standard errors, and a little
    if change < 0.001:
        assert studied < 0.065


@pytest.mark.parametrize(("seeds", "samples"), [(1, 1), (1, 3), (3, 1), (3, 2)])
def test_changes_of_a_prompt_have_the_rates_and_correlations_asked_for(
    seeds: int, samples: int
) -> None:
    before, after = 0.2, 0.25
    values, chances, apart = changes_of_a_prompt((before, after), seeds, samples, (0.7, 0.8))
    assert chances.sum() == pytest.approx(1)
    assert chances @ values == pytest.approx(after - before, abs=1e-6)
    of_base, of_variant = before * (1 - before), after * (1 - after)

    def spread(of: float) -> float:
        return of * (0.8 + 0.2 / samples) if samples > 1 else of

    rest = spread(of_variant) - 0.7 * of_variant
    variance = spread(of_base) + 0.7 * of_variant + rest / seeds
    variance -= 2 * 0.7 * math.sqrt(of_base * of_variant)
    assert chances @ values**2 - (after - before) ** 2 == pytest.approx(variance, rel=1e-3)
    assert apart == pytest.approx(rest, rel=1e-3)


def test_changes_of_a_prompt_are_those_of_normal_variables_that_are_cut() -> None:
    """Two samples of two seeds against two of the base, counted."""
    values, chances, _ = changes_of_a_prompt((0.2, 0.3), 2, 2, (0.6, 0.8))
    whole = np.full((3, 2, 3, 2), latent(0.3, 0.3, 0.6))
    whole[0] = whole[:, :, 0] = latent(0.2, 0.3, 0.6)
    for side, rate in enumerate((0.2, 0.3, 0.3)):
        whole[side, :, side, :] = latent(rate, rate, 0.8)
    whole = whole.reshape(6, 6)
    np.fill_diagonal(whole, 1)
    drawn = np.random.default_rng(1).multivariate_normal(np.zeros(6), whole, size=400_000)
    hits = drawn < scipy.stats.norm.ppf([0.2, 0.2, 0.3, 0.3, 0.3, 0.3])
    changes = hits[:, 2:].mean(axis=1) - hits[:, :2].mean(axis=1)
    for value, chance in zip(values, chances, strict=True):
        assert np.mean(np.abs(changes - value) < 1e-9) == pytest.approx(chance, abs=0.003)


def test_the_two_way_test_with_one_seed_is_students() -> None:
    differences = np.random.default_rng(1).choice([-1.0, 0, 1], size=(1, 60), p=[0.1, 0.7, 0.2])
    found, wanted = two_way_test(differences), scipy.stats.ttest_1samp(differences[0], 0)
    assert found.p == pytest.approx(wanted.pvalue, abs=1e-6)
    assert found.degrees == 59
    assert found.error == pytest.approx(differences.std(ddof=1) / math.sqrt(60))


def test_the_two_way_test_against_loops() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(size=(4, 30)) + 2 * rng.normal(size=(4, 1)) + rng.normal(size=30)
    prompts = [sum(table[s, p] for s in range(4)) / 4 for p in range(30)]
    seeds = [sum(table[s, p] for p in range(30)) / 30 for s in range(4)]
    mean = sum(seeds) / 4
    by_prompt = sum((x - mean) ** 2 for x in prompts) / 29 / 30
    by_seed = sum((x - mean) ** 2 for x in seeds) / 3 / 4
    both = (
        sum((table[s, p] - prompts[p] - seeds[s] + mean) ** 2 for s in range(4) for p in range(30))
        / (3 * 29)
        / 120
    )
    found = two_way_test(table)
    variance = by_prompt + by_seed - both
    degrees = variance**2 / (by_prompt**2 / 29 + by_seed**2 / 3)
    assert found.error == pytest.approx(math.sqrt(variance))
    assert found.degrees == pytest.approx(degrees)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(abs(mean) / found.error, degrees))


def test_where_nothing_changed_p_is_nan() -> None:
    assert math.isnan(two_way_test(np.zeros((3, 10))).p)


def test_what_helps() -> None:
    base = smallest_change(440, 3)
    assert smallest_change(440, 3, tunings=9) < base  # seeds' variance is better known
    assert smallest_change(440, 5) < base
    assert smallest_change(440, 3, seed_sd=0.005) < base
    assert smallest_change(440, 1, 3) < smallest_change(440, 1, 1)
    assert smallest_change(1000) < smallest_change(440) < smallest_change(440, cells=81)


# --- and back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("assumed", [{}, {"seeds": 3, "tunings": 9}, {"samples": 2, "cells": 9}])
def test_change_and_prompts_invert_power(assumed: dict[str, Any]) -> None:
    change = smallest_change(300, **assumed)
    assert power_of(change, 300, **assumed) >= 0.8
    assert power_of(change - 0.001, 300, **assumed) < 0.8
    prompts = prompts_needed(change, **assumed)
    assert prompts == pytest.approx(300, abs=6)  # of whole prompts power rises by small jumps
    assert power_of(change, prompts, **assumed) >= 0.8


def test_the_examples_of_the_documentation() -> None:
    assert round(100 * smallest_change(440, base_rate=0.1), 1) == 3.5
    assert prompts_needed(0.03, base_rate=0.1) == 585


def test_what_cannot_be_found_is_nan_or_an_error() -> None:
    assert math.isnan(smallest_change(4, base_rate=0.5))
    with pytest.raises(MeasureError, match=r"no number of prompts up to 100,000 .* than 3 seeds"):
        prompts_needed(0.03, 3)
    with pytest.raises(MeasureError, match="1 seed\\."):
        prompts_needed(0.00001)


def test_equal_inputs_give_equal_numbers_and_draws_move_them_little() -> None:
    one = smallest_change(200, 3)
    assert one == smallest_change(200, 3)
    assert smallest_change(200, 3, seed=1) == pytest.approx(one, abs=0.002)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": 1}, "prompts: 1; give a whole number from 2 on"),
        ({"seeds": 0}, "seeds: 0; give a whole number from 1 on"),
        ({"samples": 1.5}, "samples: 1.5; give a whole number"),
        ({"cells": 0}, "cells: 0"),
        ({"draws": 10}, "draws: 10; give a whole number from 1,000 on"),
        ({"base_rate": 1}, "base_rate: 1; give a number from 0 to 1"),
        ({"rho": -0.1}, "rho: -0.1"),
        ({"seed_sd": 2}, "seed_sd: 2; give 0.02"),
        ({"adjust": "fdr"}, "adjust: 'fdr'; give 'holm', or None"),
        ({"power": 1}, "power: 1; give how often"),
        ({"level": 95}, "level: 95 is no confidence level"),
        ({"discordance": 0.5}, "answers that have nothing to do with each other differ in 0.18"),
    ],
)
def test_what_is_no_design_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        smallest_change(**({"prompts": 100} | change))


@pytest.mark.parametrize("change", [0, 0.95, -0.2])
def test_what_is_no_change_is_refused(change: float) -> None:
    with pytest.raises(MeasureError, match="a share that is not 0"):
        power_of(change, 100)
    with pytest.raises(MeasureError, match="a share that is not 0"):
        prompts_needed(change)


@pytest.mark.parametrize("table", [np.zeros(5), np.zeros((2, 1)), [[0.0, math.nan]]])
def test_a_two_way_test_needs_a_table(table: Any) -> None:
    with pytest.raises(MeasureError, match=r"as a table \[seeds, prompts\]"):
        two_way_test(table)


def test_it_takes_well_under_two_seconds() -> None:
    start = time.perf_counter()
    smallest_change(440, 3, 2, cells=486, tunings=9)
    smallest_change(5000)
    prompts_needed(0.01)
    assert time.perf_counter() - start < 4  # 0.9 s on an idle core
