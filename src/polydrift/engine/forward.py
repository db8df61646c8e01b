"""Token ids to logits: padded and batched, and no more logits than are wanted.

A head of 262,144 tokens makes 1 MB of float32 logits per position, so they are computed only where
they are read: the decoder runs over all positions, the head over the chosen ones. Not every
architecture is decoder-then-head (some scale logits in between); `splits` tries it on a few tokens
when a model is loaded, and where it does not hold the whole network runs instead. Nothing is
guessed from a model's name.

Rows are padded on the right where all positions are there at once: under causal attention no real
token sees the padding, so neither mask nor position ids are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from polydrift.engine.model import Model


def decoder(network: PreTrainedModel) -> nn.Module:
    """The stack of layers that turns token ids into hidden states, without the head."""
    found: nn.Module = network.get_decoder()
    return found


def splits(network: PreTrainedModel) -> bool:
    """Whether decoder, head and soft cap, one after the other, compute what the network does."""
    if network.get_output_embeddings() is None or decoder(network) is network:
        return False
    ids = _trial_ids(network)
    with torch.inference_mode():
        try:
            parts = through_head(
                network, decoder(network)(input_ids=ids, use_cache=False).last_hidden_state
            )
            whole = wide(network(input_ids=ids, use_cache=False).logits)
        except (TypeError, AttributeError, ValueError):
            return False
    return parts.shape == whole.shape and torch.allclose(parts, whole, rtol=1e-3, atol=1e-3)


def decodes(network: PreTrainedModel) -> bool:
    """Whether a row that is padded on the left and read in two steps, through a cache, ends as it
    does alone and at once: what `answer` relies on. Recurrent networks, for one, do not.
    """
    ids = _trial_ids(network)
    longer = torch.cat([ids, ids[:, :3].flip(1)], 1)
    mask = torch.ones_like(longer).repeat(2, 1)
    mask[0, :3] = 0
    both = torch.cat([torch.cat([ids[:, :3], ids], 1), longer])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=network.config)
    with torch.inference_mode():
        try:
            alone = wide(network(input_ids=ids, use_cache=False).logits)[0, -1]
            for part in (slice(0, -1), slice(-1, None)):
                found = network(
                    input_ids=both[:, part],
                    attention_mask=mask[:, : part.stop] if part.stop else mask,
                    position_ids=positions[:, part],
                    past_key_values=cache,
                    use_cache=True,
                )
        except (TypeError, AttributeError, ValueError):
            return False
    error = wide(found.logits)[0, -1] - alone
    return bool(error.norm() < 0.2 * (alone - alone.mean()).norm())  # bfloat16 is within 0.02


def logits_at(model: Model, ids: Tensor, chosen: Tensor) -> Tensor:
    """Float32 logits [n, vocabulary] at the chosen positions of right-padded rows.

    ids: [rows, length]. chosen: [rows, length], bool, n of them true; the order is row by row.
    """
    if not model.splits:
        whole: Tensor = model.network(input_ids=ids, use_cache=False).logits
        return wide(whole[chosen])
    hidden = decoder(model.network)(input_ids=ids, use_cache=False).last_hidden_state
    return through_head(model.network, hidden[chosen])


def next_logits(model: Model, **inputs: Any) -> Tensor:
    """Float32 logits [rows, vocabulary] after the last position; inputs as for `forward`."""
    if not model.splits:
        whole: Tensor = model.network(**inputs).logits
        return wide(whole[:, -1])
    return through_head(model.network, decoder(model.network)(**inputs).last_hidden_state[:, -1])


def every_state(model: Model, ids: Tensor, last: Tensor) -> tuple[list[Tensor], Tensor]:
    """What every layer holds at every position, and the float32 logits at one of each row.

    ids: [rows, length], right-padded. last: [rows], a position of each row. Returns hidden states,
    layers + 1 times [rows, length, width] (embeddings first, after the final norm last), and
    logits [rows, vocabulary].
    """
    row = torch.arange(len(ids), device=ids.device)
    inputs = {"input_ids": ids, "use_cache": False, "output_hidden_states": True}
    if not model.splits:
        whole = model.network(**inputs)
        states = [layer.to(ids.device) for layer in whole.hidden_states]
        return states, wide(whole.logits[row, last])
    found = decoder(model.network)(**inputs)
    states = [layer.to(ids.device) for layer in found.hidden_states]
    return states, through_head(model.network, found.last_hidden_state[row, last])


def pad_right(
    rows: Sequence[Sequence[int] | NDArray[np.int64]], device: torch.device, fill: int = 0
) -> Tensor:
    """Rows of token ids as one tensor [rows, longest]."""
    padded = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(padded).to(device)


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that end together: ids, mask (1 real, 0 padding) and positions, each [rows, longest]."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*[0] * (longest - len(row)), *row] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = (torch.arange(longest, device=device) >= (longest - lengths)[:, None]).long()
    return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)


def _trial_ids(network: PreTrainedModel) -> Tensor:
    vocabulary = network.config.get_text_config().vocab_size
    ids: Tensor = (torch.arange(8, device=network.device)[None] * 37 + 5) % vocabulary
    return ids


def soft_cap(network: PreTrainedModel) -> float | None:
    """What logits are capped at, softly: cap · tanh(z / cap); None where they are not."""
    cap = getattr(network.config.get_text_config(), "final_logit_softcapping", None)
    return None if cap is None else float(cap)


def wide(logits: Tensor) -> Tensor:
    """In float32, or in float64 if they are."""
    return logits if logits.dtype == torch.float64 else logits.float()


def through_head(network: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Float32 logits of hidden states, the network's soft cap applied."""
    head = network.get_output_embeddings()
    assert head is not None
    logits: Tensor = head(hidden)
    cap = soft_cap(network)
    return wide(logits if cap is None else torch.tanh(logits / cap) * cap)
