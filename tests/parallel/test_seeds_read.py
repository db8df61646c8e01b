"""Seeds of any origin: columns found or told, rows left out and said so, every sentence."""

from __future__ import annotations

import json

import pytest

from polydrift.data import shipped
from polydrift.data.mapping import hashed
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.parallel.items import Item
from polydrift.parallel.seeds import UNKNOWN, read_prompts, read_seeds, written

DOLLY = {
    "instruction": "Name three trees.",
    "context": "",
    "response": "Beech, oak and ash.",
    "category": "brainstorming",
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "seeds.jsonl"


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(path, *rows, **options):
    with pytest.raises(DataError) as error:
        read_seeds(write(path, *rows), "mine", **options)
    return str(error.value)


def test_columns_are_found_by_the_names_that_sets_use(file):
    (item,), notes = read_seeds(write(file, DOLLY), "dolly", licence="cc-by-sa-3.0")
    assert item == Item(
        "dolly:" + hashed("Name three trees.\n\n"),
        "en",
        {"instruction": "Name three trees.", "input": "", "response": "Beech, oak and ash."},
        {
            "task": "brainstorming",
            "length": "short",
            "source": "dolly",
            "licence": "cc-by-sa-3.0",
        },
    )
    assert notes == []
    for names in (
        ("prompt", "input", "output", "task"),
        ("question", "context", "answer", "task_type"),
        ("query", "input", "completion", "category"),
    ):
        row = dict(zip(names, DOLLY.values(), strict=True))
        ((again,), _) = read_seeds(write(file, row), "dolly", licence="cc-by-sa-3.0")
        assert again == item


def test_columns_are_told_and_reach_into_nested_values(file):
    row = {
        "nr": 4,
        "ask": "Add these.",
        "instances": [{"input": "1 and 2", "output": "3"}],
        "task": "x",
    }
    columns = {
        "id": "nr",
        "instruction": "ask",
        "input": "instances.0.input",
        "response": "instances.0.output",
        "task": "-",
    }
    ((item,), _) = read_seeds(write(file, row), "mine", columns=columns)
    assert item.id == "mine:4"
    assert item.texts == {"instruction": "Add these.", "input": "1 and 2", "response": "3"}
    assert item.about["task"] == UNKNOWN


def test_turns_are_put_together(file):
    row = {"id": 1, "prompt": [{"content": "One?"}, "Two?"], "answer": "Yes."}
    ((item,), _) = read_seeds(write(file, row), "mine")
    assert item.texts["instruction"] == "One?\n\nTwo?"


def test_what_is_left_out_is_said(file):
    rows = [
        {**DOLLY, "lang": "en"},
        {**DOLLY, "lang": "English"},
        {**DOLLY, "lang": "da", "instruction": "Nævn tre træer."},
        {**DOLLY, "lang": "el-GR", "instruction": "Πες τρία δέντρα."},
        {**DOLLY, "lang": "klingon"},
        {**DOLLY, "lang": "", "instruction": "Name a bird.", "response": None},
        {**DOLLY, "instruction": "nan"},
        {**DOLLY, "instruction": "Name two fish."},
    ]
    items, notes = read_seeds(write(file, *rows), "mine")
    assert [item.texts["instruction"] for item in items] == ["Name three trees.", "Name two fish."]
    assert notes == [
        "mine: left out 1 row of which the request stands there already.",
        "mine: left out 3 rows not in English.",
        "mine: left out 2 rows without an instruction or an answer.",
    ]


def test_the_first_rows_are_taken_of_those_that_are_wanted(file):
    rows = [{**DOLLY, "id": number, "split": "ab"[number % 2]} for number in range(10)]
    items, _ = read_seeds(write(file, *rows), "mine", select={"split": "b"}, rows=3)
    assert [item.id for item in items] == ["mine:1", "mine:3", "mine:5"]


def test_the_english_rows_of_the_shipped_set_are_seeds():
    items, notes = read_seeds(shipped.path(shipped.BENIGN), "polydrift", licence="cc-by-4.0")
    assert len(items) == 150
    assert notes == [f"polydrift: left out {150 * (len(LANGUAGES) - 1):,} rows not in English."]
    assert {item.about["length"] for item in items} <= {"short", "medium", "long"}
    assert len({item.about["task"] for item in items}) >= 6


def test_the_same_id_twice_is_told(file):
    rows = [{**DOLLY, "id": 7}, {**DOLLY, "id": "7", "instruction": "Name a bird."}]
    assert said(file, *rows) == (
        f"{file}:2: id '7' stands already at {file}:1: give each row its own, or let them be "
        'numbered by their text with columns = { id = "-" }.'
    )
    items, _ = read_seeds(file, "mine", columns={"id": "-"})
    assert len({item.id for item in items}) == 2


def test_columns_that_are_not_there_are_told(file):
    assert said(file, {"text": "x", "response": "y"}) == (
        f"{file}: no column looks like the instruction (instruction, prompt, question, query); "
        'there are text, response: say which with columns = { instruction = "NAME" }.'
    )
    assert said(file, {"prompt": "x", "text": "y"}) == (
        f"{file}: no column looks like the response (response, output, answer, completion); there "
        'are prompt, text: say which with columns = { response = "NAME" }.'
    )
    assert said(file, DOLLY, columns={"input": "kontext"}) == (
        f"{file}: no column 'kontext' for 'input'; there are instruction, context, response, "
        "category."
    )
    assert said(file, DOLLY, columns={"reply": "response"}) == (
        "unknown field 'reply': map one of id, instruction, input, response, task, language."
    )


def test_nothing_left_is_told(file):
    assert said(file, {**DOLLY, "language": "da"}) == (
        f"{file}: no row has an English instruction and an answer."
    )
    assert said(file, {**DOLLY, "response": 4}) == (
        f"{file}:1: 'response' holds a JSON number: it must be a string."
    )


def test_a_written_example_is_called_by_the_hash_of_its_request():
    texts = {"instruction": "Name a bird.", "input": "Of the sea.", "response": "A gull."}
    item = written(texts, "", "openai/x", "cc-by-4.0")
    assert item.id == "new:" + hashed("Name a bird.\n\nOf the sea.")
    assert item.about == {
        "task": UNKNOWN,
        "length": "short",
        "source": "openai/x",
        "licence": "cc-by-4.0",
    }
    assert written(texts, "open_qa", "x", "").about["task"] == "open_qa"


def test_prompts_of_a_suite_come_in_the_languages_that_it_has(file):
    rows = [
        {
            "prompt_id": "p/slang",
            "language": code,
            "kind": "unsafe",
            "category": "games",
            "prompt": text,
        }
        for code, text in (("en", "How do I cheat?"), ("da", "Hvordan snyder jeg?"))
    ]
    items, notes = read_prompts(
        write(file, *rows), "mine", licence="cc0-1.0", styles=("base",), options={}
    )
    assert [(item.id, item.language, item.texts["prompt"]) for item in items] == [
        ("p/slang", "en", "How do I cheat?"),
        ("p/slang", "da", "Hvordan snyder jeg?"),
    ]
    assert items[0].about == {
        "kind": "unsafe",
        "category": "games",
        "style": "base",
        "source": "mine",
        "licence": "cc0-1.0",
    }
    assert notes == []
    with pytest.raises(DataError) as error:
        read_prompts(write(file, rows[1]), "mine", licence="", styles=("base",), options={})
    assert str(error.value) == (
        f"{file}: no prompt is in English, from which all others are translated."
    )
