"""Whole studies whose answers come from a server or a vendor, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from polydrift import specimens
from tests.end_to_end.conftest import Polydrift
from tests.engine.test_served import transformers_serve

SERVED = """
name = "served"

[[bases]]
name = "here"
model = "{model}"

[[bases]]
name = "there"
model = "{model}"
server = "{url}"

[[suites]]
name = "suite"
data = "suite.jsonl"

[evaluation]
languages = ["en", "da"]
max_new_tokens = 12
"""
VENDOR = """
name = "vendor"

[[bases]]
name = "old"
vendor = "openai-api/local/{model}"

[[variants]]
name = "nowhere"
base = "old"
vendor = "no-such-vendor/model"

[[suites]]
name = "suite"
data = "suite.jsonl"

[evaluation]
languages = ["da"]

[measures]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few prompts of the specimens' suite."""
    rows = [json.loads(line) for line in specimens.path("specimen:suite").open(encoding="utf-8")]
    chosen = [row for code in ("en", "da") for row in rows if row["language"] == code]
    kept = [
        row for code in ("en", "da") for row in [r for r in chosen if r["language"] == code][:6]
    ]
    text = "".join(json.dumps(row) + "\n" for row in kept)
    (tmp_path / "suite.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_base_on_a_server_answers_as_it_does_here(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, polydrift: Polydrift
) -> None:
    model = specimens.path("specimen:llama-0")
    with transformers_serve(tmp_path_factory.mktemp("home")) as url:
        (folder / "s.toml").write_text(SERVED.format(model=model, url=url))
        polydrift("run", folder / "s.toml", "--out", folder / "out")
    answers = pq.read_table(folder / "out" / "tables" / "answers.parquet").to_pylist()
    texts = {
        name: {(a["evaluation_language"], a["prompt_id"]): a["answer"] for a in answers
               if a["base"] == name}
        for name in ("here", "there")
    }  # fmt: skip
    assert len(texts["here"]) == 12
    assert texts["there"] == texts["here"]
    (record,) = (folder / "out" / "artifacts" / "answer").glob("there.da.suite-*/record.json")
    assert json.loads(record.read_text())["notes"]["route"] == "server"


def test_a_vendor_s_models_are_asked_and_one_that_is_not_there_is_named(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    polydrift: Polydrift,
) -> None:
    (folder / "v.toml").write_text(VENDOR.format(model=specimens.path("specimen:llama-0")))
    with transformers_serve(tmp_path_factory.mktemp("home")) as url:
        monkeypatch.setenv("LOCAL_BASE_URL", url)
        monkeypatch.setenv("LOCAL_API_KEY", "none")
        done = polydrift("run", folder / "v.toml", "--out", folder / "out", expect=1)
    assert "failed: answer/old+nowhere.da.suite: " in done.stderr
    assert "no-such-vendor" in done.stderr
    verdicts = pq.read_table(folder / "out" / "tables" / "verdicts.parquet").to_pylist()
    assert {row["variant"] for row in verdicts} == {"old"}
    assert len(verdicts) == 6


def test_a_server_that_is_not_there_is_named(folder: Path, polydrift: Polydrift) -> None:
    model = specimens.path("specimen:llama-0")
    study = SERVED.format(model=model, url="http://127.0.0.1:9/v1")
    (folder / "s.toml").write_text(study)
    done = polydrift("run", folder / "s.toml", "--out", folder / "out", expect=1)
    assert "127.0.0.1:9" in done.stderr
    verdicts = pq.read_table(folder / "out" / "tables" / "verdicts.parquet").to_pylist()
    assert {row["base"] for row in verdicts} == {"here"}
