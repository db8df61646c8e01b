"""Examples to start from: any instruction set, with a column map; and suites to translate.

    read_seeds(Path("dolly.jsonl"), "dolly", licence="cc-by-sa-3.0", columns={"input": "context"})

Columns are found by the names that instruction sets use (`ALIASES`), or told; dots reach into
nested values ("instances.0.output"), "-" says that there is none. Rows without an instruction or an
answer are left out with a note. Where rows have a language, the English ones are taken. An id is
SOURCE:ID, so that several sets can go together; a row that has none is called by the hash of its
request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polydrift.data import mapping
from polydrift.data.lines import Row
from polydrift.data.suites import survey_suite
from polydrift.errors import DataError
from polydrift.parallel.balance import length_of
from polydrift.parallel.items import SOURCE, Item
from polydrift.parallel.licences import stated_in

ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "question_id", "index"),
    "instruction": ("instruction", "prompt", "question", "query"),
    "input": ("input", "context"),
    "response": ("response", "output", "answer", "completion"),
    "task": ("task", "category", "task_type"),
    "language": ("language", "lang"),
}
FIELDS = tuple(ALIASES)
UNKNOWN = "unknown"  # the task type of rows that do not say


def read_seeds(
    path: Path,
    source: str,
    *,
    licence: str = "",
    columns: Mapping[str, str] | None = None,
    select: Mapping[str, str] | None = None,
    rows: int | None = None,
) -> tuple[list[Item], list[str]]:
    """The English examples of a file, in its order, and a sentence for whatever was left out.

    source: what the set is called. licence: of rows that do not state their own. rows: the first so
    many. DataError, with file and line: a column that is missing, the same id twice, nothing left.
    """
    table = mapping.pick(path, select or {})
    found = mapping.find(path, table, FIELDS, columns or {}, ALIASES)
    for field in ("instruction", "response"):
        if found[field] is None:
            raise DataError(
                f"{path}: no column looks like the {field} ({', '.join(ALIASES[field])}); there "
                f"are {', '.join(mapping.columns_of(table))}: say which with columns = "
                f'{{ {field} = "NAME" }}.'
            )
    items: list[Item] = []
    places: dict[str, str] = {}
    left: Counter[str] = Counter()
    for where, row in table:
        if rows is not None and len(items) == rows:
            break
        said = mapping.given(row, found["language"])
        if said is not None and mapping.language_of(str(said)) != SOURCE:
            left["not in English"] += 1
            continue
        texts = {name: _text(row, found[name], where) for name in ("instruction", "input")}
        texts["response"] = _text(row, found["response"], where)
        if not texts["instruction"] or not texts["response"]:
            left["without an instruction or an answer"] += 1
            continue
        own = mapping.prompt_id(row, found["id"], where)
        if own is None:
            own = mapping.hashed(texts["instruction"] + "\n\n" + texts["input"])
            if f"{source}:{own}" in places:
                left["of which the request stands there already"] += 1
                continue
        stated = stated_in(row, licence)
        item = _item(f"{source}:{own}", texts, mapping.given(row, found["task"]), source, stated)
        if item.id in places:
            raise DataError(
                f"{where}: id {own!r} stands already at {places[item.id]}: give each row its own, "
                'or let them be numbered by their text with columns = { id = "-" }.'
            )
        places[item.id] = where
        items.append(item)
    notes = [
        f"{source}: left out {count:,} row{'s' * (count != 1)} {why}."
        for why, count in left.items()
    ]
    if not items:
        raise DataError(f"{path}: no row has an English instruction and an answer.")
    return items, notes


def _text(row: Row, column: str | None, where: str) -> str:
    value = mapping.given(row, column)
    return "" if value is None or column is None else mapping.prompt_text(row, column, where)


def _item(item_id: str, texts: Mapping[str, str], task: object, source: str, licence: str) -> Item:
    about = {
        "task": UNKNOWN if task is None else str(task),
        "length": length_of(texts["response"]),
        "source": source,
        "licence": licence,
    }
    return Item(item_id, SOURCE, texts, about)


def written(texts: Mapping[str, str], task: str, source: str, licence: str) -> Item:
    """A new example, called by the hash of its request."""
    request = texts["instruction"] + "\n\n" + texts["input"]
    return _item(f"new:{mapping.hashed(request)}", texts, task or None, source, licence)


def read_prompts(
    path: Path, source: str, *, licence: str, styles: Sequence[str], options: Mapping[str, Any]
) -> tuple[list[Item], list[str]]:
    """The prompts of a suite, the English ones and those that it has in other languages.

    options: as `survey_suite` takes them. A prompt's style is what follows the "/" in the ids that
    SORRY-Bench's prompts get there; "base" for all others.
    """
    prompts, notes = survey_suite(path, **options)
    items = []
    for prompt in prompts:
        style = prompt.prompt_id.partition("/")[2]
        about = {
            "kind": prompt.kind,
            "category": prompt.category,
            "style": style if style in styles else "base",
            "source": source,
            "licence": licence,
        }
        items.append(Item(prompt.prompt_id, prompt.language, {"prompt": prompt.text}, about))
    if not any(item.language == SOURCE for item in items):
        raise DataError(f"{path}: no prompt is in English, from which all others are translated.")
    return items, notes
