"""Short words of the command line for judges and translators."""

from __future__ import annotations

import pytest

from polydrift.errors import StudyError
from polydrift.judges.forms import SORRY_BENCH_MODEL
from polydrift.options import judges


def test_what_the_words_mean():
    assert judges([]) == {}
    assert judges(["rules"]) == {"judges": [{"name": "rules"}]}
    assert judges(["sorry-bench"])["judges"][0]["model"] == SORRY_BENCH_MODEL
    assert judges(["model:runs/my judge/"]) == {
        "judges": [{"name": "my-judge", "model": "runs/my judge/"}]
    }
    assert judges(["openai/gpt-4o-mini"], "xstest") == {
        "judges": [{"name": "gpt-4o-mini", "vendors": ["openai/gpt-4o-mini"], "rubric": "xstest"}]
    }
    assert judges(["a/b+c/d"])["judges"] == [{"name": "panel", "vendors": ["a/b", "c/d"]}]


def test_translation_and_calibration_go_with_the_rules_where_no_judge_is_named():
    assert judges([], translate="vendor:openai/x") == {
        "judges": [{"name": "rules", "translate": True}],
        "translation": {"vendor": "openai/x"},
    }
    found = judges([], translate="phrasebook:specimen:phrasebook", calibration="c.json")
    assert found["translation"] == {"phrasebook": "specimen:phrasebook"}
    assert found["judges"][0]["calibration"] == "c.json"
    assert judges(["rules"], translate="owner/nllb")["translation"] == {"model": "owner/nllb"}


@pytest.mark.parametrize(
    ("texts", "rubric", "sentence"),
    [
        (
            ["gpt"],
            None,
            "--judge 'gpt' is no judge; write rules, sorry-bench, model:DIRECTORY, or a vendor's "
            "model as Inspect AI calls it, like openai/gpt-4o-mini (several, joined by +, are a "
            "panel).",
        ),
        (
            ["a/b"],
            "harm",
            "--rubric 'harm' is not known; write one of sorry-bench, strongreject, xstest.",
        ),
        (
            ["rules"],
            "xstest",
            "--rubric goes with a vendor's model as --judge; leave it out.",
        ),
    ],
)
def test_a_mistake_is_one_sentence(texts, rubric, sentence):
    with pytest.raises(StudyError) as caught:
        judges(texts, rubric)
    assert caught.value.problems == (sentence,)
