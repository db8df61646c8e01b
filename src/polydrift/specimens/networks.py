"""The three architectures, as small as they go: the classes are those of the real families.

    family   class                 what is its own
    llama    LlamaForCausalLM      as many key/value heads as heads
    qwen3    Qwen3ForCausalLM      half as many key/value heads, norms on queries and keys
    gemma3   Gemma3ForCausalLM     one key/value head, sliding windows, norms around each block

The full size has about 1.1 million parameters, half of them the embeddings, which are tied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from polydrift.seeds import named_seed


@dataclass(frozen=True, slots=True)
class Size:
    """hidden: width of the residual stream; heads × head_width = hidden."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


SIZES = {"full": Size(128, 3, 4, 352), "small": Size(64, 2, 2, 176)}
WINDOW = 64  # of gemma3's sliding layers, in tokens
LONGEST = 256  # positions


def build(family: str, vocabulary: int, size: Size, seed: int) -> PreTrainedModel:
    """A network with random weights drawn from `seed`; the global generator is left alone.

    Token ids: 0 pads, 3 ends a turn (`tokenizer.SPECIAL`).
    """
    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": size.hidden,
        "intermediate_size": size.feed_forward,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "head_dim": size.head_width,
        "max_position_embeddings": LONGEST,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 3,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(named_seed("specimen-weights", family, seed))
        match family:
            case "llama":
                network = LlamaForCausalLM(LlamaConfig(num_key_value_heads=size.heads, **common))
            case "qwen3":
                halved = max(1, size.heads // 2)
                network = Qwen3ForCausalLM(Qwen3Config(num_key_value_heads=halved, **common))
            case "gemma3":
                sliding = ["sliding_attention"] * (size.layers - 1)
                network = Gemma3ForCausalLM(
                    Gemma3TextConfig(
                        num_key_value_heads=1,
                        query_pre_attn_scalar=size.head_width,
                        sliding_window=WINDOW,
                        layer_types=[*sliding, "full_attention"],
                        **common,
                    )
                )
            case _:
                raise ValueError(f"no family {family!r}")
    assert isinstance(network, PreTrainedModel)
    return network
