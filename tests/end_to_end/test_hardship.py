"""What a machine can do to a study: kill a worker, fill the disk, refuse to write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import STUDIES, Polydrift
from tests.end_to_end.test_smoke import table_bytes

SMOKE = STUDIES / "smoke.toml"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 300 KB large."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system takes rights that this user has not")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_nothing_is_lost(
    smoke: Path, mounted: Path, polydrift: Polydrift
) -> None:
    out = mounted / "results"
    done = polydrift("run", SMOKE, "--out", out, expect=2)
    assert "is full" in done.stderr
    assert "run the same command again" in done.stderr
    finished = set((out / "artifacts").glob("*/*/record.json"))
    assert finished
    subprocess.run(["mount", "-o", "remount,size=50m", str(mounted)], check=True)
    polydrift("run", SMOKE, "--out", out)
    assert finished <= set((out / "artifacts").glob("*/*/record.json"))
    assert table_bytes(out) == table_bytes(smoke)


def test_a_directory_that_cannot_be_written_is_named(mounted: Path, polydrift: Polydrift) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    done = polydrift("run", SMOKE, "--out", mounted / "results", expect=2)
    assert done.stderr.startswith(f"error: {mounted}")
    assert "read-only" in done.stderr
    assert "--out" in done.stderr


def test_a_results_directory_that_is_a_file(tmp_path: Path, polydrift: Polydrift) -> None:
    (tmp_path / "file").write_text("")
    done = polydrift("run", SMOKE, "--out", tmp_path / "file", expect=2)
    assert done.stderr.startswith(f"error: {tmp_path / 'file'}")


def children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(pid)
        for pid in listed
        if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers through /proc")
def test_a_worker_that_is_killed_costs_its_batch_a_second_try(smoke: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "polydrift", "run", str(SMOKE), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--workers", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list((out / "artifacts").glob("*/*/record.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    (worker,) = children(process.pid)
    os.kill(worker, signal.SIGKILL)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert table_bytes(out) == table_bytes(smoke)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers through /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "polydrift", "run", str(SMOKE), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((out / "artifacts").glob("*/*/record.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = children(process.pid)
    assert workers
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
