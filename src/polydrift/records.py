"""What an artifact is, in writing: its key, which names it, and its record, which vouches for it.

A key is the hash of everything that decides a result and of nothing else:

    key = step_key(
        "answer", "1",
        {"temperature": 0.0, "language": "da"},      # every parameter
        {"tune": "9f86d0…"},                         # keys of the artifacts that it reads
        {"suite": file_digest(suite)},               # digests of the raw files that it reads
    )

Equal keys mean equal work, on any machine and in any directory; a parameter that cannot be written
down in exactly one way is refused rather than hashed by accident. The record lies beside the
outputs as `record.json`: the parts of the key, so that a changed key can be explained part by part,
and the size and digest of every output, so that damage is found.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from polydrift.errors import DataError, StoreError


def canonical(value: Any) -> bytes:
    """The one spelling of `value`: JSON, keys sorted, no white space, UTF-8, floats by `repr`.

    Tuples are written as lists; 1, 1.0 and True stay three different things. Raises TypeError,
    saying where inside the value and what to write instead, for all that has no such spelling: NaN
    and infinities, keys that are not strings, sets, paths, bytes, arrays and other objects.
    """
    plain = _plain(value, "")
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def digest(value: Any) -> str:
    """SHA-256, in hex, of the canonical spelling of `value`."""
    return hashlib.sha256(canonical(value)).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256, in hex, of a file's bytes; DataError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error


def directory_digest(path: Path) -> str:
    """sha256 over the names and contents of all files below a directory."""
    inside = sorted(one for one in path.rglob("*") if one.is_file())
    return digest({one.relative_to(path).as_posix(): file_digest(one) for one in inside})


def step_key(
    kind: str,
    version: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, str],
    files: Mapping[str, str],
) -> str:
    """The key of a step's result: SHA-256, in hex, over all five canonically.

    kind, version: the step and the version of its code, raised whenever its results may change.
    inputs: keys of the artifacts that it reads, by role. files: digests of raw files, by role.
    """
    parts = {"kind": kind, "version": version, "params": params, "inputs": inputs, "files": files}
    return digest(parts)


@dataclass(frozen=True, slots=True)
class Record:
    """What `record.json` holds.

    kind, label, key, version, params, inputs, files: as they went into the key (the label did not).
    outputs: {path inside the artifact: {"bytes": size, "sha256": hex}}. environment: versions of
    polydrift, Python and libraries, device. started: ISO 8601, UTC. seconds: from start to finish.
    notes: whatever JSON the step left.
    """

    kind: str
    label: str
    key: str
    version: str
    params: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, str]
    outputs: dict[str, dict[str, Any]]
    environment: dict[str, Any]
    started: str
    seconds: float
    notes: dict[str, Any]

    def expected_key(self) -> str:
        """The key that the recorded parts give; anything but `key` means damage."""
        return step_key(self.kind, self.version, self.params, self.inputs, self.files)

    def to_json(self) -> bytes:
        """The text of `record.json`, indented for people; TypeError as in `canonical`."""
        plain = _plain({name: getattr(self, name) for name in _FIELDS}, "")
        return (json.dumps(plain, indent=2, ensure_ascii=False) + "\n").encode("utf-8")

    @classmethod
    def from_json(cls, data: bytes, where: str | Path) -> Record:
        """Read `record.json`; StoreError names `where` and what is wrong with it.

        Strict: every field is there and of its type, and there are no others.
        """
        try:
            fields = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
        except ValueError as error:
            raise StoreError(f"{where} is damaged: it is no complete JSON ({error})") from error
        problem = _problem(fields)
        if problem is not None:
            raise StoreError(f"{where} is damaged: {problem}")
        return cls(**fields)


# Each field of a record, and what JSON gives for it.
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "label": str,
    "key": str,
    "version": str,
    "params": dict,
    "inputs": dict,
    "files": dict,
    "outputs": dict,
    "environment": dict,
    "started": str,
    "seconds": (int, float),
    "notes": dict,
}


def _problem(fields: Any) -> str | None:
    """What keeps `fields`, just read from JSON, from being a record; None if nothing does."""
    if not isinstance(fields, dict):
        return "it is no JSON object"
    for name, kind in _FIELDS.items():
        if name not in fields:
            return f'the field "{name}" is missing'
        if not isinstance(fields[name], kind) or isinstance(fields[name], bool):
            return f'the field "{name}" holds {json.dumps(fields[name])[:40]}'
    if unknown := sorted(fields.keys() - _FIELDS.keys()):
        return f'the field "{unknown[0]}" is unknown'
    for name in ("inputs", "files"):
        for role, value in fields[name].items():
            if not isinstance(value, str):
                return f'"{role}" in "{name}" is no string'
    for name, output in fields["outputs"].items():
        if (
            not isinstance(output, dict)
            or output.keys() != {"bytes", "sha256"}
            or type(output["bytes"]) is not int
            or type(output["sha256"]) is not str
        ):
            return f'the output "{name}" has no proper size and digest'
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _plain(value: Any, path: str) -> Any:
    """`value` in dicts, lists, strings, numbers, booleans and None; TypeError naming `path`."""
    if value is None or type(value) in (bool, int):
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise _refusal(path, f"is {value}", "None, or leave it out")
        return value
    if type(value) is str:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            instead = "valid Unicode text"
            raise _refusal(path, "is text with half a surrogate pair", instead) from error
        return value
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise _refusal(path, f"has the key {key!r}", "keys that are strings")
            _plain(key, f"{path}.{key!a}")
        return {key: _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    raise _refusal(path, f"is a {type(value).__name__}", _instead(value))


def _refusal(path: str, what: str, instead: str) -> TypeError:
    """The error for a part of a value that has no one spelling."""
    return TypeError(f"{path.lstrip('.') or 'the value'} {what}: write {instead}")


def _instead(value: Any) -> str:
    """What to write instead of an object of this type."""
    if isinstance(value, set | frozenset):
        return "a sorted list"
    if isinstance(value, PurePath):
        return "the digest of what lies there (file_digest); a path is no content"
    if isinstance(value, bytes | bytearray):
        return "its SHA-256 in hex"
    if isinstance(value, enum.Enum):
        return "its .value"
    if isinstance(value, bool | int | float | str):
        return f"a plain one, {type(value).__mro__[-2].__name__}(…)"
    if dataclasses.is_dataclass(value):
        return "dataclasses.asdict(…) of it"
    if hasattr(value, "tolist"):
        return "its .tolist()"
    return "strings, numbers, booleans, None, and lists and dicts of these"


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path} cannot be read ({error.strerror}): check the path and its permissions"
