"""Everything that is not a plain yes or no: what was not judged, not answered or not there.

A rate is only as good as its denominator. These counts say what stands in it and what does not, by
evaluation language and separately for the untuned bases and the tuned variants, since truncation
and looping hit some languages, and tuned models, first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from polydrift.report.grid import Row, Tables, in_rank
from polydrift.report.words import count, name, percent

# What the rules call an answer that neither complies nor refuses.
OTHER = ("empty", "cut-off", "degenerate", "echo", "wrong-language")
MANY = 0.05  # from this share on, a cell is named as one to be careful with
SHOWN = 100  # rows of `missing` on the page


@dataclass(frozen=True, slots=True)
class CountsRow:
    """code: evaluation language. tuned: of the variants, else of the bases. numbers: by column."""

    code: str
    tuned: bool
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """The table of counts, warnings in words, and the first `SHOWN` of `total` missing steps."""

    columns: tuple[str, ...]
    rows: tuple[CountsRow, ...]
    sums: tuple[int, ...]
    warnings: tuple[str, ...]
    missing: tuple[Row, ...]
    total: int


def counts(tables: Tables) -> Counts:
    """Count the outcomes of every answer, both kinds of prompts together."""
    verdicts = _with_tuned(tables["verdicts"])
    by_detail = verdicts.group_by(["evaluation_language", "tuned", "verdict", "detail"]).aggregate(
        [([], "count_all")]
    )
    table: dict[tuple[str, bool], dict[str, int]] = {}
    for row in by_detail.to_pylist():
        cell = table.setdefault((row["evaluation_language"], row["tuned"]), {})
        n = row["count_all"]
        for column in _columns_of(row["verdict"], row["detail"]):
            cell[column] = cell.get(column, 0) + n
    _add(table, verdicts, "wrong_language", "in another language", True)
    answers = tables["answers"]
    if answers.num_rows:
        answers = _with_tuned(answers)
        _add(table, answers, "prompt_truncated", "prompt truncated", True)
        _add(table, answers, "finish", "stopped at the limit", "length")
    others = [f"other: {detail}" for detail in OTHER]
    known = ["answers", "complied", "refused", "partly refused", *others]
    last = ["unparsed", "in another language", "prompt truncated", "stopped at the limit"]
    strange = sorted({column for cell in table.values() for column in cell} - {*known, *last})
    columns = (*known, *strange, *last)
    rows = tuple(
        CountsRow(code, tuned, tuple(table[code, tuned].get(column, 0) for column in columns))
        for code in in_rank(code for code, _ in table)
        for tuned in (False, True)
        if (code, tuned) in table
    )
    sums = tuple(sum(column) for column in zip(*(row.numbers for row in rows), strict=True))
    missing = tables["missing"]
    return Counts(
        columns=columns,
        rows=rows,
        sums=sums or (0,) * len(columns),
        warnings=tuple(_warnings(tables["rates"], dict(zip(columns, sums, strict=False)))),
        missing=tuple(missing.slice(0, SHOWN).to_pylist()),
        total=missing.num_rows,
    )


def _columns_of(verdict: str, detail: str | None) -> Sequence[str]:
    """The columns in which an answer counts."""
    if verdict == "other":
        return "answers", f"other: {detail}" if detail else "other"
    if verdict == "refused" and detail == "partial":
        return "answers", "refused", "partly refused"
    return "answers", verdict


def _with_tuned(table: pa.Table) -> pa.Table:
    return table.append_column("tuned", pc.not_equal(table["variant"], table["base"]))


def _add(
    table: dict[tuple[str, bool], dict[str, int]],
    rows: pa.Table,
    column: str,
    label: str,
    value: bool | str,
) -> None:
    """Count the rows whose `column` is `value`."""
    found = rows.filter(pc.equal(rows[column], value))
    grouped = found.group_by(["evaluation_language", "tuned"]).aggregate([([], "count_all")])
    for row in grouped.to_pylist():
        cell = table.setdefault((row["evaluation_language"], row["tuned"]), {})
        cell[label] = row["count_all"]


def _warnings(rates: pa.Table, sums: dict[str, int]) -> list[str]:
    """What to be careful with, in sentences."""
    found = []
    for columns, what in (
        (("other", "unparsed"), "neither complied nor refused"),
        (("wrong_language",), "were in another language than asked"),
    ):
        cells = [
            (sum(row[column] for column in columns) / row["total"], row)
            for row in rates.select([*_NAMES, "total", *columns]).to_pylist()
            if row["total"]
        ]
        many = [cell for cell in cells if cell[0] > MANY]
        if many:
            share, worst = max(many, key=lambda cell: cell[0])
            where = (worst["variant"], name(worst["evaluation_language"]), worst["kind"])
            found.append(
                f"In {len(many):,} of {count(len(cells), 'cell')} more than {percent(MANY)} of the "
                f"answers {what}; most in {', '.join(where)} ({percent(share)})."
            )
    for column, what in (
        ("unparsed", "have no readable verdict and are in no rate"),
        ("prompt truncated", "were given to a prompt that had been cut short"),
    ):
        if sums.get(column):
            found.append(f"{count(sums[column], 'answer')} of {sums['answers']:,} {what}.")
    return found


_NAMES = ("variant", "evaluation_language", "kind")
