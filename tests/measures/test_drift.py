"""Drift as a stream, and the divergence of next tokens."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, rel_entr

from polydrift.errors import MeasureError
from polydrift.measures.drift import DriftSums, divergence, drift


def pair(layers=3, prompts=23, width=16, seed=0):
    random = np.random.default_rng(seed)
    base = random.normal(size=(layers, prompts, width)).astype(np.float32)
    return base, (base + 0.3 * random.normal(size=base.shape)).astype(np.float32)


@pytest.mark.parametrize("size", [1, 4, 23])
def test_a_stream_equals_all_at_once(size):
    base, variant = pair()
    sums = DriftSums(3)
    for start in range(0, 23, size):
        here = slice(start, start + size)
        sums.add(base[:, here], variant[:, here])
    streamed, whole = sums.drift(), drift(base, variant)
    assert streamed.prompts == whole.prompts == 23
    for name in ("cosine", "relative_l2", "base_square", "variant_square", "moved_square"):
        np.testing.assert_allclose(getattr(streamed, name), getattr(whole, name), rtol=1e-12)


def test_squares_and_the_pooled_distance_by_hand():
    base = np.array([[[3.0, 4.0], [0.0, 1.0]]])  # lengths 5 and 1
    variant = np.array([[[3.0, 0.0], [0.0, 3.0]]])  # moved by 4 and 2
    found = drift(base, variant)
    assert found.base_square == pytest.approx([13.0])
    assert found.variant_square == pytest.approx([9.0])
    assert found.moved_square == pytest.approx([10.0])
    assert found.pooled_l2 == pytest.approx([math.sqrt(20 / 26)])
    assert found.relative_l2 == pytest.approx([(4 / 5 + 2) / 2])


def test_relative_distance_sees_scale_and_rotation_and_cosine_only_rotation():
    base, _ = pair()
    assert drift(base, 2 * base).relative_l2 == pytest.approx(np.ones(3))
    assert drift(base, 2 * base).cosine == pytest.approx(np.zeros(3), abs=1e-12)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))
    assert drift(base, base @ turn).relative_l2.min() > 0.5
    assert drift(base, base @ turn).cosine.min() > 0.5


def test_sums_are_made_in_float64():
    """A float32 sum of a million ones and a few 1e-3 loses them; ours does not."""
    base = np.ones((1, 1, 2), np.float32)
    sums = DriftSums(1)
    for _ in range(2000):
        sums.add(base * np.float32(4096), base * np.float32(4096.5))
    assert sums.drift().relative_l2[0] == pytest.approx(0.5 / 4096, rel=1e-12)


def test_a_stream_of_no_prompts_is_nan():
    found = DriftSums(3).drift()
    assert found.prompts == 0
    for name in ("cosine", "relative_l2", "base_square", "moved_square", "pooled_l2"):
        assert np.isnan(getattr(found, name)).all()
        assert getattr(found, name).shape == (3,)


def peak_of(batches: int) -> int:
    sums, random = DriftSums(4), np.random.default_rng(3)
    tracemalloc.start()
    for _ in range(batches):
        base = random.normal(size=(4, 8, 256))
        sums.add(base, base + 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_prompts():
    assert peak_of(400) < 1.1 * peak_of(20)


def test_a_bad_vector_is_named_by_its_place_in_the_stream_or_its_name_and_not_added():
    base, variant = pair(prompts=5)
    sums = DriftSums(3)
    sums.add(base, variant)
    before = sums.drift()
    broken = variant.copy()
    broken[2, 1, 0] = np.inf
    with pytest.raises(MeasureError) as caught:
        sums.add(base, broken)
    assert str(caught.value) == (
        "the variant's activation at layer 2, prompt 6 (counted from 0) is not finite, so it has "
        "no drift; compute the model in bfloat16 or float32."
    )
    with pytest.raises(MeasureError, match=r"base's activation at layer 2, prompt fraud-2 is not"):
        sums.add(broken, variant, [f"fraud-{i}" for i in (1, 2, 3, 4, 5)])
    zero = base.copy()
    zero[0, 4] = 0.0
    with pytest.raises(MeasureError, match=r"layer 0, prompt 9 \(counted from 0\) is of length ze"):
        sums.add(zero, variant)
    np.testing.assert_array_equal(sums.drift().cosine, before.cosine)
    assert sums.drift().prompts == 5


def test_a_stream_refuses_another_number_of_layers():
    sums = DriftSums(29)
    with pytest.raises(MeasureError) as caught:
        sums.add(np.ones((17, 1, 2)), np.ones((17, 1, 2)))
    assert str(caught.value) == (
        "drift was begun for 29 layers and is given 17; give every base a sum of its own."
    )


def next_tokens(prompts=9, vocabulary=500, seed=4):
    logits = 3 * np.random.default_rng(seed).normal(size=(2, prompts, vocabulary))
    return log_softmax(logits, axis=-1).astype(np.float32)


def test_divergence_equals_scipy():
    base, variant = next_tokens()
    p, q = (np.exp(one.astype(np.float64)) for one in (base, variant))
    p, q = (one / one.sum(axis=1, keepdims=True) for one in (p, q))
    found = divergence(base, variant)
    np.testing.assert_allclose(found.kl, rel_entr(p, q).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found.js, jensenshannon(p, q, axis=1) ** 2, rtol=1e-9)


def test_divergence_by_hand_and_its_direction():
    base, variant = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    assert divergence(base, variant).kl == pytest.approx([math.log(0.5 / 0.3)])  # √(.9 · .1) = .3
    other = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert divergence(variant, base).kl == pytest.approx([other])
    assert divergence(variant, base).js == pytest.approx(divergence(base, variant).js)


def test_divergence_from_itself_is_zero_and_of_no_prompts_is_nothing():
    base, _ = next_tokens()
    assert divergence(base, base).kl.max() == 0.0
    assert divergence(base, base).js.max() < 1e-15
    assert divergence(base[:0], base[:0]).kl.shape == (0,)


def test_divergence_with_impossible_tokens():
    with np.errstate(divide="ignore"):
        base, variant = np.log([[1.0, 0.0]]), np.log([[0.0, 1.0]])
    assert divergence(base, variant).kl == pytest.approx([math.inf])
    assert divergence(base, variant).js == pytest.approx([math.log(2)])
    even = np.log([[0.5, 0.5]])
    assert divergence(base, even).kl == pytest.approx([math.log(2)])  # 0 log 0 is 0


@pytest.mark.parametrize(
    ("row", "total"),
    [([0.5, 0.2], "2.87"), ([math.nan, 0.0], "nan"), ([-9.0, -math.inf], "0.00012")],
)
def test_divergence_refuses_what_is_no_distribution(row, total):
    good = np.log([[0.5, 0.5], [0.5, 0.5]])
    bad = good.copy()
    bad[1] = row
    with pytest.raises(MeasureError) as caught:
        divergence(good, bad)
    text = str(caught.value)
    assert text.startswith(
        "the variant's next-token log-probabilities of prompt 1 (counted from 0) sum to a "
        f"probability of {total}"
    )
    assert text.endswith("not 1; give log-softmax outputs, computed in float32.")
    with pytest.raises(MeasureError, match=r"the base's .* of prompt q7 sum"):
        divergence(bad, good, ["q6", "q7"])


def test_divergence_refuses_other_prompts():
    with pytest.raises(
        MeasureError, match=r"not \(2, 4\) and \(3, 4\); measure both on the same p"
    ):
        divergence(np.zeros((2, 4)), np.zeros((3, 4)))
