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

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache, PreTrainedModel

from polydrift.engine.model import Model

Progress = Callable[[float, str], None]
"""What a long call reports: the share done (0 to 1), and a few words."""

IGNORED = -100
_CHUNK = 2**26  # logits held at once when a loss is computed: 256 MB in float32
_CPU_TOKENS = 1024  # read at once: more do not fit a processor's caches and are slower


def silent(done: float, text: str) -> None:
    """The progress of a call that nobody watches."""


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
            parts = _head(
                network, decoder(network)(input_ids=ids, use_cache=False).last_hidden_state
            )
            whole = _wide(network(input_ids=ids, use_cache=False).logits)
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
            alone = _wide(network(input_ids=ids, use_cache=False).logits)[0, -1]
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
    error = _wide(found.logits)[0, -1] - alone
    return bool(error.norm() < 0.2 * (alone - alone.mean()).norm())  # bfloat16 is within 0.02


def logits_at(model: Model, ids: Tensor, chosen: Tensor) -> Tensor:
    """Float32 logits [n, vocabulary] at the chosen positions of right-padded rows.

    ids: [rows, length]. chosen: [rows, length], bool, n of them true; the order is row by row.
    """
    if not model.splits:
        whole: Tensor = model.network(input_ids=ids, use_cache=False).logits
        return _wide(whole[chosen])
    hidden = decoder(model.network)(input_ids=ids, use_cache=False).last_hidden_state
    return _head(model.network, hidden[chosen])


def next_logits(model: Model, **inputs: Any) -> Tensor:
    """Float32 logits [rows, vocabulary] after the last position; inputs as for `forward`."""
    if not model.splits:
        whole: Tensor = model.network(**inputs).logits
        return _wide(whole[:, -1])
    return _head(model.network, decoder(model.network)(**inputs).last_hidden_state[:, -1])


def last_states(model: Model, ids: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """What every layer holds at one position of each row, and the float32 logits there.

    ids: [rows, length], right-padded. last: [rows], a position of each row. Returns hidden states
    [layers + 1, rows, width] (embeddings first, after the final norm last) and [rows, vocabulary].
    """
    row = torch.arange(len(ids), device=ids.device)
    inputs = {"input_ids": ids, "use_cache": False, "output_hidden_states": True}
    if not model.splits:
        whole = model.network(**inputs)
        states = torch.stack([layer[row, last] for layer in whole.hidden_states])
        return states, _wide(whole.logits[row, last])
    found = decoder(model.network)(**inputs)
    states = torch.stack([layer[row, last].to(ids.device) for layer in found.hidden_states])
    return states, _head(model.network, found.last_hidden_state[row, last])


def mean_loss(model: Model, ids: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy (nats) of predicting each label from the tokens before it; a scalar.

    ids, labels: [rows, length], right-padded; labels are ids, or `IGNORED` where nothing is
    learned. The mean is over all labels of the batch; NaN when there is none.
    """
    targets = labels[:, 1:]
    kept = targets != IGNORED
    wanted = targets[kept]
    if not model.splits:
        logits = model.network(input_ids=ids, use_cache=False).logits[:, :-1][kept]
        return F.cross_entropy(_wide(logits), wanted)
    hidden = decoder(model.network)(input_ids=ids, use_cache=False).last_hidden_state
    hidden = hidden[:, :-1][kept]
    size = max(1, _CHUNK // model.vocabulary)
    if len(hidden) <= size:
        return F.cross_entropy(_head(model.network, hidden), wanted)

    def total(part: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(_head(model.network, part), target, reduction="sum")

    sums = [  # each chunk's logits are computed again when its gradient is wanted
        checkpoint(total, part, target, use_reentrant=False)
        for part, target in zip(torch.split(hidden, size), torch.split(wanted, size), strict=True)
    ]
    return torch.stack(sums).sum() / len(hidden)


def pad_right(rows: Sequence[Sequence[int]], device: torch.device, fill: int = 0) -> Tensor:
    """Rows of token ids as one tensor [rows, longest]."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows], device=device)


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that end together: ids, mask (1 real, 0 padding) and positions, each [rows, longest]."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*[0] * (longest - len(row)), *row] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = (torch.arange(longest, device=device) >= (longest - lengths)[:, None]).long()
    return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)


def by_length(lengths: Sequence[int], tokens: int, rows: int) -> list[list[int]]:
    """Indices of all rows in batches of similar length, longest first.

    A batch holds at most `rows` rows and, padding included, `tokens` tokens (one row at least).
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        full = not batches or len(batches[-1]) >= rows
        if full or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > tokens:
            batches.append([])
        batches[-1].append(index)
    return batches


def reading(model: Model, lengths: Sequence[int], held: float) -> list[list[int]]:
    """Batches for reading rows of these lengths once, `held` bytes kept for each token."""
    tokens = tokens_in_flight(model, work_per_token(model) + held)
    if model.device.type == "cpu":
        tokens = min(tokens, _CPU_TOKENS)
    return by_length(lengths, tokens, rows=len(lengths))


def tokens_in_flight(model: Model, per_token: float) -> int:
    """How many tokens of `per_token` bytes each may be worked on at once: half of a GPU's memory
    that is free, or 1 GB.
    """
    free = 2e9
    if model.device.type == "cuda":
        unused = torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(
            model.device
        )
        free = torch.cuda.mem_get_info(model.device)[0] + unused
    return max(1, int(0.5 * free / per_token))


def work_per_token(model: Model) -> float:
    """Bytes that one layer needs for one token while it works; a rough upper bound."""
    config = model.network.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return float(torch.finfo(model.network.dtype).bits / 8 * (4 * inner + 8 * config.hidden_size))


def cache_per_token(model: Model) -> float:
    """Bytes of keys and values that all layers keep of one token."""
    config = model.network.config.get_text_config()
    queries = getattr(config, "num_attention_heads", None) or 1
    heads = getattr(config, "num_key_value_heads", None) or queries
    width = getattr(config, "head_dim", None) or config.hidden_size // queries
    size = torch.finfo(model.network.dtype).bits / 8
    return float(size * 2 * config.num_hidden_layers * heads * width)


def _trial_ids(network: PreTrainedModel) -> Tensor:
    vocabulary = network.config.get_text_config().vocab_size
    ids: Tensor = (torch.arange(8, device=network.device)[None] * 37 + 5) % vocabulary
    return ids


def _head(network: PreTrainedModel, hidden: Tensor) -> Tensor:
    head = network.get_output_embeddings()
    assert head is not None
    logits: Tensor = head(hidden)
    cap = getattr(network.config.get_text_config(), "final_logit_softcapping", None)
    if cap is not None:
        logits = torch.tanh(logits / cap) * cap
    return _wide(logits)


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
