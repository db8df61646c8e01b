"""Ask variants of one base the prompts of a suite in one language, or take over answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from polydrift.data.answers import Answer, write_answers
from polydrift.data.foreign import read_answers
from polydrift.data.rows import changed, in_order, rows_digest, rows_of
from polydrift.data.suites import read_suite, write_suite
from polydrift.errors import PolydriftError
from polydrift.seeds import named_seed
from polydrift.steps import ANSWERS, PROMPTS, Done, Job


def answer(jobs: Sequence[Job]) -> Done:
    """Files: prompts.jsonl (a suite of one language) and answers.jsonl, joined by prompt id."""
    if jobs[0].params.get("made_elsewhere"):
        for job in jobs:
            try:
                _take_over(job)
            except PolydriftError as error:
                yield job, error
            else:
                yield job, None
    else:
        yield from _ask(jobs)


def _ask(jobs: Sequence[Job]) -> Done:
    from polydrift.engine.interface import Decoding
    from polydrift.steps.engines import engine_of, record_of
    from polydrift.steps.models import in_turn, usable

    jobs, unusable = usable(jobs)
    yield from unusable
    if not jobs:
        return
    params, files, language = jobs[0].params, jobs[0].files, jobs[0].places["language"]
    places = jobs[0].places
    read = partial(read_suite, **places["how"])
    prompts = rows_of(read, Path(places["prompts"]), language, files["prompts"])
    asked = [(prompt, sample) for prompt in prompts for sample in range(params["samples"])]
    engine = engine_of(jobs)
    for member, generated in engine.answer(
        [prompt.text for prompt, _ in asked],
        Decoding(**params["decoding"]),
        seeds=[
            named_seed("sampling", params["seed"] or 0, prompt.prompt_id, language, sample)
            for prompt, sample in asked
        ],
        progress=in_turn(jobs),
    ):
        job = jobs[member]
        if isinstance(generated, PolydriftError):
            yield job, generated
            continue
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
        record_of(engine, member, job)
        yield job, None


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
