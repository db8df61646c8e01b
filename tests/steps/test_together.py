"""Steps of a cohort: done together, kept one by one, and gone on with after a kill."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import pytest

from polydrift.engine.train import tune as train
from polydrift.launch.worker import work
from polydrift.plan import Plan, make_plan
from polydrift.sources import survey
from polydrift.step import Step
from polydrift.steps import tune as tuning
from polydrift.store import Store
from polydrift.study import check


def plan(folder: Path, **changes: object) -> Plan:
    study = check(
        {
            "name": "s",
            "bases": [{"name": "a", "model": "specimen:llama-0"}],
            "tuning": [
                {
                    "name": "t",
                    "data": "specimen:benign",
                    "languages": ["da", "ga", "en"],
                    "rank": 4,
                    "rows": 24,
                    "batch_size": 4,
                    "targets": "all-linear",
                    **changes,
                }
            ],
            "suites": [{"name": "x", "data": "specimen:suite"}],
            "evaluation": {"languages": ["da"], "max_new_tokens": 4},
        },
        source="test",
    )
    return make_plan(study, survey(study))


def notes(store: Store, step: Step) -> dict[str, object]:
    return json.loads((store.path(step.address) / "record.json").read_text())["notes"]


class Killed(BaseException):
    pass


def test_tunings_of_one_recipe_go_on_where_a_kill_left_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = plan(tmp_path).of("tune")
    assert len({step.cohort for step in steps}) == 1
    whole = tmp_path / "whole"
    assert all(outcome.problem is None for outcome in work(steps, whole, lambda *_: None))

    monkeypatch.setattr(tuning, "train", functools.partial(train, checkpoint_seconds=0))

    def kill(name: str, done: float, text: str) -> None:
        if text.startswith("step 4 of 6"):
            raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        work(steps, out, kill)
    store = Store(out)
    assert not store.present()
    assert not list((out / "artifacts" / ".partial").iterdir())
    assert all(outcome.problem is None for outcome in work(steps, out, lambda *_: None))
    assert {notes(store, step)["steps_resumed"] for step in steps} == {3}
    assert not list((out / "artifacts" / ".unfinished").iterdir())
    for step in steps:
        files = [
            root.path(step.address) / "adapter_model.safetensors" for root in (Store(whole), store)
        ]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_variant_whose_adapter_is_damaged_is_named_and_the_others_are_asked(
    tmp_path: Path,
) -> None:
    made = plan(tmp_path)
    assert all(o.problem is None for o in work(made.of("tune"), tmp_path, lambda *_: None))
    store = Store(tmp_path)
    adapter = store.path(made.of("tune")[1].address) / "adapter_model.safetensors"
    adapter.write_bytes(adapter.read_bytes()[:-3] + b"xyz")
    answers = made.of("answer")
    assert len({step.cohort for step in answers}) == 1
    outcomes = {o.name: o for o in work(answers, tmp_path, lambda *_: None)}
    assert "adapter_model.safetensors is damaged" in str(
        outcomes["answer/a+t-ga-e1-s3407.da.x"].problem
    )
    fine = [step for step in answers if outcomes[step.name].problem is None]
    assert len(fine) == 3
    assert all(store.has(step.address) for step in fine)
    assert not any(outcome.fatal for outcome in outcomes.values())


def test_the_record_says_how_a_variant_was_computed(tmp_path: Path) -> None:
    made = plan(tmp_path)
    work(made.of("tune"), tmp_path, lambda *_: None)
    work(made.of("answer"), tmp_path, lambda *_: None)
    store = Store(tmp_path)
    assert {notes(store, step)["side_by_side"] for step in made.of("tune")} <= {1, 2, 3}
    assert {notes(store, step)["route"] for step in made.of("answer")} == {"merged"}
    seconds = [store.record(step.address).seconds for step in made.of("answer")]
    assert all(0 < value < 60 for value in seconds)


def test_a_base_that_cannot_be_loaded_fails_all_that_need_it(tmp_path: Path) -> None:
    made = plan(tmp_path)
    broken = [
        dataclasses.replace(step, places={**step.places, "model": str(tmp_path / "nowhere")})
        for step in made.of("tune")
    ]
    outcomes = work(broken, tmp_path, lambda *_: None)
    assert len(outcomes) == 3
    assert all("nowhere" in str(outcome.problem) for outcome in outcomes)
