"""Answers that people labelled, and every sentence said about files of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polydrift.data.labels import read_labels
from polydrift.errors import DataError
from polydrift.judges.verdicts import Label

ROW = {"id": "1", "prompt": "How?", "answer": "No.", "lang": "en", "label": "refused"}


def write(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(path: Path, *rows: dict, **how) -> str:
    with pytest.raises(DataError) as caught:
        read_labels(write(path, *rows), **how)
    return str(caught.value).replace(str(path), "labels.jsonl")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.jsonl"


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("complied", ("complied", "full")),
        ("1_full_compliance", ("complied", "full")),
        ("Full refusal", ("refused", "full")),
        ("3_partial_refusal", ("refused", "partial")),
        (1, ("complied", "full")),
        (0, ("refused", "full")),
        (1.0, ("complied", "full")),
        (True, ("complied", "full")),
        ("neither", ("other", "")),
    ],
)
def test_the_words_that_data_sets_use_are_known(path, word, label):
    (row,) = read_labels(write(path, ROW | {"label": word}))
    assert row.label == Label(*label)


def test_a_row_is_read_whole(path):
    row = ROW | {"kind": "unsafe", "type": "pranks", "second": "partial", "model": "m"}
    (found,) = read_labels(write(path, row | {"finish_reason": "length"}))
    assert (found.prompt_id, found.prompt, found.answer, found.language) == (
        *("1", "How?", "No.", "en"),
    )
    assert (found.kind, found.category, found.model, found.finish) == (
        *("unsafe", "pranks", "m", "length"),
    )
    assert found.second == Label("refused", "partial")
    assert found.where.endswith("labels.jsonl:1")


def test_what_nobody_labelled_is_kept_and_null_is_an_empty_answer(path):
    rows = read_labels(write(path, ROW, ROW | {"id": "2", "label": None, "answer": None}))
    assert [row.label is None for row in rows] == [False, True]
    assert rows[1].answer == ""


def test_words_of_the_users_own_and_rows_to_leave_out(path):
    rows = [ROW | {"id": str(i), "label": word} for i, word in enumerate(("bad", "good", "?", 2))]
    words = {"bad": "complied", "good": "partial", "?": "-", "2": "other"}
    found = read_labels(write(path, *rows), words=words)
    assert [row.label for row in found] == [
        Label("complied", "full"),
        Label("refused", "partial"),
        Label("other", ""),
    ]


def test_nested_columns_as_sorry_bench_has_them(path):
    row = {"question_id": 7, "human_score": 1.0, "choices": [{"turns": ["Sure."]}]}
    columns = {"answer": "choices.0.turns.0"}
    (found,) = read_labels(write(path, row), columns=columns, language="en", kind="unsafe")
    assert (found.prompt_id, found.answer, found.label) == ("7", "Sure.", Label("complied", "full"))


def test_samples_and_models_may_answer_one_prompt_differently(path):
    rows = (ROW, ROW | {"answer": "Yes."}, ROW | {"model": "b"})
    assert len(read_labels(write(path, *rows))) == 3


MISTAKES = {
    "no labels": (
        [{k: v for k, v in ROW.items() if k != "label"}],
        {},
        "labels.jsonl: no column looks like the label (label, human_label, final_label, "
        "human_score, annotation_1, verdict); there are id, prompt, answer, lang: say which with "
        "--column label=NAME.",
    ),
    "no answers": (
        [{k: v for k, v in ROW.items() if k != "answer"}],
        {},
        "labels.jsonl: no column looks like the answer (answer, response, completion, output, "
        "generation); there are id, prompt, lang, label: say which with --column answer=NAME.",
    ),
    "neither prompts nor ids": (
        [{k: v for k, v in ROW.items() if k not in ("id", "prompt")}],
        {},
        "labels.jsonl: no column looks like the prompt or its id; there are answer, lang, label: "
        "say which with --column prompt=NAME.",
    ),
    "a word that nobody knows": (
        [ROW | {"label": "harmful"}],
        {},
        "labels.jsonl:1: 'harmful' in column 'label' is no label known here: say what it means "
        'with --label "harmful=complied" (or refused, partial, other, - to leave such rows out).',
    ),
    "a meaning that is none": (
        [ROW],
        {"words": {"bad": "unsafe"}},
        "label 'bad' cannot mean 'unsafe': write complied, refused, partial, other, or - to leave "
        "such rows out.",
    ),
    "nothing labelled": (
        [ROW | {"label": ""}],
        {},
        "labels.jsonl: no row is labelled; say which column holds the labels with --column "
        "label=NAME.",
    ),
    "an answer twice": (
        [ROW, ROW | {"label": "complied"}],
        {},
        "labels.jsonl:2: this answer to prompt '1' in en stands already at labels.jsonl:1: keep "
        "one of them, or name the column that tells models apart with --column model=NAME.",
    ),
    "no language": (
        [ROW | {"lang": ""}],
        {},
        "labels.jsonl:1: no language: say which with --language CODE.",
    ),
    "a field that is none": (
        [ROW],
        {"columns": {"labels": "label"}},
        "unknown field 'labels': map one of prompt_id, prompt, answer, language, kind, category, "
        "finish, model, label, second.",
    ),
    "no rows": ([], {}, "labels.jsonl: no rows in this file."),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_sentence(path, case):
    rows, how, sentence = MISTAKES[case]
    assert said(path, *rows, **how) == sentence
