"""After the steps: tables, statistics, report. Reads artifacts, writes DIR/tables and DIR/report.

The tables remember which artifacts they were made of, byte for byte, and are left alone when those
are still the ones. The report is drawn each time: that takes less than finding out whether it must.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

import polydrift
from polydrift import tables
from polydrift.disk import write_atomically
from polydrift.errors import DataError
from polydrift.measures.irt import Items, read_items
from polydrift.plan import Plan
from polydrift.plan_judges import judge_key
from polydrift.records import digest, file_digest
from polydrift.sources import Sources
from polydrift.stats.calibration import Calibration
from polydrift.stats.calibration import read as read_calibration
from polydrift.step import Step
from polydrift.store import Store
from polydrift.study import Capability, Preference, Study

# Every table, in the order in which they are made.
NAMES = (
    *("answers", "verdicts", "measures", "pairs", "capability", "questions", "preferences"),
    *("missing", "rates", "effects", "pooled", "blind_spot", "tipping"),
    *("heterogeneity", "corrected"),
    *("capability_effects", "win_rates", "associations"),
)
_FORMAT = 6  # raise when the tables' columns or the statistics change


@dataclass(frozen=True)
class Aids:
    """Files that the statistics need. calibrations: of judges, by name. items: parameters of
    tinyBenchmarks' items, by the name of the benchmark.
    """

    calibrations: Mapping[str, Calibration]
    items: Mapping[str, Items]


def aids(study: Study, sources: Sources) -> Aids:
    """The files that the study's statistics need; DataError for one that does not fit."""
    calibrations = {}
    for judge in study.judges:
        if judge.calibration:
            path = Path(sources.files[judge.calibration].path)
            one = read_calibration(path)
            if one.judge_key != judge_key(judge, study.translation, sources):
                raise DataError(
                    f"{path} was made with another judge ({one.judge}), or another version of it, "
                    f"than the study's {judge.name!r}; make it anew with `polydrift judge "
                    "validate`."
                )
            calibrations[judge.name] = one
    benchmarks: list[Capability | Preference] = [*study.capability, *study.preference]
    items = {
        one.name: read_items(Path(sources.files[one.irt].path), name=_benchmark(one))
        for one in benchmarks
        if one.irt
    }
    return Aids(calibrations, items)


def _benchmark(one: Capability | Preference) -> str:
    """What tinyBenchmarks calls it: its published error goes by that."""
    if isinstance(one, Preference):
        return "alpaca"
    tasks = list(one.tasks.values() if isinstance(one.tasks, dict) else one.tasks)
    return "mmlu" if tasks == ["tinyMMLU"] else ""


def finish(
    study: Study,
    plan: Plan,
    store: Store,
    problems: Mapping[str, str],
    lock: Mapping[str, Any],
    known: Aids,
) -> Path:
    """Make the tables and the report of what is there; returns the report's path.

    known: from `aids`.
    """
    from polydrift.report import render

    directory = store.root / "tables"
    there = _present(plan, store)
    made_of = digest(
        {
            "format": _FORMAT,
            "polydrift": polydrift.__version__,
            "statistics": study.statistics.model_dump(),
            "calibrations": lock["sources"]["files"],
            "cells": [[asdict(step.cell), there.get(step.key)] for step in plan.steps],
            "problems": dict(problems),
        }
    )
    if _is_made_of(directory, made_of):
        made = read_tables(store.root)
    else:
        made = _tables(study, plan, store, there, problems, known)
        for name in NAMES:
            tables.write(directory / f"{name}.parquet", made[name])
        digests = {name: file_digest(directory / f"{name}.parquet") for name in NAMES}
        content = json.dumps({"made_of": made_of, "tables": digests}, indent=1) + "\n"
        write_atomically(directory / "record.json", content.encode())
    report = store.root / "report" / "index.html"
    render(made, lock, report)
    return report


def _present(plan: Plan, store: Store) -> dict[str, dict[str, Any]]:
    """{key: its outputs' digests} of the steps that can be shown: verdicts need their answers."""
    found: dict[str, dict[str, Any]] = {}
    for step in plan.steps:
        inputs = step.inputs.values() if step.kind in ("translate", "judge") else ()
        if store.has(step.address) and all(made.key in found for made in inputs):
            found[step.key] = store.record(step.address).outputs
    return found


def computed(plan: Plan, store: Store) -> dict[str, Any]:
    """On what, with which versions and how long the artifacts that are there were computed.

    environments: every different one. seconds: by kind of step, summed over workers.
    """
    environments: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    for step in plan.steps:
        if store.has(step.address):
            record = store.record(step.address)
            seconds[step.kind] = round(seconds.get(step.kind, 0.0) + record.seconds, 3)
            if record.environment not in environments:
                environments.append(dict(record.environment))
    return {"environments": environments, "seconds": seconds}


def read_tables(root: Path) -> dict[str, pa.Table]:
    """The tables of a results directory, by name."""
    return {name: tables.read(root / "tables" / f"{name}.parquet") for name in NAMES}


def _is_made_of(directory: Path, made_of: str) -> bool:
    try:
        record = json.loads((directory / "record.json").read_text(encoding="utf-8"))
        return bool(record["made_of"] == made_of) and all(
            file_digest(directory / f"{name}.parquet") == record["tables"][name] for name in NAMES
        )
    except (OSError, ValueError, LookupError, TypeError):
        return False  # absent or damaged: made anew


def _tables(
    study: Study,
    plan: Plan,
    store: Store,
    there: Collection[str],
    problems: Mapping[str, str],
    known: Aids,
) -> dict[str, pa.Table]:
    from polydrift.stats import analyse, further
    from polydrift.stats.correct import corrected

    parts: dict[str, list[pa.Table]] = {name: [] for name in tables.SCHEMAS}
    cells: dict[str, dict[str, Any]] = {}
    answered: tuple[str, list[dict[str, Any]]] = "", []  # one step's: judges follow their answers

    def add(name: str, rows: list[dict[str, Any]]) -> None:
        parts[name].append(tables.part(name, rows))

    for step in plan.steps:
        cell = asdict(step.cell)
        cells.setdefault(step.cell.variant, cell)
        if step.key not in there:
            add("missing", [_missing(step, problems)])
            continue
        found = store.take(step.address)
        if step.kind == "answer":
            answered = step.name, tables.answer_rows(cell, found)
            add("answers", answered[1])
        elif step.kind == "judge":
            given = step.inputs["answers"]
            assert answered[0] == given.name
            add("verdicts", tables.verdict_rows(answered[1], found, step.cell.judge or ""))
        elif step.kind in ("translate", "measure"):  # how well it was translated is a measure
            add("measures", tables.measure_rows(cell, found))
        elif step.kind == "compare":
            pairs, single = tables.pair_rows(cell, cells, found)
            add("pairs", pairs)
            add("measures", single)
        elif step.kind == "capability":
            figures, questions = tables.capability_rows(cell, found)
            add("capability", figures)
            add("questions", questions)
        elif step.kind == "prefer":
            add("preferences", tables.preference_rows(cell, found))
    made = {name: tables.whole(name, parts[name]) for name in tables.SCHEMAS}
    level, draws, seed = (getattr(study.statistics, name) for name in ("level", "draws", "seed"))
    made |= analyse(made["verdicts"], level=level, draws=draws, seed=seed)
    made["corrected"] = corrected(made["rates"], made["effects"], known.calibrations, level=level)
    made |= further(made, known.items, level=level, draws=draws, seed=seed)
    return made


def _missing(step: Step, problems: Mapping[str, str]) -> dict[str, Any]:
    return {
        "step": step.name,
        "kind": step.kind,
        "base": step.cell.base,
        "variant": step.cell.variant,
        "evaluation_language": step.cell.evaluation_language,
        "reason": problems.get(step.name, "its result, or one that it needs, is not there."),
    }
