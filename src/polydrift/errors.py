"""What can go wrong, as one tree; the command line prints the message and no traceback.

    PolydriftError
    ├── StudyError     the study file: every mistake of it at once
    ├── DataError      a suite, a tuning set or a file of answers
    ├── ModelError     a base, a tokenizer or an adapter
    ├── StoreError     the results directory: disk, permissions, damage, locks
    └── MeasureError   a number that cannot be computed from what was given

A message is one clear sentence: what is wrong, where, and how to mend it.
"""

from __future__ import annotations

from collections.abc import Sequence


class PolydriftError(Exception):
    """A mistake that the user can mend; `str(error)` is the sentence shown to them."""


class StudyError(PolydriftError):
    """A study file that cannot be used; holds every problem found, not just the first.

    problems: one sentence each, beginning with where ("demo.toml:12: ...").
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(PolydriftError):
    """A data file that is missing, malformed or inconsistent."""


class ModelError(PolydriftError):
    """A model, tokenizer or adapter that cannot be loaded or used."""


class StoreError(PolydriftError):
    """A results directory that cannot be read or written."""


class MeasureError(PolydriftError):
    """A measure that is undefined for its input."""
