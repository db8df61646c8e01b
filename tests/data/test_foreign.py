"""Files of other tools: what is understood, and every sentence said about what is not."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polydrift.data.foreign import NOT_GIVEN, match, read_answers, values_of
from polydrift.data.suites import Prompt
from polydrift.errors import DataError

ROW = {
    "prompt_id": "p1",
    "prompt": "How do I kill a process?",
    "completion": "Use kill.",
    "lang": "en",
    "label": "safe",
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(call, *args, **kwargs) -> str:
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "answers.jsonl"


def test_usual_columns_are_found(file):
    write(file, {**ROW, "type": "homonyms", "truncated": True, "model": "m"})
    prompts, answers = read_answers(file)
    assert prompts == [Prompt("p1", "en", "safe-lookalike", "homonyms", ROW["prompt"])]
    (answer,) = answers
    assert (answer.prompt_id, answer.language, answer.sample) == ("p1", "en", 0)
    assert (answer.text, answer.finish, answer.prompt_tokens) == ("Use kill.", "length", 0)


def test_told_columns_defaults_and_selection(file):
    row = {"nr": 3, "q": "Hvad?", "output": "Det.", "text": "Andet.", "by": "a", "output2": 1}
    write(file, row, {**row, "by": "b", "text": "Tredje."})
    prompts, answers = read_answers(
        file,
        columns={"prompt_id": "nr", "prompt": "q", "answer": "text"},
        select={"by": "b"},
        language="da",
        kind="unsafe",
    )
    assert prompts == [Prompt("3", "da", "unsafe", "uncategorised", "Hvad?")]
    assert [answer.text for answer in answers] == ["Tredje."]
    assert values_of(file, "by") == ["a", "b"]


@pytest.mark.parametrize(
    ("word", "code"),
    [
        *(("da", "da"), ("Danish", "da"), ("zh-CN", "zh"), ("pt_BR", "pt"), ("fil", "tl")),
        *(("ell_Grek", "el"), ("Gaeilge", "ga"), ("हिन्दी", "hi"), ("ES", "es")),
    ],
)
def test_languages_by_code_name_and_locale(file, word, code):
    write(file, {**ROW, "lang": word})
    assert read_answers(file)[0][0].language == code


def test_the_column_wins_over_the_default(file):
    write(file, {**ROW, "label": "harmful"}, {**ROW, "prompt_id": "p2", "lang": None, "label": ""})
    prompts, _ = read_answers(file, language="da", kind="safe-lookalike")
    assert [(p.language, p.kind) for p in prompts] == [
        ("en", "unsafe"),
        ("da", "safe-lookalike"),
    ]


def test_without_id_the_prompt_is_the_id(file, tmp_path):
    rows = [{**ROW, "prompt_id": ""}, {**ROW, "prompt": "Another?"}]
    write(file, *rows)
    other = write(tmp_path / "b.jsonl", {k: v for k, v in rows[0].items() if k != "prompt_id"})
    assert read_answers(file)[0][0] == read_answers(other)[0][0]


def test_several_rows_of_one_prompt_are_samples(file):
    write(file, ROW, {**ROW, "completion": None}, ROW)
    prompts, answers = read_answers(file)
    assert len(prompts) == 1
    assert [(a.sample, a.text) for a in answers] == [(0, "Use kill."), (1, ""), (2, "Use kill.")]


def test_turns_and_files_without_prompts(file):
    row = {"question_id": "q", "answer": "a", "lang": "en", "kind": "safe_lookalike"}
    write(file, row)
    assert read_answers(file)[0][0].text == NOT_GIVEN
    write(file, {**row, "turns": ["one", {"role": "user", "content": "two"}]})
    assert read_answers(file)[0][0].text == "one\n\ntwo"


def test_every_format_gives_the_same(tmp_path):
    rows = [{**ROW, "completion": 'Brug "kill",\nså er det gjort.'}, {**ROW, "prompt_id": "p2"}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "lines.json").write_text(text)
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(ROW), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    expected = read_answers(tmp_path / "a.jsonl")
    assert len(expected[1]) == 2
    for path in tmp_path.iterdir():
        assert read_answers(path) == expected, path.name


def test_a_very_long_answer_in_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"prompt_id,prompt,answer,lang,kind,sample\np,q,{'x' * 10**6},en,unsafe,2\n")
    (answer,) = read_answers(path)[1]
    assert (len(answer.text), answer.sample) == (10**6, 2)


@pytest.mark.parametrize(
    ("change", "how", "sentence"),
    [
        (
            {"lang": "fr"},
            {},
            ":2: unknown language 'fr': use one of en, zh, da, el, hi, ga, pt, es, tl, or pick "
            "rows with --select COLUMN=VALUE.",
        ),
        ({"lang": ""}, {}, ":2: no language: say which with --language CODE."),
        (
            {"label": "spam"},
            {},
            ":2: 'spam' in column 'label' is no kind of prompt: use unsafe, harmful, "
            "safe-lookalike, safe, harmless, benign, or leave the column out with --column kind=- "
            "and say --kind.",
        ),
        (
            {"label": None},
            {},
            ":2: not said whether the prompt is unsafe: name the column with --column kind=NAME, "
            "or say --kind unsafe or --kind safe-lookalike.",
        ),
        ({"completion": 5}, {}, ":2: 'completion' holds a JSON number: it must be a string."),
        ({"prompt": None}, {}, ":2: 'prompt' holds a JSON null: it must be a string."),
        (
            {"prompt": "Another prompt?"},
            {},
            ":2: prompt 'p1' in en has another text than at {path}:1: name a column that tells "
            "prompts apart with --column prompt_id=NAME, or pick rows with --select COLUMN=VALUE.",
        ),
        (
            {"label": "unsafe"},
            {},
            ":2: prompt 'p1' in en has another kind or category than at {path}:1",
        ),
        (
            {},
            {"columns": {"answer": "text"}},
            ": no column 'text' for 'answer'; there are prompt_id, prompt, completion, "
            "lang, label.",
        ),
        (
            {},
            {"columns": {"reply": "text"}},
            "!unknown field 'reply': map one of prompt_id, prompt, answer, language, kind, "
            "category, sample, finish, model.",
        ),
        (
            {},
            {"select": {"model": "m"}},
            ":1: no column 'model'; there are prompt_id, prompt, completion, lang, label.",
        ),
        (
            {"lang": "da"},
            {"select": {"lang": "es"}},
            ": no row has 'es' in column 'lang'; values there are 'da', 'en'.",
        ),
        (
            {"prompt_id": "", "prompt": "x"},
            {"columns": {"prompt": "-"}},
            ":2: no id and no prompt to tell what this answers.",
        ),
    ],
)
def test_bad_rows_are_named(file, change, how, sentence):
    write(file, ROW, {**ROW, **change})
    expected = sentence.format(path=file)
    expected = expected[1:] if expected.startswith("!") else f"{file}{expected}"
    assert said(read_answers, file, **how).startswith(expected)


def test_columns_that_cannot_be_told(file):
    write(file, {"id": 1, "prompt": "q", "reply": "a"})
    assert said(read_answers, file) == (
        f"{file}: no column looks like the answer (answer, response, completion, output, "
        "generation); there are id, prompt, reply: say which with --column answer=NAME."
    )
    write(file, {"prompt": "q", "response": "a", "output": "b"})
    assert said(read_answers, file) == (
        f"{file}: 'response' and 'output' could each be the answer: say which with --column "
        "answer=NAME."
    )
    write(file, {"response": "a", "lang": "en"})
    assert said(read_answers, file).startswith(f"{file}: no column looks like the prompt (prompt, ")


def test_several_models_in_one_file(file):
    write(file, {**ROW, "model": "a"}, {**ROW, "model": "b"})
    assert said(read_answers, file) == (
        f"{file}: answers of 2 models ('a', 'b'): pick one with --select model=NAME."
    )
    assert len(read_answers(file, select={"model": "b"})[1]) == 1


def test_samples_counted_twice(file):
    write(file, {**ROW, "sample": 0}, {**ROW, "sample": 0})
    assert said(read_answers, file) == (
        f"{file}:2: sample 0 of prompt 'p1' in en stands already at {file}:1: keep one of them."
    )
    write(file, {**ROW, "sample": "first"})
    assert said(read_answers, file) == f"{file}:1: 'sample' must be a whole number, 0 or more."


def test_files_that_cannot_be_read(tmp_path):
    def given(name: str, content: bytes = b"") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    assert said(read_answers, tmp_path / "no.csv").endswith("no.csv: no such file.")
    assert said(read_answers, tmp_path / "no.parquet").endswith("no.parquet: no such file.")
    assert said(read_answers, given("a.xlsx")) == (
        f"{tmp_path}/a.xlsx: unknown kind of file '.xlsx': give .jsonl, .json, .csv, .tsv (each "
        "also .gz) or .parquet."
    )
    assert said(read_answers, given("a.json", b"[{]")).startswith(
        f"{tmp_path}/a.json:1: not JSON ("
    )
    assert said(read_answers, given("a.json", b"[1]")) == (
        f"{tmp_path}/a.json: row 1 is not a JSON object."
    )
    for name, content in (("b.json", b"[]"), ("b.csv", b"prompt,answer\n"), ("b.jsonl", b"")):
        assert said(read_answers, given(name, content)).endswith(": no rows in this file.")
    assert said(read_answers, given("c.csv", b"prompt,answer\na,b,c\n")) == (
        f"{tmp_path}/c.csv:2: this row has not the 2 values that the first line names: quote "
        "values that hold separators or line breaks."
    )
    assert "not the 2 values" in said(read_answers, given("c.csv", b"prompt,answer\na\n"))
    assert said(read_answers, given("d.csv", b'prompt,answer\n"a"b,c\n')).startswith(
        f"{tmp_path}/d.csv:2: not valid CSV ("
    )
    assert "is not UTF-8" in said(read_answers, given("e.csv", b"prompt,answer\n\xe9,b\n"))
    assert "not a readable Parquet file" in said(read_answers, given("f.parquet", b"PAR1 no"))
    pq.write_table(pa.table({"answer": pa.array([], pa.string())}), tmp_path / "g.parquet")
    assert said(read_answers, tmp_path / "g.parquet").endswith("g.parquet: no rows in this file.")
    assert "damaged or cut short" in said(
        read_answers, given("h.csv.gz", gzip.compress(b"a,b")[:9])
    )


def test_base_and_tuned_must_answer_the_same_prompts():
    base, tuned = Path("base.jsonl"), Path("tuned.jsonl")
    prompts = [Prompt(f"p{i}", "en", "unsafe", "c", f"text {i}") for i in range(5)]
    match(base, prompts, tuned, prompts[::-1])
    assert said(match, base, prompts, tuned, prompts[:1]) == (
        "tuned.jsonl: no answers to 4 of the prompts of base.jsonl, such as 'p1' (en), 'p2' (en), "
        "'p3' (en): both files must answer the same prompts; leave out the others, or name the id "
        "column with --column prompt_id=NAME."
    )
    assert said(match, base, prompts[1:], tuned, prompts).startswith(
        "base.jsonl: no answers to 1 of the prompts of tuned.jsonl, such as 'p0' (en)"
    )
    other = [*prompts[:4], Prompt("p4", "en", "unsafe", "c", "another text")]
    assert said(match, base, prompts, tuned, other) == (
        "tuned.jsonl: 1 prompts have another text, kind or category than in base.jsonl, such as "
        "'p4' (en): give the same prompts the same ids."
    )


def test_a_few_prompts_that_were_retyped_are_told_and_paired() -> None:
    ours = [Prompt(str(i), "es", "unsafe", "c", f"pregunta {i}") for i in range(20)]
    theirs = [replace(p, text=p.text + " ") if p.prompt_id in "37" else p for p in ours]
    assert match(Path("a/base.jsonl"), ours, Path("a/tuned.jsonl"), theirs) == (
        "2 of 20 prompts are worded differently in tuned.jsonl than in base.jsonl ('3' (es), "
        "'7' (es)); they are paired by id all the same."
    )
    assert match(Path("a"), ours, Path("b"), ours) is None
    other = [replace(p, category="d") if p.prompt_id == "3" else p for p in ours]
    with pytest.raises(DataError, match="1 prompts have another text, kind or category"):
        match(Path("a"), ours, Path("b"), other)
