"""One study, start to end: plan, run what is not there yet, make the tables, draw the report.

    outcome = run(load(Path("studies/smoke.toml")), Path("smoke-results"))
    outcome.report                     # smoke-results/report/index.html

Running again does only what is missing, so "resume" and "run" are the same command. Steps are
handed out in batches, as soon as their inputs are there; a step that fails keeps back only what
depends on it, and is named in the report, in the tables (`missing`) and by the exit code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polydrift
from polydrift.disk import plainly, write_atomically
from polydrift.errors import StoreError, StudyError
from polydrift.judges.rules import VERSION as RULES_VERSION
from polydrift.launch.local import LocalLauncher
from polydrift.launch.schedule import Schedule
from polydrift.needs import lacking
from polydrift.plan import Plan, make_plan
from polydrift.progress import Bars, Board, Silent
from polydrift.results import aids, computed, finish
from polydrift.sources import Sources, as_mapping, pin, survey
from polydrift.step import Step
from polydrift.store import Store
from polydrift.study import Study

LOCK_FILE = "study.lock.json"
# Below this size a model leaves so much of a core idle that one process per core is best.
SMALL = 400_000_000


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run did. made: artifacts made now. there: steps of the plan that have a result.
    problems: {step: sentence} of what failed or could not start.
    """

    plan: Plan
    made: int
    there: int
    problems: Mapping[str, str]
    report: Path


def run(
    study: Study,
    out: Path,
    *,
    workers: int | None = None,
    memory: float | None = None,
    quiet: bool = False,
) -> Ran:
    """Run a study into a directory; StudyError, DataError or StoreError before anything is spent.

    workers: processes; by default one per core for small local models, else one. memory: bytes that
    each may use beside its model's weights; by default half of what is free on a GPU, or 1 GB.
    """
    store = Store(out)
    first: Board = Silent() if quiet else Bars([])
    sources, pins = _pinned(study, out)
    if problems := lacking(study, sources):
        raise StudyError(problems)
    plan = make_plan(study, sources)  # all mistakes are told before anything is written
    known = aids(study, sources)
    with store.lock(wait=first.say):
        store.sweep()
        todo = _todo(plan, store, first)
        store.forget_unfinished(but=[step.address for step in todo])
        write_lock(study, sources, pins, plan, out)
        board: Board = Silent() if quiet else Bars(todo)
        schedule = Schedule(todo)
        try:
            _execute(schedule, store, board, workers, memory, sources)
        finally:
            _write_failures(out, schedule.problems)
        lock = read_lock(out) | {"computed": computed(plan, store)}
        _write_json(out / LOCK_FILE, lock)
        report = finish(study, plan, store, schedule.problems, lock, known)
        there = sum(store.has(step.address) for step in plan.steps)
    return Ran(plan, schedule.made, there, schedule.problems, report)


def read_lock(out: Path) -> dict[str, Any]:
    """The lock file of a results directory; StoreError if there is none or it is damaged."""
    path = out / LOCK_FILE
    try:
        with plainly(path):
            found = json.loads(path.read_text(encoding="utf-8"))
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise StoreError(
                f"{out} holds no study ({LOCK_FILE} is not there); give the --out directory of a "
                "`polydrift run`."
            ) from None
        raise
    except ValueError as error:
        raise StoreError(
            f"{path} is damaged ({error}); delete it and run the study again to write it anew."
        ) from None
    if not isinstance(found, dict) or not {"study", "pins", "steps"} <= found.keys():
        raise StoreError(
            f"{path} is damaged (parts are missing); delete it and run the study again to write "
            "it anew."
        )
    return found


def read_failures(out: Path) -> dict[str, str]:
    """{step: sentence} of the last run in a results directory."""
    path = out / "logs" / "failures.json"
    if not path.exists():
        return {}
    with plainly(path):
        text = path.read_text(encoding="utf-8")
    try:
        return {str(name): str(problem) for name, problem in json.loads(text).items()}
    except (ValueError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged ({error}); delete it, the next run writes it."
        ) from None


def known_pins(out: Path) -> dict[str, str]:
    """The commits that runs in this directory resolved branches to; none before the first run."""
    return dict(read_lock(out)["pins"]) if (out / LOCK_FILE).exists() else {}


def _pinned(study: Study, out: Path) -> tuple[Sources, dict[str, str]]:
    """The sources with every branch of a hub resolved to a commit, once per results directory."""
    pins = known_pins(out)
    sources = survey(study, pins)
    if found := pin(study, sources):
        pins = {**pins, **found}
        sources = survey(study, pins)
    return sources, pins


def _todo(plan: Plan, store: Store, board: Board) -> list[Step]:
    """The steps without a sound artifact; damaged ones are named and set aside."""
    todo = []
    present = {(kind, name[-12:]) for kind, name in store.present()}
    for step in {step.key: step for step in plan.steps}.values():
        if (step.kind, step.key[:12]) in present:
            damage = store.check(step.address)
            if damage is None:
                continue
            board.say(f"{damage}; set aside as {store.set_aside(step.address)} and made anew")
        todo.append(step)
    return todo


def _execute(
    schedule: Schedule,
    store: Store,
    board: Board,
    workers: int | None,
    memory: float | None,
    sources: Sources,
) -> None:
    """Run the steps. StoreError when the disk gives out: nothing else would work."""
    if not schedule.waiting:
        return
    cores = _cores()
    small = _small(sources)
    count = min(workers or (cores if small else 1), schedule.left)
    # One thread is faster for small models and gives the same bits everywhere.
    threads = 1 if small else max(1, cores // count)
    with (
        board,
        LocalLauncher(
            store.root, workers=count, threads=threads, report=board.update, memory=memory
        ) as launcher,
    ):
        while schedule.waiting or launcher.busy:
            for batch in schedule.take(launcher.free):
                launcher.submit(batch)
            assert launcher.busy, "steps wait for each other"
            for batch, outcomes in launcher.results():
                for outcome in outcomes:
                    if outcome.fatal and outcome.problem:
                        raise StoreError(outcome.problem)
                for name, problem in schedule.ended(batch, outcomes).items():
                    board.failed(name, problem)


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _small(sources: Sources) -> bool:
    sizes = [model.bytes for model in sources.models.values()]
    return all(size is not None and size < SMALL for size in sizes)


def write_lock(
    study: Study, sources: Sources, pins: Mapping[str, str], plan: Plan, out: Path
) -> None:
    """What was run, in full: enough to know every number's origin, and to draw the report again."""
    resolved = study.model_dump(mode="json")
    resolved["notes"] += sources.notes
    content = {
        "study": resolved,
        "polydrift": polydrift.__version__,
        "judge_version": RULES_VERSION,
        "pins": dict(pins),
        "sources": as_mapping(sources),
        "steps": {step.name: step.key for step in plan.steps},
    }
    _write_json(out / LOCK_FILE, content)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    data = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, data.encode())


def _write_failures(out: Path, problems: Mapping[str, str]) -> None:
    path = out / "logs" / "failures.json"
    if problems or path.exists():
        _write_json(path, dict(problems))
