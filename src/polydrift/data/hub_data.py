"""Datasets of the Hugging Face hub, as files on this disk: what `data = "hub:owner/name"` means.

    dataset = "hub:sorry-bench/sorry-bench-202503"   # its one data file, or its question.jsonl
    dataset = "hub:owner/name/da/train.parquet"      # that file
    dataset = "hub:owner/name@v1.1"                  # a branch, tag or commit
    commit = dataset_commit(dataset)                 # which commit that is; goes into keys
    path = dataset_file(dataset, commit)             # in the Hugging Face cache

The user's own token is sent (HF_TOKEN, or that of `hf auth login`), and never shown. One file is
fetched, no code, and what is in the cache is found without a network. Every failure is one
DataError sentence. What the file holds is `suites.read_suite`'s matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from polydrift.errors import DataError

PREFIX = "hub:"
FIRST_CHOICE = "question.jsonl"  # where several are: prompts as FastChat and SORRY-Bench keep them
_DATA = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_ABOUT = ("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json")
_FORM = re.compile(
    r"hub:(?P<name>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>[^@]+))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKENS = "https://huggingface.co/settings/tokens"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset of the hub. file: path inside it, None: its one data file. revision: None: main."""

    name: str
    file: str | None = None
    revision: str | None = None

    @property
    def link(self) -> str:
        """Its page."""
        return f"https://huggingface.co/datasets/{self.name}"


def parse(reference: str) -> Dataset:
    """The dataset that a reference names; DataError if it is of another form."""
    found = _FORM.fullmatch(reference)
    if not found:
        raise DataError(
            f"{reference!r} is no dataset of the hub: write hub:owner/name, and if need be "
            "/FILE and @REVISION after it."
        )
    return Dataset(found["name"], found["file"], found["revision"])


def dataset_commit(reference: str) -> str:
    """The commit of the hub that a reference stands for: 40 hexadecimal digits.

    Fetches the data file, so that the commit can be found in the cache when the hub is out of
    reach. A reference that names a commit is not looked up.
    """
    dataset = parse(reference)
    if dataset.revision and _COMMIT.fullmatch(dataset.revision):
        return dataset.revision
    folders = _fetch(dataset, dataset.revision).parents
    return next(folder.name for folder in folders if folder.parent.name == "snapshots")


def dataset_file(reference: str, commit: str) -> Path:
    """The data file of a dataset at a commit, in the cache of this machine."""
    return _fetch(parse(reference), commit)


def _fetch(dataset: Dataset, revision: str | None) -> Path:
    """The data file in the cache, fetched if need be.

    The hub is asked what there is before a file is fetched: it says at once when it is out of
    reach, where a download is tried for half a minute. Then, what the cache has is used.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled  # type: ignore[attr-defined]  # as below

    cached = _cached(dataset, revision or "main")
    here = cached / dataset.file if cached and dataset.file else None
    if here and here.is_file() and _COMMIT.fullmatch(revision or ""):
        return here
    with _told(dataset, revision):
        try:
            found = HfApi().dataset_info(dataset.name, revision=revision)
        except (HTTPError, OfflineModeIsEnabled):
            if not cached or (here and not here.is_file()):
                raise
            files = [path for path in cached.rglob("*") if path.is_file()]
            return here or cached / _choose(
                dataset, [path.relative_to(cached).as_posix() for path in files]
            )
        file = _choose(dataset, [file.rfilename for file in found.siblings or ()])
        return Path(hf_hub_download(dataset.name, file, repo_type="dataset", revision=revision))


def _cached(dataset: Dataset, revision: str) -> Path | None:
    """The directory of a revision in the cache, if any file of it is there."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).expanduser()
    here = cache / f"datasets--{dataset.name.replace('/', '--')}"
    pointer = here / "refs" / revision
    commit = pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else revision
    snapshot = here / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def _choose(dataset: Dataset, files: Sequence[str]) -> str:
    """The data file among the files of a dataset; DataError unless it is clear which."""
    data = sorted(file for file in files if _is_data(file))
    if dataset.file and dataset.file in files:
        return dataset.file
    if dataset.file and data:
        raise DataError(
            f"{dataset.name} has no file {dataset.file!r}; its files of rows are {_some(data)}."
        )
    if FIRST_CHOICE in data:
        return FIRST_CHOICE
    if not data:
        raise DataError(
            f"{dataset.name} holds no file of rows ({', '.join(_DATA)}): look at "
            f"{dataset.link}/tree/main, or give a file of your own."
        )
    if len(data) > 1:
        raise DataError(
            f"{dataset.name} holds {len(data)} files of rows ({_some(data)}): say which, "
            f"{PREFIX}{dataset.name}/FILE."
        )
    return data[0]


def _is_data(file: str) -> bool:
    name = Path(file).name
    return (
        name not in _ABOUT
        and not any(part.startswith(".") for part in Path(file).parts)
        and Path(name.removesuffix(".gz")).suffix.lower() in _DATA
    )


def _some(files: Sequence[str]) -> str:
    return ", ".join(files[:8]) + (f" and {len(files) - 8} more" if len(files) > 8 else "")


@contextmanager
def _told(dataset: Dataset, revision: str | None) -> Iterator[None]:
    """Whatever goes wrong inside, as one DataError."""
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

    name, link = dataset.name, dataset.link
    try:
        yield
    except HFValidationError:
        raise DataError(f"{name} is no name of a dataset (owner/name); mend it.") from None
    except GatedRepoError as error:  # before RepositoryNotFoundError, of which it is a kind
        raise DataError(_gated(dataset, error.response.status_code)) from error
    except RepositoryNotFoundError as error:
        raise DataError(
            f"{name}: no such dataset at {link} that you may see; mend the name, or set HF_TOKEN "
            "if it is private."
        ) from error
    except RevisionNotFoundError as error:
        raise DataError(
            f"{name} has no revision {revision!r}; choose a branch, tag or commit of "
            f"{link}/commits/main."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError) as error:
        answered = next(
            (e for e in (error, error.__cause__) if isinstance(e, HfHubHTTPError)), None
        )
        if answered is not None:
            raise DataError(_refused(dataset, answered.response.status_code)) from error
        raise DataError(
            f"{name} is not in the local cache, and the hub cannot be reached or is switched off "
            f"(HF_HUB_OFFLINE): go online once, or download {link} and give the file."
        ) from error
    except OSError as error:
        raise DataError(
            f"{name} cannot be kept in the local cache ({error.strerror or 'disk error'}); make "
            "room, or set HF_HOME to a directory that can be written."
        ) from error


def _gated(dataset: Dataset, status: int) -> str:
    if status == 401:
        return (
            f"{dataset.name} is gated and no valid token was sent: accept its licence at "
            f"{dataset.link}, and set HF_TOKEN to a token of that account ({_TOKENS})."
        )
    return (
        f"{dataset.name} is gated and your account has no access yet: accept its licence at "
        f"{dataset.link} (some wait for its owners), with the account whose token is in HF_TOKEN."
    )


def _refused(dataset: Dataset, status: int) -> str:
    if status in (401, 403):
        return (
            f"the hub refuses access to {dataset.name} (HTTP {status}): accept its licence at "
            f"{dataset.link}, if it has one, and set HF_TOKEN to a token of that account."
        )
    return (
        f"the hub answers HTTP {status} for {dataset.name}: try again later, or download "
        f"{dataset.link} and give the file."
    )
