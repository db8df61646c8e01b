"""From logits to the next token: the likeliest one, or one drawn with a number of the row's own.

A row's draws depend on its seed and on how many tokens it has, and on nothing else: the uniform
number for (seed, step) comes from a hash (SplitMix64; Steele, Lea and Flood, OOPSLA 2014), not from
a generator that all rows share. So a row gets the same answer alone, in any batch and in any order,
up to rounding of the logits.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polydrift.engine.interface import Decoding

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def next_tokens(logits: Tensor, decoding: Decoding, seeds: NDArray[np.uint64], step: int) -> Tensor:
    """Ids [rows] of each row's next token.

    logits: [rows, vocabulary]. seeds: [rows]. step: how many tokens the rows have already.
    """
    if decoding.temperature == 0:
        if logits.device.type == "cpu":  # several times as fast there as torch's own
            return torch.from_numpy(logits.numpy().argmax(-1))
        return logits.argmax(-1)
    share = torch.softmax(logits.double() / decoding.temperature, -1)
    if decoding.top_p < 1:
        # drawn in the vocabulary's order all the same: tokens that tie must not change places
        ranked, order = share.sort(dim=-1, descending=True, stable=True)
        likelier = ranked.cumsum(-1) - ranked
        share = share.scatter(-1, order, ranked.where(likelier < decoding.top_p, 0.0))
    ends = share.cumsum(-1)
    drawn = torch.from_numpy(uniform(seeds, step)).to(logits.device)[:, None] * ends[:, -1:]
    place = torch.searchsorted(ends, drawn, right=True)
    return place.clamp(max=logits.shape[-1] - 1)[:, 0]


def uniform(seeds: NDArray[np.uint64], step: int) -> NDArray[np.float64]:
    """One number in [0, 1) for each seed at this step; 53 random bits."""
    with np.errstate(over="ignore"):
        mixed = _mix(_mix(seeds + _GOLDEN) + np.uint64(step + 1) * _GOLDEN)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
