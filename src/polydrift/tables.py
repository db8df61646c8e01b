"""Artifacts -> long tables: the only reader of artifacts, and the contract with the statistics.

    verdicts   one row per (base, tuning, evaluation language, prompt, sample), with its verdict
    answers    the same rows with the texts
    measures   one row per (base, tuning, evaluation language, measure, layer)
    pairs      one row per two adapters, or two languages of a variant, measure and layer
    capability one row per (base, tuning, task, metric); questions: its value of each question
    preferences one row per (base, tuning, evaluation language, instruction, sample, judge)
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
from polydrift.steps import (
    ANSWERS,
    CAPABILITY,
    MEASURES,
    PAIRS,
    PREFERENCES,
    PROMPTS,
    VERDICTS,
)

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
    "pairs": pa.schema(
        {
            **_VARIANT,
            "other_variant": pa.string(),
            "other_language": pa.string(),
            "measure": pa.string(),
            "layer": pa.int64(),
            "value": pa.float64(),
        }
    ),
    "capability": pa.schema(
        {
            **_VARIANT,
            "benchmark": pa.string(),
            "task": pa.string(),
            "metric": pa.string(),
            "filter": pa.string(),
            "value": pa.float64(),
            "stderr": pa.float64(),
            "n": pa.int64(),
            "of": pa.int64(),
            "truncated": pa.int64(),
            "main": pa.bool_(),
            "higher_is_better": pa.bool_(),
            "fewshot": pa.int64(),
            "version": pa.string(),
            "asked": pa.string(),
        }
    ),
    "questions": pa.schema(
        {
            **_VARIANT,
            "benchmark": pa.string(),
            "task": pa.string(),
            "question": pa.int64(),
            "value": pa.float64(),
        }
    ),
    "preferences": pa.schema(
        {
            **_VARIANT,
            "benchmark": pa.string(),
            "prompt_id": pa.string(),
            "sample": pa.int64(),
            "judge": pa.string(),
            "first": pa.float64(),
            "second": pa.float64(),
            "asked": pa.bool_(),
            "length": pa.int64(),
            "reference_length": pa.int64(),
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
_IDENTITY = (
    *(*_VARIANT, "other_variant", "other_language", "suite", "kind", "category"),
    *("benchmark", "task", "metric", "filter", "question"),
    *("prompt_id", "sample", "judge", "measure", "layer", "step"),
)

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


def pair_rows(
    cell: Columns, cells: Mapping[str, Columns], compared: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows of `pairs`, rows of `measures`) from one compare artifact.

    cell: the columns that identify it. cells: those of every variant, by name.
    """
    pairs: list[dict[str, Any]] = []
    single: list[dict[str, Any]] = []
    for row in json.loads((compared / PAIRS).read_text(encoding="utf-8")):
        one, other = row["one"], row["other"]
        value = float("nan") if row["value"] is None else row["value"]
        shown = {"measure": row["measure"], "layer": row["layer"], "value": value}
        if row["of"] == "adapters":
            names = [None if name is None else f"{cell['base']}+{name}" for name in (one, other)]
            own = {**cells[names[0] or ""], "evaluation_language": None}
            more = {"other_variant": names[1], "other_language": None}
        else:
            own = {**cell, "evaluation_language": one}
            more = {"other_variant": None, "other_language": other}
        if other is None:
            single.append({**own, **shown, "n": row["n"]})
        else:
            pairs.append({**own, **more, **shown})
    return pairs, single


def capability_rows(
    cell: Columns, measured: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows of `capability`, rows of `questions`) from one capability artifact."""
    figures: list[dict[str, Any]] = []
    questions: list[dict[str, Any]] = []
    own = {**{name: cell[name] for name in _VARIANT}, "benchmark": cell["suite"]}
    for task in json.loads((measured / CAPABILITY).read_text(encoding="utf-8")):
        same = {name: task[name] for name in ("task", "n", "of", "truncated", "fewshot", "version")}
        for figure in task["figures"]:
            numbers = {
                name: float("nan") if figure[name] is None else figure[name]
                for name in ("value", "stderr")
            }
            figures.append({**own, **same, "asked": task["requests"], **figure, **numbers})
        for number, value in task["questions"]:
            questions.append({**own, "task": task["task"], "question": number, "value": value})
    return figures, questions


def preference_rows(cell: Columns, preferred: Path) -> list[dict[str, Any]]:
    """The rows of `preferences` from one prefer artifact."""
    own = {**{name: cell[name] for name in _VARIANT}, "benchmark": cell["suite"]}
    rows = []
    for _, row in lines.read(preferred / PREFERENCES):
        y = {name: float("nan") if row[name] is None else row[name] for name in ("first", "second")}
        rows.append({**own, **row, **y})
    return rows


def part(name: str, rows: Sequence[Columns]) -> pa.Table:
    """Some rows of a table of `SCHEMAS`: far smaller than the rows themselves."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMAS[name])


def whole(name: str, parts: Sequence[pa.Table]) -> pa.Table:
    """A table from its parts, sorted by what identifies its rows (nulls last)."""
    schema = SCHEMAS[name]
    made = pa.concat_tables([schema.empty_table(), *parts])
    keys = [(column, "ascending") for column in _IDENTITY if column in schema.names]
    return made.sort_by(keys).combine_chunks()


def table(name: str, rows: Sequence[Columns]) -> pa.Table:
    """A table of `SCHEMAS` from its rows, sorted."""
    return whole(name, [part(name, rows)])


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
