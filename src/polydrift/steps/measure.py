"""Measure a variant in one language: held-out pairs, and the distance from its base inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from polydrift.data.benign import read_examples
from polydrift.data.rows import rows_of
from polydrift.data.suites import read_suite
from polydrift.engine.activations import LastToken, last_token
from polydrift.engine.model import Model
from polydrift.engine.score import score
from polydrift.judges.openers import compliances, refusals
from polydrift.measures.accuracy import accuracy
from polydrift.measures.drift import drift
from polydrift.measures.margin import refusal_margin
from polydrift.measures.perplexity import bits_per_byte, perplexity
from polydrift.steps import MEASURES, Job
from polydrift.steps.models import base_model, variant_model


def measure(job: Job) -> None:
    """File: measures.json, a list of {measure, layer (or null), value (or null for NaN), n}."""
    rows: list[dict[str, Any]] = []
    language = job.places["language"]
    with variant_model(job) as model:
        if "heldout" in job.files:
            rows += _heldout(job, model, language)
        if "prompts" in job.files:
            prompts = rows_of(
                read_suite, Path(job.places["prompts"]), language, job.files["prompts"]
            )
            seen = last_token(model, [prompt.text for prompt in prompts])
            unsafe = np.array([prompt.kind == "unsafe" for prompt in prompts], dtype=bool)
            rows += _margin(model, language, seen.logprobs_next[unsafe])
    is_tuned = job.inputs or {"adapter", "tuned_model"} & job.places.keys()
    if is_tuned and job.params.get("drift"):
        base = last_token(base_model(job), [prompt.text for prompt in prompts])
        rows += _drift(base, seen)
    (job.out / MEASURES).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _heldout(job: Job, model: Model, language: str) -> list[dict[str, Any]]:
    pairs = rows_of(read_examples, Path(job.places["heldout"]), language, job.files["heldout"])
    scores = score(model, [(pair.request, pair.response) for pair in pairs])
    nats = np.array([one.logprob for one in scores])
    tokens = sum(one.tokens for one in scores)
    size = sum(one.bytes for one in scores)
    return [
        _row("perplexity", perplexity(nats.sum(), tokens), tokens),
        _row("bits_per_byte", bits_per_byte(nats.sum(), size), size),
        _row("accuracy", accuracy([one.greedy for one in scores]), len(scores)),
    ]


def _margin(model: Model, language: str, logprobs: np.ndarray) -> list[dict[str, Any]]:
    value = refusal_margin(
        logprobs,
        model.chat.first_tokens(refusals(language)),
        model.chat.first_tokens(compliances(language)),
    )
    return [_row("refusal_margin", value, len(logprobs))]


def _drift(base: LastToken, variant: LastToken) -> list[dict[str, Any]]:
    found = drift(base.hidden, variant.hidden)
    n = base.hidden.shape[1]
    return [
        _row(name, value, n, layer)
        for name, values in (("drift_cosine", found.cosine), ("drift_l2", found.relative_l2))
        for layer, value in enumerate(values)
    ]


def _row(name: str, value: float, n: int, layer: int | None = None) -> dict[str, Any]:
    number = float(value)
    return {
        "measure": name,
        "layer": layer,
        "value": None if np.isnan(number) else number,
        "n": int(n),
    }
