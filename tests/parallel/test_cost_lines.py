"""Estimates: what is counted, what is assumed, and what it comes to."""

from __future__ import annotations

import pytest

from polydrift.data.suite_texts import LENGTHS
from polydrift.languages import LANGUAGES
from polydrift.parallel.cost import AROUND, ENGLISH, PER_CHARACTER, asking, total, translating

TEXT = "Boil the potatoes for twenty minutes."  # 37 characters


def test_a_model_is_paid_by_what_it_reads_and_writes():
    line = translating("openai/x", {"da": [TEXT] * 1000}, (0.15, 0.6), tokens=True)
    assert (line.requests, line.characters) == (1000, 37_000)
    assert line.read == pytest.approx((220_000 + 0.2 * 37_000, 220_000 + 0.27 * 37_000))
    assert line.written == pytest.approx((37_000 * 1.02 * 0.22, 37_000 * 1.02 * 0.45))
    assert line.money == pytest.approx(
        tuple((0.15 * r + 0.6 * w) / 1e6 for r, w in zip(line.read, line.written, strict=True))
    )
    assert line.sentence() == (
        "openai/x: 1,000 requests to translate into 1 language, 37,000 characters; about 230,000 "
        "tokens read and 8,300 to 17,000 written; 0.04 to 0.04 at its price"
    )


def test_a_service_is_paid_by_the_character():
    texts = {"da": [TEXT] * 500, "hi": [TEXT] * 500, "el": []}
    line = translating("google", texts, 20.0, tokens=False)
    assert (line.read, line.written) == (None, None)
    assert line.money == pytest.approx((0.74, 0.74))
    assert line.sentence() == (
        "google: 1,000 requests to translate into 2 languages, 37,000 characters; 0.74 to 0.74 at "
        "its price"
    )
    assert translating("google", texts, 20, tokens=False).money == line.money


def test_without_a_price_there_is_no_money():
    line = translating("nllb:x", {"da": ["a"]}, None, tokens=False)
    assert line.money is None
    assert line.sentence() == "nllb:x: 1 request to translate into 1 language, 1 character"
    assert total([line]) is None
    assert total([]) is None


def test_nothing_to_translate_is_no_line():
    assert translating("x", {"da": [], "el": []}, (1.0, 1.0), tokens=True) is None
    assert translating("x", {}, 1.0, tokens=False) is None


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_every_language_has_what_is_assumed_of_its_script(code):
    low, high = PER_CHARACTER[LANGUAGES[code].script]
    line = translating("x", {code: ["a" * 1000]}, (0.0, 1e6), tokens=True)
    assert line.written == pytest.approx((1000 * LENGTHS[code] * low, 1000 * LENGTHS[code] * high))
    assert line.money == pytest.approx(line.written)
    assert 0 < low < high
    assert line.written[0] > 0.1 * 1000  # no language says it in a tenth of the tokens


def test_languages_are_added_up():
    both = translating("x", {"da": ["ab"], "el": ["cde", "f"]}, (1.0, 2.0), tokens=True)
    each = [
        translating("x", {"da": ["ab"]}, (1.0, 2.0), tokens=True),
        translating("x", {"el": ["cde", "f"]}, (1.0, 2.0), tokens=True),
    ]
    assert both.requests == 3
    assert both.characters == 6
    assert both.read == pytest.approx(
        (3 * AROUND + 6 * ENGLISH[0], 3 * AROUND + 6 * ENGLISH[1]), rel=1e-9
    )
    assert both.money == pytest.approx(total(each))
    assert total([*each, translating("y", {"da": ["ab"]}, None, tokens=False)]) == total(each)


def test_requests_in_english_have_their_own_line():
    line = asking("openai/x", "for 1,000 pairs", 250, 1_000_000, 2_000.0, (0.5, 1.5))
    assert line.read == pytest.approx((200_000, 270_000))
    assert line.written == pytest.approx((100_000, 135_000))
    assert line.money == pytest.approx((0.25, 0.3375))
    assert line.sentence() == (
        "openai/x: 250 requests for 1,000 pairs, 1,000,000 characters; about 200,000 to 270,000 "
        "tokens read and 100,000 to 140,000 written; 0.25 to 0.34 at its price"
    )
    assert asking("x", "to look", 1, 10, 0, None).money is None
