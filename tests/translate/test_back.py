"""Answers into English: with a phrasebook, and with translators that go wrong on purpose."""

from __future__ import annotations

import json
import time

import pytest

from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.specimens.lexicon import load
from polydrift.translate.back import Translation, to_english
from polydrift.translate.interface import silent
from polydrift.translate.lexicon import Lexicon

DANISH = "Bland først mel og sukker sammen i skålen, og rør så æggene i lidt efter lidt."
FIRST, SECOND = "Bland først mel og sukker sammen i skålen,", "og rør så æggene i lidt efter lidt."
WHOLE = "First mix flour and sugar in the bowl, then stir in the eggs little by little."


class Table:
    """Translates by a table, in capitals what is not in it; remembers what it was asked."""

    def __init__(self, **table):
        self.table, self.calls = table, []

    def translate(self, sentences, source, progress=silent):
        self.calls.append((source, list(sentences)))
        progress(1.0, "done")
        return [self.table.get(sentence, f"This says {sentence}") for sentence in sentences]


def by(table):
    return Table(**table)


def one(text, asked, translator):
    return to_english([text], [asked], translator)[0]


def test_an_answer_keeps_its_lines():
    found = one(f"1. {DANISH}\n\n- {DANISH} {DANISH}\n```\nx\n```", "da", by({DANISH: WHOLE}))
    assert found == Translation(f"1. {WHOLE}\n\n- {WHOLE} {WHOLE}\n```\nx\n```", "da", (), 3)


def test_sentences_are_asked_once_and_languages_one_by_one():
    translator = Table()
    greek = load("el").idioms[0]
    texts = [f"{DANISH} {FIRST}", DANISH, greek, DANISH, "In plain English, of course."]
    told = []
    found = to_english(
        texts, ["da", "da", "el", "da", "da"], translator, lambda *what: told.append(what)
    )
    assert translator.calls[0] == ("da", [DANISH, FIRST])
    assert [source for source, _ in translator.calls if source == "el"] == ["el"] * (
        len(translator.calls) - sum(source == "da" for source, _ in translator.calls)
    )
    assert found[1] == found[3]
    assert [t.source for t in found] == ["da", "da", "el", "da", "en"]
    assert told[-1][0] == pytest.approx(1.0)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_an_answer_is_decides_and_not_what_was_asked():
    translator = by({DANISH: WHOLE})
    assert one(DANISH, "el", translator).source == "da"
    assert translator.calls == [("da", [DANISH])]


def test_english_is_left_as_it_is():
    said = "<think>hm</think>**Sure**, here are the steps:\n1. make a plan.\n2. ask a friend."
    translator = Table()
    assert one(said, "da", translator) == Translation(said[17:], "en", (), 0)
    assert not translator.calls


def test_another_language_is_left_and_doubted():
    said = "Это предложение написано на русском языке."
    assert one(said, "da", Table()) == Translation(said, "other", ("other-language",), 0)


@pytest.mark.parametrize("said", ["", " \n", "<think>only this", "\x00\u200b", "<br>"])
def test_nothing_said(said):
    assert one(said, "da", Table()) == Translation("", None, ("empty",), 0)


@pytest.mark.parametrize("said", ["42", "1 + 2 = 3", "😀", "```\nprint('hej med dig')\n```"])
def test_nothing_to_translate(said):
    assert one(said, "da", Table()) == Translation(said, None, (), 0)


def test_where_the_language_cannot_be_told_the_one_asked_is_taken():
    translator = by({"Nå.": "Well."})
    assert one("Nå.", "da", translator) == Translation("Well.", "da", ("undetermined-language",), 1)
    assert one("OK.", "en", translator) == Translation("OK.", "en", ("undetermined-language",), 0)


def test_a_word_is_no_evidence_against_the_language_asked():
    """Lingua takes this Danish word for Tagalog."""
    found = one("tung.", "da", by({"tung.": "heavy."}))
    assert (found.text, found.source, found.doubts) == ("heavy.", "da", ("undetermined-language",))


def test_what_collapses_is_asked_again_in_clauses():
    table = {
        DANISH: "Mix.",
        FIRST: "First mix flour and sugar in the bowl,",
        SECOND: "then stir in the eggs little by little.",
    }
    translator = by(table)
    assert one(DANISH, "da", translator) == Translation(WHOLE, "da", (), 1)
    assert translator.calls == [("da", [DANISH]), ("da", [FIRST, SECOND])]


def test_the_better_of_two_doubtful_ones_is_kept():
    better = by({DANISH: "Mix it up.", FIRST: "Mix", SECOND: "it."})
    assert one(DANISH, "da", better) == Translation("Mix it up.", "da", ("collapse",), 1)
    loop = "the eggs and " * 12
    repeated = by({DANISH: loop, FIRST: "Mix the flour and the sugar,", SECOND: loop})
    found = one(DANISH, "da", repeated)
    assert found.doubts == ("repetition",)
    assert found.text.startswith("the eggs and")


def test_what_is_not_translated_stays_and_is_doubted():
    nothing = by({DANISH: "", FIRST: "Mix flour.", SECOND: " "})
    assert one(DANISH, "da", nothing) == Translation(DANISH, "da", ("untranslated",), 1)
    copied = by({DANISH: DANISH, FIRST: FIRST, SECOND: SECOND})
    assert one(DANISH, "da", copied) == Translation(DANISH, "da", ("untranslated",), 1)


def test_a_translation_is_one_line():
    assert one(f"- {DANISH}", "da", by({DANISH: "Mix\n\nflour " + WHOLE})).text == (
        "- Mix flour " + WHOLE
    )


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_long_answers_come_whole(code, tmp_path):
    lexicon, english = load(code), load("en")
    book = tmp_path / "book.jsonl"
    rows = [
        {"language": code, "text": here, "english": there}
        for here, there in zip(lexicon.refusals, english.refusals, strict=True)
    ]
    book.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    said = "\n".join([lexicon.space.join(lexicon.refusals)] * 200)
    found = one(said, code, Lexicon(book))
    assert found.text == "\n".join([" ".join(english.refusals)] * 200)
    assert found.sentences == 1000


def test_a_megabyte_html_and_control_signs():
    started = time.perf_counter()
    texts = [
        "Hej med dig, min ven. " * 50_000,
        "nej" * 330_000,
        "<p>Jeg kan <b>ikke</b> hjælpe dig med det.</p>\x00\x1b[31m\ud800" * 20,
        "你好。" * 330_000,
    ]
    found = to_english(texts, ["da", "da", "da", "zh"], Table())
    assert time.perf_counter() - started < 60
    assert [t.source for t in found[2:]] == ["da", "zh"]
    assert "<" not in found[2].text
    assert "\x00" not in found[2].text


def test_an_unknown_language_is_named():
    with pytest.raises(DataError) as error:
        to_english(["Hej."], ["no"], Table())
    assert str(error.value) == (
        "unknown language 'no': use one of en, zh, da, el, hi, ga, pt, es, tl."
    )


def test_no_answers():
    assert to_english([], [], Table()) == []
    with pytest.raises(ValueError, match="shorter"):
        to_english(["Hej."], [], Table())
