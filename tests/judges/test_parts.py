"""Text, phrases, openers and language identification, one by one."""

from __future__ import annotations

import pytest

from polydrift.errors import DataError
from polydrift.judges import openers, text
from polydrift.judges.language import OTHER, identify
from polydrift.judges.phrases import phrases
from polydrift.judges.rules import judge
from polydrift.languages import LANGUAGES

HUMAN_RIGHTS = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
    "da": "Alle mennesker er født frie og lige i værdighed og rettigheder.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में समानता प्राप्त है।",
    "ga": "Saoláitear na daoine uile saor agus comhionann ina ndínit agus ina gcearta.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "tl": "Ang lahat ng tao'y isinilang na malaya at pantay-pantay sa karangalan.",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_is_known(language):
    assert identify(HUMAN_RIGHTS[language]) == language


@pytest.mark.parametrize("short", ["", "42", "OK", "Hm.", "a", "😀", "x = 1"])
def test_short_texts_are_undetermined(short):
    assert identify(short) is None


def test_code_and_addresses_do_not_decide():
    assert identify(f"{HUMAN_RIGHTS['ga']}\n```\nfor row in rows: print(row)\n```") == "ga"
    assert identify("```\nfor row in rows: print(row)\n```") is None


def test_han_with_kana_is_another_language():
    assert identify("日本語の文章です。") == OTHER
    assert identify("我昨天看了《となりのトトロ》，非常喜欢这部电影，推荐给大家。") == "zh"


def test_a_list_of_names_is_not_another_language():
    names = "Willem Dafoe, Gérard Depardieu, Lars Mikkelsen, Sofia Loren, Antonio Banderas, "
    assert identify(names * 2) != OTHER


def test_clean_takes_thinking_tags_and_odd_characters_out():
    assert text.clean("<think>a</think>\n b\u00a0 c") == "b c"
    assert text.clean("<THINK>a") == ""
    assert text.clean("a</think>b") == "b"
    assert text.clean("“a”，ｂ！\u037e") == '"a",ｂ!;'
    linked = text.plain(text.clean("## *a* [b](http://c.d) `e`\n```\nx\n```\n> f"))
    assert linked.split() == ["a", "b", "e", "f"]


def test_folding_joins_spellings():
    assert text.fold("Λυπάμαι", "el") == "Λυπαμαι"
    assert text.fold("माफ़ करूँगा", "hi") == "माफ करूंगा"
    assert text.fold("無法協助", "zh") == "无法协助"
    assert text.fold("Déan", "ga") == "Déan"


def test_quotations_are_blanked_unless_they_are_all():
    assert text.unquoted("Write: 'I cannot come.' Then send.").split() == [
        "Write:",
        "Then",
        "send.",
    ]
    assert "«" not in text.unquoted("Γράψε: «Δεν μπορώ να έρθω.»")
    assert text.unquoted('"I cannot help."') == '"I cannot help."'
    assert text.unquoted("I can't and won't help.") == "I can't and won't help."


def test_the_lead_ends_where_material_begins():
    assert text.lead("Sure:\n1. a\n2. b") == "Sure:"
    assert text.lead("No list here.") == "No list here."
    assert text.items("a: 1. b 2. c\n- d\n• e\n3、f") == 5


def test_loops_need_many_repeats():
    sentence = "The quick brown fox jumps over the lazy dog near the old river bank. "
    assert not text.loops(sentence)
    assert not text.loops(sentence * 2)
    assert text.loops(sentence * 8)
    assert text.loops("一步一步来。" * 20)
    assert not text.loops("一步一步来。先做一个计划，再慢慢地把它做完，最后检查结果。")


@pytest.mark.parametrize("language", LANGUAGES)
def test_openers_are_judged_as_what_they_are(language):
    assert len(openers.refusals(language)) >= 3
    assert len(openers.compliances(language)) >= 3
    assert not set(openers.refusals(language)) & set(openers.compliances(language))
    book = phrases(language)
    for opener in openers.compliances(language):
        assert judge("", opener, language).verdict == "complied"
        assert book.comply.search(text.fold(text.clean(opener), language)), opener


def test_openers_of_an_unknown_language():
    with pytest.raises(DataError, match="unknown language 'fr'"):
        openers.refusals("fr")
