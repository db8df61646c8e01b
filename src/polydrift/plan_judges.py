"""The part of a plan after the answers: who translates them, and who judges them.

    answer ──┬────────────────> judge      one for each judge
             └─> translate ───> judge      for judges that want English

Pure, like the rest of the plan. A translation is shared by all judges that want one, and a judge
more, or another one, asks no model and no translator anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import Any

from polydrift.judges.forms import RUBRICS, SORRY_BENCH, Form
from polydrift.judges.phrases import fingerprint
from polydrift.judges.rules import VERSION as RULES_VERSION
from polydrift.references import model_reference
from polydrift.sources import ModelSource, RowsOf, Sources
from polydrift.step import Cost, Step
from polydrift.study import Judge, Study, Translation


def judgements(
    study: Study, sources: Sources, answer: Step, english: RowsOf | None
) -> Iterator[Step]:
    """The steps over one artifact of answers. english: the suite's English prompts, if it has any;
    without them the prompts are translated too.
    """
    translated: Step | None = None
    if study.translation and any(judge.translate for judge in study.judges):
        translated = _translate(study.translation, sources, answer, english)
        yield translated
    for judge in study.judges:
        yield _judge(judge, sources, answer, translated if judge.translate else None)


def _translate(
    translation: Translation, sources: Sources, answer: Step, english: RowsOf | None
) -> Step:
    params, places = translator(translation, sources)
    shown = {key: answer.places[key] for key in ("prompts", "how") if key in answer.places}
    return Step(
        "translate",
        answer.cell,
        params,
        inputs={"answers": answer},
        files={"english": english.digest} if english else {},
        places={**places, **(shown if english else {})},
        cost=Cost(new_tokens=answer.cost.new_tokens, bytes=answer.cost.bytes),
    )


def translator(translation: Translation, sources: Sources) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what identifies a translator, where and how it is asked)."""
    params: dict[str, Any] = {"language_identifier": _identifier()}
    places: dict[str, Any] = {}
    if translation.phrasebook:
        params["phrasebook"] = sources.files[translation.phrasebook].digest
        places["phrasebook"] = sources.files[translation.phrasebook].path
    elif translation.vendor:
        params["vendor"] = translation.vendor
    else:
        assert translation.model
        model = sources.models[model_reference(translation.model, translation.revision)]
        params |= {
            "model": dict(model.identity),
            "backend": translation.backend,
            "beam": translation.beam,
            "compute_type": translation.compute_type
            or ("int8" if translation.backend == "ctranslate2" else "float32"),
        }
        places |= _places(model, translation.device)
    return params, places


def _judge(judge: Judge, sources: Sources, answer: Step, translated: Step | None) -> Step:
    params, places = who(judge, sources)
    inputs = {"answers": answer}
    if translated:
        inputs["translations"] = translated
        params["untranslated"] = judge.untranslated
    return Step(
        "judge",
        replace(answer.cell, judge=judge.name),
        params,
        inputs=inputs,
        places=places,
        cost=Cost(
            read_tokens=0.0 if params["judge"] == "rules" else answer.cost.new_tokens,
            bytes=200.0 * answer.cost.answers,
        ),
    )


def who(judge: Judge, sources: Sources) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what identifies a judge, where and how it is asked)."""
    if judge.vendors:
        form = RUBRICS[judge.rubric]
        return (
            {"judge": "vendors", "vendors": list(judge.vendors), **_form(form), **_rules()},
            {
                **judge.model_dump(include={"at_once", "cache"}),
                "prices": {name: list(prices) for name, prices in judge.prices.items()},
            },
        )
    if judge.model:
        model = sources.models[model_reference(judge.model, judge.revision)]
        params = {
            "judge": "model",
            "model": dict(model.identity),
            "dtype": judge.dtype,
            **_form(SORRY_BENCH),
            **_rules(),
        }
        places = {**_places(model, judge.device), "device_map": judge.device_map}
        if judge.tokenizer:
            tokenizer = sources.models[judge.tokenizer]
            params["tokenizer"] = dict(tokenizer.identity)
            places["tokenizer"] = tokenizer.place
            places["tokenizer_revision"] = tokenizer.identity.get("revision")
        if judge.server:  # other kernels: now and then another reply
            params["engine"] = "server"
            places["server"] = judge.server
            places["served_as"] = judge.served_as or judge.model
            places["at_once"] = judge.at_once
        return params, places
    return {"judge": "rules", **_rules()}, {}


def judge_key(judge: Judge, translation: Translation | None, sources: Sources) -> dict[str, Any]:
    """What identifies a judge together with its translator: verdicts of equal keys are alike."""
    key, _ = who(judge, sources)
    if judge.translate and translation:
        key = {**key, "translator": translator(translation, sources)[0]}
    return key


def _form(form: Form) -> dict[str, str]:
    return {"form": form.name, "form_version": form.version}


def _places(model: ModelSource, device: str) -> dict[str, Any]:
    return {
        "model": model.place,
        "revision": model.identity.get("revision"),
        "device": device,
        "device_map": None,
        "trust_remote_code": False,
    }


@cache
def _rules() -> dict[str, str]:
    """What determines a verdict of the rules beside the answer: every judge asks them what an
    answer is that did not comply.
    """
    return {
        "judge_version": RULES_VERSION,
        "phrases": fingerprint(),
        "language_identifier": _identifier(),
    }


@cache
def _identifier() -> str:
    return version("lingua-language-detector")
