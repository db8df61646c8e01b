"""The result in the terminal: the report's headline and one line per panel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from polydrift.report.grid import Change, Tables, average, effect_changes, panels
from polydrift.report.headline import headline
from polydrift.report.words import points


def print_summary(tables: Tables, study: Mapping[str, Any], console: Console) -> None:
    """Print the headline and a compact table; study: the content of study.lock.json."""
    found = headline(tables, study)
    console.print(found.title, style="bold", markup=False, highlight=False)
    for sentence in (*found.sentences, *found.gaps, *found.cautions):
        console.print(sentence, markup=False, highlight=False)
    changes = effect_changes(tables["effects"], "unsafe", "compliance")
    if changes:
        refusals = effect_changes(tables["effects"], "safe-lookalike", "refusal")
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
