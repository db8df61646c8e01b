from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from polydrift import study as studies
from polydrift.errors import StudyError
from polydrift.study import load, parse

GOOD = """
name = "s"

[[bases]]
name = "a"
model = "m"

[[tuning]]
name = "benign"
data = "d.jsonl"
languages = ["da"]

[[suites]]
name = "suite"
data = "s.jsonl"
"""


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(StudyError) as caught:
        parse(text, source="s.toml")
    return caught.value.problems


def test_the_smallest_study_has_the_documented_defaults() -> None:
    study = parse(GOOD)
    assert study.tuning[0].rank == 16
    assert study.tuning[0].learning_rate == 5e-5
    assert study.evaluation.languages == ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl")
    assert study.measures is None


def test_every_shipped_study_is_valid() -> None:
    studies = sorted((Path(__file__).parents[1] / "studies").glob("*.toml"))
    assert [path.stem for path in studies] == ["control", "demo", "paper", "smoke"]
    for path in studies:
        assert load(path).name == path.stem


# (what is written in place of what, the whole sentence that comes back)
MISTAKES = {
    "unknown key with a near one": (
        'data = "d.jsonl"',
        'data = "d.jsonl"\nlangauges = ["da"]',
        "s.toml:11: tuning[0].langauges: unknown key; did you mean 'languages'?",
    ),
    "unknown key with none near": (
        'name = "s"\n',
        'name = "s"\nzzz = 1\n',
        "s.toml:3: zzz: unknown key; the keys here are name, description, notes, bases, tuning, "
        "variants, suites, evaluation, judges, translation, measures, capability, preference, "
        "statistics.",
    ),
    "missing key": (
        'data = "d.jsonl"\n',
        "",
        "s.toml:8: tuning[0].data: missing; add `data = …`.",
    ),
    "unknown language": (
        '["da"]',
        '["da", "no"]',
        "s.toml:11: tuning[0].languages[1]: 'no' is not known; write one of 'en', 'zh', 'da', "
        "'el', 'hi', 'ga', 'pt', 'es' or 'tl'.",
    ),
    "language twice": (
        '["da"]',
        '["da", "da"]',
        "s.toml:11: tuning[0].languages: da stands twice; write each once.",
    ),
    "no language": (
        '["da"]',
        "[]",
        "s.toml:11: tuning[0].languages: empty; give at least one.",
    ),
    "a name that cannot be one": (
        'name = "a"',
        'name = "a/b"',
        "s.toml:5: bases[0].name: 'a/b' cannot be a name; use letters, digits, '.', '_' and '-' "
        "(at most 40, a letter or digit first).",
    ),
    "a word for a number": (
        '["da"]',
        '["da"]\nlearning_rate = "fast"',
        "s.toml:12: tuning[0].learning_rate: should be a valid number, not 'fast'.",
    ),
    "out of range": (
        '["da"]',
        '["da"]\nepochs = [0]',
        "s.toml:12: tuning[0].epochs[0]: should be greater than 0, not 0.",
    ),
    "a number for a text": (
        'model = "m"',
        "model = 3",
        "s.toml:6: bases[0].model: should be a valid string, not 3.",
    ),
    "a choice that is none": (
        'model = "m"',
        'model = "m"\ndtype = "bf16"',
        "s.toml:7: bases[0].dtype: 'bf16' is not known; write one of 'auto', 'float32', "
        "'bfloat16' or 'float16'.",
    ),
    "neither model nor answers": (
        'model = "m"\n',
        "",
        "s.toml:4: bases[0]: give one of `model`, `vendor` and `answers` (a file).",
    ),
    "a served name without a server": (
        'model = "m"',
        'model = "m"\nserved_as = "n"',
        "s.toml:7: bases[0].served_as: without `server` this means nothing; add it.",
    ),
    "a vendor's model that is to be tuned": (
        'model = "m"',
        'vendor = "openai/m"',
        "s.toml:8: tuning[0]: base 'a' is a vendor's model and cannot be tuned here.",
    ),
    "a whole model beside a server": (
        'model = "m"',
        'model = "m"\nserver = "http://localhost:8000/v1"\n[[variants]]\nname = "v"\n'
        'base = "a"\nmodel = "n"\n',
        "s.toml:8: variants[0]: base 'a' is asked on a server, which computes adapters but no "
        "other model; give an adapter, or leave `server` out.",
    ),
    "a vendor's model against a model": (
        'model = "m"',
        'model = "m"\n[[variants]]\nname = "v"\nbase = "a"\nvendor = "openai/m"\n',
        "s.toml:7: variants[0]: base 'a' is a model, so this cannot be compared with it; give "
        "answers with answers, a vendor's models with a vendor's, and models or adapters with "
        "models.",
    ),
    "a base that nothing bears": (
        '["da"]',
        '["da"]\nbases = ["b"]',
        "s.toml:12: tuning[0].bases: no base is called 'b'; the bases are a.",
    ),
    "a name twice": (
        "[[suites]]",
        '[[bases]]\nname = "a"\nmodel = "n"\n\n[[suites]]',
        "s.toml:14: bases[1].name: 'a' is used twice; names are unique.",
    ),
    "no suite": (
        '[[suites]]\nname = "suite"\ndata = "s.jsonl"\n',
        "",
        "s.toml: suites: a study that asks models needs at least one `[[suites]]`.",
    ),
    "a benchmark without tasks": (
        "[[suites]]",
        '[[capability]]\nname = "c"\ntasks = []\n\n[[suites]]',
        "s.toml:15: capability[0].tasks: empty; give at least one.",
    ),
    "a task twice": (
        "[[suites]]",
        '[[capability]]\nname = "c"\ntasks = ["arc", "arc"]\n\n[[suites]]',
        "s.toml:15: capability[0].tasks: arc stands twice; write each once.",
    ),
    "a benchmark called as a suite": (
        "[[suites]]",
        '[[capability]]\nname = "suite"\ntasks = ["arc"]\n\n[[suites]]',
        "s.toml:14: capability[0].name: 'suite' is a suite's name; take another.",
    ),
    "a preference without judges": (
        "[[suites]]",
        '[[preference]]\nname = "p"\ndata = "p.jsonl"\nvendors = []\n\n[[suites]]',
        "s.toml:16: preference[0].vendors: empty; give at least one.",
    ),
    "a window of one token": (
        "[[suites]]",
        '[measures.corpus]\ndata = "c.jsonl"\nwindow = 1\n\n[[suites]]',
        "s.toml:15: measures.corpus.window: should be greater than 1, not 1.",
    ),
    "samples of greedy answers": (
        "[[suites]]",
        "[evaluation]\nsamples = 3\n\n[[suites]]",
        "s.toml:14: evaluation.samples: greedy answers (temperature 0) are all the same; write 1, "
        "or set a temperature.",
    ),
    "a given variant that gives nothing": (
        "[[suites]]",
        '[[variants]]\nname = "v"\nbase = "a"\n\n[[suites]]',
        "s.toml:13: variants[0]: give one of `adapter`, `model`, `vendor` and `answers`.",
    ),
    "a given variant of no base": (
        "[[suites]]",
        '[[variants]]\nname = "v"\nbase = "q"\nadapter = "x"\n\n[[suites]]',
        "s.toml:15: variants[0].base: no base is called 'q'; the bases are a.",
    ),
    "a rubric that there is not": (
        "[[suites]]",
        '[[judges]]\nname = "j"\nvendors = ["a/b"]\nrubric = "gpt"\n\n[[suites]]',
        "s.toml:16: judges[0].rubric: 'gpt' is not known; write one of 'sorry-bench', "
        "'strongreject' or 'xstest'.",
    ),
    "a model and vendors in one judge": (
        "[[suites]]",
        '[[judges]]\nname = "j"\nmodel = "m"\nvendors = ["a/b"]\n\n[[suites]]',
        "s.toml:13: judges[0]: give `model` or `vendors`, not both; a second judge is a "
        "[[judges]] of its own.",
    ),
    "a rubric for the rules": (
        "[[suites]]",
        '[[judges]]\nname = "j"\nrubric = "xstest"\n\n[[suites]]',
        "s.toml:15: judges[0].rubric: this goes with `vendors`; leave it out, or name some.",
    ),
    "a judge's server without its model": (
        "[[suites]]",
        '[[judges]]\nname = "j"\nserver = "http://localhost:8000/v1"\n\n[[suites]]',
        "s.toml:15: judges[0].server: this goes with a `model`; leave it out, or name the model.",
    ),
    "a judge's served name without a server": (
        "[[suites]]",
        '[[judges]]\nname = "j"\nmodel = "m"\nserved_as = "n"\n\n[[suites]]',
        "s.toml:16: judges[0].served_as: without `server` this means nothing; add it.",
    ),
    "a member of a panel twice": (
        "[[suites]]",
        '[[judges]]\nname = "j"\nvendors = ["a/b", "a/b"]\n\n[[suites]]',
        "s.toml:15: judges[0].vendors: a/b stands twice; write each once.",
    ),
    "a price of a vendor that is not asked": (
        "[[suites]]",
        '[[judges]]\nname = "j"\nvendors = ["a/b"]\nprices = { "a/c" = [1, 2] }\n\n[[suites]]',
        "s.toml:16: judges[0].prices.a/c: no vendor is called so; there are a/b.",
    ),
    "a cache that is no span of time": (
        "[[suites]]",
        '[[judges]]\nname = "j"\nvendors = ["a/b"]\ncache = "4"\n\n[[suites]]',
        "s.toml:16: judges[0].cache: '4' is no span of time; write a number and one of s, m, h, "
        'D, W, M, Y ("4W").',
    ),
    "a judge that wants translations where there are none": (
        "[[suites]]",
        '[[judges]]\nname = "j"\ntranslate = true\n\n[[suites]]',
        "s.toml:15: judges[0].translate: the study has no [translation]; add it, with a `model`, "
        "a `vendor` or a `phrasebook`.",
    ),
    "translations that no judge wants": (
        "[[suites]]",
        '[translation]\nmodel = "m"\n\n[[suites]]',
        "s.toml:13: translation: no judge wants it; add `translate = true` to one, or drop it.",
    ),
    "a translator that is none": (
        "[[suites]]",
        '[[judges]]\nname = "j"\ntranslate = true\n[translation]\nbeam = 2\n\n[[suites]]',
        "s.toml:16: translation: give one of `model`, `vendor` and `phrasebook`.",
    ),
    "two judges of one name": (
        "[[suites]]",
        '[[judges]]\nname = "j"\n[[judges]]\nname = "j"\n\n[[suites]]',
        "s.toml:16: judges[1].name: 'j' is used twice; names are unique.",
    ),
    "answers against a model": (
        'model = "m"',
        'model = "m"\n[[variants]]\nname = "v"\nbase = "a"\nanswers = { file = "n" }\n',
        "s.toml:7: variants[0]: base 'a' is a model, so this cannot be compared with it; give "
        "answers with answers, a vendor's models with a vendor's, and models or adapters with "
        "models.",
    ),
    "infinity": (
        '["da"]',
        '["da"]\nmax_grad_norm = inf',
        "s.toml:12: tuning[0].max_grad_norm: should be a finite number, not inf.",
    ),
    "a seed too large for a table": (
        '["da"]',
        '["da"]\nseeds = [99999999999999999999]',
        "s.toml:12: tuning[0].seeds[0]: should be less than 9223372036854775808, not "
        "99999999999999999999.",
    ),
    "no bases": (
        '["da"]',
        '["da"]\nbases = []',
        "s.toml:12: tuning[0].bases: empty; give at least one.",
    ),
    "several tables where there is one": (
        "[[suites]]",
        "[[evaluation]]\nseed = 1\n\n[[suites]]",
        "s.toml:13: evaluation: this is one table, not several; write [evaluation] instead of "
        "[[evaluation]].",
    ),
    "a list for a name": (
        'name = "a"',
        'name = ["a"]',
        "s.toml:5: bases[0].name: should be a valid string, not ['a'].",
    ),
    "a number for a list": (
        '["da"]',
        '["da"]\nbases = 5',
        "s.toml:12: tuning[0].bases: should be a valid array, not 5.",
    ),
    "a list for a base": (
        "[[suites]]",
        '[[variants]]\nname = "v"\nbase = ["a"]\nadapter = "x"\n\n[[suites]]',
        "s.toml:15: variants[0].base: should be a valid string, not ['a'].",
    ),
    "not TOML": (
        'name = "s"',
        "name = s",
        "s.toml: not valid TOML: Invalid value (at line 2, column 8).",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_sentence_with_its_line(case: str) -> None:
    old, new, sentence = MISTAKES[case]
    assert old in GOOD
    assert problems(GOOD.replace(old, new, 1)) == (sentence,)


def test_what_may_be_one_of_two_things_is_told_for_both() -> None:
    found = problems(GOOD.replace('["da"]', '["da"]\ntargets = 5'))
    assert [one.split(": ")[1] for one in found] == ["tuning[0].targets"] * 2


def test_a_server_needs_a_model() -> None:
    text = """
name = "s"
bases = [{ name = "a", vendor = "openai/m", server = "http://localhost:8000/v1" }]
suites = [{ name = "x", data = "y" }]
"""
    assert problems(text) == (
        "s.toml:3: bases[0]: `server` goes with a `model`; leave it out, or name the model.",
    )


def test_a_model_cannot_be_compared_with_answers() -> None:
    text = """
name = "s"
bases = [{ name = "a", answers = { file = "a" } }]
suites = [{ name = "x", data = "y" }]
[[variants]]
name = "v"
base = "a"
model = "n"
"""
    assert problems(text) == (
        "s.toml:5: variants[0]: base 'a' is a file of answers, so this cannot be compared with "
        "it; give answers with answers, a vendor's models with a vendor's, and models or adapters "
        "with models.",
    )


def test_a_base_of_answers_cannot_be_tuned() -> None:
    text = GOOD.replace('model = "m"', 'answers = { file = "a.jsonl" }')
    assert problems(text) == (
        "s.toml:8: tuning[0]: base 'a' is a file of answers and cannot be tuned.",
    )


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace('"m"', "3").replace('["da"]', '["xx"]').replace('name = "s"', 'name = ""')
    found = problems(text)
    assert [one.split(": ")[0] for one in found] == ["s.toml:2", "s.toml:6", "s.toml:11"]


def test_files_that_are_no_study(tmp_path: Path) -> None:
    absent = tmp_path / "absent.toml"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'name = "\xe9"')
    for path, sentence in (
        (absent, f"{absent}: there is no such file; give the path of a study (TOML)."),
        (tmp_path, f"{tmp_path} is a directory; give the path of a study file (TOML)."),
        (latin, f"{latin}: byte 8 is not UTF-8; save the file as UTF-8."),
    ):
        with pytest.raises(StudyError) as caught:
            load(path)
        assert caught.value.problems == (sentence,)


def test_the_studies_shown_in_the_readme_and_the_docstring_are_valid() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert parse(readme.split("```toml\n")[1].split("```")[0]).name == "mine"
    shown = (studies.__doc__ or "").split("does something:")[1].split("`load` checks")[0]
    assert parse(textwrap.dedent(shown)).name == "first"
