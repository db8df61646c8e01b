"""Put the answers of a suite in one language into English, for judges that read nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

from polydrift.data import lines
from polydrift.data.answers import Answer, read_answers
from polydrift.data.rows import rows_of
from polydrift.data.suites import Prompt, read_suite
from polydrift.steps import ANSWERS, MEASURES, PROMPTS, TRANSLATIONS, Done, Job
from polydrift.translate import weights
from polydrift.translate.back import Translation, to_english
from polydrift.translate.interface import Translator
from polydrift.translate.lexicon import Lexicon
from polydrift.translate.nllb import Nllb
from polydrift.translate.quality import chrf
from polydrift.translate.vendor import VendorTranslator

Loaded = tuple[Job, list[Prompt], list[Answer]]


def translate(jobs: Sequence[Job]) -> Done:
    """Files: translations.jsonl, a row per answer with the English prompt and answer, what it was
    translated from and what is doubtful; measures.json, how well the prompts came through.

    Answers of all jobs go through together, so what two variants said alike is translated once.
    The suite's own English prompts are used where it has them; the prompts are translated all the
    same, because there the right English is known.
    """
    started = time.perf_counter()
    loaded = [(job, read_suite(job.inputs["answers"] / PROMPTS), _answers(job)) for job in jobs]
    texts: list[str] = []
    asked: list[str] = []
    for _, prompts, answers in loaded:
        texts += [prompt.text for prompt in prompts] + [answer.text for answer in answers]
        asked += [prompt.language for prompt in prompts]
        asked += [answer.language for answer in answers]
    translator = translator_of(jobs[0])
    found = to_english(texts, asked, translator, jobs[0].progress)
    taken = time.perf_counter() - started
    for job, prompts, answers in loaded:
        size = len(prompts) + len(answers)
        mine, found = found[:size], found[size:]
        _write(job, prompts, answers, mine[: len(prompts)], mine[len(prompts) :])
        job.seconds = taken * size / max(len(texts), 1)
        if isinstance(translator, Nllb):
            job.notes["translator"] = translator.settings
        yield job, None


def translator_of(job: Job) -> Translator:
    """Who translates, as a job says; a model is loaded once per process."""
    params, places = job.params, job.places
    if "phrasebook" in places:
        return Lexicon(Path(places["phrasebook"]))
    if "vendor" in params:
        return VendorTranslator(params["vendor"])
    return _nllb(
        places["model"],
        places["revision"],
        params["backend"],
        places["device"],
        params["beam"],
        params["compute_type"],
    )


@lru_cache(maxsize=1)
def _nllb(
    place: str, revision: str | None, backend: str, device: str, beam: int, compute_type: str
) -> Translator:
    return Nllb(
        place,
        revision=revision,
        backend=backend,
        device=device,
        beam=beam,
        compute_type=compute_type,
        converted=weights.conversions(),
    )


def _answers(job: Job) -> list[Answer]:
    return read_answers(job.inputs["answers"] / ANSWERS)


def _write(
    job: Job,
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    asked: Sequence[Translation],
    said: Sequence[Translation],
) -> None:
    known = _english(job)
    ours = {prompt.prompt_id: one.text for prompt, one in zip(prompts, asked, strict=True)}
    lines.write(
        job.out / TRANSLATIONS,
        (
            {
                "prompt_id": answer.prompt_id,
                "sample": answer.sample,
                "prompt": known.get(answer.prompt_id) or ours[answer.prompt_id],
                "text": one.text,
                "source": one.source,
                "doubts": list(one.doubts),
            }
            for answer, one in zip(answers, said, strict=True)
        ),
    )
    paired = [
        (ours[prompt.prompt_id], known[prompt.prompt_id])
        for prompt in prompts
        if prompt.language != "en" and prompt.prompt_id in known
    ]
    measures = []
    if paired:
        value = chrf([one for one, _ in paired], [two for _, two in paired])
        measures.append(
            {"measure": "back_translation_chrf", "layer": None, "value": value, "n": len(paired)}
        )
    text = json.dumps(measures, indent=1) + "\n"
    (job.out / MEASURES).write_text(text, encoding="utf-8")
    job.notes.update(
        answers=len(answers), doubtful=sum(bool(one.doubts) for one in said), prompts=len(paired)
    )


def _english(job: Job) -> Mapping[str, str]:
    """The suite's English prompts by id; {} if it has none."""
    if "english" not in job.files:
        return {}
    read = partial(read_suite, **job.places["how"])
    rows = rows_of(read, Path(job.places["prompts"]), "en", job.files["english"])
    return {prompt.prompt_id: prompt.text for prompt in rows}
