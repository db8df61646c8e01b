"""How adapters are tuned, but for the tuning: settings, step sizes, order of rows, first weights.

Everything here is a function of the settings and a seed, so that another program can do the same
tuning with the same numbers; the tests do it with PEFT.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig
from torch import Tensor, nn

from polydrift.engine.adapters import PREFIX
from polydrift.engine.forward import decoder
from polydrift.engine.model import Model
from polydrift.errors import ModelError

_GROUPED = 16  # batches whose rows are sorted by length together


@dataclass(frozen=True)
class TuneSettings:
    """How to tune; the defaults are the paper's where it states them.

    targets: names of the linear layers that get a LoRA, or "all-linear" (all but the head).
    max_length: longer rows are cut there, in tokens. loss: "text" learns the whole conversation,
    "response" only the answer; the end of the turn is part of both.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] | Literal["all-linear"] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    learning_rate: float = 5e-5
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = 5
    epochs: int = 1
    batch_size: int = 8
    max_length: int = 2048
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    loss: Literal["text", "response"] = "text"

    @property
    def scaling(self) -> float:
        """What B A x is multiplied by."""
        return self.alpha / self.rank


def batches(lengths: Sequence[int], settings: TuneSettings, seed: int) -> Iterator[list[int]]:
    """The rows of every step: each epoch visits every row once, in an order of its own.

    Rows are shuffled, sorted by length within stretches of 16 batches (little padding, every batch
    still a random sample), cut into batches, and the batches shuffled.
    """
    size = settings.batch_size
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings.epochs):
        shuffled = torch.randperm(len(lengths), generator=generator).tolist()
        cut: list[list[int]] = []
        for start in range(0, len(shuffled), size * _GROUPED):
            stretch = sorted(shuffled[start : start + size * _GROUPED], key=lambda i: lengths[i])
            cut += [stretch[i : i + size] for i in range(0, len(stretch), size)]
        for index in torch.randperm(len(cut), generator=generator).tolist():
            yield cut[index]


def step_size(settings: TuneSettings, step: int, steps: int) -> float:
    """The share of the learning rate that step 0, 1, … of `steps` uses."""
    warmup = settings.warmup_steps
    if step < warmup:
        return step / warmup
    if settings.schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, steps - warmup)
    return 1.0 - done if settings.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


def targeted(model: Model, settings: TuneSettings) -> list[str]:
    """The full names of the linear layers that get a LoRA: in the decoder (not in the part of
    Gemma-3 that looks at images), in the network's order. ModelError if one is not to be had.
    """
    stack, head = decoder(model.network), model.network.get_output_embeddings()
    prefix = _prefix(model)
    linear = {
        name: module
        for name, module in model.network.named_modules()
        if isinstance(module, nn.Linear)
    }
    inside = {
        name.rpartition(".")[2]
        for name, module in stack.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    if settings.targets == "all-linear" and not inside:
        raise ModelError(
            f"{model.source.model} has no linear layers (torch.nn.Linear) that a LoRA could be "
            "put on; tune another model."
        )
    wanted = inside if settings.targets == "all-linear" else set(settings.targets)
    short = {name: name.rpartition(".")[2] for name in linear}
    if missing := wanted - set(short.values()):
        raise ModelError(
            f"{model.source.model} has no linear layers called {', '.join(sorted(missing))}; "
            f"it has {', '.join(sorted(set(short.values())))}."
        )
    chosen = [n for n in linear if short[n] in wanted and (not prefix or n.startswith(prefix))]
    for name in chosen:
        if type(linear[name]) is not nn.Linear or linear[name].weight.is_meta:
            raise ModelError(
                f"{model.source.model} keeps {name} as {type(linear[name]).__name__} on "
                f"{linear[name].weight.device}, where it cannot be tuned; load it unquantised and "
                "whole, or choose other targets."
            )
    return chosen


def initial(
    model: Model, names: Sequence[str], settings: TuneSettings, seed: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """{layer: (A, B)} before the first step: A uniform in ±1/√in, B zero, as PEFT draws them.

    Drawn on the processor in float32, layer after layer, so they are the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name in names:
        linear = model.network.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        bound = linear.in_features**-0.5
        a = torch.empty(settings.rank, linear.in_features)
        a.uniform_(-bound, bound, generator=generator)
        found[name] = (a, torch.zeros(linear.out_features, settings.rank))
    return found


def adapter_json(model: Model, names: Sequence[str], settings: TuneSettings) -> dict[str, Any]:
    """adapter_config.json, as plain JSON values that are the same on every machine."""
    on_hub = not Path(model.source.model).expanduser().is_dir()
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_pattern(model, names),
        task_type="CAUSAL_LM",
    )
    plain = {
        key: sorted(value) if isinstance(value, set) else value
        for key, value in config.to_dict().items()
    }
    return {
        **plain,
        "base_model_name_or_path": model.source.model if on_hub else None,
        "revision": model.source.revision if on_hub else None,
        "inference_mode": True,
    }


def peft_names(tensors: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """{layer: (A, B)} by the names of PEFT's file."""
    return {
        f"{PREFIX}{name}.lora_{letter}.weight": tensor
        for name, pair in sorted(tensors.items())
        for letter, tensor in zip("AB", pair, strict=True)
    }


def _prefix(model: Model) -> str:
    """What the names of the decoder's layers begin with."""
    stack = decoder(model.network)
    name = next(name for name, module in model.network.named_modules() if module is stack)
    return f"{name}." if name else ""


def _pattern(model: Model, names: Sequence[str]) -> list[str] | str:
    """What PEFT is told to target: the layers' last names, unless layers outside the decoder have
    them too; then a pattern that keeps to the decoder.
    """
    last = sorted({name.rpartition(".")[2] for name in names})
    everywhere = {
        name
        for name, module in model.network.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in last
    }
    if everywhere == set(names):
        return last
    return rf"{re.escape(_prefix(model))}.*\.({'|'.join(last)})"
