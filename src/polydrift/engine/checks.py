"""What is checked about a model's files before and after the libraries read them.

Libraries report most of these as long texts of one exception type, or not at all (weights that are
missing are filled with random numbers). Here each is a question to the files, answered in a
sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from polydrift.errors import ModelError

INDEX = "model.safetensors.index.json"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")


def short(error: BaseException) -> str:
    """The first line of an exception's text, at most 200 characters, with no full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(" .:")


def read_json(path: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of the model `name`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: {path.name} cannot be read ({error}); get it anew.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{name}: {path.name} holds no settings (a JSON object); get it anew.")
    return content


def is_model(directory: Path, name: str, code: bool) -> None:
    """There is a config.json of an architecture that transformers knows, or brings along."""
    if (directory / "adapter_config.json").is_file():
        raise ModelError(
            f"{name} holds an adapter, not a whole model; give its base as the model and this as "
            "the adapter."
        )
    if not (directory / "config.json").is_file():
        raise ModelError(
            f"{name} holds no config.json, so it is no Hugging Face model; mend the path, or save "
            "the model with save_pretrained."
        )
    config = read_json(directory / "config.json", name)
    kind = config.get("model_type")
    if kind in CONFIG_MAPPING:
        return
    if "auto_map" in config:
        if code:
            return
        raise ModelError(
            f"{name} brings Python code of its own, which is not run by default; if you trust it, "
            "set `trust_remote_code = true`."
        )
    raise ModelError(
        f"{name}: config.json names no architecture that this transformers knows (model_type "
        f"{kind!r}); upgrade transformers, or use another model."
    )


def can_generate(config: PreTrainedConfig, name: str) -> None:
    """The checkpoint is a decoder with a head that predicts the next token."""
    saved = list(config.architectures or [])
    causal: set[str] = set()
    for classes in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        causal.update([classes] if isinstance(classes, str) else classes)
    if "AutoModelForCausalLM" in getattr(config, "auto_map", {}):
        return
    known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not config.is_encoder_decoder
    if not known or (saved and not causal & set(saved)):
        raise ModelError(
            f"{name} is a {' or '.join(saved) or config.model_type}, which does not write text "
            "from left to right; use a causal language model (…ForCausalLM)."
        )


def has_tokenizer(directory: Path, name: str, code: bool) -> None:
    """There are a tokenizer's files; with code of its own it may keep them under any name."""
    if not code and not any((directory / file).is_file() for file in _TOKENIZER_FILES):
        raise ModelError(
            f"{name} holds no tokenizer; put its files there, or name another one "
            "(`tokenizer = ...`)."
        )


def has_weights(directory: Path, name: str) -> None:
    """There are safetensors files, all that the index names, each as long as its header says."""
    files = set(directory.glob("*.safetensors"))
    index = directory / INDEX
    if index.is_file():
        weight_map = read_json(index, name).get("weight_map", {})
        files = {directory / file for file in weight_map.values()}
    if not files:
        raise ModelError(
            f"{name} holds no safetensors weights (pickle files, .bin or .pt, are never loaded); "
            "convert them with save_pretrained, or use another revision."
        )
    for file in sorted(files):
        if not file.is_file():
            raise ModelError(f"{name}: {file.name} is missing; get the model anew.")
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise damaged(name, error, file.name) from error


def damaged(name: str, error: BaseException, file: str = "a safetensors file") -> ModelError:
    """The error of weights that cannot be read."""
    return ModelError(f"{name}: {file} is damaged ({short(error)}); get it anew.")


def is_complete(missing: Iterable[str], name: str) -> None:
    """All weights of the architecture were in the files (else they would be random numbers)."""
    lost = sorted(missing)
    if lost:
        raise ModelError(
            f"{name} lacks {len(lost)} of its weights ({lost[0]}{', …' if len(lost) > 1 else ''}); "
            "get the model anew."
        )


def fit_together(
    tokenizer: PreTrainedTokenizerBase, network: PreTrainedModel, tokenizer_name: str, name: str
) -> None:
    """Every token of the tokenizer has a row in the network's embeddings."""
    rows = network.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer of {tokenizer_name} has {len(tokenizer)} tokens and {name} knows only "
            f"{rows}; name the tokenizer that the model was trained with (`tokenizer = ...`)."
        )
