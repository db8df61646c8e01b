"""A translator's files: fetched, checked, and converted to CTranslate2's format once.

    >>> directory = fetch_translator("facebook/nllb-200-distilled-600M", "refs/pr/45")
    >>> conversion(directory, "nllb", Path("converted"), "int8").name
    '4c9f0d1b62aa7e05-int8'

Two kinds of directory are a translator: what transformers' save_pretrained writes (safetensors
only; pickle is never loaded), and what CTranslate2's converter writes (model.bin, which is no
pickle) with the model's tokenizer.json beside it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polydrift.engine.hub import fetch
from polydrift.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

TARGET = "eng_Latn"
CONVERTED = "model.bin"  # the file that makes a directory CTranslate2's
INSTALL = 'pip install "polydrift[translate]"'
_KIND = "m2m_100"  # NLLB-200's dense models


def fetch_translator(place: str | Path, revision: str | None) -> Path:
    """The directory of a translator: itself, or a snapshot of one on the Hugging Face hub."""
    directory = fetch(str(place), revision)
    ours = Path(place).expanduser().is_dir()
    if not ours and any(directory.glob("shared_vocabulary.*")) and not is_converted(directory):
        _fetch_converted(str(place), directory.name)
    return directory


def _fetch_converted(name: str, commit: str) -> None:
    """model.bin of a conversion on the hub, into the snapshot that holds the rest."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    try:
        hf_hub_download(name, CONVERTED, revision=commit)
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"{name}: {CONVERTED} cannot be fetched ({_short(error)}); try again, or download the "
            "repository and give the directory."
        ) from error


def conversions() -> Path:
    """Where models converted for CTranslate2 are kept, for all studies of this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "polydrift" / "ctranslate2"


def is_converted(directory: Path) -> bool:
    """Whether a directory is in CTranslate2's format."""
    return (directory / CONVERTED).is_file()


def check(directory: Path, name: str) -> dict[str, Any]:
    """The config of a transformers translator; ModelError for anything else."""
    from polydrift.engine import checks

    checks.is_model(directory, name, code=False)
    config = checks.read_json(directory / "config.json", name)
    if config.get("model_type") != _KIND:
        raise ModelError(
            f"{name} is a {config.get('model_type')}, not a translator of the NLLB-200 kind "
            f"({_KIND}); use one like facebook/nllb-200-distilled-600M, or translate with a "
            "vendor's model."
        )
    if not any(directory.glob("*.safetensors")):
        raise ModelError(
            f"{name} holds no safetensors weights (pickle files are never loaded); give a revision "
            "that has them, or a conversion to CTranslate2 (docs/translation.md says how)."
        )
    checks.has_weights(directory, name)
    return config


def tokenizer(directory: Path, name: str) -> Tokenizer:
    """The tokenizer of a translator. What it is given is text: no token that controls is read."""
    from tokenizers import Tokenizer

    path = directory / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"{name} holds no tokenizer.json; copy it there from the model that was converted."
        )
    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers (Rust) raises plain Exception
        raise ModelError(
            f"{name}: tokenizer.json cannot be read ({_short(error)}); get it anew."
        ) from error
    if found.token_to_id(TARGET) is None:
        raise ModelError(
            f"{name} has no token {TARGET} to translate into English; use a model of the NLLB-200 "
            "kind."
        )
    found.no_truncation()
    found.no_padding()
    found.encode_special_tokens = True
    return found


def network(directory: Path, name: str, **settings: Any) -> PreTrainedModel:
    """The transformers model of a directory that `check` passed, all its weights from files."""
    from transformers import AutoModelForSeq2SeqLM

    from polydrift.engine import checks
    from polydrift.engine.quiet import quiet

    with quiet():
        try:
            model, found = AutoModelForSeq2SeqLM.from_pretrained(
                directory,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **settings,
            )
        except Exception as error:  # shapes, headers, memory: each library has its own
            raise ModelError(
                f"{name} cannot be loaded ({_short(error)}); its weights do not fit its "
                "config.json, or its files are damaged: get the model anew."
            ) from error
    checks.is_complete(found["missing_keys"], name)
    return model.eval()


def conversion(directory: Path, name: str, into: Path, compute_type: str) -> Path:
    """The CTranslate2 directory of a transformers translator, made below `into` if not there.

    Its name comes from the files (path, size, time) and the compute type, so that a changed model
    is converted anew. It appears when it is complete.
    """
    sign = hashlib.sha256((directory / "config.json").read_bytes())
    for file in sorted(directory.glob("*.safetensors")):
        state = file.stat()
        sign.update(f"\0{file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode())
    made = into / f"{sign.hexdigest()[:16]}-{compute_type}"
    if is_converted(made):
        return made
    try:
        into.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=into, prefix="unfinished-"))
        try:
            _convert(directory, name, scratch, compute_type)
            if not is_converted(made):  # another process may have been faster
                scratch.rename(made)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise ModelError(
            f"{name} cannot be converted in {into} ({error.strerror or error}); make room, or "
            "name another directory for conversions."
        ) from error
    return made


def _convert(directory: Path, name: str, out: Path, compute_type: str) -> None:
    from ctranslate2.converters import (
        TransformersConverter,
    )

    from polydrift.engine.quiet import quiet

    class Converter(TransformersConverter):  # type: ignore[misc]
        """Its loader reads pickle too, and fills weights that are missing with random numbers."""

        def load_model(self, kind: object, where: object, **more: Any) -> PreTrainedModel:
            return network(directory, name, dtype=more.get("dtype"))

    with quiet():
        try:
            Converter(str(directory)).convert(str(out), quantization=compute_type, force=True)
        except (ValueError, RuntimeError, AttributeError, KeyError) as error:
            raise ModelError(
                f"{name} cannot be converted to CTranslate2 ({_short(error)}); translate with "
                'backend="transformers", or give a directory that is converted.'
            ) from error


def _short(error: BaseException) -> str:
    from polydrift.engine.checks import short

    return short(error)
