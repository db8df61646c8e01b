"""Drift: how far tuning has moved what a network makes of a prompt, layer by layer.

    >>> found = drift(base.hidden, variant.hidden)
    >>> found.cosine[12]         # mean over prompts at layer 12

Two distances between a base's vector b and a variant's v for the same prompt at the same layer:
cosine distance 1 - b·v / (|b| |v|): 0 is the same direction, 1 a right angle, 2 the opposite; and
relative distance |v - b| / |b|: 0 is no change, 1 a change as long as the base's vector itself.
The first does not see a change of length, the second sees both. Sums are made in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polydrift.errors import MeasureError


@dataclass(frozen=True)
class Drift:
    """cosine, relative_l2: [layers] float64, means over prompts."""

    cosine: NDArray[np.float64]
    relative_l2: NDArray[np.float64]


def drift(base: NDArray[np.floating], variant: NDArray[np.floating]) -> Drift:
    """Distances of a variant's activations from its base's.

    base, variant: [layers, prompts, width], the same prompts in the same order. NaN everywhere
    when there are no prompts. MeasureError names the layer and prompt of a vector that is not
    finite or has no length, for which no distance is defined.
    """
    if base.shape != variant.shape or base.ndim != 3:
        raise MeasureError(
            f"drift needs the same layers, prompts and width of base and variant, not {base.shape} "
            f"and {variant.shape}; measure both on the same prompts."
        )
    layers, prompts, _ = base.shape
    cosine, relative = (np.full(layers, np.nan) for _ in range(2))
    for layer in range(layers if prompts else 0):  # one layer at a time is widened to float64
        b, v = (array[layer].astype(np.float64) for array in (base, variant))
        b_length, v_length = (_lengths(x, who, layer) for x, who in ((b, "base"), (v, "variant")))
        similarity = np.einsum("pw,pw->p", b, v) / (b_length * v_length)
        cosine[layer] = 1.0 - np.clip(similarity, -1.0, 1.0).mean()
        relative[layer] = (np.linalg.norm(v - b, axis=1) / b_length).mean()
    return Drift(cosine, relative)


def _lengths(vectors: NDArray[np.float64], who: str, layer: int) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        kind = "of length zero" if lengths[bad[0]] == 0 else "not finite"
        raise MeasureError(
            f"the {who}'s activation at layer {layer}, prompt {bad[0]} (counted from 0) is {kind}, "
            "so it has no drift; compute the model in bfloat16 or float32."
        )
    return lengths
