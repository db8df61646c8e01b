"""JSON lines: one object a line, UTF-8, optionally gzipped; how every text file here is read.

    for where, row in read(Path("suite.jsonl")):
        text(row, "prompt", where)          # a string, or DataError "suite.jsonl:12: ..."

`where` is "path:line", the beginning of every sentence said about that row.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from polydrift.errors import DataError
from polydrift.languages import language

Row = Mapping[str, Any]


def read(path: Path) -> Iterator[tuple[str, Row]]:
    """Each object of a JSON lines file with its place; blank lines are passed over.

    DataError: the file is missing, unreadable, no valid gzip, not UTF-8, holds a line that is not a
    JSON object, or holds no row at all.
    """
    found = False
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}: not JSON ({error.msg} at column {error.colno}): "
                "write one JSON object per line."
            ) from None
        except RecursionError:
            raise DataError(f"{where}: nested too deeply to be a row of data.") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{where}: a JSON {_json_name(row)}, not an object: "
                'write one object per line, {"column": value, ...}.'
            )
        found = True
        yield where, row
    if not found:
        raise DataError(f"{path}: no rows in this file.")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The decoded lines of a text file (".gz": gzipped), counted from 1; a byte order mark goes."""
    number = 0
    with open_bytes(path) as stream:
        try:
            for number, raw in enumerate(stream, start=1):
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}:{number}: byte {error.start + 1} of this line is not UTF-8: "
                "save the file as UTF-8."
            ) from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"{path}: the gzip data is damaged or cut short after line {number} ({error}): "
                "copy or compress the file again."
            ) from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


def open_bytes(path: Path) -> BinaryIO:
    """The file opened for reading bytes, unzipped if its name ends in .gz; or DataError."""
    try:
        if path.suffix == ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        return path.open("rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a directory, where a file of rows was expected.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror or error}).") from None


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON lines, UTF-8, keys in the order given: equal rows give equal bytes."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def text(row: Row, column: str, where: str, *, empty: bool = False) -> str:
    """The string in a column; DataError if it is missing, no string, or blank (unless `empty`)."""
    if column not in row:
        raise DataError(
            f"{where}: no column {column!r}; this row has {', '.join(row) or 'no columns'}."
        )
    return checked(row[column], column, where, empty=empty)


def checked(value: object, column: str, where: str, *, empty: bool = False) -> str:
    """`value` if it is a string that can be stored and is not blank (unless `empty`)."""
    if isinstance(value, float) and value != value:
        raise DataError(
            f"{where}: {column!r} holds NaN, which is how some tools write an empty cell: write "
            'null or "" for it.'
        )
    if not isinstance(value, str):
        raise DataError(
            f"{where}: {column!r} holds a JSON {_json_name(value)}: it must be a string."
        )
    if not empty and not value.strip():
        raise DataError(f"{where}: {column!r} is empty: fill it or leave the row out.")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise DataError(
                f"{where}: {column!r} holds half of a surrogate pair (\\ud800-\\udfff), "
                "which is no character: remove it."
            ) from None
    return value


def identifier(row: Row, column: str, where: str) -> str:
    """A name or number in a column, as a string without blanks around it."""
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(row, column, where).strip()


def number(row: Row, column: str, where: str) -> int:
    """A whole number ≥ 0 in a column."""
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise DataError(f"{where}: {column!r} must be a whole number, 0 or more.")


def language_code(row: Row, column: str, where: str) -> str:
    """A code of one of the nine languages in a column."""
    code = identifier(row, column, where)
    try:
        return language(code).code
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _json_name(value: object) -> str:
    """What JSON calls a value."""
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string"}
    return names.get(type(value), "array" if isinstance(value, list) else "object")
