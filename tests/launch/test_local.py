from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from polydrift.data.foreign import read_answers
from polydrift.data.rows import rows_digest
from polydrift.launch.local import LocalLauncher
from polydrift.launch.worker import Outcome, work
from polydrift.step import Cell, Step
from polydrift.store import Store

ROW = '{"prompt": "How?", "answer": "So.", "language": "en", "kind": "unsafe"}\n'


def answers_step(path: Path, name: str, digest: str) -> Step:
    """A step that takes over answers: real, quick, and without a model."""
    return Step(
        "answer",
        Cell(name, name, evaluation_language="en"),
        {"made_elsewhere": True, "name": name},
        files={"answers": digest},
        places={"answers": str(path), "how": {}, "language": "en"},
    )


@pytest.fixture
def good(tmp_path: Path) -> Step:
    path = tmp_path / "good.jsonl"
    path.write_text(ROW)
    prompts, answers = read_answers(path)
    return answers_step(path, "good", rows_digest([*prompts, *answers]))


def results(launcher: LocalLauncher) -> list[Outcome]:
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + 60
    while launcher.busy and time.monotonic() < deadline:
        for _, ended in launcher.results():
            outcomes += ended
    return outcomes


def test_a_step_that_fails_spoils_no_other_of_its_batch(good: Step, tmp_path: Path) -> None:
    changed = answers_step(Path(good.places["answers"]), "changed", "another digest")
    absent = answers_step(tmp_path / "absent.jsonl", "absent", "x")
    out = tmp_path / "out"
    outcomes = {o.name: o.problem for o in work([absent, changed, good], out, lambda *_: None)}
    assert outcomes["answer/good.en"] is None
    assert "rows changed while the study ran" in str(outcomes["answer/changed.en"])
    assert "absent.jsonl: no such file" in str(outcomes["answer/absent.en"])
    assert Store(out).has(good.address)
    assert "Traceback" in (out / "logs" / "answer" / f"{absent.address.name}.log").read_text()


def test_a_mistake_of_ours_is_named_with_its_log(good: Step, tmp_path: Path) -> None:
    broken = answers_step(Path(good.places["answers"]), "broken", good.files["answers"])
    broken = Step(**{**vars(broken), "places": {"language": "en"}})
    (outcome,) = work([broken], tmp_path / "out", lambda *_: None)
    assert str(outcome.problem).startswith("unexpected KeyError: 'answers' (see ")


@pytest.mark.skipif(sys.platform == "win32", reason="uses a named pipe")
def test_only_the_step_that_kills_its_worker_twice_is_reported(good: Step, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    deadly = answers_step(pipe, "deadly", "x")
    out = tmp_path / "out"
    killed = 0

    def kill_readers() -> None:
        """Twice: wait until a worker reads the pipe, and kill it there."""
        nonlocal killed
        while killed < 2:
            try:
                handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                time.sleep(0.02)
                continue
            for child in multiprocessing.active_children():
                child.kill()
                child.join()
            killed += 1
            os.close(handle)

    killer = threading.Thread(target=kill_readers, daemon=True)
    killer.start()
    with LocalLauncher(out, workers=1, threads=1, report=lambda *_: None) as launcher:
        launcher.submit([good, deadly])
        outcomes = {outcome.name: outcome.problem for outcome in results(launcher)}
    assert killed == 2
    assert outcomes["answer/good.en"] is None
    assert "its worker process died" in str(outcomes["answer/deadly.en"])
    assert Store(out).has(good.address)
