"""Tune a base on the examples of one language: one LoRA adapter in PEFT format."""

from __future__ import annotations

from pathlib import Path

from polydrift.data.benign import read_examples
from polydrift.data.rows import rows_of
from polydrift.engine.train import TuneSettings
from polydrift.engine.train import tune as train
from polydrift.seeds import named_seed
from polydrift.steps import Job
from polydrift.steps.models import base_model


def tune(job: Job) -> None:
    """Files: adapter_model.safetensors, adapter_config.json. Notes: losses, tokens, rows."""
    params, places = job.params, job.places
    examples = rows_of(
        read_examples, Path(places["examples"]), places["language"], job.files["examples"]
    )
    model = base_model(job)
    joined = model.chat.joined
    tuned = train(
        model,
        [(example.request, example.response) for example in examples[: params["rows"]]],
        TuneSettings(epochs=params["epochs"], **params["recipe"]),
        init_seed=named_seed("init", params["seed"]),
        order_seed=named_seed("order", params["seed"]),
        progress=job.progress,
    )
    tuned.save(job.out)
    job.notes.update(
        rows=len(examples[: params["rows"]]),
        rows_truncated=tuned.rows_truncated,
        rows_joined=model.chat.joined - joined,
        tokens=tuned.tokens,
        steps=tuned.steps,
        first_loss=tuned.losses[0],
        last_loss=tuned.losses[-1],
    )
