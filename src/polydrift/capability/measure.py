"""Capability of all members of a cohort, by tasks of lm-evaluation-harness.

    >>> cohort = Cohort(model, [None, Path("adapter-da"), Path("adapter-ga")])
    >>> for member, found in capability(cohort, ["belebele_dan_Latn"], limit=100):
    ...     print(member, found.tasks["belebele_dan_Latn"]["acc"].value)

Requests are made once and asked of all members in one pass (`lm`); lm-eval then computes each
member's metrics from its responses, with its own filters, metrics and standard errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polydrift.capability.lm import CohortLM, keys
from polydrift.capability.results import Results, gather
from polydrift.capability.silence import harness, hushed
from polydrift.capability.tasks import Tasks, load
from polydrift.engine.cohort import Cohort
from polydrift.engine.interface import Progress, silent
from polydrift.errors import MeasureError, ModelError


def capability(
    cohort: Cohort,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    fewshot: int | None = None,
    include_path: str | Path | Sequence[str | Path] | None = None,
    seed: int | None = None,
    chat: bool = False,
    system: str | None = None,
    generation: Mapping[str, Any] | None = None,
    bootstrap: int = 1000,
    show: bool = False,
    progress: Progress = silent,
) -> Iterator[tuple[int, Results | ModelError]]:
    """Each member and its results; a member that breaks has its error, and the others go on.

    tasks: names of lm-eval's tasks, groups and tags, or of those below `include_path`. limit:
    the first so many questions of each task. fewshot: examples before each question, for tasks that
    do not fix it. seed: of examples, shuffled data and sampled texts; None is lm-eval's default (0
    and 1234). chat: questions are put into the model's chat template, examples as turns. system: an
    instruction before everything. generation: settings in place of those of tasks that have the
    model write ({"max_gen_toks": 64}). bootstrap: draws for standard errors that have no formula;
    0 leaves all standard errors out. show: let lm-eval's warnings and bars through.

    What is wrong with the call is raised at once: MeasureError for a task that is unknown or cannot
    be asked, DataError for one whose data is out of reach.
    """
    if limit is not None and limit < 1:
        raise MeasureError(
            f"limit = {limit} asks no question; give 1 or more, or none for all questions."
        )
    harness()
    with hushed(show=show):
        made = load(
            tasks,
            include_path=include_path,
            model=cohort.model.source.model,
            fewshot=fewshot,
            seed=seed,
            generation=generation,
        )
        lm = CohortLM(cohort, seed=0 if seed is None else seed)
        made.build(
            limit=limit,
            chat=lm.chat if chat else None,
            system=system,
            chat_name=lm.member(0).tokenizer_name,
        )
        lm.check(made.requests())
    return _each(made, lm, limit=limit, bootstrap=bootstrap, show=show, progress=progress)


def _each(
    made: Tasks, lm: CohortLM, *, limit: int | None, bootstrap: int, show: bool, progress: Progress
) -> Iterator[tuple[int, Results | ModelError]]:
    lm.respond(made.requests(), progress)
    lost = {
        name: sum(key in lm.truncated for key in keys(task.instances))
        for name, task in made.tasks.items()
    }
    evaluator = harness("evaluator")
    for task in made.tasks.values():  # they are made, and the same for all members
        task.build_all_requests = _nothing
    for member in range(lm.cohort.members):
        if member in lm.errors:
            yield member, lm.errors[member]
            continue
        made.forget()
        try:
            with hushed(show=show):
                found = evaluator.evaluate(
                    lm.member(member), made.loaded, limit=limit, bootstrap_iters=bootstrap
                )
        except (ArithmeticError, ValueError) as error:
            name = lm.cohort.name(member)
            yield (
                member,
                ModelError(
                    f"{name}: lm-eval cannot compute a metric from its responses ({error}); the "
                    "network is damaged, perhaps: look at its answers."
                ),
            )
            continue
        yield member, gather(found, made.tasks, lost)


def _nothing(**_: Any) -> None:
    """What a task does that has its requests already."""
