"""What was asked and what came back, row by row, on the disk as soon as it came.

    with Journal(out / "work.sqlite") as journal:
        key = journal.key("translate", {"model": "openai/gpt-4o-mini", "text": "Hello."})
        journal.get(key)                           # None: never asked
        journal.put(key, {"text": "Hej."})         # on the disk when this returns

A key is the hash of all that decides a reply: the model and its settings, the language, the text.
So a build that was killed goes on where it was, a changed model asks anew, and a changed check
asks nothing. What failed for a passing reason is not put down, and so asked again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from polydrift.disk import make_directory, plainly
from polydrift.errors import StoreError
from polydrift.records import digest

_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, reply TEXT NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID
"""
WAIT = 60  # seconds for which another process may hold the file


def _set_log_ahead(data: sqlite3.Connection) -> None:
    """Write to a log ahead of the file; SQLite does not wait by itself for others who do this."""
    until = time.monotonic() + WAIT
    while True:
        try:
            data.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.05)


class Journal:
    """The replies of one directory. A second process that writes there waits for its turn."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file; StoreError if it cannot be, or is no journal."""
        self._path = path
        with plainly(path):
            make_directory(path.parent)
        try:
            self._data = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
            _set_log_ahead(self._data)
            self._data.execute("PRAGMA synchronous = FULL")
            self._data.execute(_TABLE)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._data.close()

    @staticmethod
    def key(kind: str, asked: Mapping[str, Any]) -> str:
        """The key of a request: what is asked, and for which purpose."""
        return digest({"kind": kind, "asked": asked})

    def get(self, key: str) -> Any | None:
        """What came back for a key; None if nothing did yet."""
        found = self._run("SELECT reply FROM replies WHERE key = ?", (key,))
        return json.loads(found[0][0]) if found else None

    def put(self, key: str, reply: Any, kind: str = "") -> None:
        """Put a reply down; it is on the disk when this returns."""
        self.put_all([(key, reply)], kind)

    def put_all(self, replies: Iterable[tuple[str, Any]], kind: str = "") -> None:
        """Put several down at once: all or none."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [(key, kind, json.dumps(reply), now) for key, reply in replies]
        try:
            self._data.execute("BEGIN IMMEDIATE")
            with self._data:  # commits, or rolls back
                self._data.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def count(self, kind: str) -> int:
        """How many replies of a kind there are."""
        return int(self._run("SELECT count(*) FROM replies WHERE kind = ?", (kind,))[0][0])

    def _run(self, statement: str, values: tuple[str, ...]) -> list[Any]:
        try:
            return self._data.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _broken(self, error: sqlite3.Error) -> StoreError:
        if "not a database" in str(error) or "malformed" in str(error):
            return StoreError(
                f"{self._path} is no journal of a build (damaged, or another file of that name): "
                "move it away; what it held is asked again."
            )
        return StoreError(
            f"{self._path} cannot be read or written ({error}): finished rows are kept; make room "
            "or mend the permission, and run the same command again."
        )
