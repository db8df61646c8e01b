"""What a worker does with a batch of steps: run each, keep its artifact, report how it went.

A step that fails spoils neither the other steps of its batch nor the worker: its sentence is an
outcome like any other, and a traceback that the user has no use for goes to a log file.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polydrift
from polydrift.disk import write_atomically
from polydrift.errors import PolydriftError, StoreError
from polydrift.step import VERSIONS, Step
from polydrift.steps import Job, run
from polydrift.store import Store

# Called with (name of the step, part done from 0 to 1, a few words).
Report = Callable[[str, float, str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended. problem: None, or the sentence for the user. fatal: stop the study."""

    name: str
    seconds: float
    problem: str | None = None
    fatal: bool = False


def log_path(root: Path, step: Step) -> Path:
    """Where the log of a step that failed lies: beside the artifacts, by kind and label."""
    return root / "logs" / step.kind / f"{step.address.name}.log"


def work(steps: Sequence[Step], root: Path, report: Report) -> list[Outcome]:
    """Run the steps in order, each into its artifact; one outcome per step."""
    store = Store(root)
    outcomes: list[Outcome] = []
    for step in steps:
        started = time.perf_counter()
        problem, fatal = _attempt(step, store, report)
        outcomes.append(Outcome(step.name, time.perf_counter() - started, problem, fatal))
        report(step.name, 1.0, "")
        if fatal:
            break
    return outcomes


def _attempt(step: Step, store: Store, report: Report) -> tuple[str | None, bool]:
    """(the sentence of what went wrong or None, whether nothing else can work either)."""
    log = log_path(store.root, step)
    if store.has(step.address) and store.check(step.address) is None:
        return None, False  # made before an earlier worker died
    try:
        inputs = {name: store.take(made.address) for name, made in step.inputs.items()}
    except StoreError as error:
        return str(error), False
    try:
        with store.create(
            step.address,
            version=VERSIONS[step.kind],
            params=step.params,
            inputs={name: made.key for name, made in step.inputs.items()},
            files=step.files,
            environment=environment(),
        ) as made_here:
            run(
                Job(
                    kind=step.kind,
                    params=step.params,
                    inputs=inputs,
                    files=step.files,
                    places=step.places,
                    out=made_here.dir,
                    notes=made_here.notes,
                    progress=lambda done, text: report(step.name, done, text),
                )
            )
    except StoreError as error:
        return str(error), True
    except PolydriftError as error:
        _write_log(log, traceback.format_exc())
        return str(error), False
    except Exception as error:
        _write_log(log, traceback.format_exc())
        first = str(error).strip().splitlines() or [""]
        return f"unexpected {type(error).__name__}: {first[0][:200]} (see {log})", False
    if log.exists():
        log.unlink()
    return None, False


def _write_log(path: Path, text: str) -> None:
    with suppress(StoreError):  # the sentence is told all the same
        write_atomically(path, text.encode())


def environment() -> dict[str, Any]:
    """Versions and device, as they go into records; no host or user name."""
    return {**_versions(), "device": _device()}


@cache
def _versions() -> dict[str, str]:
    versions = {"polydrift": polydrift.__version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "peft", "tokenizers", "lingua-language-detector"):
        versions[package] = importlib.metadata.version(package)
    return {**versions, "machine": platform.machine()}


def _device() -> str:
    """What models of this process compute on; steps that load none have no torch to ask."""
    torch = sys.modules.get("torch")
    if torch is None:
        return "none"
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"cpu, {torch.get_num_threads()} thread(s)"
