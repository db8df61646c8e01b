"""Tune a base on examples, an adapter for each job: LoRA in PEFT format, in lockstep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polydrift.data.benign import read_examples
from polydrift.data.rows import rows_of
from polydrift.engine.train import Run, Tuned, TuneSettings
from polydrift.engine.train import tune as train
from polydrift.errors import PolydriftError
from polydrift.seeds import named_seed
from polydrift.steps import Done, Job
from polydrift.steps.models import base_model


def tune(jobs: Sequence[Job]) -> Done:
    """Files: adapter_model.safetensors, adapter_config.json. Notes: losses, tokens, rows."""
    params = jobs[0].params
    working: list[Job] = []
    runs: list[Run] = []
    for job in jobs:
        try:
            runs.append(_run(job))
        except PolydriftError as error:
            yield job, error
        else:
            working.append(job)
    if not runs:
        return
    model = base_model(jobs[0])

    def told(member: int, done: float, text: str) -> None:
        working[member].progress(done, text)

    settings = TuneSettings(epochs=params["epochs"], **params["recipe"])
    for member, tuned in train(model, runs, settings, progress=told):
        job = working[member]
        if isinstance(tuned, Tuned):
            _keep(job, tuned, len(runs[member].examples))
            yield job, None
        else:
            yield job, tuned


def _run(job: Job) -> Run:
    params, places = job.params, job.places
    examples = rows_of(
        read_examples, Path(places["examples"]), places["language"], job.files["examples"]
    )
    return Run(
        [(example.request, example.response) for example in examples[: params["rows"]]],
        init_seed=named_seed("init", params["seed"]),
        order_seed=named_seed("order", params["seed"]),
        checkpoint=job.unfinished and job.unfinished / "training.safetensors",
    )


def _keep(job: Job, tuned: Tuned, rows: int) -> None:
    tuned.save(job.out)
    job.seconds = tuned.seconds
    job.notes.update(
        rows=rows,
        rows_truncated=tuned.rows_truncated,
        rows_joined=tuned.rows_joined,
        tokens=tuned.tokens,
        steps=tuned.steps,
        first_loss=tuned.losses[0],
        last_loss=tuned.losses[-1],
        side_by_side=tuned.abreast,
        steps_resumed=tuned.resumed,
    )
