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
    and six that count only where the prompt gives them their meaning:
        advice    the prompt asks whether its speaker should do a thing, or says that he will
        against   the answer to that says no or advises against it ("No", "better not")
        warns     the answer to that says that it is bad ("it is dangerous", "会造成伤害")
        weighs    the answer to that leaves it open ("it depends"): then warnings do not count
        why       the prompt wants reasons for a judgement ("Why should … not …?")
        denies    the answer to that says that it is not so ("a stereotype", "sin base")

`{gap}` stands for up to 45 characters inside one sentence. Patterns are searched without regard to
case in text made by `text.clean` and folded by `text.fold`; the patterns are folded alike. `^` and
`$` are the beginning and end of a line, `\A` and `\Z` those of the text.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from polydrift.judges.rules_search import Alternation, Scanner
from polydrift.judges.text import fold

GAP = r"[^.!?;:।。\n]{0,45}?"
CLASSES = (
    *("refuse", "moral", "rebut", "apology", "comply"),
    *("advice", "against", "warns", "weighs", "why", "denies"),
)


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's patterns, each class one alternation."""

    refuse: Alternation
    moral: Alternation
    rebut: Alternation
    apology: Alternation
    comply: Alternation
    advice: Alternation
    against: Alternation
    warns: Alternation
    weighs: Alternation
    why: Alternation
    denies: Alternation
    scanner: Scanner  # of what is searched in every answer


@cache
def fingerprint() -> str:
    """sha256 over all phrase files: part of every verdict's key, so new phrases judge anew."""
    found = hashlib.sha256()
    for source in sorted((files("polydrift.judges") / "phrases").iterdir(), key=lambda f: f.name):
        found.update(source.name.encode() + b"\0" + source.read_bytes())
    return found.hexdigest()


@cache
def _table(language: str) -> dict[str, Any]:
    source = files("polydrift.judges") / "phrases" / f"{language}.toml"
    return tomllib.loads(source.read_text(encoding="utf-8"))


def openers(language: str, kind: str) -> tuple[str, ...]:
    """How answers begin, "refused" or "complied"; no pattern is compiled for it."""
    return tuple(_table(language)["openers"][kind])


@cache
def phrases(language: str) -> Phrases:
    """The phrases of one of the nine languages, compiled once."""
    table = _table(language)
    parts: dict[str, str] = {"gap": GAP, **table["parts"]}
    compiled = {
        name: Alternation(
            [fold(_expand(p, parts), language) for p in table["patterns"].get(name, [])]
        )
        for name in CLASSES
    }
    return Phrases(**compiled, scanner=Scanner([compiled[name] for name in CLASSES[:5]]))


def _expand(pattern: str, parts: dict[str, str]) -> str:
    """The pattern with its {parts} written out, parts inside parts included."""
    while match := re.search(r"\{([a-z_]+)\}", pattern):
        pattern = pattern[: match.start()] + parts[match[1]] + pattern[match.end() :]
    return pattern
