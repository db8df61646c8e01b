"""Data that come with polydrift: what a reference "builtin:…" stands for.

    >>> path("builtin:audit").name
    'audit.jsonl'

`builtin:audit` is a suite (docs/audit_suite.md), `builtin:benign` a set to tune on
(docs/benign_set.md).
"""

from __future__ import annotations

from pathlib import Path

from polydrift.errors import DataError

PREFIX = "builtin:"
AUDIT, BENIGN = f"{PREFIX}audit", f"{PREFIX}benign"
NAMES = (AUDIT, BENIGN)

_HERE = Path(__file__).parent / "files"


def path(reference: str) -> Path:
    """The file that a reference stands for; DataError lists the known ones."""
    if reference not in NAMES:
        raise DataError(f"unknown data {reference!r}: use one of {', '.join(NAMES)}.")
    return _HERE / f"{reference.removeprefix(PREFIX)}.jsonl"
