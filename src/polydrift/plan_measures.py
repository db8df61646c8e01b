"""The part of a plan that measures: what moved inside, what a variant still can, what is preferred.

    measure      a variant in one language: held-out pairs, corpus, drift
    compare      the adapters of a base with each other; the languages of a variant with each other
    capability   a variant on one benchmark of lm-evaluation-harness
    prefer       a variant's answers to instructions, beside a reference's

Pure, like the rest of the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from polydrift.judges.forms import PAIRWISE
from polydrift.judges.openers import compliances, refusals
from polydrift.plan_variants import Variant, rows_in, tokens_in, within
from polydrift.records import digest
from polydrift.references import (
    answers_reference,
    corpus_options,
    corpus_reference,
    suite_options,
    suite_reference,
)
from polydrift.sources import Sources
from polydrift.step import Cell, Cost, Step
from polydrift.study import Capability, Preference, Study

Asked = dict[tuple[str, str | None, str | None], Step]
"""Answers of bases to instructions, by base, language and benchmark."""


@cache
def _openers(language: str) -> str:
    return digest([refusals(language), compliances(language)])


def _weightless(variant: Variant) -> bool:
    """Whether there is no network to look into."""
    return bool(variant.answers or variant.base.vendor)


def measurements(study: Study, sources: Sources, variant: Variant) -> Iterator[Step]:
    """What is measured of a variant in each language."""
    measures = study.measures
    if measures is None or _weightless(variant):
        return
    suite = study.suites[0] if study.suites else None
    if not (measures.heldout or measures.corpus or suite):
        return
    for language in study.evaluation.languages:
        files: dict[str, str] = {}
        params: dict[str, Any] = dict(variant.params)
        places: dict[str, Any] = {**variant.places, "language": language}
        tokens = 0.0
        if measures.heldout:
            heldout = sources.data[measures.heldout]
            rows = rows_in(heldout, language, None)
            files["heldout"], places["heldout"] = rows.digest, heldout.path
            tokens += tokens_in(rows.size)
        if measures.corpus:
            corpus = sources.data[corpus_reference(measures.corpus)]
            rows = rows_in(corpus, language, None)
            files["corpus"], places["corpus"] = rows.digest, corpus.path
            places["corpus_how"] = corpus_options(measures.corpus)
            params["window"] = measures.corpus.window
            tokens += tokens_in(rows.size)
        if suite:
            asked = sources.data[suite_reference(suite)]
            rows = rows_in(asked, language, suite.prompts)
            files["prompts"], places["prompts"] = rows.digest, asked.path
            places["how"] = suite_options(suite)
            params["drift"] = measures.drift
            params["openers"] = _openers(language)
            tokens += 2 * tokens_in(rows.size)
        yield Step(
            "measure",
            within(variant.cell, language, None),
            params,
            inputs={"adapter": variant.tune} if variant.tune else {},
            files=files,
            places=places,
            cost=Cost(read_tokens=tokens, bytes=1e6 if suite and measures.drift else 4000.0),
        )


def comparisons(
    study: Study, sources: Sources, variants: Iterable[Variant], measured: Iterable[Step]
) -> Iterator[Step]:
    """What is compared once its parts are there. measured: the steps of `measurements`."""
    if study.measures and study.measures.drift:
        yield from _adapters(list(variants))
        if study.suites:
            yield from _languages(list(measured))


def _adapters(variants: list[Variant]) -> Iterator[Step]:
    """The adapters that one recipe made of a base, and those of a base that were made elsewhere."""
    groups: dict[tuple[Any, ...], list[Variant]] = {}
    for variant in variants:
        cell = variant.cell
        if variant.tune or "adapter" in variant.places:
            recipe = (cell.arm, cell.epochs) if variant.tune else (None, None)
            groups.setdefault((cell.base, *recipe), []).append(variant)
    for (base, arm, epochs), members in groups.items():
        first = members[0]
        names = [variant.cell.variant.removeprefix(f"{base}+") for variant in members]
        there = {
            name: variant for name, variant in zip(names, members, strict=True) if not variant.tune
        }
        yield Step(
            "compare",
            Cell(base, base, arm, epochs=epochs, suite=f"{arm}-e{epochs}" if arm else "given"),
            {
                "what": "adapters",
                "base": first.params["base"],
                "dtype": first.params["dtype"],
                "adapters": {name: dict(one.params["adapter"]) for name, one in there.items()},
            },
            inputs={
                name: variant.tune
                for name, variant in zip(names, members, strict=True)
                if variant.tune
            },
            places={
                **{k: v for k, v in first.places.items() if not k.startswith("adapter")},
                "adapters": {
                    name: {key: one.places[key] for key in ("adapter", "adapter_revision")}
                    for name, one in there.items()
                },
            },
            cost=Cost(bytes=2000.0 * len(members) ** 2),
        )


def _languages(measured: list[Step]) -> Iterator[Step]:
    """The languages of one variant: whether they share a refusal direction."""
    by_variant: dict[tuple[str, str], dict[str, Step]] = {}
    for step in measured:
        cell = step.cell
        languages = by_variant.setdefault((cell.base, cell.variant), {})
        languages[cell.evaluation_language or ""] = step
    for (base, variant), languages in by_variant.items():
        inputs = dict(languages)
        if variant != base:
            inputs |= {f"base.{code}": step for code, step in by_variant[base, base].items()}
        first = next(iter(languages.values()))
        yield Step(
            "compare",
            within(first.cell, None, "directions"),
            {"what": "directions"},
            inputs=inputs,
            cost=Cost(bytes=40_000.0),
        )


def benchmarks(study: Study, sources: Sources, variant: Variant) -> Iterator[Step]:
    """What a variant is asked by lm-evaluation-harness: a step per benchmark, or per benchmark and
    language where its tasks are given by language.
    """
    if _weightless(variant):
        return
    for one in study.capability:
        include = sources.files[one.include] if one.include else None
        by_language: Mapping[str | None, list[str]] = (
            {code: [task] for code, task in one.tasks.items()}
            if isinstance(one.tasks, dict)
            else {None: list(one.tasks)}
        )
        for language, tasks in by_language.items():
            yield Step(
                "capability",
                within(variant.cell, language, one.name),
                {**variant.params, **_asking(one), "tasks": tasks, "lm_eval": _harness()},
                inputs={"adapter": variant.tune} if variant.tune else {},
                files={"include": include.digest} if include else {},
                places={**variant.places, "include": include.path if include else None},
                # an assumption for estimates: 100 questions of 300 tokens where no limit is set
                cost=Cost(read_tokens=300.0 * (one.limit or 100) * len(tasks), bytes=1e4),
            )


def _asking(benchmark: Capability) -> dict[str, Any]:
    return benchmark.model_dump(
        mode="json", include={"limit", "fewshot", "seed", "chat", "system", "max_new_tokens"}
    )


@cache
def _harness() -> str:
    try:
        return version("lm_eval")
    except PackageNotFoundError:
        return "none"  # the step says how to get it


def preferences(
    study: Study, sources: Sources, benchmark: Preference, answer: Step, asked: Asked
) -> Iterator[Step]:
    """What judges prefer over an artifact of answers to instructions: it, or the reference's.

    asked: bases' answers so far; bases stand before their variants.
    """
    cell = answer.cell
    place = (cell.base, cell.evaluation_language, cell.suite)
    if cell.variant == cell.base:
        asked[place] = answer
        if benchmark.against is None:
            return  # it is the reference
    inputs, files, places = {"answers": answer}, {}, {}
    reference = benchmark.reference
    if reference is None:
        inputs["reference"] = asked[place]
    else:
        source = sources.data[answers_reference(reference)]
        rows = rows_in(source, cell.evaluation_language or "", None)
        files["reference"] = rows.digest
        places = {
            "reference": source.path,
            "how": reference.model_dump(exclude={"file"}),
            "language": cell.evaluation_language,
        }
    yield Step(
        "prefer",
        cell,
        {"vendors": list(benchmark.vendors), "pairwise": PAIRWISE.version},
        inputs=inputs,
        files=files,
        places={**places, **benchmark.model_dump(include={"at_once", "cache"})},
        cost=Cost(bytes=200.0 * answer.cost.answers),
    )
