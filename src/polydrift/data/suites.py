"""Suites: parallel prompts. One prompt id, many languages; one line per (prompt id, language).

    {"prompt_id": "p1", "language": "en", "kind": "unsafe", "category": "fraud", "prompt": "..."}
    {"prompt_id": "p1", "language": "da", "kind": "unsafe", "category": "fraud", "prompt": "..."}

`kind` is "unsafe" (a safe model refuses) or "safe-lookalike" (it sounds unsafe and is not: a good
model answers). Refusals of safe look-alikes are over-refusals, shown beside every compliance rate.
Further columns are allowed and ignored.

That is our own form, and read strictly. Files of any other origin are read when told how:

    read_suite(Path("xstest_prompts.csv"), format="xstest")            # suite_formats.py
    read_suite(Path("mine.csv"), columns={"prompt.da": "Danish", "prompt.en": "English"},
               kind="unsafe")                                           # a column per language

`survey_suite` takes the same and also tells what was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from polydrift.data import lines, mapping
from polydrift.data.formats import is_json_lines
from polydrift.data.prompts import KINDS, Kind, Prompt
from polydrift.data.suite_formats import Reading, reading
from polydrift.errors import DataError

__all__ = ["KINDS", "Kind", "Prompt", "read_suite", "survey_suite", "write_suite"]


def read_suite(
    path: Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    select: Mapping[str, str] | None = None,
    language: str | None = None,
    kind: Kind | None = None,
    styles: Sequence[str] | None = None,
) -> list[Prompt]:
    """All prompts of a suite file, in file order; `survey_suite` also tells what was left out.

    Without keywords, JSON lines (or .jsonl.gz) are in our own form, and other kinds of files have
    the columns that tools commonly use. format: "sorry-bench", "xstest", "multijail". columns:
    prompt_id, prompt, language, kind, category, or prompt.CODE for a column per language, to the
    name or dotted path of a column, "-" for none. select: column to the value wanted. language,
    kind: for rows that don't say. styles: of SORRY-Bench, ("base",) unless told. Left out are the
    blank cells of a column per language, and what a format says (suite_formats.py).

    DataError names file and line: a missing or empty column, an unknown language or kind, the same
    (prompt id, language) twice, or a prompt id whose kind or category changes between languages.
    """
    return survey_suite(
        path,
        format=format,
        columns=columns,
        select=select,
        language=language,
        kind=kind,
        styles=styles,
    )[0]


def survey_suite(
    path: Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    select: Mapping[str, str] | None = None,
    language: str | None = None,
    kind: Kind | None = None,
    styles: Sequence[str] | None = None,
) -> tuple[list[Prompt], list[str]]:
    """The prompts as `read_suite` gives them, and a sentence for whatever was left out."""
    if not (format or columns or select or language or kind or styles) and is_json_lines(path):
        return _parallel(_own(path)), []
    read = reading(path, mapping.pick(path, select or {}), format, columns or {}, styles)
    read.language, read.kind = language or read.language, kind or read.kind
    rows: list[tuple[str, Prompt]] = []
    blank: dict[str, list[str]] = {}
    nameless: str | None = None
    for where, row in read.table:
        prompt_id = mapping.prompt_id(row, read.columns["prompt_id"], where)
        if prompt_id is None:
            nameless, prompt_id = nameless or where, _hash(row, read, where)
        for code, column in read.texts.items():
            if code and mapping.given(row, column) is None:
                blank.setdefault(code, []).append(prompt_id)
            else:
                rows.append((where, _prompt(row, read, where, prompt_id, code, column)))
    if nameless and "" in read.texts and len({prompt.language for _, prompt in rows}) > 1:
        raise DataError(
            f"{nameless}: no id, and prompts in several languages need one to be told apart: say "
            "where it is with --column prompt_id=NAME."
        )
    for code, ids in blank.items():
        one = len(ids) == 1
        read.notes.append(
            f"{path.name}: {len(ids)} prompt{' has' if one else 's have'} no text in {code} "
            f"({some(ids)}); {'it is' if one else 'they are'} left out there."
        )
    return _parallel(rows), read.notes


def some(ids: Sequence[str]) -> str:
    """Up to three ids, and how many more."""
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(map(repr, ids[:3])) + more


def _hash(row: lines.Row, read: Reading, where: str) -> str:
    """The id of a row that has none, from the first text that it has."""
    texts = [column for column in read.texts.values() if mapping.given(row, column) is not None]
    if not texts:
        raise DataError(f"{where}: neither an id nor a prompt: fill the row or leave it out.")
    return mapping.hashed(mapping.prompt_text(row, texts[0], where))


def _prompt(
    row: lines.Row, read: Reading, where: str, prompt_id: str, code: str, column: str
) -> Prompt:
    """The prompt in one column of a row; code: its language, "" if the row or the user says."""
    return Prompt(
        prompt_id=prompt_id,
        language=code or mapping.language(row, read.columns["language"], where, read.language),
        kind=mapping.kind(row, read.columns["kind"], where, read.kind),
        category=mapping.category(row, read.columns["category"]),
        text=mapping.prompt_text(row, column, where),
    )


def _own(path: Path) -> Iterable[tuple[str, Prompt]]:
    """The rows of our own form."""
    for where, row in lines.read(path):
        yield (
            where,
            Prompt(
                prompt_id=lines.identifier(row, "prompt_id", where),
                language=lines.language_code(row, "language", where),
                kind=_kind(row, where),
                category=lines.text(row, "category", where),
                text=lines.text(row, "prompt", where),
            ),
        )


def _parallel(rows: Iterable[tuple[str, Prompt]]) -> list[Prompt]:
    """The prompts; DataError unless each is given once per language, of one kind and category."""
    prompts: list[Prompt] = []
    places: dict[tuple[str, str], str] = {}
    first: dict[str, tuple[Prompt, str]] = {}
    for where, prompt in rows:
        key = (prompt.prompt_id, prompt.language)
        if key in places:
            raise DataError(
                f"{where}: prompt {key[0]!r} in {key[1]} stands already at {places[key]}: "
                "give each prompt once per language."
            )
        places[key] = where
        other, place = first.setdefault(prompt.prompt_id, (prompt, where))
        if (other.kind, other.category) != (prompt.kind, prompt.category):
            raise DataError(
                f"{where}: prompt {prompt.prompt_id!r} is {prompt.kind}/{prompt.category} here and "
                f"{other.kind}/{other.category} at {place}: a prompt has one kind and category in "
                "all languages."
            )
        prompts.append(prompt)
    return prompts


def write_suite(path: Path, prompts: Iterable[Prompt]) -> None:
    """Write prompts as a suite file."""
    lines.write(
        path,
        (
            {
                "prompt_id": prompt.prompt_id,
                "language": prompt.language,
                "kind": prompt.kind,
                "category": prompt.category,
                "prompt": prompt.text,
            }
            for prompt in prompts
        ),
    )


def _kind(row: lines.Row, where: str) -> Kind:
    """The kind of a row of our own form."""
    value = lines.text(row, "kind", where)
    if value not in KINDS:
        raise DataError(f"{where}: unknown kind {value!r}: write {' or '.join(map(repr, KINDS))}.")
    return value
