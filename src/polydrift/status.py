"""What is there and what is not: counts for `polydrift status`, reasons for `polydrift explain`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polydrift.errors import StudyError
from polydrift.plan import Plan
from polydrift.records import Record
from polydrift.run import read_failures, read_lock
from polydrift.step import KINDS, VERSIONS, Step
from polydrift.store import Store


@dataclass(frozen=True, slots=True)
class Status:
    """How far a results directory is. counts: {kind: (done, all)}; failed: {step: sentence}."""

    name: str
    counts: Mapping[str, tuple[int, int]]
    failed: Mapping[str, str]
    report: Path | None


def status(out: Path) -> Status:
    """The state of a results directory, from its lock file and what lies there; loads no data."""
    lock = read_lock(out)
    present = {(kind, name[-12:]) for kind, name in Store(out).present()}
    counts = {kind: [0, 0] for kind in KINDS}
    done: set[str] = set()
    for name, key in lock["steps"].items():
        kind = name.split("/", 1)[0]
        counts[kind][1] += 1
        if (kind, key[:12]) in present:
            counts[kind][0] += 1
            done.add(name)
    report = out / "report" / "index.html"
    return Status(
        lock["study"]["name"],
        {kind: (have, want) for kind, (have, want) in counts.items() if want},
        {name: why for name, why in read_failures(out).items() if name not in done},
        report if report.exists() else None,
    )


def matching(plan: Plan, pattern: str) -> list[Step]:
    """The steps that a user means: a name ("tune/…"), a label, or a pattern with `*`."""
    found = [
        step
        for step in plan.steps
        if fnmatch.fnmatchcase(step.name, pattern) or fnmatch.fnmatchcase(step.label, pattern)
    ] or [step for step in plan.steps if pattern and pattern in step.name]
    if not found:
        some = ", ".join(step.name for step in plan.steps[:3])
        raise StudyError(
            [f"no step of this study is called {pattern!r}; steps look like {some} (* for any)."]
        )
    return found


def explain(step: Step, out: Path) -> list[str]:
    """Why a step will run or will not, in lines: which part of its key changed since last time."""
    store = Store(out)
    place = step.address
    if store.has(place):
        if damage := store.check(place):
            return [f"{step.name} will run: {damage}."]
        record = store.record(place)
        return [
            f"{step.name} is done (made {record.started} in {record.seconds:.1f} s, "
            f"key {step.key[:12]}) and will not run."
        ]
    lines = [f"{step.name} will run (key {step.key[:12]}):"]
    if why := read_failures(out).get(step.name):
        lines.append(f"  it failed last time: {why}")
    earlier = _nearest(step, store)
    if earlier is None:
        lines.append("  nothing like it was made in this directory yet.")
    else:
        lines.append(f"  compared with {place.kind}/{earlier.label} of {earlier.started}:")
        lines += [f"  {change}" for change in _changes(step, earlier)]
    lines += [
        f"  its input {name!r} ({made.name}) is not there either."
        for name, made in step.inputs.items()
        if not store.has(made.address)
    ]
    return lines


def _nearest(step: Step, store: Store) -> Record | None:
    """The record of the same kind and label that differs least from the step."""
    stem = step.address.name[:-13]
    records = []
    for kind, name in sorted(store.present()):
        if kind == step.kind and name[:-13] == stem:
            path = store.root / "artifacts" / kind / name / "record.json"
            records.append(Record.from_json(path.read_bytes(), path))
    return min(records, key=lambda record: len(_changes(step, record)), default=None)


def _changes(step: Step, record: Record) -> list[str]:
    """One line per part of the key that is not what it was."""
    lines = []
    if record.version != VERSIONS[step.kind]:
        lines.append(f"version of the step: {record.version} -> {VERSIONS[step.kind]}")
    lines += _differences("", record.params, step.params)
    inputs = {name: made.key for name, made in step.inputs.items()}
    for what, before, now in (("input", record.inputs, inputs), ("file", record.files, step.files)):
        lines += [
            f"{what} {name!r}: its content changed"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
    return lines


def _differences(path: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys()):
            where = f"{path}.{key}" if path else key
            yield from _differences(where, before.get(key), now.get(key))
    elif _plain(before) != _plain(now):
        yield f"{path}: {before!r} -> {now!r}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
