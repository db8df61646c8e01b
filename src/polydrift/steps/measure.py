"""Measure variants in one language: held-out pairs, and the distance from their base inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from polydrift.data.benign import read_examples
from polydrift.data.rows import rows_of
from polydrift.errors import PolydriftError
from polydrift.measures.accuracy import accuracy
from polydrift.measures.perplexity import bits_per_byte, perplexity
from polydrift.steps import MEASURES, Done, Job
from polydrift.steps.inside import Row, inside, row
from polydrift.steps.models import cohort_of, in_turn, usable

Found = tuple[int, list[Row] | PolydriftError]


def measure(jobs: Sequence[Job]) -> Done:
    """File: measures.json, a list of {measure, layer (or null), value (or null for NaN), n}."""
    jobs, unusable = usable(jobs)
    yield from unusable
    rows: dict[int, list[Row]] = {i: [] for i in range(len(jobs))}
    for part in (_heldout, _seen):
        working = [jobs[i] for i in rows]
        if working:
            for i, found in part(working):
                at = jobs.index(working[i])
                if isinstance(found, PolydriftError):
                    del rows[at]
                    yield jobs[at], found
                else:
                    rows[at] += found
    for i, found in rows.items():
        text = json.dumps(found, indent=1) + "\n"
        (jobs[i].out / MEASURES).write_text(text, encoding="utf-8")
        yield jobs[i], None


def _heldout(jobs: Sequence[Job]) -> Iterator[Found]:
    """Accuracy and perplexity on harmless pairs that no variant was tuned on."""
    places = jobs[0].places
    if "heldout" not in jobs[0].files:
        return
    pairs = rows_of(
        read_examples, Path(places["heldout"]), places["language"], jobs[0].files["heldout"]
    )
    asked = [(pair.request, pair.response) for pair in pairs]
    cohort = cohort_of(jobs)
    for i, scores in cohort.score(asked, progress=in_turn(jobs)):
        if isinstance(scores, PolydriftError):
            yield i, scores
            continue
        nats = np.array([one.logprob for one in scores])
        tokens = sum(one.tokens for one in scores)
        size = sum(one.bytes for one in scores)
        jobs[i].seconds = cohort.seconds[i]
        yield (
            i,
            [
                row("perplexity", perplexity(nats.sum(), tokens), tokens),
                row("bits_per_byte", bits_per_byte(nats.sum(), size), size),
                row("accuracy", accuracy([one.greedy for one in scores]), len(scores)),
            ],
        )


def _seen(jobs: Sequence[Job]) -> Iterator[Found]:
    """What is seen inside on the suite's prompts, if the study has a suite."""
    if "prompts" in jobs[0].files:
        yield from inside(jobs)
