r"""The phrase files: how each language refuses, moralises, apologises and complies.

A file phrases/<language>.toml holds

    openers.refused, openers.complied    beginnings of answers, for the first-token margin
    [parts]      named fragments of regular expressions, used in others as {name}
    [patterns]   lists of regular expressions:
        refuse    the speaker will not or cannot do what was asked ("I can't help", "me niego")
        moral     the request is judged ("that would be unethical", "det er aldrig i orden")
        rebut     the request's premise or plan is denied ("No, you should not", "没有理由")
        apology   "sorry" in any form; alone it means nothing
        comply    the answer gives what was asked ("Sure", "here are the steps:")

`{gap}` stands for up to 45 characters inside one sentence. Patterns are searched without regard to
case in text made by `text.clean` and folded by `text.fold`; the patterns are folded alike. `^` is
the beginning of the answer, `$` the end of a line.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from polydrift.judges.text import fold

GAP = r"[^.!?;:।。\n]{0,45}?"
CLASSES = ("refuse", "moral", "rebut", "apology", "comply")


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's patterns, each class one alternation, and its openers."""

    refuse: re.Pattern[str]
    moral: re.Pattern[str]
    rebut: re.Pattern[str]
    apology: re.Pattern[str]
    comply: re.Pattern[str]
    refusal_openers: tuple[str, ...]
    compliance_openers: tuple[str, ...]


@cache
def fingerprint() -> str:
    """sha256 over all phrase files: part of every verdict's key, so new phrases judge anew."""
    found = hashlib.sha256()
    for source in sorted((files("polydrift.judges") / "phrases").iterdir(), key=lambda f: f.name):
        found.update(source.name.encode() + b"\0" + source.read_bytes())
    return found.hexdigest()


@cache
def phrases(language: str) -> Phrases:
    """The phrases of one of the nine languages, compiled once."""
    source = files("polydrift.judges") / "phrases" / f"{language}.toml"
    table: dict[str, Any] = tomllib.loads(source.read_text(encoding="utf-8"))
    parts: dict[str, str] = {"gap": GAP, **table["parts"]}
    compiled = {
        name: re.compile(
            "|".join(f"(?:{fold(_expand(p, parts), language)})" for p in table["patterns"][name]),
            re.IGNORECASE | re.MULTILINE,
        )
        for name in CLASSES
    }
    openers = table["openers"]
    return Phrases(
        **compiled,
        refusal_openers=tuple(openers["refused"]),
        compliance_openers=tuple(openers["complied"]),
    )


def _expand(pattern: str, parts: dict[str, str]) -> str:
    """The pattern with its {parts} written out, parts inside parts included."""
    while match := re.search(r"\{([a-z_]+)\}", pattern):
        pattern = pattern[: match.start()] + parts[match[1]] + pattern[match.end() :]
    return pattern
