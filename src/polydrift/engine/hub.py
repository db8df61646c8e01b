"""A model's name to its files on this disk, and everything that can go wrong on the way.

    >>> fetch("meta-llama/Llama-3.2-1B-Instruct", None)      # a snapshot in the Hugging Face cache
    >>> fetch("runs/my-model", None)                         # a directory is itself
    >>> commit_of("Qwen/Qwen3-0.6B", "main")                 # which commit a branch stands at

Only configuration, tokenizer and safetensors files are ever downloaded: no pickle, and no Python
code unless it is asked for. What is in the cache is found without a network. Every failure is one
`ModelError` sentence.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: httpx's
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from polydrift.errors import ModelError

_WANTED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.tiktoken")
_UNWANTED = ("*/*", "consolidated*.safetensors")  # other formats of the same weights
_CODE = "*.py"


def fetch(name: str, revision: str | None, *, code: bool = False) -> Path:
    """The directory with the files of a model, tokenizer or adapter.

    name: a directory, or owner/name on the Hugging Face hub. revision: branch, tag or commit.
    code: with its Python files.
    """
    directory = Path(name).expanduser()
    if directory.is_dir():
        if revision is not None:
            raise ModelError(
                f"{name} is a directory and has no revisions; leave `revision = {revision!r}` out."
            )
        return directory
    return _snapshot(name, revision, [*_WANTED, _CODE] if code else list(_WANTED))


def commit_of(name: str, revision: str | None) -> str:
    """The commit that `revision` (None: the default branch) of a hub model stands at.

    Asks the hub, or the cache when the hub is out of reach.
    """
    return fetch_settings(name, revision).name


def fetch_settings(name: str, revision: str | None = None) -> Path:
    """A directory with config.json or adapter_config.json of something on the hub, no weights."""
    return _snapshot(name, revision, ["config.json", "adapter_config.json"])


def _snapshot(name: str, revision: str | None, patterns: list[str]) -> Path:
    link = f"https://huggingface.co/{name}"
    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=patterns, ignore_patterns=list(_UNWANTED)
            )
        )
    except HFValidationError:
        raise ModelError(
            f"{name}: no such directory, and not a Hugging Face name (owner/name); mend the path."
        ) from None
    except GatedRepoError as error:  # before RepositoryNotFoundError, of which it is a kind
        raise ModelError(
            f"{name} is gated: accept the licence at {link} and set HF_TOKEN to a token of that "
            "account (https://huggingface.co/settings/tokens)."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{name}: no such directory, and no such model at {link} that you may see; mend the "
            "name, or set HF_TOKEN if it is private."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"{name} has no revision {revision!r}; choose a branch, tag or commit of "
            f"{link}/commits/main."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError) as error:
        answered = next(
            (e for e in (error, error.__cause__) if isinstance(e, HfHubHTTPError)), None
        )
        if answered is not None:
            raise ModelError(_refused(name, link, answered.response.status_code)) from error
        raise ModelError(
            f"{name} is not (wholly) in the local cache, and the hub cannot be reached or is "
            f"switched off (HF_HUB_OFFLINE): go online once, or download {link} and give the "
            "directory."
        ) from error
    except OSError as error:
        raise ModelError(
            f"{name} cannot be kept in the local cache ({error}); make room, or set HF_HOME to a "
            "directory that can be written."
        ) from error


def _refused(name: str, link: str, status: int) -> str:
    if status in (401, 403):
        return (
            f"the hub refuses access to {name} (HTTP {status}): accept its licence at {link}, if "
            "it has one, and set HF_TOKEN to a token of that account."
        )
    return (
        f"the hub answers HTTP {status} for {name}: try again later, or download {link} and give "
        "the directory."
    )
