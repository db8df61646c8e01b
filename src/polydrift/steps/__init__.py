"""What a study does, step by step: each is thin, inputs -> a call into a room -> files.

    tune       examples of one language   -> a LoRA adapter in PEFT format
    answer     prompts of one language    -> prompts.jsonl, answers.jsonl
    translate  answers                    -> translations.jsonl, measures.json
    judge      answers, translations      -> verdicts.jsonl
    measure    prompts, pairs, corpus     -> measures.json, directions.safetensors
    compare    adapters, or measures      -> pairs.json
    capability tasks                      -> capability.json
    prefer     answers, a reference's     -> preferences.jsonl

A step is a function of jobs that belong together (`Step.cohort`): it does what they have in common
once, and gives each back as it is done. It knows no store and no plan, so the same function runs in
this process, in a worker process and on another machine. Heavy libraries are imported when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polydrift.errors import PolydriftError

# What the files of artifacts are called.
PROMPTS, ANSWERS = "prompts.jsonl", "answers.jsonl"
TRANSLATIONS = "translations.jsonl"
VERDICTS = "verdicts.jsonl"
MEASURES = "measures.json"
DIRECTIONS = "directions.safetensors"
PAIRS = "pairs.json"
CAPABILITY = "capability.json"
PREFERENCES = "preferences.jsonl"

Progress = Callable[[float, str], None]


def _silent(done: float, text: str) -> None:
    """The progress of a job that nobody watches."""


@dataclass
class Job:
    """One step to run.

    params: what determines the result, as in the key. inputs: directories of finished artifacts.
    files: digests of the raw rows to use. places: paths and devices. out: the directory to fill.
    unfinished: where work may be kept that a killed step can go on from. memory: bytes to work in
    beside the weights. notes: what the step wants remembered in its record. seconds: its share of
    the time, if it knows that. progress(done from 0 to 1, a few words).
    """

    kind: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Path]
    files: Mapping[str, str]
    places: Mapping[str, Any]
    out: Path
    unfinished: Path | None = None
    memory: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    progress: Progress = _silent


Done = Iterator[tuple[Job, PolydriftError | None]]
"""Jobs as they end: with their results in `out`, or with what went wrong."""


def run(jobs: Sequence[Job]) -> Done:
    """Do jobs of one cohort. An exception is that of all jobs that have not been given back."""
    kind = jobs[0].kind
    if kind == "tune":
        from polydrift.steps.tune import tune as step
    elif kind == "answer":
        from polydrift.steps.answer import answer as step
    elif kind == "translate":
        from polydrift.steps.translate import translate as step
    elif kind == "judge":
        from polydrift.steps.judge import judge as step
    elif kind == "measure":
        from polydrift.steps.measure import measure as step
    elif kind == "compare":
        from polydrift.steps.compare import compare as step
    elif kind == "capability":
        from polydrift.steps.capability import capability as step
    elif kind == "prefer":
        from polydrift.steps.prefer import prefer as step
    else:
        raise ValueError(f"no step is called {kind!r}")
    return step(jobs)
