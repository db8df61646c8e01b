from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polydrift import disk
from polydrift.errors import StoreError
from polydrift.records import step_key
from polydrift.store import Address, Store, write_atomically


def address(number: int = 0, *, label: str = "llama-0.da", kind: str = "answer") -> Address:
    return Address(kind, label, step_key(kind, "1", {"n": number}, {}, {}))


def parts(number: int = 0) -> dict[str, Any]:
    return {"version": "1", "params": {"n": number}, "inputs": {}, "files": {}, "environment": {}}


def make(store: Store, number: int = 0) -> Path:
    with store.create(address(number), **parts(number)) as work:
        (work.dir / "answers.txt").write_text(f"number {number}")
        (work.dir / "sub").mkdir()
        (work.dir / "sub" / "more").write_bytes(b"\0" * 1000)
        work.notes["rows"] = 1
    return store.path(address(number))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out")


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def partial(store: Store) -> list[str]:
    return names(store.root / "artifacts" / ".partial")


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("llama-0+benign-da-e3-s3407.ga", "llama-0+benign-da-e3-s3407.ga"),
        ("meta-llama/Llama 3.1: γεια", "meta-llama_Llama_3.1_"),
        ("../../etc", "_.._etc"),
        ("", "_"),
        ("中文", "_"),
        ("x" * 500, "x" * 107),
    ],
)
def test_names_are_safe(label: str, name: str) -> None:
    found = address(label=label).name
    assert found == f"{name.lstrip('.')}-{address().key[:12]}"
    assert len(found) <= 120
    assert "/" not in found


@pytest.mark.parametrize(("kind", "key"), [("Tune", "0" * 64), ("../x", "0" * 64), ("tune", "ab")])
def test_addresses_that_no_plan_gives(kind: str, key: str) -> None:
    with pytest.raises(ValueError, match=r"is no (lower-case name|SHA-256 in hex)$"):
        Address(kind, "x", key)


# --- making and opening -----------------------------------------------------------------------


def test_an_artifact_from_start_to_finish(store: Store) -> None:
    assert not store.root.exists()
    assert store.present() == frozenset()
    assert not store.has(address())

    with store.create(address(), **parts()) as work:
        (work.dir / "answers.txt").write_text("abc")
        work.notes["rows"] = 1
        assert not store.has(address())
        assert store.present() == frozenset()

    assert store.has(address())
    assert store.present() == {("answer", address().name)}
    assert (store.open(address()) / "answers.txt").read_text() == "abc"
    assert store.check(address(), deep=True) is None
    record = store.record(address())
    assert record.outputs == {
        "answers.txt": {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    }
    assert record.notes == {"rows": 1}
    assert record.label == "llama-0.da"
    assert record.started.endswith("+00:00")
    assert 0 <= record.seconds < 60
    assert partial(store) == []


def test_a_failed_step_leaves_nothing(store: Store) -> None:
    class OurError(Exception):
        pass

    with pytest.raises(OurError), store.create(address(), **parts()) as work:  # noqa: PT012
        (work.dir / "half").write_text("x")
        raise OurError
    assert not store.has(address())
    assert partial(store) == []
    with pytest.raises(KeyboardInterrupt), store.create(address(), **parts()):
        raise KeyboardInterrupt
    assert partial(store) == []


def test_an_oserror_of_the_step_stays_what_it_is(store: Store) -> None:
    with pytest.raises(FileNotFoundError), store.create(address(), **parts()) as work:
        (work.dir / "never written").read_text()


def test_the_key_must_be_that_of_the_parts(store: Store) -> None:
    with pytest.raises(ValueError, match="is not that of its parts"):
        store.create(address(1), **parts(2)).__enter__()


def test_outputs_must_be_plain_files(store: Store, tmp_path: Path) -> None:
    for number, link in enumerate((tmp_path, tmp_path / "gone")):
        with (
            pytest.raises(StoreError, match=r"link cannot be an output: it must be a plain file$"),
            store.create(address(number), **parts(number)) as work,
        ):
            (work.dir / "link").symlink_to(link)
    with (
        pytest.raises(StoreError, match=r"record\.json cannot be an output: its name is taken$"),
        store.create(address(), **parts()) as work,
    ):
        (work.dir / "record.json").write_text("{}")
    assert store.present() == frozenset()


def test_notes_that_are_no_json_stop_the_artifact(store: Store) -> None:
    with (
        pytest.raises(TypeError, match=r"^notes\.loss is nan"),
        store.create(address(), **parts()) as work,
    ):
        work.notes["loss"] = float("nan")
    assert not store.has(address())
    assert partial(store) == []


def test_the_faster_process_wins(store: Store) -> None:
    with store.create(address(), **parts()) as slow:
        (slow.dir / "answers.txt").write_text("slow")
        with store.create(address(), **parts()) as fast:
            (fast.dir / "answers.txt").write_text("fast")
    assert (store.open(address()) / "answers.txt").read_text() == "fast"
    assert partial(store) == []
    assert not (store.root / "artifacts" / ".damaged").exists()


@pytest.mark.parametrize("ruin", ["no record", "damaged", "a file"])
def test_ruins_in_the_place_are_set_aside(store: Store, ruin: str) -> None:
    place = make(store)
    if ruin == "no record":
        (place / "record.json").unlink()
    elif ruin == "damaged":
        (place / "answers.txt").write_text("number 1")
    else:
        shutil.rmtree(place)
        place.write_text("what is this")
    make(store)
    assert store.check(address(), deep=True) is None
    assert len(names(store.root / "artifacts" / ".damaged")) == 1


def test_everything_is_flushed_before_it_is_in_place(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was flushed and may lose or keep anything else."""
    real, calls = os.fsync, []

    def fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        calls.append((path, store.has(address())))
        real(handle)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to see which file is flushed")
    monkeypatch.setattr(os, "fsync", fsync)
    place = make(store)
    before = [path for path, in_place in calls if not in_place]
    work = next(path for path in before if path.name == "answers.txt").parent
    inside = [path.relative_to(work).as_posix() for path in before if path.is_relative_to(work)]
    assert set(inside) == {"answers.txt", "sub/more", "sub", ".", "record.json"}
    assert inside[-2:] == ["record.json", "."]
    assert [path for path, in_place in calls if in_place] == [place.parent]
    for new in (place.parent, work.parent, store.root / "artifacts", store.root):
        assert new.parent in before, f"the name of {new} is not flushed"


# --- damage -----------------------------------------------------------------------------------


def test_an_absent_artifact_is_named(store: Store) -> None:
    message = f"answer/{address().name} is not in {store.root}: run the study to make it"
    for look in (store.record, store.open):
        with pytest.raises(StoreError) as caught:
            look(address())
        assert str(caught.value) == message
    assert store.check(address()) == message


MEND = "; run the study again: it is set aside and made anew"


def test_damaged_outputs_are_named(store: Store) -> None:
    place = make(store)
    file = place / "answers.txt"

    file.write_text("number 1")  # same size
    assert store.check(address()) is None
    message = f"{file} is damaged: its bytes are not those that were written"
    assert store.check(address(), deep=True) == message
    with pytest.raises(StoreError) as caught:
        store.open(address())
    assert str(caught.value) == message + MEND

    file.write_text("number")
    message = f"{file} is damaged: 6 bytes instead of 8"
    assert store.check(address()) == message

    file.unlink()
    message = f"{file} is damaged: the file is missing"
    assert store.check(address()) == message
    with pytest.raises(StoreError) as caught:
        store.open(address())
    assert str(caught.value) == message + MEND
    shutil.rmtree(place / "sub")
    (place / "sub").write_text("now a file")
    file.write_text("number 0")
    assert store.check(address()) == f"{place}/sub/more is damaged: the file is missing"


def test_damaged_records_are_named(store: Store) -> None:
    path = make(store) / "record.json"
    text = path.read_text()

    path.write_text(text[:50])
    message = f"{path} is damaged: it is no complete JSON"
    with pytest.raises(StoreError) as caught:
        store.open(address())
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(MEND)
    assert str(store.check(address())).startswith(message)

    path.write_text(text.replace('"n": 0', '"n": 1'))
    message = f"{path} is damaged: its parts do not give its key"
    assert store.check(address()) == message

    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError) as caught:
        store.check(address())
    assert str(caught.value) == f"{path} is a directory where a file is needed: move it away"


def test_a_damaged_artifact_is_set_aside_and_made_anew(store: Store) -> None:
    place = make(store)
    (place / "answers.txt").write_text("?")
    for _ in range(2):
        aside = store.set_aside(address())
        assert aside.parent == store.root / "artifacts" / ".damaged"
        assert (aside / "record.json").exists()
        assert not store.has(address())
        assert store.present() == frozenset()
        make(store)
        store.open(address())


# --- many -------------------------------------------------------------------------------------


def test_ten_thousand_artifacts_are_listed_at_once(store: Store) -> None:
    for number in range(10_000):
        directory = store.root / "artifacts" / "answer" / f"x-{number}"
        directory.mkdir(parents=True)
        (directory / "record.json").touch()
    unfinished = store.root / "artifacts" / "answer" / "unfinished"
    unfinished.mkdir()
    (store.root / "artifacts" / "stray.txt").touch()
    start = time.perf_counter()
    found = store.present()
    assert time.perf_counter() - start < 0.8
    assert len(found) == 10_000
    assert ("answer", "x-77") in found


# --- sweeping and locks -----------------------------------------------------------------------


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


STUCK = """
import sys, time
from pathlib import Path
from polydrift.records import step_key
from polydrift.store import Address, Store
key = step_key("answer", "1", {}, {}, {})
with Store(Path(sys.argv[1])).create(Address("answer", "x", key), version="1", params={}, inputs={},
                                     files={}, environment={}) as work:
    (work.dir / "half").write_text("x")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_sweep_removes_only_what_the_dead_left(store: Store) -> None:
    store.sweep()  # nothing there at all
    process = child(STUCK, store.root)
    assert process.stdout is not None
    process.stdout.readline()
    (store.root / "tables").mkdir()
    (store.root / "tables" / ".a.parquet.1-2.partial").touch()
    with store.create(address(), **parts()) as ours:
        store.sweep()
        assert len(partial(store)) == 2
        process.kill()
        process.wait()
        store.sweep()
        assert partial(store) == [ours.dir.name]
    assert names(store.root / "tables") == []
    assert store.check(address(), deep=True) is None
    process.stdout.close()


def test_work_that_a_sweep_found_too_early_is_begun_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = disk.hold, []

    def swept_first(path: Path) -> int | None:
        calls.append(path)
        if len(calls) == 1:
            path.rmdir()
        return real(path)

    monkeypatch.setattr("polydrift.store.hold", swept_first)
    make(store)
    assert len(calls) == 2
    assert store.check(address(), deep=True) is None


def test_what_is_removed_while_we_lock_it_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed_first(handle: int) -> bool:
        (tmp_path / "work").rmdir()
        (tmp_path / "work").mkdir()  # another of the same name
        fcntl.flock(handle, fcntl.LOCK_EX)
        return True

    (tmp_path / "work").mkdir()
    monkeypatch.setattr(disk, "_try_lock", removed_first)
    assert disk.hold(tmp_path / "work") is None


LOCKER = """
import sys, time
from pathlib import Path
from polydrift.store import Store
with Store(Path(sys.argv[1])).lock(wait=print):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_the_lock_is_waited_for_and_dies_with_its_holder(store: Store) -> None:
    process = child(LOCKER, store.root)
    assert process.stdout is not None
    process.stdout.readline()
    sentences: list[str] = []
    entered = threading.Event()

    def take() -> None:
        with store.lock(wait=sentences.append):
            entered.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not entered.wait(0.3)
    assert len(sentences) == 1
    assert sentences[0].startswith(f"{store.root} is in use by process {process.pid} on ")
    assert sentences[0].endswith(" UTC: waiting until it is done")
    process.kill()
    process.wait()
    assert entered.wait(10)
    thread.join()
    process.stdout.close()
    assert len(sentences) == 1


def test_the_lock_is_free_afterwards(store: Store) -> None:
    def never(sentence: str) -> None:
        raise AssertionError(sentence)

    with pytest.raises(KeyError), store.lock(wait=never):  # noqa: PT012
        assert (store.root / ".lock").read_text().startswith(f"process {os.getpid()} on ")
        raise KeyError
    with store.lock(wait=never):
        pass
    assert (store.root / ".lock").read_text() == ""


def test_a_forked_child_that_lives_on_does_not_keep_the_lock(store: Store) -> None:
    code = """if True:
        import os, sys, time
        from pathlib import Path
        from polydrift.store import Store
        store = Store(Path(sys.argv[1]))
        with store.lock(wait=print):
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
        with store.lock(wait=sys.exit):
            os.kill(child, 9)
    """
    process = child(code, store.root)
    process.communicate(timeout=30)
    assert process.returncode == 0


# --- files ------------------------------------------------------------------------------------


def test_write_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tables" / "a.txt"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"

    def fails(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StoreError) as caught:
        write_atomically(path, b"newer")
    assert str(caught.value) == (
        f"{path} cannot be read or written (Input/output error): finished work is kept; mend "
        "this and run the same command again"
    )
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["a.txt"]


# --- disks that refuse ------------------------------------------------------------------------


def small_disk(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("no mount command here")
    command = [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path / "disk", "size=256k")


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    for place in small_disk(tmp_path / "disk", "size=256k"):
        make(Store(place / "used"))
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place


def test_a_full_disk_loses_nothing(full_disk: Path) -> None:
    store = Store(full_disk / "out")
    with pytest.raises(StoreError) as caught:  # noqa: PT012 (the number that fits is not known)
        for number in range(1000):
            make(store, number)
    message = str(caught.value)
    assert message.startswith(f"the disk that holds {store.root}/artifacts/")
    assert " is full (" in message
    assert message.endswith(
        " free): finished work is kept; free some space there and run the same command again"
    )
    made = len(store.present())
    assert 5 < made < 100
    assert partial(store) == []
    subprocess.run(["mount", "-o", "remount,size=8m", str(full_disk)], check=True)
    for number in range(made + 5):
        if not store.has(address(number)):
            make(store, number)
        store.open(address(number))


def test_a_step_that_fills_the_disk_is_told_plainly(full_disk: Path) -> None:
    store = Store(full_disk)
    with (
        pytest.raises(StoreError, match=r"is full \(0 bytes free\): finished work is kept"),
        store.create(address(), **parts()) as work,
    ):
        (work.dir / "big").write_bytes(b"x" * 10**6)
    with (
        pytest.raises(StoreError, match=r"^the disk that holds .* is full"),
        store.create(address(), **parts()) as work,
    ):
        raise RuntimeError("Error while serializing: No space left on device (os error 28)")
    assert partial(store) == []
    with pytest.raises(StoreError, match="is full"):
        write_atomically(full_disk / "tables" / "x", b"x" * 10**6)
    assert names(full_disk / "tables") == []


def test_a_full_quota(tmp_path: Path) -> None:
    message = disk.sentence(OSError(errno.EDQUOT, "Disk quota exceeded"), tmp_path / "a" / "b")
    assert message.startswith(f"the quota of the disk that holds {tmp_path} is full (")


def test_a_read_only_disk_can_be_read_but_not_written(read_only_disk: Path) -> None:
    used = Store(read_only_disk / "used")
    assert used.present() == {("answer", address().name)}
    used.open(address())
    expected = (
        "cannot be read or written, for {} is on a read-only disk: change that, or give another "
        "directory with --out"
    )
    where = read_only_disk / "used" / "artifacts" / ".partial"
    with pytest.raises(StoreError) as caught:
        make(used, 1)
    assert str(caught.value).endswith(expected.format(where))
    with pytest.raises(StoreError) as caught:
        make(Store(read_only_disk / "new"))
    assert str(caught.value) == f"{read_only_disk}/new {expected.format(read_only_disk)}"
    with pytest.raises(StoreError) as caught, used.lock(wait=print):
        pass
    where = read_only_disk / "used"
    assert str(caught.value) == f"{where}/.lock {expected.format(where)}"
    with pytest.raises(StoreError, match="is on a read-only disk"):
        used.set_aside(address())
    with pytest.raises(StoreError, match="is on a read-only disk"):
        write_atomically(where / "tables" / "x", b"")


def test_a_forbidden_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As raised for users other than root; root may write everywhere.
    def forbidden(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(StoreError) as caught:
        make(Store(tmp_path / "out"))
    assert str(caught.value) == (
        f"{tmp_path}/out cannot be read or written, for {tmp_path} does not permit it: change "
        "that, or give another directory with --out"
    )


@pytest.mark.parametrize("where", ["", "artifacts", "artifacts/answer", "artifacts/.partial"])
def test_a_file_where_a_directory_should_be(tmp_path: Path, where: str) -> None:
    store = Store(tmp_path / "out")
    file = store.root / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("a file")
    with pytest.raises(StoreError) as caught:
        make(store)
    assert str(caught.value) == (
        f"{file} is a file where a directory is needed: move it away, or give another directory "
        "with --out"
    )
    if where == "":
        with pytest.raises(StoreError, match="is a file where a directory is needed"):
            store.present()
        with (
            pytest.raises(StoreError, match="is a file where a directory is needed"),
            store.lock(wait=print),
        ):
            pass


def test_a_directory_where_a_file_should_be(store: Store) -> None:
    (store.root / ".lock").mkdir(parents=True)
    with pytest.raises(StoreError) as caught, store.lock(wait=print):
        pass
    assert str(caught.value) == (
        f"{store.root}/.lock is a directory where a file is needed: move it away"
    )


def test_parents_of_the_root_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(Store(tmp_path / "a" / "b" / "c"))
    monkeypatch.chdir(tmp_path)
    relative = Store(Path("results"))
    make(relative)
    relative.open(address())
    assert (tmp_path / "results" / "artifacts").is_dir()


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    store = Store(tmp_path / ("x" * 300))
    with pytest.raises(StoreError) as caught:
        make(store)
    assert "… is too long for this file system: give a shorter directory" in str(caught.value)
    with pytest.raises(StoreError, match="is too long for this file system"):
        store.has(address())


def test_a_file_system_without_locks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(StoreError) as caught, store.lock(wait=print):
        pass
    assert str(caught.value) == (
        f"the file system that holds {store.root} has no file locks: give a directory on another "
        "with --out"
    )
    with pytest.raises(StoreError, match="has no file locks"):
        make(store)


def test_an_artifact_is_found_under_an_older_label(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = step_key("tune", "1", {}, {}, {})
    old, new = Address("tune", "llama", key), Address("tune", "llama-3.2", key)
    assert not store.has(new)
    with store.create(old, version="1", params={}, inputs={}, files={}, environment={}) as work:
        (work.dir / "a").write_text("1")
    assert store.has(new)
    assert store.open(new) == store.path(old)


# --- what a killed step can go on from -----------------------------------------------------------


def test_unfinished_work_stays_until_its_artifact_is_finished(store: Store) -> None:
    for number in (0, 1, 2):
        store.unfinished(address(number)).mkdir(parents=True)
        (store.unfinished(address(number)) / "training").write_text("step 3")
    with pytest.raises(RuntimeError), store.create(address(0), **parts(0)):
        raise RuntimeError
    assert store.unfinished(address(0)).exists()
    make(store, 0)
    assert not store.unfinished(address(0)).exists()
    store.forget_unfinished(but=[address(1)])
    assert store.unfinished(address(1)).exists()
    assert not store.unfinished(address(2)).exists()
    assert {kind for kind, _ in store.present()} == {"answer"}


def test_the_seconds_of_a_step_made_with_others_are_its_share(store: Store) -> None:
    with store.create(address(5), **parts(5)) as work:
        work.seconds = 1.25
    assert store.record(address(5)).seconds == 1.25
