"""Data that come with polydrift: what a reference "builtin:…" stands for.

    >>> path("builtin:audit").name
    'audit.jsonl'

docs/audit_suite.md is the data card of `builtin:audit`.
"""

from __future__ import annotations

from pathlib import Path

from polydrift.errors import DataError

PREFIX = "builtin:"
AUDIT = f"{PREFIX}audit"
NAMES = (AUDIT,)

_HERE = Path(__file__).parent / "files"


def path(reference: str) -> Path:
    """The file that a reference stands for; DataError lists the known ones."""
    if reference not in NAMES:
        raise DataError(f"unknown data {reference!r}: use one of {', '.join(NAMES)}.")
    return _HERE / f"{reference.removeprefix(PREFIX)}.jsonl"
