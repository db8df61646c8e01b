"""The size of an adapter: against ΔW itself, formed by torch in float64."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from polydrift.errors import MeasureError
from polydrift.measures.weights import (
    Size,
    Update,
    by_layer,
    cosines,
    inner_products,
    layer_of,
    size,
    sizes,
    together,
)

SHAPES = {
    "model.layers.0.self_attn.q_proj": (48, 32),
    "model.layers.0.mlp.down_proj": (32, 80),
    "model.layers.11.self_attn.q_proj": (48, 32),
}


def adapter(seed, rank=4, scale=2.0):
    random = np.random.default_rng(seed)
    return {
        name: Update(
            random.normal(size=(rank, inner)).astype(np.float32),
            random.normal(size=(outer, rank)).astype(np.float32),
            scale,
        )
        for name, (outer, inner) in SHAPES.items()
    }


def delta(update):
    """ΔW, formed."""
    a, b = (torch.from_numpy(np.asarray(one)).double() for one in (update.A, update.B))
    return update.scale * b @ a


@pytest.mark.parametrize("rank", [1, 4, 40])  # 40 exceeds one side of every layer
def test_a_size_equals_that_of_the_matrix_formed(rank):
    for name, update in adapter(0, rank).items():
        whole = delta(update)
        values = torch.linalg.svdvals(whole)
        shares = values[values > 1e-12 * values[0]] / values.sum()
        found = size(update, weight_norm=50.0, module=name)
        assert found.norm == pytest.approx(float(torch.linalg.matrix_norm(whole)), rel=1e-12)
        assert found.spectral == pytest.approx(float(torch.linalg.matrix_norm(whole, 2)), rel=1e-12)
        entropy = torch.special.entr(shares).sum()
        assert found.effective_rank == pytest.approx(float(entropy.exp()), rel=1e-9)
        assert found.relative == pytest.approx(found.norm / 50.0)


def test_the_norm_is_the_inner_product_with_itself():
    found, products = sizes(adapter(1)), inner_products({"da": adapter(1)})
    for name in SHAPES:
        assert found[name].norm ** 2 == pytest.approx(products[name][0, 0], rel=1e-12)


def test_the_effective_rank_of_known_spectra():
    a, b = np.eye(4, 30), np.eye(50, 4)
    assert size(Update(a, b)).effective_rank == pytest.approx(4.0)
    one = np.diag([1.0, 0, 0, 0])
    assert size(Update(one @ a, b)).effective_rank == pytest.approx(1.0)
    assert size(Update(a, b, scale=-3.0)).spectral == pytest.approx(3.0)


def test_factors_that_nearly_cancel_keep_their_digits():
    """ΔW a millionth of its terms: the trace of squares would hold four digits of its norm."""
    a = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0 + 1e-6]])
    b = np.array([[1.0, -1.0], [2.0, -2.0]])
    wanted = math.hypot(a[1, 2] - 3.0, 2 * (a[1, 2] - 3.0))
    assert size(Update(a, b)).norm == pytest.approx(wanted, rel=1e-9)


def test_an_adapter_that_adds_nothing():
    found = size(Update(np.ones((2, 5)), np.zeros((7, 2))), weight_norm=3.0)
    assert found.norm == found.spectral == found.relative == 0.0
    assert math.isnan(found.effective_rank)


def test_a_weight_not_given_leaves_no_ratio():
    found = sizes(adapter(2), {"model.layers.0.mlp.down_proj": 10.0})
    ratios = [found[name].relative for name in SHAPES]
    assert [math.isnan(ratio) for ratio in ratios] == [True, False, True]
    assert math.isnan(size(next(iter(adapter(2).values())), weight_norm=0.0).relative)


def test_layers_are_root_sums_of_squares():
    found = {
        "model.layers.0.q": Size(3.0, 1.0, 1.0, 6.0),
        "model.layers.0.v": Size(4.0, 1.0, 1.0, 8.0),
        "model.layers.12.q": Size(1.0, 1.0, 1.0, math.nan),
        "lm_head": Size(0.0, 0.0, math.nan, 2.0),
    }
    layers = by_layer(found)
    assert list(layers) == [0, 12, None]
    assert layers[0] == pytest.approx((5.0, 0.5))
    assert layers[12] == pytest.approx((1.0, math.nan), nan_ok=True)
    assert layers[None] == (0.0, 0.0)
    assert together(found.values())[0] == pytest.approx(math.sqrt(26))
    assert all(map(math.isnan, together([])))


@pytest.mark.parametrize(
    ("module", "layer"),
    [
        ("model.layers.12.mlp.up_proj", 12),
        ("language_model.model.layers.0.self_attn.k_proj", 0),
        ("transformer.h.7.attn.c_attn", 7),
        ("lm_head", None),
    ],
)
def test_the_layer_of_a_module(module, layer):
    assert layer_of(module) == layer


def test_inner_products_and_cosines_equal_the_matrices_formed():
    named = {"da": adapter(3, 4), "el": adapter(4, 8, 0.5), "ga": adapter(5, 1, -1.0)}
    named["da again"] = {name: Update(u.A, 3 * u.B, u.scale) for name, u in named["da"].items()}
    products = inner_products(named)
    whole = []
    for one in named.values():
        whole.append(torch.cat([delta(one[name]).flatten() for name in SHAPES]))
    for name in SHAPES:
        flat = torch.stack([delta(one[name]).flatten() for one in named.values()])
        np.testing.assert_allclose(products[name], (flat @ flat.T).numpy(), rtol=1e-9, atol=1e-9)
    found = cosines(products.values())
    for i, j in itertools.product(range(4), repeat=2):
        wanted = torch.nn.functional.cosine_similarity(whole[i], whole[j], dim=0)
        assert found[i, j] == pytest.approx(float(wanted), abs=1e-12)
    assert found[0, 3] == pytest.approx(1.0)


def test_cosines_of_one_layer():
    named = {"da": adapter(6), "el": adapter(7)}
    products = inner_products(named)
    here = [name for name in SHAPES if layer_of(name) == 0]
    flat = [torch.cat([delta(one[name]).flatten() for name in here]) for one in named.values()]
    wanted = torch.nn.functional.cosine_similarity(*flat, dim=0)
    assert cosines(products[n] for n in here)[0, 1] == pytest.approx(float(wanted), abs=1e-12)


def test_unrelated_first_factors_look_unlike_whatever_the_second_learnt():
    """Equal B, unrelated A, as of two seeds: the cosine is near 0 though both learnt the same."""
    random = np.random.default_rng(8)
    one, other, b = random.normal(size=(3, 4, 4000))
    near = {"x": {"m": Update(one, b.T)}, "y": {"m": Update(one, b.T + 0.1)}}
    far = {"x": {"m": Update(one, b.T)}, "y": {"m": Update(other, b.T)}}
    found = [cosines(inner_products(pair).values())[0, 1] for pair in (near, far)]
    assert found[0] > 0.9
    assert abs(found[1]) < 0.05


def test_an_adapter_of_zero_has_no_cosine():
    nothing = {name: Update(u.A, 0 * u.B) for name, u in adapter(9).items()}
    found = cosines(inner_products({"da": adapter(9), "zero": nothing}).values())
    assert found[0, 0] == pytest.approx(1.0)
    assert np.isnan([found[0, 1], found[1, 0], found[1, 1]]).all()


def test_unlike_modules_are_named():
    less = adapter(1)
    del less["model.layers.0.mlp.down_proj"]
    for named in ({"da": adapter(0), "el": less}, {"el": less, "da": adapter(0)}):
        with pytest.raises(MeasureError) as caught:
            inner_products(named)
        assert str(caught.value) == (
            "adapter da changes model.layers.0.mlp.down_proj and adapter el does not; compare "
            "adapters that were tuned on the same modules."
        )


def test_unlike_shapes_are_named():
    other = adapter(1)
    other["model.layers.0.mlp.down_proj"] = Update(np.ones((4, 81)), np.ones((32, 4)))
    with pytest.raises(MeasureError) as caught:
        inner_products({"da": adapter(0), "el": other})
    assert str(caught.value) == (
        "model.layers.0.mlp.down_proj is [32, 80] in adapter da and [32, 81] in adapter el; "
        "compare adapters of one base."
    )


def test_no_modules_and_no_adapters():
    assert inner_products({}) == {}
    with pytest.raises(MeasureError) as caught:
        cosines([])
    assert str(caught.value) == ("there are no modules to compare; give adapters that change some.")


@pytest.mark.parametrize(
    "update",
    [
        Update(np.array([[np.nan]]), np.ones((2, 1))),
        Update(np.ones((1, 3)), np.array([[np.inf]])),
        Update(np.ones((1, 3)), np.ones((2, 1)), math.inf),
    ],
)
def test_numbers_that_are_not_finite_are_named(update):
    with pytest.raises(MeasureError) as caught:
        size(update, module="layers.3.q_proj")
    assert str(caught.value) == (
        "layers.3.q_proj of the adapter holds numbers that are not finite (its training diverged, "
        "perhaps); tune it again with a lower learning rate."
    )
    with pytest.raises(MeasureError, match=r"^m of adapter el holds numbers"):
        inner_products({"el": {"m": update}})


@pytest.mark.parametrize(("a", "b"), [((2, 3), (4, 3)), ((0, 3), (4, 0)), ((3,), (4, 3))])
def test_factors_that_do_not_fit_are_named(a, b):
    with pytest.raises(MeasureError) as caught:
        size(Update(np.ones(a), np.ones(b)), module="layers.3.q_proj")
    assert str(caught.value) == (
        f"layers.3.q_proj of the adapter has A {list(a)} and B {list(b)}, which are no [rank, in] "
        "and [out, rank]; get the adapter anew."
    )
