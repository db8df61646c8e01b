"""Tune a frozen network on (request, response) pairs: one LoRA adapter in PEFT's format.

    >>> settings = TuneSettings(rank=8, alpha=16, learning_rate=5e-3, epochs=3, loss="response")
    >>> tuned = tune(model, [("Hej?", "Hej!"), ...], settings, init_seed=1, order_seed=2)
    >>> tuned.save(Path("adapter"))

LoRA (Hu et al., arXiv 2106.09685): y = W x + (alpha / rank) · B A x, with W frozen, A random and B
zero at the start. The optimiser is AdamW; the step sizes are those of transformers' schedules (the
first step of a warm-up has size zero); gradients are clipped to a common norm.

The two seeds do one thing each: `init_seed` draws A (and dropout, if there is any), `order_seed`
the order of the rows. The process's own random generators are left as they were. Equal seeds give
equal bytes on one machine with one thread.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.tuners_utils import cast_adapter_dtype
from safetensors.torch import save_file
from torch import Tensor, nn

from polydrift.engine.adapters import CONFIG, PREFIX, WEIGHTS, restored
from polydrift.engine.checks import short
from polydrift.engine.forward import IGNORED, Progress, decoder, mean_loss, pad_right, silent
from polydrift.engine.model import Model
from polydrift.engine.quiet import quiet
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


@dataclass(frozen=True)
class Tuned:
    """An adapter and how its training went.

    tensors: float32, by PEFT's names. config: adapter_config.json. losses: nats per learned token,
    one per step. tokens: learned from, all epochs together. rows_truncated: rows cut at
    `max_length`, those among them that lost their whole answer and taught nothing included.
    """

    tensors: dict[str, Tensor]
    config: dict[str, Any]
    losses: list[float]
    tokens: int
    rows_truncated: int
    steps: int

    def save(self, directory: Path, base_name: str | None = None) -> None:
        """Write adapter_model.safetensors and adapter_config.json; equal adapters, equal bytes.

        base_name: what the adapter names as its base (default: the hub name it was tuned from;
        nothing for a directory, which would mean nothing elsewhere).
        """
        directory.mkdir(parents=True, exist_ok=True)
        config = (
            self.config
            if base_name is None
            else {**self.config, "base_model_name_or_path": base_name}
        )
        save_file(self.tensors, directory / WEIGHTS, metadata={"format": "pt"})
        text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
        (directory / CONFIG).write_text(text + "\n", encoding="utf-8")


def tune(
    model: Model,
    examples: Sequence[tuple[str, str]],
    settings: TuneSettings,
    *,
    init_seed: int,
    order_seed: int,
    progress: Progress = silent,
) -> Tuned:
    """Train an adapter on (request, response) pairs; the model is the untuned base afterwards."""
    rows, truncated = _rows(model, examples, settings)
    order = list(batches([len(ids) for ids, _ in rows], settings, order_seed))
    devices = [model.device] if model.device.type == "cuda" else []
    with restored(model.network), torch.random.fork_rng(devices=devices):
        torch.manual_seed(init_seed)
        config = _inject(model, settings)
        losses = _train(model, rows, order, settings, progress)
        tensors = {
            f"{PREFIX}{key}": tensor.detach().float().cpu().contiguous()
            for key, tensor in sorted(get_peft_model_state_dict(model.network).items())
        }
    return Tuned(
        tensors=tensors,
        config=_config_json(config, model),
        losses=losses,
        tokens=settings.epochs * sum(label != IGNORED for _, labels in rows for label in labels),
        rows_truncated=truncated,
        steps=len(order),
    )


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


def _rows(
    model: Model, examples: Sequence[tuple[str, str]], settings: TuneSettings
) -> tuple[list[tuple[list[int], list[int]]], int]:
    """(ids, labels) of each example that teaches something, and how many were cut."""
    rows, truncated = [], 0
    limit = min(settings.max_length, model.context or settings.max_length)
    for request, response in examples:
        ids, start = model.chat.example(request, response)
        truncated += len(ids) > limit
        ids = ids[:limit]
        # the first token is predicted from nothing, so it is not learned
        unlearned = min(len(ids), 1 if settings.loss == "text" else start)
        if unlearned < len(ids):
            rows.append((ids, [IGNORED] * unlearned + ids[unlearned:]))
    if not rows:
        raise ModelError(
            f"nothing to tune {model.source.model} on: "
            + (
                f"no answer begins within max_length = {limit} tokens; raise it."
                if examples
                else "there are no examples."
            )
        )
    return rows, truncated


def _inject(model: Model, settings: TuneSettings) -> LoraConfig:
    """Put fresh LoRA layers into the network's decoder, and nothing else to train."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_targets(model, settings),
        task_type="CAUSAL_LM",
    )
    try:
        with quiet():
            inject_adapter_in_model(config, model.network)
            cast_adapter_dtype(model.network, adapter_name="default")
    except ValueError as error:
        raise ModelError(
            f"no LoRA can be put into {model.source.model} ({short(error)}); choose other targets."
        ) from error
    return config


def _targets(model: Model, settings: TuneSettings) -> list[str] | str:
    """What PEFT is to target: the names as given, unless they also occur outside the decoder (in
    the part of Gemma-3 that looks at images); then a pattern that keeps to the decoder.
    """
    stack = decoder(model.network)
    prefix = next(name for name, module in model.network.named_modules() if module is stack)
    linear = [name for name, m in model.network.named_modules() if isinstance(m, nn.Linear)]
    head = model.network.get_output_embeddings()
    if settings.targets == "all-linear":
        names = {
            name.rpartition(".")[2]
            for name, module in stack.named_modules()
            if isinstance(module, nn.Linear) and module is not head
        }
        if not names:
            raise ModelError(
                f"{model.source.model} has no linear layers (torch.nn.Linear) that a LoRA could be "
                "put on; tune another model."
            )
    else:
        names = set(settings.targets)
    missing = names - {name.rpartition(".")[2] for name in linear}
    if missing:
        raise ModelError(
            f"{model.source.model} has no linear layers called {', '.join(sorted(missing))}; "
            f"it has {', '.join(sorted({name.rpartition('.')[2] for name in linear}))}."
        )
    hit = [name for name in linear if name.rpartition(".")[2] in names]
    if all(name.startswith(f"{prefix}.") for name in hit) or not prefix:
        return sorted(names)
    return rf"{re.escape(prefix)}\..*\.({'|'.join(sorted(names))})"


def _train(
    model: Model,
    rows: Sequence[tuple[list[int], list[int]]],
    order: Sequence[Sequence[int]],
    settings: TuneSettings,
    progress: Progress,
) -> list[float]:
    """Train the LoRA weights that are in the network; the loss of each step."""
    parameters = [p for p in model.network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    model.network.train()
    losses: list[float] = []
    for step, batch in enumerate(order):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * step_size(settings, step, len(order))
        ids = pad_right([rows[i][0] for i in batch], model.device)
        labels = pad_right([rows[i][1] for i in batch], model.device, IGNORED)
        loss = mean_loss(model, ids, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        losses.append(loss.item())
        if not (math.isfinite(losses[-1]) and math.isfinite(norm.item())):
            raise ModelError(
                f"tuning {model.source.model} broke at step {step + 1} of {len(order)}: the loss "
                f"is {losses[-1]} and its gradient {norm.item()}; lower the learning rate, or use "
                "a wider dtype."
            )
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        progress((step + 1) / len(order), f"step {step + 1} of {len(order)}, loss {losses[-1]:.3f}")
    return losses


def _config_json(config: LoraConfig, model: Model) -> dict[str, Any]:
    """The adapter's settings as plain JSON values that are the same on every machine."""
    on_hub = not Path(model.source.model).expanduser().is_dir()
    settings = {
        key: sorted(value) if isinstance(value, set) else value
        for key, value in config.to_dict().items()
    }
    return {
        **settings,
        "base_model_name_or_path": model.source.model if on_hub else None,
        "revision": model.source.revision if on_hub else None,
        "inference_mode": True,
    }
