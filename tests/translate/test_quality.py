"""chrF, against the definition written out, and round trips."""

from __future__ import annotations

import math
import sys
from collections import Counter

import pytest

from polydrift.errors import MeasureError
from polydrift.translate.quality import by_language, chrf, chrf_each, round_trip

PAIRS = [
    ("Mix flour and sugar.", "Mix the flour and the sugar."),
    ("Wait a little.", "Wait for a little while."),
    ("我不能帮忙。", "我不能帮你。"),
    ("no", "yes"),
]


def by_definition(pairs):
    """Popović 2015: F₂ of the mean n-gram precision and recall, n from 1 to 6, no blanks."""
    scores = []
    for n in range(1, 7):
        matches = written = wanted = 0
        for hypothesis, reference in pairs:
            one, two = (
                Counter(s[i : i + n] for i in range(len(s) - n + 1))
                for s in ("".join(hypothesis.split()), "".join(reference.split()))
            )
            matches += sum((one & two).values())
            written += sum(one.values())
            wanted += sum(two.values())
        if written and wanted:
            scores.append((matches / written, matches / wanted))
    precision, recall = (sum(column) / len(scores) for column in zip(*scores, strict=True))
    return 100 * 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def test_chrf_is_its_definition():
    hypotheses, references = zip(*PAIRS, strict=True)
    assert chrf(hypotheses, references) == pytest.approx(by_definition(PAIRS))
    assert chrf_each(hypotheses, references) == pytest.approx(
        [by_definition([pair]) for pair in PAIRS]
    )


def test_the_same_is_100_and_nothing_is_nothing():
    assert chrf(["Mix."], ["Mix."]) == 100
    assert chrf(["abc"], ["xyz"]) == 0
    assert math.isnan(chrf([], []))
    assert chrf_each([], []) == []


def test_by_language_in_the_order_of_the_study():
    found = by_language(["Mix.", "Wait.", "Stop."], ["Mix.", "Stir.", "Stop."], ["el", "da", "el"])
    assert list(found) == ["da", "el"]
    assert found == {"da": chrf(["Wait."], ["Stir."]), "el": 100}


class Mirror:
    """There: backwards. Back: backwards again, in Greek with a loss."""

    def from_english(self, sentences, target, progress=None):
        progress(1.0, target)
        return [sentence[::-1] for sentence in sentences]

    def translate(self, sentences, source, progress=None):
        progress(1.0, source)
        return [sentence[::-1][: 5 if source == "el" else None] for sentence in sentences]


def test_round_trips():
    english = ["Mix the flour.", "Wait."]
    told = []
    assert round_trip(Mirror(), english, "da", lambda *what: told.append(what)) == 100
    assert round_trip(Mirror(), english, "el") == chrf(["Mix t", "Wait."], english)
    assert told == [(0.5, "da"), (1.0, "da")]


@pytest.mark.parametrize("compute", [chrf, chrf_each])
def test_what_cannot_be_compared_is_named(compute):
    with pytest.raises(MeasureError) as error:
        compute(["a", "b"], ["a"])
    assert str(error.value) == (
        "2 translations cannot be compared with 1 references; give one reference for each."
    )


def test_the_package_that_is_needed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.chrf", None)
    with pytest.raises(MeasureError) as error:
        chrf(["a"], ["a"])
    assert str(error.value) == (
        'chrF is computed by sacreBLEU; pip install "polydrift[translate]".'
    )
