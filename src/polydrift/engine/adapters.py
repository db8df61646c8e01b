"""A network that computes with a LoRA adapter for a while, and is exactly itself again afterwards.

    >>> with adapted(model, Path("adapter")):
    ...     tuned = answer(model, prompts, decoding, seeds=seeds)

Any adapter in PEFT's format will do. Two routes, chosen by what is exact:

- A plain LoRA on linear layers of a float32 network is added to their weights,
  W + scaling · B A, because every later step then costs what the base costs. The base's weights
  are put aside, not subtracted out again, so they come back to the bit.
- Everything else (bfloat16, where adding would round small changes away; DoRA; ranks by pattern;
  retrained embeddings; quantised layers) is computed by PEFT's own layers beside the base's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import cast_adapter_dtype
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from polydrift.engine.checks import read_json, short
from polydrift.engine.model import Model
from polydrift.engine.quiet import quiet
from polydrift.errors import ModelError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."  # what PEFT puts before every name in the file

# Settings that change nothing about what a finished plain LoRA computes.
_HARMLESS = {
    "alpha_pattern",  # looked at below, like rank_pattern
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
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


@contextmanager
def adapted(model: Model, adapter: Path | None) -> Iterator[Model]:
    """Inside, `model` computes with the adapter in this directory; None is the base itself."""
    if adapter is None:
        yield model
        return
    config, tensors = read_adapter(adapter)
    tensors = _without_base(model.network, config, tensors, adapter)
    with restored(model.network):
        updates = _plain(model.network, config, tensors)
        if updates is None:
            _inject(model.network, config, tensors, adapter)
        else:
            for linear, (a, b, scaling) in updates.items():
                change = scaling * (b @ a)
                linear.weight = nn.Parameter(linear.weight + change, requires_grad=False)
        yield model


@contextmanager
def restored(network: PreTrainedModel) -> Iterator[None]:
    """Undo what is done to the network inside: layers put in, weights exchanged, modes set.

    Weights may be replaced by others inside, not changed in place.
    """
    before = [(m, dict(m._modules), dict(m._parameters)) for m in network.modules()]
    try:
        yield
    finally:
        for module, children, parameters in before:
            module._modules = children
            module._parameters = parameters
        if "peft_config" in network.__dict__:
            del network.peft_config
        network.requires_grad_(False).eval()


def read_adapter(directory: Path) -> tuple[LoraConfig, dict[str, Tensor]]:
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
    return config, tensors


def _without_base(
    network: PreTrainedModel, config: LoraConfig, tensors: Mapping[str, Tensor], adapter: Path
) -> dict[str, Tensor]:
    """The tensors by the network's own names, without copies of the base's weights.

    PEFT saves the embeddings too when they, or a head tied to them, have a LoRA.
    """
    base = dict(network.named_parameters(remove_duplicate=False))
    kept: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = key.removeprefix(PREFIX)
        weight = base.get(name.replace(".base_layer.", "."))
        owner = name.rpartition(".")[0]
        if weight is None or any(owner.endswith(m) for m in config.modules_to_save or ()):
            kept[name] = tensor
        elif weight.shape != tensor.shape or not torch.equal(weight, tensor.to(weight)):
            raise ModelError(
                f"{adapter} brings a {name} that is not its base's; give the base that it was "
                "trained on, or merge the two into one model first."
            )
    return kept


def _plain(
    network: PreTrainedModel, config: LoraConfig, tensors: Mapping[str, Tensor]
) -> dict[nn.Linear, tuple[Tensor, Tensor, float]] | None:
    """{layer: (A [r, in], B [out, r], scaling)} if adding them to the weights is exact, else None.

    scaling = alpha / r, or alpha / √r in a rank-stabilised LoRA (Kalajdzievski, arXiv 2312.03732).
    """
    usual = LoraConfig()
    for field in dataclasses.fields(config):
        if field.name in _HARMLESS or field.name == "peft_type":
            continue
        if getattr(config, field.name) != getattr(usual, field.name, None):
            return None
    if config.rank_pattern or config.alpha_pattern:
        return None
    scaling = config.lora_alpha / (config.r**0.5 if config.use_rslora else config.r)
    updates: dict[nn.Linear, tuple[Tensor, Tensor, float]] = {}
    for key in (key for key in tensors if key.endswith(".lora_A.weight")):
        other = key.replace(".lora_A.", ".lora_B.")
        try:
            layer = network.get_submodule(key.removesuffix(".lora_A.weight"))
        except AttributeError:
            return None
        if type(layer) is not nn.Linear or layer.weight.dtype not in (torch.float32, torch.float64):
            return None
        if other not in tensors:
            return None
        a, b = (tensors[k].to(layer.weight) for k in (key, other))
        rank = config.r
        if a.shape != (rank, layer.in_features) or b.shape != (layer.out_features, rank):
            return None
        updates[layer] = (a, b, scaling)
    return updates if 2 * len(updates) == len(tensors) else None


def _inject(
    network: PreTrainedModel, config: LoraConfig, tensors: dict[str, Tensor], adapter: Path
) -> None:
    """Put PEFT's layers around the network's, with the adapter's weights inside."""
    try:
        with quiet():
            inject_adapter_in_model(config, network)
            cast_adapter_dtype(network, adapter_name="default")
            loaded = set_peft_model_state_dict(network, tensors)
    except (RuntimeError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"{adapter} does not fit its base ({short(error)}); give the base that it was trained "
            "on."
        ) from error
    lost = [key for key in loaded.missing_keys if ".lora_" in key]
    wrong = lost or list(loaded.unexpected_keys)
    if wrong:
        raise ModelError(
            f"{adapter} does not fit its base ({wrong[0]} is "
            f"{'missing from the adapter' if lost else 'not in the base'}); give the base that it "
            "was trained on."
        )
    network.requires_grad_(False).eval()
