"""The tables of a review's database (SQLite).

`actions` is the truth: it only ever grows, and says who did what when to which row. `states` is
derived from it. `items` and `doubts` are copies of the file that the review was begun with; texts
in JSON.
"""

from __future__ import annotations

APPLICATION = 0x706C7276  # "plrv", by which `file` and we know a database as ours
VERSION = 1  # raise when the tables change

SCHEMA = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE items (
        place INTEGER PRIMARY KEY, id TEXT NOT NULL, language TEXT NOT NULL,
        translator TEXT NOT NULL, status TEXT NOT NULL,
        texts TEXT NOT NULL, source TEXT NOT NULL, about TEXT NOT NULL)""",
    """CREATE TABLE doubts (
        place INTEGER NOT NULL REFERENCES items, kind TEXT NOT NULL, field TEXT NOT NULL,
        says TEXT NOT NULL)""",
    """CREATE TABLE actions (
        number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, reviewer TEXT NOT NULL,
        lane TEXT NOT NULL, place INTEGER NOT NULL REFERENCES items, action TEXT NOT NULL,
        texts TEXT, comment TEXT, undoes INTEGER UNIQUE REFERENCES actions)""",
    """CREATE TABLE states (
        place INTEGER NOT NULL REFERENCES items, lane TEXT NOT NULL, decision TEXT NOT NULL,
        texts TEXT NOT NULL, comment TEXT NOT NULL, last INTEGER NOT NULL,
        PRIMARY KEY (place, lane)) WITHOUT ROWID""",
    "CREATE INDEX doubts_of_items ON doubts (place, kind)",
    "CREATE INDEX kinds_of_doubts ON doubts (kind, place)",
    "CREATE INDEX actions_on_items ON actions (place, lane, number)",
    "CREATE INDEX actions_of_reviewers ON actions (lane, reviewer, number)",
    "CREATE INDEX decisions ON states (lane, decision, place)",
    """CREATE TRIGGER actions_stay BEFORE UPDATE ON actions
        BEGIN SELECT RAISE(ABORT, 'actions are only ever added'); END""",
    """CREATE TRIGGER actions_remain BEFORE DELETE ON actions
        BEGIN SELECT RAISE(ABORT, 'actions are only ever added'); END""",
    """CREATE TRIGGER actions_keep_their_numbers BEFORE INSERT ON actions
        WHEN EXISTS (SELECT 1 FROM actions WHERE number = NEW.number OR undoes = NEW.undoes)
        BEGIN SELECT RAISE(ABORT, 'actions are only ever added'); END""",  # INSERT OR REPLACE
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
