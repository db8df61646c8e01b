"""What a loaded model is, for every room that computes with one; `models.load` makes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from polydrift.engine.chat import Chat


@dataclass(frozen=True)
class Source:
    """Where a model comes from and how it is computed.

    model: hub name or directory. revision: branch, tag or commit on the hub. tokenizer: where it
    comes from, if not from `model`, and its revision. dtype: "auto", "float32", "bfloat16" or
    "float16". device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:N" or "mps". device_map:
    accelerate's word for spreading one model over several devices ("auto", "balanced", ...),
    instead of `device`. memory: bytes that work may take beside the weights (None: see `memory`).
    around: what stands before and after a prompt, for a model that is not spoken to in the form of
    its chat template (see `completion`).
    """

    model: str
    revision: str | None = None
    tokenizer: str | None = None
    tokenizer_revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    device_map: str | None = None
    trust_remote_code: bool = False
    memory: float | None = None
    around: tuple[str, str] | None = None


@dataclass
class Model:
    """A frozen network, its tokenizer, and how to speak to it.

    device: where token ids go. context: the most positions it was made for, None if it has no
    limit. vocabulary: number of logits per position. splits: see `forward`.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    chat: Chat
    source: Source
    device: torch.device
    context: int | None
    vocabulary: int
    splits: bool
