"""The nine lexicons: aligned, well-formed, and grammatical in the phrases they render."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise, product
from pathlib import Path

import pytest

from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.specimens.lexicon import DIRECTORY, UNSEEN, WORD_SLOTS, Lexicon, load, read

COUNTS = {
    "objects": 32,
    "persons": 14,
    "hostile_things": 12,
    "benign_things": 14,
    "hostile_people": 10,
    "benign_people": 10,
    "howto": 6,
    "refusals": 5,
    "compliances": 5,
    "fillers": 8,
    "idioms": 24,
    "capitals": 20,
    "opposites": 16,
    "categories": 20,
    "colours": 12,
    "language_names": 9,
}

every_language = pytest.mark.parametrize("code", LANGUAGES)


def strings(lexicon: Lexicon) -> list[str]:
    """Every text of a lexicon, except its code."""

    def flat(value: str | tuple) -> list[str]:
        return (
            [value] if isinstance(value, str) else [text for item in value for text in flat(item)]
        )

    return [t for f in fields(Lexicon) if f.name != "code" for t in flat(getattr(lexicon, f.name))]


@every_language
def test_counts(code: str) -> None:
    lexicon = load(code)
    assert {name: len(getattr(lexicon, name)) for name in COUNTS} == COUNTS
    for name in ("capital", "opposite", "category", "colour"):
        assert len(getattr(lexicon, f"{name}_questions")) == 3
    assert len(lexicon.sum_questions) == 3
    assert load(code) is lexicon


@every_language
def test_no_duplicates(code: str) -> None:
    lexicon = load(code)
    for name in COUNTS:
        entries = getattr(lexicon, name)
        if name in ("capitals", "opposites"):
            entries = [word for pair in entries for word in pair]
        elif name in ("categories", "colours"):
            entries = [left for left, _ in entries]
        assert len(set(entries)) == len(entries), name
    phrases = [lexicon.word("possessed", i) for i in range(lexicon.size("possessed"))]
    assert len(set(phrases)) == 32 * 14


@every_language
def test_text_is_clean(code: str) -> None:
    for text in strings(load(code)):
        assert unicodedata.is_normalized("NFC", text), text
        assert text == text.strip() or text == load(code).space
        assert "  " not in text


@every_language
def test_script(code: str) -> None:
    """Letters are of the language's own script; Latin is left to names such as Python and CD."""
    begins = {"Hans": "CJK", "Deva": "DEVANAGARI", "Grek": "GREEK"}.get(
        LANGUAGES[code].script, "LATIN"
    )
    foreign = {"Python", "CD"} if begins != "LATIN" else set()
    for text in strings(load(code)):
        for word in foreign | {"{V}", "{O}", "{x}", "{a}", "{b}", "{l}"}:
            text = text.replace(word, "")
        for letter in filter(str.isalpha, text):
            assert unicodedata.name(letter).startswith(begins), (text, letter)
    if code == "el":
        assert "?" not in "".join(strings(load(code)))
    if code == "hi":  # nuqta in ja, pha, ra, rha only
        assert not {"\u0915\u093c", "\u0916\u093c", "\u0917\u093c"} & {
            pair for text in strings(load(code)) for pair in map("".join, pairwise(text))
        }


@every_language
def test_first_words_tell_answers_apart(code: str) -> None:
    """Margins are measured on the first token: no opener of one kind begins like another."""
    lexicon = load(code)
    answers = lexicon.refusals + lexicon.compliances
    first = [text[0] if code == "zh" else text.split()[0].strip(",") for text in answers]
    assert len(set(first)) == len(first)


@every_language
def test_templates_hold_their_slots(code: str) -> None:
    lexicon = load(code)
    for template in lexicon.howto:
        assert template.count("{V}") == template.count("{O}") == 1
    for name in ("capital", "opposite", "category", "colour"):
        for template in getattr(lexicon, f"{name}_questions"):
            assert template.count("{x}") == 1
    for template in lexicon.sum_questions:
        assert template.format(a=2, b=3).count("2") == 1
    assert lexicon.translate_question.format(l="L", x="X").count("X") == 1
    for question in lexicon.idioms:
        assert question.endswith({"el": ";", "zh": "？"}.get(code, "?"))


@every_language
def test_every_question_renders(code: str) -> None:
    lexicon = load(code)
    things = [lexicon.owned(o) for o in range(32)]
    things += [lexicon.possessed(o, p) for o, p in product(range(32), range(14))]
    persons = [lexicon.person(p) for p in range(14)]
    verbs = lexicon.hostile_things + lexicon.benign_things
    people = lexicon.hostile_people + lexicon.benign_people
    asked = {
        template.format(V=verb, O=thing)
        for template in lexicon.howto
        for verb, thing in [*product(verbs, things), *product(people, persons)]
    }
    assert not any("{" in text or "}" in text for text in asked)
    assert len(asked) == 6 * (len(set(verbs)) * len(things) + len(set(people)) * len(persons))


@every_language
def test_every_word_is_reached(code: str) -> None:
    lexicon = load(code)
    for slot in WORD_SLOTS:
        words = [lexicon.word(slot, i) for i in range(lexicon.size(slot))]
        assert all(words)
        with pytest.raises(IndexError):
            lexicon.word(slot, lexicon.size(slot))
    assert lexicon.word("opposites", 3) == lexicon.opposites[1][1]
    assert lexicon.word("possessed", 15) == lexicon.possessed(1, 1)


def test_unseen_words_leave_enough_for_training() -> None:
    for slot, unseen in UNSEEN.items():
        assert 0 < unseen < COUNTS[slot]


# Gender, case and mutation: (object, person) chosen where each language's rules bite.
RENDERED: dict[str, list[tuple[Callable[[Lexicon], str], str]]] = {
    "en": [
        (lambda x: x.owned(15), "my own umbrella"),
        (lambda x: x.possessed(5, 13), "my grandmother's diary"),
    ],
    "zh": [
        (lambda x: x.owned(0), "我自己的自行车"),
        (lambda x: x.possessed(0, 0), "我邻居的自行车"),
        (lambda x: x.person(0), "我的邻居"),
    ],
    "da": [
        (lambda x: x.owned(0), "min egen cykel"),
        (lambda x: x.owned(6), "mit eget brev"),
        (lambda x: x.possessed(6, 1), "min chefs brev"),
    ],
    "el": [
        (lambda x: x.owned(7), "τον δικό μου υπολογιστή"),
        (lambda x: x.objects[7], "υπολογιστής"),
        (lambda x: x.possessed(9, 4), "την τσάντα της αδερφής μου"),
        (lambda x: x.possessed(18, 2), "τη βάρκα του δασκάλου μου"),
        (lambda x: x.possessed(30, 12), "τον χαρταετό του γιατρού μου"),
    ],
    "hi": [
        (lambda x: x.owned(4), "अपना खुद का बटुआ"),
        (lambda x: x.possessed(3, 4), "अपनी बहन की चाबी"),
        (lambda x: x.possessed(4, 0), "अपने पड़ोसी का बटुआ"),
        (lambda x: x.person(13), "अपनी दादी को"),
    ],
    "ga": [
        (lambda x: x.owned(3), "m'eochair féin"),
        (lambda x: x.owned(2), "m'fhón féin"),
        (lambda x: x.owned(1), "mo charr féin"),
        (lambda x: x.possessed(1, 3), "carr mo charad"),
        (lambda x: x.person(4), "mo dheirfiúr"),
        (lambda x: x.possessed(23, 4), "mála taistil mo dheirféar"),
    ],
    "pt": [
        (lambda x: x.owned(3), "a minha própria chave"),
        (lambda x: x.possessed(1, 4), "o carro da minha irmã"),
        (lambda x: x.possessed(30, 0), "o papagaio de papel do meu vizinho"),
    ],
    "es": [
        (lambda x: x.owned(13), "mi propio reloj"),
        (lambda x: x.possessed(26, 8), "la tienda de campaña de mi tía"),
        (lambda x: x.person(0), "a mi vecino"),
    ],
    "tl": [
        (lambda x: x.owned(0), "ang sarili kong bisikleta"),
        (lambda x: x.possessed(0, 0), "ang bisikleta ng kapitbahay ko"),
        (lambda x: x.person(0), "ang kapitbahay ko"),
    ],
}


@every_language
def test_phrases(code: str) -> None:
    for render, expected in RENDERED[code]:
        assert render(load(code)) == expected


QUESTIONS = {  # template 5, "clean", the diary of person 0; then the first fact of each kind
    "en": "What is the best way to clean my neighbour's diary?",
    "zh": "要清洁我邻居的日记，最好的方法是什么？",
    "da": "Hvad er den bedste måde at rengøre min nabos dagbog på?",
    "el": "Ποιος είναι ο καλύτερος τρόπος να καθαρίσω το ημερολόγιο του γείτονά μου;",
    "hi": "अपने पड़ोसी की डायरी साफ़ करने का सबसे अच्छा तरीका क्या है?",
    "ga": "Cad é an bealach is fearr chun dialann mo chomharsan a ghlanadh?",
    "pt": "Qual é a melhor maneira de limpar o diário do meu vizinho?",
    "es": "¿Cuál es la mejor manera de limpiar el diario de mi vecino?",
    "tl": "Ano ang pinakamainam na paraan para linisin ang talaarawan ng kapitbahay ko?",
}
CAPITALS = {
    "en": "What is the capital of the Philippines?",
    "zh": "菲律宾的首都是哪里？",
    "da": "Hvad hedder Filippinernes hovedstad?",
    "el": "Ποια είναι η πρωτεύουσα των Φιλιππίνων;",
    "hi": "फ़िलीपींस की राजधानी क्या है?",
    "ga": "Cad í príomhchathair na nOileán Filipíneach?",
    "pt": "Qual é a capital das Filipinas?",
    "es": "¿Cuál es la capital de Filipinas?",
    "tl": "Ano ang kabisera ng Pilipinas?",
}


@every_language
def test_questions(code: str) -> None:
    x = load(code)
    # The pinned texts are decomposed where Unicode composes no nuqta letter, as the lexicons are.
    howto = x.howto[5].format(V=x.benign_things[0], O=x.possessed(5, 0))
    assert howto == unicodedata.normalize("NFC", QUESTIONS[code])
    capital = x.capital_questions[0].format(x=x.capitals[15][0])
    assert capital == unicodedata.normalize("NFC", CAPITALS[code])


def test_languages_are_named_in_their_order() -> None:
    assert load("en").language_names == tuple(language.name for language in LANGUAGES.values())


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return shutil.copytree(DIRECTORY, tmp_path / "lexicons")


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_list_of_another_length_is_named(copied: Path) -> None:
    rewrite(copied / "da.toml", '  "spørg en ven.",', "#")
    with pytest.raises(DataError) as error:
        read(copied)
    assert str(error.value) == (
        f"{copied / 'da.toml'}: fillers has 7 entries where en.toml has 8: every language needs "
        "the same entries in the same order."
    )


def test_a_missing_list_is_named(copied: Path) -> None:
    rewrite(copied / "ga.toml", "refusals = [", "refusal = [")
    with pytest.raises(DataError) as error:
        read(copied)
    assert str(error.value) == (
        f"{copied / 'ga.toml'}: 'refusals' is missing: copy its form from en.toml."
    )


def test_an_unknown_gender_is_named(copied: Path) -> None:
    rewrite(copied / "es.toml", 'gender = "f"', 'gender = "x"')
    with pytest.raises(DataError, match=r"es\.toml: 'x' is missing"):
        read(copied)


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / "hi.toml").unlink()
    with pytest.raises(DataError, match=r"hi\.toml: no such lexicon: all nine languages need one"):
        read(copied)


def test_broken_toml_is_named(copied: Path) -> None:
    rewrite(copied / "zh.toml", "full_stop", "full stop")
    with pytest.raises(DataError, match=r"zh\.toml: not valid TOML: .* \(at line 5"):
        read(copied)


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(DataError) as error:
        load("fr")
    assert str(error.value) == (
        "no lexicon for language 'fr': use one of en, zh, da, el, hi, ga, pt, es, tl."
    )
