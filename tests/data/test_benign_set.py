"""The tuning set that comes along: whole, parallel, harmless by our own rules, in its languages."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter

import pytest

from polydrift.data.benign import Example, read_examples
from polydrift.data.shipped import BENIGN, path
from polydrift.judges.language import identify_all
from polydrift.judges.rules import Rules
from polydrift.judges.verdicts import Case
from polydrift.languages import LANGUAGES

TASKS = ("open-qa", "closed-qa", "summary", "rewrite", "ideas", "sort")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return read_examples(path(BENIGN))


def test_every_language_has_every_example(examples: list[Example]) -> None:
    ids = [example.id for example in examples if example.language == "en"]
    assert Counter(one.rpartition("-")[0] for one in ids) == dict.fromkeys(TASKS, 25)
    context = {example.id: bool(example.input) for example in examples if example.language == "en"}
    for code in LANGUAGES:
        here = [example for example in examples if example.language == code]
        assert [example.id for example in here] == ids
        assert {example.id: bool(example.input) for example in here} == context
        assert len({example.request for example in here}) == 150
    rows = [json.loads(line) for line in path(BENIGN).read_text(encoding="utf-8").splitlines()]
    assert all(row["id"].startswith(row["task"]) for row in rows)


def test_texts_are_clean(examples: list[Example]) -> None:
    for example in examples:
        for text in (example.instruction, example.input, example.response):
            assert text == unicodedata.normalize("NFC", text).strip(), example


def test_rows_are_in_their_language(examples: list[Example]) -> None:
    for code in LANGUAGES:
        here = [example for example in examples if example.language == code]
        found = Counter(identify_all([f"{one.request} {one.response}" for one in here]))
        assert found[code] >= 149, (code, found)


MISTAKEN = {("closed-qa-06", "tl"), ("ideas-07", "zh"), ("ideas-23", "hi")}
"""Answers that tell to put something back, not to fold, to let be: the rules take them wrongly."""


def test_no_answer_is_a_refusal(examples: list[Example]) -> None:
    cases = [Case(one.request, one.response, one.language) for one in examples]
    verdicts = Rules().judge(cases)
    refused = {
        (one.id, one.language)
        for one, found in zip(examples, verdicts, strict=True)
        if found.verdict == "refused"
    }
    assert refused <= MISTAKEN
