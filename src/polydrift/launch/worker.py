"""What a worker does with steps of a cohort: run them together, keep each artifact as it is done.

A step that fails spoils neither the other steps nor the worker: its sentence is an outcome like any
other, and a traceback that the user has no use for goes to a log file.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polydrift
from polydrift.disk import write_atomically
from polydrift.errors import PolydriftError, StoreError
from polydrift.step import VERSIONS, Step
from polydrift.steps import Job, run
from polydrift.store import Store, Work

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


def work(
    steps: Sequence[Step], root: Path, report: Report, *, memory: float | None = None
) -> list[Outcome]:
    """Run steps of one cohort together, each into its artifact; one outcome per step.

    memory: bytes that a model may take beside its weights.
    """
    store = Store(root)
    outcomes: list[Outcome] = []
    going: dict[int, _Attempt] = {}

    def end(attempt: _Attempt, error: Exception | None) -> None:
        outcomes.append(attempt.end(error))
        report(attempt.step.name, 1.0, "")

    for step in steps:
        attempt = _Attempt(step, store)
        try:
            job = attempt.begin(report, memory)
        except Exception as error:
            end(attempt, error)
        else:
            if job is None:
                end(attempt, None)
            else:
                going[id(job)] = attempt
    if going and not any(outcome.fatal for outcome in outcomes):
        try:
            for job, problem in run([attempt.job for attempt in going.values()]):
                end(going.pop(id(job)), problem)
                if outcomes[-1].fatal:
                    break
        except Exception as error:  # of all that have not ended
            while going:
                end(going.pop(next(iter(going))), error)
        except BaseException as error:
            for attempt in going.values():
                attempt.abandon(error)
            raise
    for attempt in going.values():
        attempt.abandon(StoreError("another step of its cohort found the disk unusable"))
    return outcomes


class _Attempt:
    """One step on its way into its artifact."""

    job: Job

    def __init__(self, step: Step, store: Store) -> None:
        self.step, self._store = step, store
        self._log = log_path(store.root, step)
        self._started = time.perf_counter()
        self._making: AbstractContextManager[Work] | None = None

    def begin(self, report: Report, memory: float | None) -> Job | None:
        """The job to do; None if it was done before an earlier worker died."""
        step, store = self.step, self._store
        if store.has(step.address) and store.check(step.address) is None:
            return None
        try:
            inputs = {name: store.take(made.address) for name, made in step.inputs.items()}
        except StoreError as error:
            raise _LostError(str(error)) from error
        making = store.create(
            step.address,
            version=VERSIONS[step.kind],
            params=step.params,
            inputs={name: made.key for name, made in step.inputs.items()},
            files=step.files,
            environment=environment(),
        )
        self._work = making.__enter__()
        self._making = making
        self.job = Job(
            kind=step.kind,
            params=step.params,
            inputs=inputs,
            files=step.files,
            places=step.places,
            out=self._work.dir,
            unfinished=store.unfinished(step.address),
            memory=memory,
            notes=self._work.notes,
            progress=lambda done, text: report(step.name, done, text),
        )
        return self.job

    def end(self, error: Exception | None) -> Outcome:
        """Put the artifact in its place, or drop it; how it went."""
        try:
            if self._making is not None and error is None:
                self._work.seconds = self.job.seconds
                self._making.__exit__(None, None, None)
            elif self._making is not None:
                self.abandon(error)
        except Exception as other:  # the disk, mostly: a sentence of its own
            error = other
        seconds = time.perf_counter() - self._started
        if error is None:
            if self._log.exists():
                self._log.unlink()
            return Outcome(self.step.name, seconds)
        if isinstance(error, StoreError):
            return Outcome(self.step.name, seconds, str(error), fatal=True)
        if isinstance(error, _LostError):
            return Outcome(self.step.name, seconds, str(error))
        _write_log(self._log, "".join(traceback.format_exception(error)))
        if isinstance(error, PolydriftError):
            return Outcome(self.step.name, seconds, str(error))
        first = str(error).strip().splitlines() or [""]
        text = f"unexpected {type(error).__name__}: {first[0][:200]} (see {self._log})"
        return Outcome(self.step.name, seconds, text)

    def abandon(self, error: BaseException | None) -> None:
        """Drop what was being made; StoreError if the error was that of a full disk."""
        if self._making is None or error is None:
            return
        try:
            self._making.__exit__(type(error), error, error.__traceback__)
        except BaseException as raised:
            if raised is not error:
                raise


class _LostError(PolydriftError):
    """An input that is not there or damaged: no step but those that need it is to blame."""


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
