"""How much can be worked on at once: rows in batches of similar length, within a memory budget.

The budget is what the user named for the model (`Source.memory`, bytes beside the weights), or half
of what is free on a GPU, or 1 GB. Estimates are rough upper bounds from the network's shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from polydrift.engine.model import Model

_CPU_TOKENS = 1024  # read at once: more do not fit a processor's caches and are slower


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


def reading(
    model: Model, lengths: Sequence[int], held: float, *, lanes: int = 1
) -> list[list[int]]:
    """Batches for reading rows of these lengths once, `held` bytes kept for each token, by each of
    `lanes` adapters at once.
    """
    tokens = tokens_in_flight(model, work_per_token(model) + held)
    if model.device.type == "cpu":
        tokens = min(tokens, _CPU_TOKENS)
    return by_length(lengths, max(1, tokens // lanes), rows=len(lengths))


def tokens_in_flight(model: Model, per_token: float) -> int:
    """How many tokens of `per_token` bytes each may be worked on at once, one at least."""
    return max(1, int(budget(model) / per_token))


def budget(model: Model) -> float:
    """Bytes that work may take beside the weights."""
    if model.source.memory is not None:
        return model.source.memory
    if model.device.type != "cuda":
        return 1e9
    device = model.device
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return 0.5 * float(torch.cuda.mem_get_info(device)[0] + unused)


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


def training_per_token(model: Model, *, recompute: bool) -> float:
    """Bytes kept of one token from the way forward to the way back.

    recompute: only what enters each layer is kept, and the insides of one layer at a time.
    """
    config = model.network.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    size = torch.finfo(model.network.dtype).bits / 8
    layer = size * (14 * config.hidden_size + 5 * inner)
    if recompute:
        return float(config.num_hidden_layers * size * config.hidden_size + 2 * layer)
    return float(config.num_hidden_layers * layer)
