"""Every check: on what it is for, on true translations, and on languages that were swapped."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from polydrift.data import shipped
from polydrift.data.suite_texts import lost_numbers
from polydrift.languages import LANGUAGES
from polydrift.parallel.checks import KINDS, REJECTING, check_rows, verdict
from polydrift.parallel.items import BENIGN, SOURCE, SUITE, Doubt, Item, read_items

TARGETS = [code for code in LANGUAGES if code != SOURCE]
ENGLISH = "Please tell me how to win every game of chess against my brother."
DANISH = "Fortæl mig venligst, hvordan jeg vinder hvert parti skak mod min bror."
LONG = (
    "The old ferry leaves the harbour at noon and reaches the island before the evening. Bring "
    "warm clothes, because the wind is cold on the deck, and do not forget something to eat."
)
LANG = (
    "Den gamle færge forlader havnen ved middagstid og når øen inden aften. Tag varmt tøj på, for "
    "vinden er kold på dækket, og glem ikke at tage noget at spise med."
)
ITALIAN = (
    "Il vecchio traghetto lascia il porto a mezzogiorno e raggiunge l'isola prima di sera. "
    "Portate vestiti caldi, perché il vento è freddo sul ponte, e non dimenticate da mangiare."
)


@pytest.fixture(scope="module")
def rows():
    """code → id → item of the shipped set."""
    found = {code: {} for code in LANGUAGES}
    for item in read_items(shipped.path(shipped.BENIGN))[1]:
        found[item.language][item.id] = item
    return found


def pairs(rows, code, put=None):
    """The English rows with those of a language, or in their place those of another."""
    there = rows[put or code]
    return [(rows[SOURCE][key], replace(item, language=code)) for key, item in there.items()]


def asked(pairs):
    """The same pairs as prompts: the instruction alone."""
    return [
        tuple(Item(i.id, i.language, {"prompt": i.texts["instruction"]}) for i in pair)
        for pair in pairs
    ]


def found(english, text, code="da", **options):
    pair = (Item("1", SOURCE, {"prompt": english}), Item("1", code, {"prompt": text}))
    return list(check_rows([pair], SUITE, **options)[0])


def kinds(english, text, code="da", **options):
    return [doubt.kind for doubt in found(english, text, code, **options)]


def share(statuses, status):
    return Counter(statuses)[status] / len(statuses)


@pytest.mark.parametrize("code", TARGETS)
def test_true_translations_are_rarely_doubted(rows, code):
    whole = check_rows(pairs(rows, code), BENIGN)  # measured: 1,199 of 1,200 without a doubt
    assert share([verdict(doubts) for doubts in whole], "accepted") >= 0.99
    assert "rejected" not in {verdict(doubts) for doubts in whole}
    alone = check_rows(asked(pairs(rows, code)), SUITE)  # measured: 1,199 of 1,200 too
    assert share([verdict(doubts) for doubts in alone], "accepted") >= 0.99


@pytest.mark.parametrize("code", TARGETS)
def test_any_other_language_in_its_place_is_rejected(rows, code):
    for other in (one for one in LANGUAGES if one != code):
        swapped = pairs(rows, code, other)
        for found, least in (  # measured: 1.000 and 0.993 at the least
            (check_rows(swapped, BENIGN), 0.99),
            (check_rows(asked(swapped), SUITE), 0.97),
        ):
            statuses = [verdict(doubts) for doubts in found]
            assert share(statuses, "rejected") >= least, (code, other)
            why = {doubt.kind for doubts in found for doubt in doubts if doubt.kind in REJECTING}
            assert "untranslated" in why if other == SOURCE else "wrong-language" in why


@pytest.mark.parametrize("code", TARGETS)
def test_english_that_is_not_the_source_is_the_wrong_language(rows, code):
    texts = list(rows[SOURCE].values())
    moved = [
        (one, replace(other, language=code))
        for one, other in zip(texts, texts[1:] + texts[:1], strict=True)
    ]
    found = check_rows(moved, BENIGN)
    assert {verdict(doubts) for doubts in found} == {"rejected"}
    response = Doubt("wrong-language", "response", "in English")
    assert sum(response in doubts for doubts in found) >= 0.95 * len(found)  # others are one word


TRIGGERS = {
    "missing": (ENGLISH, " ", "no text"),
    "untranslated": (ENGLISH, ENGLISH.upper().rstrip("."), "the English text again"),
    "wrong-language": (LONG, ITALIAN, "in none of the nine"),
    "damaged": (
        ENGLISH,
        DANISH.replace("æ", "Ã¦"),
        "control characters, or letters that were decoded wrongly",
    ),
    "repetition": (LONG, DANISH + " mod min bror" * 20, "says the same over and over"),
    "collapse": (LONG, "Færgen går kl. tolv.", "0.11 of the usual length"),
    "placeholder": (
        "Write a letter to {name} and put <b>thanks</b> into it, please.",
        "Skriv et brev til {navn} og sæt <b>tak</b> ind i det, er du sød.",
        "{name} not there",
    ),
    "partly-english": (
        LONG,
        LANG.split(". ")[0]
        + ". Bring warm clothes, because the wind is cold on the deck, and do not forget something "
        "to eat.",
        "“Bring warm clothes, because the wind is cold on the deck, an” is left in English",
    ),
    "length": (ENGLISH, "Hvordan vinder jeg i skak?", "0.39 of the usual length"),
    "number": (
        "In 1977 there were 42 boats and 7 ferries in the harbour.",
        "I 1997 var der 42 både og syv færger i havnen.",
        "1977 not there",
    ),
    "protected": (
        "Open notes.txt with GPT-4 and tell me what my brother wrote there.",
        "Åbn noter.txt med GPT-4 og sig mig, hvad min bror skrev der.",
        "notes.txt not there",
    ),
    "structure": (
        "Tell me how to make tea:\n- boil the water\n- wait a little",
        "Fortæl mig, hvordan man laver te:\n- kog vandet, og vent lidt",
        "1 list item for 2",
    ),
    "markup": (
        ENGLISH,
        DANISH.replace(", ", "&nbsp;"),
        "HTML entities that the English text has not",
    ),
}


@pytest.mark.parametrize("kind", TRIGGERS)
def test_each_check_finds_what_it_is_for_and_nothing_else_does(kind):
    english, text, says = TRIGGERS[kind]
    assert found(english, text) == [Doubt(kind, "prompt", says)]


def test_what_is_long_and_of_no_clear_language_is_unclear():
    half = (
        "malapit, lumang, upuan, ng, at, ilog, sa, berdeng, baka, natutulog, ay, sa, bukid, ang, "
        "kumakain, damo, gamle, i, grønne, åen, stol, katten, fuglene, sover, ved, synger, koen"
    )
    for code in ("da", "tl"):
        assert found(LONG, half, code) == [Doubt("unclear", "prompt", "of no clear language")]
    short = (
        "la casa grande, la mesa alta, la porta abierta, uma cadeira, una silla, as flores, las "
    )
    short += "flores, a vida, la vida, o carro, el carro"
    for code in ("pt", "es"):
        assert found(LONG, short, code) == []  # 95 letters


def test_another_script_is_told_in_a_few_letters():
    short = "What is this?"
    for code, text in (("zh", "这是什么？"), ("el", "Τι είναι;"), ("hi", "यह क्या है?")):
        assert kinds(short, text, code) == []
        assert kinds(short, text, "da") == ["wrong-language"]
        assert kinds(short, text, "zh" if code == "el" else "el") == ["wrong-language"]
    assert found(short, "Что это такое?") == [
        Doubt("wrong-language", "prompt", "in none of the nine")
    ]
    assert kinds(short, "¿Qué es esto?", "da") == []  # too short to be told from other Latin ones
    assert kinds("«Ευχαριστώ».", "Ευχαριστώ, tak.") == []


def test_every_kind_is_made_here_or_known_to_be_made_elsewhere():
    elsewhere = {"refused", "style", "round-trip", "comet"}  # turn, suite, scores
    assert {*TRIGGERS, "unclear"} | elsewhere == set(KINDS)
    assert len(KINDS) == len(set(KINDS))


@pytest.mark.parametrize("kind", KINDS)
def test_a_doubt_rejects_or_sends_to_review(kind):
    others = (Doubt("number", "prompt", ""), Doubt(kind, "prompt", ""))
    wanted = "rejected" if kind in REJECTING else "review"
    assert verdict(others) == wanted
    assert wanted == ("rejected" if kind in {*list(TRIGGERS)[:7], "refused"} else "review")
    assert verdict(()) == "accepted"


def test_fields_are_checked_one_by_one_in_their_order():
    texts = {"instruction": ENGLISH, "input": "", "response": LONG}
    source = Item("1", SOURCE, texts)
    good = Item("1", "da", {"instruction": DANISH, "input": "", "response": LANG})
    bad = replace(good, texts={"instruction": "", "input": "Ekstra.", "response": LONG})
    assert check_rows([(source, good), (source, bad)], BENIGN) == [
        (),
        (
            Doubt("missing", "instruction", "no text"),
            Doubt("untranslated", "response", "the English text again"),
        ),
    ]
    assert check_rows([], BENIGN) == []


def test_what_has_nothing_to_translate_may_stay_as_it_is():
    for same in ("42", "Leonardo da Vinci", "`print(x for x in y)`", "https://a.org/the/long/way"):
        assert kinds(same, same) == []
    assert kinds("print the long way", "print the long way") == ["untranslated"]


def test_what_is_not_english_is_not_asked_for_its_language():
    latin = "Gallia est omnis divisa in partes tres, quarum unam incolunt Belgae, aliam Aquitani."
    assert kinds(latin, latin.replace("Gallia", "Gallien")) == []
    code = "```\nfor x in range(10):\n    print(x)\n```"
    assert kinds(f"{ENGLISH}\n{code}", f"{DANISH}\n{code}") == []


def test_danish_that_could_be_norwegian_is_believed_beside_clear_danish():
    doubtful = "Skriv for hvert stof på plakaten, om det er et fast stof, en væske eller en gas."
    english = "Write for each matter on the poster whether it is a solid, a liquid or a gas."
    source = Item("1", SOURCE, {"instruction": english, "input": "", "response": LONG})
    item = Item("1", "da", {"instruction": doubtful, "input": "", "response": LANG})
    assert check_rows([(source, item)], BENIGN) == [()]


def test_damage_repetition_and_entities_of_the_english_text_are_no_doubt():
    assert kinds(ENGLISH + "\x07", DANISH + "\x07") == []
    again = " He lost, and lost again, and lost." * 8
    assert kinds(ENGLISH + again, DANISH + " Han tabte, og tabte igen, og tabte." * 8) == []
    assert kinds("Salt &amp; pepper is what I would like.", "Salt &amp; peber vil jeg have.") == []


def test_names_that_the_user_keeps_are_kept():
    english = "Tell my friend Lars Petersen at Blue Harbour that I am late."
    danish = "Sig til min ven Lars Petersen hos Blå Havn, at jeg er sent på den."
    assert kinds(english, danish) == []
    assert found(english, danish, keep=["Blue Harbour", "Lars Petersen"]) == [
        Doubt("protected", "prompt", "Blue Harbour not there")
    ]


def test_a_lost_placeholder_is_told_once_and_no_more_than_three_are_named():
    english = "Write to {a} and {b} and {c} and {d} and {e} today, please, will you?"
    danish = "Skriv til dem alle sammen i dag, er du sød, og glem nu ingen af dem?"
    assert found(english, danish) == [
        Doubt("placeholder", "prompt", "{a}, {b}, {c} and 2 more not there")
    ]


SENTENCES = {
    "zh": "1977年有42艘船，花费了33万元。",
    "da": "I 1977 var der 42 skibe, og de kostede 330.000 kroner.",
    "el": "Το 1977 υπήρχαν 42 πλοία και κόστισαν 330.000 ευρώ.",
    "hi": "१९७७ में ४२ जहाज़ थे और उनकी क़ीमत ३,३०,००० रुपये थी।",
    "ga": "Sa bhliain 1977 bhí 42 long ann agus chosain siad 330,000 euro.",
    "pt": "Em 1977 havia 42 navios e custaram 330 mil euros.",
    "es": "En 1977 había 42 barcos y costaron 330 000 euros.",
    "tl": "Noong 1977 may 42 barko at 330,000 piso ang halaga.",
}


@pytest.mark.parametrize("code", TARGETS)
def test_numbers_are_found_as_each_language_writes_them(code):
    english = "In 1977 there were 42 ships, and they cost 330,000 crowns."
    assert lost_numbers(english, SENTENCES[code]) == []
    changed = SENTENCES[code].replace("42", "24").replace("४२", "२४")
    assert lost_numbers(english, changed) == ["42"]


def test_numbers_may_be_roman_decades_or_of_one_digit():
    assert lost_numbers("the 19th century, the 1960s, 5 apples", "siglo XIX, años 60, cinco") == []
    assert lost_numbers("the 19th century and the 1960s", "siglo XX, años 70") == ["19", "1960"]
    assert lost_numbers("room 007, room 12", "værelse 7, værelse 12") == []
    assert lost_numbers("no numbers", "ingen") == []
