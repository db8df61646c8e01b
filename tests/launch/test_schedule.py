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


def test_steps_of_one_variant_and_kind_go_together_and_no_more_batches_than_asked() -> None:
    one = [Step("answer", Cell("a", "a", evaluation_language=c), {"c": c}) for c in ("en", "da")]
    two = Step("answer", Cell("a", "b"), {"c": "b"})
    schedule = Schedule([*one, two])
    assert schedule.take(0) == []
    assert schedule.take(1) == [tuple(one)]
    assert schedule.take(1) == [(two,)]


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
