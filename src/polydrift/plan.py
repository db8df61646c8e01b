"""Every step of a study, its key, its inputs and its cost: pure, no I/O, no torch.

    tune ──> answer ──> judge          one step per variant (tune) or per variant and
       └───> measure                   evaluation language (the others; plan_judges.py: who judges)

The untuned base is a cell like any other. A step's key is a hash of what determines its result:
kind, version of the step, parameters, keys of its inputs, digests of raw rows. What it is called
(`label`, `cell`) and where things lie (`places`) is not in the key, so renaming a base, moving a
file or adding a language redoes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from polydrift.errors import StudyError
from polydrift.judges.openers import compliances, refusals
from polydrift.plan_judges import judgements
from polydrift.records import digest
from polydrift.sources import (
    DataSource,
    ModelSource,
    RowsOf,
    Sources,
    answers_reference,
    model_reference,
    suite_options,
    suite_reference,
)
from polydrift.step import Cell, Cost, Kind, Step
from polydrift.study import AnswersFile, Base, Given, Study, Suite, Tuning


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


@dataclass(frozen=True, slots=True)
class _Variant:
    """A base with or without an adapter, before it is asked anything."""

    cell: Cell
    base: Base
    params: Mapping[str, Any]
    places: Mapping[str, Any]
    tune: Step | None = None
    answers: AnswersFile | None = None


def make_plan(study: Study, sources: Sources) -> Plan:
    """The plan of a checked study; StudyError if its names make two steps share one."""
    steps: list[Step] = []
    for variant in _variants(study, sources):
        if variant.tune:
            steps.append(variant.tune)
        for answer in _answers(study, sources, variant):
            steps.append(answer)
            steps += judgements(study, sources, answer, _english(study, sources, answer))
        steps += _measures(study, sources, variant)
    names = Counter(step.name for step in steps)
    if twice := [name for name, count in names.items() if count > 1]:
        raise StudyError(
            [f"{twice[0]}: two parts of the study have this name; rename a variant, arm or suite."]
        )
    return Plan(tuple(steps))


def _variants(study: Study, sources: Sources) -> Iterator[_Variant]:
    for base in study.bases:
        cell = Cell(base.name, base.name)
        if base.answers:
            yield _Variant(cell, base, {}, {}, answers=base.answers)
            continue
        if base.vendor:
            yield _Variant(cell, base, {"vendor": base.vendor}, {})
            continue
        params, places = _model(base, sources)
        yield _Variant(cell, base, params, places)
        for arm in study.tuning:
            if arm.bases is None or base.name in arm.bases:
                yield from _tuned(study, sources, base, arm)
    for given in study.variants:
        base = next(b for b in study.bases if b.name == given.base)
        yield _given(base, given, sources)


def _model(base: Base, sources: Sources) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what identifies the base, where and how to load it)."""
    assert base.model
    source = sources.models[model_reference(base.model, base.revision)]
    params: dict[str, Any] = {"base": dict(source.identity), "dtype": base.dtype}
    places: dict[str, Any] = {
        "model": source.place,
        "revision": source.identity.get("revision"),
        "device": base.device,
        "device_map": base.device_map,
        "trust_remote_code": base.trust_remote_code,
    }
    if base.tokenizer:
        tokenizer = sources.models[base.tokenizer]
        params["tokenizer"] = dict(tokenizer.identity)
        places["tokenizer"] = tokenizer.place
        places["tokenizer_revision"] = tokenizer.identity.get("revision")
    return params, places


def _tuned(study: Study, sources: Sources, base: Base, arm: Tuning) -> Iterator[_Variant]:
    params, places = _model(base, sources)
    model = sources.models[model_reference(base.model or "", base.revision)]
    source = sources.data[arm.data]
    recipe = arm.model_dump(
        mode="json", exclude={"name", "data", "languages", "seeds", "epochs", "bases", "rows"}
    )
    for language in arm.languages:
        rows = _rows(source, language, arm.rows)
        for epochs in arm.epochs:
            for seed in arm.seeds:
                name = f"{base.name}+{arm.name}-{language}-e{epochs}-s{seed}"
                cell = Cell(base.name, name, arm.name, language, seed, epochs)
                tune = Step(
                    "tune",
                    cell,
                    {**params, "recipe": recipe, "epochs": epochs, "seed": seed, "rows": arm.rows},
                    files={"examples": rows.digest},
                    places={**places, "examples": source.path, "language": language},
                    cost=Cost(
                        train_tokens=epochs * _tokens(rows.size),
                        bytes=_adapter_bytes(model, arm.rank),
                    ),
                )
                yield _Variant(cell, base, params, places, tune)


def _given(base: Base, given: Given, sources: Sources) -> _Variant:
    cell = Cell(
        base.name, f"{base.name}+{given.name}", given.name, tuning_language=given.tuning_language
    )
    if given.answers:
        return _Variant(cell, base, {}, {}, answers=given.answers)
    if given.vendor:
        return _Variant(cell, base, {"vendor": given.vendor}, {})
    params, places = _model(base, sources)
    source = sources.models[model_reference(given.adapter or given.model or "", given.revision)]
    what = "adapter" if given.adapter else "tuned_model"
    return _Variant(
        cell,
        base,
        {**params, what: dict(source.identity)},
        {**places, what: source.place, f"{what}_revision": source.identity.get("revision")},
    )


def _answers(study: Study, sources: Sources, variant: _Variant) -> Iterator[Step]:
    evaluation = study.evaluation
    if variant.answers:
        source = sources.data[answers_reference(variant.answers)]
        for language, rows in (source.languages or {}).items():
            if language in evaluation.languages:
                yield Step(
                    "answer",
                    _in(variant.cell, language, "answers"),
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
    asked, there = dict(variant.params), dict(variant.places)
    if variant.base.server:  # other kernels, and a template of its own: other answers
        asked["engine"] = "server"
        there["server"] = variant.base.server
        there["served_as"] = variant.base.served_as or variant.base.model
    sampled = evaluation.temperature > 0
    decoding = {
        "temperature": evaluation.temperature,
        "top_p": evaluation.top_p if sampled else 1.0,  # greedy answers know neither this
        "max_new_tokens": evaluation.max_new_tokens,
    }
    for suite in study.suites:
        source = sources.data[suite_reference(suite)]
        for language in evaluation.languages:
            rows = _rows(source, language, suite.prompts)
            answers = rows.rows * evaluation.samples
            yield Step(
                "answer",
                _in(variant.cell, language, suite.name),
                {
                    **asked,
                    "decoding": decoding,
                    "samples": evaluation.samples,
                    "seed": evaluation.seed if sampled else None,  # nor that
                },
                inputs={"adapter": variant.tune} if variant.tune else {},
                files={"prompts": rows.digest},
                places={
                    **there,
                    "prompts": source.path,
                    "how": suite_options(suite),
                    "language": language,
                },
                cost=Cost(
                    read_tokens=evaluation.samples * _tokens(rows.size),
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


@cache
def _openers(language: str) -> str:
    return digest([refusals(language), compliances(language)])


def _measures(study: Study, sources: Sources, variant: _Variant) -> Iterator[Step]:
    if study.measures is None or variant.answers or variant.base.vendor:
        return
    heldout = sources.data[study.measures.heldout] if study.measures.heldout else None
    suite: Suite | None = study.suites[0] if study.suites else None
    if heldout is None and suite is None:
        return
    for language in study.evaluation.languages:
        files: dict[str, str] = {}
        params: dict[str, Any] = dict(variant.params)
        places: dict[str, Any] = {**variant.places, "language": language}
        tokens = 0.0
        if heldout:
            rows = _rows(heldout, language, None)
            files["heldout"], places["heldout"] = rows.digest, heldout.path
            tokens += _tokens(rows.size)
        if suite:
            asked = sources.data[suite_reference(suite)]
            rows = _rows(asked, language, suite.prompts)
            files["prompts"], places["prompts"] = rows.digest, asked.path
            places["how"] = suite_options(suite)
            params["drift"] = study.measures.drift
            params["openers"] = _openers(language)
            tokens += 2 * _tokens(rows.size)
        yield Step(
            "measure",
            _in(variant.cell, language, None),
            params,
            inputs={"adapter": variant.tune} if variant.tune else {},
            files=files,
            places=places,
            cost=Cost(read_tokens=tokens, bytes=4000.0),
        )


def _in(cell: Cell, language: str, suite: str | None) -> Cell:
    return Cell(**{**asdict(cell), "evaluation_language": language, "suite": suite})


def _rows(source: DataSource, language: str, declared: int | None) -> RowsOf:
    """The rows of a language; the study's own count stands in for a file not there yet."""
    if (rows := (source.languages or {}).get(language)) is not None:
        return rows
    count = declared or 0 if source.languages is None else 0
    return RowsOf(digest=f"missing:{source.reference}:{language}", rows=count, size=300 * count)


def _tokens(size: int) -> float:
    # About 3.5 UTF-8 bytes a token over the nine languages with 100k-256k vocabularies: an
    # assumption for estimates, nothing is decided by it.
    return size / 3.5


def _adapter_bytes(model: ModelSource, rank: int) -> float:
    # LoRA on all linear layers: about rank × 6e-4 of the parameters for the sizes of the study,
    # in fp32. An assumption for estimates.
    return 4 * rank * 6e-4 * (model.parameters or 1e9)
