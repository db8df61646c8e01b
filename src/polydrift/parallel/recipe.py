"""A recipe: what a suite was made from and by whom, row by row, without a word of it.

    {"recipe": 1, "name": "sorry-nine", "source": {"data": "hub:…", "commit": "…", …},
     "translators": {"google": {…}}, "languages": ["da"],
     "rows": [{"prompt_id": "17", "language": "da", "style": "base", "translator": "google",
               "status": "accepted", "source": "5f3a…", "text": "91c0…"}]}

Rows of gated suites may not be passed on; a recipe may. Whoever has the source builds the suite
anew and holds it against the recipe:

    polydrift suite check mine/accepted.jsonl --recipe recipe.json

A row is told by the sha256 of its text in NFC with single blanks. A local model at temperature 0
gives the same texts again; vendors change theirs, and then some rows differ: the check says which
and by whom they were made, so that a paper can say "the same suite but for 12 Danish rows".
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polydrift.data.prompts import Prompt
from polydrift.data.suite_check import Finding
from polydrift.data.suite_texts import plain
from polydrift.data.suites import some
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.parallel.items import SOURCE, Item

FORMAT = 1
_ROW = ("prompt_id", "language", "style", "translator", "status", "source", "text")


def text_digest(text: str) -> str:
    """sha256, in hex, of a text in NFC with single blanks."""
    return hashlib.sha256(plain(text).encode()).hexdigest()


def recipe_of(
    name: str,
    items: Sequence[Item],
    source: Mapping[str, Any],
    translators: Mapping[str, Mapping[str, Any]],
    version: str,
) -> dict[str, Any]:
    """The recipe of a suite's items. source: where they come from and how that is read;
    translators: name to what decides its output; version: polydrift's.
    """
    english = {
        item.id: text_digest(item.texts["prompt"]) for item in items if item.language == SOURCE
    }
    return {
        "recipe": FORMAT,
        "name": name,
        "polydrift": version,
        "source": dict(source),
        "translators": {name: dict(identity) for name, identity in translators.items()},
        "languages": [code for code in LANGUAGES if any(item.language == code for item in items)],
        "rows": [
            {
                "prompt_id": item.id,
                "language": item.language,
                "style": item.about.get("style", ""),
                "translator": item.translator,
                "status": item.status,
                "source": english.get(item.id, ""),
                "text": text_digest(item.texts["prompt"]) if item.texts["prompt"] else "",
            }
            for item in items
        ],
    }


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe; DataError if the file is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not a readable recipe ({error}).") from None
    if not isinstance(found, dict) or "recipe" not in found:
        raise DataError(f"{path}: no recipe of a suite: give the recipe.json of a build.")
    if found["recipe"] != FORMAT:
        raise DataError(
            f"{path}: a recipe of format {found['recipe']!r}, and this polydrift reads {FORMAT}: "
            f"take a newer polydrift, or the one that made it."
        )
    rows = found.get("rows")
    if (
        not isinstance(found.get("languages"), list)
        or not isinstance(rows, list)
        or not all(
            isinstance(row, dict)
            and all(isinstance(row.get(key), str) for key in _ROW)
            and row["language"] in LANGUAGES
            for row in rows
        )
    ):
        raise DataError(f"{path}: its rows are damaged: fetch the recipe again.")
    return found


def check_recipe(prompts: Sequence[Prompt], recipe: Mapping[str, Any]) -> list[Finding]:
    """How a rebuilt suite differs from its recipe; [] if it does not.

    Held against it are the rows whose id was accepted in every language, as the recipe says.
    Errors: rows that are not there or that the recipe has not, and another English text (another
    version of the source). Warnings: texts that differ though their source is the same.
    """
    accepted = [row for row in recipe["rows"] if row["status"] == "accepted"]
    times = Counter(row["prompt_id"] for row in accepted)
    everywhere = len(recipe["languages"])
    wanted = {
        (row["prompt_id"], row["language"]): row
        for row in accepted
        if times[row["prompt_id"]] == everywhere
    }
    there = {(prompt.prompt_id, prompt.language): prompt for prompt in prompts}
    languages = [code for code in LANGUAGES if any(code == key[1] for key in (*wanted, *there))]
    return [finding for code in languages for finding in _of_language(code, wanted, there)]


def _of_language(
    code: str,
    wanted: Mapping[tuple[str, str], Mapping[str, str]],
    there: Mapping[tuple[str, str], Prompt],
) -> Iterator[Finding]:
    ids = [key[0] for key in wanted if key[1] == code]
    have = [key[0] for key in there if key[1] == code]
    if lacking := [one for one in ids if (one, code) not in there]:
        yield _finding("missing", code, lacking, "of the recipe not there", "build them")
    if added := [one for one in have if (one, code) not in wanted]:
        yield _finding("not-in-recipe", code, added, "that the recipe has not", "leave them out")
    both = [one for one in ids if (one, code) in there]
    differ = [
        one for one in both if text_digest(there[one, code].text) != wanted[one, code]["text"]
    ]
    if not differ:
        return
    if code == SOURCE:
        mend = "take the version of the source that the recipe names"
        yield _finding("source-differs", code, differ, "with another text than the recipe's", mend)
        return
    by = Counter(wanted[one, code]["translator"] or "the source itself" for one in differ)
    makers = ", ".join(f"{number:,} by {maker}" for maker, number in by.most_common())
    yield Finding(
        "text-differs",
        "warning",
        code,
        tuple(differ),
        f"{LANGUAGES[code].name}: {len(differ):,} of {len(ids):,} prompts with another text than "
        f"the recipe's ({makers}; {some(differ)}): the translator has changed since; say so where "
        "you report results.",
    )


def _finding(sort: str, code: str, ids: Sequence[str], what: str, mend: str) -> Finding:
    number = f"{len(ids):,} prompt{'s' * (len(ids) != 1)}"
    return Finding(
        sort,
        "error",
        code,
        tuple(ids),
        f"{LANGUAGES[code].name}: {number} {what} ({some(ids)}): {mend}.",
    )
