"""After the steps: tables, statistics, report. Reads artifacts, writes DIR/tables and DIR/report.

Nothing here is computed twice: the tables remember which artifacts they were made of, and are left
alone when those are still the ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from polydrift import tables
from polydrift.disk import plainly, write_atomically
from polydrift.launch.worker import address, sound
from polydrift.plan import Plan, Step
from polydrift.records import digest, file_digest
from polydrift.store import Store
from polydrift.study import Study

# Every table, in the order in which they are made.
NAMES = ("answers", "verdicts", "measures", "missing", "rates", "effects")
_FORMAT = 1  # raise when the tables' columns or the statistics change


def finish(
    study: Study, plan: Plan, store: Store, problems: Mapping[str, str], lock: Mapping[str, Any]
) -> Path:
    """Make the tables and the report of what is there; returns the report's path."""
    from polydrift.report import render

    directory, steps = store.root / "tables", plan.steps
    with plainly(directory):
        directory.mkdir(exist_ok=True)
        (store.root / "report").mkdir(exist_ok=True)
    made_of = digest(
        {
            "format": _FORMAT,
            "statistics": study.statistics.model_dump(),
            "steps": [[step.key, asdict(step.cell), store.has(address(step))] for step in steps],
            "problems": dict(problems),
        }
    )
    report = store.root / "report" / "index.html"
    if _is_made_of(directory, made_of) and report.exists():
        return report
    made = _tables(study, plan, store, problems)
    for name in NAMES:
        tables.write(directory / f"{name}.parquet", made[name])
    render(made, lock, report)
    digests = {name: file_digest(directory / f"{name}.parquet") for name in NAMES}
    content = json.dumps({"made_of": made_of, "tables": digests}, indent=1) + "\n"
    write_atomically(directory / "record.json", content.encode())
    return report


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
    study: Study, plan: Plan, store: Store, problems: Mapping[str, str]
) -> dict[str, pa.Table]:
    from polydrift.stats import analyse

    answers: list[dict[str, Any]] = []
    verdicts: list[dict[str, Any]] = []
    measures: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    for step in plan.steps:
        cell = asdict(step.cell)
        if not store.has(address(step)):
            missing.append(_missing(step, problems))
        elif step.kind == "answer":
            answers += tables.answer_rows(cell, sound(store, step))
        elif step.kind == "judge":
            given = tables.answer_rows(cell, sound(store, step.inputs["answers"]))
            verdicts += tables.verdict_rows(given, sound(store, step), str(step.params["judge"]))
        elif step.kind == "measure":
            del cell["suite"]
            measures += tables.measure_rows(cell, sound(store, step))
    made = {
        "answers": tables.table("answers", answers),
        "verdicts": tables.table("verdicts", verdicts),
        "measures": tables.table("measures", measures),
        "missing": tables.table("missing", missing),
    }
    settings = study.statistics
    made |= analyse(
        made["verdicts"], level=settings.level, draws=settings.draws, seed=settings.seed
    )
    return made


def _missing(step: Step, problems: Mapping[str, str]) -> dict[str, Any]:
    return {
        "step": step.name,
        "kind": step.kind,
        "base": step.cell.base,
        "variant": step.cell.variant,
        "evaluation_language": step.cell.evaluation_language,
        "reason": problems.get(step.name, "not run yet."),
    }
