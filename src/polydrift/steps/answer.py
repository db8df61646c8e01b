"""Ask a variant the prompts of a suite in one language, or take over answers made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polydrift.data.answers import Answer, write_answers
from polydrift.data.foreign import read_answers
from polydrift.data.rows import changed, in_order, rows_digest, rows_of
from polydrift.data.suites import read_suite, write_suite
from polydrift.seeds import named_seed
from polydrift.steps import ANSWERS, PROMPTS, Job


def answer(job: Job) -> None:
    """Files: prompts.jsonl (a suite of one language) and answers.jsonl, joined by prompt id."""
    if job.params.get("made_elsewhere"):
        _take_over(job)
    else:
        _ask(job)


def _ask(job: Job) -> None:
    from polydrift.engine.answer import Decoding
    from polydrift.engine.answer import answer as generate
    from polydrift.steps.models import variant_model

    params, language = job.params, job.places["language"]
    prompts = rows_of(read_suite, Path(job.places["prompts"]), language, job.files["prompts"])
    asked = [(prompt, sample) for prompt in prompts for sample in range(params["samples"])]
    with variant_model(job) as model:
        generated = generate(
            model,
            [prompt.text for prompt, _ in asked],
            Decoding(**params["decoding"]),
            seeds=[
                named_seed("sampling", params["seed"] or 0, prompt.prompt_id, language, sample)
                for prompt, sample in asked
            ],
            progress=job.progress,
        )
    answers = [
        Answer(
            prompt_id=prompt.prompt_id,
            language=language,
            sample=sample,
            text=one.text,
            finish=one.finish,
            prompt_tokens=one.prompt_tokens,
            answer_tokens=one.answer_tokens,
            prompt_truncated=one.prompt_truncated,
        )
        for (prompt, sample), one in zip(asked, generated, strict=True)
    ]
    write_suite(job.out / PROMPTS, prompts)
    write_answers(job.out / ANSWERS, answers)
    job.notes.update(
        answers=len(answers),
        tokens=sum(one.answer_tokens for one in answers),
        prompts_truncated=sum(one.prompt_truncated for one in answers),
    )


def _take_over(job: Job) -> None:
    path, language = Path(job.places["answers"]), job.places["language"]
    all_prompts, all_answers = read_answers(path, **job.places["how"])
    prompts = in_order(row for row in all_prompts if row.language == language)
    answers = in_order(row for row in all_answers if row.language == language)
    rows: list[Any] = [*prompts, *answers]
    if rows_digest(rows) != job.files["answers"]:
        raise changed(path, language)
    write_suite(job.out / PROMPTS, prompts)
    write_answers(job.out / ANSWERS, answers)
    job.notes.update(answers=len(answers), taken_from=path.name)
