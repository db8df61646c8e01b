"""Judge answers: one verdict each, whoever gave them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from polydrift.data import lines
from polydrift.data.answers import Answer, read_answers
from polydrift.data.suites import read_suite
from polydrift.errors import PolydriftError
from polydrift.judges.model import ModelJudge, settled
from polydrift.judges.rules import Rules
from polydrift.judges.verdicts import Case, Verdict
from polydrift.steps import ANSWERS, PROMPTS, TRANSLATIONS, VERDICTS, Done, Job
from polydrift.steps.judges import judge_of

Row = dict[str, Any]


def judge(jobs: Sequence[Job]) -> Done:
    """File: verdicts.jsonl, one row per answer, by prompt id and sample.

    Answers of all jobs go to the judge together, so what two variants said alike is judged once.
    """
    started = time.perf_counter()
    good: list[tuple[Job, list[Answer], list[Case], list[Row]]] = []
    for job in jobs:
        try:
            good.append((job, *_read(job)))
        except PolydriftError as error:
            yield job, error
    if not good:
        return
    who, first = judge_of(good[0][0]), good[0][0]
    given = [case for _, _, cases, _ in good for case in cases]
    english = [row for _, _, _, rows in good for row in rows]
    shown = given
    if english:
        shown = [
            Case(row["prompt"], row["text"], "en", case.finish)
            for case, row in zip(given, english, strict=True)
        ]
    verdicts = who.judge(shown, first.progress)
    if english or not isinstance(who, Rules):
        verdicts = [settled(one, case) for one, case in zip(verdicts, given, strict=True)]
    untranslated: list[Verdict | None] = [None] * len(given)
    if first.params.get("untranslated"):
        untranslated = [*who.judge(given)]
    each = zip(verdicts, untranslated, strict=True)
    taken = time.perf_counter() - started
    for job, answers, _, rows in good:
        _write(job, answers, each, rows)
        job.seconds = taken * len(answers) / max(len(given), 1)
        if isinstance(who, ModelJudge):
            _note_usage(job, who, len(given))
        yield job, None


def _read(job: Job) -> tuple[list[Answer], list[Case], list[Row]]:
    """(the answers, the cases that they are, their translations; none where none are wanted)."""
    given = job.inputs["answers"]
    prompts = {prompt.prompt_id: prompt.text for prompt in read_suite(given / PROMPTS)}
    answers = read_answers(given / ANSWERS)
    cases = [Case(prompts[a.prompt_id], a.text, a.language, a.finish) for a in answers]
    if "translations" not in job.inputs:
        return answers, cases, []
    rows = {
        (row["prompt_id"], row["sample"]): dict(row)
        for _, row in lines.read(job.inputs["translations"] / TRANSLATIONS)
    }
    return answers, cases, [rows[a.prompt_id, a.sample] for a in answers]


def _write(
    job: Job,
    answers: Sequence[Answer],
    each: Iterator[tuple[Verdict, Verdict | None]],
    translations: Sequence[Row],
) -> None:
    rows: list[Row] = []
    for place, answer in enumerate(answers):
        verdict, untranslated = next(each)
        row: Row = {
            "prompt_id": answer.prompt_id,
            "sample": answer.sample,
            "verdict": verdict.verdict,
            "detail": verdict.detail,
            "evidence": verdict.evidence,
            "answer_language": verdict.answer_language,
            "score": verdict.score,
            "votes": list(verdict.votes),
        }
        if translations:
            row["translated_from"] = translations[place]["source"]
            row["doubts"] = translations[place]["doubts"]
            row["untranslated"] = untranslated.verdict if untranslated else None
        rows.append(row)
    lines.write(job.out / VERDICTS, rows)
    job.notes.update(Counter(row["verdict"] for row in rows))


def _note_usage(job: Job, who: ModelJudge, together: int) -> None:
    """What the judge's models were asked for all answers judged together; and its cost, if known.

    Local models are kept from cohort to cohort, so their count is that of the process.
    """
    prices = job.places.get("prices", {})
    job.notes["judged_together"] = together
    job.notes["usage"] = {
        name: {
            **{key: getattr(usage, key) for key in ("replies", "read", "written", "again", "cut")},
            **({"cost": usage.cost(tuple(prices[name]))} if name in prices else {}),
        }
        for name, usage in who.usage.items()
    }
