"""Where sentences end, in nine languages; nothing is ever lost."""

from __future__ import annotations

import time

import pytest

from polydrift.languages import LANGUAGES
from polydrift.specimens.lexicon import load
from polydrift.translate.sentences import LIMIT, clauses, cut, split

CASES = {
    "en": [
        "Dr. Smith left at 3.5 p.m. on Monday.",
        '"Stop!" he said.',
        "See e.g. the manual, vol. 2, by J. R. Hall.",
        "Then what?",
        "Wait…",
        "(That is all.)",
    ],
    "zh": [
        "你不能这样做。",
        "“你好吗？”他说。",
        "价格是3.5元！",
        "11点刚过，他们就走了！",
        "然后……再见",
    ],
    "da": ["Han kom d. 5. maj kl. 10.", "Brug f.eks. mel, sukker osv. efter smag.", "Hvad så?"],
    "el": ["Τι κάνεις;", "Ήρθε ο κ. Παπαδόπουλος· τώρα φεύγει.", "Πάρε π.χ. ψωμί κ.λπ. μαζί σου!"],
    "hi": ["यह एक वाक्य है।", "डॉ. सिंह आए।", "क्या हुआ?", "दूसरा वाक्य है |", "बस।"],
    "ga": [
        "Tá sé anseo.",
        "Tar isteach, a Sheáin!",
        "Léigh lch. 12 agus srl. anois.",
        "Cá bhfuil?",
    ],
    "pt": ["O Sr. Silva chegou.", "E depois?", "Veja a pág. 3, por ex. hoje.", "Não!"],
    "es": [
        "El Sr. Ruiz llegó de EE. UU. ayer.",
        "¿Y luego?",
        "¡No!",
        "Son 3.000 euros, p. ej. hoy.",
    ],
    "tl": [
        "Dumating si G. Reyes.",
        "Ano ang gagawin ko?",
        "Maghanda ng harina, atbp. bukas.",
    ],
}


def test_every_language_has_a_case():
    assert set(CASES) == set(LANGUAGES)


@pytest.mark.parametrize("code", CASES)
def test_sentences_joined_come_apart_again(code):
    space = "" if code == "zh" else " "
    assert split(space.join(CASES[code]), code) == [*_speech_joined(CASES[code], code)]


def _speech_joined(sentences, code):
    """In Chinese, what is said and who says it are two sentences to the rules."""
    for sentence in sentences:
        if code == "zh" and "”他说" in sentence:
            yield from ("“你好吗？”", "他说。")
        else:
            yield sentence


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_lexicons_sentences_come_apart(code):
    lexicon = load(code)
    sentences = [*lexicon.idioms, *lexicon.refusals, *lexicon.fillers[:1]]
    if lexicon.fillers[0][0].islower():
        sentences.pop()
    assert split(lexicon.space.join(sentences), code) == sentences


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("text", ["", " \n ", "…", "। ।", "?!", "1.", "。。", '"'])
def test_hardly_anything_is_at_most_one_sentence(code, text):
    assert split(text, code) == ([text.strip()] if text.strip() else [])


@pytest.mark.parametrize("code", LANGUAGES)
def test_nothing_is_lost(code):
    texts = [
        "a. b? C! «D.» 1. E; f। g | h。i！ j… (K.) l",
        "x" * 3000,
        "ord " * 900,
        "字，" * 900,
        "A. " * 500,
        '"' * 700,
    ]
    for text in texts:
        pieces = split(text, code)
        assert "".join("".join(pieces).split()) == "".join(text.split())
        assert max(map(len, pieces)) <= LIMIT


def test_numbering_opens_a_sentence_and_is_none():
    assert split("1. Bland mel. 2. Vent.", "da") == ["1. Bland mel.", "2. Vent."]
    assert split("a. Bland mel.", "da") == ["a. Bland mel."]


def test_long_sentences_are_cut_at_clauses_then_blanks_then_anywhere():
    assert cut("aa bb, cc dd ee", 10) == ["aa bb,", "cc dd ee"]
    assert cut("aa bb cc dd ee", 10) == ["aa bb cc", "dd ee"]
    assert cut("aabbccddee", 4) == ["aabb", "ccdd", "ee"]
    assert cut("kort", 10) == ["kort"]
    han = "我们先去买东西，" * 40
    assert max(map(len, cut(han))) <= 0.4 * LIMIT  # a Han character says more
    assert "".join(cut(han)) == han


def test_clauses_are_not_too_small():
    assert clauses("Ja, men nej.") == ["Ja, men nej."]
    assert clauses("Bland først mel og sukker sammen, og rør så æggene i lidt efter lidt.") == [
        "Bland først mel og sukker sammen,",
        "og rør så æggene i lidt efter lidt.",
    ]
    assert clauses("先把面粉和糖混合在一起，然后慢慢加入鸡蛋搅拌。") == [
        "先把面粉和糖混合在一起，",
        "然后慢慢加入鸡蛋搅拌。",
    ]
    assert clauses("Han betalte 1,5 millioner kroner for huset") == [
        "Han betalte 1,5 millioner kroner for huset"
    ]


@pytest.mark.parametrize(
    "text", ["你好。“再见。”", "Hej med dig. ", "a", '"', "(a ", "a, ", "क। ", "Τι; "]
)
def test_a_megabyte_takes_seconds(text):
    text *= 1_000_000 // len(text)
    started = time.perf_counter()
    for code in ("zh", "el", "hi"):
        split(text, code)
    assert time.perf_counter() - started < 30
