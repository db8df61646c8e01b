"""Items on the disk: what is written is what is read, in both forms and nine languages."""

from __future__ import annotations

import gzip
import json

import pytest

from polydrift.data import shipped
from polydrift.data.benign import read_examples
from polydrift.data.suites import read_suite
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.parallel.items import (
    BENIGN,
    FORMS,
    SUITE,
    Doubt,
    Item,
    as_row,
    form_of,
    read_items,
    write_items,
)

EXAMPLE = Item(
    "dolly:7",
    "da",
    {"instruction": "Nævn tre træer.", "input": "", "response": "Bøg, eg\u2028og ask."},
    {"task": "brainstorming", "length": "short", "source": "dolly", "licence": "cc-by-sa-3.0"},
    "nllb",
    "review",
    (Doubt("length", "response", "0.3 of the usual length"), Doubt("number", "input", "12")),
)
PROMPT = Item(
    "17/slang",
    "el",
    {"prompt": "Πώς κλέβω στο σκάκι;"},
    {
        "kind": "unsafe",
        "category": "games",
        "style": "slang",
        "source": "mine",
        "licence": "cc0-1.0",
    },
)
ROW = {"id": "1", "language": "da", "instruction": "Hvad?", "input": "", "response": "Det."}
ASKED = {"prompt_id": "1", "language": "da", "prompt": "Hvad?"}


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(path, *rows):
    with pytest.raises(DataError) as error:
        read_items(written(path, *rows))
    return str(error.value)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "rows.jsonl"


@pytest.mark.parametrize(("form", "item"), [(BENIGN, EXAMPLE), (SUITE, PROMPT)])
def test_what_is_written_is_read_again(file, form, item):
    nobodys = Item(
        "x", "ga", dict.fromkeys(form.texts, ""), dict.fromkeys(form.about, ""), "", "rejected"
    )
    write_items(file, [item, nobodys], form)
    assert read_items(file) == (form, [item, nobodys])
    again = file.with_suffix(".again")
    write_items(again, read_items(file)[1], form)
    assert again.read_bytes() == file.read_bytes()


def test_columns_stand_in_one_order_for_each_form():
    assert " ".join(as_row(EXAMPLE, BENIGN)) == (
        "id language instruction input response task length source licence translator status doubts"
    )
    assert " ".join(as_row(PROMPT, SUITE)) == (
        "prompt_id language kind category prompt style source licence translator status doubts"
    )
    assert [form.name for form in FORMS] == ["benign", "suite"]


def test_items_are_examples_and_prompts_too(file):
    write_items(file, [EXAMPLE], BENIGN)
    example = read_examples(file)[0]
    assert (example.instruction, example.input, example.response) == tuple(EXAMPLE.texts.values())
    write_items(file, [PROMPT], SUITE)
    prompt = read_suite(file)[0]
    assert (prompt.prompt_id, prompt.language, prompt.kind, prompt.category, prompt.text) == (
        *("17/slang", "el", "unsafe", "games"),
        PROMPT.texts["prompt"],
    )


def test_the_shipped_set_is_one_of_items():
    form, items = read_items(shipped.path(shipped.BENIGN))
    assert form is BENIGN
    assert {item.language for item in items} == set(LANGUAGES)
    assert {item.status for item in items} == {"accepted"}
    assert len(items) == 150 * len(LANGUAGES)


def test_all_but_id_language_and_texts_may_lack(file):
    written(file, {"id": 3, "language": "hi", "instruction": "क्या?", "response": "यह।"})
    (item,) = read_items(file)[1]
    assert item.id == "3"
    assert item.texts == {"instruction": "क्या?", "input": "", "response": "यह।"}
    assert item.about == dict.fromkeys(BENIGN.about, "")
    assert (item.translator, item.status, item.doubts) == ("", "accepted", ())
    written(file, {**ASKED, "translator": None, "doubts": None, "kind": "unsafe"})
    (item,) = read_items(file)[1]
    assert (item.translator, item.doubts, item.about["kind"]) == ("", (), "unsafe")


def test_doubts_may_be_json_in_a_cell_and_files_gzipped(tmp_path):
    doubts = json.dumps([{"kind": "length", "field": "response"}])
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({**ROW, "doubts": doubts}).encode()))
    assert read_items(path)[1][0].doubts == (Doubt("length", "response", ""),)


def test_texts_of_rejected_items_may_be_empty_and_no_others(file):
    written(file, {**ASKED, "prompt": "", "status": "rejected"})
    assert read_items(file)[1][0].texts == {"prompt": ""}
    assert said(file, ASKED, {**ASKED, "prompt": " ", "prompt_id": "2"}) == (
        f"{file}:2: 'prompt' is empty: fill it or leave the row out."
    )
    assert said(file, {**ROW, "response": ""}) == (
        f"{file}:1: 'response' is empty: fill it or leave the row out."
    )
    assert said(file, {**ROW, "input": 4}) == (
        f"{file}:1: 'input' holds a JSON number: it must be a string."
    )


def test_an_id_is_given_once_in_a_language(file):
    assert said(file, ROW, {**ROW, "language": "el"}, ROW) == (
        f"{file}:3: id '1' in da stands already at {file}:1: give each once per language."
    )
    assert said(file, ASKED, {**ASKED, "prompt_id": 1}) == (
        f"{file}:2: prompt_id '1' in da stands already at {file}:1: give each once per language."
    )


def test_a_row_is_of_one_form_and_all_are_of_the_same(file):
    told = (
        "neither an example (id, instruction, input, response) nor a prompt (prompt_id, prompt); "
        "this row has id, prompt."
    )
    assert said(file, {"id": 1, "prompt": "x"}) == f"{file}:1: {told}"
    with pytest.raises(DataError) as error:
        form_of({"id": 1, "prompt": "x"}, "here")
    assert str(error.value) == f"here: {told}"
    assert said(file, ROW, ASKED) == (
        f"{file}:2: no column 'id'; this row has prompt_id, language, prompt."
    )


def test_unknown_statuses_languages_and_doubts_are_told(file):
    assert said(file, {**ROW, "status": "good"}) == (
        f"{file}:1: unknown status 'good': write one of accepted, review, rejected, or leave it "
        "out."
    )
    assert said(file, {**ROW, "language": "sv"}).startswith(f"{file}:1: unknown language 'sv'")
    assert said(file, {**ROW, "doubts": "[oops"}) == (
        f"{file}:1: 'doubts' holds no JSON: leave the column out."
    )
    for doubts in ({"kind": "x"}, ["length"], '"x"', 3):
        assert said(file, {**ROW, "doubts": doubts}) == (
            f"{file}:1: 'doubts' must be a list of objects, or be left out."
        )


def test_a_file_without_rows_is_none(file):
    assert said(file) == f"{file}: no rows in this file."
