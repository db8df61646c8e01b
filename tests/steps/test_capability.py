"""What a study says of benchmarks that cannot be asked: one sentence, nothing computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polydrift.launch.worker import work
from polydrift.plan import make_plan
from polydrift.run import run
from polydrift.sources import survey
from polydrift.study import Study, check
from tests.end_to_end.test_measures import make_tasks


def study(folder: Path, **capability: Any) -> Study:
    return check(
        {
            "name": "s",
            "bases": [{"name": "llama", "model": "specimen:llama-0"}],
            "suites": [{"name": "specimen", "data": "specimen:suite"}],
            "evaluation": {"languages": ["da"]},
            "capability": [{"name": "own", "include": "tasks", **capability}],
        },
        source="test",
        folder=folder,
    )


def problem(made: Study, root: Path) -> str | None:
    steps = make_plan(made, survey(made)).of("capability")
    (outcome,) = work(steps, root, lambda *_: None)
    return outcome.problem


def test_an_unknown_task_is_named_with_the_nearest(tmp_path: Path) -> None:
    make_tasks(tmp_path / "tasks")
    assert problem(study(tmp_path, tasks=["factz"]), tmp_path / "out") == (
        "lm-eval has no task, group or tag 'factz'; the nearest: facts. Mend the name, or "
        "give the directory of its YAML file (include_path)."
    )


def test_tasks_that_change_while_the_study_runs_are_not_mixed(tmp_path: Path) -> None:
    where = make_tasks(tmp_path / "tasks")
    made = study(tmp_path, tasks=["facts"])
    steps = make_plan(made, survey(made)).of("capability")
    (where / "facts.jsonl").write_text('{"question": "x", "options": ["a", "b"], "answer": 0}\n')
    (outcome,) = work(steps, tmp_path / "out", lambda *_: None)
    assert outcome.problem == (
        f"{where}: its files changed while the study ran; run the same command again to plan with "
        "the new ones."
    )


def test_a_directory_of_tasks_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"tasks: there is no such directory at .*tasks; mend it"):
        run(study(tmp_path, tasks=["facts"]), tmp_path / "out", quiet=True)
