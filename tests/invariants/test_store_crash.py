"""Kill the writer at any instant: what is listed is whole, and a rerun finishes the rest."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polydrift.records import step_key
from polydrift.store import Address, Store

# Makes artifacts 0, 1, 2, … that are not yet there. argv: ROOT, how many, and at which call into
# the operating system to die by SIGKILL (0: live).
WRITER = """
import os, signal, sys
from pathlib import Path
from polydrift.records import step_key
from polydrift.store import Address, Store

store, count, fatal = Store(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
calls = 0

def deadly(function):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

if fatal:
    for name in ("open", "fsync", "rename", "mkdir", "scandir", "rmdir", "unlink", "close"):
        setattr(os, name, deadly(getattr(os, name)))
print("ready", flush=True)
store.sweep()
for n in range(count):
    params = {"n": n}
    address = Address("answer", f"cell {n}", step_key("answer", "1", params, {}, {}))
    if not store.has(address):
        with store.create(address, version="1", params=params, inputs={}, files={},
                          environment={}) as work:
            (work.dir / "a.txt").write_text(f"artifact {n}")
            (work.dir / "deep").mkdir()
            (work.dir / "deep" / "b.bin").write_bytes(bytes([n % 256]) * (n * 37 % 5000))
print(calls, flush=True)
"""


def start(root: Path, count: int, fatal: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(count), str(fatal)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def addresses(count: int) -> list[Address]:
    keys = [step_key("answer", "1", {"n": n}, {}, {}) for n in range(count)]
    return [Address("answer", f"cell {n}", key) for n, key in enumerate(keys)]


def whole(root: Path, among: list[Address]) -> int:
    """How many artifacts are listed, each opened and read."""
    store = Store(root)
    names = {(address.kind, address.name): n for n, address in enumerate(among)}
    present = store.present()
    for entry in present:
        n = names[entry]
        directory = store.open(among[n])
        assert (directory / "a.txt").read_text() == f"artifact {n}"
        assert (directory / "deep" / "b.bin").stat().st_size == n * 37 % 5000
    return len(present)


def finish(root: Path, count: int) -> None:
    """A rerun completes everything and leaves nothing half made."""
    out, err = start(root, count).communicate(timeout=120)
    assert out.startswith("ready"), err
    assert whole(root, addresses(count)) == count
    assert list((root / "artifacts" / ".partial").iterdir()) == []
    assert not (root / "artifacts" / ".damaged").exists()


def test_killed_at_forty_random_instants(tmp_path: Path) -> None:
    chance = random.Random(20260101)
    many = addresses(20_000)
    listed, half_made = 0, 0
    for _ in range(40):
        process = start(tmp_path, len(many))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        now = whole(tmp_path, many)
        assert now >= listed, "finished work was lost"
        listed = now
        partial = tmp_path / "artifacts" / ".partial"
        half_made += partial.exists() and any(partial.iterdir())
    assert listed > 0
    assert half_made > 5, "the kills hit no artifact in the making: the test tests nothing"
    finish(tmp_path, listed + 20)


def test_killed_at_every_call(tmp_path: Path) -> None:
    """As above, but at each step of making two artifacts rather than at random ones."""
    process = start(tmp_path / "count", 2, fatal=10**9)
    out, err = process.communicate()
    calls = int(out.split()[1])
    assert calls > 20, err
    for fatal in range(1, calls + 1):
        root = tmp_path / str(fatal)
        process = start(root, 2, fatal)
        _, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, err
        assert whole(root, addresses(2)) <= 2
        if fatal % 8 == 0:
            finish(root, 3)


@pytest.mark.parametrize("writers", [2, 3])
def test_several_processes_making_the_same_do_no_damage(tmp_path: Path, writers: int) -> None:
    processes = [start(tmp_path, 60) for _ in range(writers)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.startswith("ready")
    finish(tmp_path, 60)
