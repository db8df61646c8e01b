"""What is reviewed: the translations of a file of items, or answers that people are to label.

    task = translations(Path("set.jsonl"), "da")
    task.rows[0].source["instruction"], task.rows[0].texts["instruction"]  # "Why …", "Hvorfor …"

    task = answers(Path("demo-results"), language="da", sample=300, seed=0)
    task.rows[0].texts                          # {"prompt": "…", "answer": "…"}, of any model

Translations come in the file's order, so that a reviewer meets the rows that the file's maker met.
Answers are shuffled by a named seed: neighbours are of different models, and two people label them
in the same order. A sample takes as many answers of every model (in a study, of every base and
tuning) in every language, as far as there are; within each it is random.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from polydrift.data import lines, mapping
from polydrift.data.foreign import FINISH_WORDS
from polydrift.data.lines import Row
from polydrift.errors import DataError
from polydrift.languages import language as known_language
from polydrift.parallel.items import FORMS, SOURCE, Doubt, Item, read_items
from polydrift.seeds import named_seed

T = TypeVar("T")
Kind = Literal["translations", "answers"]
DECISIONS: Mapping[Kind, tuple[str, ...]] = {
    "translations": ("accepted", "edited", "rejected"),
    "answers": ("complied", "refused", "partial", "other"),
}
ANSWERS = "answers"  # the form of answers
_ANSWER_TEXTS = ("prompt", "answer")
_FIELDS = ("prompt_id", "prompt", "answer", "language", "kind", "category", "finish", "model")
_ALIASES = {**mapping.ALIASES, "kind": ("kind", "prompt_label")}
_OF_A_STUDY = ("base", "arm", "tuning_language", "tuning_seed", "epochs", "suite", "sample")


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to be reviewed. id: for people, "" for answers. source: the English texts, empty for
    answers and for English itself. about: what comes out again in the export and is
    never shown. status: as the checks left it, "" for answers.
    """

    id: str
    language: str
    texts: Mapping[str, str]
    source: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    translator: str = ""
    status: str = ""
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """Rows to be reviewed. form: of the items, "answers" for answers. made_of: what decided which
    rows these are and in which order; a review goes on only with what it began with.
    """

    kind: Kind
    form: str
    rows: tuple[Entry, ...]
    made_of: Mapping[str, str]


def translations(path: Path, language: str, *, source: Path | None = None) -> Task:
    """The rows of one language of a file of items, each with its English texts.

    source: a file that has the English items; by default the same. DataError: what `read_items`
    refuses, a language without rows, rows without English ones.
    """
    known_language(language)
    form, items = read_items(path)
    own = [item for item in items if item.language == language]
    if not own:
        there = ", ".join(dict.fromkeys(item.language for item in items))
        raise DataError(f"{path}: no rows in {language!r}; there are rows in {there}.")
    english: dict[str, Item] = {}
    if language != SOURCE:
        other, found = (form, items) if source is None else read_items(source)
        if other != form:
            raise DataError(
                f"{source}: rows of the form {other.name!r}, while {path} has {form.name!r}: give "
                "the file that its translations were made of."
            )
        english = {item.id: item for item in found if item.language == SOURCE}
        if lost := [item.id for item in own if item.id not in english]:
            raise DataError(
                f"{source or path}: no English row for {len(lost)} of the {len(own)} rows in "
                f"{language}, such as {lost[0]!r}: add them, or name the file that has them with "
                "--source."
            )
    for item in own:
        doubts = {f"doubt {doubt.kind}": doubt.says for doubt in item.doubts}
        _whole(
            {**item.about, "translator": item.translator, **doubts}, {}, f"{path}: row {item.id}"
        )
    rows = (_translation(item, english.get(item.id)) for item in own)
    return Task("translations", form.name, tuple(rows), {"language": language})


def texts_of(name: str) -> tuple[str, ...]:
    """The fields of text of a form, in its order."""
    return next((form.texts for form in FORMS if form.name == name), _ANSWER_TEXTS)


def optional_texts(name: str) -> tuple[str, ...]:
    """The fields that may be empty in a form."""
    return next((form.optional for form in FORMS if form.name == name), ())


def _translation(item: Item, source: Item | None) -> Entry:
    return Entry(
        id=item.id,
        language=item.language,
        texts=dict(item.texts),
        source=dict(source.texts) if source else {},
        about=dict(item.about),
        translator=item.translator,
        status=item.status,
        doubts=item.doubts,
    )


def answers(
    path: Path,
    *,
    language: str | None = None,
    columns: Mapping[str, str] | None = None,
    select: Mapping[str, str] | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> Task:
    """Answers of any file whose columns are found or told, or of a results directory, shuffled.

    language: only these; and that of rows that don't say. columns, select: as `mapping` takes them.
    sample: how many, evenly of every model and language. An answer that the same model gave twice
    to a prompt is labelled once. DataError: columns that are missing, no rows.
    """
    table, names = _table(path, columns or {}, select or {})
    found = mapping.find(path, table, _FIELDS, names, _ALIASES)
    for name in ("answer", "prompt"):
        if found[name] is None:
            raise DataError(
                f"{path}: no column looks like the {name} ({', '.join(_ALIASES[name])}); there "
                f"are {', '.join(mapping.columns_of(table))}: say which with --column {name}=NAME."
            )
    kept: dict[tuple[str, ...], Entry] = {}
    for where, row in table:
        made = _answer(row, found, where, language)
        if language is None or made.language == language:
            about = made.about
            key = (about["prompt_id"], made.language, about["model"], made.texts["answer"])
            kept.setdefault(key, made)
    if not kept:
        raise DataError(f"{path}: no answers in {language!r}: choose another --language.")
    told = {f"column {field}": column for field, column in (columns or {}).items()}
    chosen = {f"select {column}": value for column, value in (select or {}).items()}
    made_of = {"language": language or "", "sample": str(sample or ""), "seed": str(seed)}
    entries = tuple(drawn(list(kept.values()), sample, seed))
    return Task("answers", ANSWERS, entries, made_of | told | chosen)


def drawn(entries: Sequence[Entry], sample: int | None, seed: int) -> list[Entry]:
    """Answers in the order in which they are labelled; all, or `sample` of them.

    Models and languages take turns in giving one until there are enough, so that none has two more
    than another that still has some.
    """
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.about["model"], entry.language].append(entry)
    for (model, code), group in groups.items():
        groups[model, code] = _shuffled(group, named_seed("review sample", seed, model, code))
    turns = _shuffled(sorted(groups), named_seed("review turns", seed))
    kept: list[Entry] = []
    wanted = len(entries) if sample is None else min(sample, len(entries))
    while len(kept) < wanted:
        for turn in turns:
            if groups[turn] and len(kept) < wanted:
                kept.append(groups[turn].pop())
    return _shuffled(kept, named_seed("review order", seed))


def _shuffled(values: Sequence[T], seed: int) -> list[T]:
    return [values[place] for place in np.random.default_rng(seed).permutation(len(values))]


def file_of(path: Path) -> Path:
    """The file that is read of what the user named: of a results directory, its answers."""
    if not path.is_dir():
        return path
    inside = path / "tables" / "answers.parquet"
    if not inside.is_file():
        raise DataError(
            f"{path}: no results directory with answers (tables/answers.parquet); run its study "
            "first, or name a file of answers."
        )
    return inside


def _table(
    path: Path, columns: Mapping[str, str], select: Mapping[str, str]
) -> tuple[mapping.Table, Mapping[str, str]]:
    """The rows, and which columns hold what as far as that is told."""
    table = mapping.pick(file_of(path), select)
    if not path.is_dir():
        return table, columns
    several = len({row["suite"] for _, row in table}) > 1
    if several:  # two suites may use the same ids
        table = [
            (where, {**row, "prompt_id": f"{row['suite']}/{row['prompt_id']}"})
            for where, row in table
        ]
    return table, {"language": "evaluation_language", "model": "variant", **columns}


def _answer(row: Row, found: Mapping[str, str | None], where: str, language: str | None) -> Entry:
    """One answer. Its prompt's id is not the entry's, for nothing but the texts is shown."""
    prompt = mapping.prompt_text(row, found["prompt"] or "", where)
    said = mapping.given(row, found["kind"])
    finish = str(mapping.given(row, found["finish"])).strip().lower()
    answer = mapping.value(row, found["answer"] or "")
    about = {
        "prompt_id": mapping.prompt_id(row, found["prompt_id"], where) or mapping.hashed(prompt),
        "kind": "" if said is None else mapping.kind(row, found["kind"], where, None),
        "category": mapping.category(row, found["category"]),
        "finish": FINISH_WORDS.get(finish, "unknown"),
        "model": str(mapping.given(row, found["model"]) or ""),
    }
    return Entry(
        id="",
        language=mapping.language(row, found["language"], where, language),
        texts={
            "prompt": prompt,
            "answer": ""
            if answer is None
            else mapping.text(row, found["answer"] or "", where, empty=True),
        },
        about=_whole(about, found, where)
        | {name: _word(row[name]) for name in _OF_A_STUDY if name in row},
    )


def _whole(about: Mapping[str, str], found: Mapping[str, str | None], where: str) -> dict[str, str]:
    """The same; DataError for what no file can hold: half of a surrogate pair."""
    return {
        name: lines.checked(value, found.get(name) or name, where, empty=True)
        for name, value in about.items()
    }


def _word(value: object) -> str:
    return "" if value is None else str(value)
