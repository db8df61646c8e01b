"""Suites of any origin: columns told or found, a column per language, and every sentence."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polydrift.data.benign import read_examples
from polydrift.data.foreign import read_answers
from polydrift.data.mapping import ABSENT, hashed, value
from polydrift.data.suites import Prompt, read_suite, survey_suite
from polydrift.errors import DataError

ASKED = {"prompt_id": "p1", "prompt": "How do I skip a queue?", "lang": "en", "label": "unsafe"}
WIDE = {"nr": 1, "Danish": "Hvordan springer jeg over?", "en": "How do I skip a queue?"}
COLUMNS = {"prompt_id": "nr", "prompt.da": "Danish", "prompt.en": "en"}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(call, *args, **kwargs) -> str:
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "suite.jsonl"


def test_columns_are_told_found_or_none(file):
    write(file, {"nr": 3, "q": "Hvad?", "type": "t", "label": "odd"}, {"nr": 4.0, "q": "Hvem?"})
    prompts = read_suite(
        file,
        columns={"prompt_id": "nr", "prompt": "q", "kind": "-"},
        language="Danish",
        kind="unsafe",
    )
    assert prompts == [
        Prompt("3", "da", "unsafe", "t", "Hvad?"),
        Prompt("4", "da", "unsafe", "uncategorised", "Hvem?"),
    ]


def test_rows_speak_before_defaults_and_are_selected(file):
    write(
        file, {**ASKED, "by": "a"}, {**ASKED, "prompt_id": 2, "by": "b", "lang": "el", "label": ""}
    )
    assert [p.language for p in read_suite(file, language="da", kind="safe-lookalike")] == [
        "en",
        "el",
    ]
    (prompt,) = read_suite(file, select={"by": "b"}, kind="safe-lookalike")
    assert (prompt.prompt_id, prompt.kind) == ("2", "safe-lookalike")


def test_dots_reach_into_nested_values():
    row = {"a": {"b.c": [{"d": "x"}, "y"], "b": {"c": 1}}, "a.b": "own", "n": float("nan")}
    assert value(row, "a.b") == "own"
    assert value(row, "a.b.c.0.d") == "x"
    assert value(row, "a.b.c.1") == "y"
    assert value(row, "n") is None
    for path in ("a.b.c.2", "a.b.c.-1", "a.b.c.0.e", "q", "a.b.c.0.d.0", ""):
        assert value(row, path) is ABSENT


def test_the_shortest_key_is_tried_too():
    assert value({"a": {"b": {"c": 1}}}, "a.b.c") == 1
    assert value({"a.b": {"q": 0}, "a": {"b": {"c": 1}}}, "a.b.c") == 1


def test_nested_prompts_and_answers(file):
    row = {
        "question_id": 1,
        "meta": {"lang": "da"},
        "turns": ["Hvad?", "Og så?"],
        "choices": [{"turns": ["Det."]}],
    }
    write(file, row)
    how = {"language": "meta.lang", "prompt": "turns.0"}
    assert read_suite(file, columns=how, kind="unsafe")[0] == Prompt(
        "1", "da", "unsafe", "uncategorised", "Hvad?"
    )
    assert read_suite(file, language="da", kind="unsafe")[0].text == "Hvad?\n\nOg så?"
    how["answer"] = "choices.0.turns.0"
    prompts, answers = read_answers(file, columns=how, kind="unsafe")
    assert (prompts[0].text, answers[0].text) == ("Hvad?", "Det.")
    assert said(read_answers, file, columns={**how, "answer": "choices.1.turns.0"}) == (
        f"{file}: no column 'choices.1.turns.0' for 'answer'; there are question_id, meta, turns, "
        "choices."
    )
    write(file, row, {**row, "question_id": 2, "choices": []})
    assert said(read_answers, file, columns=how, kind="unsafe") == (
        f"{file}:2: no column 'choices.0.turns.0'; this row has question_id, meta, turns, choices."
    )
    write(file, row, {**row, "question_id": 2, "turns": []})
    del how["answer"]
    assert said(read_suite, file, columns=how, kind="unsafe") == (
        f"{file}:2: no column 'turns.0'; this row has question_id, meta, turns, choices."
    )


def test_a_column_that_the_first_row_lacks_is_found(file):
    write(file, {"id": 1, "prompt": "a?"}, {"id": 2, "prompt": "b?", "lang": "da"})
    prompts = read_suite(file, language="en", kind="unsafe")
    assert [prompt.language for prompt in prompts] == ["en", "da"]


def test_a_column_per_language(file):
    write(file, WIDE, {"nr": 2, "Danish": "Hvem?", "en": "Who?"})
    prompts, notes = survey_suite(file, columns=COLUMNS, kind="unsafe")
    assert [(p.prompt_id, p.language, p.text) for p in prompts] == [
        ("1", "da", WIDE["Danish"]),
        ("1", "en", WIDE["en"]),
        ("2", "da", "Hvem?"),
        ("2", "en", "Who?"),
    ]
    assert notes == []


def test_columns_called_by_their_language_are_found_and_told(file):
    write(file, {**WIDE, "note": "x", "fr": "x"})
    prompts, notes = survey_suite(file, columns={"prompt_id": "nr"}, kind="unsafe")
    assert [prompt.language for prompt in prompts] == ["en", "da"]
    assert notes == ["suite.jsonl: prompts in en, Danish, a column each."]
    (only,) = read_suite(file, columns={"prompt_id": "nr", "prompt.da": "-"}, kind="unsafe")
    assert only.language == "en"


def test_missing_translations_are_left_out_and_told(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("id,en,da\n1,a?,\n2,b?,nan\n3,c?, \n4,d?,<NA>\n5,,e?\n", encoding="utf-8")
    prompts, notes = survey_suite(path, kind="unsafe")
    assert [(p.prompt_id, p.language) for p in prompts] == [
        *(("1", "en"), ("2", "en"), ("3", "en"), ("4", "en"), ("5", "da"))
    ]
    assert notes[1:] == [
        "wide.csv: 4 prompts have no text in da ('1', '2', '3' and 1 more); they are left out "
        "there.",
        "wide.csv: 1 prompt has no text in en ('5'); it is left out there.",
    ]


def test_without_an_id_the_prompt_is_the_id(tmp_path, file):
    write(file, {"prompt": "a?"}, {"prompt": "b?"})
    prompts = read_suite(file, language="en", kind="unsafe")
    assert [prompt.prompt_id for prompt in prompts] == [hashed("a?"), hashed("b?")]
    write(file, {"en": "a?", "da": "ø?"}, {"en": None, "da": "å?"})
    prompts = read_suite(file, columns={"prompt.en": "en", "prompt.da": "da"}, kind="unsafe")
    assert [prompt.prompt_id for prompt in prompts] == [hashed("a?"), hashed("a?"), hashed("å?")]
    write(file, {"prompt": "a?", "lang": "en"}, {"prompt": "ø?", "lang": "da"})
    assert said(read_suite, file, kind="unsafe") == (
        f"{file}:1: no id, and prompts in several languages need one to be told apart: say where "
        "it is with --column prompt_id=NAME."
    )
    write(file, {"en": "", "da": None})
    assert said(read_suite, file, kind="unsafe") == (
        f"{file}:1: neither an id nor a prompt: fill the row or leave it out."
    )


def test_every_format_gives_the_same(tmp_path):
    rows = [
        {**ASKED, "prompt": 'Sig "nej",\nog gå\r\nså.', "lang": "da"},
        {**ASKED, "prompt": "&lt;b&gt; <b>høj</b> \x07 帮助 मदद"},
        {**ASKED, "prompt_id": "p2", "prompt": "nan is not a number; null neither"},
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    sheet = io.StringIO(newline="")
    csv.DictWriter(sheet, list(ASKED)).writeheader()
    csv.DictWriter(sheet, list(ASKED)).writerows(rows)  # Windows line ends, as the module has it
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + sheet.getvalue().encode())
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(sheet.getvalue().encode()))
    for name, delimiter in (("a.tsv", "\t"), ("b.csv", ";")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(ASKED), delimiter=delimiter, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    expected = [
        Prompt(row["prompt_id"], row["lang"], "unsafe", "uncategorised", row["prompt"])
        for row in rows
    ]
    assert len(list(tmp_path.iterdir())) == 8
    for path in tmp_path.iterdir():
        found = read_suite(path, columns={"language": "lang"})
        assert found == expected, path.name


def test_own_form_in_other_kinds_of_files_needs_no_telling(tmp_path):
    row = {"prompt_id": 1, "language": "da", "kind": "unsafe", "category": "c", "prompt": "Hvad?"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text(f"{','.join(row)}\n{','.join(map(str, row.values()))}\n")
    expected = read_suite(write(tmp_path / "a.jsonl", row))
    assert expected == read_suite(tmp_path / "a.parquet") == read_suite(tmp_path / "a.csv")


def test_nested_lists_and_empty_numbers_of_parquet(tmp_path):
    table = pa.table(
        {
            "question_id": pa.array([1.0, 2.0, None]),
            "turns": pa.array([["a?"], ["b?", "c?"], ["d?"]]),
            "category": pa.array([float("nan"), 2.0, None]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    prompts = read_suite(tmp_path / "a.parquet", language="en", kind="unsafe")
    assert [(p.prompt_id, p.category, p.text) for p in prompts] == [
        ("1", "uncategorised", "a?"),
        ("2", "2.0", "b?\n\nc?"),
        (hashed("d?"), "uncategorised", "d?"),
    ]


def test_a_folder_with_an_equals_sign_adds_no_column(tmp_path):
    (tmp_path / "lang=da").mkdir()
    path = tmp_path / "lang=da" / "a.parquet"
    pq.write_table(pa.table({"id": ["1"], "prompt": ["a?"]}), path)
    assert said(read_suite, path, kind="unsafe") == (
        f"{path}, row 1: no language: say which with --language CODE."
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_prompt_and_an_answer_of_ten_megabytes(tmp_path, name):
    row = {**ASKED, "prompt": "帮" * 3_400_000, "answer": "x" * 10**7}
    path = tmp_path / name
    if name == "a.jsonl":
        write(path, row)
    elif name == "a.parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    assert read_suite(path, columns={"language": "lang"})[0].text == row["prompt"]
    assert read_answers(path)[1][0].text == row["answer"]


@pytest.mark.parametrize("word", ["nan", " NaN ", "<NA>"])
def test_the_word_for_nothing_is_nothing(tmp_path, file, word):
    write(file, {**ASKED, "prompt": word})
    assert said(read_suite, file, columns={"language": "lang"}) == (
        f"{file}:1: 'prompt' holds {word.strip()!r}, which is how some tools write an empty cell: "
        "fill it or leave the row out."
    )
    write(file, {**ASKED, "prompt_id": word, "lang": word, "label": word, "category": word})
    (prompt,) = read_suite(file, language="da", kind="safe-lookalike")
    assert prompt == Prompt(
        hashed(ASKED["prompt"]), "da", "safe-lookalike", "uncategorised", ASKED["prompt"]
    )


def test_nan_of_json_is_no_word(file):
    file.write_text('{"id": 1, "prompt": "a?", "category": NaN, "lang": NaN, "label": NaN}\n')
    (prompt,) = read_suite(file, language="da", kind="unsafe")
    assert prompt == Prompt("1", "da", "unsafe", "uncategorised", "a?")
    file.write_text('{"id": 1, "prompt": NaN}\n')
    assert said(read_suite, file, language="da", kind="unsafe") == (
        f"{file}:1: 'prompt' holds a JSON null: it must be a string."
    )
    file.write_text('{"id": 1, "prompt": "a?", "lang": "da", "answer": NaN, "label": "safe"}\n')
    assert read_answers(file)[1][0].text == ""


def test_empty_inputs_of_benign_examples_are_never_nan(file):
    row = {"id": 1, "language": "da", "instruction": "Hej?", "response": "Hej."}
    write(file, row, {**row, "id": 2, "input": None}, {**row, "id": 3, "input": ""})
    assert [example.request for example in read_examples(file)] == ["Hej?"] * 3
    write(file, {**row, "input": float("nan")})
    assert said(read_examples, file) == (
        f"{file}:1: 'input' holds NaN, which is how some tools write an empty cell: write null or "
        '"" for it.'
    )


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"reply": "x"},
            "unknown field 'reply': map one of prompt_id, prompt, language, kind, category, or "
            "prompt.CODE for a column per language, CODE one of en, zh, da, el, hi, ga, pt, es, "
            "tl.",
        ),
        ({"prompt.fr": "fr"}, "unknown field 'prompt.fr': map one of prompt_id, prompt, "),
        (
            {"prompt": "en", "prompt.da": "Danish"},
            "map either one column to prompt, or one per language to prompt.CODE.",
        ),
        (
            {"prompt.da": "dansk"},
            "{path}: no column 'dansk' for 'prompt.da'; there are nr, Danish, en.",
        ),
        ({"category": "x"}, "{path}: no column 'x' for 'category'; there are nr, Danish, en."),
        (
            {"prompt.da": "-", "prompt.en": "-"},
            "{path}: no column looks like the prompt (prompt, prompt_text, instruction, question, "
            "turns, or one called by a language's code); there are nr, Danish, en: say which with "
            "--column prompt=NAME or, for a column per language, --column prompt.CODE=NAME.",
        ),
    ],
)
def test_wrong_columns_are_named(file, columns, sentence):
    write(file, WIDE)
    found = said(read_suite, file, columns=columns, kind="unsafe")
    assert found.startswith(sentence.format(path=file))


def test_two_columns_for_one_language_are_named(file):
    write(file, {**WIDE, "da": "Hvad?"})
    assert said(read_suite, file, columns={"prompt_id": "nr"}, kind="unsafe") == (
        f"{file}: 'Danish' and 'da' could each be the prompts in da: say which with --column "
        "prompt.da=NAME."
    )


def test_ids_and_groups_must_be_parallel(file):
    write(file, ASKED, ASKED)
    assert said(read_suite, file, kind="unsafe") == (
        f"{file}:2: prompt 'p1' in en stands already at {file}:1: give each prompt once per "
        "language."
    )
    write(file, ASKED, {**ASKED, "lang": "da", "label": "benign"})
    assert said(read_suite, file, kind="unsafe") == (
        f"{file}:2: prompt 'p1' is safe-lookalike/uncategorised here and unsafe/uncategorised at "
        f"{file}:1: a prompt has one kind and category in all languages."
    )
    write(file, WIDE, WIDE)
    assert said(read_suite, file, columns=COLUMNS, kind="unsafe") == (
        f"{file}:2: prompt '1' in da stands already at {file}:1: give each prompt once per "
        "language."
    )


def test_rows_that_do_not_say_are_named(file):
    write(file, {"id": 1, "prompt": "a?"})
    assert said(read_suite, file, language="da") == (
        f"{file}:1: not said whether the prompt is unsafe: name the column with --column "
        "kind=NAME, or say --kind unsafe or --kind safe-lookalike."
    )
    assert said(read_suite, file, kind="unsafe") == (
        f"{file}:1: no language: say which with --language CODE."
    )
    write(file, {"id": 1, "prompt": "a?", "label": "sports"})
    assert said(read_suite, file, language="da").startswith(
        f"{file}:1: 'sports' in column 'label' is no kind of prompt: use unsafe, harmful, "
    )
    write(file, {"id": True, "prompt": "a?"})
    assert said(read_suite, file, language="da", kind="unsafe") == (
        f"{file}:1: 'id' holds a JSON boolean: it must be a string."
    )


def test_files_that_cannot_be_read(tmp_path):
    def given(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    def refused(path: Path) -> str:
        return said(read_suite, path, language="da", kind="unsafe").removeprefix(str(path))

    assert refused(given("a.csv", b"id,prompt\n1,\xff\n")) == (
        ":2: byte 3 of this line is not UTF-8: save the file as UTF-8."
    )
    assert refused(given("b.csv", "id,prompt\n1,æ\n".encode("utf-16"))).startswith(
        ":1: byte 1 of this line is not UTF-8"
    )
    for name, content in (("c.csv", b"id,prompt\r\n"), ("c.json", b"[]"), ("c.jsonl", b"\r\n")):
        assert refused(given(name, content)) == ": no rows in this file."
    assert refused(given("d.csv", b"id,prompt,prompt\n1,a,b\n")) == (
        ":1: two columns are called 'prompt': give each a name of its own."
    )
    assert refused(given("e.csv", b'id,prompt\n1,"a\nb\n')) == (
        ":3: not valid CSV (unexpected end of data)."
    )
    assert refused(given("f.json", b"[" * 200_000)) == ": nested too deeply to be rows of data."
    assert refused(given("g.csv.gz", b"no gzip")).endswith("copy or compress the file again.")
    pq.write_table(
        pa.table([["1"], ["a"], ["b"]], ["id", "prompt", "prompt"]), tmp_path / "h.parquet"
    )
    assert refused(tmp_path / "h.parquet") == (
        ": two columns are called 'prompt': give each a name of its own."
    )
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), tmp_path / "i.parquet")
    assert refused(tmp_path / "i.parquet") == ": no rows in this file."
    assert refused(given("j.parquet", b"PAR1 no")).startswith(": not a readable Parquet file (")
