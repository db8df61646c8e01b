"""Spans that no translation changes, in nine languages; masks for them; Markdown's structure."""

from __future__ import annotations

import time
from itertools import pairwise, product

import pytest

from polydrift.data.benign import read_examples
from polydrift.data.shipped import BENIGN, path
from polydrift.languages import LANGUAGES
from polydrift.translate.protect import (
    Structure,
    changed_structure,
    lost,
    mask,
    spans,
    structure,
    unmask,
)

CODES = [code for code in LANGUAGES if code != "en"]
PLANTED = (
    "`make test`",
    "```py\nx = 1  # one\n```",
    "https://a.org/Tea_(drink)?x=1",
    "ann.b@c-d.org",
    "example.com",
    "{name}",
    "{{ user.name }}",
    "%(total)s",
    "<b>",
    "$HOME",
    "\\(a^2\\)",
    "$x^2 + y$",
    "@anna_b",
    "#launch2",
    "/usr/local/bin",
    "report-2.pdf",
    "v1.2.3",
    "192.168.0.1",
    "GPT-4",
    "H2O",
)
SENTENCES = {
    "en": "Please read what we sent about SPAN before the meeting.",
    "zh": "请在开会之前阅读我们发来的关于SPAN的内容。",
    "da": "Læs venligst, hvad vi sendte om SPAN, før mødet.",
    "el": "Διαβάστε όσα στείλαμε για το SPAN, πριν από τη συνάντηση.",
    "hi": "बैठक से पहले SPAN के बारे में हमारा भेजा हुआ पढ़ लीजिए।",
    "ga": "Léigh an méid a sheolamar faoi SPAN, roimh an gcruinniú.",
    "pt": "Leia, por favor, o que enviámos sobre SPAN, antes da reunião.",
    "es": "Lea lo que enviamos sobre SPAN, antes de la reunión.",
    "tl": "Pakibasa ang ipinadala namin tungkol sa SPAN, bago ang pulong.",
}


def texts(text, keep=()):
    return [span.text for span in spans(text, keep)]


@pytest.fixture(scope="module")
def pairs():
    """(language, English text, the same in the language) of the set that comes along."""
    by = {(one.id, one.language): one for one in read_examples(path(BENIGN))}
    return [
        (code, getattr(one, part), getattr(by[one.id, code], part))
        for one in by.values()
        if one.language == "en"
        for code in CODES
        for part in ("instruction", "input", "response")
    ]


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        (
            "Run `make test`, then ``a `b` c`` and\n```py\nx = `1`\n```\nend ~~~\ny",
            "code",
            ["`make test`", "``a `b` c``", "```py\nx = `1`\n```", "~~~\ny"],
        ),
        (
            "It costs $5 and $10; $x^2 + y$, \\(a\\), \\[b\\], $$c$$ and $n$.",
            "formula",
            ["$x^2 + y$", "\\(a\\)", "\\[b\\]", "$$c$$", "$n$"],
        ),
        (
            "See https://a.org/Tea_(drink), (http://b.org/x?y=1&z). Or www.c.com! And ex.com.",
            "address",
            ["https://a.org/Tea_(drink)", "http://b.org/x?y=1&z", "www.c.com", "ex.com"],
        ),
        ("访问https://a.org/b。写信给a@b.org吧", "address", ["https://a.org/b", "a@b.org"]),
        (
            '[the docs](https://a.org/b), [me](/x/y.html "title") and ![i](i.png)',
            "address",
            ["https://a.org/b", "/x/y.html", "i.png"],
        ),
        (
            "Dear {name}, {{ a.b }} {0} ${HOME} $PATH %s %5.2f %(x)s <b>bold</b> <br/>",
            "placeholder",
            [
                *("{name}", "{{ a.b }}", "{0}", "${HOME}", "$PATH"),
                *("%s", "%5.2f", "%(x)s", "<b>", "</b>", "<br/>"),
            ],
        ),
        ("I <3 you, a < b > c; 50% off, 100%sure, {not this one} { }", "placeholder", []),
        ("@anna and #summer; # heading, #1, C#, a@b", "tag", ["@anna", "#summer"]),
        (
            "/usr/bin/env ~/x ./run.sh C:\\Temp\\x.txt report.pdf; and/or km/h 24/7 he/she",
            "path",
            ["/usr/bin/env", "~/x", "./run.sh", "C:\\Temp\\x.txt", "report.pdf"],
        ),
        (
            "v1.2 and 1.2.3 at 192.168.0.1; 3.14, 1,000.50",
            "version",
            ["v1.2", "1.2.3", "192.168.0.1"],
        ),
        (
            "iPhone, GPT-4's COVID-19-related H2O, YouTube's Qwen2.5, MP3s, JavaScript",
            "word",
            ["iPhone", "GPT-4", "COVID-19", "H2O", "YouTube", "Qwen2.5", "MP3s", "JavaScript"],
        ),
        (
            "McDonald, PhD, 3D, 10am, the 1990s, kWh, km2, Q3, it's, 20th, LeBron, Top-10, æB2",
            "word",
            [],
        ),
    ],
)
def test_kinds_of_spans_and_what_only_looks_like_them(text, kind, wanted):
    found = spans(text)
    assert [span.text for span in found if span.kind == kind] == wanted
    assert all(text[span.start : span.end] == span.text for span in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_names_to_keep_are_spans_where_they_stand_as_words():
    text = "Acme Corp. and Acme at acme or Acmes, `Acme`"
    found = spans(text, ["Acme", "Acme Corp.", ""])
    assert [(span.text, span.kind) for span in found] == [
        ("Acme Corp.", "keep"),
        ("Acme", "keep"),
        ("`Acme`", "code"),
    ]
    assert lost("Ask Acme.", "Spørg Acmes folk.", ["Acme"]) == []
    assert lost("Ask Acme.", "Spørg akme.", ["Acme"]) == ["Acme"]
    assert lost("Ask the US.", "Spørg os, bus.", ["US"]) == ["US"]


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("span", PLANTED)
def test_each_kind_is_found_and_missed_in_every_language(code, span):
    source = SENTENCES["en"].replace("SPAN", span)
    right = SENTENCES[code].replace("SPAN", span)
    assert lost(source, right) == []
    assert lost(source, SENTENCES[code].replace("SPAN", "")) == [span]
    assert lost(source, right.replace(span, span[:-2])) == [span]
    assert span in texts(right)
    assert texts(SENTENCES[code].replace("SPAN", "X")) == []


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("span", PLANTED)
def test_masks_go_and_come_back_in_every_language(code, span):
    masked, table = mask(SENTENCES["en"].replace("SPAN", span))
    if span in ("GPT-4", "H2O"):
        assert table == {}
        return
    assert (masked, table) == (SENTENCES["en"].replace("SPAN", "WQ0W"), {"WQ0W": span})
    wanted = SENTENCES[code].replace("SPAN", span)
    for back in ("WQ0W", "wq0w", "WQ 0 W", "ＷＱ０Ｗ", "WQ०W"):
        assert unmask(SENTENCES[code].replace("SPAN", back), table) == wanted
    assert unmask(SENTENCES[code].replace("SPAN", ""), table) is None
    assert unmask(SENTENCES[code].replace("SPAN", "WQ0W WQ1W"), table) is None


def test_true_translations_lose_nothing_and_keep_their_structure(pairs):
    doubted = [code for code, source, text in pairs if lost(source, text)]
    changed = [code for code, source, text in pairs if changed_structure(source, text)]
    assert len(pairs) == 3600
    assert len(doubted) < 0.003 * len(pairs)
    assert len(changed) < 0.003 * len(pairs)


def test_a_span_that_is_left_out_of_a_true_translation_is_missed(pairs):
    for code, source, text in pairs[:200]:
        if not source:
            continue
        assert lost(f"{source} (`x{len(source)}`)", f"{text} (`x{len(source)}`)") == [], code
        assert lost(f"{source} (`x{len(source)}`)", text) == [f"`x{len(source)}`"], code


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("COVID-19 and GPT-4", "covid‑19 y GPT 4"),
        ("H2O and CO2", "H₂O και CO₂"),
        ("GPT-4, file v1.2.3", "ＧＰＴ－４，文件v1.2.3"),
        ("COVID-19", "COVID-१९"),
        ("Two MP3s on iPhones", "To MP3'er på iPhone"),
        ("An iPhone", "iPhonen"),
        ("YouTube", "यूट्यूब"),
        ("YouTube", "Στο Γιουτιούμπ"),
        ("192.168.0.1", "१९२.१६८.०.१"),
        ("```\nx = 1  \n```", "```\nx = 1\n```"),
        ("[here](https://a.org/b)", "[她](https://a.org/b)"),
        ("Wait.", ""),
    ],
)
def test_other_ways_to_write_the_same_are_no_loss(source, translation):
    assert lost(source, translation) == []


@pytest.mark.parametrize(
    ("source", "translation", "wanted"),
    [
        ("Ask {name} about COVID-19.", "Pregunta a {nombre} por la covid-19.", ["{name}"]),
        ("YouTube", "o tubo", ["YouTube"]),
        ("A4 and A4", "la 4", ["A4"]),
        ("GPT-4", "GPT-40", ["GPT-4"]),
        ("H5N1", "यह है", ["H5N1"]),
        ("`a` and `b` and `a`", "`c`", ["`a`", "`b`"]),
        ("[x](https://a.org)", "[x](https://a.com)", ["https://a.org"]),
        ("%s of %s", "", ["%s"]),
    ],
)
def test_what_is_lost_is_named_once_in_order(source, translation, wanted):
    assert lost(source, translation) == wanted


def test_masks_avoid_what_the_text_has_and_repeat_for_equal_spans():
    masked, table = mask("wq0w {a} WQ {b} {a}")
    assert (masked, table) == ("wq0w QW0W WQ QW1W QW0W", {"QW0W": "{a}", "QW1W": "{b}"})
    assert unmask("b: QW1W, a: QW0W, QW0W", table) == "b: {b}, a: {a}, {a}"
    assert mask("Nothing here.") == ("Nothing here.", {})
    assert unmask("Intet her.", {}) == "Intet her."
    assert mask("Ask Acme.", ["Acme"])[1] == {"WQ0W": "Acme"}


@pytest.mark.parametrize("size", [3, 5])
def test_there_is_a_mask_whatever_the_text_has(size):
    taken = " ".join(
        "".join(signs) for n in range(2, size + 1) for signs in product("wqx", repeat=n)
    )
    text = f"{taken} {{a}} w{{b}}"
    masked, table = mask(text)
    assert list(table.values()) == ["{a}", "{b}"]
    assert not any(sign.lower() in text for sign in table)
    assert unmask(masked, table) == text


def test_a_text_with_many_spans_comes_back_whole():
    source = " ".join(f"{{a{i}}}" for i in range(150))
    masked, table = mask(source)
    assert len(table) == 150
    assert unmask(masked, table) == source


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Structure(0, 0, 0, 0, 0)),
        ("# Tea\n## How\n#tag\n####### no", Structure(2, 0, 0, 0, 0)),
        ("- a\n* b\n  + c\n• d\n-e\n*f*", Structure(0, 4, 0, 0, 0)),
        ("1. a\n2) b\n(3) c\na) d\n2.5 litres\n1990 was", Structure(0, 4, 0, 0, 0)),
        ("1、甲\n2．乙\n3）丙\n① 丁\nα) ε\nक) ख", Structure(0, 6, 0, 0, 0)),
        ("```\n# no\n- no\n```\n~~~\nx", Structure(0, 0, 2, 0, 0)),
        ("| a | b |\n|---|---|\n| 1 | 2 |\na | b", Structure(0, 0, 0, 3, 0)),
        ("[a](https://b.c) ![d](e.png) [f](g 'h') [i] (j)", Structure(0, 0, 0, 0, 3)),
    ],
)
def test_what_a_text_is_built_of(text, wanted):
    assert structure(text) == wanted


def test_changes_of_structure_are_told_in_words():
    source = "# Tea\n1. Boil.\n2. Wait.\n3. Drink.\n[more](a.html)"
    assert changed_structure(source, "# 茶\n1、烧水。\n2、等。\n3、喝。\n[更多](a.html)") == []
    assert changed_structure(source, "Te\n1. Kog.\nVent.\n```\nx\n```") == [
        "0 headings for 1",
        "1 list item for 3",
        "1 code block for 0",
        "0 links for 1",
    ]


@pytest.mark.parametrize(
    "sign",
    [
        *(
            "`",
            "``` ",
            "$",
            "$a",
            "<a ",
            "{",
            "{{a",
            "a.",
            "a-",
            "@",
            "#a",
            "/a",
            "[](",
            "\\(",
            "\\[",
        ),
        *(
            "%",
            "A1",
            "aB",
            "http://",
            "1.",
            "~",
            "~~~\n",
            "|",
            "- ",
            "[a",
            "[a](",
            "\n",
            "x_",
            "w.",
            "é.",
        ),
    ],
)
def test_time_grows_with_the_text_and_no_faster(sign):
    text = sign * (40_000 // len(sign))
    start = time.process_time()
    spans(text)
    structure(text)
    assert time.process_time() - start < 2
