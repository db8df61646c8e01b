"""Judges and translators in a plan: which changes move which keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from polydrift.plan import Plan, make_plan
from polydrift.sources import DataSource, FileSource, ModelSource, RowsOf, Sources
from polydrift.step import Step
from polydrift.study import parse

TEXT = """
name = "s"
[[bases]]
name = "a"
model = "m"
[[suites]]
name = "suite"
data = "p"
[evaluation]
languages = ["en", "da"]
"""
RULES = '[[judges]]\nname = "rules"\n'
TINY = '[[judges]]\nname = "tiny"\nmodel = "j"\n'
PANEL = '[[judges]]\nname = "panel"\nvendors = ["a/b", "c/d"]\nrubric = "xstest"\n'
NLLB = '[translation]\nmodel = "n"\n'


def world(**languages: str) -> Sources:
    rows = {code: RowsOf(digest, 10, 1000) for code, digest in languages.items()}
    model = ModelSource({"digest": "base"}, "/models/m", 100, 50.0)
    return Sources(
        {"p": DataSource("p", "/somewhere/p", rows)},
        {name: replace(model, identity={"digest": name}) for name in ("m", "j", "n")},
        {"b": FileSource("/somewhere/b", "book")},
    )


def planned(*sections: str, **languages: str) -> Plan:
    sources = world(**(languages or {"en": "en-1", "da": "da-1"}))
    return make_plan(parse(TEXT + "\n" + "\n".join(sections)), sources)


def keys(plan: Plan) -> dict[str, str]:
    return {step.name: step.key for step in plan.steps}


def step(plan: Plan, name: str) -> Step:
    return next(one for one in plan.steps if one.name == name)


def test_a_judge_more_moves_nothing() -> None:
    before, after = keys(planned()), keys(planned(RULES, TINY, PANEL))
    assert before.items() <= after.items()
    assert set(after) - set(before) == {
        f"judge/a.{code}.suite.{name}" for code in ("en", "da") for name in ("tiny", "panel")
    }


def test_renaming_a_judge_judges_nothing_anew() -> None:
    one, other = planned(TINY), planned(TINY.replace('"tiny"', '"small"'))
    assert [s.key for s in one.steps] == [s.key for s in other.steps]


def test_a_translation_is_made_once_for_all_judges_that_want_it() -> None:
    both = planned(RULES + "translate = true\n", TINY + "translate = true\n", PANEL, NLLB)
    assert [s.name for s in both.of("translate")] == [
        "translate/a.en.suite",
        "translate/a.da.suite",
    ]
    translated = step(both, "translate/a.da.suite")
    for name in ("rules", "tiny"):
        assert step(both, f"judge/a.da.suite.{name}").inputs["translations"] is translated
    assert "translations" not in step(both, "judge/a.da.suite.panel").inputs
    assert translated.params["compute_type"] == "int8"


def test_new_english_prompts_are_translated_with_anew_and_nothing_else() -> None:
    sections = (TINY + "translate = true\n", NLLB)
    before, after = keys(planned(*sections)), keys(planned(*sections, en="en-2", da="da-1"))
    assert {name for name in before if before[name] != after[name]} == {
        *(["answer/a.en.suite", "translate/a.en.suite", "judge/a.en.suite.tiny"]),
        *("translate/a.da.suite", "judge/a.da.suite.tiny"),
    }


def test_a_suite_without_english_has_its_prompts_translated() -> None:
    plan = make_plan(
        parse(TEXT.replace('["en", "da"]', '["da"]') + TINY + "translate = true\n" + NLLB),
        world(da="da-1"),
    )
    assert step(plan, "translate/a.da.suite").files == {}


@pytest.mark.parametrize(
    "change",
    [
        ('"xstest"', '"strongreject"'),
        ('"c/d"', '"c/e"'),
    ],
)
def test_what_a_vendor_is_asked_is_in_its_key(change: tuple[str, str]) -> None:
    one, other = planned(PANEL), planned(PANEL.replace(*change))
    assert {s.kind for s, t in zip(one.steps, other.steps, strict=True) if s.key != t.key} == {
        "judge"
    }


@pytest.mark.parametrize(
    "addition",
    ["at_once = 3\n", 'cache = "4W"\n', 'prices = { "a/b" = [1.0, 2.0] }\n'],
)
def test_how_a_vendor_is_asked_is_not(addition: str) -> None:
    assert [s.key for s in planned(PANEL + addition).steps] == [s.key for s in planned(PANEL).steps]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TINY, TINY + 'dtype = "float32"\n'),
        (TINY, TINY + 'server = "http://localhost:8000/v1"\n'),
        (TINY + "translate = true\n" + NLLB, TINY + "translate = true\n" + NLLB + "beam = 4\n"),
        (
            TINY + "translate = true\n" + NLLB,
            TINY + 'translate = true\n[translation]\nphrasebook = "b"\n',
        ),
        (
            TINY + "translate = true\n" + NLLB,
            TINY + "translate = true\nuntranslated = false\n" + NLLB,
        ),
    ],
)
def test_what_determines_a_models_verdict_is_in_its_key(one: str, other: str) -> None:
    before, after = keys(planned(one)), keys(planned(other))
    name = "judge/a.da.suite.tiny"
    assert before[name] != after[name]
    assert before["answer/a.da.suite"] == after["answer/a.da.suite"]
