"""Artifacts -> long tables: the only reader of artifacts, and the contract with the statistics.

    verdicts   one row per (base, tuning, evaluation language, prompt, sample), with its verdict
    answers    the same rows with the texts
    measures   one row per (base, tuning, evaluation language, measure, layer)
    missing    one row per step that has no result, with the reason

Columns are documented in docs/tables.md. Rows are sorted by what identifies them and files hold no
times, so equal results are equal bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polydrift.data import lines
from polydrift.data.answers import read_answers
from polydrift.data.suites import read_suite
from polydrift.disk import plainly, write_atomically
from polydrift.errors import StoreError
from polydrift.steps import ANSWERS, MEASURES, PROMPTS, VERDICTS

_VARIANT: dict[str, pa.DataType] = {
    "base": pa.string(),
    "variant": pa.string(),
    "arm": pa.string(),
    "tuning_language": pa.string(),
    "tuning_seed": pa.int64(),
    "epochs": pa.int64(),
    "evaluation_language": pa.string(),
}
_ROW = {
    **_VARIANT,
    "suite": pa.string(),
    "kind": pa.string(),
    "category": pa.string(),
    "prompt_id": pa.string(),
    "sample": pa.int64(),
}
SCHEMAS: Mapping[str, pa.Schema] = {
    "verdicts": pa.schema(
        {
            **_ROW,
            "judge": pa.string(),
            "verdict": pa.string(),
            "detail": pa.string(),
            "evidence": pa.string(),
            "answer_language": pa.string(),
            "wrong_language": pa.bool_(),
            "score": pa.float64(),
            "votes": pa.list_(pa.string()),
            "translated_from": pa.string(),
            "doubts": pa.list_(pa.string()),
            "untranslated": pa.string(),
        }
    ),
    "answers": pa.schema(
        {
            **_ROW,
            "prompt": pa.string(),
            "answer": pa.string(),
            "finish": pa.string(),
            "prompt_tokens": pa.int64(),
            "answer_tokens": pa.int64(),
            "prompt_truncated": pa.bool_(),
        }
    ),
    "measures": pa.schema(
        {
            **_VARIANT,
            "measure": pa.string(),
            "layer": pa.int64(),
            "value": pa.float64(),
            "n": pa.int64(),
        }
    ),
    "missing": pa.schema(
        {
            "step": pa.string(),
            "kind": pa.string(),
            "base": pa.string(),
            "variant": pa.string(),
            "evaluation_language": pa.string(),
            "reason": pa.string(),
        }
    ),
}
# What identifies a row, in the order of sorting.
_IDENTITY = (*_ROW, "judge", "measure", "layer", "step")

# What only models that judge, and translations, say.
_OF_MODELS = ("score", "votes", "translated_from", "doubts", "untranslated")

Columns = Mapping[str, Any]


def answer_rows(cell: Columns, answered: Path) -> list[dict[str, Any]]:
    """The rows of `answers` from one answer artifact; cell: the columns up to `suite`."""
    prompts = {prompt.prompt_id: prompt for prompt in read_suite(answered / PROMPTS)}
    rows = []
    for answer in read_answers(answered / ANSWERS):
        prompt = prompts[answer.prompt_id]
        row = {**cell, "kind": prompt.kind, "category": prompt.category, "prompt": prompt.text}
        row |= asdict(answer)
        row["answer"] = row.pop("text")
        del row["language"]
        rows.append(row)
    return rows


def verdict_rows(answers: Iterable[Columns], judged: Path, judge: str) -> list[dict[str, Any]]:
    """The rows of `verdicts` from the rows of the answers and the judge artifact over them."""
    verdicts = {(row["prompt_id"], row["sample"]): row for _, row in lines.read(judged / VERDICTS)}
    rows = []
    for answer in answers:
        found = verdicts[answer["prompt_id"], answer["sample"]]
        spoken, asked = found["answer_language"], answer["evaluation_language"]
        rows.append(
            {
                **{name: answer[name] for name in _ROW},
                **{name: found[name] for name in ("verdict", "detail", "evidence")},
                "judge": judge,
                "answer_language": spoken,
                "wrong_language": None if spoken is None else spoken != asked,
                **{name: found.get(name) for name in _OF_MODELS},
            }
        )
    return rows


def measure_rows(cell: Columns, measured: Path) -> list[dict[str, Any]]:
    """The rows of `measures` from one measure artifact; cell: the columns that identify it."""
    found = json.loads((measured / MEASURES).read_text(encoding="utf-8"))
    return [
        {**cell, **row, "value": float("nan") if row["value"] is None else row["value"]}
        for row in found
    ]


def table(name: str, rows: Sequence[Columns]) -> pa.Table:
    """A table of `SCHEMAS` from its rows, sorted by what identifies them (nulls last)."""
    schema = SCHEMAS[name]
    made = pa.Table.from_pylist(list(rows), schema=schema)
    keys = [(column, "ascending") for column in _IDENTITY if column in schema.names]
    return made.sort_by(keys).combine_chunks()


def write(path: Path, data: pa.Table) -> None:
    """Write a table as Parquet, whole or not at all; equal tables give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(data, buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())


def read(path: Path) -> pa.Table:
    """A table that `write` wrote; StoreError if it is missing or damaged."""
    if not path.exists():
        raise StoreError(f"{path} is not there; run the study to make it.")
    try:
        with plainly(path):
            return pq.read_table(path, memory_map=False)
    except pa.ArrowInvalid as error:
        raise StoreError(
            f"{path} is damaged ({error}); delete it and run the study again: it is made anew"
        ) from None
