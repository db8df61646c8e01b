"""What a build leaves: the set, what was dropped, who tried what, a card; of a suite, its recipe.

    rows.jsonl, rows.parquet   every id in every language, with translator, status and doubts
    accepted.jsonl             what is accepted in all languages: to tune on, or to ask
    dropped.jsonl              English examples that were not translated, and why
    attempts.jsonl             which translator tried which row, and how it ended
    README.md, about.json      the data card, and what it is made from beside the rows
    recipe.json                of a suite: ids, translators, hashes; no text (recipe.py)
    work.sqlite                every reply of every model; may be deleted, and is then asked again

Each appears whole or not at all. Of a gated suite none of the files but the recipe may be passed
on, and its card says so.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from polydrift import __version__
from polydrift.disk import write_atomically
from polydrift.parallel.build import Built
from polydrift.parallel.card import card
from polydrift.parallel.checks import KINDS
from polydrift.parallel.facts import ABOUT, About, Worker, facts_of, published, write_about
from polydrift.parallel.items import SOURCE, Form, Item, as_row
from polydrift.parallel.recipe import recipe_of
from polydrift.parallel.spec import Build
from polydrift.parallel.suite import described
from polydrift.records import digest, file_digest

ROWS, TABLE, ACCEPTED = "rows.jsonl", "rows.parquet", "accepted.jsonl"
DROPPED, ATTEMPTS, CARD = "dropped.jsonl", "attempts.jsonl", "README.md"
RECIPE = "recipe.json"
_MODELS = ("round-trip", "comet")


def write_outputs(spec: Build, built: Built, out: Path, command: str) -> list[Path]:
    """Write all files of a build; returns their paths. StoreError if the disk refuses."""
    _lines(out / DROPPED, map(dataclasses.asdict, built.dropped))
    _lines(out / ATTEMPTS, map(dataclasses.asdict, built.attempts))
    more = [DROPPED, ATTEMPTS]
    if spec.suite is not None:
        english = [item for item in built.items if item.language == SOURCE]
        found = digest(sorted([item.id, item.texts["prompt"]] for item in english))
        recipe = recipe_of(
            spec.name,
            built.items,
            described(spec.suite, built.commit, len(english), found),
            {one.name: one.identity for one in built.translators},
            __version__,
        )
        write_atomically(out / RECIPE, _json(recipe))
        more.append(RECIPE)
    return write_set(out, built.items, built.form, about_of(spec, built, command), more)


def write_set(
    out: Path, items: Sequence[Item], form: Form, about: About, more: Sequence[str] = ()
) -> list[Path]:
    """Write a set's rows and its card; returns the paths of all files.

    more: names of further files in `out` that the card lists.
    """
    _lines(out / ROWS, (as_row(item, form) for item in items))
    write_atomically(out / TABLE, parquet(items, form))
    _lines(out / ACCEPTED, (as_row(item, form) for item in published(items)))
    names = [ROWS, TABLE, ACCEPTED, *more]
    files = {
        name: {"bytes": (out / name).stat().st_size, "sha256": file_digest(out / name)}
        for name in names
    }
    write_about(out / ABOUT, about)
    write_atomically(out / CARD, card(facts_of(items, form, about, files=files)).encode())
    return [out / name for name in (*names, ABOUT, CARD)]


def about_of(spec: Build, built: Built, command: str) -> About:
    """What the rows cannot tell of their making."""
    ran = [kind for kind in KINDS if kind not in _MODELS]
    not_run = dict(built.not_run)
    for name, asked in (("round-trip", spec.checks.round_trip), ("comet", spec.checks.comet)):
        if asked is None:
            not_run[name] = "not asked for"
        elif not any(key.startswith(name) for key in not_run):
            ran.append(name)
    dropped = Counter(f"{one.stage}: {one.why}" for one in built.dropped)
    return About(
        name=spec.name,
        checks=tuple(ran),
        not_run=not_run,
        translators=tuple(_workers(built)),
        dropped=dict(dropped),
        waiting=tuple(built.waiting),
        polydrift=__version__,
        made=date.today().isoformat(),
        command=command,
    )


def _workers(built: Built) -> Iterable[Worker]:
    """Each translator with how often it could not, and how often another could then."""
    made = {(one.id, one.language): one.translator for one in built.items}
    for translator in built.translators:
        failed = {
            (one.id, one.language)
            for one in built.attempts
            if one.translator == translator.name and one.ending not in ("made", "waiting")
        }
        others = sum(made.get(key, "") not in ("", translator.name) for key in failed)
        yield Worker(translator.name, translator.identity, len(failed), others)


def parquet(items: Sequence[Item], form: Form) -> bytes:
    """The items as a Parquet file: strings, and doubts as a list of structures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [as_row(item, form) for item in items]
    doubt = pa.struct([(name, pa.string()) for name in ("kind", "field", "says")])
    names = list(rows[0]) if rows else []
    schema = pa.schema(
        [(name, pa.list_(doubt) if name == "doubts" else pa.string()) for name in names]
    )
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), stream, compression="zstd")
    return stream.getvalue()


def _lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(path, data.encode())


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
