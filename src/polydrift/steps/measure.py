"""Measure variants in one language: held-out pairs, a corpus, and how far they moved inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from polydrift.data.benign import read_examples
from polydrift.data.corpora import read_corpus
from polydrift.data.rows import rows_of
from polydrift.engine.texts import Tokens
from polydrift.errors import MeasureError, PolydriftError
from polydrift.measures.accuracy import accuracy
from polydrift.measures.perplexity import bits_per_byte, perplexity, words
from polydrift.steps import MEASURES, Done, Job
from polydrift.steps.inside import Row, inside, row
from polydrift.steps.models import cohort_of, in_turn, usable

WINDOW = 2048  # tokens read at once by a model that does not say what it was made for

Found = tuple[int, list[Row] | PolydriftError]


def measure(jobs: Sequence[Job]) -> Done:
    """Files: measures.json, a list of {measure, layer (or null), value (or null for NaN), n}; and
    directions.safetensors, if the suite allows a refusal direction.
    """
    jobs, unusable = usable(jobs)
    yield from unusable
    rows: dict[int, list[Row]] = {i: [] for i in range(len(jobs))}
    for part in (_heldout, _corpus, _seen):
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


def _corpus(jobs: Sequence[Job]) -> Iterator[Found]:
    """Perplexity on texts that are read and not answered, each from its beginning."""
    places = jobs[0].places
    if "corpus" not in jobs[0].files:
        return
    language = places["language"]
    read = partial(read_corpus, **places["corpus_how"])
    texts = [one.text for one in rows_of(read, Path(places["corpus"]), language,
                                         jobs[0].files["corpus"])]  # fmt: skip
    cohort = cohort_of(jobs)
    window = jobs[0].params["window"] or cohort.model.context or WINDOW
    if cohort.model.context is not None and window > cohort.model.context:
        raise MeasureError(
            f"window = {window} is more than the {cohort.model.context} tokens that "
            f"{cohort.model.source.model} was made for; set a smaller one in [measures.corpus]."
        )
    rows = [row for rows in Tokens(cohort.model).windows(texts, window) for row in rows]
    tokens = sum(len(ids) - start for ids, start in rows)
    size = sum(len(text.encode()) for text in texts)
    number = sum(words(text, language) for text in texts)
    for i, scores in cohort.score_ids(rows, progress=in_turn(jobs)):
        if isinstance(scores, PolydriftError):
            yield i, scores
            continue
        nats = float(np.sum([logprob for logprob, _ in scores]))
        jobs[i].seconds = (jobs[i].seconds or 0.0) + cohort.seconds[i]
        jobs[i].notes["corpus"] = {"texts": len(texts), "windows": len(rows), "window": window}
        yield (
            i,
            [
                row("corpus_token_perplexity", perplexity(nats, tokens), tokens),
                row("corpus_word_perplexity", perplexity(nats, number), number),
                row("corpus_byte_perplexity", perplexity(nats, size), size),
                row("corpus_bits_per_byte", bits_per_byte(nats, size), size),
            ],
        )


def _seen(jobs: Sequence[Job]) -> Iterator[Found]:
    """What is seen inside on the suite's prompts, if the study has a suite."""
    if "prompts" in jobs[0].files:
        yield from inside(jobs)
