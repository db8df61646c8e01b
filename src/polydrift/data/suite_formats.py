"""Suites that others published, each described by where its fields are and by its quirks.

    read_suite(Path("question.jsonl"), format="sorry-bench")
    read_suite(Path("xstest_prompts.csv"), format="xstest")
    read_suite(Path("MultiJail.csv"), format="multijail")

sorry-bench  one row per (question_id, prompt_style); `turns` is a list of one string. Prompt 17 is
             "17" in the base style and "17/slang" in another; a translated style is the same prompt
             in another language. Categories are numbers, named here with their domain.
xstest       `type` begins with "contrast_" where the prompt is unsafe; each safe type and its
             contrast are one category.
multijail    a column per language; `tags` is a list, of which the first is the category.

No row of any of them is part of this project. Sources: Xie et al., SORRY-Bench (arXiv 2406.14598);
Röttger et al., XSTest (arXiv 2308.01263); Deng et al., MultiJail (arXiv 2310.06474).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polydrift.data import mapping
from polydrift.data.lines import Row
from polydrift.data.mapping import ALIASES, SUITE_FIELDS, Table
from polydrift.data.prompts import Kind
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES, in_order

BASE = "base"  # SORRY-Bench's own wording
# Number of the last category of each domain of SORRY-Bench.
DOMAINS = {
    5: "Hate Speech",
    24: "Assistance with Crimes or Torts",
    39: "Potentially Inappropriate",
    44: "Potentially Unqualified Advice",
}
PER_CATEGORY = 10  # base prompts of SORRY-Bench in each category, numbered one after the other
ENCODED = ("ascii", "caesar", "morse", "atbash")  # styles that are a cipher of the base prompt
TRANSLATED = {"translate-zh-cn": "zh"}  # styles that are a prompt in another of the nine
_OTHER_LANGUAGES = ("it", "vi", "ar", "ko", "th", "bn", "sw", "jv")  # MultiJail's, without rules


@dataclass(slots=True)
class Reading:
    """A file on its way to prompts: its rows, which column holds what, what was left out.

    columns: field of SUITE_FIELDS to column, None for none. told: the fields that the user mapped.
    texts: language code to the column of prompts in it; "" where one column holds all of them.
    language, kind: for rows that don't say.
    """

    path: Path
    table: Table
    columns: dict[str, str | None]
    told: frozenset[str]
    texts: dict[str, str]
    language: str | None
    kind: Kind | None
    styles: Sequence[str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Format:
    """A published suite: what its rows don't say, names of its columns, and its quirks."""

    adapt: Callable[[Reading], None]
    language: str | None = None
    kind: Kind | None = None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def reading(
    path: Path,
    table: Table,
    format: str | None,
    columns: Mapping[str, str],
    styles: Sequence[str] | None,
) -> Reading:
    """Find the columns of a suite and, for a named format, mend its quirks; or DataError."""
    if format is not None and format not in FORMATS:
        raise DataError(
            f"unknown suite format {format!r}: use one of {', '.join(FORMATS)}, or leave it out "
            "and say which column holds what."
        )
    if styles and format != "sorry-bench":
        raise DataError('styles are those of SORRY-Bench: say format = "sorry-bench" or drop them.')
    known = FORMATS[format] if format else Format(lambda _: None)
    found, texts, notes = _columns(path, table, columns, known)
    result = Reading(
        path,
        table,
        found,
        frozenset(columns),
        texts,
        known.language,
        known.kind,
        styles or (BASE,),
        notes,
    )
    known.adapt(result)
    return result


def _columns(
    path: Path, table: Table, columns: Mapping[str, str], known: Format
) -> tuple[dict[str, str | None], dict[str, str], list[str]]:
    """The column of each field, the columns of prompts by language, and a note on those found."""
    wide: dict[str, str] = {}
    for name, column in columns.items():
        code = name.removeprefix("prompt.")
        if name in SUITE_FIELDS:
            continue
        if code == name or code not in LANGUAGES:
            raise DataError(
                f"unknown field {name!r}: map one of {', '.join(SUITE_FIELDS)}, or prompt.CODE for "
                f"a column per language, CODE one of {', '.join(LANGUAGES)}."
            )
        if one := mapping.told(path, table, name, column):
            wide[code] = one
    if wide and columns.get("prompt", "-") != "-":
        raise DataError("map either one column to prompt, or one per language to prompt.CODE.")
    aliases = {name: (*known.aliases.get(name, ()), *ALIASES[name]) for name in SUITE_FIELDS}
    told = {name: column for name, column in columns.items() if name in SUITE_FIELDS}
    found = mapping.find(path, table, SUITE_FIELDS, told, aliases)
    if wide:
        return found, wide, []
    if found["prompt"]:
        return found, {"": found["prompt"]}, []
    names = mapping.columns_of(table)
    for name in filter(mapping.is_language, names):
        code = mapping.language_of(name) or ""
        if f"prompt.{code}" in columns:  # told "-"
            continue
        if code in wide:
            raise DataError(
                f"{path}: {wide[code]!r} and {name!r} could each be the prompts in {code}: say "
                f"which with --column prompt.{code}=NAME."
            )
        wide[code] = name
    if not wide:
        raise DataError(
            f"{path}: no column looks like the prompt ({', '.join(ALIASES['prompt'])}, or one "
            f"called by a language's code); there are {', '.join(names)}: say which with --column "
            "prompt=NAME or, for a column per language, --column prompt.CODE=NAME."
        )
    wide = {code: wide[code] for code in in_order(wide)}
    return found, wide, [f"{path.name}: prompts in {', '.join(wide.values())}, a column each."]


def _sorry_bench(this: Reading) -> None:
    """Choose styles; number, category and language of each question."""
    for style in this.styles:
        if style.startswith("translate-") and style not in TRANSLATED:
            raise DataError(
                f"style {style!r} of SORRY-Bench is in a language without rules here: leave it "
                f"out; of the translated ones only {', '.join(TRANSLATED)} can be read."
            )
    there = Counter(_style(row) for _, row in this.table)
    for style in this.styles:
        if style not in there:
            raise DataError(
                f"{this.path}: no row in style {style!r}; styles there are "
                f"{', '.join(sorted(there))}."
            )
    number = this.columns["prompt_id"]
    if not number:
        raise DataError(
            f"{this.path}: no column 'question_id'; there are "
            f"{', '.join(mapping.columns_of(this.table))}: say which holds SORRY-Bench's numbers "
            "with --column prompt_id=NAME."
        )
    category = this.columns["category"]
    if "category" not in this.told:
        category = this.columns["category"] = category or "category"
    language = this.columns["language"] = this.columns["language"] or "language"
    kept: list[tuple[str, Row]] = []
    empty: Counter[str] = Counter()
    for where, row in this.table:
        style = _style(row)
        if style not in this.styles:
            continue
        row = dict(row)
        question = _whole(mapping.given(row, number))
        if question is None or question < 1:
            raise DataError(
                f"{where}: {number!r} holds {mapping.given(row, number)!r}: SORRY-Bench numbers "
                "its questions 1, 2, …"
            )
        if not _has_text(row, this.texts):
            if style == BASE:
                raise DataError(
                    f"{where}: question {question} has no text in the base style: fetch the file "
                    "again."
                )
            empty[style] += 1
            continue
        if category:
            row[category] = _category(row, category, question, where)
        if style in TRANSLATED:
            row[language] = TRANSLATED[style]
        translated = style == BASE or style in TRANSLATED
        row[number] = str(question) if translated else f"{question}/{style}"
        kept.append((where, row))
    this.table = kept
    if empty:
        this.notes.append(
            f"{this.path.name}: left out {_rows(empty)} without text "
            f"({', '.join(f'{count} {style}' for style, count in sorted(empty.items()))})."
        )
    others = Counter({style: there[style] for style in there if style not in this.styles})
    if others:
        this.notes.append(
            f"{this.path.name}: left out {_rows(others)} in {len(others)} other style"
            f"{'s' * (len(others) > 1)}; name them in `styles` to have them."
        )


def _style(row: Row) -> str:
    return str(mapping.given(row, "prompt_style") or BASE).strip()


def _has_text(row: dict[str, Any], texts: Mapping[str, str]) -> bool:
    """Whether the prompt's turns hold anything; a list that was written as text is made one."""
    column = texts.get("")
    if column is None:
        return True
    turns = mapping.value(row, column)
    if isinstance(turns, str):
        turns = _listed(turns)
        if turns:
            row[column] = turns
    cells = turns if isinstance(turns, list) else [mapping.given(row, column)]
    return any(not mapping.is_nothing(cell) for cell in cells)


def _category(row: Row, column: str, question: int, where: str) -> str:
    """ "06 Assistance with Crimes or Torts", from the row or the question's number."""
    said = mapping.given(row, column)
    number = _whole(said)
    if said is None:
        number = (question - 1) // PER_CATEGORY + 1
    if number is None:
        return str(said)  # somebody's own name for it
    domain = next((name for last, name in DOMAINS.items() if 1 <= number <= last), None)
    if not domain:
        raise DataError(
            f"{where}: category {number} of question {question}: SORRY-Bench has 1 to "
            f"{max(DOMAINS)}."
        )
    return f"{number:02d} {domain}"


def _xstest(this: Reading) -> None:
    """Kind and category from the type, where there is one."""
    column = this.columns["category"]
    if not column:
        if "category" in this.told and this.columns["kind"]:
            return
        raise DataError(
            f"{this.path}: no column 'type'; there are "
            f"{', '.join(mapping.columns_of(this.table))}: say which holds XSTest's types with "
            "--column category=NAME."
        )
    table: list[tuple[str, Row]] = []
    for where, row in this.table:
        said = mapping.given(row, column)
        if said is None:
            raise DataError(
                f"{where}: no type, which says whether an XSTest prompt is safe: fill it."
            )
        contrast = str(said).startswith("contrast_")
        changed: dict[str, Any] = {column: str(said).removeprefix("contrast_")}
        if not this.columns["kind"]:
            changed["kind"] = "unsafe" if contrast else "safe-lookalike"
        table.append((where, {**row, **changed}))
    this.table = table
    this.columns["kind"] = this.columns["kind"] or "kind"


def _multijail(this: Reading) -> None:
    """The first tag as category; languages without rules told."""
    column = this.columns["category"]
    table: list[tuple[str, Row]] = []
    several = 0
    for where, row in this.table:
        tags = mapping.given(row, column)
        listed = _listed(tags) if isinstance(tags, str) else tags
        if column and isinstance(listed, list):
            several += len(listed) > 1
            row = {**row, column: listed[0] if listed else None}
        table.append((where, row))
    this.table = table
    if several:
        this.notes.append(
            f"{this.path.name}: {several} prompt{'s carry' if several > 1 else ' carries'} several "
            f"tags; the first is {'their' if several > 1 else 'its'} category."
        )
    names = mapping.columns_of(table)
    if left := [name for name in _OTHER_LANGUAGES if name in names]:
        this.notes.append(
            f"{this.path.name}: left out the columns {', '.join(left)}: languages without rules "
            "here."
        )


def _listed(cell: str) -> list[Any] | None:
    """A list that a tool wrote as text ("['a', 'b']"); None if it is something else."""
    if not cell.lstrip().startswith("["):
        return None
    try:
        found = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _whole(cell: object) -> int | None:
    """The whole number in a cell (11, 11.0, "11"), if it is one."""
    try:
        found = float(str(cell))
        return int(found) if found.is_integer() else None
    except (ValueError, OverflowError):
        return None


def _rows(counts: Counter[str]) -> str:
    total = counts.total()
    return f"{total:,} row{'s' * (total != 1)}"


FORMATS: dict[str, Format] = {
    "sorry-bench": Format(
        _sorry_bench, "en", "unsafe", {"prompt_id": ("question_id",), "prompt": ("turns",)}
    ),
    "xstest": Format(_xstest, "en", None, {"category": ("type",)}),
    "multijail": Format(_multijail, None, "unsafe", {"category": ("tags",)}),
}
