from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from polydrift.errors import MeasureError
from polydrift.stats.judge_error import corrected_change, paired_change, rogan_gladen
from polydrift.stats.ppi import Sample, ppi_change, ppi_rate
from polydrift.stats.student import student_quantile

Z = stats.norm.ppf(0.975)
PERFECT = (10**12, 10**12)
Floats = NDArray[np.float64]


def judged(labels: Floats, se: float, sp: float, rng: np.random.Generator) -> Floats:
    """A judge's verdicts of answers that people label so."""
    return np.where(rng.random(labels.shape) < np.where(labels == 1, se, 1 - sp), 1.0, 0.0)


def answers(
    seed: int = 0, n: int = 60, size: int = 300, rate: float = 0.3
) -> tuple[Floats, Floats, Floats]:
    """Labels, and verdicts of the labelled and of other answers."""
    rng = np.random.default_rng(seed)
    labels, others = ((rng.random(count) < rate).astype(float) for count in (n, size))
    return labels, judged(labels, 0.85, 0.9, rng), judged(others, 0.85, 0.9, rng)


def test_the_point_estimate_is_rogan_and_gladens() -> None:
    rate, low, high = rogan_gladen(
        88, 440, sensitivity=(80, 100), specificity=(90, 100), level=0.95
    )
    assert rate == pytest.approx((0.2 + 0.9 - 1) / (0.8 + 0.9 - 1))
    assert low < rate < high


def test_a_perfect_judge_leaves_the_interval_of_agresti_and_coull() -> None:
    hits, n = np.array([0, 3, 20, 60]), 60
    rate, low, high = rogan_gladen(hits, n, sensitivity=PERFECT, specificity=PERFECT, level=0.9)
    expected = proportion_confint(hits, n, alpha=0.1, method="agresti_coull")
    np.testing.assert_allclose(rate, hits / n, atol=1e-9)
    np.testing.assert_allclose(low, np.maximum(expected[0], 0), atol=1e-9)
    np.testing.assert_allclose(high, np.minimum(expected[1], 1), atol=1e-9)


def test_the_interval_is_lang_and_reiczigels() -> None:
    """By their equations, one quantity at a time."""
    x, n, hits, positives, cleared, negatives = 40, 130, 45, 60, 190, 210
    ap, n_ = (x + Z**2 / 2) / (n + Z**2), n + Z**2
    se, sp = (hits + 1) / (positives + 2), (cleared + 1) / (negatives + 2)
    p = (ap + sp - 1) / (se + sp - 1)
    dp = 2 * Z**2 * (p * se * (1 - se) / 62 - (1 - p) * sp * (1 - sp) / 212)
    variance = ap * (1 - ap) / n_ + p**2 * se * (1 - se) / 62 + (1 - p) ** 2 * sp * (1 - sp) / 212
    half = Z * math.sqrt(variance) / (se + sp - 1)
    _, low, high = rogan_gladen(
        x, n, sensitivity=(hits, positives), specificity=(cleared, negatives), level=0.95
    )
    assert (low, high) == pytest.approx((p + dp - half, p + dp + half), abs=1e-12)


def test_few_labels_widen_the_interval_to_hold_fiellers() -> None:
    """It holds the rates that a z-test of (q + sp - 1) - rate * (se + sp - 1) does not refuse."""
    q, n_ = (60 + Z**2 / 2) / (440 + Z**2), 440 + Z**2
    for positives, ends in ((9, 2), (10, 0)):
        _, low, high = rogan_gladen(
            60, 440, sensitivity=(positives - 1, positives), specificity=(95, 100), level=0.95
        )
        se, sp = positives / (positives + 2), 96 / 102
        var_se, var_sp = se * (1 - se) / (positives + 2), sp * (1 - sp) / 102
        found = 0
        for end in (low, high):
            variance = q * (1 - q) / n_ + end**2 * var_se + (1 - end) ** 2 * var_sp
            gap = (q + sp - 1 - end * (se + sp - 1)) ** 2 - Z**2 * variance
            found += bool(abs(gap) < 1e-9)
        assert found == ends


def test_rates_stay_inside_and_inside_their_intervals() -> None:
    hits, n = np.meshgrid(np.arange(0, 31, 3), [30, 300])
    rate, low, high = rogan_gladen(hits, n, sensitivity=(40, 50), specificity=(45, 50), level=0.95)
    assert ((low >= 0) & (low <= rate) & (rate <= high) & (high <= 1)).all()
    assert rate[0, 0] == 0.0
    assert rate[0, -1] == 1.0


def test_unknown_rates_and_judges_no_better_than_chance_are_nan() -> None:
    sizes = {"sensitivity": ([40, 0, 20, 3], [50, 0, 50, 4]), "specificity": (30, 50)}
    rate, low, high = rogan_gladen(5, 50, **sizes, level=0.95)
    change = corrected_change(0.1, 0.02, **sizes, level=0.95)
    for values in (rate, low, high, *change):
        assert np.isnan(values).tolist() == [False, True, True, True]
    nothing = rogan_gladen(0, 0, sensitivity=(40, 50), specificity=(40, 50), level=0.95)
    assert all(map(math.isnan, nothing))
    unknown = corrected_change(math.nan, 0.1, sensitivity=(9, 9), specificity=(9, 9), level=0.95)
    assert all(map(math.isnan, unknown))


def test_rates_and_changes_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    draws = 4000
    for before, after, se, sp, labels in ((0.05, 0.2, 0.8, 0.9, 25), (0.3, 0.5, 0.95, 0.95, 100)):
        shares = {
            "sensitivity": (rng.binomial(labels, se, draws), labels),
            "specificity": (rng.binomial(labels, sp, draws), labels),
        }
        hits = rng.binomial(440, after * se + (1 - after) * (1 - sp), draws)
        _, low, high = rogan_gladen(hits, 440, **shares, level=0.95)
        assert 0.935 < np.mean((low <= after) & (after <= high)) < 0.995
        first = rng.random((draws, 440))
        second = np.where(rng.random((draws, 440)) < 0.5, first, rng.random((draws, 440)))
        base = judged((first < before).astype(float), se, sp, rng)
        tuned = judged((second < after).astype(float), se, sp, rng)
        gained, lost = (tuned > base).sum(axis=1), (tuned < base).sum(axis=1)
        _, low, high = corrected_change(*paired_change(gained, lost, 440), **shares, level=0.95)
        truth = after - before
        assert 0.935 < np.mean((low <= truth) & (truth <= high)) < 0.995


def test_a_change_by_a_perfect_judge_is_the_change() -> None:
    change, low, high = corrected_change(
        [-0.1, 0.0, 0.98], 0.05, sensitivity=PERFECT, specificity=PERFECT, level=0.95
    )
    np.testing.assert_allclose(change, [-0.1, 0.0, 0.98], atol=1e-9)
    np.testing.assert_allclose(low, [-0.1 - Z * 0.05, -Z * 0.05, 0.98 - Z * 0.05], atol=1e-9)
    np.testing.assert_allclose(high, [-0.1 + Z * 0.05, Z * 0.05, 1.0], atol=1e-9)


def test_the_interval_of_a_change_is_fiellers() -> None:
    """It holds the ratios that a z-test of numerator - ratio * denominator does not refuse."""
    _, low, high = corrected_change(
        0.1, 0.03, sensitivity=(40, 50), specificity=(85, 100), level=0.95
    )
    se, sp = 41 / 52, 86 / 102
    variance = se * (1 - se) / 52 + sp * (1 - sp) / 102
    for end in (low, high):
        assert (0.1 - end * (se + sp - 1)) ** 2 == pytest.approx(
            Z**2 * (0.03**2 + end**2 * variance)
        )
    assert high - 0.1 / (se + sp - 1) > 0.1 / (se + sp - 1) - low  # a weak judge: lopsided


def test_the_error_of_a_paired_change_is_agresti_and_mins() -> None:
    difference, error = paired_change(9, 4, 60)
    assert difference == pytest.approx(5 / 60)
    values, weights = [1, -1, 0], [9.5, 4.5, 48]
    mean = np.average(values, weights=weights)
    variance = np.average((values - mean) ** 2, weights=weights)
    assert error == pytest.approx(math.sqrt(variance / 62))
    assert paired_change(0, 0, 60)[1] > 0
    assert all(map(math.isnan, paired_change(0, 0, 0)))


@pytest.mark.parametrize("power", [None, 0.0, 0.4, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_the_plain_form_equals_ppi_python(power: float | None, seed: int) -> None:
    labels, heard, others = answers(seed, n=10 + 9 * seed, size=20 + 60 * seed)
    if seed % 2:  # scores instead of verdicts
        rng = np.random.default_rng(seed)
        heard, others = (0.7 * part + 0.3 * rng.random(part.shape) for part in (heard, others))
    found = ppi_rate(labels, heard, others, 0.9, power=power, imagined=False)
    value = ppi_mean_pointestimate(labels, heard, others, lam=power)
    low, high = ppi_mean_ci(labels, heard, others, alpha=0.1, lam=power)
    assert found.value == pytest.approx(value.item(), abs=1e-10)
    assert (found.low, found.high) == pytest.approx((low.item(), high.item()), abs=1e-10)


def test_clusters_of_labels_alone_have_the_error_of_statsmodels() -> None:
    labels, heard, others = answers(n=80)
    prompts = np.arange(80) // 4
    found = ppi_rate(
        labels,
        heard,
        others,
        0.95,
        clusters=(prompts, np.arange(300) + 100),
        power=0.0,
        imagined=False,
    )
    fit = sm.OLS(labels, np.ones(80)).fit(
        cov_type="cluster", cov_kwds={"groups": prompts}, use_t=False
    )
    assert found.value == pytest.approx(fit.params[0])
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int(0.05)[0]), abs=1e-10)


def test_clusters_join_labelled_and_unlabelled_answers() -> None:
    labels, heard, others = answers(n=30, size=90)
    ids = (np.arange(30) % 12, np.arange(90) % 20)
    found = ppi_rate(labels, heard, others, 0.95, clusters=ids, power=0.5, imagined=False)
    moves = dict.fromkeys(range(20), 0.0)
    residual = labels - 0.5 * heard
    for prompt, one in zip(ids[0], residual, strict=True):
        moves[int(prompt)] += (one - residual.mean()) / 30
    for prompt, one in zip(ids[1], others, strict=True):
        moves[int(prompt)] += 0.5 * (one - others.mean()) / 90
    half = Z * math.sqrt(12 / 11 * sum(move**2 for move in moves.values()))
    assert found.high - found.value == pytest.approx(half, abs=1e-12)
    named = tuple([f"p{one}" for one in part] for part in ids)
    assert found == ppi_rate(labels, heard, others, 0.95, clusters=named, power=0.5, imagined=False)


def test_imagined_answers_are_four_of_weight_one_half() -> None:
    """Two copies of all real answers, and one of each imagined: the same centre and variance."""
    labels, heard, others = answers(n=20, size=50)
    found = ppi_rate(labels, heard, others, 0.95, power=0.5)
    doubled = np.r_[labels, labels, 0, 0, 1, 1] - 0.5 * np.r_[heard, heard, 0, 1, 0, 1]
    centre = doubled.mean() + 0.5 * others.mean()
    variance = doubled.var() / 22 + 0.25 * others.var() / 50
    half = stats.t.ppf(0.975, 19) * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-9)
    assert found.value == pytest.approx(np.mean(labels - 0.5 * heard) + 0.5 * others.mean())


def test_a_good_judge_narrows_the_interval_and_a_blind_one_does_no_harm() -> None:
    labels, heard, others = answers(n=100, size=2000)
    alone = ppi_rate(labels, heard, others, 0.95, power=0.0)
    helped = ppi_rate(labels, heard, others, 0.95)
    blind = ppi_rate(labels, np.ones(100), np.ones(2000), 0.95)
    widths = [found.high - found.low for found in (alone, helped, blind)]
    assert widths[1] < 0.85 * widths[0]
    assert widths[2] == pytest.approx(widths[0], rel=0.03)
    assert 0.5 < helped.power < 1
    assert blind.power < 0.05


def test_batches_are_the_same_as_one_by_one() -> None:
    parts = [answers(seed) for seed in range(3)]
    batch = [np.array(rows) for rows in zip(*parts, strict=True)]
    clusters = (np.arange(60) // 2, np.arange(300) // 3)
    together = ppi_rate(*batch, 0.95, clusters=clusters)
    for i, part in enumerate(parts):
        alone = ppi_rate(*part, 0.95, clusters=clusters)
        for ours, theirs in zip(alone, together, strict=True):
            assert ours == pytest.approx(theirs[i], abs=1e-12)


def test_no_unlabelled_answers_leave_the_labels_alone() -> None:
    labels, heard, _ = answers()
    found = ppi_rate(labels, heard, [], 0.95)
    assert (found.value, found.power) == (pytest.approx(labels.mean()), 0.0)
    assert found == ppi_rate(labels, heard, [], 0.95, power=1.0)


def test_fewer_than_two_labelled_clusters_are_nan() -> None:
    labels, heard, others = answers(n=4, size=10)
    ids = (["p1"] * 4, [f"p{i}" for i in range(10)])
    one = ppi_rate(labels, heard, others, 0.95, clusters=ids)
    none = ppi_rate([], [], others, 0.95)
    change = ppi_change(Sample(labels, heard, others, ids), Sample(labels, heard, others, ids), 0.9)
    for found in (one, none, change):
        assert all(map(math.isnan, found[:3]))


def test_ppi_covers_where_the_plain_form_does_not() -> None:
    rng = np.random.default_rng(2)
    for rate, se, sp in ((0.02, 0.8, 0.9), (0.05, 0.95, 0.95), (0.9, 0.6, 0.95)):
        labels, others = ((rng.random((2000, n)) < rate).astype(float) for n in (50, 440))
        parts = (labels, judged(labels, se, sp, rng), judged(others, se, sp, rng))
        covered = []
        for imagined in (False, True):
            found = ppi_rate(*parts, 0.95, imagined=imagined)
            covered.append(np.mean((found.low <= rate) & (rate <= found.high)))
        assert covered[0] < 0.91
        assert 0.93 < covered[1] < 0.997


def pair(rng: np.random.Generator, studies: int = 1) -> tuple[Sample, Sample]:
    """A variant at 30% and its base at 20%, asked the same prompts."""
    ids = (np.arange(60), np.arange(60, 500))
    first = rng.random((studies, 500))
    second = np.where(rng.random((studies, 500)) < 0.7, first, rng.random((studies, 500)))
    made = []
    for draws, rate in ((second, 0.3), (first, 0.2)):
        labels = (draws < rate).astype(float)
        heard = judged(labels, 0.85, 0.9, rng)
        made.append(Sample(labels[:, :60], heard[:, :60], heard[:, 60:], ids))
    return made[0], made[1]


def test_changes_cover_and_pairing_narrows_them() -> None:
    variant, base = pair(np.random.default_rng(3), 2000)
    paired = ppi_change(variant, base, 0.95)
    assert 0.935 < np.mean((paired.low <= 0.1) & (paired.high >= 0.1)) < 0.98
    strangers = tuple(np.asarray(part) + 1000 for part in base.clusters or ())
    apart = ppi_change(
        variant,
        Sample(base.labels, base.judged_labelled, base.judged_unlabelled, strangers),
        0.95,
    )
    np.testing.assert_allclose(apart.value, paired.value)
    assert np.mean(paired.high - paired.low) < 0.9 * np.mean(apart.high - apart.low)
    assert paired.power.shape == (2, 2000)


def test_a_change_is_a_difference_of_two_rates() -> None:
    variant, base = pair(np.random.default_rng(4))
    found = ppi_change(variant, base, 0.95)
    rates = []
    for sample, power in zip((variant, base), found.power, strict=True):
        part = (sample.labels, sample.judged_labelled, sample.judged_unlabelled)
        rates.append(ppi_rate(*part, 0.95, power=float(power[0])).value)
    assert found.value == pytest.approx(rates[0] - rates[1])
    back = ppi_change(base, variant, 0.95)
    np.testing.assert_allclose([back.low, back.high], [-found.high, -found.low], atol=1e-12)


@pytest.mark.parametrize("degrees", [1, 2, 5, 49, 1000, 100_000])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_student_quantile_equals_scipys(degrees: int, level: float) -> None:
    expected = stats.t.ppf((1 + level) / 2, degrees)
    assert student_quantile(degrees, level) == pytest.approx(expected, rel=1e-7)


def test_no_degrees_have_no_quantile() -> None:
    assert math.isnan(student_quantile(0, 0.95))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"positive": 11},
            "rate: 11 of 10 is no share; give whole numbers with 0 <= hits <= size.",
        ),
        (
            {"positive": 2.5},
            "rate: 2.5 of 10 is no share; give whole numbers with 0 <= hits <= size.",
        ),
        (
            {"positive": [3, -1]},
            "rate: -1 of 10 is no share; give whole numbers with 0 <= hits <= size.",
        ),
        (
            {"positive": math.nan},
            "rate: nan of 10 is no share; give whole numbers with 0 <= hits <= size.",
        ),
        (
            {"sensitivity": (9, 8)},
            "sensitivity: 9 of 8 is no share; give whole numbers with 0 <= hits <= size.",
        ),
        (
            {"specificity": (0.9, 1)},
            "specificity: 0.9 of 1 is no share; give whole numbers with 0 <= hits <= size.",
        ),
        ({"level": 1}, "level: 1 is no confidence level; give one such as 0.95."),
    ],
)
def test_bad_counts_are_named(change: dict[str, Any], sentence: str) -> None:
    good = {"positive": 3, "n": 10, "sensitivity": (9, 9), "specificity": (9, 9), "level": 0.95}
    with pytest.raises(MeasureError) as error:
        rogan_gladen(**{**good, **change})
    assert str(error.value) == sentence


def test_a_negative_standard_error_is_named() -> None:
    with pytest.raises(MeasureError) as error:
        corrected_change(0.1, -0.1, sensitivity=(9, 9), specificity=(9, 9), level=0.95)
    assert str(error.value) == ("standard_error: -0.1 is negative; give one of 0 or more.")


@pytest.mark.parametrize(
    ("counts", "where"),
    [((9, 0, 8), "gained: 9"), ((0, 9, 8), "lost: 9"), ((5, 4, 8), "gained and lost: 9")],
)
def test_impossible_pairs_are_named(counts: tuple[int, int, int], where: str) -> None:
    with pytest.raises(MeasureError) as error:
        paired_change(*counts)
    assert str(error.value) == (
        f"{where} of 8 is no share; give whole numbers with 0 <= hits <= size."
    )


NUMBERS = (
    "not all are numbers from 0 to 1; give an array of them, and leave out answers that are not "
    "labelled or not judged."
)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": [0, 2]}, f"labels: {NUMBERS}"),
        ({"judged_labelled": [0, math.nan]}, f"judged_labelled: {NUMBERS}"),
        ({"judged_unlabelled": 1}, f"judged_unlabelled: {NUMBERS}"),
        (
            {"labels": [0, 1, 1]},
            "labels (3,), judged_labelled (2,) and judged_unlabelled (3,) do not fit; give a "
            "verdict for each label, and the same leading axes.",
        ),
        (
            {"clusters": (["p1", "p2"], ["p1", "p2"])},
            "clusters: not one id for each of 2 labelled and 3 unlabelled answers; give two lists "
            "of that length.",
        ),
        ({"power": 2}, "power: 2 is none; give one from 0 to 1, or None to tune it."),
        ({"level": 0}, "level: 0 is no confidence level; give one such as 0.95."),
    ],
)
def test_bad_answers_are_named(change: dict[str, Any], sentence: str) -> None:
    good: dict[str, Any] = {
        "labels": [0, 1],
        "judged_labelled": [0, 1],
        "judged_unlabelled": [0, 1, 1],
        "level": 0.95,
    }
    with pytest.raises(MeasureError) as error:
        ppi_rate(**{**good, **change})
    assert str(error.value) == sentence


def test_bad_samples_are_named() -> None:
    ids = (["p1", "p2"], ["p3"])
    good = Sample([0, 1], [0, 1], [1], ids)
    with pytest.raises(MeasureError) as error:
        ppi_change(good, Sample([0, 1], [0, 1], [1]), 0.95)
    assert str(error.value) == "base: no clusters; give the prompt of each answer to pair them."
    with pytest.raises(MeasureError) as error:
        ppi_change(Sample([0, 3], [0, 1], [1], ids), good, 0.95)
    assert str(error.value) == f"variant: labels: {NUMBERS}"
