"""The results directory: every finished step, found again by its key.

    ROOT/.lock                                        who works here now
    ROOT/artifacts/tune/llama-0_da-9f86d081884c/      an artifact: KIND/LABEL-KEY
                   ├── adapter.safetensors            its outputs
                   └── record.json                    its record; "done" means that it is there
    ROOT/artifacts/.partial/9f86d081884c-4711-a1b2/   being made, by process 4711
    ROOT/artifacts/.unfinished/tune-9f86d081884c/     what a killed step can go on from
    ROOT/artifacts/.damaged/                          set aside, for people to look at

    store = Store(root)
    if not store.has(address):
        with store.create(address, version="1", params=params, inputs={}, files={},
                          environment={}) as work:
            (work.dir / "losses.json").write_text("[2.0, 1.5]")
            work.notes["steps"] = 2
    losses = store.open(address) / "losses.json"

An artifact is made in `.partial`, flushed to the disk file by file, its record last, and only then
renamed into its place: so what has a record is whole, at whatever instant a process is killed or
the power goes. Nothing is ever deleted but partial work whose process is dead or that is finished;
whatever turns out damaged is moved aside.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polydrift.disk import (
    directories,
    exclusively,
    flush_directory,
    flush_tree,
    full_disk,
    hold,
    make_directory,
    plainly,
    remove_if_abandoned,
    sentence,
    write_atomically,
)
from polydrift.errors import StoreError
from polydrift.records import Record, step_key

__all__ = ["Address", "Store", "Work", "write_atomically"]

RECORD = "record.json"
_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
_MEND = "run the study again: it is set aside and made anew"


@dataclass(frozen=True, slots=True)
class Address:
    """Where an artifact belongs.

    kind: the step, such as "tune". label: for people, any text. key: of `records.step_key`.
    """

    kind: str
    label: str
    key: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.kind):
            raise ValueError(f"the kind {self.kind!r} is no lower-case name")
        if not re.fullmatch(r"[0-9a-f]{64}", self.key):
            raise ValueError(f"the key {self.key!r} is no SHA-256 in hex")

    @property
    def name(self) -> str:
        """The directory's name, at most 120 ASCII characters safe on every file system."""
        safe = re.sub(r"[^A-Za-z0-9.+=_-]+", "_", self.label).lstrip(".-") or "_"
        return f"{safe[:107]}-{self.key[:12]}"

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(slots=True)
class Work:
    """An artifact in the making: write its outputs below `dir`, and any JSON into `notes`.

    seconds: how long it took, when that is not the time from start to finish.
    """

    dir: Path
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None


class Store:
    """The artifacts below ROOT. Looking needs no write permission; making an object makes no file.

    Every method raises StoreError, one sentence, where the disk refuses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._artifacts = root / "artifacts"
        self._partial = self._artifacts / ".partial"
        self._unfinished = self._artifacts / ".unfinished"
        self._damaged = self._artifacts / ".damaged"

    def path(self, address: Address) -> Path:
        """Where the artifact lies (perhaps under an older label: the key decides), or would lie."""
        place = self._artifacts / address.kind / address.name
        with plainly(place.parent):
            if not (place / RECORD).exists():
                for entry in directories(place.parent):
                    if entry.name.endswith(f"-{address.key[:12]}"):
                        return Path(entry.path)
        return place

    def has(self, address: Address) -> bool:
        """Whether the artifact is finished; its outputs are not looked at."""
        with plainly(self.path(address)):
            return (self.path(address) / RECORD).exists()

    def present(self) -> frozenset[tuple[str, str]]:
        """(kind, name) of all finished artifacts; their outputs are not looked at."""
        found = set()
        with plainly(self._artifacts):
            for kind in directories(self._artifacts):
                for artifact in directories(Path(kind.path)):
                    if os.path.exists(f"{artifact.path}/{RECORD}"):  # noqa: PTH110 (10,000 of them)
                        found.add((kind.name, artifact.name))
        return frozenset(found)

    def record(self, address: Address) -> Record:
        """The artifact's record; StoreError if the artifact is absent or its record damaged."""
        path = self.path(address) / RECORD
        with plainly(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError as error:
                raise StoreError(
                    f"{address} is not in {self.root}: run the study to make it"
                ) from error
        return Record.from_json(data, path)

    def check(self, address: Address, *, deep: bool = False) -> str | None:
        """A sentence naming what is wrong with an artifact, or None.

        Looks at the record and the size of every output; deep: at every byte of them, too.
        """
        try:
            record = self.record(address)
        except StoreError as error:
            if isinstance(error.__cause__, OSError) and self.has(address):
                raise  # it is there and cannot be read: no damage
            return str(error)
        if record.key != address.key or record.expected_key() != record.key:
            return f"{self.path(address) / RECORD} is damaged: its parts do not give its key"
        for name, output in record.outputs.items():
            path = self.path(address) / name
            with plainly(path):
                try:
                    size = path.stat().st_size
                    wrong = size != output["bytes"]
                    if wrong:
                        return f"{path} is damaged: {size} bytes instead of {output['bytes']}"
                    if deep and _sha256(path) != output["sha256"]:
                        return f"{path} is damaged: its bytes are not those that were written"
                except (FileNotFoundError, NotADirectoryError):
                    return f"{path} is damaged: the file is missing"
        return None

    def open(self, address: Address) -> Path:
        """The artifact's directory, every byte of it checked; StoreError names what is damaged."""
        problem = self.check(address, deep=True)
        if problem is not None:
            raise StoreError(f"{problem}; {_MEND}" if self.has(address) else problem)
        return self.path(address)

    def take(self, address: Address) -> Path:
        """`open`, and what is damaged is set aside, so that running again makes it anew."""
        try:
            return self.open(address)
        except StoreError:
            if self.has(address) and self.check(address, deep=True):
                self.set_aside(address)
            raise

    @contextmanager
    def create(
        self,
        address: Address,
        *,
        version: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        files: Mapping[str, str],
        environment: Mapping[str, Any],
    ) -> Iterator[Work]:
        """Make an artifact: write into `work.dir`; when the block ends, it is in its place.

        If the block raises, the work is thrown away and the exception goes on (a full disk as
        StoreError). If another process has put the same artifact there in the meantime, ours is
        dropped; if a damaged one lies there, it is set aside. ValueError unless the address's key
        is that of the given parts.
        """
        if address.key != step_key(address.kind, version, params, inputs, files):
            raise ValueError(f"the key of {address} is not that of its parts")
        started, clock = datetime.now(UTC), time.perf_counter()
        with self._working(address) as work:
            try:
                yield work
            except Exception as error:
                if full := full_disk(error):
                    raise StoreError(sentence(full, work.dir)) from error
                raise
            if (work.dir / RECORD).exists():
                raise StoreError(f"{work.dir / RECORD} cannot be an output: its name is taken")
            with plainly(work.dir):
                record = Record(
                    kind=address.kind,
                    label=address.label,
                    key=address.key,
                    version=version,
                    params=dict(params),
                    inputs=dict(inputs),
                    files=dict(files),
                    outputs=flush_tree(work.dir),
                    environment=dict(environment),
                    started=started.isoformat(timespec="seconds"),
                    seconds=round(
                        time.perf_counter() - clock if work.seconds is None else work.seconds, 3
                    ),
                    notes=work.notes,
                )
                with (work.dir / RECORD).open("xb") as file:
                    file.write(record.to_json())
                    file.flush()
                    os.fsync(file.fileno())
                flush_directory(work.dir)
                self._put_in_place(work.dir, address)
        shutil.rmtree(self.unfinished(address), ignore_errors=True)

    def unfinished(self, address: Address) -> Path:
        """A directory (perhaps not there) where a step may keep what it can go on from if it is
        killed; gone when the artifact is finished.
        """
        return self._unfinished / f"{address.kind}-{address.key[:12]}"

    def forget_unfinished(self, but: Collection[Address]) -> None:
        """Remove what killed steps left, except of these; call it under the lock."""
        kept = {self.unfinished(address).name for address in but}
        with plainly(self._unfinished):
            for entry in directories(self._unfinished):
                if entry.name not in kept:
                    shutil.rmtree(entry.path, ignore_errors=True)

    def set_aside(self, address: Address) -> Path:
        """Move a damaged artifact out of the way; returns where it lies now."""
        with plainly(self.path(address)):
            return self._move_aside(address)

    @contextmanager
    def lock(self, *, wait: Callable[[str], None]) -> Iterator[None]:
        """Work here alone, among all processes that take this lock; makes ROOT.

        If another holds it, `wait` is called once with a sentence saying who, and we block until it
        is free. The kernel frees it when a process dies. Not to be taken twice by one process.
        """
        with exclusively(self.root / ".lock", wait=wait):
            yield

    def sweep(self) -> None:
        """Remove what dead processes left half made; call it under the lock."""
        with plainly(self._partial):
            for partial in directories(self._partial):
                remove_if_abandoned(Path(partial.path))
            for pattern in (".*.partial", "*/.*.partial"):  # of write_atomically
                for file in self.root.glob(pattern):
                    if file != self._partial:
                        remove_if_abandoned(file)

    @contextmanager
    def _working(self, address: Address) -> Iterator[Work]:
        """A fresh directory in `.partial`, held until the block ends and removed if still there."""
        handle = None
        while handle is None:  # None: a sweep found it before we held it
            name = f"{address.key[:12]}-{os.getpid()}-{secrets.token_hex(4)}"
            directory = self._partial / name
            with plainly(directory):
                make_directory(self._partial)
                directory.mkdir()
                handle = hold(directory)
        try:
            yield Work(directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)  # what resists is for the next sweep
            os.close(handle)

    def _put_in_place(self, directory: Path, address: Address) -> None:
        """Rename finished work into its place, unless the same is there; OSError as it comes."""
        place = self.path(address)
        make_directory(place.parent)
        while True:
            try:
                directory.rename(place)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
            else:
                flush_directory(place.parent)
                return
            if self.check(address, deep=True) is None:
                return
            with suppress(FileNotFoundError):  # somebody else has just done so
                self._move_aside(address)

    def _move_aside(self, address: Address) -> Path:
        """Move what lies at `address` into `.damaged`; OSError as it comes."""
        aside = self._damaged / f"{address.kind}-{address.name}-{secrets.token_hex(4)}"
        make_directory(self._damaged)
        self.path(address).rename(aside)
        flush_directory(self.path(address).parent)
        return aside


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
