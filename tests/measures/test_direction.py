"""The refusal direction: fitted on one half, looked at on the other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from polydrift.errors import MeasureError
from polydrift.measures.direction import (
    Direction,
    DirectionSums,
    auc,
    cosine,
    cosines,
    fit_split,
    mean_cosine,
    pooled,
    refusal_shift,
)

LAYERS, WIDTH = 3, 24
IDS = [f"p{i:03d}" for i in range(160)]
UNSAFE = np.arange(160) % 2 == 0


def activations(seed=0, gap=4.0, language=0):
    """Layer 0 the same for every prompt; beyond it unsafe prompts lie off along one axis."""
    random = np.random.default_rng([seed, language])
    found = random.normal(size=(LAYERS, len(IDS), WIDTH)) + 10.0
    found[1:, UNSAFE, 5] += gap
    found[0] = np.linspace(0.1, 0.7, WIDTH)
    return found.astype(np.float32)


def fitted(seen, fit, language="da", size=17):
    sums = DirectionSums(LAYERS, language)
    for start in range(0, int(fit.sum()), size):
        here = np.flatnonzero(fit)[start : start + size]
        sums.add(seen[:, here], UNSAFE[here])
    return sums.direction()


@pytest.fixture
def fit():
    return fit_split(IDS, UNSAFE, "da")


def test_the_split_hangs_on_the_id_alone(fit):
    assert 50 < fit.sum() < 110
    few = [7, 3, 99, 20]
    by_order = fit_split([IDS[i] for i in few], UNSAFE[few], "el", enough=0)
    np.testing.assert_array_equal(by_order, fit[few])
    grown = fit_split([*IDS, "new"], np.append(UNSAFE, True), "el")
    np.testing.assert_array_equal(grown[:-1], fit)


def test_the_split_is_the_same_for_ever():
    """A change of it would make old and new shifts incomparable."""
    fit = fit_split(["p0", "p1", "p2", "p3", "p4", "p5"], np.arange(6) < 3, "en", enough=0)
    assert fit.tolist() == [True, True, True, False, False, False]


def test_a_stream_equals_the_difference_of_means(fit):
    seen = activations()
    wide = seen.astype(np.float64)
    wanted = wide[:, fit & UNSAFE].mean(axis=1) - wide[:, fit & ~UNSAFE].mean(axis=1)
    found = fitted(seen, fit)
    np.testing.assert_allclose(found.difference[1:], wanted[1:], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.size[1:], np.linalg.norm(wanted[1:], axis=1))
    np.testing.assert_allclose(np.linalg.norm(found.unit[1:], axis=1), 1.0)
    assert np.argmax(np.abs(found.unit[1])) == 5


def test_where_all_prompts_are_the_same_there_is_no_direction(fit):
    found = fitted(activations(), fit)
    assert found.size[0] == 0.0
    assert np.isnan(found.unit[0]).all()
    held = activations()[:, ~fit]
    shift = refusal_shift(found.project(held), found.project(held), UNSAFE[~fit])
    for name in ("base_unsafe", "gap", "unsafe", "safe", "clarity", "auc", "variant_auc"):
        assert np.isnan(getattr(shift, name)[0])
        assert np.isfinite(getattr(shift, name)[1:]).all()


def test_projections_are_lengths_along_the_direction(fit):
    seen = activations()
    found = fitted(seen, fit)
    projected = found.project(seen)
    assert projected.shape == (LAYERS, len(IDS))
    unit = found.difference[2] / np.linalg.norm(found.difference[2])
    np.testing.assert_allclose(projected[2], seen[2].astype(np.float64) @ unit)


def test_unsafe_prompts_moved_onto_safe_ones_shift_by_minus_one(fit):
    seen = activations()
    found = fitted(seen, fit)
    base = found.project(seen[:, ~fit])
    unsafe = UNSAFE[~fit]
    gap = base[:, unsafe].mean(axis=1) - base[:, ~unsafe].mean(axis=1)
    for part in (0.0, 0.25, 1.0):
        variant = base.copy()
        variant[:, unsafe] -= part * gap[:, None]
        shift = refusal_shift(base, variant, unsafe)
        np.testing.assert_allclose(shift.unsafe[1:], -part, atol=1e-12)
        np.testing.assert_allclose(shift.safe[1:], 0.0, atol=1e-12)
        np.testing.assert_allclose(shift.gap[1:], gap[1:])
    assert shift.auc[1] > 0.95
    assert abs(shift.variant_auc[1] - 0.5) < 0.2
    assert shift.prompts == (int(unsafe.sum()), int((~unsafe).sum()))
    np.testing.assert_allclose(shift.variant_unsafe[1:], shift.base_safe[1:])


def test_shifts_do_not_hang_on_the_activations_scale(fit):
    seen, moved = activations(), activations()
    moved[1:, UNSAFE, 5] -= 1.0
    shifts = []
    for scale in (1.0, 100.0):
        found = fitted(scale * seen, fit)
        parts = (found.project(scale * one[:, ~fit]) for one in (seen, moved))
        shifts.append(refusal_shift(*parts, UNSAFE[~fit]))
    np.testing.assert_allclose(shifts[0].unsafe[1:], shifts[1].unsafe[1:], rtol=1e-4)
    assert shifts[0].unsafe[1] == pytest.approx(-0.25, abs=0.05)
    np.testing.assert_allclose(shifts[0].clarity[1:], shifts[1].clarity[1:], rtol=1e-4)


def test_a_direction_of_noise_shows_on_held_out_prompts(fit):
    """Fitted and looked at on the same prompts it would seem to separate them."""
    seen = np.random.default_rng(3).normal(size=(LAYERS, len(IDS), 400))
    found = fitted(seen, fit)
    held = refusal_shift(*[found.project(seen[:, ~fit])] * 2, UNSAFE[~fit])
    same = refusal_shift(*[found.project(seen[:, fit])] * 2, UNSAFE[fit])
    assert np.abs(held.auc[1:] - 0.5).max() < 0.2
    assert same.auc[1:].min() > 0.95
    real = activations(gap=4.0)
    clear = fitted(real, fit)
    assert refusal_shift(*[clear.project(real[:, ~fit])] * 2, UNSAFE[~fit]).auc[1:].min() > 0.95


def test_a_gap_that_is_not_above_zero_gives_no_unit():
    base = np.array([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 1.0, 1.0]])
    shift = refusal_shift(base, base + 1.0, np.array([True, True, False, False]))
    np.testing.assert_array_equal(np.isnan(shift.unsafe), [True, True, False])
    np.testing.assert_array_equal(np.isnan(shift.safe), [True, True, False])
    assert shift.unsafe[2] == shift.safe[2] == 1.0
    np.testing.assert_array_equal(shift.auc, [0.0, 0.5, 1.0])


def test_the_clearest_layer_is_the_bases():
    base = np.array([[1.0, 2.0, 0.0, 1.0], [9.0, 9.5, 0.0, 0.5], [5.0, 7.0, 0.0, 2.0]])
    kinds = np.array([True, True, False, False])
    assert refusal_shift(base, -base, kinds).clearest == 1
    shift = refusal_shift(base, base, kinds)
    assert shift.clarity[0] == pytest.approx(1 / np.sqrt(0.5))
    blank = dataclasses.replace(shift, clarity=np.full(3, np.nan))
    assert blank.clearest is None
    few = refusal_shift(base[:, 1:], base[:, 1:], kinds[1:])
    assert np.isnan(few.clarity).all()


def test_auc_equals_sklearn_with_ties():
    random = np.random.default_rng(4)
    above, below = random.integers(0, 9, (3, 31)) + 2.0, random.integers(0, 9, (3, 17)) + 0.0
    labels = np.repeat([1, 0], [31, 17])
    wanted = [roc_auc_score(labels, np.append(*rows)) for rows in zip(above, below, strict=True)]
    np.testing.assert_allclose(auc(above, below), wanted)


def test_auc_of_nothing_is_nan():
    assert np.isnan(auc(np.empty((2, 0)), np.ones((2, 3)))).all()
    assert np.isnan(auc(np.array([[np.nan, 1.0]]), np.ones((1, 3)))).all()


def test_pooled_counts_every_language_the_same():
    one = Direction("da", np.array([[4.0, 0.0]]))
    other = Direction("el", np.array([[0.0, 2.0]]))
    np.testing.assert_array_equal(pooled([one, other]).difference, [[2.0, 1.0]])
    assert pooled([one, other]).language == "all languages"


def test_cosines_between_languages_and_between_base_and_variant():
    found = [
        Direction("da", np.array([[2.0, 0.0], [0.0, 0.0]])),
        Direction("el", np.array([[0.0, 3.0], [1.0, 0.0]])),
        Direction("ga", np.array([[-1.0, 0.0], [1.0, 1.0]])),
    ]
    all_pairs = cosines(found)
    assert all_pairs.shape == (2, 3, 3)
    np.testing.assert_allclose(all_pairs[0], [[1, 0, -1], [0, 1, 0], [-1, 0, 1]], atol=1e-15)
    np.testing.assert_allclose(cosine(found[1], found[2]), [0.0, np.sqrt(0.5)], atol=1e-15)
    assert np.isnan(cosine(found[0], found[1])[1])
    assert mean_cosine(found)[0] == pytest.approx(-1 / 3)
    assert mean_cosine(found[1:])[1] == pytest.approx(np.sqrt(0.5))


def test_one_language_has_no_cosine_with_others():
    lone = mean_cosine([Direction("da", np.ones((3, 2)))])
    assert lone.shape == (3,)
    assert np.isnan(lone).all()


def test_languages_that_share_a_direction_are_found_to(fit):
    found = [fitted(activations(language=i), fit, f"l{i}") for i in range(3)]
    assert mean_cosine(found)[1:].min() > 0.8
    assert np.isnan(mean_cosine(found)[0])


def test_a_suite_without_safe_or_unsafe_prompts():
    with pytest.raises(MeasureError) as caught:
        fit_split(IDS, np.ones(160, bool), "da")
    assert str(caught.value) == (
        "the refusal direction in da needs safe prompts to set unsafe ones against, and there are "
        "none; add prompts of the kind safe-lookalike to the suite."
    )
    with pytest.raises(MeasureError) as caught:
        fit_split(IDS, np.zeros(160, bool), "da")
    assert str(caught.value) == (
        "the refusal direction in da needs unsafe prompts, and there are none; add prompts of the "
        "kind unsafe to the suite."
    )
    sums = DirectionSums(LAYERS, "el")
    with pytest.raises(MeasureError, match="direction in el needs unsafe prompts, and there are"):
        sums.direction()
    sums.add(activations()[:, UNSAFE], UNSAFE[UNSAFE])
    with pytest.raises(MeasureError, match="direction in el needs safe prompts to set unsafe ones"):
        sums.direction()
    with pytest.raises(MeasureError, match="in this language needs safe prompts"):
        refusal_shift(np.ones((1, 2)), np.ones((1, 2)), np.array([True, True]))


def test_too_few_prompts_say_how_many_are_needed():
    with pytest.raises(MeasureError) as caught:
        fit_split(IDS[:20], UNSAFE[:20], "ga")
    assert str(caught.value) == (
        "the refusal direction in ga has 4 unsafe and 5 safe prompts to be fitted on, and needs 8 "
        "of each; halves are drawn by prompt id, so take a suite of 32 or more of each kind."
    )
    last = [i for i in range(160) if fit_split(IDS, UNSAFE, "ga")[i]]
    with pytest.raises(
        MeasureError, match=r"0 unsafe and 0 safe prompts to be held out, and needs"
    ):
        fit_split([IDS[i] for i in last], UNSAFE[last], "ga")


def test_activations_that_are_not_finite_are_named(fit):
    seen = activations()
    seen[2, 5, 1] = np.nan
    with pytest.raises(MeasureError) as caught:
        DirectionSums(LAYERS, "da", "variant").add(seen, UNSAFE, IDS)
    assert str(caught.value) == (
        "the variant's activation at layer 2, prompt p005 is not finite, so it has no refusal "
        "direction; compute the model in bfloat16 or float32."
    )
    with pytest.raises(
        MeasureError, match=r"the base's activation at layer 2, prompt p005 .* no pr"
    ):
        fitted(activations(), fit).project(seen, "base", IDS)


def test_unlike_shapes_are_refused(fit):
    found = fitted(activations(), fit)
    with pytest.raises(MeasureError) as caught:
        found.project(np.ones((LAYERS, 4, WIDTH + 1)))
    assert str(caught.value) == (
        "the refusal direction in da has 3 layers of width 24 and is given activations "
        "[3, 4, 25]; give those of its base."
    )
    with pytest.raises(MeasureError) as caught:
        DirectionSums(LAYERS, "da").add(np.ones((LAYERS, 4, WIDTH)), UNSAFE[:3])
    assert str(caught.value) == (
        "the refusal direction in da needs activations of 3 layers by 3 prompts, not (3, 4, 24); "
        "give a whole batch."
    )
    with pytest.raises(MeasureError) as caught:
        refusal_shift(np.ones((3, 4)), np.ones((3, 5)), UNSAFE[:4], "el")
    assert str(caught.value) == (
        "a shift in el needs projections of the same prompts, not (3, 4) of the base, (3, 5) of "
        "the variant and 4 kinds; measure both on the same prompts."
    )
    with pytest.raises(MeasureError) as caught:
        pooled([found, Direction("el", np.ones((2, WIDTH)))])
    assert str(caught.value) == (
        "the refusal direction in el is [2, 24] and that in da [3, 24] ([layers, width]); compare "
        "directions of one base and its variants."
    )
    with pytest.raises(MeasureError, match="no refusal direction to look at; measure a language"):
        cosines([])
