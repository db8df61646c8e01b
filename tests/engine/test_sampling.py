from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from polydrift.engine.sampling import Decoding, next_tokens, uniform


def seeds(n):
    return np.arange(n, dtype=np.uint64)


def test_splitmix64_is_the_published_one():
    # the first outputs of the reference generator started at 1234567 are those of its mixer
    state, outputs = 1234567, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        outputs.append(z ^ (z >> 31))
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    # ours: the seed is mixed once, then the steps are counted from there
    start = outputs[0]
    for step in range(3):
        state = (start + (step + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        wanted = ((z ^ (z >> 31)) >> 11) / 2**53
        assert uniform(np.array([1234567], np.uint64), step)[0] == wanted


def test_numbers_are_uniform_over_seeds_and_over_steps():
    over_seeds = uniform(seeds(20_000), 5)
    over_steps = np.array([uniform(seeds(1), step)[0] for step in range(20_000)])
    for numbers in (over_seeds, over_steps):
        assert kstest(numbers, "uniform").pvalue > 1e-3
        assert 0 <= numbers.min() < numbers.max() < 1
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.03


def test_the_largest_seed_is_fine():
    assert 0 <= uniform(np.array([2**64 - 1, 2**63], np.uint64), 10**6).min() < 1


def test_temperature_zero_takes_the_likeliest():
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(next_tokens(logits, Decoding(), seeds(5), 0), logits.argmax(-1))


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_drawn_tokens_have_the_probabilities_asked_for(top_p):
    logits = torch.tensor([2.0, -1.0, 1.5, 0.0, 1.0])
    n = 40_000
    drawn = next_tokens(logits.expand(n, -1), Decoding(0.8, top_p), seeds(n), 3)
    share = torch.softmax(logits.double() / 0.8, -1).numpy()
    order = np.argsort(-share)
    kept = order[: np.searchsorted(share[order].cumsum(), top_p) + 1] if top_p < 1 else order
    wanted = np.zeros(5)
    wanted[kept] = share[kept] / share[kept].sum()
    got = np.bincount(drawn.numpy(), minlength=5) / n
    np.testing.assert_allclose(got, wanted, atol=0.01)
    assert (got[wanted == 0] == 0).all()


def test_a_tiny_top_p_is_greedy():
    logits = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    drawn = next_tokens(logits, Decoding(1.0, 1e-6), seeds(50), 0)
    assert torch.equal(drawn, logits.argmax(-1))


def test_a_token_of_probability_zero_is_never_drawn():
    logits = torch.full((5000, 4), -torch.inf)
    logits[:, [1, 2]] = 0.0
    assert set(next_tokens(logits, Decoding(1.0), seeds(5000), 0).tolist()) == {1, 2}
