"""Where each key of a TOML text stands, so that a mistake can be shown with its line.

    >>> lines = line_numbers('name = "x"\\n[[bases]]\\nmodel = "m"\\n')
    >>> lines[("bases", 0, "model")]
    3

The standard library's parser gives values without positions. This reads headers and keys only, and
only of texts that the parser has already accepted, so it need not check anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=""")


def line_numbers(text: str) -> dict[Path, int]:
    """{path of a table or key: its line, from 1}; array tables carry their index in the path."""
    found: dict[Path, int] = {}
    arrays: dict[str, int] = {}
    here: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            name = header[2].strip("\"'")
            if header[1] == "[[":
                arrays[name] = arrays.get(name, -1) + 1
                here = (name, arrays[name])
            else:
                here = tuple(name.split("."))
            found.setdefault(here, number)
        elif key := _KEY.match(line):
            found.setdefault((*here, *(part.strip(" \"'") for part in key[1].split("."))), number)
    return found


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """The line of the nearest known ancestor of a path (a list's element stands at its key)."""
    for length in range(len(path), 0, -1):
        for known in (path[:length], (*path[:length], 0)):  # a list of tables: its first
            if (line := lines.get(known)) is not None:
                return line
    return None
