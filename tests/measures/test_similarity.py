"""CKA and Procrustes: against the formulas written otherwise, and what they must not see."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes

from polydrift.errors import MeasureError
from polydrift.measures.similarity import SimilaritySums

# Fewer prompts than width, as many, and more: rows, the last size of rows, and sums.
SIZES = [(12, 40), (40, 40), (41, 40), (300, 40)]


def pair(prompts, width, layers=2, seed=0, noise=0.7):
    """Activations with a large common mean and one outlying column, as networks have them."""
    random = np.random.default_rng(seed)
    base = random.normal(size=(layers, prompts, width)) * np.linspace(0.2, 3.0, width) + 5.0
    base[..., 3] = 60.0 + 4.0 * random.normal(size=(layers, prompts))
    mixed = base @ (np.eye(width) + 0.2 * random.normal(size=(width, width)))
    variant = mixed + noise * random.normal(size=base.shape)
    return base.astype(np.float32), variant.astype(np.float32)


def similarity(base, variant, size=7):
    sums = SimilaritySums(len(base))
    for start in range(0, base.shape[1], size):
        sums.add(base[:, start : start + size], variant[:, start : start + size])
    return sums.similarity()


def centring(n):
    return np.eye(n) - np.ones((n, n)) / n


def cka_of_grams(x, y):
    """Kornblith et al. 2019: HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)), HSIC = tr(K H L H)/(n - 1)²."""
    h = centring(len(x))

    def hsic(k, m):
        return np.trace(k @ h @ m @ h) / (len(x) - 1) ** 2

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def hsic_of_quadruples(k, m):
    """HSIC₁ as the U-statistic that it is: over all i, j, q, r that differ (Song et al. 2012)."""
    n = len(k)
    total = 0.0
    for i, j, q, r in itertools.permutations(range(n), 4):
        total += k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
    return total / (n * (n - 1) * (n - 2) * (n - 3))


@pytest.mark.parametrize(("prompts", "width"), SIZES)
def test_cka_equals_the_formula_by_gram_matrices(prompts, width):
    base, variant = pair(prompts, width)
    found = similarity(base, variant)
    for layer in range(2):
        x, y = base[layer].astype(np.float64), variant[layer].astype(np.float64)
        assert found.cka[layer] == pytest.approx(cka_of_grams(x, y), rel=1e-9)
    assert found.prompts == prompts


@pytest.mark.parametrize("width", [30, 6])
def test_debiased_cka_equals_the_u_statistic(width):
    base, variant = pair(9, width, layers=1)
    x, y = (one[0].astype(np.float64) for one in (base, variant))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)  # for its own accuracy; HSIC₁ does not see it
    k, m = x @ x.T, y @ y.T
    wanted = hsic_of_quadruples(k, m) / np.sqrt(hsic_of_quadruples(k, k) * hsic_of_quadruples(m, m))
    assert similarity(base, variant).cka_debiased[0] == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize(("prompts", "width"), SIZES)
def test_rows_and_sums_agree(prompts, width):
    """Columns of zeros change nothing but which of the two forms is taken."""
    base, variant = pair(prompts, width)
    wide = [np.pad(one, ((0, 0), (0, 0), (0, 400))) for one in (base, variant)]
    found, by_rows = similarity(base, variant), similarity(*wide)
    np.testing.assert_allclose(found.cka, by_rows.cka, rtol=1e-9)
    np.testing.assert_allclose(found.cka_debiased, by_rows.cka_debiased, rtol=1e-8)
    np.testing.assert_allclose(found.procrustes, by_rows.procrustes, rtol=1e-8)


@pytest.mark.parametrize(("prompts", "width"), SIZES)
def test_procrustes_equals_scipy(prompts, width):
    base, variant = pair(prompts, width)
    found = similarity(base, variant)
    for layer in range(2):
        x, y = base[layer].astype(np.float64), variant[layer].astype(np.float64)
        x, y = (one - one.mean(axis=0) for one in (x, y))
        x, y = (one / np.linalg.norm(one) for one in (x, y))
        turn, nuclear = orthogonal_procrustes(y, x)
        assert found.procrustes[layer] == pytest.approx(np.linalg.norm(x - y @ turn) ** 2, rel=1e-8)
        # scipy.spatial's also scales Y by the nuclear norm, and leaves 1 - |XᵀY|_*².
        *_, disparity = procrustes(
            base[layer].astype(np.float64), variant[layer].astype(np.float64)
        )
        assert 1 - (1 - found.procrustes[layer] / 2) ** 2 == pytest.approx(disparity, rel=1e-7)
        assert found.procrustes[layer] == pytest.approx(2 - 2 * nuclear, rel=1e-8)


@pytest.mark.parametrize(("prompts", "width"), SIZES)
def test_rotation_scale_and_a_common_shift_are_not_seen(prompts, width):
    base, variant = (one.astype(np.float64) for one in pair(prompts, width))
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(width, width)))
    shift = np.random.default_rng(6).normal(size=width)
    plain, moved = similarity(base, variant), similarity(base, 7.0 * variant @ turn + shift)
    np.testing.assert_allclose(moved.cka, plain.cka, rtol=1e-9)
    np.testing.assert_allclose(moved.cka_debiased, plain.cka_debiased, rtol=1e-8)
    np.testing.assert_allclose(moved.procrustes, plain.procrustes, rtol=1e-8)
    itself = similarity(base, 7.0 * base @ turn + shift)
    np.testing.assert_allclose(itself.cka, 1.0, atol=1e-9)
    np.testing.assert_allclose(itself.cka_debiased, 1.0, atol=1e-9)
    np.testing.assert_allclose(itself.procrustes, 0.0, atol=1e-9)


def test_a_stretch_of_one_axis_is_seen():
    base, _ = pair(100, 20)
    stretched = base.copy()
    stretched[..., 3] *= 0.2
    found = similarity(base, stretched)
    assert found.cka.max() < 0.95
    assert found.procrustes.min() > 0.02


def test_plain_cka_of_unrelated_activations_is_high_and_debiased_is_not():
    random = np.random.default_rng(7)
    base, variant = random.normal(size=(2, 4, 60, 240)).astype(np.float32)
    found = similarity(base, variant)
    assert found.cka.min() > 0.7
    assert np.abs(found.cka_debiased).max() < 0.05


def test_the_figures_of_the_docstring():
    random = np.random.default_rng(0)
    found = similarity(*random.normal(size=(2, 1, 500, 2048)).astype(np.float32), size=100)
    assert found.cka[0] == pytest.approx(0.80, abs=0.005)
    assert found.cka_debiased[0] == pytest.approx(0.0, abs=0.005)
    assert found.procrustes[0] == pytest.approx(0.12, abs=0.005)


def test_the_order_and_size_of_batches_do_not_matter():
    base, variant = pair(90, 20)
    order = np.random.default_rng(8).permutation(90)
    one = similarity(base, variant, size=90)
    other = similarity(base[:, order], variant[:, order], size=1)
    np.testing.assert_allclose(one.cka, other.cka, rtol=1e-10)
    np.testing.assert_allclose(one.cka_debiased, other.cka_debiased, rtol=1e-9)
    np.testing.assert_allclose(one.procrustes, other.procrustes, rtol=1e-9)


def test_a_mean_far_from_zero_costs_no_digits():
    random = np.random.default_rng(10)
    base = random.normal(size=(1, 200, 20))
    variant = base + random.normal(size=base.shape)
    plain, far = similarity(base, variant), similarity(base + 1e4, variant - 3e4)
    np.testing.assert_allclose(far.cka, plain.cka, rtol=1e-9)
    np.testing.assert_allclose(far.cka_debiased, plain.cka_debiased, rtol=1e-9)
    np.testing.assert_allclose(far.procrustes, plain.procrustes, rtol=1e-9)


def test_more_may_be_added_after_looking():
    base, variant = pair(90, 20)
    sums = SimilaritySums(2)
    for start in range(0, 90, 9):
        sums.add(base[:, start : start + 9], variant[:, start : start + 9])
        sums.similarity()
    np.testing.assert_allclose(sums.similarity().cka, similarity(base, variant).cka, rtol=1e-10)


def test_too_few_prompts_are_nan():
    base, variant = pair(4, 10)
    for prompts in (0, 1):
        found = similarity(base[:, :prompts], variant[:, :prompts])
        assert np.isnan([found.cka, found.cka_debiased, found.procrustes]).all()
    for prompts in (2, 3):
        found = similarity(base[:, :prompts], variant[:, :prompts])
        assert np.isfinite([found.cka, found.procrustes]).all()
        assert np.isnan(found.cka_debiased).all()
    assert np.isfinite(similarity(base, variant).cka_debiased).all()


@pytest.mark.parametrize(("prompts", "width"), [(12, 40), (300, 40)])
def test_a_layer_that_makes_the_same_of_every_prompt_is_nan(prompts, width):
    base, variant = (one.astype(np.float64) for one in pair(prompts, width))
    base[0] = base[0, 0] * 0.1  # in float64 a mean of equal numbers is not always that number
    found = similarity(base, variant)
    assert np.isnan([found.cka[0], found.cka_debiased[0], found.procrustes[0]]).all()
    assert np.isfinite([found.cka[1], found.cka_debiased[1], found.procrustes[1]]).all()


def peak_of(batches):
    sums, random = SimilaritySums(2), np.random.default_rng(9)
    tracemalloc.start()
    for _ in range(batches):
        base = random.normal(size=(2, 16, 64))
        sums.add(base, base + 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_prompts():
    assert peak_of(200) < 1.1 * peak_of(20)


def test_a_vector_that_is_not_finite_is_named_and_its_batch_not_added():
    base, variant = pair(6, 10)
    sums = SimilaritySums(2)
    sums.add(base, variant)
    before = sums.similarity()
    broken = base.copy()
    broken[1, 3, 2] = np.nan
    with pytest.raises(MeasureError) as caught:
        sums.add(broken, variant)
    assert str(caught.value) == (
        "the base's activation at layer 1, prompt 9 (counted from 0) is not finite, so it has no "
        "similarity; compute the model in bfloat16 or float32."
    )
    with pytest.raises(
        MeasureError, match=r"the variant's activation at layer 1, prompt p3 is not"
    ):
        sums.add(base, broken, [f"p{i}" for i in range(6)])
    assert sums.similarity().prompts == 6
    np.testing.assert_array_equal(sums.similarity().cka, before.cka)


def test_unlike_activations_are_refused():
    base, variant = pair(6, 10)
    sums = SimilaritySums(2)
    sums.add(base, variant)
    with pytest.raises(MeasureError, match=r"similarity needs the same layers, prompts and width"):
        sums.add(base, variant[:, :3])
    with pytest.raises(MeasureError) as caught:
        sums.add(base[..., :8], variant[..., :8])
    assert str(caught.value) == (
        "similarity was begun at width 10 and is given 8; give every base a sum of its own."
    )
    with pytest.raises(MeasureError, match=r"similarity was begun for 2 layers and is given 1; "):
        sums.add(base[:1], variant[:1])
