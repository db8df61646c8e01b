"""The variants of a study: every base, untuned and tuned, before it is asked anything.

Pure like the plan that is made of them (`plan`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from polydrift.references import model_reference
from polydrift.sources import DataSource, ModelSource, RowsOf, Sources
from polydrift.step import Cell, Cost, Step
from polydrift.study import AnswersFile, Base, Given, Study, Tuning


@dataclass(frozen=True, slots=True)
class Variant:
    """A base with or without an adapter; params, places: of its steps. tune: how it is made."""

    cell: Cell
    base: Base
    params: Mapping[str, Any]
    places: Mapping[str, Any]
    tune: Step | None = None
    answers: AnswersFile | None = None


def variants(study: Study, sources: Sources) -> Iterator[Variant]:
    """All variants, each base before what is made of it."""
    for base in study.bases:
        cell = Cell(base.name, base.name)
        if base.answers:
            yield Variant(cell, base, {}, {}, answers=base.answers)
            continue
        if base.vendor:
            yield Variant(cell, base, {"vendor": base.vendor}, {})
            continue
        params, places = _model(base, sources)
        yield Variant(cell, base, params, places)
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


def _tuned(study: Study, sources: Sources, base: Base, arm: Tuning) -> Iterator[Variant]:
    params, places = _model(base, sources)
    model = sources.models[model_reference(base.model or "", base.revision)]
    source = sources.data[arm.data]
    recipe = arm.model_dump(
        mode="json", exclude={"name", "data", "languages", "seeds", "epochs", "bases", "rows"}
    )
    for language in arm.languages:
        rows = rows_in(source, language, arm.rows)
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
                        train_tokens=epochs * tokens_in(rows.size),
                        bytes=_adapter_bytes(model, arm.rank),
                    ),
                )
                yield Variant(cell, base, params, places, tune)


def _given(base: Base, given: Given, sources: Sources) -> Variant:
    cell = Cell(
        base.name, f"{base.name}+{given.name}", given.name, tuning_language=given.tuning_language
    )
    if given.answers:
        return Variant(cell, base, {}, {}, answers=given.answers)
    if given.vendor:
        return Variant(cell, base, {"vendor": given.vendor}, {})
    params, places = _model(base, sources)
    source = sources.models[model_reference(given.adapter or given.model or "", given.revision)]
    what = "adapter" if given.adapter else "tuned_model"
    return Variant(
        cell,
        base,
        {**params, what: dict(source.identity)},
        {**places, what: source.place, f"{what}_revision": source.identity.get("revision")},
    )


def within(cell: Cell, language: str | None, suite: str | None) -> Cell:
    """A variant's cell in an evaluation language and suite."""
    return Cell(**{**asdict(cell), "evaluation_language": language, "suite": suite})


def rows_in(source: DataSource, language: str, declared: int | None) -> RowsOf:
    """The rows of a language; the study's own count stands in for a file not there yet."""
    if (rows := (source.languages or {}).get(language)) is not None:
        return rows
    count = declared or 0 if source.languages is None else 0
    return RowsOf(digest=f"missing:{source.reference}:{language}", rows=count, size=300 * count)


def tokens_in(size: int) -> float:
    """Estimated tokens of so many UTF-8 bytes."""
    # About 3.5 UTF-8 bytes a token over the nine languages with 100k-256k vocabularies: an
    # assumption for estimates, nothing is decided by it.
    return size / 3.5


def _adapter_bytes(model: ModelSource, rank: int) -> float:
    # LoRA on all linear layers: about rank × 6e-4 of the parameters for the sizes of the study,
    # in fp32. An assumption for estimates.
    return 4 * rank * 6e-4 * (model.parameters or 1e9)
