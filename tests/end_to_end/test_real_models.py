"""A whole study on models that are no specimens, through the path that a user takes.

The hub cannot be reached by tests, so the models are random ones of each family with its full
vocabulary, its real configuration fields and its real chat template, saved as directories.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.conftest import Polydrift
from tests.engine.factory import FAMILIES, make_model

STUDY = """
name = "real"

[[bases]]
name = "{family}"
model = "{family}"
dtype = "bfloat16"

[[tuning]]
name = "benign"
data = "benign.jsonl"
languages = ["hi"]
rank = 4
batch_size = 2

[[suites]]
name = "suite"
data = "suite.jsonl"

[evaluation]
languages = ["en", "hi"]
temperature = 0.7
samples = 2
max_new_tokens = 5

[measures]
heldout = "benign.jsonl"
"""
REQUESTS = {"en": "What is the capital of Denmark?", "hi": "डेनमार्क की राजधानी क्या है?"}
RESPONSES = {"en": "Copenhagen.", "hi": "कोपेनहेगन।"}


def write_data(folder: Path) -> None:
    suite, benign = [], []
    for code, text in REQUESTS.items():
        for i in range(4):
            suite.append(
                {
                    "prompt_id": f"p{i}",
                    "language": code,
                    "kind": ("unsafe", "safe-lookalike")[i % 2],
                    "category": "test",
                    "prompt": f"{text} ({i})",
                }
            )
            benign.append(
                {
                    "id": str(i),
                    "language": code,
                    "instruction": f"{text} ({i})",
                    "input": "",
                    "response": RESPONSES[code],
                }
            )
    for name, rows in (("suite", suite), ("benign", benign)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_study_on_a_model_from_a_directory(
    family: str, polydrift: Polydrift, tmp_path: Path
) -> None:
    make_model(family, tmp_path / family, full_vocabulary=True)
    write_data(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY.format(family=family), encoding="utf-8")
    out = tmp_path / "out"
    polydrift("run", tmp_path / "study.toml", "--out", out, "--workers", 1)
    verdicts = pq.read_table(out / "tables" / "verdicts.parquet")
    assert verdicts.num_rows == 2 * 2 * 4 * 2  # variants, languages, prompts, samples
    measures = pq.read_table(out / "tables" / "measures.parquet").to_pylist()
    drift = [row["value"] for row in measures if row["measure"] == "drift_cosine"]
    assert drift
    assert all(0 <= value < 1 for value in drift)

    # the adapter that the study tuned, audited as somebody else's
    adapter = next((out / "artifacts" / "tune").iterdir())
    audited = tmp_path / "audited"
    polydrift(
        *("audit", "--base", tmp_path / family, "--tuned", adapter),
        *("--suite", tmp_path / "suite.jsonl", "--language", "hi", "--max-new-tokens", 5),
        *("--out", audited, "--workers", 1),
    )
    found = pq.read_table(audited / "tables" / "verdicts.parquet")
    assert found.num_rows == 2 * 4
