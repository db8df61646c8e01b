"""Measure variants in one language: held-out pairs, and the distance from their base inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from polydrift.data.benign import read_examples
from polydrift.data.rows import rows_of
from polydrift.data.suites import read_suite
from polydrift.engine.activations import LastToken, last_token
from polydrift.engine.model import Model
from polydrift.errors import PolydriftError
from polydrift.judges.openers import compliances, refusals
from polydrift.measures.accuracy import accuracy
from polydrift.measures.drift import drift
from polydrift.measures.margin import refusal_margin
from polydrift.measures.perplexity import bits_per_byte, perplexity
from polydrift.steps import MEASURES, Done, Job
from polydrift.steps.models import base_model, cohort_of, in_turn, usable

Row = dict[str, Any]
Found = tuple[int, list[Row] | PolydriftError]


def measure(jobs: Sequence[Job]) -> Done:
    """File: measures.json, a list of {measure, layer (or null), value (or null for NaN), n}."""
    jobs, unusable = usable(jobs)
    yield from unusable
    rows: dict[int, list[Row]] = {i: [] for i in range(len(jobs))}
    for part in (_heldout, _inside):
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
                _row("perplexity", perplexity(nats.sum(), tokens), tokens),
                _row("bits_per_byte", bits_per_byte(nats.sum(), size), size),
                _row("accuracy", accuracy([one.greedy for one in scores]), len(scores)),
            ],
        )


def _inside(jobs: Sequence[Job]) -> Iterator[Found]:
    """The refusal margin at the first token, and how far each layer is from the base's."""
    places = jobs[0].places
    if "prompts" not in jobs[0].files:
        return
    prompts = rows_of(
        partial(read_suite, **places["how"]),
        Path(places["prompts"]),
        places["language"],
        jobs[0].files["prompts"],
    )
    texts = [prompt.text for prompt in prompts]
    unsafe = np.array([prompt.kind == "unsafe" for prompt in prompts], dtype=bool)
    cohort = cohort_of(jobs)
    base: LastToken | None = None
    for i, seen in cohort.last_tokens(texts, progress=in_turn(jobs)):
        if isinstance(seen, PolydriftError):
            yield i, seen
            continue
        job = jobs[i]
        job.seconds = (job.seconds or 0.0) + cohort.seconds[i]
        try:
            rows = _margin(cohort.model, places["language"], seen.logprobs_next[unsafe])
            if not (job.inputs or {"adapter", "tuned_model"} & job.places.keys()):
                base = seen  # the base comes before its variants
            elif job.params.get("drift"):
                base = base or last_token(base_model(job), texts)
                rows += _drift(base, seen)
        except PolydriftError as error:
            yield i, error
        else:
            yield i, rows


def _margin(model: Model, language: str, logprobs: np.ndarray) -> list[Row]:
    value = refusal_margin(
        logprobs,
        model.chat.first_tokens(refusals(language)),
        model.chat.first_tokens(compliances(language)),
    )
    return [_row("refusal_margin", value, len(logprobs))]


def _drift(base: LastToken, variant: LastToken) -> list[Row]:
    found = drift(base.hidden, variant.hidden)
    n = base.hidden.shape[1]
    return [
        _row(name, value, n, layer)
        for name, values in (("drift_cosine", found.cosine), ("drift_l2", found.relative_l2))
        for layer, value in enumerate(values)
    ]


def _row(name: str, value: float, n: int, layer: int | None = None) -> Row:
    number = float(value)
    return {
        "measure": name,
        "layer": layer,
        "value": None if np.isnan(number) else number,
        "n": int(n),
    }
