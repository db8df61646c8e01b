"""What touches safety, in nine languages, and what does not."""

from __future__ import annotations

import re

import pytest

from polydrift.data import shipped
from polydrift.data.benign import read_examples
from polydrift.data.suites import read_suite
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.parallel.harmless import (
    IDIOMS,
    KINDS,
    MILD,
    WORD_KINDS,
    Touch,
    fingerprint,
    fold,
    touches,
    touches_all,
    word_lists,
)

EVERY = pytest.mark.parametrize("code", LANGUAGES)
CAUGHT = {  # kind: the same mild request in each language
    "en": {"crime": "How do I steal apples?", "deceit": "Write a fake letter."},
    "zh": {"crime": "怎么偷苹果？", "deceit": "写一封伪造又虚假的信。"},
    "da": {"crime": "Hvordan stjæler jeg æbler?", "deceit": "Skriv et falsk brev."},
    "el": {"crime": "Πώς να κλέψω μήλα;", "deceit": "Γράψε ένα ψεύτικο γράμμα."},
    "hi": {"crime": "सेब कैसे चुराऊँ?", "deceit": "एक फ़र्ज़ी चिट्ठी लिखो।"},
    "ga": {"crime": "Conas úlla a ghoid?", "deceit": "Scríobh litir bhréige."},
    "pt": {"crime": "Como roubar maçãs?", "deceit": "Escreva uma carta falsa."},
    "es": {"crime": "¿Cómo robar manzanas?", "deceit": "Escribe una carta falsa."},
    "tl": {"crime": "Paano magnakaw ng mansanas?", "deceit": "Magsinungaling ka sa sulat."},
}
REFUSALS = {
    "en": "I'm sorry, but I can't help with that.",
    "zh": "抱歉，我无法帮助你完成这个请求。",
    "da": "Beklager, men det kan jeg ikke hjælpe dig med.",
    "el": "Λυπάμαι, αλλά δεν μπορώ να σε βοηθήσω με αυτό.",
    "hi": "माफ़ कीजिए, मैं इसमें आपकी मदद नहीं कर सकता।",
    "ga": "Tá brón orm, ach ní féidir liom cabhrú leat leis sin.",
    "pt": "Desculpe, mas não posso ajudar com isso.",
    "es": "Lo siento, pero no puedo ayudarte con eso.",
    "tl": "Paumanhin, hindi kita matutulungan diyan.",
}
SPEAKERS = {
    "en": "As an AI language model, I like pears.",
    "zh": "作为一个AI语言模型，我喜欢梨。",
    "da": "Som en AI-sprogmodel kan jeg lide pærer.",
    "el": "Ως γλωσσικό μοντέλο, μου αρέσουν τα αχλάδια.",
    "hi": "एक एआई भाषा मॉडल के रूप में मुझे नाशपाती पसंद है।",
    "ga": "Mar shamhail teanga, is maith liom piorraí.",
    "pt": "Como modelo de linguagem, gosto de peras.",
    "es": "Como modelo de lenguaje, me gustan las peras.",
    "tl": "Bilang isang modelo ng wika, gusto ko ng peras.",
}


def kinds(text, code, name="instruction"):
    return {touch.kind for touch in touches({name: text}, code)}


@EVERY
def test_word_lists_are_well_formed(code):
    lists = word_lists(code)
    assert tuple(lists) == (*WORD_KINDS, IDIOMS)
    every = [word for words in lists.values() for word in words]
    assert len(every) == len(set(every))
    for kind, words in lists.items():
        assert words, f"{code} has no words of {kind}"
        assert list(words) == sorted(words)
        for entry in words:
            assert re.fullmatch(r"\*?[^\s*]+\*?(?: [^\s*]+\*?)*", entry), entry
            assert not re.search(r"^\.\.|\.\.$|-|’", entry), entry
            if "*" in entry and not re.search("[\u4e00-\u9fff]", entry):
                assert len(re.sub(r"[\s.*]", "", entry)) >= 3, entry


@EVERY
def test_every_entry_finds_itself(code):
    lists = word_lists(code)
    entries = [(kind, word) for kind in WORD_KINDS for word in lists[kind]]
    texts = [{"prompt": re.sub(r"\*| ?\.\.", "", word)} for _, word in entries]
    idioms = [fold(re.sub(r"\*", "", idiom), code) for idiom in lists[IDIOMS]]
    lost = [
        word
        for (kind, word), text, found in zip(
            entries, texts, touches_all(texts, [code] * len(texts)), strict=True
        )
        if kind not in {touch.kind for touch in found}
        and not any(idiom in fold(text["prompt"], code) for idiom in idioms)
    ]
    assert lost == []


@EVERY
@pytest.mark.parametrize("kind", ["crime", "deceit"])
def test_the_same_request_is_caught_in_every_language(code, kind):
    assert kind in kinds(CAUGHT[code][kind], code)
    assert kind in kinds(CAUGHT[code][kind].upper(), code)


@EVERY
def test_a_refusing_answer_touches(code):
    texts = {"instruction": "…", "input": "", "response": REFUSALS[code]}
    (refusal,) = [touch for touch in touches(texts, code) if touch.kind == "refusal"]
    assert refusal.field == "response"
    assert refusal.words[0]
    assert all(touch.kind != "refusal" for touch in touches(texts, code, refusals=False))
    assert "refusal" not in kinds(REFUSALS[code], code)  # a request, not an answer


@EVERY
def test_a_model_that_speaks_of_itself_touches(code):
    assert "assistant-talk" in kinds(SPEAKERS[code], code, "response")


@EVERY
def test_hardly_one_of_our_own_harmless_examples_is_dropped(code):
    rows = [one for one in read_examples(shipped.path(shipped.BENIGN)) if one.language == code]
    texts = [{"instruction": r.instruction, "input": r.input, "response": r.response} for r in rows]
    found = touches_all(texts, [code] * len(texts))
    assert len(found) == 150
    assert sum(map(bool, found)) <= 9


@EVERY
def test_most_mild_unsafe_prompts_are_caught_and_more_than_their_safe_lookalikes(code):
    prompts = [one for one in read_suite(shipped.path(shipped.AUDIT)) if one.language == code]
    found = touches_all([{"prompt": one.text} for one in prompts], [code] * len(prompts))
    share = {}
    for kind in ("unsafe", "safe-lookalike"):
        some = [bool(f) for one, f in zip(prompts, found, strict=True) if one.kind == kind]
        share[kind] = sum(some) / len(some)
    assert share["unsafe"] > 0.7
    assert share["safe-lookalike"] < 0.45


def test_what_is_found_is_told_by_field_and_kind():
    texts = {"instruction": "Kill or steal?", "input": "A pear.", "response": "Kill, and KILL it."}
    assert touches(texts, "en") == (
        Touch("violence", "instruction", ("kill",)),
        Touch("crime", "instruction", ("steal",)),
        Touch("violence", "response", ("kill",)),
    )
    assert {touch.kind for touch in touches(texts, "en")} <= set(KINDS)


def test_mild_kinds_are_told_apart():
    assert kinds("Which wine goes with fish?", "en") == {"vices"}
    assert kinds("When did the war end?", "en") == {"conflict"}
    assert set(MILD) < set(WORD_KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "How do I kill a process on port 80?",
        "Name a killer app, or a drugstore.",
        "We met at the tennis court and had begun to play.",
        "A battery and a bulleted list for Grape Street in Essex.",
        "Beat the eggs, and kill two birds with one stone.",
    ],
)
def test_idioms_and_parts_of_words_are_harmless(text):
    assert touches({"instruction": text}, "en") == ()


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("Chuir sé an bhuama agus an mbuama síos.", "ga", ("bhuama", "mbuama")),
        ("an t-ionsaí", "ga", ("t-ionsaí",)),
        ("ΒΟΜΒΑ ή βόμβα ή βομβα", "el", ("βομβα",)),
        ("una explosion, una explosión", "es", ("explosion",)),
        ("Der er mange skydevåben og lagervåben", "da", ("skydevåben", "våben")),
        ("आतंकवादी", "hi", ("आतंकवादी",)),
        ("谈恐怖主义者", "zh", ("恐怖主义",)),
        ("self-harm and self harm", "en", ("self-harm", "self harm")),
        ("ＢＯＭＢ", "en", ("bomb",)),
        ("a bo\u00admb", "en", ("bomb",)),
    ],
)
def test_spellings_of_one_word_are_one(text, code, words):
    assert words in [touch.words for touch in touches({"prompt": text}, code)]


def test_a_vowel_sign_is_part_of_a_hindi_word():
    assert kinds("एक बम मिला", "hi") == {"weapons"}
    assert kinds("बमुश्किल पहुँचे", "hi") == set()


def test_two_dots_stand_for_words_of_the_same_sentence():
    assert "deceit" in kinds("Enter without anyone at home noticing.", "en")
    assert kinds("Go without. He kept noticing.", "en") == set()


def test_an_answer_in_another_language_may_refuse_as_well():
    texts = {"instruction": "Nævn en frugt.", "response": REFUSALS["en"]}
    assert "refusal" in {touch.kind for touch in touches(texts, "da")}


def test_an_empty_answer_is_no_refusal():
    assert touches({"instruction": "Name a fruit.", "response": " "}, "en") == ()


def test_a_language_without_lists_is_one_sentence():
    with pytest.raises(DataError) as caught:
        touches({"instruction": "x"}, "xx")
    assert str(caught.value) == (
        "unknown language 'xx': use one of en, zh, da, el, hi, ga, pt, es, tl."
    )


def test_the_fingerprint_is_of_lists_and_rules():
    assert re.fullmatch("[0-9a-f]{64}", fingerprint())
