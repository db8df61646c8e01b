from __future__ import annotations

import math

import pytest

from polydrift.report import words


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (0.0, 1, True, "0.0"),
        (-0.04, 1, True, "0.0"),
        (1234.5, 1, False, "1,234.5"),
        (-2.0, 0, False, "−2"),
        (2.0, 0, True, "+2"),
        (math.nan, 1, True, "–"),
        (math.inf, 1, True, "–"),
        (None, 1, True, "–"),
    ],
)
def test_number(value: float | None, digits: int, signed: bool, text: str) -> None:
    assert words.number(value, digits, signed=signed) == text


def test_shares() -> None:
    assert (words.points(0.582), words.points(-0.004), words.points(None)) == ("+58", "0", "–")
    assert (words.percent(1.0), words.percent(math.nan)) == ("100%", "–")
    assert words.interval(-0.1, 0.25) == "[−10.0, +25.0]"
    assert words.interval(math.nan, 0.25) == "–"


def test_sentences() -> None:
    assert words.count(1, "cell") == "1 cell"
    assert words.count(1200, "study", "studies") == "1,200 studies"
    assert [words.listed("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_languages() -> None:
    assert (words.name("ga"), words.name("xx"), words.name(None)) == ("Irish", "xx", "–")
    assert (words.endonym("hi"), words.endonym("xx")) == ("हिन्दी", "")


@pytest.mark.parametrize(
    "text",
    [
        "Γειά",
        "नमस्ते दुनिया",
        "你好，世界",
        "Dia duit\na chara",
        "emoji 👩‍👩‍👧 with joiners",
        "tab\there",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert words.clean(text) == text


def test_what_html_forbids_and_what_turns_text_round_is_replaced() -> None:
    assert words.clean("a\x00b\x07c\u202ed\u2066e\x85") == "a�b�c�d�e�"


def test_excerpt() -> None:
    assert words.excerpt(" short ", 10) == "short"
    assert words.excerpt("x" * 1_000_000, 3) == "xxx …"
