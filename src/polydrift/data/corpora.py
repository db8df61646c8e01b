"""Corpora: texts that models read and nobody answers, the same ones in each language.

    {"id": "article-1", "language": "da", "text": "Alle mennesker er født frie ..."}

or a row per text with a column per language: {"id": "article-1", "da": "...", "el": "..."}. A text
that is given in pieces (a list) is put together line by line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from polydrift.data import lines, mapping
from polydrift.errors import DataError

ALIASES = {
    "id": ("id", "text_id", "unit"),
    "text": ("text", "sentence", "content", "page"),
    "language": mapping.ALIASES["language"],
}


@dataclass(frozen=True, slots=True)
class Text:
    """One text in one language; `id` is the same in all languages."""

    id: str
    language: str
    text: str


def read_corpus(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    select: Mapping[str, str] | None = None,
    language: str | None = None,
) -> list[Text]:
    """All texts of a file (JSON lines, CSV, Parquet), in file order.

    columns: id, text, language, or text.CODE for a column per language, to the file's. select:
    column to the value wanted. language: of rows that don't say. Without a column of texts, columns
    called after the nine languages are them. Blank texts are left out.

    DataError names file and line: a missing column, an unknown language, no id where texts are in
    several languages, or the same (id, language) twice.
    """
    table = mapping.pick(path, select or {})
    columns = dict(columns or {})
    wide = {
        field.removeprefix("text."): columns.pop(field)
        for field in list(columns)
        if field.startswith("text.")
    }
    for code, column in wide.items():
        if code != mapping.language_of(code):
            raise DataError(f"unknown field {'text.' + code!r}: map text.CODE of one of the nine.")
        mapping.told(path, table, f"text.{code}", column)
    found = mapping.find(path, table, tuple(ALIASES), columns, ALIASES)
    if not wide and found["text"] is None:
        wide = {
            str(mapping.language_of(name)): name
            for name in mapping.columns_of(table)
            if mapping.is_language(name)
        }
    if not wide and found["text"] is None:
        raise DataError(
            f"{path}: no column of texts; there are {', '.join(mapping.columns_of(table))}: name "
            'one in columns = {text = "…"}, or a column per language as {"text.da" = "…"}.'
        )
    texts: dict[tuple[str, str], Text] = {}
    places: dict[tuple[str, str], str] = {}
    for number, (where, row) in enumerate(table):
        name = mapping.prompt_id(row, found["id"], where) or str(number)
        for code, text in _texts(row, where, wide, found, language):
            key = (name, code)
            if key in texts:
                raise DataError(
                    f"{where}: text {name!r} in {code} stands already at {places[key]}: give each "
                    "text once per language, with an id."
                )
            texts[key], places[key] = Text(name, code, text), where
    if not texts:
        raise DataError(f"{path}: every text is blank; fill the column, or name another.")
    return list(texts.values())


def _texts(
    row: lines.Row,
    where: str,
    wide: Mapping[str, str],
    found: Mapping[str, str | None],
    language: str | None,
) -> Iterator[tuple[str, str]]:
    """(language, text) of one row, blank ones left out."""
    if wide:
        places = [(code, column) for code, column in wide.items()]
    else:
        column = found["text"]
        assert column is not None
        places = [(mapping.language(row, found["language"], where, language), column)]
    for code, column in places:
        value = mapping.value(row, column)
        if isinstance(value, list):
            value = "\n".join(str(piece) for piece in value)
        if value is mapping.ABSENT or mapping.is_nothing(value):
            continue
        yield code, lines.checked(value, column, where)
