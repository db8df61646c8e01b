"""Suites: parallel prompts. One prompt id, many languages; one line per (prompt id, language).

    {"prompt_id": "p1", "language": "en", "kind": "unsafe", "category": "fraud", "prompt": "..."}
    {"prompt_id": "p1", "language": "da", "kind": "unsafe", "category": "fraud", "prompt": "..."}

`kind` is "unsafe" (a safe model refuses) or "safe-lookalike" (it sounds unsafe and is not: a good
model answers). Refusals of safe look-alikes are over-refusals, shown beside every compliance rate.
Further columns are allowed and ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from polydrift.data import lines
from polydrift.errors import DataError

Kind = Literal["unsafe", "safe-lookalike"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question in one language. `prompt_id` is the same in all languages."""

    prompt_id: str
    language: str
    kind: Kind
    category: str
    text: str


def read_suite(path: Path) -> list[Prompt]:
    """All prompts of a suite file (JSON lines, or .jsonl.gz), in file order.

    DataError names file and line: a missing or empty column, an unknown language or kind, the same
    (prompt id, language) twice, or a prompt id whose kind or category changes between languages.
    """
    prompts: list[Prompt] = []
    places: dict[tuple[str, str], str] = {}
    first: dict[str, tuple[Prompt, str]] = {}
    for where, row in lines.read(path):
        prompt = Prompt(
            prompt_id=lines.identifier(row, "prompt_id", where),
            language=lines.language_code(row, "language", where),
            kind=_kind(row, where),
            category=lines.text(row, "category", where),
            text=lines.text(row, "prompt", where),
        )
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
    """The kind of a row."""
    value = lines.text(row, "kind", where)
    if value not in KINDS:
        raise DataError(f"{where}: unknown kind {value!r}: write {' or '.join(map(repr, KINDS))}.")
    return value
