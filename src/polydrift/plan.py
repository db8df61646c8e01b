"""Every step of a study, its key, its inputs and its cost: pure, no I/O, no torch.

    tune ──> answer ──> judge, prefer      one step per variant (tune, capability), or per variant
       ├───> capability                    and evaluation language (answer, judge, prefer, measure);
       └───> measure ──> compare           compare puts adapters, or languages, side by side

What the variants are is in plan_variants.py, who judges in plan_judges.py, what else is measured in
plan_measures.py.

The untuned base is a cell like any other. A step's key is a hash of what determines its result:
kind, version of the step, parameters, keys of its inputs, digests of raw rows. What it is called
(`label`, `cell`) and where things lie (`places`) is not in the key, so renaming a base, moving a
file or adding a language redoes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from polydrift.errors import StudyError
from polydrift.plan_judges import judgements
from polydrift.plan_measures import (
    Asked,
    benchmarks,
    comparisons,
    measurements,
    preferences,
)
from polydrift.plan_variants import Variant, rows_in, tokens_in, variants, within
from polydrift.references import answers_reference, suite_options, suite_reference
from polydrift.sources import RowsOf, Sources
from polydrift.step import Cost, Kind, Step
from polydrift.study import Study, Suite


@dataclass(frozen=True)
class Plan:
    """All steps of a study, each after its inputs."""

    steps: tuple[Step, ...]

    def of(self, kind: Kind) -> list[Step]:
        """The steps of one kind, in the order of the study."""
        return [step for step in self.steps if step.kind == kind]

    @property
    def variants(self) -> list[str]:
        """The names of all variants, bases included, in the order of the study."""
        return list(dict.fromkeys(step.cell.variant for step in self.steps))


def make_plan(study: Study, sources: Sources) -> Plan:
    """The plan of a checked study; StudyError if its names make two steps share one."""
    steps: list[Step] = []
    all_variants = list(variants(study, sources))
    measured: list[Step] = []
    asked: Asked = {}
    for variant in all_variants:
        if variant.tune:
            steps.append(variant.tune)
        for answer in _answers(study, sources, variant):
            steps.append(answer)
            steps += judgements(study, sources, answer, _english(study, sources, answer))
        for benchmark in study.preference:
            for answer in _asked(study, sources, variant, benchmark.instructions, found_only=True):
                steps.append(answer)
                steps += preferences(study, sources, benchmark, answer, asked)
        here = list(measurements(study, sources, variant))
        measured += here
        steps += here
        steps += benchmarks(study, sources, variant)
    steps += comparisons(study, sources, all_variants, measured)
    names = Counter(step.name for step in steps)
    if twice := [name for name, count in names.items() if count > 1]:
        raise StudyError(
            [f"{twice[0]}: two parts of the study have this name; rename a variant, arm or suite."]
        )
    return Plan(tuple(steps))


def _answers(study: Study, sources: Sources, variant: Variant) -> Iterator[Step]:
    evaluation = study.evaluation
    if variant.answers:
        source = sources.data[answers_reference(variant.answers)]
        for language, rows in (source.languages or {}).items():
            if language in evaluation.languages:
                yield Step(
                    "answer",
                    within(variant.cell, language, "answers"),
                    {"made_elsewhere": True},
                    files={"answers": rows.digest},
                    places={
                        "answers": source.path,
                        "how": variant.answers.model_dump(exclude={"file"}),
                        "language": language,
                    },
                    cost=Cost(answers=rows.rows // 2, bytes=rows.size),
                )
        return
    for suite in study.suites:
        yield from _asked(study, sources, variant, suite)


def _asked(
    study: Study, sources: Sources, variant: Variant, suite: Suite, *, found_only: bool = False
) -> Iterator[Step]:
    """The answers to a suite; found_only: in the languages that it has, and not in others."""
    if variant.answers:
        return
    evaluation = study.evaluation
    params, places = dict(variant.params), dict(variant.places)
    if variant.base.server:  # other kernels, and a template of its own: other answers
        params["engine"] = "server"
        places["server"] = variant.base.server
        places["served_as"] = variant.base.served_as or variant.base.model
    sampled = evaluation.temperature > 0
    decoding = {
        "temperature": evaluation.temperature,
        "top_p": evaluation.top_p if sampled else 1.0,  # greedy answers know neither this
        "max_new_tokens": evaluation.max_new_tokens,
    }
    source = sources.data[suite_reference(suite)]
    for language in evaluation.languages:
        if found_only and source.languages and language not in source.languages:
            continue
        rows = rows_in(source, language, suite.prompts)
        answers = rows.rows * evaluation.samples
        yield Step(
            "answer",
            within(variant.cell, language, suite.name),
            {
                **params,
                "decoding": decoding,
                "samples": evaluation.samples,
                "seed": evaluation.seed if sampled else None,  # nor that
            },
            inputs={"adapter": variant.tune} if variant.tune else {},
            files={"prompts": rows.digest},
            places={
                **places,
                "prompts": source.path,
                "how": suite_options(suite),
                "language": language,
            },
            cost=Cost(
                read_tokens=evaluation.samples * tokens_in(rows.size),
                new_tokens=answers * evaluation.max_new_tokens,
                answers=answers,
                bytes=rows.size + 4.0 * answers * evaluation.max_new_tokens,
            ),
        )


def _english(study: Study, sources: Sources, answer: Step) -> RowsOf | None:
    """The English prompts of the suite that was asked, if it has any."""
    suite = next((suite for suite in study.suites if suite.name == answer.cell.suite), None)
    source = sources.data[suite_reference(suite)] if suite else None
    return (source.languages or {}).get("en") if source else None
