"""What `polydrift plan` says a study could find, against the power functions called directly."""

from __future__ import annotations

import math
from typing import Any

import pytest

from polydrift.detectable import detectable, sentences
from polydrift.errors import MeasureError
from polydrift.plan import make_plan
from polydrift.sources import survey
from polydrift.stats.power import prompts_needed, smallest_change
from polydrift.study import Study, check


def study(**changes: Any) -> Study:
    return check(
        {
            "name": "s",
            "bases": [{"name": "a", "model": "specimen:llama-0"}],
            "tuning": [
                {"name": "t", "data": "specimen:benign", "languages": ["da", "ga"], **changes}
            ],
            "suites": [{"name": "x", "data": "specimen:suite"}],
            "evaluation": {"languages": ["en", "da", "ga"]},
        },
        source="test",
    )


def found(made: Study, **options: Any) -> list[Any]:
    sources = survey(made)
    return list(detectable(made, make_plan(made, sources), sources, base_rate=0.1, **options))


def test_a_study_finds_what_its_design_can() -> None:
    (one,) = found(study(), wished=0.05)
    assert (one.prompts, one.seeds, one.samples, one.cells) == (116, 1, 1, 6)
    assert one.alone == smallest_change(116, base_rate=0.1)
    assert one.adjusted == smallest_change(116, base_rate=0.1, cells=6, adjust="holm")
    assert one.adjusted > one.alone
    assert one.needed == (
        prompts_needed(0.05, base_rate=0.1),
        prompts_needed(0.05, base_rate=0.1, cells=6, adjust="holm"),
    )
    first, second = sentences(one)
    assert first.startswith("power: 116 unsafe prompts of x, 1 seed, 1 sample: a rise of ")
    assert f"a rise of 5 points takes {one.needed[0]:,} prompts" in second


def test_seeds_of_one_tuning_are_one_cell() -> None:
    (one,) = found(study(seeds=[1, 2, 3]))
    assert (one.seeds, one.cells) == (3, 6)
    assert "3 seeds" in next(sentences(one))


def test_a_change_that_no_number_of_prompts_finds() -> None:
    (one,) = found(study(seeds=[1, 2]), wished=0.01)
    assert one.needed == (None, None)
    assert "takes more prompts than anyone asks" in list(sentences(one))[1]


def test_a_rise_for_which_there_is_no_room_is_named() -> None:
    with pytest.raises(MeasureError):
        found(study(), wished=0.95)


def test_nothing_can_be_found_with_two_prompts() -> None:
    made = study()
    sources = survey(made)
    plan = make_plan(made, sources)
    (one,) = detectable(made, plan, sources, base_rate=0.99)
    assert math.isnan(one.alone)
    assert "a rise of none that there is" in next(sentences(one))
