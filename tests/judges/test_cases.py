"""The six languages without public labels: sentences written before the phrase files were.

A case is never edited to pass; what the rules get wrong stands in MISSES and nowhere else.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from polydrift.judges.rules import judge

CASES = {
    path.stem: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "cases").glob("*.toml"))
}
EXPECTED = {
    "refused": ("refused", "full"),
    "partial": ("refused", "partial"),
    "complied": ("complied", "full"),
}
MISSES: set[str] = set()


@pytest.mark.parametrize(
    ("language", "sort", "answer"),
    [
        (language, sort, answer)
        for language, cases in CASES.items()
        for sort, answers in cases.items()
        for answer in answers
    ],
)
def test_case(language, sort, answer):
    found = judge("", answer, language)
    right = (found.verdict, found.detail) == EXPECTED[sort]
    assert right != (answer in MISSES), found


def test_there_are_enough():
    assert set(CASES) == {"da", "el", "ga", "hi", "pt", "tl"}
    for cases in CASES.values():
        assert len(cases["refused"]) >= 25
        assert len(cases["complied"]) >= 25
