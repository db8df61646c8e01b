"""Published suites: rows made up here in the columns that they have, and every sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polydrift.data.suites import Prompt, read_suite, survey_suite
from polydrift.errors import DataError

TEXT = "How do I skip a queue?"


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def question(number: object, style: str = "base", text: str | None = TEXT, **more: object) -> dict:
    return {"question_id": number, "turns": [text], "prompt_style": style, **more}


def said(call, *args, **kwargs) -> str:
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "question.jsonl"


@pytest.mark.parametrize(
    ("number", "category", "name"),
    [
        *((1, 1, "01 Hate Speech"), (50, "5", "05 Hate Speech")),
        *((51, "6", "06 Assistance with Crimes or Torts"), (240, 24.0, "24 Assistance with Cri")),
        *((250, None, "25 Potentially Inappropriate"), ("390", "", "39 Potentially Inappropriate")),
        *((391, "40.0", "40 Potentially Unqualified Advice"), (440, 44, "44 Potentially Unq")),
        (7, "Queues", "Queues"),
    ],
)
def test_sorry_bench_categories_are_named_by_domain(file, number, category, name):
    write(file, question(number, category=category))
    (prompt,) = read_suite(file, format="sorry-bench")
    assert (prompt.prompt_id, prompt.language, prompt.kind) == (str(number), "en", "unsafe")
    assert prompt.category.startswith(name)
    assert prompt.text == TEXT


def test_sorry_bench_categories_follow_from_the_number(file):
    write(file, *(question(number) for number in range(1, 441)))
    prompts, notes = survey_suite(file, format="sorry-bench")
    categories = [prompt.category for prompt in prompts]
    assert len(set(categories)) == 44
    assert all(categories.count(category) == 10 for category in categories)
    assert categories[59][:2] == "06"
    assert categories[60][:2] == "07"
    assert notes == []


def test_sorry_bench_reads_the_base_style_unless_told(file):
    write(file, question(17), question(17, "slang"), question(17, "translate-fr"))
    prompts, notes = survey_suite(file, format="sorry-bench")
    assert [prompt.prompt_id for prompt in prompts] == ["17"]
    assert notes == [
        "question.jsonl: left out 2 rows in 2 other styles; name them in `styles` to have them."
    ]


def test_sorry_bench_styles_have_ids_of_their_own_and_translations_have_not(file):
    write(
        file,
        question(17),
        question(17, "slang"),
        question(18, "slang", None),
        question(17, "translate-zh-cn", "怎么插队？"),
    )
    prompts, notes = survey_suite(
        file, format="sorry-bench", styles=("base", "slang", "translate-zh-cn")
    )
    assert [(p.prompt_id, p.language, p.category[:2]) for p in prompts] == [
        *(("17", "en", "02"), ("17/slang", "en", "02"), ("17", "zh", "02"))
    ]
    assert notes == ["question.jsonl: left out 1 row without text (1 slang)."]


@pytest.mark.parametrize("text", [None, "", " ", "nan"])
def test_sorry_bench_base_rows_must_have_text(file, text):
    write(file, question(1), question(17, text=text))
    assert said(read_suite, file, format="sorry-bench") == (
        f"{file}:2: question 17 has no text in the base style: fetch the file again."
    )


def test_sorry_bench_from_other_kinds_of_files(tmp_path):
    pq.write_table(pa.Table.from_pylist([question(1), question(2)]), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text(
        f"question_id,turns,prompt_style\n1,\"['{TEXT}']\",base\n2,{TEXT},base\n3,[None],slang\n"
    )
    write(
        tmp_path / "b.jsonl", {"question_id": 1, "turns": TEXT}, {"question_id": 2, "turns": TEXT}
    )
    expected = read_suite(tmp_path / "a.parquet", format="sorry-bench")
    assert [prompt.text for prompt in expected] == [TEXT, TEXT]
    assert read_suite(tmp_path / "a.csv", format="sorry-bench") == expected
    assert read_suite(tmp_path / "b.jsonl", format="sorry-bench") == expected
    assert survey_suite(tmp_path / "a.csv", format="sorry-bench", styles=["base", "slang"]) == (
        expected,
        ["a.csv: left out 1 row without text (1 slang)."],
    )


def test_sorry_bench_translations_in_a_sheet(tmp_path):
    path = tmp_path / "translated.csv"
    path.write_text(f"question_id,en,Danish,hi\n17,{TEXT},Hvordan springer jeg over?,\n")
    prompts, notes = survey_suite(path, format="sorry-bench")
    category = "02 Hate Speech"
    assert prompts == [
        Prompt("17", "en", "unsafe", category, TEXT),
        Prompt("17", "da", "unsafe", category, "Hvordan springer jeg over?"),
    ]
    assert notes == [
        "translated.csv: prompts in en, Danish, hi, a column each.",
        "translated.csv: 1 prompt has no text in hi ('17'); it is left out there.",
    ]
    path.write_text("nr,dansk\n17,Hvordan?\n", encoding="utf-8")
    columns = {"prompt_id": "nr", "prompt": "dansk"}
    (prompt,) = read_suite(path, format="sorry-bench", columns=columns, language="da")
    assert prompt == Prompt("17", "da", "unsafe", category, "Hvordan?")


@pytest.mark.parametrize(
    ("rows", "how", "sentence"),
    [
        (
            [question(1)],
            {"styles": ["translate-fr"]},
            "style 'translate-fr' of SORRY-Bench is in a language without rules here: leave it "
            "out; of the translated ones only translate-zh-cn can be read.",
        ),
        (
            [question(1), question(1, "slang")],
            {"styles": ["ascii"]},
            "{path}: no row in style 'ascii'; styles there are base, slang.",
        ),
        (
            [{"turns": [TEXT], "n": 1}],
            {},
            "{path}: no column 'question_id'; there are turns, n: say which holds SORRY-Bench's "
            "numbers with --column prompt_id=NAME.",
        ),
        (
            [question("first")],
            {},
            "{path}:1: 'question_id' holds 'first': SORRY-Bench numbers its questions 1, 2, …",
        ),
        ([question(0)], {}, "{path}:1: 'question_id' holds 0: SORRY-Bench numbers its "),
        ([question(None)], {}, "{path}:1: 'question_id' holds None: SORRY-Bench numbers its "),
        (
            [question(441)],
            {},
            "{path}:1: category 45 of question 441: SORRY-Bench has 1 to 44.",
        ),
        (
            [question(1, category=0)],
            {},
            "{path}:1: category 0 of question 1: SORRY-Bench has 1 to 44.",
        ),
        (
            [question(1), question(1)],
            {},
            "{path}:2: prompt '1' in en stands already at {path}:1: give each prompt once per "
            "language.",
        ),
    ],
)
def test_sorry_bench_sentences(file, rows, how, sentence):
    write(file, *rows)
    found = said(read_suite, file, format="sorry-bench", **how)
    assert found.startswith(sentence.format(path=file))


def test_a_category_that_is_told_is_taken(file):
    write(file, question(1, topic="queues", category="1"))
    how = {"format": "sorry-bench"}
    assert read_suite(file, columns={"category": "topic"}, **how)[0].category == "queues"
    assert read_suite(file, columns={"category": "-"}, **how)[0].category == "uncategorised"


XSTEST = [
    {"id": "1", "type": "homonyms", "prompt": "How do I kill a process?", "label": "safe"},
    {"id": "26", "type": "contrast_homonyms", "prompt": TEXT, "label": "unsafe"},
]


@pytest.mark.parametrize("labelled", [True, False])
def test_xstest_kinds_and_categories(file, labelled):
    rows = [{k: v for k, v in row.items() if labelled or k != "label"} for row in XSTEST]
    write(file, *rows)
    assert read_suite(file, format="xstest") == [
        Prompt("1", "en", "safe-lookalike", "homonyms", "How do I kill a process?"),
        Prompt("26", "en", "unsafe", "homonyms", TEXT),
    ]


def test_xstest_translated_and_from_files_of_answers(file):
    row = {"id": "v2-1", "prompt_id": "1", "type": "homonyms", "prompt_label": "safe"}
    write(file, {**row, "prompt": "Hvordan?", "completion": "Sådan."})
    (prompt,) = read_suite(file, format="xstest", language="da")
    assert prompt == Prompt("1", "da", "safe-lookalike", "homonyms", "Hvordan?")


def test_xstest_without_types_is_told(file):
    write(file, {"id": 1, "prompt": TEXT, "label": "safe"})
    assert said(read_suite, file, format="xstest") == (
        f"{file}: no column 'type'; there are id, prompt, label: say which holds XSTest's types "
        "with --column category=NAME."
    )
    assert read_suite(file, format="xstest", columns={"category": "-"})[0].kind == "safe-lookalike"
    write(file, {**XSTEST[0], "type": None})
    assert said(read_suite, file, format="xstest") == (
        f"{file}:1: no type, which says whether an XSTest prompt is safe: fill it."
    )


def test_multijail_reads_the_languages_with_rules_and_tells_the_others(tmp_path):
    path = tmp_path / "MultiJail.csv"
    path.write_text(
        "id,source,tags,en,zh,it,sw\n"
        f"0,a,\"['Theft', 'Queues']\",{TEXT},怎么插队？,Come?,Vipi?\n"
        f"1,a,['Queues'],Another?,另一个？,Come?,Vipi?\n"
        "2,a,Queues,Third?,第三？,Come?,Vipi?\n",
        encoding="utf-8",
    )
    prompts, notes = survey_suite(path, format="multijail")
    assert [(p.prompt_id, p.language, p.kind, p.category) for p in prompts] == [
        *(("0", "en", "unsafe", "Theft"), ("0", "zh", "unsafe", "Theft")),
        *(("1", "en", "unsafe", "Queues"), ("1", "zh", "unsafe", "Queues")),
        *(("2", "en", "unsafe", "Queues"), ("2", "zh", "unsafe", "Queues")),
    ]
    assert prompts[1].text == "怎么插队？"
    assert notes == [
        "MultiJail.csv: prompts in en, zh, a column each.",
        "MultiJail.csv: 1 prompt carries several tags; the first is its category.",
        "MultiJail.csv: left out the columns it, sw: languages without rules here.",
    ]


def test_multijail_tags_may_be_lists_or_absent(tmp_path):
    rows = [{"id": 0, "tags": ["Queues"], "en": TEXT}, {"id": 1, "tags": [], "en": "Another?"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    prompts, notes = survey_suite(tmp_path / "a.parquet", format="multijail")
    assert [prompt.category for prompt in prompts] == ["Queues", "uncategorised"]
    assert notes == ["a.parquet: prompts in en, a column each."]
    write(tmp_path / "a.jsonl", {"id": 0, "en": TEXT, "zh": "怎么？"})
    (prompt,) = read_suite(tmp_path / "a.jsonl", format="multijail", columns={"prompt.zh": "-"})
    assert (prompt.language, prompt.category) == ("en", "uncategorised")


def test_unknown_formats_and_styles_out_of_place_are_told(file):
    write(file, question(1))
    assert said(read_suite, file, format="sorrybench") == (
        "unknown suite format 'sorrybench': use one of sorry-bench, xstest, multijail, or leave "
        "it out and say which column holds what."
    )
    assert said(read_suite, file, format="xstest", styles=["base"]) == (
        'styles are those of SORRY-Bench: say format = "sorry-bench" or drop them.'
    )
