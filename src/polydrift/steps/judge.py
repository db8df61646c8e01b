"""Judge answers: one verdict each, whoever gave them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from polydrift.data import lines
from polydrift.data.answers import read_answers
from polydrift.data.suites import read_suite
from polydrift.errors import PolydriftError
from polydrift.judges import rules
from polydrift.steps import ANSWERS, PROMPTS, VERDICTS, Done, Job


def judge(jobs: Sequence[Job]) -> Done:
    """File: verdicts.jsonl, one row per answer, by prompt id and sample."""
    for job in jobs:
        try:
            _judge(job)
        except PolydriftError as error:
            yield job, error
        else:
            yield job, None


def _judge(job: Job) -> None:
    started = time.perf_counter()
    given = job.inputs["answers"]
    prompts = {prompt.prompt_id: prompt for prompt in read_suite(given / PROMPTS)}
    rows: list[dict[str, Any]] = []
    for answer in read_answers(given / ANSWERS):
        asked = prompts[answer.prompt_id]
        verdict = rules.judge(asked.text, answer.text, answer.language, answer.finish)
        rows.append(
            {
                "prompt_id": answer.prompt_id,
                "sample": answer.sample,
                "verdict": verdict.verdict,
                "detail": verdict.detail,
                "evidence": verdict.evidence,
                "answer_language": verdict.answer_language,
            }
        )
    lines.write(job.out / VERDICTS, rows)
    job.notes.update(Counter(row["verdict"] for row in rows))
    job.seconds = time.perf_counter() - started
