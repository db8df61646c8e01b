"""Send a published folder to the Hugging Face hub, with the user's own token.

    shown = push(Path("my-set"), "owner/my-set", dry_run=True)     # sends nothing
    shown.files                   # {"README.md": {"bytes": 5120, "sha256": "…"}, ...}
    push(Path("my-set"), "owner/my-set", private=True).url

The token is `token`, HF_TOKEN or that of `hf auth login`, and is never shown. What is sent is what
`publish` wrote: a folder with other files, with files changed since, or with rows that may not be
shared is refused before anything is sent. All files go in one commit, so that the hub holds the
whole set or none of it. Every failure is one DataError sentence.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polydrift.errors import DataError
from polydrift.parallel.card import TERMS
from polydrift.parallel.licences import require_shareable
from polydrift.parallel.publish import CARD, described

_DATA = re.compile(r"data/[a-z]{2,3}/(?:train|test)\.parquet")
_WRITTEN = re.compile(r"HTTP status (?:client|server) error \((\d{3}) ")
_TOKENS = "https://huggingface.co/settings/tokens"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was sent, or would be. files: path to {"bytes": size, "sha256": hex}. card: the text of
    README.md. url: of the data set's page; "" if nothing was sent.
    """

    files: Mapping[str, Mapping[str, Any]]
    card: str
    url: str = ""


def push(
    folder: Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = False,
    update: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """Make the data set `repo_id` ("owner/name") on the hub and send a published folder to it.

    private: only its owner sees it; of a set that is there already, nothing changes in this.
    update: the set may be there; what of its data is not in the folder is removed.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

    require_name(repo_id)
    content = read_folder(folder)
    files = {path: described(data) for path, data in content.items()}
    text = content[CARD].decode("utf-8")
    if dry_run:
        return Pushed(files, text)
    token = token or get_token()
    if not token:
        raise DataError(
            f"no token to publish {repo_id} with: set HF_TOKEN to one that may write ({_TOKENS}), "
            "or run `hf auth login`."
        )
    api = HfApi(token=token)
    with _told(repo_id, making=True):
        api.create_repo(repo_id, repo_type="dataset", private=private or None, exist_ok=update)
    with _told(repo_id, made=not update):
        stale = (
            [
                path
                for path in api.list_repo_files(repo_id, repo_type="dataset")
                if path.startswith("data/") and path not in content
            ]
            if update
            else []
        )
        api.create_commit(
            repo_id,
            [
                *(CommitOperationAdd(path, data) for path, data in content.items()),
                *(CommitOperationDelete(path) for path in stale),
            ],
            commit_message="Publish with polydrift",
            repo_type="dataset",
        )
    return Pushed(files, text, f"{api.endpoint}/datasets/{repo_id}")


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a published folder; DataError if it is none, or not as it was published."""
    try:
        inside = sorted(path for path in folder.rglob("*") if not path.is_dir())
        content = {path.relative_to(folder).as_posix(): path.read_bytes() for path in inside}
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error}).") from None
    data = [path for path in content if _DATA.fullmatch(path)]
    if CARD not in content or TERMS not in content or not data:
        raise DataError(
            f"{folder}: no published set ({CARD}, {TERMS} and data/): make it with `polydrift data "
            "publish` first."
        )
    other = sorted(content.keys() - {CARD, TERMS, *data})
    if other:
        raise DataError(f"{folder}: {other[0]!r} is no part of a published set: move it away.")
    text = content[CARD].decode("utf-8", "replace")
    for path in data:
        if described(content[path])["sha256"] not in text:
            raise DataError(
                f"{folder}: {path} is not the file that {CARD} describes: publish the set again."
            )
        require_shareable(_licences(content[path], folder / path), folder / path)
    return content


def _licences(parquet: bytes, where: Path) -> Counter[str]:
    """The licences that rows state."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(parquet), columns=["licence"])
    except pa.ArrowException:
        raise DataError(f"{where}: no Parquet file of rows: publish the set again.") from None
    return Counter(str(one or "") for one in table.column("licence").to_pylist())


def require_name(repo_id: str) -> None:
    """DataError unless this can be a data set's name on the hub."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented

    try:
        validate_repo_id(repo_id)
        fits = "/" in repo_id
    except HFValidationError:
        fits = False
    if not fits:
        raise DataError(
            f"{repo_id!r} is no name of a data set on the hub: write owner/name, in letters, "
            "digits, '-', '_' and '.'."
        )


@contextmanager
def _told(repo_id: str, *, making: bool = False, made: bool = False) -> Iterator[None]:
    """Whatever goes wrong inside, as one DataError.

    making: the set is made inside; made: it was made just before, and nothing is in it yet.
    """
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: httpx's
        HTTPError,
        OfflineModeIsEnabled,
    )

    then = " The set stands there empty: run the same with --update." if made else ""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise DataError(
            f"{repo_id} cannot be published while the hub is switched off (HF_HUB_OFFLINE): unset "
            "it, or publish to a folder only."
        ) from error
    except (HTTPError, OSError, RuntimeError, ValueError, LookupError) as error:
        status = _status(error)
        if status is not None:
            raise DataError(_refused(repo_id, status, making) + then) from error
        if isinstance(error, ValueError | LookupError):
            raise DataError(
                f"the hub answers for {repo_id} in a way that is not understood: try again later, "
                f"or upload the folder at https://huggingface.co/new-dataset.{then}"
            ) from error
        raise DataError(
            f"the hub cannot be reached to publish {repo_id}: check the network and run the same "
            f"again.{then}"
        ) from error


def _status(error: BaseException | None) -> int | None:
    """The HTTP status behind an error, however it is wrapped; None if the hub did not answer.

    hf_xet, which sends the data, has no error for it and only writes it.
    """
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return int(error.response.status_code)
        written = _WRITTEN.search(str(error))
        if written:
            return int(written[1])
        error = error.__cause__
    return None


def _refused(repo_id: str, status: int, making: bool) -> str:
    owner = repo_id.split("/")[0]
    if status == 401:
        return (
            f"the hub does not take the token for {repo_id}: set HF_TOKEN to a valid one that may "
            f"write ({_TOKENS}), or run `hf auth login`."
        )
    if status == 403:
        return (
            f"the token may not write to {repo_id}: give it the right to write for {owner} "
            f"({_TOKENS}), or choose an owner that it may write for."
        )
    if status == 404:
        return f"{repo_id} is not there for this token: mend the name, or use a token of {owner}."
    if status == 409 and making:
        return (
            f"{repo_id} is there already: choose another name, or say --update to replace its data."
        )
    return f"the hub answers HTTP {status} for {repo_id}: try again later."
