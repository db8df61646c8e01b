from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy.spatial.distance import cosine
from scipy.special import logsumexp

from polydrift.errors import MeasureError
from polydrift.measures.accuracy import accuracy
from polydrift.measures.drift import drift
from polydrift.measures.margin import refusal_margin
from polydrift.measures.perplexity import bits_per_byte, perplexity, words


def test_perplexity_of_a_uniform_model_is_the_size_of_its_vocabulary():
    assert perplexity(10 * math.log(1 / 4096), 10) == pytest.approx(4096)


def test_bits_per_byte_of_random_bytes_is_eight():
    assert bits_per_byte(100 * math.log(1 / 256), 100) == pytest.approx(8.0)


def test_a_certain_model_has_perplexity_one():
    assert perplexity(0.0, 5) == 1.0
    assert bits_per_byte(0.0, 5) == 0.0


def test_perplexity_beyond_floating_point_is_infinite():
    assert perplexity(-1e6, 1) == math.inf


@pytest.mark.parametrize("measure", [perplexity, bits_per_byte])
def test_no_text_has_no_perplexity(measure):
    assert math.isnan(measure(0.0, 0))


def test_accuracy():
    assert accuracy([True, False, True, True]) == 0.75
    assert accuracy([False]) == 0.0
    assert math.isnan(accuracy([]))


def test_drift_equals_scipy_prompt_by_prompt():
    random = np.random.default_rng(0)
    base = random.normal(size=(4, 7, 16)).astype(np.float32)
    variant = (base + 0.3 * random.normal(size=base.shape)).astype(np.float32)
    found = drift(base, variant)
    for layer in range(4):
        pairs = list(zip(base[layer].astype(float), variant[layer].astype(float), strict=True))
        assert found.cosine[layer] == pytest.approx(np.mean([cosine(b, v) for b, v in pairs]))
        relative = [math.dist(b, v) / math.hypot(*b) for b, v in pairs]
        assert found.relative_l2[layer] == pytest.approx(np.mean(relative))


def test_drift_by_hand():
    base = np.array([[[3.0, 4.0]], [[1.0, 0.0]]])
    turned = np.array([[[6.0, 8.0]], [[0.0, 1.0]]])  # twice as long; turned by a right angle
    found = drift(base, turned)
    np.testing.assert_allclose(found.cosine, [0.0, 1.0], atol=1e-15)
    np.testing.assert_allclose(found.relative_l2, [1.0, math.sqrt(2)])


def test_drift_from_itself_is_exactly_zero():
    base = np.random.default_rng(1).normal(size=(3, 5, 64)).astype(np.float32)
    found = drift(base, base.copy())
    assert np.abs(found.cosine).max() < 1e-15
    assert found.relative_l2.max() == 0.0


def test_drift_of_no_prompts_is_nan_for_every_layer():
    found = drift(np.empty((3, 0, 8), np.float32), np.empty((3, 0, 8), np.float32))
    assert found.cosine.shape == found.relative_l2.shape == (3,)
    assert np.isnan(found.cosine).all()
    assert np.isnan(found.relative_l2).all()


def test_drift_names_the_vector_that_is_not_finite():
    base = np.ones((3, 4, 2), np.float32)
    variant = base.copy()
    variant[1, 2, 0] = np.nan
    with pytest.raises(MeasureError) as caught:
        drift(base, variant)
    assert str(caught.value) == (
        "the variant's activation at layer 1, prompt 2 (counted from 0) is not finite, so it has "
        "no drift; compute the model in bfloat16 or float32."
    )


def test_drift_names_the_vector_without_length():
    base = np.ones((3, 4, 2), np.float32)
    base[2, 0] = 0.0
    with pytest.raises(MeasureError, match=r"the base's activation at layer 2, prompt 0 .* zero"):
        drift(base, np.ones((3, 4, 2)))


def test_drift_refuses_activations_of_other_prompts():
    with pytest.raises(MeasureError, match=r"not \(3, 4, 2\) and \(3, 5, 2\); measure both on the"):
        drift(np.ones((3, 4, 2)), np.ones((3, 5, 2)))


def test_margin_equals_scipy():
    logits = np.random.default_rng(2).normal(size=(6, 50))
    logprobs = (logits - logsumexp(logits, axis=1, keepdims=True)).astype(np.float32)
    refusal, compliance = [1, 7, 30], [2, 8]
    wanted = logsumexp(logprobs[:, refusal], axis=1) - logsumexp(logprobs[:, compliance], axis=1)
    assert refusal_margin(logprobs, refusal, compliance) == pytest.approx(wanted.mean(), abs=1e-6)


def test_margin_says_how_many_times_likelier_a_refusal_is():
    logprobs = np.log(np.array([[0.5, 0.25, 0.05, 0.2]]))
    assert refusal_margin(logprobs, [0], [2]) == pytest.approx(math.log(10))
    assert refusal_margin(logprobs, [0, 1], [2, 3]) == pytest.approx(math.log(3))


def test_margin_leaves_out_tokens_that_begin_both_kinds_and_repeats():
    logprobs = np.log(np.array([[0.5, 0.25, 0.05, 0.2]]))
    assert refusal_margin(logprobs, [0, 3, 0], [2, 3]) == pytest.approx(math.log(10))


@pytest.mark.parametrize(("refusal", "compliance"), [([], [1]), ([1], []), ([1, 2], [2, 1])])
def test_margin_without_a_telling_token_is_nan(refusal, compliance):
    assert math.isnan(refusal_margin(np.zeros((3, 4)), refusal, compliance))


def test_margin_of_no_prompts_is_nan():
    assert math.isnan(refusal_margin(np.empty((0, 4)), [1], [2]))


NINE = {
    "en": ("Bread is made of flour.", 5), "zh": ("面包由面粉制成。", 0),
    "da": ("Brød laves af mel.", 4), "el": ("Το ψωμί γίνεται από αλεύρι.", 5),
    "hi": ("रोटी आटे से बनती है।", 5), "ga": ("Déantar arán as plúr.", 4),
    "pt": ("O pão é feito de farinha.", 6), "es": ("El pan se hace de harina.", 6),
    "tl": ("Gawa sa harina ang tinapay.", 5),
}  # fmt: skip


@pytest.mark.parametrize("code", NINE)
def test_words_are_what_blanks_part(code: str) -> None:
    text, count = NINE[code]
    assert words(text, code) == count


def test_line_ends_and_blank_ends_count_as_in_lm_eval() -> None:
    assert words("One two\nthree ", "en") == len(re.split(r"\s+", "One two\nthree ")) == 4
