"""What a study does, step by step: each is thin, inputs -> a call into a room -> files.

    tune     examples of one language     -> a LoRA adapter in PEFT format
    answer   prompts of one language      -> prompts.jsonl, answers.jsonl
    judge    answers                      -> verdicts.jsonl
    measure  prompts, held-out pairs      -> measures.json

A step is a function of a `Job`. It knows no store and no plan, so the same function runs in this
process, in a worker process and on another machine. Heavy libraries are imported when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What the files of artifacts are called.
PROMPTS, ANSWERS = "prompts.jsonl", "answers.jsonl"
VERDICTS = "verdicts.jsonl"
MEASURES = "measures.json"

Progress = Callable[[float, str], None]


def _silent(done: float, text: str) -> None:
    """The progress of a job that nobody watches."""


@dataclass(frozen=True)
class Job:
    """One step to run.

    params: what determines the result, as in the key. inputs: directories of finished artifacts.
    files: digests of the raw rows to use. places: paths and devices. out: the directory to fill.
    notes: what the step wants remembered in its record. progress(done from 0 to 1, a few words).
    """

    kind: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Path]
    files: Mapping[str, str]
    places: Mapping[str, Any]
    out: Path
    notes: dict[str, Any] = field(default_factory=dict)
    progress: Progress = _silent


def run(job: Job) -> None:
    """Do the job; its results lie in `job.out` when this returns."""
    if job.kind == "tune":
        from polydrift.steps.tune import tune as step
    elif job.kind == "answer":
        from polydrift.steps.answer import answer as step
    elif job.kind == "judge":
        from polydrift.steps.judge import judge as step
    elif job.kind == "measure":
        from polydrift.steps.measure import measure as step
    else:
        raise ValueError(f"no step is called {job.kind!r}")
    step(job)
