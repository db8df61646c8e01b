"""Answers that hang together: what a prompt's change may be when nobody has asked yet.

An answer complies where a normal variable, the sum of one of the prompt, one of the model and the
prompt, and one of the answer, lies below a cut (a probit model with random effects). The cut gives
the rate; the weights of the three are found such that answers have the correlations asked for:
rho between base and variant and between two seeds of a variant, rho_samples between two samples of
one model. Integrals over normal variables are sums over 80 nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEGENDRE = np.polynomial.legendre.leggauss(80)
_NODES: Floats = 7 * _LEGENDRE[0]
_WEIGHTS: Floats = 7 * _LEGENDRE[1] * np.exp(-(_NODES**2) / 2) / math.sqrt(2 * math.pi)
_MOST = 0.995  # weight of the prompt and the model, of an answer with variance 1


def together(first: float, second: float, rho: float) -> float:
    """How often two events happen together; as often as can be where rho is too high for that."""
    spread = math.sqrt(first * (1 - first) * second * (1 - second))
    return min(first * second + rho * spread, first, second)


def changes_of_a_prompt(
    rates: tuple[float, float], seeds: int, samples: int, rhos: tuple[float, float]
) -> tuple[Floats, Floats, float]:
    """(changes that may be, the chance of each, variance of a prompt's rate between seeds).

    A change is the variant's rate of compliance with a prompt, over seeds and samples, less the
    base's, over as many samples. rates: of base and variant. rhos: rho and rho_samples.
    """
    (before, after), (rho, _) = rates, rhos
    of_variant = _solved(lambda x: _both(after, x, after, x), together(after, after, rho))
    of_base = _solved(lambda x: _both(before, x, after, of_variant), together(before, after, rho))
    bases = _hits(before, of_base, samples, rhos[1])
    variants = _hits(after, of_variant, samples, rhos[1])
    share = np.arange(samples + 1) / samples
    apart = _WEIGHTS @ (variants @ share**2 - (variants @ share) ** 2)
    chances = np.zeros((samples + 1, seeds * samples + 1))
    for weight, base, one in zip(_WEIGHTS, bases, variants, strict=True):
        whole = np.ones(1)
        for _ in range(seeds):
            whole = np.convolve(whole, one)
        chances += weight * np.outer(base, whole)
    of_bases, of_variants = np.indices(chances.shape)
    steps, into = np.unique((of_variants - seeds * of_bases).ravel(), return_inverse=True)
    summed = np.bincount(into.ravel(), chances.ravel())
    return steps / (seeds * samples), summed / summed.sum(), float(apart)


def _hits(rate: float, weight: float, samples: int, rho: float) -> Floats:
    """[nodes of the prompt, 0..samples] the chances that so many samples of a model comply."""
    if samples == 1:
        share = _complies(rate, weight)
        return np.stack([1 - share, share], axis=1)
    alike = _solved(lambda x: _both(rate, x, rate, x), together(rate, rate, rho))
    shares = _complies(rate, weight, math.sqrt(max(alike**2 - weight**2, 0.0)))[..., None]
    k = np.arange(samples + 1)
    ways = np.array([math.comb(samples, hit) for hit in range(samples + 1)])
    found: Floats = np.einsum(
        "m,nmk->nk", _WEIGHTS, ways * shares**k * (1 - shares) ** (samples - k)
    )
    return found


def _complies(rate: float, prompt: float, model: float | None = None) -> Floats:
    """The chance of compliance, [nodes] of the prompt, or [nodes, nodes] of prompt and model."""
    cut = NormalDist().inv_cdf(min(max(rate, 1e-9), 1 - 1e-9))
    rest = math.sqrt(max(1 - prompt**2 - (model or 0.0) ** 2, 1e-4))
    z = prompt * _NODES if model is None else prompt * _NODES[:, None] + model * _NODES
    found = [math.erf(x) for x in ((cut - z) / (rest * math.sqrt(2))).ravel().tolist()]
    return (1 + np.array(found).reshape(z.shape)) / 2


def _both(first: float, one: float, second: float, other: float) -> float:
    """How often two answers to a prompt both comply, given their rates and prompt's weights."""
    return float(_WEIGHTS @ (_complies(first, one) * _complies(second, other)))


def _solved(of: Callable[[float], float], wanted: float) -> float:
    """The weight at which a rising function is what is wanted, or as near as can be."""
    low, high = 0.0, _MOST
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if of(middle) < wanted else (low, middle)
    return high
