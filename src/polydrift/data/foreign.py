"""Prompts and answers from files that other tools wrote.

    prompts, answers = read_answers(Path("base.jsonl"), language="en")
    match(Path("base.jsonl"), prompts, Path("tuned.jsonl"), tuned_prompts)

One row is one answer. Columns are found by the names that tools commonly use (`ALIASES`), or told
by `columns={"answer": "completion"}`; a field mapped to "-" has no column. Rows are joined by
prompt id and language, never by their position, and a file holds the answers of one model:
`select={"model": "gpt-4o"}` picks its rows.

Where no id is given, it is a hash of the prompt. Several rows for one prompt and language are
samples of it. `language` and `kind` speak for rows that don't say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from polydrift.data import lines
from polydrift.data.answers import Answer
from polydrift.data.formats import rows
from polydrift.data.lines import Row
from polydrift.data.suites import KINDS, Kind, Prompt
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES

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
KIND_WORDS: dict[str, Kind] = {
    **dict.fromkeys(("unsafe", "harmful"), "unsafe"),
    **dict.fromkeys(("safe-lookalike", "safe", "harmless", "benign"), "safe-lookalike"),
}
FINISH_WORDS = {
    **dict.fromkeys(("stop", "eos", "end_turn", "false"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "true"), "length"),
}
UNCATEGORISED = "uncategorised"
NOT_GIVEN = "(the file gives no prompts)"
_LANGUAGE_WORDS = {"fil": "tl", "filipino": "tl"} | {
    word.lower(): code
    for code, known in LANGUAGES.items()
    for word in (code, known.name, known.endonym, known.nllb)
}


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

    columns: field of `ALIASES` to column name, "-" for none. select: column to the value wanted.
    language, kind: for rows that don't say. DataError, with file and line, for whatever cannot be
    read without guessing; see tests/data/test_foreign.py for every sentence.
    """
    picked = _pick(path, select or {})
    found = _find(path, picked[0][1], columns or {})
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
    _has(table, column)
    return list(dict.fromkeys(str(row[column]) for _, row in table))


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


def _pick(path: Path, select: Mapping[str, str]) -> list[tuple[str, Row]]:
    """The rows of a file that have the wanted values."""
    table = list(rows(path))
    for column, value in select.items():
        _has(table, column)
        left = [(where, row) for where, row in table if str(row[column]) == value]
        if not left:
            values = sorted({str(row[column])[:40] for _, row in table})
            more = f" and {len(values) - 5} more" if len(values) > 5 else ""
            raise DataError(
                f"{path}: no row has {value!r} in column {column!r}; values there are "
                f"{', '.join(map(repr, values[:5]))}{more}."
            )
        table = left
    return table


def _has(table: Sequence[tuple[str, Row]], column: str) -> None:
    """DataError unless every row has the column."""
    for where, row in table:
        if column not in row:
            raise DataError(f"{where}: no column {column!r}; there are {', '.join(row)}.")


def _find(path: Path, row: Row, columns: Mapping[str, str]) -> _Columns:
    """The column of each field, by what was told and by the names tools use."""
    found: dict[str, str | None] = {}
    for field, column in columns.items():
        if field not in ALIASES:
            raise DataError(f"unknown field {field!r}: map one of {', '.join(ALIASES)}.")
        if column != "-" and column not in row:
            raise DataError(
                f"{path}: no column {column!r} for {field!r}; there are {', '.join(row)}."
            )
        found[field] = None if column == "-" else column
    for field, names in ALIASES.items():
        candidates = [name for name in names if name in row]
        if field == "answer" and field not in columns and len(candidates) > 1:
            raise DataError(
                f"{path}: {' and '.join(map(repr, candidates))} could each be the answer: say "
                "which with --column answer=NAME."
            )
        found.setdefault(field, candidates[0] if candidates else None)
    for field, needed in (("answer", True), ("prompt", not found["prompt_id"])):
        if needed and not found[field]:
            raise DataError(
                f"{path}: no column looks like the {field} ({', '.join(ALIASES[field])}); "
                f"there are {', '.join(row)}: say which with --column {field}=NAME."
            )
    answer = found.pop("answer")
    assert answer
    return _Columns(answer=answer, **found)


def _one_model(path: Path, picked: Sequence[tuple[str, Row]], found: _Columns) -> None:
    """DataError if the rows are answers of several models."""
    if found.model:
        models = sorted({str(row.get(found.model)) for _, row in picked})
        if len(models) > 1:
            raise DataError(
                f"{path}: answers of {len(models)} models ({', '.join(map(repr, models[:5]))}): "
                f"pick one with --select {found.model}=NAME."
            )


def _prompt(
    row: Row, found: _Columns, where: str, language: str | None, kind: Kind | None
) -> Prompt:
    """The prompt of a row."""
    text = _prompt_text(row, found.prompt, where) if found.prompt else NOT_GIVEN
    if found.prompt_id and row.get(found.prompt_id) not in (None, ""):
        prompt_id = lines.identifier(row, found.prompt_id, where)
    else:
        if not found.prompt:
            raise DataError(f"{where}: no id and no prompt to tell what this answers.")
        prompt_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    given = row.get(found.category) if found.category else None
    return Prompt(
        prompt_id=prompt_id,
        language=_language(row, found.language, where, language),
        kind=_kind(row, found.kind, where, kind),
        category=UNCATEGORISED if given in (None, "") else str(given),
        text=text,
    )


def _prompt_text(row: Row, column: str, where: str) -> str:
    """The prompt: a string, or a list of turns (strings, or objects with "content")."""
    value = row.get(column)
    if isinstance(value, list):
        turns = [turn.get("content") if isinstance(turn, dict) else turn for turn in value]
        value = "\n\n".join(turn for turn in turns if isinstance(turn, str))
    return lines.checked(value, column, where)


def _language(row: Row, column: str | None, where: str, default: str | None) -> str:
    """The code of a row's language, from a code, a name or a locale ("da", "Danish", "da-DK")."""
    value = row.get(column) if column else None
    word = str(value if value not in (None, "") else default or "").strip()
    if not word:
        raise DataError(f"{where}: no language: say which with --language CODE.")
    code = _LANGUAGE_WORDS.get(word.lower()) or _LANGUAGE_WORDS.get(
        word.lower().replace("_", "-").split("-")[0]
    )
    if not code:
        raise DataError(
            f"{where}: unknown language {word!r}: use one of {', '.join(LANGUAGES)}, or pick rows "
            "with --select COLUMN=VALUE."
        )
    return code


def _kind(row: Row, column: str | None, where: str, default: Kind | None) -> Kind:
    """The kind of a row's prompt."""
    value = row.get(column) if column else None
    if value in (None, ""):
        if default is None:
            raise DataError(
                f"{where}: not said whether the prompt is unsafe: name the column with "
                f"--column kind=NAME, or say {' or '.join(f'--kind {kind}' for kind in KINDS)}."
            )
        return default
    known = KIND_WORDS.get(str(value).strip().lower().replace("_", "-"))
    if not known:
        raise DataError(
            f"{where}: {str(value)[:40]!r} in column {column!r} is no kind of prompt: use "
            f"{', '.join(KIND_WORDS)}, or leave the column out with --column kind=- and say --kind."
        )
    return known


def _answer(row: Row, column: str, where: str) -> str:
    """The answer of a row; null is an empty answer."""
    if column in row and row[column] is None:
        return ""
    return lines.text(row, column, where, empty=True)


def _sample(row: Row, column: str, where: str) -> int:
    """The number of a sample; CSV gives it as digits."""
    value = row.get(column)
    digits = isinstance(value, str) and value.isdecimal()
    return int(str(value)) if digits else lines.number(row, column, where)


def _finish(row: Row, column: str | None) -> str:
    """Why the answer ended: "stop", "length", or "unknown" if the file does not say."""
    value = row.get(column) if column else None
    return FINISH_WORDS.get(str(value).strip().lower(), "unknown")
