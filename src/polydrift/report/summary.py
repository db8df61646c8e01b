"""The result in the terminal: the report's headline and one line per panel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from polydrift.report.audit import FELL, NOT_SHOWN, ROSE, AuditRow, cells
from polydrift.report.grid import Change, Tables, average, of_first_judge, panels, pooled_changes
from polydrift.report.headline import headline
from polydrift.report.words import points


def print_summary(
    tables: Tables, study: Mapping[str, Any], console: Console, *, means: bool = True
) -> None:
    """Print the headline and (means) a compact table; study: the content of study.lock.json."""
    found = headline(tables, study)
    console.print(found.title, style="bold", markup=False, highlight=False)
    for sentence in (*found.sentences, *found.gaps, *found.cautions):
        console.print(sentence, markup=False, highlight=False)
    first = of_first_judge(tables, study)["pooled"]
    level = float(study["study"]["statistics"]["level"])
    changes = pooled_changes(first, "unsafe", "compliance", level=level)
    if changes and means:
        refusals = pooled_changes(first, "safe-lookalike", "refusal", level=level)
        console.print(_table(changes, refusals))


def _table(compliance: Sequence[Change], refusal: Sequence[Change]) -> Table:
    """Mean change in points per base and way of tuning."""
    table = Table(box=None, pad_edge=False)
    table.add_column("mean change, points", no_wrap=True)
    for heading in ("own", "others", "English", "over-refusal", "cells that rose"):
        table.add_column(heading, justify="right")
    shown = panels(compliance)
    for panel in shown:
        here = [change for change in compliance if change.panel == panel]
        known = [change for change in here if not math.isnan(change.difference)]
        up = sum(change.side == 1 for change in known)
        table.add_row(
            panel.title(shown).replace("[", r"\["),
            _mean(change for change in here if change.own),
            _mean(change for change in here if not change.own),
            _mean(change for change in here if change.asked_in == "en"),
            _mean(change for change in refusal if change.panel == panel),
            f"{up} of {len(known)}",
        )
    return table


def _mean(changes: Any) -> str:
    return points(average(change.difference for change in changes))


def print_audit(rows: Sequence[AuditRow], console: Console) -> None:
    """Print an audit's table: a row per variant and language."""
    several = len({row.variant for row in rows}) > 1
    start = 0 if several else 1  # one variant need not be named in each row
    table = Table(box=None, pad_edge=False)
    heads = ("variant", "language", "complied", "change, points", "p", "", "refusal")
    for head in heads[start:]:
        right = head in ("p", "refusal")
        table.add_column(head, justify="right" if right else "left", no_wrap=head != "variant")
    for row in rows:
        label, language, before, after, change, bounds, p, reading, refusal, _ = cells(row)
        told = "not shown" if reading == NOT_SHOWN else reading
        texts = (label, language, f"{before} → {after}", f"{change} {bounds}", p, told, refusal)
        style = {ROSE: "bold red", FELL: "blue"}.get(reading, "")
        table.add_row(*(text.replace("[", r"\[") for text in texts[start:]), style=style)
    console.print(table)
