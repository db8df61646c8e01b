"""The phrasebook: exact where it has rows, honest where it has none."""

from __future__ import annotations

import json

import pytest

from polydrift import specimens
from polydrift.data.suites import read_suite
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.specimens.lexicon import load
from polydrift.translate.back import to_english
from polydrift.translate.lexicon import Lexicon

ROWS = [
    ("da", "Selvfølgelig, her er trinene:", "Of course, here are the steps:"),
    ("da", "spørg en ven.", "ask a friend."),
    ("da", "en ven", "a friend"),
    ("da", "en", "one"),
    ("zh", "步骤如下：", "here are the steps:"),
    ("zh", "问朋友。", "ask a friend."),
]


@pytest.fixture
def book(tmp_path):
    return write(
        tmp_path, [dict(zip(("language", "text", "english"), r, strict=True)) for r in ROWS]
    )


def row(values):
    return dict(zip(("language", "text", "english"), values, strict=False))


def write(place, rows):
    path = place / "book.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("code", "sentence", "english"),
    [
        ("da", "spørg en ven.", "ask a friend."),
        ("da", " Spørg  EN ven. ", "ask a friend."),
        (
            "da",
            "Selvfølgelig, her er trinene: spørg en ven.",
            "Of course, here are the steps: ask a friend.",
        ),
        ("da", "en ven, en ven og en ven", "a friend , a friend og a friend"),
        ("da", "vente", ""),  # "en" is no word of it
        ("da", "noget helt andet", ""),
        ("zh", "步骤如下：问朋友。", "here are the steps: ask a friend."),
        ("zh", "不问朋友。", "不 ask a friend."),
        ("el", "ένα", ""),
        ("da", "", ""),
        ("da", "42", ""),
    ],
)
def test_sentences(book, code, sentence, english):
    assert Lexicon(book).translate([sentence], code) == [english]


def test_an_unknown_language_is_named(book):
    with pytest.raises(DataError, match="unknown language 'no'"):
        Lexicon(book).translate(["en"], "no")


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (row(["da", "en"]), "no column 'english'; this row has language, text."),
        (row(["da", " ", "x"]), "'text' is empty: fill it or leave the row out."),
        (row(["da", "x", 1]), "'english' holds a JSON number: it must be a string."),
        (
            row(["no", "x", "x"]),
            "unknown language 'no': use one of en, zh, da, el, hi, ga, pt, es, tl.",
        ),
        (row(["en", "x", "x"]), "an English text needs no translation: remove the row."),
        (
            row(["da", "EN ven", "friend"]),
            "'en ven' has another translation at {path}:1: give each text once per language.",
        ),
    ],
)
def test_a_bad_row_is_named(tmp_path, bad, sentence):
    path = write(tmp_path, [row(["da", "en ven", "a friend"]), bad])
    with pytest.raises(DataError) as error:
        Lexicon(path)
    assert str(error.value) == f"{path}:2: {sentence.format(path=path)}"


def test_a_book_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError) as error:
        Lexicon(tmp_path / "absent.jsonl")
    assert str(error.value) == f"{tmp_path / 'absent.jsonl'}: no such file."


# The specimens' book.


@pytest.fixture(scope="module")
def shipped():
    return Lexicon(specimens.path("specimen:phrasebook"))


def test_every_prompt_of_the_suite_becomes_its_english_parallel(shipped):
    prompts = read_suite(specimens.path("specimen:suite"))
    english = {p.prompt_id: p.text for p in prompts if p.language == "en"}
    for code in LANGUAGES:
        here = [p for p in prompts if p.language == code]
        wanted = [english[p.prompt_id] for p in here]
        if code != "en":
            assert shipped.translate([p.text for p in here], code) == wanted
        found = to_english([p.text for p in here], [code] * len(here), shipped)
        assert [t.text for t in found] == wanted
        assert not [t for t in found if "untranslated" in t.doubts]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_answer_of_specimens_becomes_its_english_parallel(shipped, code):
    here, english = load(code), load("en")
    pairs = list(zip(here.refusals, english.refusals, strict=True))
    for i, opener in enumerate(here.compliances):
        for j, filler in enumerate(here.fillers):
            there = english.compliances[i] + english.space + english.fillers[j]
            pairs.append((opener + here.space + filler, there))
    for i in range(here.size("opposites")):
        pairs.append((here.word("opposites", i), english.word("opposites", i)))
    for slot in ("capitals", "categories", "colours"):
        for (_, word), (_, meaning) in zip(
            getattr(here, slot), getattr(english, slot), strict=True
        ):
            pairs.append((word + here.full_stop, meaning + english.full_stop))
    found = to_english([text for text, _ in pairs], [code] * len(pairs), shipped)
    wrong = [
        (text, meaning, one)
        for (text, meaning), one in zip(pairs, found, strict=True)
        if one.text != meaning or set(one.doubts) - {"undetermined-language"}
    ]
    assert not wrong
