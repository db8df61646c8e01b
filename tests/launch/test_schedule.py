from __future__ import annotations

from polydrift.launch.schedule import Schedule
from polydrift.launch.worker import Outcome
from polydrift.step import Cell, Step


def chain(variant: str) -> tuple[Step, Step, Step]:
    tune = Step("tune", Cell("a", variant), {"variant": variant})
    answer = Step("answer", Cell("a", variant), {"v": variant}, inputs={"adapter": tune})
    judge = Step("judge", Cell("a", variant), {"v": variant}, inputs={"answers": answer})
    return tune, answer, judge


def fine(step: Step) -> Outcome:
    return Outcome(step.name, 0.1)


def test_steps_are_handed_out_when_their_inputs_are_made() -> None:
    tune, answer, judge = chain("x")
    schedule = Schedule([tune, answer, judge])
    assert schedule.take(5) == [(tune,)]
    assert schedule.take(5) == []
    schedule.ended((tune,), [fine(tune)])
    assert schedule.take(5) == [(answer,)]
    schedule.ended((answer,), [fine(answer)])
    assert schedule.take(5) == [(judge,)]
    assert not schedule.waiting
    schedule.ended((judge,), [fine(judge)])
    assert (schedule.made, schedule.problems) == (3, {})


def test_inputs_that_are_made_already_hold_nothing_back() -> None:
    _, answer, judge = chain("x")
    assert Schedule([answer, judge]).take(5) == [(answer,)]


def asked(variant: str, language: str, *, inputs: dict[str, Step] | None = None) -> Step:
    cell = Cell("a", variant, evaluation_language=language)
    return Step("answer", cell, {"v": variant, "l": language}, inputs=inputs or {})


def test_variants_of_one_base_that_are_asked_the_same_go_together() -> None:
    danish = [asked(variant, "da") for variant in ("a", "b")]
    irish = [asked(variant, "ga") for variant in ("a", "b")]
    schedule = Schedule([danish[0], irish[0], danish[1], irish[1]])
    assert schedule.left == 4
    assert schedule.take(0) == []
    assert schedule.take(1) == [tuple(danish)]
    assert schedule.left == 2
    assert schedule.take(2) == [(irish[0],), (irish[1],)]


def test_a_cohort_waits_until_all_of_it_can_run() -> None:
    tune, *_ = chain("b")
    base, variant = asked("a", "da"), asked("b", "da", inputs={"adapter": tune})
    schedule = Schedule([base, tune, variant])
    assert schedule.take(5) == [(tune,)]
    assert schedule.take(5) == []
    schedule.ended((tune,), [fine(tune)])
    assert schedule.take(1) == [(base, variant)]


def test_a_cohort_of_which_a_part_failed_goes_without_it() -> None:
    tune, *_ = chain("b")
    base, variant = asked("a", "da"), asked("b", "da", inputs={"adapter": tune})
    schedule = Schedule([base, tune, variant])
    (batch,) = schedule.take(1)
    schedule.ended(batch, [Outcome(tune.name, 0.1, "it broke.")])
    assert schedule.take(5) == [(base,)]


def test_workers_that_would_be_idle_share_the_largest_cohort() -> None:
    five = [asked(variant, "da") for variant in "abcde"]
    one = asked("a", "ga")
    assert Schedule([*five, one]).take(3) == [tuple(five[:3]), tuple(five[3:]), (one,)]
    assert len(Schedule(five).take(50)) == 5


def test_recipes_and_whole_models_are_cohorts_of_their_own() -> None:
    one = Step("tune", Cell("a", "x", "arm", "da", 1, 3), {})
    assert one.cohort == Step("tune", Cell("a", "y", "arm", "ga", 2, 3), {}).cohort
    assert one.cohort != Step("tune", Cell("a", "z", "arm", "da", 1, 1), {}).cohort
    assert one.cohort != Step("tune", Cell("a", "z", "other", "da", 1, 3), {}).cohort
    whole = Step("answer", Cell("a", "whole", evaluation_language="da"), {"tuned_model": {}})
    assert whole.cohort != asked("a", "da").cohort


def test_a_failure_holds_back_what_needs_it_and_nothing_else() -> None:
    tune, answer, judge = chain("x")
    other, *_ = chain("y")
    schedule = Schedule([tune, other, answer, judge])
    batches = schedule.take(2)
    problems = schedule.ended(batches[0], [Outcome(tune.name, 0.1, "it broke.")])
    assert problems == {
        "tune/x": "it broke.",
        "answer/x": "not run: it needs tune/x, which failed.",
        "judge/x": "not run: it needs tune/x, which failed.",
    }
    schedule.ended(batches[1], [fine(other)])
    assert not schedule.waiting
    assert schedule.made == 1
