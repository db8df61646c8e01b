"""Prompts and answers from files that other tools wrote.

    prompts, answers = read_answers(Path("base.jsonl"), language="en")
    match(Path("base.jsonl"), prompts, Path("tuned.jsonl"), tuned_prompts)

One row is one answer. Columns are found by the names that tools commonly use (`mapping.ALIASES`),
or told by `columns={"answer": "choices.0.turns.0"}`; a field mapped to "-" has no column. Rows are
joined by prompt id and language, never by their position, and a file holds the answers of one
model: `select={"model": "gpt-4o"}` picks its rows.

Where no id is given, it is a hash of the prompt. Several rows for one prompt and language are
samples of it. `language` and `kind` speak for rows that don't say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from polydrift.data import lines, mapping
from polydrift.data.answers import Answer
from polydrift.data.formats import rows
from polydrift.data.lines import Row
from polydrift.data.mapping import ALIASES, KIND_WORDS, UNCATEGORISED, Table
from polydrift.data.prompts import Kind, Prompt
from polydrift.errors import DataError

__all__ = [
    "ALIASES",
    "KIND_WORDS",
    "NOT_GIVEN",
    "UNCATEGORISED",
    "match",
    "read_answers",
    "values_of",
]

FINISH_WORDS = {
    **dict.fromkeys(("stop", "eos", "end_turn", "false"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "true"), "length"),
}
NOT_GIVEN = "(the file gives no prompts)"


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column holds what; None: no column does."""

    prompt_id: str | None
    prompt: str | None
    answer: str
    language: str | None
    kind: str | None
    category: str | None
    sample: str | None
    finish: str | None
    model: str | None


def read_answers(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    select: Mapping[str, str] | None = None,
    language: str | None = None,
    kind: Kind | None = None,
) -> tuple[list[Prompt], list[Answer]]:
    """The prompts (each once) and answers of one model, in file order.

    columns: field of `ALIASES` to column name or dotted path, "-" for none. select: column to the
    value wanted. language, kind: for rows that don't say. DataError, with file and line, for
    whatever cannot be read without guessing; see tests/data/test_foreign.py for every sentence.
    """
    picked = mapping.pick(path, select or {})
    found = _find(path, picked, columns or {})
    _one_model(path, picked, found)
    prompts: dict[tuple[str, str], tuple[Prompt, str]] = {}
    answers: list[Answer] = []
    taken: dict[tuple[str, str], dict[int, str]] = {}
    for where, row in picked:
        prompt = _prompt(row, found, where, language, kind)
        key = (prompt.prompt_id, prompt.language)
        first, place = prompts.setdefault(key, (prompt, where))
        if first != prompt:
            what = "text" if first.text != prompt.text else "kind or category"
            raise DataError(
                f"{where}: prompt {key[0]!r} in {key[1]} has another {what} than at {place}: name "
                "a column that tells prompts apart with --column prompt_id=NAME, or pick rows with "
                "--select COLUMN=VALUE."
            )
        samples = taken.setdefault(key, {})
        sample = _sample(row, found.sample, where) if found.sample else len(samples)
        if sample in samples:
            raise DataError(
                f"{where}: sample {sample} of prompt {key[0]!r} in {key[1]} stands already at "
                f"{samples[sample]}: keep one of them."
            )
        samples[sample] = where
        answers.append(
            Answer(
                *key,
                sample=sample,
                text=_answer(row, found.answer, where),
                finish=_finish(row, found.finish),
                prompt_tokens=0,
                answer_tokens=0,
                prompt_truncated=False,
            )
        )
    return [prompt for prompt, _ in prompts.values()], answers


def values_of(path: Path, column: str) -> list[str]:
    """The different values of a column, in the order in which they first occur."""
    table = list(rows(path))
    mapping.require(table, column)
    return list(dict.fromkeys(str(mapping.value(row, column)) for _, row in table))


def match(
    base: Path, base_prompts: Sequence[Prompt], tuned: Path, tuned_prompts: Sequence[Prompt]
) -> str | None:
    """DataError unless both files answer the same prompts: ids, languages, kinds and texts.

    Real files hold a few prompts that were retyped on the way: up to a tenth of the texts may
    differ, and the sentence returned says how many and which.
    """
    ours = {(prompt.prompt_id, prompt.language): prompt for prompt in base_prompts}
    theirs = {(prompt.prompt_id, prompt.language): prompt for prompt in tuned_prompts}
    for here, there, missing in (
        (base, tuned, ours.keys() - theirs.keys()),
        (tuned, base, theirs.keys() - ours.keys()),
    ):
        if missing:
            raise DataError(
                f"{there}: no answers to {len(missing)} of the prompts of {here}, such as "
                f"{_examples(missing)}: both files must answer the same prompts; leave out the "
                "others, or name the id column with --column prompt_id=NAME."
            )
    different = {key for key, prompt in ours.items() if theirs[key] != prompt}
    if any(replace(theirs[key], text=ours[key].text) != ours[key] for key in different) or (
        10 * len(different) > len(ours)
    ):
        raise DataError(
            f"{tuned}: {len(different)} prompts have another text, kind or category than in "
            f"{base}, such as {_examples(different)}: give the same prompts the same ids."
        )
    if different:
        return (
            f"{len(different)} of {len(ours)} prompts are worded differently in {tuned.name} than "
            f"in {base.name} ({_examples(different)}); they are paired by id all the same."
        )
    return None


def _examples(keys: set[tuple[str, str]]) -> str:
    """Up to three prompts, by id and language only."""
    return ", ".join(f"{prompt_id!r} ({code})" for prompt_id, code in sorted(keys)[:3])


def _find(path: Path, table: Table, columns: Mapping[str, str]) -> _Columns:
    """The column of each field, by what was told and by the names tools use."""
    found = mapping.find(path, table, tuple(ALIASES), columns)
    names = mapping.columns_of(table)
    candidates = [name for name in ALIASES["answer"] if name in names]
    if "answer" not in columns and len(candidates) > 1:
        raise DataError(
            f"{path}: {' and '.join(map(repr, candidates))} could each be the answer: say which "
            "with --column answer=NAME."
        )
    for field, needed in (("answer", True), ("prompt", not found["prompt_id"])):
        if needed and not found[field]:
            raise DataError(
                f"{path}: no column looks like the {field} ({', '.join(ALIASES[field])}); "
                f"there are {', '.join(names)}: say which with --column {field}=NAME."
            )
    answer = found.pop("answer")
    assert answer
    return _Columns(answer=answer, **found)


def _one_model(path: Path, picked: Sequence[tuple[str, Row]], found: _Columns) -> None:
    """DataError if the rows are answers of several models."""
    if found.model:
        models = sorted({str(mapping.given(row, found.model)) for _, row in picked})
        if len(models) > 1:
            raise DataError(
                f"{path}: answers of {len(models)} models ({', '.join(map(repr, models[:5]))}): "
                f"pick one with --select {found.model}=NAME."
            )


def _prompt(
    row: Row, found: _Columns, where: str, language: str | None, kind: Kind | None
) -> Prompt:
    """The prompt of a row."""
    text = mapping.prompt_text(row, found.prompt, where) if found.prompt else NOT_GIVEN
    prompt_id = mapping.prompt_id(row, found.prompt_id, where)
    if prompt_id is None:
        if not found.prompt:
            raise DataError(f"{where}: no id and no prompt to tell what this answers.")
        prompt_id = mapping.hashed(text)
    return Prompt(
        prompt_id=prompt_id,
        language=mapping.language(row, found.language, where, language),
        kind=mapping.kind(row, found.kind, where, kind),
        category=mapping.category(row, found.category),
        text=text,
    )


def _answer(row: Row, column: str, where: str) -> str:
    """The answer of a row; null is an empty answer."""
    if mapping.value(row, column) is None:
        return ""
    return mapping.text(row, column, where, empty=True)


def _sample(row: Row, column: str, where: str) -> int:
    """The number of a sample; CSV gives it as digits, a column with gaps as a float."""
    found = mapping.value(row, column)
    if (isinstance(found, str) and found.isdecimal()) or (
        isinstance(found, float) and found.is_integer() and found >= 0
    ):
        return int(found)
    return lines.number({column: found}, column, where)


def _finish(row: Row, column: str | None) -> str:
    """Why the answer ended: "stop", "length", or "unknown" if the file does not say."""
    return FINISH_WORDS.get(str(mapping.given(row, column)).strip().lower(), "unknown")
