"""The way back into English, and `comet-score` as a command of its own."""

from __future__ import annotations

import json
import stat
import sys
import textwrap

import pytest

from polydrift.errors import ModelError
from polydrift.languages import LANGUAGES
from polydrift.parallel.items import BENIGN, SUITE, Doubt, Item
from polydrift.parallel.journal import Journal
from polydrift.parallel.scores import TOGETHER, comet, command, round_trip
from polydrift.translate.interface import silent
from polydrift.translate.lexicon import Lexicon

GOOD = ("Boil the potatoes for twenty minutes.", "Wash your hands before you eat.")
TEXTS = {
    "zh": ("把土豆煮二十分钟。", "吃饭之前先洗手。"),
    "da": ("Kog kartoflerne i tyve minutter.", "Vask dine hænder, før du spiser."),
    "el": ("Βράσε τις πατάτες για είκοσι λεπτά.", "Πλύνε τα χέρια σου πριν φας."),
    "hi": ("आलू को बीस मिनट तक उबालो।", "खाने से पहले अपने हाथ धो लो।"),
    "ga": ("Beirigh na prátaí ar feadh fiche nóiméad.", "Nigh do lámha sula n-itheann tú."),
    "pt": ("Coza as batatas durante vinte minutos.", "Lave as mãos antes de comer."),
    "es": ("Hierve las patatas durante veinte minutos.", "Lávate las manos antes de comer."),
    "tl": ("Pakuluan ang patatas nang dalawampung minuto.", "Maghugas ng kamay bago kumain."),
}
BACK = ("Boil the potatoes for twenty minutes.", "The moon rose late over our town.")
IDENTITY = {"phrasebook": "back.jsonl"}
MODEL = "Unbabel/wmt22-cometkiwi-da"


class Counting:
    """A translator that remembers what it was asked."""

    def __init__(self, inner):
        self.inner, self.asked = inner, []

    def translate(self, sentences, source, progress=silent):
        self.asked += [(source, sentence) for sentence in sentences]
        return self.inner.translate(sentences, source, progress)


@pytest.fixture
def phrasebook(tmp_path):
    path = tmp_path / "back.jsonl"
    rows = [
        {"language": code, "text": text, "english": english}
        for code, texts in TEXTS.items()
        for text, english in zip(texts, BACK, strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Counting(Lexicon(path))


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "work.sqlite") as journal:
        yield journal


def prompt(text, code="en", number=1):
    return Item(str(number), code, {"prompt": text})


def pairs(code):
    return [
        (prompt(english, "en", n), prompt(text, code, n))
        for n, (english, text) in enumerate(zip(GOOD, TEXTS[code], strict=True))
    ]


@pytest.mark.parametrize("code", TEXTS)
def test_a_row_whose_english_comes_back_otherwise_is_doubted(code, phrasebook, journal):
    found = round_trip(pairs(code), SUITE, phrasebook, IDENTITY, journal, below=30)
    assert found[0] == ()
    (doubt,) = found[1]
    assert (doubt.kind, doubt.field) == ("round-trip", "prompt")
    value, told = doubt.says.split(", ")
    assert 5 < float(value) < 30
    assert told == "below 30"
    assert [
        doubts != ()
        for doubts in round_trip(pairs(code), SUITE, phrasebook, IDENTITY, journal, below=100.1)
    ] == [True, True]  # even a perfect way back is below that


def test_what_came_back_is_not_asked_again(phrasebook, journal):
    first = round_trip(pairs("da"), SUITE, phrasebook, IDENTITY, journal, below=30)
    asked = len(phrasebook.asked)
    assert asked
    assert journal.count("back") == 2
    assert round_trip(pairs("da"), SUITE, phrasebook, IDENTITY, journal, below=30) == first
    assert len(phrasebook.asked) == asked
    round_trip(pairs("da"), SUITE, phrasebook, {"phrasebook": "other"}, journal, below=30)
    assert len(phrasebook.asked) > asked


def test_the_same_text_in_two_languages_is_asked_in_each(tmp_path, journal):
    path = tmp_path / "back.jsonl"
    rows = [("da", "Nu tager vi kaffe.", "Now we have coffee."), ("es", "Nu tager vi kaffe.", "x")]
    path.write_text(
        "".join(
            json.dumps(dict(zip(("language", "text", "english"), row, strict=True))) + "\n"
            for row in rows
        )
    )
    for code in ("da", "es"):
        pair = (prompt("Now we have coffee."), prompt("Nu tager vi kaffe.", code))
        round_trip([pair], SUITE, Lexicon(path), {}, journal, below=30)
    assert journal.count("back") == 2


def test_each_field_is_scored_and_empty_ones_are_not(phrasebook, journal):
    source = Item("1", "en", dict(zip(BENIGN.texts, (GOOD[0], "", GOOD[1]), strict=True)))
    item = Item(
        "1", "da", dict(zip(BENIGN.texts, (TEXTS["da"][0], "", TEXTS["da"][1]), strict=True))
    )
    ((doubt,),) = round_trip([(source, item)], BENIGN, phrasebook, IDENTITY, journal, below=30)
    assert doubt.field == "response"
    assert round_trip([], BENIGN, phrasebook, IDENTITY, journal, below=30) == []


def test_long_lists_are_put_down_bit_by_bit_and_told_of(phrasebook, journal):
    many = [(prompt(f"Boil {n}."), prompt(f"Kog {n} kartofler i vand.", "da")) for n in range(150)]
    seen = []

    class Failing(Counting):
        def translate(self, sentences, source, progress=silent):
            if len(self.asked) >= 2 * TOGETHER:
                raise ModelError("the translator is gone.")
            return super().translate(sentences, source, progress)

    with pytest.raises(ModelError, match="the translator is gone"):
        round_trip(many, SUITE, Failing(phrasebook), IDENTITY, journal, below=1)
    assert TOGETHER <= journal.count("back") < 150
    round_trip(
        *(many, SUITE, phrasebook, IDENTITY, journal),
        below=1,
        progress=lambda done, text: seen.append(done),
    )
    assert journal.count("back") == 150
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


# The command line of unbabel-comet 2.2, scoring by the share of the letters of each source line
# that its translation has too.
SCORER = """\
#!{python}
import argparse, json, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("-s", "--sources", required=True)
parser.add_argument("-t", "--translations", nargs="+", required=True)
parser.add_argument("--gpus", type=int, default=1)
parser.add_argument("--quiet", action="store_true")
parser.add_argument("--only_system", action="store_true")
parser.add_argument("--to_json", default="")
parser.add_argument("--model", default="Unbabel/wmt22-comet-da")
args = parser.parse_args()
with open(os.environ["ASKED"], "a") as asked:
    print(json.dumps([args.model, args.gpus, args.quiet, args.only_system]), file=asked)
def lines(name):
    with open(name, encoding="utf-8") as stream:
        return [line.strip() for line in stream.readlines()]
data = {{}}
for name in args.translations:
    rows = [{{"src": s, "mt": t}} for s, t in zip(lines(args.sources), lines(name), strict=True)]
    for row in rows:
        letters = set(row["src"].lower())
        row["COMET"] = len(letters & set(row["mt"].lower())) / len(letters)
    data[name] = rows
    print(f"{{name}}\\tscore: {{sum(r['COMET'] for r in rows) / len(rows):.4f}}")
{ending}
with open(args.to_json, "w", encoding="utf-8") as stream:
    json.dump(data, stream, ensure_ascii=False, indent=4)
"""


@pytest.fixture
def scorer(tmp_path, monkeypatch):
    """Installs `comet-score`; gives what it was asked so far."""
    place, asked = tmp_path / "bin", tmp_path / "asked"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.setenv("ASKED", str(asked))

    def install(ending=""):
        path = place / "comet-score"
        path.write_text(SCORER.format(python=sys.executable, ending=textwrap.dedent(ending)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return lambda: list(map(json.loads, asked.read_text().splitlines()))

    return install


def share(english, text):
    letters = set(english.lower())
    return len(letters & set(text.lower())) / len(letters)


def test_comet_scores_every_row_in_its_order(scorer, journal):
    asked = scorer()
    texts = [
        ("Wash\nyour  hands.\u2028Now.", "Wash your hands. Now."),
        ("abcd", "ab"),
        ("abcd", "xyz"),
    ]
    rows = [(prompt(english), prompt(text, "da")) for english, text in texts]
    assert comet(rows, SUITE, MODEL, journal, below=0.4) == [
        (),
        (),
        (Doubt("comet", "prompt", "0, below 0.4"),),
    ]
    assert comet(rows, SUITE, MODEL, journal, below=0.6, gpus=3)[1] == (
        Doubt("comet", "prompt", "0.5, below 0.6"),
    )
    assert asked() == [[MODEL, 0, True, True]]  # the second time, all was in the journal
    comet([*rows, (prompt("new"), prompt("ny", "da"))], SUITE, MODEL, journal, below=0.6, gpus=3)
    assert asked()[1:] == [[MODEL, 3, True, True]]
    comet(rows, SUITE, "another", journal, below=0.6)
    assert asked()[-1][0] == "another"
    assert journal.count("comet") == 7


def test_comet_reads_all_scripts(scorer, journal):
    scorer()
    rows = [pair for code in TEXTS for pair in pairs(code)]
    found = comet(rows, SUITE, MODEL, journal, below=0.3)
    for (source, item), doubts in zip(rows, found, strict=True):
        value = share(source.texts["prompt"], item.texts["prompt"])
        assert doubts == (
            () if value >= 0.3 else (Doubt("comet", "prompt", f"{value:.3g}, below 0.3"),)
        )
    assert {code for code in LANGUAGES if code != "en"} == set(TEXTS)


def test_comet_leaves_out_what_has_no_text(scorer, journal):
    asked = scorer()
    source = Item("1", "en", {"instruction": "ab", "input": "", "response": "cd"})
    item = Item("1", "da", {"instruction": "ab", "input": "extra", "response": "x"})
    assert comet([(source, item)], BENIGN, MODEL, journal, below=0.5) == [
        (Doubt("comet", "response", "0, below 0.5"),)
    ]
    assert comet([], SUITE, MODEL, journal, below=0.5) == []
    assert len(asked()) == 1


ROWS = [(prompt("abcd"), prompt("ab", "da")), (prompt("efgh"), prompt("ef", "da"))]


@pytest.mark.parametrize(
    ("ending", "scores", "why"),
    [
        ("sys.exit('no such model: x')", 0, "no such model: x"),
        ("print('first'); print('OSError: ' + 'x' * 300, file=sys.stderr); sys.exit(1)", 0, None),
        ("args.to_json = 'elsewhere.json'", 0, "mt.txt\tscore: 0.5000"),
        ("data['mt.txt'].pop()", 1, "mt.txt\tscore: 0.5000"),
        ("data['mt.txt'][0].pop('COMET')", 0, "mt.txt\tscore: 0.5000"),
        ("data.clear()", 0, "mt.txt\tscore: 0.5000"),
        ("open(args.to_json, 'w').write('{'); sys.exit()", 0, "mt.txt\tscore: 0.5000"),
        ("json.dump(data, open(args.to_json, 'w')); sys.exit('killed')", 0, "killed"),
    ],
)
def test_comet_that_fails_says_why_and_nothing_is_put_down(scorer, journal, ending, scores, why):
    scorer(ending)
    with pytest.raises(ModelError) as error:
        comet(ROWS, SUITE, MODEL, journal, below=0.5)
    assert str(error.value) == (
        f"comet-score gave {scores} scores by {MODEL} for 2 texts "
        f"({why or 'OSError: ' + 'x' * 191}); try it by hand, or leave `comet` out of [checks]."
    )
    assert journal.count("comet") == 0


def test_comet_that_says_nothing_has_said_so(tmp_path, scorer, journal):
    scorer()
    (tmp_path / "bin" / "comet-score").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ModelError, match=r"gave 0 scores by .* for 2 texts \(no word why\);"):
        comet(ROWS, SUITE, MODEL, journal, below=0.5)


def test_comet_that_is_not_installed_is_told(tmp_path, monkeypatch, journal):
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (command, lambda: comet(ROWS, SUITE, MODEL, journal, below=0.5)):
        with pytest.raises(ModelError) as error:
            call()
        assert str(error.value) == (
            "`comet` of [checks] needs the command comet-score, which is not there: install it "
            "apart (pipx install unbabel-comet), or leave `comet` out."
        )
