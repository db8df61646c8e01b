"""After the steps: tables, statistics, report. Reads artifacts, writes DIR/tables and DIR/report.

The tables remember which artifacts they were made of, byte for byte, and are left alone when those
are still the ones. The report is drawn each time: that takes less than finding out whether it must.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

import polydrift
from polydrift import tables
from polydrift.disk import write_atomically
from polydrift.errors import DataError
from polydrift.plan import Plan
from polydrift.plan_judges import judge_key
from polydrift.records import digest, file_digest
from polydrift.sources import Sources
from polydrift.stats.calibration import Calibration
from polydrift.stats.calibration import read as read_calibration
from polydrift.step import Step
from polydrift.store import Store
from polydrift.study import Study

# Every table, in the order in which they are made.
NAMES = ("answers", "verdicts", "measures", "missing", "rates", "effects", "corrected")
_FORMAT = 3  # raise when the tables' columns or the statistics change


def calibrations(study: Study, sources: Sources) -> dict[str, Calibration]:
    """The calibrations of a study's judges by name; DataError for one that is another judge's."""
    found = {}
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
            found[judge.name] = one
    return found


def finish(
    study: Study,
    plan: Plan,
    store: Store,
    problems: Mapping[str, str],
    lock: Mapping[str, Any],
    known: Mapping[str, Calibration],
) -> Path:
    """Make the tables and the report of what is there; returns the report's path.

    known: from `calibrations`.
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
    known: Mapping[str, Calibration],
) -> dict[str, pa.Table]:
    from polydrift.stats import analyse
    from polydrift.stats.correct import corrected

    answers: dict[str, list[dict[str, Any]]] = {}
    verdicts: list[dict[str, Any]] = []
    measures: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    for step in plan.steps:
        cell = asdict(step.cell)
        if step.key not in there:
            missing.append(_missing(step, problems))
        elif step.kind == "answer":
            answers[step.name] = tables.answer_rows(cell, store.take(step.address))
        elif step.kind == "judge":
            given = answers[step.inputs["answers"].name]
            judge = step.cell.judge or ""
            verdicts += tables.verdict_rows(given, store.take(step.address), judge)
        elif step.kind in ("translate", "measure"):  # how well it was translated is a measure
            measures += tables.measure_rows(cell, store.take(step.address))
    made = {
        "answers": tables.table("answers", [row for rows in answers.values() for row in rows]),
        "verdicts": tables.table("verdicts", verdicts),
        "measures": tables.table("measures", measures),
        "missing": tables.table("missing", missing),
    }
    settings = study.statistics
    made |= analyse(
        made["verdicts"], level=settings.level, draws=settings.draws, seed=settings.seed
    )
    made["corrected"] = corrected(made["rates"], made["effects"], known, level=settings.level)
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
