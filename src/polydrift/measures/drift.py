"""Drift: how far tuning has moved what a network makes of a prompt, layer by layer.

    >>> sums = DriftSums(layers=29)
    >>> for base, variant in batches:            # [29, b, width] each, the same b prompts
    ...     sums.add(base, variant)
    >>> sums.drift().cosine[12]                  # mean over all prompts at layer 12

Two distances between a base's vector b and a variant's v for the same prompt at the same layer:
cosine distance 1 - b·v / (|b| |v|): 0 is the same direction, 1 a right angle, 2 the opposite; and
relative distance |v - b| / |b|: 0 is no change, 1 a change as long as the base's vector itself.
The first does not see a change of length, the second sees both. Sums are made in float64, and what
is kept is a few numbers per layer, however many prompts come. Last tokens and means over tokens
have a `DriftSums` each.

What a variant says next is compared by the divergence of its next token from the base's:

    >>> divergence(base.logprobs_next, variant.logprobs_next).kl     # nats, one per prompt
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polydrift.errors import MeasureError

Given = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Names = Sequence[int | str] | None

_SUMS = 5  # cosine similarity, relative distance, |b|², |v|², |v - b|²


@dataclass(frozen=True)
class Drift:
    """Means over prompts, [layers] float64 each; NaN where there were none.

    cosine: of 1 - b·v / (|b| |v|). relative_l2: of |v - b| / |b|. base_square, variant_square,
    moved_square: of |b|², |v|² and |v - b|², in the activations' unit squared. prompts: how many.
    """

    cosine: Floats
    relative_l2: Floats
    base_square: Floats
    variant_square: Floats
    moved_square: Floats
    prompts: int

    @property
    def pooled_l2(self) -> Floats:
        """√(Σ|v - b|² / Σ|b|²): [layers]. Long vectors count more in it than short ones."""
        ratio: Floats = np.sqrt(self.moved_square / self.base_square)
        return ratio


class DriftSums:
    """Sums of the distances of a variant from its base, fed batch by batch: 40 bytes a layer."""

    def __init__(self, layers: int) -> None:
        self._sums = np.zeros((_SUMS, layers))
        self._prompts = 0

    def add(self, base: Given, variant: Given, prompts: Names = None) -> None:
        """Take in a batch. base, variant: [layers, b, width], the same prompts in the same order.

        prompts: their names, for errors; by default their place in all that was added. MeasureError
        names the layer and prompt of a vector that is not finite or has no length, for which no
        distance is defined; such a batch is not added.
        """
        same_prompts(base, variant, self._sums.shape[1], "drift")
        names = range(self._prompts, self._prompts + base.shape[1]) if prompts is None else prompts
        new = np.empty_like(self._sums)
        for layer in range(len(base)):  # one layer at a time is widened to float64
            b, v = (array[layer].astype(np.float64) for array in (base, variant))
            b_length = _lengths(b, "base", layer, names)
            v_length = _lengths(v, "variant", layer, names)
            similarity = np.einsum("pw,pw->p", b, v) / (b_length * v_length)
            moved = np.linalg.norm(v - b, axis=1)
            new[:, layer] = (
                np.clip(similarity, -1.0, 1.0).sum(),
                (moved / b_length).sum(),
                (b_length**2).sum(),
                (v_length**2).sum(),
                (moved**2).sum(),
            )
        self._sums += new
        self._prompts += base.shape[1]

    def drift(self) -> Drift:
        """The means so far."""
        means = self._sums / self._prompts if self._prompts else np.full_like(self._sums, np.nan)
        similarity, relative, base, variant, moved = means
        return Drift(1.0 - similarity, relative, base, variant, moved, self._prompts)


def drift(base: Given, variant: Given) -> Drift:
    """Distances of a variant's activations from its base's, all at once.

    base, variant: [layers, prompts, width], the same prompts in the same order. NaN everywhere
    when there are no prompts. MeasureError as in `DriftSums.add`.
    """
    sums = DriftSums(len(base))
    sums.add(base, variant)
    return sums.drift()


@dataclass(frozen=True)
class Divergence:
    """How far next-token distributions p (the base's) and q (the variant's) lie apart, in nats.

    kl: [prompts], KL(p || q) = Σ p log(p / q) (Kullback and Leibler, Ann. Math. Stat. 22, 1951):
    0 is the same distribution, infinite one in which the variant rules out what the base may say.
    js: [prompts], ½ KL(p || m) + ½ KL(q || m) with m = (p + q) / 2 (Lin, IEEE Trans. Inf. Theory
    37, 1991): symmetric, from 0 to log 2.
    """

    kl: Floats
    js: Floats


def divergence(base: Given, variant: Given, prompts: Names = None) -> Divergence:
    """Of each prompt's next token. base, variant: [prompts, vocabulary], log-probabilities in nats.

    prompts: their names, for errors. Rounding of float32 is divided out in float64. MeasureError
    for rows that are not log-probabilities (NaN, or a sum of probabilities that is not 1 ± 0.001).
    """
    if base.shape != variant.shape or base.ndim != 2:
        raise MeasureError(
            "the divergence of next tokens needs the same prompts and vocabulary of base and "
            f"variant, not {base.shape} and {variant.shape}; measure both on the same prompts."
        )
    names = range(len(base)) if prompts is None else prompts
    kl, js = np.empty(len(base)), np.empty(len(base))
    for i in range(len(base)):  # one row at a time: a vocabulary is wide
        log_p, p = _distribution(base[i], "base", names[i])
        log_q, q = _distribution(variant[i], "variant", names[i])
        with np.errstate(divide="ignore", invalid="ignore"):
            m = (p + q) / 2
            kl[i] = _sum(p * (log_p - log_q))
            # the entropy of the mean less the mean of the entropies
            js[i] = (_sum(p * log_p) + _sum(q * log_q)) / 2 - _sum(m * np.log(m))
    return Divergence(np.maximum(kl, 0), np.maximum(js, 0))  # below 0 is rounding


def same_prompts(base: Given, variant: Given, layers: int, what: str) -> None:
    """MeasureError unless both are [layers, b, width] of one size; `what` is being measured."""
    if base.shape != variant.shape or base.ndim != 3:
        raise MeasureError(
            f"{what} needs the same layers, prompts and width of base and variant, not "
            f"{base.shape} and {variant.shape}; measure both on the same prompts."
        )
    if len(base) != layers:
        raise MeasureError(
            f"{what} was begun for {layers} layers and is given {len(base)}; give every base a "
            "sum of its own."
        )


def all_finite(vectors: Given, who: str, names: Sequence[int | str], what: str) -> None:
    """MeasureError names a vector of [layers, b, width] that holds NaN or infinity."""
    bad = np.argwhere(~np.isfinite(vectors).all(axis=2))
    if len(bad):
        layer, row = bad[0]
        raise _useless(who, int(layer), names[row], "not finite", what)


def _useless(who: str, layer: int, prompt: int | str, kind: str, what: str) -> MeasureError:
    return MeasureError(
        f"the {who}'s activation at layer {layer}, {_prompt(prompt)} is {kind}, so it has no "
        f"{what}; compute the model in bfloat16 or float32."
    )


def _prompt(name: int | str) -> str:
    return f"prompt {name}" if isinstance(name, str) else f"prompt {name} (counted from 0)"


def _lengths(vectors: Floats, who: str, layer: int, names: Sequence[int | str]) -> Floats:
    lengths: Floats = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        kind = "of length zero" if lengths[bad[0]] == 0 else "not finite"
        raise _useless(who, layer, names[bad[0]], kind, "drift")
    return lengths


def _distribution(row: Given, who: str, prompt: int | str) -> tuple[Floats, Floats]:
    """Log-probabilities and probabilities that sum to 1."""
    wide = row.astype(np.float64)
    with np.errstate(over="ignore"):
        p: Floats = np.exp(wide)
        total = p.sum()
    if not abs(total - 1.0) <= 1e-3:  # also where it is NaN
        raise MeasureError(
            f"the {who}'s next-token log-probabilities of {_prompt(prompt)} sum to a probability "
            f"of {total:.4g}, not 1; give log-softmax outputs, computed in float32."
        )
    return wide - np.log(total), p / total


def _sum(terms: Floats) -> float:
    """A token with p = 0 adds nothing: its 0 · ∞ is NaN."""
    total = float(terms.sum())
    return float(np.nansum(terms)) if np.isnan(total) else total
