"""Who computes the answers of a cohort: this process, a server, or a vendor."""

from __future__ import annotations

from collections.abc import Sequence

from polydrift.engine.cohort import Cohort
from polydrift.engine.interface import Engine
from polydrift.engine.served import Served
from polydrift.engine.vendor import Vendor
from polydrift.steps import Job
from polydrift.steps.models import adapter_of, cohort_of


def engine_of(jobs: Sequence[Job]) -> Engine:
    """The engine of jobs of one cohort, a member for each job."""
    if "vendor" in jobs[0].params:
        return Vendor([job.params["vendor"] for job in jobs])
    if "server" in jobs[0].places:
        places = jobs[0].places
        return Served(places["server"], places["served_as"], [adapter_of(job) for job in jobs])
    return cohort_of(jobs)


def record_of(engine: Engine, member: int, job: Job) -> None:
    """Note how a member was computed, for the record."""
    if isinstance(engine, Cohort):
        job.seconds = engine.seconds[member]
        job.notes["route"] = engine.routes[member]
    elif isinstance(engine, Served):
        job.notes.update(route="server", untaken=sorted(engine.untaken))
    else:
        job.notes["route"] = "vendor"
