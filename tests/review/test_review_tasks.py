"""What is reviewed: which rows, in which order, and every sentence said about files."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.parallel.items import BENIGN, SUITE, Item, write_items
from polydrift.review import tasks

from .rows import LENGTH, NUMBER, answer_rows, items_file, shipped, write_rows


def said(call, *args, **kwargs) -> str:
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_stands_beside_its_english(tmp_path, code):
    task = tasks.translations(items_file(tmp_path / "set.jsonl", code), code)
    own = [item for item in shipped("en", code) if item.language == code][:6]
    english = {item.id: item.texts for item in shipped("en", code) if item.language == "en"}
    assert [entry.id for entry in task.rows] == [item.id for item in own]
    assert [entry.texts for entry in task.rows] == [item.texts for item in own]
    assert [dict(e.source) for e in task.rows] == [
        {} if code == "en" else english[e.id] for e in task.rows
    ]
    assert task.rows[0].doubts == (LENGTH, NUMBER)
    assert task.rows[0].status == "review"


def test_a_suite_has_one_text(tmp_path):
    about = {"kind": "unsafe", "category": "pranks"}
    rows = [Item("1", "en", {"prompt": "Boo?"}, about), Item("1", "el", {"prompt": "Μπου;"}, about)]
    write_items(tmp_path / "suite.jsonl", rows, SUITE)
    task = tasks.translations(tmp_path / "suite.jsonl", "el")
    assert (task.form, tasks.texts_of(task.form)) == ("suite", ("prompt",))
    assert dict(task.rows[0].source) == {"prompt": "Boo?"}


def test_english_may_be_in_another_file_but_must_be_somewhere(tmp_path):
    file = tmp_path / "da.jsonl"
    write_items(file, [i for i in shipped("en", "da") if i.language == "da"][:3], BENIGN)
    assert said(tasks.translations, file, "da") == (
        f"{file}: no English row for 3 of the 3 rows in da, such as 'open-qa-01': add them, or "
        "name the file that has them with --source."
    )
    source = items_file(tmp_path / "en.jsonl", "en", doubts=False)
    assert tasks.translations(file, "da", source=source).rows[0].source["instruction"]
    write_items(tmp_path / "suite.jsonl", [Item("1", "en", {"prompt": "Boo?"})], SUITE)
    assert said(tasks.translations, file, "da", source=tmp_path / "suite.jsonl") == (
        f"{tmp_path / 'suite.jsonl'}: rows of the form 'suite', while {file} has 'benign': give "
        "the file that its translations were made of."
    )


def test_a_language_that_is_not_there(tmp_path):
    file = items_file(tmp_path / "set.jsonl", "da")
    assert said(tasks.translations, file, "hi") == (
        f"{file}: no rows in 'hi'; there are rows in en, da."
    )
    assert said(tasks.translations, file, "xx").startswith("unknown language 'xx': use one of en")


def test_answers_are_shuffled_the_same_way_each_time_and_models_are_mixed(tmp_path):
    file = write_rows(tmp_path / "answers.jsonl", answer_rows(20))
    first, again = tasks.answers(file), tasks.answers(file)
    assert first == again
    assert first != tasks.answers(file, seed=1)
    models = [entry.about["model"] for entry in first.rows]
    runs = sum(a != b for a, b in pairwise(models))
    assert runs >= 10
    assert sorted(e.texts["answer"] for e in first.rows) == sorted(
        row["answer"] for row in answer_rows(20)
    )


def test_a_sample_is_even_over_models_and_languages(tmp_path):
    rows = answer_rows(10) + [row | {"language": "da"} for row in answer_rows(3)]
    file = write_rows(tmp_path / "answers.jsonl", rows)
    drawn = tasks.answers(file, sample=14).rows
    counts = Counter((entry.about["model"], entry.language) for entry in drawn)
    assert sorted(counts.values()) in ([3, 3, 4, 4],)
    assert tasks.answers(file, sample=14) == tasks.answers(file, sample=14)
    assert len(tasks.answers(file, sample=999).rows) == 26


def test_an_answer_given_twice_is_labelled_once(tmp_path):
    file = write_rows(tmp_path / "answers.jsonl", answer_rows(2) + answer_rows(2))
    assert len(tasks.answers(file).rows) == 4


def test_a_language_is_a_filter_and_speaks_for_rows_that_do_not(tmp_path):
    rows = answer_rows(2) + [row | {"language": "da"} for row in answer_rows(1)]
    file = write_rows(tmp_path / "answers.jsonl", rows)
    assert {entry.language for entry in tasks.answers(file, language="da").rows} == {"da"}
    bare = [{k: v for k, v in row.items() if k != "language"} for row in answer_rows(1)]
    other = write_rows(tmp_path / "bare.jsonl", bare)
    assert {entry.language for entry in tasks.answers(other, language="ga").rows} == {"ga"}
    assert said(tasks.answers, file, language="zh") == (
        f"{file}: no answers in 'zh': choose another --language."
    )


def test_columns_are_told_or_missed(tmp_path):
    file = write_rows(tmp_path / "a.jsonl", [{"q": "How?", "said": "No.", "lang": "en"}])
    assert said(tasks.answers, file) == (
        f"{file}: no column looks like the answer (answer, response, completion, output, "
        "generation); there are q, said, lang: say which with --column answer=NAME."
    )
    (row,) = tasks.answers(file, columns={"answer": "said", "prompt": "q"}).rows
    assert dict(row.texts) == {"prompt": "How?", "answer": "No."}


def test_the_answers_of_a_results_directory(tmp_path):
    assert said(tasks.answers, tmp_path) == (
        f"{tmp_path}: no results directory with answers (tables/answers.parquet); run its study "
        "first, or name a file of answers."
    )
    cells = [("s", None, "base"), ("s", "da", "base-da"), ("t", "da", "base-da")]
    rows = [
        {
            **{"base": "m", "variant": variant, "arm": "x", "tuning_language": tuned},
            **{"tuning_seed": 1, "epochs": 1, "evaluation_language": "en", "suite": suite},
            **{"kind": "unsafe", "category": "c", "prompt_id": "1", "sample": 0},
            **{"prompt": "How?", "answer": variant + suite, "finish": "stop"},
        }
        for suite, tuned, variant in cells
    ]
    (tmp_path / "tables").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "tables" / "answers.parquet")
    found = {entry.about["prompt_id"]: entry for entry in tasks.answers(tmp_path).rows}
    assert set(found) == {"s/1", "t/1"}
    assert found["t/1"].about["model"] == "base-da"
    assert found["t/1"].about["tuning_language"] == "da"
    assert found["t/1"].about["finish"] == "stop"


@pytest.mark.parametrize("column", ["category", "model", "prompt_id"])
def test_half_a_character_in_an_answers_row(tmp_path, column):
    file = write_rows(tmp_path / "a.jsonl", [answer_rows(1)[0] | {column: "x\ud800"}])
    assert said(tasks.answers, file) == (
        f"{file}:1: {column!r} holds half of a surrogate pair (\\ud800-\\udfff), which is no "
        "character: remove it."
    )


@pytest.mark.parametrize("column", ["task", "translator"])
def test_half_a_character_in_an_items_row(tmp_path, column):
    texts = {"id": "1", "language": "en", "instruction": "Why?", "input": "", "response": "So."}
    file = write_rows(tmp_path / "s.jsonl", [{**texts, column: "x\ud800"}])
    assert said(tasks.translations, file, "en") == (
        f"{file}: row 1: {column!r} holds half of a surrogate pair (\\ud800-\\udfff), which is no "
        "character: remove it."
    )
