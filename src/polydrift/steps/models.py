"""The models that jobs work with: the base loaded once per process, its variants as a cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from polydrift.engine.cohort import Cohort
from polydrift.engine.hub import fetch
from polydrift.engine.model import Model, Source
from polydrift.engine.models import load
from polydrift.errors import PolydriftError
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


def cohort_of(jobs: Sequence[Job]) -> Cohort:
    """The variants of jobs of one cohort, a member for each job."""
    if "tuned_model" in jobs[0].places:
        model = _whole(_source(jobs[0], "tuned_model"))
        return Cohort(model, [None for _ in jobs])
    _whole.cache_clear()
    return Cohort(base_model(jobs[0]), [adapter_of(job) for job in jobs])


def usable(jobs: Sequence[Job]) -> tuple[list[Job], list[tuple[Job, PolydriftError]]]:
    """The jobs whose adapters are at hand, and those whose are not, with the reason."""
    good: list[Job] = []
    bad: list[tuple[Job, PolydriftError]] = []
    for job in jobs:
        try:
            adapter_of(job)
        except PolydriftError as error:
            bad.append((job, error))
        else:
            good.append(job)
    return good, bad


def adapter_of(job: Job) -> Path | None:
    """The directory of a job's adapter; ModelError if it is on a hub and cannot be had."""
    if "adapter" in job.inputs:
        return job.inputs["adapter"]
    if "adapter" in job.places:
        return fetch(job.places["adapter"], job.places["adapter_revision"])
    return None


def in_turn(jobs: Sequence[Job]) -> Callable[[float, str], None]:
    """Progress of a cohort as progress of its jobs, one after the other."""

    def told(done: float, text: str) -> None:
        at = min(int(done * len(jobs)), len(jobs) - 1)
        jobs[at].progress(min(0.99, done * len(jobs) - at), text)

    return told


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
        memory=job.memory,
    )
