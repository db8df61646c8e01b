"""An item: one id of a parallel set in one language, with what was found doubtful about it.

    {"id": "7", "language": "da", "instruction": "...", "input": "", "response": "...",
     "task": "brainstorming", "length": "short", "source": "dolly", "licence": "CC-BY-SA-3.0",
     "translator": "nllb", "status": "review",
     "doubts": [{"kind": "length", "field": "response", "says": "0.3 of the usual length"}]}

Two forms of set are made here, told apart by their fields of text: `BENIGN` (examples to tune on:
instruction, input, response) and `SUITE` (prompts to ask). A line of either is a line that
`data.benign.read_examples` or `data.suites.read_suite` reads as well; the further columns say where
a text comes from. English items are the source of the others; their translator is "".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from polydrift.data import lines
from polydrift.errors import DataError

SOURCE = "en"  # the language that all others are translated from

Status = Literal["accepted", "review", "rejected"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of parallel set: the column of its ids, those of its texts, those of what else is
    the same in all languages, and which texts may be empty.
    """

    name: str
    id: str
    texts: tuple[str, ...]
    about: tuple[str, ...]
    optional: tuple[str, ...] = ()


BENIGN = Form(
    "benign",
    "id",
    ("instruction", "input", "response"),
    ("task", "length", "source", "licence"),
    ("input",),
)
SUITE = Form("suite", "prompt_id", ("prompt",), ("kind", "category", "style", "source", "licence"))
FORMS = (BENIGN, SUITE)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that a check found. kind: of `checks.KINDS`; field: the text; says: for people."""

    kind: str
    field: str
    says: str


@dataclass(frozen=True, slots=True)
class Item:
    """One id in one language.

    texts: every field of the form, "" where there is none. about: what is the same in all
    languages. translator: who made the text, "" for the source's own. status: as the checks, or
    later a reviewer, leave it. Texts of rejected items may be empty: nobody translated them.
    """

    id: str
    language: str
    texts: Mapping[str, str]
    about: Mapping[str, str] = field(default_factory=dict)
    translator: str = ""
    status: Status = "accepted"
    doubts: tuple[Doubt, ...] = ()


def as_row(item: Item, form: Form) -> dict[str, Any]:
    """The columns of an item, in the order of the form."""
    return {
        form.id: item.id,
        "language": item.language,
        **{name: item.about.get(name, "") for name in form.about if name in ("kind", "category")},
        **{name: item.texts[name] for name in form.texts},
        **{
            name: item.about.get(name, "")
            for name in form.about
            if name not in ("kind", "category")
        },
        "translator": item.translator,
        "status": item.status,
        "doubts": [
            {"kind": doubt.kind, "field": doubt.field, "says": doubt.says} for doubt in item.doubts
        ],
    }


def write_items(path: Path, items: Iterable[Item], form: Form) -> None:
    """Write items as JSON lines."""
    lines.write(path, (as_row(item, form) for item in items))


def read_items(path: Path) -> tuple[Form, list[Item]]:
    """All items of a file that `write_items` wrote, and their form; rows may lack all but the
    id, language and texts.

    DataError, with file and line: a missing or empty column, an unknown language or status, the
    same id twice in a language.
    """
    form: Form | None = None
    items: list[Item] = []
    places: dict[tuple[str, str], str] = {}
    for where, row in lines.read(path):
        form = form or form_of(row, where)
        item = _item(row, form, where)
        key = (item.id, item.language)
        if key in places:
            raise DataError(
                f"{where}: {form.id} {item.id!r} in {item.language} stands already at "
                f"{places[key]}: give each once per language."
            )
        places[key] = where
        items.append(item)
    assert form is not None  # `lines.read` refuses a file without rows
    return form, items


def form_of(row: lines.Row, where: str) -> Form:
    """The form whose columns a row has; DataError if it is neither's."""
    for form in FORMS:
        if form.id in row and all(name in row or name in form.optional for name in form.texts):
            return form
    raise DataError(
        f"{where}: neither an example ({BENIGN.id}, {', '.join(BENIGN.texts)}) nor a prompt "
        f"({SUITE.id}, {', '.join(SUITE.texts)}); this row has {', '.join(row)}."
    )


def _item(row: lines.Row, form: Form, where: str) -> Item:
    status = _status(row, where)
    blank = form.texts if status == "rejected" else form.optional
    return Item(
        id=lines.identifier(row, form.id, where),
        language=lines.language_code(row, "language", where),
        texts={name: _text(row, name, where, name in blank) for name in form.texts},
        about={name: _word(row, name) for name in form.about},
        translator=_word(row, "translator"),
        status=status,
        doubts=tuple(_doubts(row, where)),
    )


def _text(row: lines.Row, name: str, where: str, optional: bool) -> str:
    if optional and row.get(name) is None:
        return ""
    return lines.text(row, name, where, empty=True) if optional else lines.text(row, name, where)


def _word(row: lines.Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value)


def _status(row: lines.Row, where: str) -> Status:
    value = row.get("status", "accepted")
    for status in STATUSES:
        if value == status:
            return status
    raise DataError(
        f"{where}: unknown status {value!r}: write one of {', '.join(STATUSES)}, or leave it out."
    )


def _doubts(row: lines.Row, where: str) -> Iterator[Doubt]:
    found = row.get("doubts") or []
    if isinstance(found, str):  # as a CSV or Parquet file may hold it
        try:
            found = json.loads(found)
        except json.JSONDecodeError:
            raise DataError(f"{where}: 'doubts' holds no JSON: leave the column out.") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{where}: 'doubts' must be a list of objects, or be left out.")
    for one in found:
        yield Doubt(_word(one, "kind"), _word(one, "field"), _word(one, "says"))
