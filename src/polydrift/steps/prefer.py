"""Set a variant's answers to instructions beside a reference's, and ask which are better."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polydrift.data import lines
from polydrift.data.answers import Answer, read_answers
from polydrift.data.foreign import read_answers as read_foreign
from polydrift.data.rows import changed, rows_digest
from polydrift.data.suites import read_suite
from polydrift.errors import DataError, PolydriftError
from polydrift.judges.forms import PAIRWISE
from polydrift.judges.model import vendors
from polydrift.judges.pairwise import Pair, PairwiseJudge, Preferences
from polydrift.judges.text import without_thinking
from polydrift.steps import ANSWERS, PREFERENCES, PROMPTS, Done, Job


class _Reference(NamedTuple):
    """The answers that others are set beside, by prompt id and sample, and the file they are in."""

    path: Path
    texts: dict[tuple[str, int], str]

    def beside(self, answers: Sequence[Answer]) -> list[str]:
        """The reference's text for each answer: of the same sample, or the only one there is."""
        once = all(sample == 0 for _, sample in self.texts)
        keys = [(answer.prompt_id, 0 if once else answer.sample) for answer in answers]
        if lacking := [key for key in keys if key not in self.texts]:
            prompt_id, sample = lacking[0]
            raise DataError(
                f"{self.path}: nothing to set beside {len(lacking)} of {len(answers)} answers, "
                f"first to prompt {prompt_id!r}, sample {sample}; give an answer to each "
                "instruction that is asked: one, or as many samples as the study's."
            )
        return [self.texts[key] for key in keys]


def prefer(jobs: Sequence[Job]) -> Done:
    """File: preferences.jsonl, one row per answer and judge, by prompt id, sample and judge.

    All jobs have one reference: the base's answers, or a file's. Their pairs go to the judges
    together, so what two variants said alike is judged once. Texts are compared as they are.
    """
    started = time.perf_counter()
    reference, first = _reference(jobs[0]), jobs[0]
    good: list[tuple[Job, list[Answer], list[Pair]]] = []
    for job in jobs:
        try:
            good.append((job, *_pairs(job, reference)))
        except PolydriftError as error:
            yield job, error
    if not good:
        return
    names, places = first.params["vendors"], first.places
    engine = vendors(names, PAIRWISE, at_once=places["at_once"], cache=places["cache"])
    judge = PairwiseJudge(engine, names, again=1)
    together = [pair for _, _, pairs in good for pair in pairs]
    found = judge.judge(together, good[0][0].progress)
    usage = {name: asdict(one) for name, one in judge.usage.items()}
    taken = time.perf_counter() - started
    start = 0
    for job, answers, pairs in good:
        here = slice(start, start + len(pairs))
        start = here.stop
        said = {name: _part(found[name], here) for name in names}
        rows = [row for name, one in said.items() for row in _rows(name, answers, pairs, one)]
        rows.sort(key=lambda row: (row["prompt_id"], row["sample"], row["judge"]))
        lines.write(job.out / PREFERENCES, rows)
        job.notes.update(
            pairs=len(pairs),
            unparsed={name: one.unparsed for name, one in said.items()},
            judged_together=len(together),
            usage=usage,
        )
        job.seconds = taken * len(pairs) / len(together)
        yield job, None


def _reference(job: Job) -> _Reference:
    """The answers of the base, or those of a file if they are still the ones of the plan."""
    if "reference" in job.inputs:
        path = job.inputs["reference"] / ANSWERS
        answers = read_answers(path)
    else:
        path, language = Path(job.places["reference"]), job.places["language"]
        all_prompts, all_answers = read_foreign(path, **job.places["how"])
        answers = [row for row in all_answers if row.language == language]
        rows: list[Any] = [row for row in all_prompts if row.language == language]
        if rows_digest([*rows, *answers]) != job.files["reference"]:
            raise changed(path, language)
    return _Reference(path, {(one.prompt_id, one.sample): one.text for one in answers})


def _pairs(job: Job, reference: _Reference) -> tuple[list[Answer], list[Pair]]:
    """The answers, by prompt id and sample, and what each is part of."""
    given = job.inputs["answers"]
    asked = {prompt.prompt_id: prompt.text for prompt in read_suite(given / PROMPTS)}
    answers = sorted(read_answers(given / ANSWERS), key=lambda one: (one.prompt_id, one.sample))
    pairs = [
        Pair(asked[one.prompt_id], without_thinking(one.text), without_thinking(other))
        for one, other in zip(answers, reference.beside(answers), strict=True)
    ]
    return answers, pairs


def _part(found: Preferences, here: slice) -> Preferences:
    """What a judge says of some of the pairs."""
    both = found.first[here], found.second[here]
    unread = sum(int(np.isnan(said).sum()) for said in both)
    return Preferences(*both, found.asked[here], unread)


def _rows(
    name: str, answers: Sequence[Answer], pairs: Sequence[Pair], found: Preferences
) -> list[dict[str, Any]]:
    """What one judge says, a row per answer. Lengths: characters."""
    said = zip(
        answers, pairs, _known(found.first), _known(found.second), found.asked.tolist(), strict=True
    )
    return [
        {
            "prompt_id": answer.prompt_id,
            "sample": answer.sample,
            "judge": name,
            "first": first,
            "second": second,
            "asked": asked,
            "length": len(pair.answer),
            "reference_length": len(pair.reference),
        }
        for answer, pair, first, second, asked in said
    ]


def _known(said: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(y) else y for y in said.tolist()]
