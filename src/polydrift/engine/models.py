"""Load any Hugging Face causal language model: a hub name or a directory, or one clear sentence.

    >>> model = load(Source("google/gemma-3-1b-it"))
    >>> model.chat.prompt("Hello")

The network comes back frozen and in evaluation mode. Weights are read from safetensors only, never
from pickle, and Python code that comes with a model runs only if `trust_remote_code` says so.

`dtype="auto"` computes in the checkpoint's own type, with one exception: a float16 checkpoint is
computed in float32, which holds all its values. Half precision overflows in some families (Gemma-3
among them), loses small updates in tuning, and is slow on processors. For large ones, say
"bfloat16".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from polydrift.engine import checks
from polydrift.engine.chat import Chat
from polydrift.engine.completion import Completion
from polydrift.engine.forward import decodes, splits
from polydrift.engine.hub import fetch
from polydrift.engine.model import Model, Source
from polydrift.engine.quiet import quiet
from polydrift.errors import ModelError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(source: Source) -> Model:
    """The model of `source`, ready to compute; ModelError says what is wrong and how to mend it."""
    device = _device(source)
    directory = fetch(source.model, source.revision, code=source.trust_remote_code)
    with quiet():
        checks.is_model(directory, source.model, source.trust_remote_code)
        config = _config(directory, source)
        checks.can_generate(config, source.model)
        dtype = _dtype(source, config, device)
        # the tokenizer first: it is small, and what is wrong with it shows at once
        tokenizer = _tokenizer(directory, source)
        network = _network(directory, source, config, dtype, device)
    text_config = config.get_text_config()
    stops = _stop_ids(network)
    checks.fit_together(tokenizer, network, source.tokenizer or source.model, source.model)
    if not decodes(network):
        raise ModelError(
            f"{source.model} keeps no cache of keys and values that rows of a batch could share "
            "(a recurrent network, perhaps); use a transformer."
        )
    return Model(
        network=network,
        tokenizer=tokenizer,
        chat=Completion(tokenizer, source.around, stop_ids=stops)
        if source.around
        else Chat(tokenizer, stop_ids=stops),
        source=source,
        device=network.device,
        context=getattr(text_config, "max_position_embeddings", None),
        vocabulary=text_config.vocab_size,
        splits=splits(network),
    )


def _config(directory: Path, source: Source) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(
            directory, trust_remote_code=source.trust_remote_code, local_files_only=True
        )
    except Exception as error:  # whatever a config class raises on values that make no sense
        raise ModelError(
            f"{source.model}: config.json cannot be used ({checks.short(error)}); get the model "
            "anew."
        ) from error


def _tokenizer(directory: Path, source: Source) -> PreTrainedTokenizerBase:
    name, where = source.model, directory
    if source.tokenizer is not None:
        name, where = (
            source.tokenizer,
            fetch(source.tokenizer, source.tokenizer_revision, code=source.trust_remote_code),
        )
    checks.has_tokenizer(where, name, source.trust_remote_code)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            where, trust_remote_code=source.trust_remote_code, local_files_only=True
        )
    except Exception as error:  # tokenizers (Rust) raises plain Exception
        raise ModelError(
            f"{name}: the tokenizer cannot be read ({checks.short(error)}); get its files anew, or "
            "name another one (`tokenizer = ...`)."
        ) from error
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    return tokenizer


def _network(
    directory: Path,
    source: Source,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    device: torch.device,
) -> PreTrainedModel:
    checks.has_weights(directory, source.model)
    place: dict[str, Any] = {} if source.device_map is None else {"device_map": source.device_map}
    try:
        network, found = AutoModelForCausalLM.from_pretrained(
            directory,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=source.trust_remote_code,
            output_loading_info=True,
            **place,
        )
        if not place:
            network = network.to(device)
    except SafetensorError as error:
        raise checks.damaged(source.model, error) from error
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{source.model} does not fit into the memory of {device}; use a smaller dtype, or "
            "spread it with `device_map`."
        ) from error
    except ImportError as error:
        raise ModelError(
            f"{source.model} needs a package that is not installed ({checks.short(error)})."
        ) from error
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(
            f"{source.model} cannot be loaded ({checks.short(error)}); its weights do not fit its "
            "config.json, or its files are damaged: get the model anew."
        ) from error
    checks.is_complete(found["missing_keys"], source.model)
    assert isinstance(network, PreTrainedModel)
    return network.requires_grad_(False).eval()


def _dtype(source: Source, config: PreTrainedConfig, device: torch.device) -> torch.dtype:
    if source.dtype == "auto":
        stored = getattr(config.get_text_config(), "dtype", None) or config.dtype or torch.float32
        stored = getattr(torch, stored) if isinstance(stored, str) else stored
        return torch.float32 if stored == torch.float16 else stored
    if source.dtype not in DTYPES:
        raise ModelError(
            f"{source.model}: unknown dtype {source.dtype!r}; use auto, {', '.join(DTYPES)}."
        )
    if source.dtype == "float16" and device.type == "cpu":
        raise ModelError(
            f"{source.model}: float16 is for GPUs; use float32 or bfloat16 on a processor."
        )
    if source.dtype == "float16" and config.model_type.startswith("gemma3"):
        raise ModelError(
            f"{source.model}: Gemma-3's activations overflow in float16; use bfloat16 or float32."
        )
    return DTYPES[source.dtype]


def _device(source: Source) -> torch.device:
    name = source.device
    if name == "auto":
        found = "cuda" if torch.cuda.is_available() else None
        return torch.device(found or ("mps" if torch.backends.mps.is_available() else "cpu"))
    if source.device_map is not None:
        raise ModelError(
            f"{source.model}: `device_map` spreads a model over devices by itself; leave "
            f"`device = {name!r}` out."
        )
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ModelError(
            f"{source.model}: unknown device {name!r}; use auto, cpu, cuda, cuda:N or mps."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"{source.model}: there is no CUDA device {name!r} here "
            f"({torch.cuda.device_count()} found); use another one, cpu or auto."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError(f"{source.model}: there is no MPS device here; use cpu or auto.")
    return device


def _stop_ids(network: PreTrainedModel) -> list[int]:
    settings = network.generation_config
    named = None if settings is None else settings.eos_token_id
    if named is None:
        return []
    return [int(i) for i in (named if isinstance(named, list) else [named])]
