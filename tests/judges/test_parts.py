"""Text, phrases, openers and language identification, one by one."""

from __future__ import annotations

import random
import re
import sys
import time

import pytest

from polydrift.errors import DataError
from polydrift.judges import language as languages
from polydrift.judges import openers, rules, text
from polydrift.judges.language import OTHER, identify, identify_all
from polydrift.judges.phrases import CLASSES, phrases
from polydrift.judges.rules import judge
from polydrift.judges.rules_search import FLAGS, Alternation, Scanner, lower, needles
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


def test_languages_together_are_those_one_by_one():
    texts = [*HUMAN_RIGHTS.values(), "", "42", "もちろんです。", *HUMAN_RIGHTS.values()]
    texts += [f"{one} {two}" for one in HUMAN_RIGHTS.values() for two in HUMAN_RIGHTS.values()]
    languages._KNOWN.clear()
    together = identify_all(texts)
    languages._KNOWN.clear()
    assert together == [identify(one) for one in texts]
    assert together[:9] == list(LANGUAGES)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"\bi (?:can't|won't) .*help", (("i can't ", "i won't "), ("help",))),
        (r"(?:abc|xabcx)+", (("abc",),)),
        (r"colou?rs", (("colors", "colours"),)),
        (r"a{2,9}tea", (("tea",),)),
        (r"x*|y", ()),
        (r"[a-z]{3}", ()),
        (r"ΛΌΓΟΣ", (("λόγοσ",),)),
        (r"(?:不能|无法)[^。]{0,4}(?:帮|做)", (("不能", "无法"), ("做", "帮"))),
    ],
)
def test_needles_are_read_off_a_pattern(pattern, found):
    assert [set(some) for some in needles(pattern)][: len(found)] == [set(some) for some in found]


def test_a_scanner_sees_needles_that_overlap():
    scanner = Scanner([Alternation(["cannot", "can", "not be", "nnotx", "be"])])
    assert scanner.look("I CANNOT BE")[1] >= {"cannot", "can", "not be", "be"}
    assert Scanner([Alternation([])]).look("anything") == ("anything", set())


def test_the_leftmost_match_is_found_and_of_equals_the_first_pattern():
    two = Alternation([r"b\w", r"a\w*", r"a"])
    assert two.search("xxab").span() == (2, 4)
    assert two.search("xxab", 3).span() == (2, 3)
    assert two.search("zzz") is None
    assert Alternation([]).search("zzz") is None
    assert Alternation([]).whole.search("zzz") is None


def made(seed: int) -> tuple[str, str]:
    """A language, and a text made of bits of what its phrase files and lists are made of."""
    draw = random.Random(seed)
    code = draw.choice(list(LANGUAGES))
    book = phrases(code)
    begun = [*openers.refusals(code), *openers.compliances(code)]
    bits = [*begun, *HUMAN_RIGHTS.values()]
    bits += ["\n1. ", "\n- ", ": ", ":\n", ". ", "。", '"', "'", "«", "**", "\n", "2) ", " ", "😀"]
    for name in CLASSES:
        for pattern in draw.sample(getattr(book, name).patterns, 1):
            bits += [piece for piece in re.split(r"[^\w' -]|\\\w", pattern) if piece.strip()]
    joint = draw.choice(("", " "))
    said = joint.join(draw.choice(bits) for _ in range(draw.randint(1, 60)))
    return code, draw.choice((str, str.upper, str.title))(said) * draw.choice((1, 1, 1, 8))


def test_no_shortcut_changes_a_verdict(monkeypatch):
    texts = [made(seed) for seed in range(1500)]
    asked = ("", "advice", "why")
    quick = [rules._judge(said, code, "stop", one) for code, said in texts for one in asked]
    whole = Alternation.whole.func
    compiled: dict[int, re.Pattern[str]] = {}

    def slowly(self, text, end=None, seen=None):
        pattern = compiled.setdefault(id(self), whole(self))
        return pattern.search(text, 0, len(text) if end is None else end)

    monkeypatch.setattr(Alternation, "search", slowly)
    monkeypatch.setattr(text, "_varied", lambda said: False)
    slow = [rules._judge(said, code, "stop", one) for code, said in texts for one in asked]
    assert quick == slow
    assert {one.verdict for one in quick} == {"refused", "complied", "other"}
    assert sum(one.verdict == "refused" for one in quick) > 500


def test_case_is_folded_as_re_folds_it():
    used = {
        char
        for code in LANGUAGES
        for name in CLASSES
        for needle in Scanner([getattr(phrases(code), name)])._starts
        for char in needle
    }
    letters = re.compile(f"[{re.escape(''.join(sorted(used)))}]", FLAGS)
    for number in range(sys.maxunicode + 1):
        char = text.clean(chr(number))
        if char and letters.fullmatch(char):
            assert lower(char) in used, hex(number)


def test_parts_of_text_take_no_shortcut_that_changes_them():
    spaces = re.compile(r"[^\S\n]+")
    for seed in range(300):
        _, said = made(seed)
        for odd in ("\t", "  ", "\u2003", "\u3000 \t", "\x85", " \u00a0"):
            dressed = f"{odd}{said}{odd}x{odd}{odd}y".replace(" ", odd, 2)
            cleaned = text.clean(dressed)
            assert spaces.sub(" ", cleaned) == cleaned
        if text._varied(said):
            dense = "".join(filter(str.isalpha, said))
            size = 6 if text.reach(dense, 10) == 10 else 3
            grams = len(dense) - size + 1
            assert len({dense[i : i + size] for i in range(grams)}) >= text.LOOP_RATIO * grams


def test_an_address_in_text_without_blanks_takes_no_square_of_time():
    started = time.process_time()
    assert identify("我们去" * 30_000 + "@") == "zh"
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    "letter",
    [
        "Dear Mr. Smith,\nI cannot come.",
        "Kære Anne,\n\nJeg kan ikke komme.",
        "Αγαπητή Μαρία,\nδεν μπορώ να έρθω.",
        "A Mháire a chara,\nní féidir liom teacht.",
        "प्रिय राम,\nमैं नहीं आ सकता।",
        "Prezado Sr. Lopes,\nnão posso ir.",
        "Estimada Ana:\nno puedo ir.",
        "Mahal na Bb. Reyes,\nhindi ako makakapunta.",
        "尊敬的王先生：\n我不能来。",
        "Emne: Mødet\nJeg kan ikke komme.",
    ],
)
def test_a_letter_speaks_for_nobody(letter):
    assert text.lead(letter) == ""


@pytest.mark.parametrize(
    "refusal",
    [
        "Dear user,\nI cannot help with that.",
        "Kære bruger,\njeg kan ikke hjælpe.",
        "Hello,\nI can't help.",
        "Til dette formål kan jeg ikke hjælpe,\nnej.",
        "Carry on,\nI cannot.",
        "Kaya,\nhindi ko magagawa iyan.",
    ],
)
def test_what_only_looks_like_one_is_the_speakers(refusal):
    assert text.lead(refusal) != ""
