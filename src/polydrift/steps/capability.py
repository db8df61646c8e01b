"""Ask variants of one base the tasks of a benchmark, by lm-evaluation-harness."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polydrift.errors import DataError, PolydriftError
from polydrift.records import directory_digest
from polydrift.steps import CAPABILITY, Done, Job
from polydrift.steps.models import cohort_of, in_turn, usable


def capability(jobs: Sequence[Job]) -> Done:
    """File: capability.json, a list of tasks (groups come last) with their figures and of each
    question the value of the main metric.
    """
    from polydrift.capability.measure import capability as measured

    jobs, unusable = usable(jobs)
    yield from unusable
    if not jobs:
        return
    params, places = jobs[0].params, jobs[0].places
    include = places["include"]
    if include and directory_digest(Path(include)) != jobs[0].files["include"]:
        raise DataError(
            f"{include}: its files changed while the study ran; run the same command again to plan "
            "with the new ones."
        )
    started = time.monotonic()
    most = params["max_new_tokens"]
    for member, found in measured(
        cohort_of(jobs),
        params["tasks"],
        limit=params["limit"],
        fewshot=params["fewshot"],
        include_path=include,
        seed=params["seed"],
        chat=params["chat"],
        system=params["system"],
        generation={"max_gen_toks": most} if most else None,
        progress=in_turn(jobs),
    ):
        job = jobs[member]
        if isinstance(found, PolydriftError):
            yield job, found
            continue
        tasks = [*found.tasks.values(), *found.groups.values()]
        text = json.dumps([_task(one) for one in tasks], indent=1) + "\n"
        (job.out / CAPABILITY).write_text(text, encoding="utf-8")
        job.notes["tasks"] = {one.name: one.config for one in tasks}
        job.seconds = (time.monotonic() - started) / len(jobs)
        yield job, None


def _task(one: Any) -> Mapping[str, Any]:
    """A `TaskResults` as JSON; NaN is null."""
    return {
        "task": one.name,
        "n": one.n,
        "of": one.of,
        "truncated": one.truncated,
        "fewshot": one.fewshot,
        "version": one.version,
        "requests": one.requests,
        "figures": [
            {
                "metric": figure.metric,
                "filter": figure.filter,
                "value": _known(figure.value),
                "stderr": _known(figure.stderr),
                "main": figure == one.main,
                "higher_is_better": figure.higher_is_better,
            }
            for figure in one.figures
        ],
        "questions": [[number, _known(value)] for number, value in sorted(one.samples.items())],
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
