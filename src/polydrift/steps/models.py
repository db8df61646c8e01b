"""The model that a job works with: the base loaded once per process, its adapter put in and out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from polydrift.engine.adapters import adapted
from polydrift.engine.hub import fetch
from polydrift.engine.model import Model, Source
from polydrift.engine.models import load
from polydrift.steps import Job


@lru_cache(maxsize=1)
def _base(source: Source) -> Model:
    return load(source)


@lru_cache(maxsize=1)
def _whole(source: Source) -> Model:
    """A whole tuned model, beside the base that it is compared with."""
    return load(source)


def base_model(job: Job) -> Model:
    """The untuned base of a job; steps of one base that follow each other share it."""
    return _base(_source(job))


@contextmanager
def variant_model(job: Job) -> Iterator[Model]:
    """The model of a job's variant: the base, with the adapter that was tuned or given inside."""
    if "tuned_model" in job.places:
        yield _whole(_source(job, "tuned_model"))
        return
    _whole.cache_clear()
    with adapted(base_model(job), _adapter(job)) as model:
        yield model


def _source(job: Job, what: str = "model") -> Source:
    places = job.places
    return Source(
        model=places[what],
        revision=places["revision" if what == "model" else f"{what}_revision"],
        tokenizer=places.get("tokenizer"),
        tokenizer_revision=places.get("tokenizer_revision"),
        dtype=job.params["dtype"],
        device=places["device"],
        device_map=places["device_map"],
        trust_remote_code=places["trust_remote_code"],
    )


def _adapter(job: Job) -> Path | None:
    if "adapter" in job.inputs:
        return job.inputs["adapter"]
    if "adapter" in job.places:
        return fetch(job.places["adapter"], job.places["adapter_revision"])
    return None
