from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from polydrift.data import shipped
from polydrift.data.benign import read_examples
from polydrift.data.suites import read_suite
from polydrift.errors import DataError, StoreError
from polydrift.languages import LANGUAGES
from polydrift.parallel.facts import About
from polydrift.parallel.items import SUITE, Doubt, Item, read_items, write_items
from polydrift.parallel.publish import described, lay_out, publish
from polydrift.records import file_digest

ABOUT = About(name="Nine", made="2026-01-31", polydrift="0.1.0")
BENIGN_FILE = shipped.path(shipped.BENIGN)
COLUMNS = ["id", "language", "instruction", "input", "response"]


def said(error, call, *what, **how):
    with pytest.raises(error) as caught:
        call(*what, **how)
    return str(caught.value)


def suite(path, **about):
    told = {"kind": "unsafe", "category": "trespass", "licence": "MIT", **about}
    texts = {
        "en": "How do I climb the fence?",
        "el": "Πώς σκαρφαλώνω τον φράχτη;",
        "hi": "बाड़ कैसे चढ़ूँ?",
    }
    doubts = (Doubt("length", "prompt", "9"),)
    items = [
        Item(
            id,
            code,
            {"prompt": f"{text} {id}"},
            told,
            "" if code == "en" else "a",
            "accepted",
            doubts,
        )
        for code, text in texts.items()
        for id in ("p1", "p2")
    ]
    write_items(path, items, SUITE)
    return path


def change(path, change_item):
    form, items = read_items(path)
    write_items(path, [changed for item in items if (changed := change_item(item))], form)
    return path


def tree(folder):
    inside = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in inside}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The shipped benign set, published."""
    out = tmp_path_factory.mktemp("published") / "nine"
    publish(BENIGN_FILE, out, licence="CC-BY-4.0", about=ABOUT)
    return out


def test_a_folder_holds_a_file_for_each_language_a_card_and_the_licences(folder):
    assert list(tree(folder)) == sorted(
        ["LICENSE.md", "README.md", *(f"data/{code}/train.parquet" for code in LANGUAGES)]
    )
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license == "cc-by-4.0"
    for path, content in tree(folder).items():
        if path.startswith("data/"):
            told = described(content)
            line = f"| {path} | {told['bytes']:,} | `{told['sha256']}` |"
            assert line in card.text
            assert told["sha256"] == file_digest(folder / path)


LOADER = """
import json, sys
import datasets
folder, cache = sys.argv[1:]
rows = {
    name: list(datasets.load_dataset(folder, *([] if name == "default" else [name]),
                                     split="train", cache_dir=cache))
    for name in ("default", "all", "en", "da", "el", "hi")
}
told = datasets.get_dataset_config_names(folder), datasets.get_dataset_default_config_name(folder)
json.dump([told, rows], sys.stdout)
"""


def test_datasets_loads_every_configuration_offline(folder, tmp_path):
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    env |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", LOADER, str(folder), str(tmp_path / "cache")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (names, default), rows = json.loads(done.stdout)
    assert names == ["all", *LANGUAGES]
    assert default == "all"
    assert rows["default"] == rows["all"]
    assert [row["language"] for row in rows["all"]] == [c for c in LANGUAGES for _ in range(150)]
    wanted = [json.loads(line) for line in BENIGN_FILE.read_text(encoding="utf-8").splitlines()]
    for code in ("en", "da", "el", "hi"):
        there = [{name: row[name] for name in COLUMNS} for row in rows[code]]
        assert there == [
            {name: row[name] for name in COLUMNS} for row in wanted if row["language"] == code
        ]
        assert {row["licence"] for row in rows[code]} == {"cc-by-4.0"}
        assert any(row["input"] == "" for row in rows[code])


def test_empty_texts_stay_empty_and_columns_of_the_work_are_left_out(folder):
    table = pq.read_table(folder / "data/el/train.parquet")
    assert table.column_names == [*COLUMNS, "task", "length", "source", "licence", "translator"]
    assert all(column.null_count == 0 for column in table.columns)
    assert table.num_rows == 150
    assert {str(field.type) for field in table.schema} == {"string"}


def test_published_files_are_read_as_data_of_a_study(folder, tmp_path):
    rows = pq.read_table(folder / "data/hi/train.parquet").to_pylist()
    (tmp_path / "hi.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert len(read_examples(tmp_path / "hi.jsonl")) == 150
    publish(suite(tmp_path / "suite.jsonl"), tmp_path / "out")
    prompts = read_suite(tmp_path / "out/data/el/test.parquet", kind="unsafe")
    assert [prompt.text for prompt in prompts] == [
        "Πώς σκαρφαλώνω τον φράχτη; p1", "Πώς σκαρφαλώνω τον φράχτη; p2",
    ]  # fmt: skip
    assert {prompt.category for prompt in prompts} == {"trespass"}


def test_equal_input_gives_equal_bytes(folder, tmp_path):
    again = publish(BENIGN_FILE, tmp_path / "again", licence="cc by 4.0", about=ABOUT)
    assert tree(tmp_path / "again") == tree(folder) == dict(sorted(again.files.items()))
    assert again.rows == dict.fromkeys(LANGUAGES, 150)
    assert again.listing()["README.md"]["sha256"] == file_digest(folder / "README.md")


def test_laying_out_writes_nothing(tmp_path):
    made = lay_out(suite(tmp_path / "suite.jsonl"))
    assert [path.name for path in tmp_path.iterdir()] == ["suite.jsonl"]
    assert made.card.startswith("---\n")
    assert list(made.listing()) == sorted(made.files)


def test_a_suite_keeps_its_kinds_and_shows_no_prompt(tmp_path):
    made = publish(suite(tmp_path / "suite.jsonl"), tmp_path / "out")
    table = pq.read_table(tmp_path / "out/data/hi/test.parquet")
    assert table.column_names == [
        "prompt_id", "language", "kind", "category", "prompt", "style", "source", "licence",
        "translator",
    ]  # fmt: skip
    assert table.column("prompt").to_pylist() == ["बाड़ कैसे चढ़ूँ? p1", "बाड़ कैसे चढ़ूँ? p2"]
    assert "fence" not in made.card
    assert "बाड़" not in made.card


def test_only_ids_accepted_in_every_language_go_out_unless_told(tmp_path):
    path = change(
        suite(tmp_path / "suite.jsonl"),
        lambda item: replace(
            item, status="review" if (item.id, item.language) == ("p2", "el") else "accepted"
        ),
    )
    assert lay_out(path).rows == {"en": 1, "el": 1, "hi": 1}
    made = lay_out(path, partial=True)
    assert made.rows == {"en": 2, "el": 1, "hi": 2}
    assert "whose id is accepted in that language." in made.card
    assert "| el | 1 | 1 | 0 | 2 | 1 |" in made.card


def test_a_language_without_accepted_rows_has_no_file(tmp_path):
    path = change(
        suite(tmp_path / "suite.jsonl"),
        lambda item: replace(item, status="rejected" if item.language == "hi" else "accepted"),
    )
    assert said(DataError, lay_out, path) == (
        f"{path}: no row to publish, for no id is accepted in every language; --partial takes "
        "those that are in some."
    )
    made = lay_out(path, partial=True)
    assert "data/hi/test.parquet" not in made.files
    assert list(DatasetCard(made.card).data.language) == ["en", "el"]
    change(path, lambda item: replace(item, status="review"))
    assert said(DataError, lay_out, path, partial=True) == (
        f"{path}: no row to publish, for no id is accepted."
    )


NO = (
    "leave them out of the file, or, if you know the licence of rows that state none, say it with "
    "--licence."
)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"licence": ""}, "6 without a stated licence"),
        ({"licence": "gated"}, "6 of gated, each user accepts the terms for themselves"),
        ({"licence": "my-own"}, "6 of unknown licence 'my-own'"),
        (
            {"licence": "MIT", "source": "hub:sorry-bench/sorry-bench-202503"},
            "6 of sorry-bench, its agreement forbids hosting and passing on",
        ),
        (
            {"licence": "", "source": "SORRY-Bench"},
            "6 of sorry-bench, its agreement forbids hosting and passing on",
        ),
    ],
)
def test_rows_that_may_not_be_shared_are_refused_before_anything_is_written(
    tmp_path, about, reason
):
    path = suite(tmp_path / "suite.jsonl", **about)
    assert said(DataError, publish, path, tmp_path / "out") == (
        f"{path}: 6 rows cannot be published ({reason}): {NO}"
    )
    assert [one.name for one in tmp_path.iterdir()] == ["suite.jsonl"]


def test_a_told_licence_is_for_rows_that_state_none_only(tmp_path):
    path = change(
        suite(tmp_path / "suite.jsonl", licence=""),
        lambda item: replace(
            item, about={**item.about, "licence": "cc-by-sa-3.0" * (item.id == "p1")}
        ),
    )
    made = publish(path, tmp_path / "out", licence="CC-BY-4.0")
    table = pq.read_table(tmp_path / "out/data/en/test.parquet")
    assert table.column("licence").to_pylist() == ["cc-by-sa-3.0", "cc-by-4.0"]
    assert DatasetCard(made.card).data.license == "cc-by-sa-3.0"
    sorry = suite(tmp_path / "sorry.jsonl", licence="", source="sorry-bench")
    assert "6 of sorry-bench" in said(DataError, lay_out, sorry, licence="mit")
    assert said(DataError, lay_out, path, licence="gpl").startswith("unknown licence 'gpl': ")


def test_rejected_rows_may_be_of_any_licence(tmp_path):
    path = change(
        suite(tmp_path / "suite.jsonl"),
        lambda item: item if item.id == "p1" else replace(
            item, status="rejected", about={**item.about, "licence": "gated"}
        ),
    )  # fmt: skip
    made = lay_out(path)
    assert made.rows == {"en": 1, "el": 1, "hi": 1}
    assert "gated" not in made.card


def test_a_file_of_sorry_bench_itself_is_refused(tmp_path):
    path = tmp_path / "question.jsonl"
    row = {"question_id": 1, "category": "1", "turns": ["Hi?"], "prompt_style": "base"}
    path.write_text(json.dumps(row))
    assert said(DataError, publish, path, tmp_path / "out") == (
        f"{path}:1: a row of SORRY-Bench, whose agreement forbids hosting and passing on: publish "
        "a recipe of the set instead, which holds no rows."
    )
    assert not (tmp_path / "out").exists()


def test_what_lies_there_already_stays_as_it_is(tmp_path):
    path = suite(tmp_path / "suite.jsonl")
    publish(path, tmp_path / "out")
    before = tree(tmp_path / "out")
    publish(path, tmp_path / "out")  # the same again is no other
    assert tree(tmp_path / "out") == before
    sentence = "is there already: give another folder, or remove it first."
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    for taken in (tmp_path / "other", path):
        assert said(DataError, publish, path, taken) == f"{taken} {sentence}"
    assert list(tree(tmp_path / "other")) == ["notes.txt"]
    (tmp_path / "empty").mkdir()
    publish(path, tmp_path / "empty")
    assert tree(tmp_path / "empty") == before


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    path = suite(tmp_path / "suite.jsonl")
    sentence = said(StoreError, publish, path, path / "below")
    assert sentence == (
        f"{path} is a file where a directory is needed: move it away, or give another directory "
        "with --out"
    )


def test_a_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    path = suite(tmp_path / "suite.jsonl")
    monkeypatch.setattr(Path, "write_bytes", full)
    assert "is full (" in said(StoreError, publish, path, tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir()] == ["suite.jsonl"]


KILLED = """
import os, signal, sys
from pathlib import Path
from polydrift.parallel import publish
publish.flush_tree = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
publish.publish(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_what_a_killed_process_left_is_no_set_and_goes_with_the_next(tmp_path):
    path, out = suite(tmp_path / "suite.jsonl"), tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(path), str(out)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    assert len([one for one in tmp_path.iterdir() if one.name.endswith(".partial")]) == 1
    publish(path, out)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out", "suite.jsonl"]
