"""The rows of one language of a data file, in an order of their own, and their digest.

A digest over rows (not bytes) lets a file gain a language, be sorted or be reformatted without
touching what was already computed from it. Rows are handed out sorted, so that their order in the
file cannot change a result either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from polydrift.data.answers import Answer
from polydrift.data.benign import Example
from polydrift.data.corpora import Text
from polydrift.data.suites import Prompt
from polydrift.errors import DataError
from polydrift.languages import language as known
from polydrift.records import canonical

Row = TypeVar("Row", Prompt, Example, Answer, Text)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """The rows sorted by their content."""
    return sorted(rows, key=_canonical)


def rows_digest(rows: Iterable[Row]) -> str:
    """sha256 over the rows, whatever their order."""
    return hashlib.sha256(b"\n".join(sorted(map(_canonical, rows)))).hexdigest()


def _canonical(row: Row) -> bytes:
    return canonical({field.name: getattr(row, field.name) for field in fields(row)})


def rows_of(
    reader: Callable[[Path], Sequence[Row]], path: Path, language: str, expected: str
) -> list[Row]:
    """The rows of `language` in a file, sorted; DataError if they are not those of the plan."""
    rows = in_order(row for row in reader(path) if row.language == language)
    if rows_digest(rows) != expected:
        raise changed(path, language)
    return rows


def changed(path: Path, language: str) -> DataError:
    """What is said when rows are not those that the plan was made with."""
    return DataError(
        f"{path}: its {known(language).name} rows changed while the study ran; run the same "
        "command again to plan with the new ones."
    )
