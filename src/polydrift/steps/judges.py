"""Who judges, as a job says: the rules, a fine-tuned model, or vendors' models."""

from __future__ import annotations

from functools import lru_cache

from polydrift.judges.forms import RUBRICS, SORRY_BENCH
from polydrift.judges.model import ModelJudge, vendors
from polydrift.judges.rules import Rules
from polydrift.judges.verdicts import Judge
from polydrift.steps import Job


def judge_of(job: Job) -> Judge:
    """The judge of jobs of one cohort."""
    params, places = job.params, job.places
    if params["judge"] == "rules":
        return Rules()
    if params["judge"] == "vendors":
        form, names = RUBRICS[params["form"]], params["vendors"]
        engine = vendors(names, form, at_once=places["at_once"], cache=places["cache"])
        return ModelJudge(engine, form, names, again=1)
    if "server" in places:
        from polydrift.engine.served import Served

        served = Served(
            places["server"],
            places["served_as"],
            at_once=places["at_once"],
            around=SORRY_BENCH.around,
        )
        return ModelJudge(served, SORRY_BENCH, [places["served_as"]])
    return _local(job)


def _local(job: Job) -> Judge:
    from polydrift.engine.model import Source

    places = job.places
    return _loaded(
        Source(
            model=places["model"],
            revision=places["revision"],
            tokenizer=places.get("tokenizer"),
            tokenizer_revision=places.get("tokenizer_revision"),
            dtype=job.params["dtype"],
            device=places["device"],
            device_map=places["device_map"],
            memory=job.memory,
            around=SORRY_BENCH.around,
        )
    )


@lru_cache(maxsize=1)
def _loaded(source: object) -> Judge:
    from polydrift.engine.cohort import Cohort
    from polydrift.engine.model import Source
    from polydrift.engine.models import load

    assert isinstance(source, Source)
    return ModelJudge(Cohort(load(source), [None]), SORRY_BENCH, [source.model])
