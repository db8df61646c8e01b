"""LoRA adapters: PEFT's files on disk, and what of them a linear layer needs.

    >>> adapter = read_adapter(Path("adapter"))
    >>> plain = plain_lora(adapter, model.network)     # or the reason why it is none
    >>> plain["model.layers.0.self_attn.q_proj"]
    Product(A=[8, 1024], B=[2048, 8])

An adapter is *plain* if all it does is to add B A x to what linear layers make of x: any rank,
alpha and subset of layers, rank-stabilised or by pattern. Plain ones are stacked or added to the
weights (`routes`); all others (DoRA, retrained embeddings, biases) are left to PEFT's own layers.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from polydrift.engine.checks import read_json, short
from polydrift.engine.quiet import quiet
from polydrift.errors import ModelError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."  # what PEFT puts before every name in the file

# Settings that change nothing about what a finished plain LoRA computes, or that are looked at.
_HARMLESS = {
    "alpha_pattern",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "peft_type",
    "peft_version",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "use_rslora",
}
# Ways to begin a LoRA that leave the base's weights alone.
_INITS = (True, False, None, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class Adapter:
    """An adapter as read from disk. name: its directory. tensors: by the network's own names."""

    name: str
    config: LoraConfig
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Product:
    """What a plain LoRA adds to one linear layer: B A x. A: [rank, in]. B: [out, rank], with the
    adapter's scaling in it. Both in the adapter's own dtype.
    """

    A: Tensor
    B: Tensor


def read_adapter(directory: Path) -> Adapter:
    """The settings and tensors of a LoRA adapter; ModelError says what is wrong with them."""
    name = str(directory)
    for file in (CONFIG, WEIGHTS):
        if not (directory / file).is_file():
            raise ModelError(
                f"{name} holds no {file}, so it is no adapter in PEFT's safetensors format; mend "
                "the path, or save it with save_pretrained."
            )
    settings = read_json(directory / CONFIG, name)
    if settings.get("peft_type") != "LORA":
        raise ModelError(
            f"{name} is an adapter of type {settings.get('peft_type')!r}; only LoRA can be used."
        )
    try:
        with quiet():
            config = PeftConfig.from_pretrained(name)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(
            f"{name}: {CONFIG} cannot be used ({short(error)}); get the adapter anew."
        ) from error
    assert isinstance(config, LoraConfig)
    if config.init_lora_weights not in _INITS:
        raise ModelError(
            f"{name} was begun by changing its base's weights (init_lora_weights = "
            f"{config.init_lora_weights!r}); convert it to a plain LoRA as PEFT's guide describes."
        )
    try:
        tensors = load_file(directory / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{name}: {WEIGHTS} is damaged ({short(error)}); get the adapter anew."
        ) from error
    if not any(".lora_" in key for key in tensors):
        raise ModelError(f"{name}: {WEIGHTS} holds no LoRA weights; get the adapter anew.")
    broken = next((key for key, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if broken:
        raise ModelError(
            f"{name}: {broken.removeprefix(PREFIX)} holds numbers that are not finite (the "
            "training diverged, perhaps); tune it again with a lower learning rate."
        )
    return Adapter(name, config, {k.removeprefix(PREFIX): t for k, t in tensors.items()})


def fitted(adapter: Adapter, network: PreTrainedModel) -> Adapter:
    """The adapter without copies of the base's weights; ModelError if they are another base's.

    PEFT saves the embeddings too when they, or a head tied to them, have a LoRA.
    """
    base = dict(network.named_parameters(remove_duplicate=False))
    kept: dict[str, Tensor] = {}
    for name, tensor in adapter.tensors.items():
        weight = base.get(name.replace(".base_layer.", "."))
        owner = name.rpartition(".")[0]
        if weight is None or any(owner.endswith(m) for m in adapter.config.modules_to_save or ()):
            kept[name] = tensor
        elif weight.shape != tensor.shape or not torch.equal(weight, tensor.to(weight)):
            raise ModelError(
                f"{adapter.name} brings a {name} that is not its base's; give the base that it was "
                "trained on, or merge the two into one model first."
            )
    return dataclasses.replace(adapter, tensors=kept)


def plain_lora(adapter: Adapter, network: PreTrainedModel) -> dict[str, Product] | str:
    """{linear layer: its product} if the adapter is plain, else why it is not.

    scaling = alpha / r, or alpha / √r in a rank-stabilised LoRA (Kalajdzievski, arXiv 2312.03732).
    """
    config, tensors, usual = adapter.config, adapter.tensors, LoraConfig()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in _HARMLESS and value != getattr(usual, field.name, None):
            return f"it sets {field.name} = {value!r}"
    products: dict[str, Product] = {}
    for key in (key for key in tensors if key.endswith(".lora_A.weight")):
        name = key.removesuffix(".lora_A.weight")
        other = f"{name}.lora_B.weight"
        try:
            layer = network.get_submodule(name)
        except AttributeError:
            return f"its {name} is not in the base"
        if type(layer) is not nn.Linear:
            return f"its {name} is on a {type(layer).__name__}, no torch.nn.Linear"
        if other not in tensors:
            return f"{other} is missing from the adapter"
        rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern, name), config.r)
        alpha = config.alpha_pattern.get(
            get_pattern_key(config.alpha_pattern, name), config.lora_alpha
        )
        a, b = tensors[key], tensors[other]
        if a.shape != (rank, layer.in_features) or b.shape != (layer.out_features, rank):
            return f"its {name} has another shape than the base's"
        products[name] = Product(a, b * (alpha / (rank**0.5 if config.use_rslora else rank)))
    if 2 * len(products) != len(tensors):
        odd = next(key for key in tensors if not key.endswith((".lora_A.weight", ".lora_B.weight")))
        return f"it brings {odd}"
    return products


def save_adapter(tensors: Mapping[str, Tensor], config: Mapping[str, Any], directory: Path) -> None:
    """Write PEFT's two files; equal adapters, equal bytes. tensors: by PEFT's names."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), directory / WEIGHTS, metadata={"format": "pt"})
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
