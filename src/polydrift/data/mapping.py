"""Which column holds what, in files that other tools wrote.

    table = pick(Path("rows.csv"), {"model": "gpt-4o"})          # the rows that are wanted
    found = find(path, table, SUITE_FIELDS, {"prompt": "turns.0"})   # field -> column or None
    value({"turns": ["Hej?"]}, "turns.0")                        # "Hej?"

A column is found by the names that tools commonly use (`ALIASES`), or told; "-" says that there is
none. Dots reach into nested values, by key or by position, unless a column's own name holds them.
NaN, which some tools write for nothing, is nothing; so is the word "nan" where a word could stand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polydrift.data import lines
from polydrift.data.formats import rows
from polydrift.data.lines import Row
from polydrift.data.prompts import KINDS, Kind
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES

Table = Sequence[tuple[str, Row]]  # (place, row)

ALIASES: dict[str, tuple[str, ...]] = {
    "prompt_id": ("prompt_id", "question_id", "case_id", "prompt_index", "id"),
    "prompt": ("prompt", "prompt_text", "instruction", "question", "turns"),
    "answer": ("answer", "response", "completion", "output", "generation"),
    "language": ("language", "lang", "evaluation_language"),
    "kind": ("kind", "prompt_label", "label"),
    "category": ("category", "type"),
    "sample": ("sample", "sample_id"),
    "finish": ("finish", "finish_reason", "truncated"),
    "model": ("model", "model_name"),
}
SUITE_FIELDS = ("prompt_id", "prompt", "language", "kind", "category")
KIND_WORDS: dict[str, Kind] = {
    **dict.fromkeys(("unsafe", "harmful"), "unsafe"),
    **dict.fromkeys(("safe-lookalike", "safe", "harmless", "benign"), "safe-lookalike"),
}
UNCATEGORISED = "uncategorised"
ABSENT = object()  # the value of a column that a row has not
_LANGUAGE_WORDS = {"fil": "tl", "filipino": "tl"} | {
    word.lower(): code
    for code, known in LANGUAGES.items()
    for word in (code, known.name, known.endonym, known.nllb)
}


def value(row: Row, column: str) -> Any:
    """The value at a column or dotted path; None for null and NaN, ABSENT if there is none."""
    found = row[column] if column in row else _inside(row, column.split("."))
    return None if isinstance(found, float) and found != found else found


def _inside(nested: object, path: list[str]) -> Any:
    """What a path of keys and positions leads to; the longest key that fits goes first."""
    if not path:
        return nested
    if isinstance(nested, Mapping):
        for end in range(len(path), 0, -1):
            key = ".".join(path[:end])
            if key in nested:
                found = _inside(nested[key], path[end:])
                if found is not ABSENT:
                    return found
    elif isinstance(nested, list) and path[0].isdecimal() and int(path[0]) < len(nested):
        return _inside(nested[int(path[0])], path[1:])
    return ABSENT


def given(row: Row, column: str | None) -> Any:
    """The value at a column, None for what counts as nothing: no such column, null, "", "nan"."""
    found = value(row, column) if column else None
    return None if found is ABSENT or is_nothing(found) else found


def is_nothing(found: object) -> bool:
    """Whether a cell says nothing: null, blank, or "nan" as some tools write an empty cell."""
    return found is None or (
        isinstance(found, str) and found.strip().lower() in ("", "nan", "<na>")
    )


def pick(path: Path, select: Mapping[str, str]) -> list[tuple[str, Row]]:
    """The rows of a file that have the wanted values; DataError if none has."""
    table = list(rows(path))
    for column, wanted in select.items():
        require(table, column)
        left = [(where, row) for where, row in table if str(value(row, column)) == wanted]
        if not left:
            values = sorted({str(value(row, column))[:40] for _, row in table})
            more = f" and {len(values) - 5} more" if len(values) > 5 else ""
            raise DataError(
                f"{path}: no row has {wanted!r} in column {column!r}; values there are "
                f"{', '.join(map(repr, values[:5]))}{more}."
            )
        table = left
    return table


def require(table: Table, column: str) -> None:
    """DataError unless every row has the column."""
    for where, row in table:
        if value(row, column) is ABSENT:
            raise DataError(f"{where}: no column {column!r}; there are {', '.join(row)}.")


def columns_of(table: Table) -> list[str]:
    """The columns that any row has, in the order in which they first occur."""
    return list(dict.fromkeys(column for _, row in table for column in row))


def find(
    path: Path,
    table: Table,
    fields: Sequence[str],
    columns: Mapping[str, str],
    aliases: Mapping[str, Sequence[str]] = ALIASES,
) -> dict[str, str | None]:
    """The column of each field, by what was told and by the names tools use; None for none.

    DataError: a field that is not among `fields`, a column that no row has.
    """
    names = columns_of(table)
    found: dict[str, str | None] = {}
    for field, column in columns.items():
        if field not in fields:
            raise DataError(f"unknown field {field!r}: map one of {', '.join(fields)}.")
        found[field] = told(path, table, field, column)
    for field in fields:
        found.setdefault(field, next((name for name in aliases[field] if name in names), None))
    return found


def told(path: Path, table: Table, field: str, column: str) -> str | None:
    """A column that the user named for a field; None for "-"; DataError if no row has it."""
    if column == "-":
        return None
    if all(value(row, column) is ABSENT for _, row in table):
        raise DataError(
            f"{path}: no column {column!r} for {field!r}; there are {', '.join(columns_of(table))}."
        )
    return column


def text(row: Row, column: str, where: str, *, empty: bool = False) -> str:
    """The string at a column; DataError if there is none or it is blank (unless `empty`)."""
    found = value(row, column)
    if found is ABSENT:
        return lines.text(row, column, where)  # says so
    return lines.checked(found, column, where, empty=empty)


def prompt_text(row: Row, column: str, where: str) -> str:
    """The prompt: a string, or a list of turns (strings, or objects with "content")."""
    found = value(row, column)
    if isinstance(found, list):
        turns = [turn.get("content") if isinstance(turn, dict) else turn for turn in found]
        found = "\n\n".join(turn for turn in turns if isinstance(turn, str))
    if isinstance(found, str) and found.strip() and is_nothing(found):
        raise DataError(
            f"{where}: {column!r} holds {found.strip()!r}, which is how some tools write an empty "
            "cell: fill it or leave the row out."
        )
    return text({column: found}, column, where) if found is not ABSENT else text(row, column, where)


def prompt_id(row: Row, column: str | None, where: str) -> str | None:
    """The id of a row's prompt, a whole number written as such; None if the row does not say."""
    found = given(row, column)
    if found is None or column is None:
        return None
    if isinstance(found, float) and found.is_integer():  # a column of numbers with gaps
        return str(int(found))
    return lines.identifier({column: found}, column, where)


def hashed(prompt: str) -> str:
    """The id of a prompt that has none: the same text has the same one in every file."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def category(row: Row, column: str | None) -> str:
    """The category of a row's prompt."""
    found = given(row, column)
    return UNCATEGORISED if found is None else str(found)


def is_language(word: str) -> bool:
    """Whether a column's name is the code or name of one of the nine languages, and no more."""
    return word.strip().lower() in _LANGUAGE_WORDS


def language_of(word: str) -> str | None:
    """The code that a code, a name or a locale ("da", "Danish", "da-DK") stands for, if any."""
    word = word.strip().lower()
    return _LANGUAGE_WORDS.get(word) or _LANGUAGE_WORDS.get(word.replace("_", "-").split("-")[0])


def language(row: Row, column: str | None, where: str, default: str | None) -> str:
    """The code of a row's language."""
    found = given(row, column)
    word = str(found if found is not None else default or "").strip()
    if not word:
        raise DataError(f"{where}: no language: say which with --language CODE.")
    code = language_of(word)
    if not code:
        raise DataError(
            f"{where}: unknown language {word!r}: use one of {', '.join(LANGUAGES)}, or pick rows "
            "with --select COLUMN=VALUE."
        )
    return code


def kind(row: Row, column: str | None, where: str, default: Kind | None) -> Kind:
    """The kind of a row's prompt."""
    found = given(row, column)
    if found is None:
        if default is None:
            raise DataError(
                f"{where}: not said whether the prompt is unsafe: name the column with "
                f"--column kind=NAME, or say {' or '.join(f'--kind {kind}' for kind in KINDS)}."
            )
        return default
    known = KIND_WORDS.get(str(found).strip().lower().replace("_", "-"))
    if not known:
        raise DataError(
            f"{where}: {str(found)[:40]!r} in column {column!r} is no kind of prompt: use "
            f"{', '.join(KIND_WORDS)}, or leave the column out with --column kind=- and say --kind."
        )
    return known
