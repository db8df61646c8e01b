"""Rows of any usual file: JSON lines, a JSON array, CSV, TSV (all also gzipped) and Parquet.

    for where, row in rows(Path("answers.csv")):    # "answers.csv:2", {"prompt": "...", ...}

In CSV and TSV the first line names the columns and every value is a string; `where` is the line a
row ends at. A .csv whose first line holds semicolons and no comma is separated by semicolons, as
spreadsheets write it in half of Europe. In JSON arrays and Parquet files, which have no lines,
`where` counts rows from 1.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from polydrift.data import lines
from polydrift.data.lines import Row
from polydrift.errors import DataError

READABLE = ".jsonl, .json, .csv, .tsv (each also .gz) or .parquet"


def is_json_lines(path: Path) -> bool:
    """Whether a file is read as JSON lines: all are whose name does not say otherwise."""
    return _suffix(path) not in (".json", ".csv", ".tsv", ".parquet")


def rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Each row with its place; DataError for what `lines.read` refuses and for unknown formats."""
    suffix = _suffix(path)
    if suffix in (".jsonl", ".ndjson"):
        return lines.read(path)
    if suffix == ".json":
        return _json(path)
    if suffix in (".csv", ".tsv"):
        return _csv(path, "," if suffix == ".csv" else "\t")
    if suffix == ".parquet":
        return _parquet(path)
    raise DataError(f"{path}: unknown kind of file {suffix!r}: give {READABLE}.")


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _json(path: Path) -> Iterator[tuple[str, Row]]:
    """The objects of a JSON array; JSON lines under the name .json are read as such."""
    text = "".join(line for _, line in lines.numbered_lines(path))
    if not text.lstrip().startswith("["):
        yield from lines.read(path)
        return
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}).") from None
    except RecursionError:
        raise DataError(f"{path}: nested too deeply to be rows of data.") from None
    for number, row in enumerate(table, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is not a JSON object.")
        yield f"{path}, row {number}", row
    if not table:
        raise DataError(f"{path}: no rows in this file.")


def _csv(path: Path, delimiter: str) -> Iterator[tuple[str, Row]]:
    """The rows of a CSV or TSV file."""
    csv.field_size_limit(2**31 - 1)  # an answer may be longer than the module's 128 KiB
    text = [line for _, line in lines.numbered_lines(path)]
    if delimiter == "," and text and ";" in text[0] and "," not in text[0]:
        delimiter = ";"
    reader = csv.DictReader(text, delimiter=delimiter, strict=True)
    found = False
    try:
        names = reader.fieldnames or ()
        for name in names:
            if names.count(name) > 1:
                raise DataError(
                    f"{path}:1: two columns are called {name!r}: give each a name of its own."
                )
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise DataError(
                    f"{where}: this row has not the {len(names)} values that the first line names: "
                    "quote values that hold separators or line breaks."
                )
            found = True
            yield where, row
    except csv.Error as error:
        raise DataError(f"{path}:{reader.reader.line_num}: not valid CSV ({error}).") from None
    if not found:
        raise DataError(f"{path}: no rows in this file.")


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines.open_bytes(path).close()
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error}).") from None
    if not table.num_rows:
        raise DataError(f"{path}: no rows in this file.")
    names = table.column_names
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{path}: two columns are called {name!r}: give each a name of its own."
            )
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"{path}, row {number}", row
