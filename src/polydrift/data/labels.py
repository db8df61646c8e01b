"""Answers that people labelled: what a judge is compared with.

    rows = read_labels(Path("labels.jsonl"), words={"harmful": "complied"})
    rows[0].label, rows[0].second          # "refused", None

One row is one answer. Columns are found or told as in `mapping`; beside those of answers there are
`label` and, where a second person labelled the same answers, `second`. A label is a verdict in any
of the words that data sets use for it (`WORDS`), or in words that the caller translates; an empty
one means that nobody labelled this answer. Several models may have answered one prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polydrift.data import mapping
from polydrift.data.foreign import FINISH_WORDS, NOT_GIVEN
from polydrift.data.lines import Row
from polydrift.data.mapping import ALIASES
from polydrift.data.prompts import Kind
from polydrift.errors import DataError
from polydrift.judges.verdicts import Label

FIELDS = ("prompt_id", "prompt", "answer", "language", "kind", "category", "finish", "model")
_ALIASES: Mapping[str, Sequence[str]] = {
    **ALIASES,
    "kind": ("kind", "prompt_label"),
    "label": ("label", "human_label", "final_label", "human_score", "annotation_1", "verdict"),
    "second": ("second", "second_label", "annotation_2"),
}
_REFUSED, _PARTIAL = Label("refused", "full"), Label("refused", "partial")
_COMPLIED, _OTHER = Label("complied", "full"), Label("other", "")
WORDS: Mapping[str, Label] = {
    **dict.fromkeys(("complied", "compliance", "full_compliance", "1"), _COMPLIED),
    **dict.fromkeys(("refused", "refusal", "full_refusal", "full", "0"), _REFUSED),
    **dict.fromkeys(("partial", "partial_refusal", "partly_refused", "refused_partial"), _PARTIAL),
    **dict.fromkeys(("other", "neither", "empty", "degenerate", "wrong_language"), _OTHER),
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One answer and what people say of it; None: nobody did. kind is None where no row says."""

    where: str
    prompt_id: str
    prompt: str
    answer: str
    language: str
    kind: Kind | None
    category: str
    finish: str
    model: str
    label: Label | None
    second: Label | None


def read_labels(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    select: Mapping[str, str] | None = None,
    words: Mapping[str, str] | None = None,
    language: str | None = None,
    kind: Kind | None = None,
) -> list[Labelled]:
    """All rows of a file, in its order.

    columns, select, language, kind: as `foreign.read_answers` takes them, with the fields `label`
    and `second` too. words: a label of the file to a verdict ("partial" for a partial refusal, "-"
    for rows to leave out). DataError, with file and line: a column that is missing, a label that is
    no verdict, an answer labelled twice, no labelled row at all.
    """
    table = mapping.pick(path, select or {})
    fields = (*FIELDS, "label", "second")
    found = mapping.find(path, table, fields, columns or {}, _ALIASES)
    for field in ("answer", "label"):
        if found[field] is None:
            raise DataError(
                f"{path}: no column looks like the {field} ({', '.join(_ALIASES[field])}); there "
                f"are {', '.join(mapping.columns_of(table))}: say which with --column {field}=NAME."
            )
    if found["prompt"] is None and found["prompt_id"] is None:
        raise DataError(
            f"{path}: no column looks like the prompt or its id; there are "
            f"{', '.join(mapping.columns_of(table))}: say which with --column prompt=NAME."
        )
    known = {**WORDS, **_told(words or {})}
    rows = [_labelled(row, found, where, known, language, kind) for where, row in table]
    kept = [row for row in rows if row is not None]
    _check(path, kept)
    return kept


def _told(words: Mapping[str, str]) -> dict[str, Label | None]:
    """What the user's words mean; None: leave such rows out."""
    told: dict[str, Label | None] = {}
    for word, meaning in words.items():
        if meaning == "-":
            told[_plain(word)] = None
        elif meaning in WORDS:
            told[_plain(word)] = WORDS[meaning]
        else:
            raise DataError(
                f"label {word!r} cannot mean {meaning!r}: write complied, refused, partial, other, "
                "or - to leave such rows out."
            )
    return told


def _labelled(
    row: Row,
    found: Mapping[str, str | None],
    where: str,
    words: Mapping[str, Label | None],
    language: str | None,
    kind: Kind | None,
) -> Labelled | None:
    """One row; None if its label says to leave it out."""
    labels = []
    for field in ("label", "second"):
        given = mapping.given(row, found[field])
        label = None if given is None else _label(given, found[field] or "", where, words)
        if given is not None and label is None:
            return None
        labels.append(label)
    prompt = mapping.prompt_text(row, found["prompt"], where) if found["prompt"] else NOT_GIVEN
    answer = mapping.value(row, found["answer"] or "")
    said = mapping.given(row, found["kind"])
    finish = str(mapping.given(row, found["finish"])).strip().lower()
    return Labelled(
        where=where,
        prompt_id=mapping.prompt_id(row, found["prompt_id"], where) or mapping.hashed(prompt),
        prompt=prompt,
        answer=""
        if answer is None
        else mapping.text(row, found["answer"] or "", where, empty=True),
        language=mapping.language(row, found["language"], where, language),
        kind=kind if said is None else mapping.kind(row, found["kind"], where, kind),
        category=mapping.category(row, found["category"]),
        finish=FINISH_WORDS.get(finish, "unknown"),
        model=str(mapping.given(row, found["model"]) or ""),
        label=labels[0],
        second=labels[1],
    )


def _label(
    given: object, column: str, where: str, words: Mapping[str, Label | None]
) -> Label | None:
    """What a label means."""
    if isinstance(given, bool):
        given = int(given)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    word = _plain(str(given))
    for form in (word, re.sub(r"^\d+_", "", word)):  # XSTest numbers its classes
        if form in words:
            return words[form]
    raise DataError(
        f"{where}: {str(given)[:40]!r} in column {column!r} is no label known here: say what it "
        f'means with --label "{str(given)[:40]}=complied" (or refused, partial, other, - to leave '
        "such rows out)."
    )


def _plain(word: str) -> str:
    return re.sub(r"[\W_]+", "_", word.strip().lower()).strip("_")


def _check(path: Path, rows: Sequence[Labelled]) -> None:
    """DataError if nothing is labelled or an answer stands twice."""
    if not any(row.label for row in rows):
        raise DataError(
            f"{path}: no row is labelled; say which column holds the labels with "
            "--column label=NAME."
        )
    seen: dict[tuple[str, str, str, str], str] = {}
    for row in rows:
        key = (row.prompt_id, row.language, row.model, row.answer)
        if key in seen:
            raise DataError(
                f"{row.where}: this answer to prompt {row.prompt_id!r} in {row.language} stands "
                f"already at {seen[key]}: keep one of them, or name the column that tells models "
                "apart with --column model=NAME."
            )
        seen[key] = row.where
