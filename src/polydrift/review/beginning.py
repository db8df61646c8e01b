"""Beginning a review, or going on with one.

    review = begin(Path("set-da.review"), translations(Path("set.jsonl"), "da"), "set.jsonl")
    review = resume(Path("set-da.review"))          # the same, without the file

The rows are copied into the database when a review begins. Later the file is only compared with
what was copied, whatever it is called and wherever it lies by then.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from polydrift import records
from polydrift.disk import plainly
from polydrift.errors import DataError, StoreError
from polydrift.review.records import Review, now
from polydrift.review.schema import APPLICATION, SCHEMA, VERSION
from polydrift.review.tasks import Task

_HEADER = b"SQLite format 3\x00"
_TABLES = "SELECT count(*) FROM sqlite_schema"


def begin(path: Path, task: Task, name: str) -> Review:
    """The review of a task at `path`: begun, or gone on with if there is one of the same rows.

    name: of the file that the rows are from, for people. DataError: other rows than it was begun
    with. StoreError: no database of ours, or a disk that refuses.
    """
    with plainly(path):
        if not path.exists():  # not for other people: rows may be unsafe
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        new = not path.stat().st_size
    if new or is_review(path):
        _fill_if_empty(path, task, name)
    review = resume(path)
    try:
        _check(review, task, name)
    except DataError:
        review.close()
        raise
    return review


def is_review(path: Path) -> bool:
    """Whether a file is a database, and so no file of rows."""
    try:
        with path.open("rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except OSError:
        return False


def resume(path: Path) -> Review:
    """The review in a database that `begin` made; DataError if there is none, StoreError if the
    file is none of ours.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such review; begin one by naming a file of rows.")
    if not is_review(path):
        raise StoreError(f"{path} is no review database; name another place with --out.")
    review = Review(path)
    try:
        found, version = review.read(
            "SELECT a.application_id, u.user_version FROM pragma_application_id AS a, "
            "pragma_user_version AS u"
        )[0]
        if found != APPLICATION:
            raise StoreError(f"{path} is no review database; name another place with --out.")
        if version != VERSION:
            raise StoreError(
                f"{path} is of another version of polydrift (its form is {version}, ours is "
                f"{VERSION}); go on with the version that began it."
            )
        review.derive()
    except BaseException:
        review.close()
        raise
    return review


def _fill_if_empty(path: Path, task: Task, name: str) -> None:
    """Copy the rows into a database without tables: a new one, or one whose beginning was cut
    short.
    """
    review = Review(path)
    try:
        if not review.read(_TABLES)[0][0]:
            review.read("PRAGMA journal_mode = WAL")  # the database remembers it
            with review.writing() as base:
                if not review.read(_TABLES)[0][0]:  # by nobody else meanwhile
                    _fill(base, task, name)
    finally:
        review.close()


def _fill(base: sqlite3.Connection, task: Task, name: str) -> None:
    for statement in SCHEMA:
        base.execute(statement)
    about = {
        "kind": task.kind,
        "form": task.form,
        "file": name,
        "begun": now(),
        "digest": _digest(task),
        "made_of": json.dumps(dict(task.made_of), ensure_ascii=False),
    }
    base.executemany("INSERT INTO about VALUES (?, ?)", about.items())
    for place, entry in enumerate(task.rows, start=1):
        texts, source, rest = map(_json, (entry.texts, entry.source, entry.about))
        base.execute(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [place, entry.id, entry.language, entry.translator, entry.status, texts, source, rest],
        )
        base.executemany(
            "INSERT INTO doubts VALUES (?, ?, ?, ?)",
            [(place, doubt.kind, doubt.field, doubt.says) for doubt in entry.doubts],
        )


def _check(review: Review, task: Task, name: str) -> None:
    """DataError unless these are the rows that the review was begun with."""
    about = review.about
    if about["kind"] != task.kind:
        raise DataError(
            f"{review.path} is a review of {about['kind']}; name another place for {task.kind} "
            "with --out."
        )
    begun_of = json.loads(about["made_of"])
    for option in dict.fromkeys([*begun_of, *task.made_of]):
        then, today = begun_of.get(option, ""), task.made_of.get(option, "")
        if then != today:
            raise DataError(
                f"{review.path} was begun with {option} {then or 'not given'}, not "
                f"{today or 'left out'}: give the same, go on with the review itself by naming it "
                "in place of the file, or begin another with --out."
            )
    if about["digest"] != _digest(task):
        raise DataError(
            f"{name} is not what it was when {review.path} was begun ({about['begun'][:10]}, of "
            f"{about['file']}): go on with the rows of then by naming the review in place of the "
            "file, or begin another with --out."
        )


def _digest(task: Task) -> str:
    """Of all that is shown or comes out again; where it stood in a file does not matter."""
    rows = [
        [
            *(one.id, one.language, one.texts, one.source, one.about, one.translator, one.status),
            [[doubt.kind, doubt.field, doubt.says] for doubt in one.doubts],
        ]
        for one in task.rows
    ]
    return records.digest([task.kind, task.form, rows])


def _json(values: Mapping[str, str]) -> str:
    return json.dumps(dict(values), ensure_ascii=False)
