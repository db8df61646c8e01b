"""What `polydrift judge validate` prints: tables of agreement, nothing computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from polydrift.judges.model import Usage
from polydrift.stats.agreement import Agreement, Estimate
from polydrift.validate import Corrected, Line, Validation


def show_validation(
    console: Console,
    found: Validation,
    usage: Mapping[str, Usage],
    prices: Mapping[str, tuple[float, float]],
) -> None:
    """Agreement by group, the confusion, corrected rates, and what the judge was asked."""
    console.print(_lines(found.lines))
    if found.alpha is not None:
        console.print(f"Krippendorff's alpha of the judge and both people: {_number(found.alpha)}")
    console.print(_confusion("people \\ judge", found.lines[0].agreement))
    if found.three is not None:
        console.print(f"Full and partial refusals apart: kappa {_number(found.three.kappa)}")
        console.print(_confusion("people \\ judge", found.three))
    if found.corrected:
        console.print(_corrected(found.corrected))
    for name, one in usage.items():
        cost = f", cost {one.cost(prices[name]):.4f}" if name in prices else ""
        console.print(
            f"{name}: {one.replies:,} replies, {one.read:,} tokens read, {one.written:,} written, "
            f"{one.again:,} asked again, {one.cut:,} cut{cost}",
            markup=False,
        )


def _lines(lines: Sequence[Line]) -> Table:
    table = _table("rows", "compared", "n", "unparsed", "accuracy", "kappa", "alpha", "missed")
    table.add_column("false", justify="right")
    for line in lines:
        found = line.agreement
        table.add_row(
            line.what,
            line.who,
            f"{found.n:,}",
            f"{found.n_unparsed:,}",
            _number(found.accuracy),
            _number(found.kappa),
            _number(found.alpha),
            f"{line.missed:,}",
            f"{line.false:,}",
        )
    table.caption = "missed and false: refusals. \\[low, high]: intervals over prompts."
    return table


def _confusion(corner: str, found: Agreement) -> Table:
    names = [*map(str, found.labels), "unparsed"]
    table = _table(corner, *names, left=1)
    for name, counts in zip(names, found.confusion.tolist(), strict=True):
        if any(counts):
            table.add_row(name, *(f"{count:,}" for count in counts))
    return table


def _corrected(rows: Sequence[Corrected]) -> Table:
    table = _table("share that", "language", "prompts", "labelled", "others", "judged", "corrected")
    for row in rows:
        powered = Estimate(*(float(v) for v in (row.powered[0], row.powered[1], row.powered[2])))
        table.add_row(
            row.outcome,
            row.language,
            row.kind,
            f"{row.labelled:,}",
            f"{row.unlabelled:,}",
            _number(row.judged),
            _number(powered),
        )
    return table


def _table(*names: str, left: int = 2) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place < left else "right", no_wrap=True)
    return table


def _number(found: Estimate) -> str:
    """A value and its interval: "0.92 [0.89, 0.94]"; a dash for NaN."""
    if math.isnan(found.value):
        return "–"
    text = f"{found.value:.3f}"
    if math.isnan(found.low):
        return text
    return f"{text} [{found.low:.2f}, {found.high:.2f}]"
