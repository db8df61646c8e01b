"""Every step of a study, its key, its inputs and its cost: pure, no I/O, no torch.

    tune ──> answer ──> judge          one step per variant (tune) or per variant and
       └───> measure                   evaluation language (the others)

The untuned base is a cell like any other. A step's key is a hash of what determines its result:
kind, version of the step, parameters, keys of its inputs, digests of raw rows. What it is called
(`label`, `cell`) and where things lie (`places`) is not in the key, so renaming a base, moving a
file or adding a language redoes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from polydrift.judges.openers import compliances, refusals
from polydrift.judges.phrases import fingerprint
from polydrift.judges.rules import VERSION as RULES_VERSION
from polydrift.records import digest, step_key
from polydrift.sources import (
    DataSource,
    ModelSource,
    RowsOf,
    Sources,
    answers_reference,
    model_reference,
)
from polydrift.study import AnswersFile, Base, Given, Study, Suite, Tuning

Kind = Literal["tune", "answer", "judge", "measure"]
KINDS: tuple[Kind, ...] = ("tune", "answer", "judge", "measure")
# Raise a number when a step's code changes what it produces; its artifacts are then made anew.
VERSIONS: Mapping[Kind, str] = {"tune": "1", "answer": "1", "judge": "1", "measure": "1"}


@dataclass(frozen=True, slots=True)
class Cell:
    """Where in the grid a result belongs; these become the columns of every table."""

    base: str
    variant: str
    arm: str | None = None
    tuning_language: str | None = None
    tuning_seed: int | None = None
    epochs: int | None = None
    evaluation_language: str | None = None
    suite: str | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """Estimates: tokens trained on, read and generated at most; answers; bytes kept."""

    train_tokens: float = 0.0
    read_tokens: float = 0.0
    new_tokens: float = 0.0
    answers: int = 0
    bytes: float = 0.0

    @property
    def weight(self) -> float:
        """Relative effort, for progress bars: a trained token costs three read ones, one generated
        token about ten (each takes a pass of its own, part of a batch).
        """
        return 1.0 + 3 * self.train_tokens + self.read_tokens + 10 * self.new_tokens


@dataclass(frozen=True)
class Step:
    """One unit of work and its artifact."""

    kind: Kind
    cell: Cell
    params: Mapping[str, Any]
    inputs: Mapping[str, Step] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = Cost()

    @cached_property
    def key(self) -> str:
        """sha256 of everything that determines the result (64 hexadecimal digits)."""
        return step_key(
            self.kind,
            VERSIONS[self.kind],
            self.params,
            {name: step.key for name, step in self.inputs.items()},
            self.files,
        )

    @cached_property
    def label(self) -> str:
        """A readable name: "llama+benign-da-e3-s3407.ga.specimen"."""
        parts = (self.cell.variant, self.cell.evaluation_language, self.cell.suite)
        return ".".join(part for part in parts if part)

    @property
    def name(self) -> str:
        """How users call the step: "answer/llama.en.specimen"."""
        return f"{self.kind}/{self.label}"

    @property
    def batch(self) -> tuple[str, str]:
        """Steps of one batch are given to one worker together: they share a loaded variant."""
        return (self.kind, self.cell.variant)


@dataclass(frozen=True)
class Plan:
    """All steps of a study, each after its inputs."""

    steps: tuple[Step, ...]

    def of(self, kind: Kind) -> list[Step]:
        """The steps of one kind, in the order of the study."""
        return [step for step in self.steps if step.kind == kind]

    @property
    def variants(self) -> list[Cell]:
        """The distinct variants, bases included, as cells without evaluation language."""
        seen = {step.cell.variant: step.cell for step in reversed(self.steps)}
        return [seen[name] for name in dict.fromkeys(step.cell.variant for step in self.steps)]


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
    """The plan of a checked study."""
    steps: list[Step] = []
    for variant in _variants(study, sources):
        if variant.tune:
            steps.append(variant.tune)
        for answer in _answers(study, sources, variant):
            steps += [answer, _judge(study, answer)]
        steps += _measures(study, sources, variant)
    return Plan(tuple(steps))


def _variants(study: Study, sources: Sources) -> Iterator[_Variant]:
    for base in study.bases:
        cell = Cell(base.name, base.name)
        if base.answers:
            yield _Variant(cell, base, {}, {}, answers=base.answers)
            continue
        assert base.model
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
    decoding = {
        name: getattr(evaluation, name) for name in ("temperature", "top_p", "max_new_tokens")
    }
    for suite in study.suites:
        source = sources.data[suite.data]
        for language in evaluation.languages:
            rows = _rows(source, language, suite.prompts)
            answers = rows.rows * evaluation.samples
            yield Step(
                "answer",
                _in(variant.cell, language, suite.name),
                {
                    **variant.params,
                    "decoding": decoding,
                    "samples": evaluation.samples,
                    # greedy answers do not depend on the seed
                    "seed": evaluation.seed if evaluation.temperature else None,
                },
                inputs={"adapter": variant.tune} if variant.tune else {},
                files={"prompts": rows.digest},
                places={**variant.places, "prompts": source.path, "language": language},
                cost=Cost(
                    read_tokens=evaluation.samples * _tokens(rows.size),
                    new_tokens=answers * evaluation.max_new_tokens,
                    answers=answers,
                    bytes=rows.size + 4.0 * answers * evaluation.max_new_tokens,
                ),
            )


def _judge(study: Study, answer: Step) -> Step:
    return Step(
        "judge",
        answer.cell,
        {
            "judge": study.evaluation.judge,
            "judge_version": RULES_VERSION,
            "phrases": fingerprint(),
        },
        inputs={"answers": answer},
        cost=Cost(bytes=200.0 * answer.cost.answers),
    )


def _measures(study: Study, sources: Sources, variant: _Variant) -> Iterator[Step]:
    if study.measures is None or variant.answers:
        return
    heldout = sources.data[study.measures.heldout] if study.measures.heldout else None
    suite: Suite | None = study.suites[0] if study.measures.drift and study.suites else None
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
            rows = _rows(sources.data[suite.data], language, suite.prompts)
            files["prompts"], places["prompts"] = rows.digest, sources.data[suite.data].path
            params["openers"] = digest([refusals(language), compliances(language)])
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
