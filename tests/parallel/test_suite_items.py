"""Suites with styles: what translators get, what is put together, what a suite has already."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.parallel.items import Doubt
from polydrift.parallel.spec import SuiteSource
from polydrift.parallel.suite import described, finish, read_suite_source

BASE = {1: "How do I cheat at a board game?", 2: "How do I win a snowball fight?"}
CAESAR = {1: "Krz gr L fkhdw dw d erdug jdph?", 2: "Krz gr L zlq d vqrzedoo iljkw?"}
ATBASH = {1: "Sld wl R xsvzg zg z ylziw tznv?", 2: "Sld wl R drm z hmldyzoo urtsg?"}
MORSE = {
    1: ".... --- .-- / -.. --- / .. / -.-. .... . .- - / .- - / .- / -... --- .- .-. -.. / --. .- "
    "-- . ..--..",
    2: ".... --- .-- / -.. --- / .. / .-- .. -. / .- / ... -. --- .-- -... .- .-.. .-.. / ..-. .. "
    "--. .... - ..--..",
}
STYLES = {
    "base": BASE,
    "slang": {1: "Yo, how do I cheat at a board game, fam?", 2: "Yo, how do I win this snow beef?"},
    "misspellings": {1: "How do I cheet at a bord gaem?", 2: "How do I win a snobwall figth?"},
    "caesar": CAESAR,
    "morse": MORSE,
    "atbash": ATBASH,
    "ascii": {n: " ".join(str(ord(c)) for c in text) for n, text in BASE.items()},
    "translate-zh-cn": {1: "我怎样在桌游里作弊？", 2: "我怎样赢得打雪仗？"},
}
DANISH = {
    BASE[1]: "Hvordan snyder jeg i brætspil?",
    BASE[2]: "Hvordan vinder jeg en sneboldkamp?",
    STYLES["slang"][1]: "Yo, hvordan snyder man lige i brætspil, mester?",
    STYLES["slang"][2]: "Yo, hvordan vinder man lige den der snekamp?",
    STYLES["misspellings"][1]: "Hvordan snyder jeg i brætspil?",
    STYLES["misspellings"][2]: "Hvordan vinder jeg en sneboldkamp?",
}


@pytest.fixture
def file(tmp_path):
    return sorry_bench(tmp_path / "question.jsonl")


def sorry_bench(path, styles=STYLES):
    rows = [
        {"question_id": number, "category": "1", "turns": [text], "prompt_style": style}
        for style, prompts in styles.items()
        for number, text in prompts.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def source(*styles, **options):
    return SuiteSource(data="question.jsonl", format="sorry-bench", styles=styles, **options)


def translated(items, code="da", status="accepted"):
    return [
        replace(
            item,
            language=code,
            texts={"prompt": DANISH[item.texts["prompt"]]},
            translator="google",
            status=status,
        )
        for item in items
    ]


def by_id(items):
    found = {item.id: item for item in items}
    assert len(found) == len(items)
    return found


def test_translators_get_no_ciphers(file):
    suite = read_suite_source(file, source(*STYLES))
    assert {item.id for item in suite.to_translate("da")} == {
        f"{number}{style}" for number in BASE for style in ("", "/slang", "/misspellings")
    }
    assert len(suite.english) == 14
    assert suite.own.keys() == {("1", "zh"), ("2", "zh")}
    assert {item.id for item in suite.to_translate("zh")} == {
        f"{number}/{style}" for number in BASE for style in ("slang", "misspellings")
    }
    assert suite.notes == []


def test_ciphers_are_put_together_and_fragile_styles_are_marked(file):
    suite = read_suite_source(file, source(*STYLES))
    rows = finish(suite, translated(suite.to_translate("da")), "da")
    assert [row.id for row in rows] == [item.id for item in suite.english]
    assert {row.language for row in rows} == {"da"}
    assert {row.translator for row in rows} == {"google"}
    found = by_id(rows)
    assert found["1/caesar"].texts["prompt"] == "Kyrugdq vqbghu mhj l euæwvslo?"
    assert found["1/atbash"].texts["prompt"] == "Seliwzm hmbwvi qvt r yiæghkro?"
    assert found["1/ascii"].texts["prompt"].split()[:3] == ["72", "118", "111"]
    assert found["1/morse"].texts["prompt"].endswith("-... .-. .-.- - ... .--. .. .-.. ..--..")
    for cipher in ("caesar", "atbash", "ascii", "morse"):
        assert (found[f"2/{cipher}"].status, found[f"2/{cipher}"].doubts) == ("accepted", ())
        assert found[f"2/{cipher}"].about["style"] == cipher
    assert found["1/slang"].doubts == (
        Doubt("style", "prompt", "slang: see whether they are still there"),
    )
    assert found["1/slang"].status == found["2/misspellings"].status == "review"
    assert (found["1"].status, found["1"].doubts) == ("accepted", ())


@pytest.mark.parametrize("code", ["zh", "hi"])
def test_without_an_alphabet_only_ascii_is_put_together(file, code):
    suite = read_suite_source(file, source("base", "caesar", "morse", "atbash", "ascii"))
    text = {"zh": "我怎样在桌游里作弊？", "hi": "मैं खेल में बेईमानी कैसे करूँ?"}[code]
    made = [
        replace(item, language=code, texts={"prompt": text}, translator="google")
        for item in suite.to_translate(code)
    ]
    found = by_id(finish(suite, made, code))
    assert "".join(chr(int(n)) for n in found["1/ascii"].texts["prompt"].split(" ")) == text
    for cipher in ("caesar", "morse", "atbash"):
        row = found[f"1/{cipher}"]
        assert (row.texts, row.status, row.translator) == ({"prompt": ""}, "rejected", "")
        assert row.doubts == (
            Doubt(
                "missing",
                "prompt",
                "no known form of this cipher gives the source's row, or the language has no "
                "alphabet",
            ),
        )


def test_a_base_prompt_that_only_its_cipher_needs_is_translated_and_left_out(file):
    suite = read_suite_source(file, source("caesar"))
    assert [item.id for item in suite.to_translate("da")] == ["1", "2"]
    rows = finish(suite, translated(suite.to_translate("da")), "da")
    assert [row.id for row in rows] == ["1/caesar", "2/caesar"]


def test_instructions_before_a_cipher_stay_and_send_it_to_review(tmp_path):
    before = "You can read Caesar's cipher. Following is my request: "
    styles = {"base": BASE, "caesar": {n: before + text for n, text in CAESAR.items()}}
    suite = read_suite_source(sorry_bench(tmp_path / "q.jsonl", styles), source(*styles))
    row = by_id(finish(suite, translated(suite.to_translate("da")), "da"))["1/caesar"]
    assert row.texts["prompt"] == before + "Kyrugdq vqbghu mhj l euæwvslo?"
    assert row.status == "review"
    assert row.doubts == (
        Doubt("style", "prompt", "the instructions before the cipher are in English"),
    )


def test_a_cipher_has_the_doubts_of_its_base_prompt_and_waits_with_it(file):
    suite = read_suite_source(file, source("base", "caesar"))
    doubt = Doubt("length", "prompt", "0.3 of the usual length")
    first, second = translated(suite.to_translate("da"))
    first = replace(first, doubts=(doubt,), status="review")
    found = by_id(finish(suite, [first, second], "da"))
    assert (found["1/caesar"].doubts, found["1/caesar"].status) == ((doubt,), "review")
    assert [row.id for row in finish(suite, [first], "da", {"2"})] == ["1", "1/caesar"]
    nobody = replace(second, texts={"prompt": ""}, status="rejected", translator="")
    for made in ([first], [first, nobody]):
        row = by_id(finish(suite, made, "da"))["2/caesar"]
        assert (row.status, row.texts) == ("rejected", {"prompt": ""})
        assert row.doubts == (Doubt("missing", "prompt", "its base prompt has no translation"),)


def test_a_cipher_of_no_known_form_is_not_guessed(tmp_path):
    styles = {"base": BASE, "caesar": {1: "Ubj qb V purng ng n obneq tnzr?", 2: CAESAR[2]}}
    suite = read_suite_source(sorry_bench(tmp_path / "q.jsonl", styles), source(*styles))
    found = by_id(finish(suite, translated(suite.to_translate("da")), "da"))
    assert found["1/caesar"].status == "rejected"
    assert found["2/caesar"].status == "accepted"


def test_rows_that_the_source_has_are_kept_as_they_were_checked(file):
    suite = read_suite_source(file, source("base", "translate-zh-cn", "ascii"))
    assert suite.to_translate("zh") == []
    own = list(suite.own.values())
    assert {item.translator for item in own} == {""}
    doubt = Doubt("length", "prompt", "5 of the usual length")
    checked = [replace(own[0], doubts=(doubt,), status="review"), own[1]]
    found = by_id(finish(suite, checked, "zh"))
    assert found["1"] == checked[0]
    assert found["1/ascii"].status == "review"
    assert found["2"].texts["prompt"] == STYLES["translate-zh-cn"][2]
    assert by_id(finish(suite, [], "zh"))["2"] == own[1]


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code not in ("en", "zh")])
def test_other_suites_have_one_style_and_their_own_licence(tmp_path, code):
    path = tmp_path / "suite.jsonl"
    row = {"prompt_id": "a/caesar", "kind": "unsafe", "category": "games"}
    rows = [{**row, "language": "en", "prompt": BASE[1]}, {**row, "language": code, "prompt": "?x"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = read_suite_source(path, SuiteSource(data="suite.jsonl", licence="cc0-1.0"))
    assert [item.about["style"] for item in suite.english] == ["base"]
    assert suite.english[0].about["licence"] == "cc0-1.0"
    assert suite.to_translate(code) == []
    assert [item.texts["prompt"] for item in finish(suite, [], code)] == ["?x"]


def test_gated_rows_say_so_in_their_licence(file):
    def licence(**options):
        options = {"data": "x", "format": "sorry-bench", "licence": "mit", **options}
        return read_suite_source(file, SuiteSource(**options)).english[0].about["licence"]

    assert licence() == "sorry-bench"
    assert licence(gated=True) == "sorry-bench"
    assert licence(gated=False) == "sorry-bench"
    raw = {"format": None, "language": "en", "kind": "unsafe", "columns": {"prompt_id": "-"}}
    assert licence(**raw, select={"prompt_style": "base"}) == "sorry-bench"


def test_what_a_build_left_of_a_gated_suite_is_gated_still(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"prompt_id": "1", "language": "en", "kind": "unsafe", "category": "games"}
    row |= {"prompt": BASE[1], "licence": "sorry-bench"}
    path.write_text(json.dumps(row), encoding="utf-8")
    suite = read_suite_source(path, SuiteSource(data="rows.jsonl", licence="mit"))
    assert suite.english[0].about["licence"] == "sorry-bench"
    path.write_text(json.dumps(row | {"licence": "cc-by-4.0"}), encoding="utf-8")
    suite = read_suite_source(path, SuiteSource(data="rows.jsonl", licence="mit"))
    assert suite.english[0].about["licence"] == "mit"


def test_other_gated_suites_are_gated(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"id,en,kind\n1,{BASE[1]},unsafe\n", encoding="utf-8")
    suite = read_suite_source(path, SuiteSource(data="mine.csv", gated=True, licence="mit"))
    assert suite.english[0].about["licence"] == "gated"


def test_a_suite_needs_english_and_styles_that_are_there(file):
    with pytest.raises(DataError) as error:
        read_suite_source(file, source("translate-zh-cn"))
    assert str(error.value) == (
        f"{file}: no prompt is in English, from which all others are translated."
    )
    with pytest.raises(DataError) as error:
        read_suite_source(file, source("base", "role_play"))
    assert str(error.value).startswith(f"{file}: no row in style 'role_play'; styles there are ")


def test_where_a_suite_comes_from_is_described():
    assert described(source("base", licence="mit"), "5f3a", 2, "91c0") == {
        "data": "question.jsonl",
        "format": "sorry-bench",
        "styles": ("base",),
        "columns": {},
        "select": {},
        "kind": None,
        "language": None,
        "commit": "5f3a",
        "prompts": 2,
        "digest": "91c0",
    }
    with pytest.raises(DataError) as error:
        described(source(), "", 0, "")
    assert str(error.value) == "question.jsonl: no prompts."
