"""A parallel set as a data set repository of the Hugging Face hub, laid out in a folder.

    made = publish(Path("set.jsonl"), Path("my-set"), licence="cc-by-4.0")
    made.rows                    # {"en": 150, "da": 150, ...}
    datasets.load_dataset("my-set", "da")      # from the folder, and as well from the hub

    my-set/README.md                  the data card (card.py)
    my-set/LICENSE.md                 which rows are under which licence
    my-set/data/da/train.parquet      a language's rows; test.parquet for the prompts of a suite

Published are the rows whose id is accepted in every language, so that the languages stay parallel;
`partial` takes all accepted ones. Before anything is written, rows whose licence forbids passing
them on, or is not stated, are refused, those of SORRY-Bench by their source as well. Equal items,
options and descriptions give equal bytes. `push.push` sends the folder to the hub.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polydrift.data import lines
from polydrift.disk import (
    flush_directory,
    flush_tree,
    hold,
    make_directory,
    plainly,
    remove_if_abandoned,
)
from polydrift.errors import DataError
from polydrift.parallel.card import TERMS, card, data_file, terms
from polydrift.parallel.facts import About, facts_of, published
from polydrift.parallel.items import Form, Item, as_row, read_items
from polydrift.parallel.licences import (
    RAW_SORRY_BENCH,
    is_stated,
    known,
    require_shareable,
)

CARD = "README.md"
_PRIVATE = ("status", "doubts")  # columns of the work on a set, which its users don't need


@dataclass(frozen=True, slots=True)
class Layout:
    """A repository before it is written. files: path to content. rows: language to how many."""

    files: Mapping[str, bytes]
    rows: Mapping[str, int]

    @property
    def card(self) -> str:
        """The text of README.md."""
        return self.files[CARD].decode("utf-8")

    def listing(self) -> dict[str, dict[str, Any]]:
        """Path to {"bytes": size, "sha256": hex} of each file."""
        return {path: described(content) for path, content in sorted(self.files.items())}


def described(content: bytes) -> dict[str, Any]:
    """The size and digest of a file."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def publish(
    items_file: Path,
    out: Path,
    *,
    licence: str | None = None,
    about: About | None = None,
    partial: bool = False,
) -> Layout:
    """Write the repository of a file of items into the folder `out`, whole or not at all.

    licence: of the rows that state none; those that state one keep it. about: what the items
    cannot tell (facts.py). partial: also ids that are not accepted in every language.

    DataError: as of `read_items`; rows that may not be shared; no row to publish; an `out` that
    holds something else already. StoreError: the disk refuses.
    """
    layout = lay_out(items_file, licence=licence, about=about, partial=partial)
    if not _holds(out, layout):
        _require_empty(out)
        _write(layout, out.absolute())
    return layout


def lay_out(
    items_file: Path,
    *,
    licence: str | None = None,
    about: About | None = None,
    partial: bool = False,
) -> Layout:
    """What `publish` would write, without writing it."""
    if licence is not None:
        known(licence)
    if about is not None and about.waiting and not partial:
        raise DataError(
            f"{items_file}: rows still wait for a service that failed: run the build again, or "
            "take what there is with --partial."
        )
    form, items = _read(items_file)
    items = [_with_licence(item, licence) for item in items]
    rows = published(items, partial=partial)
    if not rows:
        raise DataError(
            f"{items_file}: no row to publish, for no id is accepted"
            f"{'' if partial else ' in every language; --partial takes those that are in some'}."
        )
    require_shareable(Counter(item.about["licence"] for item in rows), items_file)
    items = [_spelt(item) for item in items]
    rows = published(items, partial=partial)
    facts = facts_of(items, form, about, partial=partial)
    files = {
        data_file(code, facts.split): _parquet(
            [item for item in rows if item.language == code], form
        )
        for code in facts.published
    }
    listed = {path: described(content) for path, content in files.items()}
    facts = replace(facts, files=listed)
    files |= {CARD: card(facts).encode("utf-8"), TERMS: terms(facts).encode("utf-8")}
    return Layout(files, dict(facts.published))


def _read(path: Path) -> tuple[Form, list[Item]]:
    for where, row in lines.read(path):
        if row.keys() >= RAW_SORRY_BENCH:
            raise DataError(
                f"{where}: a row of SORRY-Bench, whose agreement forbids hosting and passing on: "
                "publish a recipe of the set instead, which holds no rows."
            )
        break
    return read_items(path)


def _with_licence(item: Item, licence: str | None) -> Item:
    """The item with the licence it is under: its own, or else the one told."""
    stated = item.about.get("licence", "")
    if "sorrybench" in re.sub(r"[^a-z]", "", item.about.get("source", "").lower()):
        stated = "sorry-bench"
    elif licence and not is_stated(stated):
        stated = licence
    return replace(item, about={**item.about, "licence": stated})


def _spelt(item: Item) -> Item:
    """The item with its licence as the hub spells it; unpublished ones may have any."""
    try:
        return replace(item, about={**item.about, "licence": known(item.about["licence"]).id})
    except DataError:
        return item


def _parquet(rows: Sequence[Item], form: Form) -> bytes:
    """A Parquet file of strings; "" stays "", for no value is missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = [as_row(item, form) for item in rows]
    names = [name for name in table[0] if name not in _PRIVATE]
    columns = {name: pa.array([row[name] for row in table], pa.string()) for name in names}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _holds(out: Path, layout: Layout) -> bool:
    """Whether the folder is there already, file for file."""
    with plainly(out):
        inside = {
            path.relative_to(out).as_posix(): path.read_bytes()
            for path in (out.rglob("*") if out.is_dir() else ())
            if path.is_file()
        }
    return inside == layout.files


def _require_empty(out: Path) -> None:
    with plainly(out):
        taken = out.is_symlink() or out.is_file() or (out.is_dir() and any(out.iterdir()))
    if taken:
        raise DataError(f"{out} is there already: give another folder, or remove it first.")


def _write(layout: Layout, out: Path) -> None:
    """Write all files beside their place, then move the folder there at once."""
    partial = out.with_name(f".{out.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    with plainly(out):
        make_directory(out.parent)
        for old in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
            remove_if_abandoned(old)
        partial.mkdir()
        handle = hold(partial)
        try:
            for path, content in layout.files.items():
                (partial / path).parent.mkdir(parents=True, exist_ok=True)
                (partial / path).write_bytes(content)
            flush_tree(partial)
            partial.rename(out)
            flush_directory(out.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            if handle is not None:
                os.close(handle)
