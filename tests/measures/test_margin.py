"""The mass of refusals at an answer's first token. The margin is tested in test_measures.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from polydrift.measures.margin import refusal_margin, refusal_mass


def test_the_mass_equals_the_sum_of_probabilities():
    logits = np.random.default_rng(0).normal(size=(6, 50))
    wanted = softmax(logits, axis=1)[:, [1, 7, 30]].sum(axis=1).mean()
    assert refusal_mass(log_softmax(logits, axis=1), [1, 7, 30], [2]) == pytest.approx(wanted)


def test_tokens_that_begin_both_kinds_and_repeats_are_left_out():
    logprobs = np.log([[0.5, 0.25, 0.05, 0.2]])
    assert refusal_mass(logprobs, [0, 3, 0], [2, 3]) == pytest.approx(0.5)


def test_the_mass_needs_no_compliances_and_the_margin_does():
    logprobs = np.log([[0.5, 0.25, 0.05, 0.2]])
    assert refusal_mass(logprobs, [0], []) == pytest.approx(0.5)
    assert math.isnan(refusal_margin(logprobs, [0], []))


@pytest.mark.parametrize(("refusal", "compliance"), [([], [1]), ([1, 2], [2, 1])])
def test_without_a_telling_token_the_mass_is_nan(refusal, compliance):
    assert math.isnan(refusal_mass(np.zeros((3, 4)), refusal, compliance))


def test_the_mass_of_no_prompts_is_nan():
    assert math.isnan(refusal_mass(np.empty((0, 4)), [1], [2]))
