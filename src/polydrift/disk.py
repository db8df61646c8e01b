"""Writing that survives: files that are whole or absent, and a plain sentence when a disk refuses.

    write_atomically(root / "tables" / "verdicts.parquet", data)

A reader sees the old file or the new one, never half of one, and after a power cut too. The order
does it: write beside the place, flush to the disk (`fsync`), rename, flush the directory that holds
the new name. What a killed process leaves beside the place is known to be nobody's because every
writer holds a lock (`flock`) on what it writes, which the kernel frees with the process.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polydrift.errors import StoreError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.EEXIST})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


@contextmanager
def plainly(place: Path) -> Iterator[None]:
    """Turn an OSError from working on `place` into a StoreError of one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(sentence(error, place)) from error


def sentence(error: OSError, place: Path) -> str:
    """What `error` means for the user, where, and how to mend it.

    place: what was being read or written; the path that the error itself names goes before it.
    """
    named = error.filename2 or error.filename  # of a rename: where to
    place = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else place
    there = _nearest(place)
    directory = there if there.is_dir() else there.parent
    if error.errno in _FULL:
        what = "disk" if error.errno == errno.ENOSPC else "quota of the disk"
        return (
            f"the {what} that holds {directory} is full ({_free(directory)} free): finished work "
            "is kept; free some space there and run the same command again"
        )
    if error.errno in _REFUSED:
        read_only = error.errno == errno.EROFS
        why = "is on a read-only disk" if read_only else "does not permit it"
        return (
            f"{place} cannot be read or written, for {directory} {why}: change that, or give "
            "another directory with --out"
        )
    if error.errno in _NO_DIRECTORY and not there.is_dir():
        return (
            f"{there} is a file where a directory is needed: move it away, or give another "
            "directory with --out"
        )
    if error.errno == errno.EISDIR:
        return f"{place} is a directory where a file is needed: move it away"
    if error.errno == errno.ENAMETOOLONG:
        return (
            f"the path {str(place)[:60]}… is too long for this file system: give a shorter "
            "directory with --out"
        )
    if error.errno in _NO_LOCKS:
        return (
            f"the file system that holds {directory} has no file locks: give a directory on "
            "another with --out"
        )
    return (
        f"{place} cannot be read or written ({error.strerror}): finished work is kept; mend this "
        "and run the same command again"
    )


def full_disk(error: Exception) -> OSError | None:
    """`error` as an OSError if a full disk is behind it; libraries wrap it in errors of theirs."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return error
    if not isinstance(error, StoreError) and os.strerror(errno.ENOSPC) in str(error):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return None


def make_directory(directory: Path) -> None:
    """Make `directory` and the parents it lacks, each flushed to the disk; OSError as it comes."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    flush_directory(directory.parent)


def flush_directory(directory: Path) -> None:
    """Wait until the names in `directory` are on the disk; OSError as it comes."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def directories(place: Path) -> list[os.DirEntry[str]]:
    """The directories in `place` that are not hidden; none if there is no `place`."""
    try:
        with os.scandir(place) as entries:
            return [e for e in entries if not e.name.startswith(".") and e.is_dir()]
    except FileNotFoundError:
        return []


def flush_tree(directory: Path) -> dict[str, dict[str, Any]]:
    """Flush all files and directories below `directory` to the disk; OSError as it comes.

    Returns {path: {"bytes": size, "sha256": hex}}, sorted. StoreError for what is no plain file.
    """
    outputs: dict[str, dict[str, Any]] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below = flush_tree(Path(entry.path))
                outputs |= {f"{entry.name}/{name}": output for name, output in below.items()}
            elif entry.is_file(follow_symlinks=False):
                with Path(entry.path).open("rb") as file:
                    os.fsync(file.fileno())
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                    size = os.fstat(file.fileno()).st_size
                outputs[entry.name] = {"bytes": size, "sha256": sha256}
            else:
                raise StoreError(f"{entry.path} cannot be an output: it must be a plain file")
    flush_directory(directory)
    return dict(sorted(outputs.items()))


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all; StoreError if the disk refuses.

    Makes the directory if need be. An older file stays as it was until the new one is on the disk.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    with plainly(path):
        make_directory(path.parent)
        try:
            with partial.open("xb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                partial.replace(path)
            flush_directory(path.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def hold(path: Path) -> int | None:
    """Open and lock a file or directory that lies at `path`, at once.

    Returns the descriptor, whose closing frees the lock, or None if somebody else holds the lock or
    has removed `path` in the meantime. OSError as it comes.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    held = False
    try:
        with suppress(FileNotFoundError):
            held = _try_lock(handle) and os.path.samestat(os.fstat(handle), path.stat())
    finally:
        if not held:
            os.close(handle)
    return handle if held else None


@contextmanager
def exclusively(path: Path, *, wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file at `path`, made if need be; its text says who holds it.

    If another process holds it, `wait` is called once with a sentence, and we block.
    """
    with plainly(path):
        make_directory(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with plainly(path):
            free = _try_lock(handle)
        if not free:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace") or "another process"
            wait(f"{path.parent} is in use by {holder}: waiting until it is done")
            with plainly(path):
                fcntl.flock(handle, fcntl.LOCK_EX)
        with plainly(path):
            now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            holder = f"process {os.getpid()} on {socket.gethostname()} since {now}"
            os.ftruncate(handle, 0)
            os.pwrite(handle, holder.encode("utf-8"), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
            fcntl.flock(handle, fcntl.LOCK_UN)  # closing would not do where a forked child lives
    finally:
        os.close(handle)


def remove_if_abandoned(path: Path) -> None:
    """Remove partial work whose process is dead; OSError as it comes."""
    handle = hold(path)
    if handle is None:
        return
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    """Lock an open file at once; whether nobody else holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _nearest(path: Path) -> Path:
    """`path`, or the nearest parent of it that exists."""
    for place in (path, *path.parents):
        with suppress(OSError):
            place.lstat()
            return place
    return Path(path.anchor or ".")


def _free(directory: Path) -> str:
    """The free space around `directory`, for people."""
    try:
        size = float(shutil.disk_usage(directory).free)
    except OSError:
        return "unknown space"
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
