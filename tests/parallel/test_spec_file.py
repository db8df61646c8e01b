"""Build files: what they mean, and every mistake of one at once with its line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from polydrift.errors import StudyError
from polydrift.languages import LANGUAGES
from polydrift.parallel.licences import LICENCES
from polydrift.parallel.spec import TASKS, Build, Translator, check, load

SEEDS = 'name = "mine"\n[[seeds]]\nname = "dolly"\ndata = "dolly.jsonl"\n'
SUITE = 'name = "mine"\n[suite]\ndata = "suite.jsonl"\n'
ONE_OF = "name one of `vendor`, `model`, `service` and `phrasebook`."
TOKENS = "write [read, written], each for a million tokens."


def problems(text):
    with pytest.raises(StudyError) as error:
        check(tomllib.loads(text), source="b.toml", text=text)
    return list(error.value.problems)


def build(text):
    return check(tomllib.loads(text), source="b.toml", text=text)


def test_a_short_file_has_the_usual_settings(tmp_path):
    path = tmp_path / "b.toml"
    path.write_text(SEEDS)
    found = load(path)
    assert isinstance(found, Build)
    assert found.folder == tmp_path
    assert found.targets == tuple(code for code in LANGUAGES if code != "en")
    assert (found.similar, found.seed, found.max_cost) == (0.7, 0, None)
    assert (found.suite, found.write, found.balance, found.translators) == (None, None, None, ())
    assert found.harmless.rules
    assert found.harmless.model is None
    assert (found.checks.round_trip, found.checks.comet) == (None, None)
    assert len(set(TASKS)) == len(TASKS) == 8


def test_a_long_file_is_read_whole():
    found = build(
        'name = "mine"\nlanguages = ["el", "en", "da"]\nkeep = ["Blue Harbour"]\nmax_cost = 5\n'
        '[[seeds]]\nname = "dolly"\ndata = "hub:a/b"\nlicence = "CC-BY-SA-3.0"\nrows = 10\n'
        'columns = { input = "context" }\nselect = { lang = "en" }\n'
        '[[seeds]]\nname = "own"\ndata = "builtin:benign"\n'
        '[write]\nvendor = "openai/x"\npairs = 20\nprice = [0.1, 2]\n'
        '[harmless]\nkeep = ["vices"]\nmodel = { vendor = "openai/y" }\n'
        '[balance]\nexamples = 8\n[checks]\ncomet = "m"\nround_trip = { phrasebook = "p.jsonl" }\n'
        '[[translators]]\nvendor = "openai/x"\nprice = [0.1, 0.4]\nlanguages = ["da"]\n'
        '[[translators]]\nservice = "google"\nprice = 20\n'
        '[[translators]]\nmodel = "facebook/nllb"\n[[translators]]\nphrasebook = "p.jsonl"\n'
    )
    assert found.targets == ("da", "el")
    assert [one.name for one in found.seeds] == ["dolly", "own"]
    assert found.write.price == (0.1, 2.0)
    assert found.harmless.model.vendor == "openai/y"
    assert [one.price for one in found.translators] == [(0.1, 0.4), 20.0, None, None]
    assert [one.reference for one in found.translators] == [
        *("openai/x", "google", "nllb:facebook/nllb", "phrasebook:p.jsonl"),
    ]
    assert found.checks.round_trip == Translator(phrasebook="p.jsonl")
    assert build(SUITE + 'format = "sorry-bench"\nstyles = ["base", "slang"]\n').suite.styles == (
        *("base", "slang"),
    )


def test_every_mistake_is_told_at_once_in_the_order_of_the_file():
    text = """name = "a b"
languages = ["da", "sv"]
similar = 2
colour = "red"
[[seeds]]
data = "x.jsonl"
licence = "nope"
[[seeds]]
name = "b"
data = "x.jsonl"
licence = "unknown"
rows = 0
[[seeds]]
name = "b"
data = "y.jsonl"
[balance]
example = 3
[checks]
comet_below = 0.0
[checks.round_trip]
beam = 1
[[translators]]
vendor = "a"
model = "b"
[[translators]]
service = "bing"
"""
    assert problems(text) == [
        "b.toml:1: name: 'a b' cannot be a name; use letters, digits, '.', '_' and '-' (at most "
        "40, a letter or digit first).",
        "b.toml:2: languages[1]: 'sv' is not known; write one of 'en', 'zh', 'da', 'el', 'hi', "
        "'ga', 'pt', 'es' or 'tl'.",
        "b.toml:3: similar: should be less than or equal to 1, not 2.",
        "b.toml:4: colour: unknown key; the keys here are name, languages, seed, "
        "seeds, suite, write, harmless, similar, balance, keep, translators, checks, max_cost.",
        "b.toml:5: seeds[0].name: missing; add `name = …`.",
        f"b.toml:7: seeds[0].licence: unknown licence 'nope': write one of {', '.join(LICENCES)} "
        '("gated" for any agreement that forbids passing on).',
        "b.toml:11: seeds[1].licence: no licence is stated ('unknown'): write the id of one, such "
        "as cc-by-4.0.",
        "b.toml:12: seeds[1].rows: should be greater than 0, not 0.",
        "b.toml:14: seeds[2].name: 'b' is used twice; give each a name of its own.",
        "b.toml:17: balance.example: unknown key; did you mean 'examples'?",
        "b.toml:19: checks.comet_below: should be greater than 0, not 0.0.",
        f"b.toml:20: checks.round_trip: {ONE_OF}",
        f"b.toml:22: translators[0]: {ONE_OF}",
        "b.toml:26: translators[1].service: 'bing' is not known; write one of 'google' or 'deepl'.",
    ]


def test_names_that_are_missing_are_not_the_same_name():
    text = 'name = "a"\n[[seeds]]\ndata = "x"\n[[seeds]]\ndata = "y"\n'
    assert problems(text) == [
        "b.toml:2: seeds[0].name: missing; add `name = …`.",
        "b.toml:4: seeds[1].name: missing; add `name = …`.",
    ]


@pytest.mark.parametrize(
    ("who", "price", "told"),
    [
        ('service = "google"', "[1.0, 2.0]", "write one number, for a million characters."),
        ('service = "deepl"', "-1", "write one number, for a million characters."),
        ('service = "deepl"', "inf", "write one number, for a million characters."),
        ('vendor = "x"', "3", TOKENS),
        ('vendor = "x"', '"many"', TOKENS),
        ('vendor = "x"', "[1.0]", TOKENS),
        ('vendor = "x"', "[1.0, -2]", TOKENS),
        ('model = "x"', "[1.0, true]", TOKENS),
    ],
)
def test_what_a_price_is_depends_on_who_translates(who, price, told):
    places = {"[[translators]]": "translators[0]", "[checks.round_trip]": "checks.round_trip"}
    for head, place in places.items():
        text = f"{SEEDS}{head}\n{who}\nprice = {price}\n"
        assert f"b.toml:7: {place}.price: {told}" in problems(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('languages = ["en"]', "languages: nothing to translate into; name another language than"),
        ('[harmless]\nkeep = ["vice"]', "harmless.keep: 'vice' is no kind of topic; write some of"),
        ('[[translators]]\nvendor = ""', "translators[0].vendor: empty; give a name."),
        (
            '[[translators]]\nvendor = "x"\nbeam = 3',
            "translators[0].beam: a vendor does not use it; take it out.",
        ),
        (
            '[[translators]]\nphrasebook = "x"\ntries = 3',
            "translators[0].tries: a phrasebook does not use it; take it out.",
        ),
        (
            '[[translators]]\nservice = "google"\nsettings = { endpoint = 5 }',
            "translators[0].settings: 'endpoint' cannot be set so; there is only 'endpoint', an",
        ),
        (
            '[[translators]]\nvendor = "x"\n[[translators]]\nvendor = "x"',
            "translators[1].vendor: 'x' is named twice; a row would not say which made it.",
        ),
        (
            '[checks.round_trip]\nservice = "google"',
            "checks.round_trip: no service puts texts back; name a vendor, model or phrasebook.",
        ),
        (
            '[checks.round_trip]\nvendor = "x"\nlanguages = ["da"]',
            "checks.round_trip.languages: the way back is from every language; take it out.",
        ),
    ],
)
def test_what_would_be_ignored_is_told(text, told):
    seeds = SEEDS if text.startswith("[") else ""
    found = problems(f'name = "a"\n{text}\n' if not seeds else f"{seeds}{text}\n")
    assert any(told in one for one in found), found


def test_a_build_starts_from_examples_or_from_prompts():
    assert problems('name = "a"\n') == [
        "b.toml: seeds: nothing to start from; add [[seeds]] (examples) or [suite] (prompts)."
    ]
    both = f'{SUITE}licence = "oops"\n[[seeds]]\nname = "a"\ndata = "b"\n[harmless]\n[balance]\n'
    for_examples = "this is for examples to tune on; a suite is translated as it is."
    found = problems(both + '[write]\nvendor = "a"\n')
    assert found[0] == (
        "b.toml:2: suite: a build makes examples or prompts; leave [[seeds]] or [suite] out."
    )
    assert found[1].startswith("b.toml:4: suite.licence: unknown licence 'oops': write one of ")
    assert found[2:] == [
        f"b.toml:8: harmless: {for_examples}",
        f"b.toml:9: balance: {for_examples}",
        f"b.toml:10: write: {for_examples}",
    ]
    assert problems('name = "a"\n[[suite]]\ndata = "x"\n') == [
        "b.toml:2: suite: this is one table, not several; write [suite] instead of [[suite]]."
    ]


@pytest.mark.parametrize("licence", ["cc-by-4.0", "CC-BY-SA-3.0", "gated", "sorry-bench", "MIT"])
def test_licences_are_those_of_spdx_and_the_hub(licence):
    assert build(f'{SEEDS}licence = "{licence}"\n').seeds[0].licence == licence
    assert build(f'{SUITE}licence = "{licence}"\n').suite.licence == licence
    assert build(SEEDS).seeds[0].licence == ""


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    def said(path):
        with pytest.raises(StudyError) as error:
            load(path)
        return str(error.value)

    path = tmp_path / "b.toml"
    assert said(path) == f"{path}: there is no such file; give the path of a build file (TOML)."
    assert said(tmp_path) == f"{tmp_path}: cannot be read: Is a directory."
    path.write_bytes(b'name = "\xff"')
    assert said(path) == f"{path}: byte 8 is not UTF-8; save the file as UTF-8."
    path.write_text("name = \n")
    assert said(path).startswith(f"{path}: not valid TOML: Invalid value (at line 1, column 8")
    path.write_text(SEEDS.replace("dolly.jsonl", "x") + "row = 1\n")
    assert said(path) == f"{path}:5: seeds[0].row: unknown key; did you mean 'rows'?"


def test_the_examples_of_the_documentation_are_build_files():
    examples = Path(__file__).parents[2] / "docs" / "examples"
    for name in ("benign.toml", "sorry.toml"):
        assert load(examples / name).translators
