"""Doubts about one translation: seen where they are, and not where they are not."""

from __future__ import annotations

import pytest

from polydrift.languages import LANGUAGES
from polydrift.specimens.lexicon import load
from polydrift.translate.doubts import BOUNDS, distance, doubts, weight

CODES = [code for code in LANGUAGES if code != "en"]
LONG = {code: " ".join(load(code).refusals) for code in LANGUAGES}


def test_every_language_has_bounds():
    assert list(BOUNDS) == CODES
    assert all(low < middle < high for low, middle, high in BOUNDS.values())


@pytest.mark.parametrize("code", CODES)
def test_true_translations_are_not_doubted(code):
    lexicon, english = load(code), load("en")
    pairs = [
        *zip(lexicon.refusals, english.refusals, strict=True),
        *zip(lexicon.compliances, english.compliances, strict=True),
        *zip(lexicon.fillers, english.fillers, strict=True),
        (LONG[code], LONG["en"]),
    ]
    assert [doubts(here, there, code) for here, there in pairs] == [()] * len(pairs)


@pytest.mark.parametrize("code", CODES)
def test_what_is_dropped_repeated_or_left_is_doubted(code):
    assert doubts(LONG[code], LONG["en"][:40], code) == ("collapse",)
    assert doubts(LONG[code], LONG["en"] * 3, code) == ("repetition",)
    assert doubts(LONG[code], LONG["en"][:60] + " and then" * 12, code) == ("repetition",)
    assert "untranslated" in doubts(LONG[code], LONG[code], code)
    assert doubts(LONG[code], "", code) == ("untranslated",)
    assert doubts(LONG[code], "…", code) == ("untranslated",)


def test_a_sentence_that_repeats_may_be_translated_so():
    assert doubts("nej " * 12, "no " * 12, "da") == ()
    assert doubts("不" * 24, "no " * 24, "zh") == ()
    assert doubts("Nej, det vil jeg ikke være med til.", "no " * 12, "da") == ("repetition",)


def test_a_row_of_numbers_is_no_repetition():
    assert doubts("Tallene er 0 0 0 0 0 0 0.", "The numbers are 0 0 0 0 0 0 0.", "da") == ()


def test_names_and_numbers_may_stay():
    assert doubts("Madrid.", "Madrid.", "es") == ()
    assert doubts("42", "42", "da") == ()
    assert doubts("!", "", "da") == ()
    assert doubts("Det ved jeg ikke", "det ved jeg ikke", "da") == ("untranslated",)


def test_han_weighs_three_letters():
    assert weight("你好, a1") == 8
    assert distance("你好", "abcdef", "zh") == pytest.approx(1 / 0.98)
    assert distance("abcd", "ab", "da") == pytest.approx(2 * 0.97)
    assert distance("", "", "da") >= 1
