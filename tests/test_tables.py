from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from polydrift import tables
from polydrift.data import lines
from polydrift.data.answers import Answer, write_answers
from polydrift.data.suites import Prompt, write_suite
from polydrift.errors import StoreError
from polydrift.step import Cell

CELL = asdict(Cell("a", "a+x", "x", "da", 1, 3, "ga", "s"))


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """An answer and a judge artifact whose rows stand in different orders."""
    prompts = [Prompt(str(i), "ga", "unsafe", "c", f"prompt {i}") for i in range(3)]
    write_suite(tmp_path / "prompts.jsonl", prompts)
    write_answers(
        tmp_path / "answers.jsonl",
        [Answer(str(i), "ga", s, f"answer {i}.{s}", "stop", 5, 2, False)
         for i in (2, 0, 1) for s in (1, 0)],
    )  # fmt: skip
    lines.write(
        tmp_path / "verdicts.jsonl",
        [
            {
                "prompt_id": str(i),
                "sample": s,
                "verdict": "refused",
                "detail": f"{i}.{s}",
                "evidence": "",
                "answer_language": ("ga", "en", None)[i],
            }
            for s in (0, 1)
            for i in range(3)
        ],
    )
    return tmp_path


def test_rows_are_joined_by_prompt_and_sample_never_by_position(artifacts: Path) -> None:
    answers = tables.answer_rows(CELL, artifacts)
    made = tables.table("verdicts", tables.verdict_rows(answers, artifacts, "rules")).to_pylist()
    assert len(made) == 6
    for row in made:
        assert row["detail"] == f"{row['prompt_id']}.{row['sample']}"
        assert row["wrong_language"] == {"0": False, "1": True, "2": None}[row["prompt_id"]]
    for row in tables.table("answers", answers).to_pylist():
        assert row["answer"] == f"answer {row['prompt_id']}.{row['sample']}"
        assert row["prompt"] == f"prompt {row['prompt_id']}"


def test_equal_rows_are_equal_bytes_in_any_order(artifacts: Path, tmp_path: Path) -> None:
    rows = tables.answer_rows(CELL, artifacts)
    tables.write(tmp_path / "a.parquet", tables.table("answers", rows))
    tables.write(tmp_path / "b.parquet", tables.table("answers", rows[::-1]))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_measure_that_is_undefined_is_nan_and_not_zero(tmp_path: Path) -> None:
    found = [{"measure": "accuracy", "layer": None, "value": None, "n": 0}]
    (tmp_path / "measures.json").write_text(json.dumps(found))
    cell = {name: value for name, value in CELL.items() if name != "suite"}
    (row,) = tables.table("measures", tables.measure_rows(cell, tmp_path)).to_pylist()
    assert math.isnan(row["value"])
    assert row["layer"] is None


@pytest.mark.parametrize("name", tables.SCHEMAS)
def test_a_table_without_rows_has_all_its_columns(name: str, tmp_path: Path) -> None:
    tables.write(tmp_path / "t.parquet", tables.table(name, []))
    read = tables.read(tmp_path / "t.parquet")
    assert isinstance(read, pa.Table)
    assert read.schema.equals(tables.SCHEMAS[name])


def test_the_documented_columns_are_the_tables(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "tables.md").read_text(encoding="utf-8")
    for schema in tables.SCHEMAS.values():
        for column in schema.names:
            assert f"`{column}`" in text, f"docs/tables.md does not tell of {column}"


def test_a_table_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(StoreError, match=r"t\.parquet"):
        tables.read(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(StoreError, match=r"t\.parquet is damaged .* delete it and run the study"):
        tables.read(path)
