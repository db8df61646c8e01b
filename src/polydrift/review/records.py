"""The database of a review: rows as they were, and what people did to them, one action a row.

    review = resume(Path("set-da.review"))
    number = review.act(1, "ANNA", "ANNA", "accepted", seen=0)
    review.state(1, "ANNA").decision                    # "accepted"
    review.undo("ANNA", "ANNA", number)                 # an action as well: nothing is removed
    review.act(1, "ANNA", "ANNA", "rejected", seen=0)   # StaleError: "Row 1 was changed …"

What holds is derived from the actions (`states.held`); the table `states` only spares deriving it
again for every page, and is made anew whenever a database is opened. An action is on the disk
before `act` returns (write-ahead log, synchronous = FULL), and a database refuses to change or
remove one. Every action says which action its author saw last (`seen`), so that two tabs, or two
people who settle, never overwrite each other unawares.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from polydrift import records
from polydrift.errors import DataError, StoreError
from polydrift.parallel.items import Doubt
from polydrift.review.states import COMMENT, UNDO, Action, State, action_of, held, state_of
from polydrift.review.tasks import DECISIONS, Entry, Kind

PATIENCE = 10  # seconds that we wait for another process to finish writing


class StaleError(StoreError):
    """An action on a row that was changed after its author saw it; nothing was recorded."""


class Review:
    """An open database. lanes are reviewers' names, or `SETTLED`; places count rows from 1."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with plainly(path):
            self.base = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            self.base.execute("PRAGMA synchronous = FULL")
            self.base.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Close the database; nothing waits to be written."""
        self.base.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is whole or absent; one at a time over all processes."""
        with plainly(self.path):
            self.base.execute("BEGIN IMMEDIATE")
            try:
                yield self.base
                self.base.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self.base.execute("ROLLBACK")
                raise

    def read(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """The rows that a query finds."""
        with plainly(self.path):
            return self.base.execute(sql, values).fetchall()

    @property
    def about(self) -> dict[str, str]:
        """kind, form, file, begun (UTC), digest, made_of (JSON)."""
        return dict(self.read("SELECT name, value FROM about"))

    @property
    def kind(self) -> Kind:
        """What is reviewed."""
        return cast(Kind, self.about["kind"])

    def size(self) -> int:
        """How many rows there are."""
        return cast(int, self.read("SELECT count(*) FROM items")[0][0])

    def entry(self, place: int) -> Entry:
        """A row as it was in the file; DataError if there is none at this place."""
        found = self.read("SELECT * FROM items WHERE place = ?", [place])
        if not found:
            raise DataError(f"There is no row {place}; there are {self.size():,}.")
        _, name, language, translator, status, texts, source, about = found[0]
        doubts = self.read("SELECT kind, field, says FROM doubts WHERE place = ?", [place])
        return Entry(
            id=name,
            language=language,
            texts=json.loads(texts),
            source=json.loads(source),
            about=json.loads(about),
            translator=translator,
            status=status,
            doubts=tuple(Doubt(*doubt) for doubt in doubts),
        )

    def state(self, place: int, lane: str) -> State:
        """What holds of a row in a lane."""
        return self.states(place).get(lane, State())

    def states(self, place: int) -> dict[str, State]:
        """What holds of a row in every lane that has acted on it."""
        found = self.read("SELECT * FROM states WHERE place = ?", [place])
        return {lane: state for _, lane, state in map(state_of, found)}

    def last(self, place: int, lane: str) -> int:
        """The last action on a row that is seen in a lane; who settles sees all lanes."""
        sql = "SELECT coalesce(max(number), 0) FROM actions WHERE place = ? AND ? IN (lane, '')"
        return cast(int, self.read(sql, [place, lane])[0][0])

    def act(
        self,
        place: int,
        lane: str,
        reviewer: str,
        action: str,
        *,
        seen: int,
        texts: Mapping[str, str] | None = None,
        comment: str | None = None,
    ) -> int:
        """Record a decision, a comment, or both at once; returns the number of the row's last
        action.

        seen: what `last` gave when the row was shown. texts: all fields, of an edit. comment: None
        leaves it as it is; one that comes with a decision is an action before it. What holds
        already is not recorded again. DataError: no such row or action. StaleError: the row was
        changed since it was shown, to something else than is wanted now.
        """
        if action not in (*DECISIONS[self.kind], COMMENT):
            raise DataError(f"{action!r} cannot be done to {self.kind}.")
        self.entry(place)
        with self.writing() as base:
            last, state = self.last(place, lane), self.state(place, lane)
            wanted: list[tuple[str, str | None, str | None]] = []
            if comment is not None and state.comment != comment:
                wanted.append((COMMENT, None, comment))
            if action != COMMENT and state.said != (action, dict(texts or {})):
                wanted.append((action, _json(texts), None))
            if not wanted:
                return last
            if last != seen:
                raise StaleError(
                    f"Row {place} was changed after this page was loaded, in another tab or by "
                    "somebody else, so nothing was saved; below is how it stands now."
                )
            for one, edit, said in wanted:
                values = [now(), reviewer, lane, place, one, edit, said, None]
                last = cast(int, base.execute(_ADD, values).lastrowid)
            self._derive(place)
        return last

    def latest(self, lane: str, reviewer: str) -> tuple[int, int, str] | None:
        """(number, place, action) of somebody's latest action that can be undone, if any."""
        found = self.read(_LATEST, [lane, reviewer])
        return cast(tuple[int, int, str], found[0]) if found else None

    def undo(self, lane: str, reviewer: str, number: int) -> int:
        """Undo somebody's latest action, whose number they saw; returns its place. StaleError:
        there is a later one, or it is undone already.
        """
        with self.writing() as base:
            latest = self.latest(lane, reviewer)
            if latest is None or latest[0] != number:
                raise StaleError(
                    "Something else was done after this page was loaded, in another tab, so "
                    "nothing was undone."
                )
            place = latest[1]
            base.execute(_ADD, [now(), reviewer, lane, place, UNDO, None, None, number])
            self._derive(place)
        return place

    def actions(self, place: int, lane: str) -> list[Action]:
        """All actions on a row in a lane, first to last."""
        found = self.read(f"{_ACTIONS} WHERE place = ? AND lane = ? ORDER BY number", [place, lane])
        return [action_of(row[2:]) for row in found]

    def derive(self) -> None:
        """Make the table of states anew from the actions."""
        with self.writing() as base:
            grouped: dict[int, dict[str, list[Action]]] = {}
            for place, lane, *rest in self.read(f"{_ACTIONS} ORDER BY number"):
                grouped.setdefault(place, {}).setdefault(lane, []).append(action_of(rest))
            base.execute("DELETE FROM states")
            for place, lanes in grouped.items():
                base.executemany(_STATE, _stored(place, held(lanes)))

    def _derive(self, place: int) -> None:
        lanes: dict[str, list[Action]] = {}
        for _, lane, *rest in self.read(f"{_ACTIONS} WHERE place = ? ORDER BY number", [place]):
            lanes.setdefault(lane, []).append(action_of(rest))
        self.base.executemany(_STATE, _stored(place, held(lanes)))


_ADD = (
    "INSERT INTO actions (at, reviewer, lane, place, action, texts, comment, undoes) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ACTIONS = "SELECT place, lane, number, at, reviewer, action, texts, comment, undoes FROM actions"
_STATE = "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?)"
_LATEST = (
    "SELECT number, place, action FROM actions AS a WHERE lane = ? AND reviewer = ? AND action "
    "<> 'undo' AND NOT EXISTS (SELECT 1 FROM actions AS u WHERE u.undoes = a.number) "
    "ORDER BY number DESC LIMIT 1"
)


@contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Turn what SQLite says about a database into a StoreError of one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "")
        if code.startswith("SQLITE_BUSY"):
            raise StoreError(
                f"{path} has been in use by another process for {PATIENCE} seconds: nothing was "
                "saved; try again when that is done."
            ) from error
        if code.startswith("SQLITE_FULL"):
            raise StoreError(
                f"the disk that holds {path} is full: nothing was saved; free some space and try "
                "again."
            ) from error
        raise StoreError(
            f"{path} cannot be read or written ({error}): nothing was saved; check the file, its "
            "directory and their permissions."
        ) from error


def now() -> str:
    """The time, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _stored(place: int, states: Mapping[str, State]) -> list[tuple[object, ...]]:
    return [
        (place, lane, one.decision, _json(one.texts) or "", one.comment, one.last)
        for lane, one in states.items()
    ]


def _json(texts: Mapping[str, str] | None) -> str | None:
    """Equal texts give equal strings, by which edits are compared in SQL; none give None."""
    return records.canonical(dict(texts)).decode() if texts else None
