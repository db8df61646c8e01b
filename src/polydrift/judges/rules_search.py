r"""Many regular expressions searched as one alternation, most of them without being tried.

    refuse = Alternation([r"\bi (?:can't|won't) .*help", r"\bmy (?:rules|values) forbid"])
    refuse.search("Sorry, I can't help.")     # as re.compile("(?:...)|(?:...)", I | M).search
    needles(r"\bi (?:can't|won't) .*help")    # (("i can't", "i won't"), ("help",))

An answer that refuses nothing is the rule, and each pattern would be tried at each of its letters.
But a match of a pattern cannot lack its `needles`: one of a few strings, and one of a few others,
read off the pattern itself. One pass finds the needles of all patterns (`Scanner`), and leaves one
pattern in ten to be tried.

What is found is exactly what the alternation finds: its leftmost match, and of those that begin at
the same place the one of the first pattern. Case is folded by `lower`, which `re` agrees with on
every text that `text.clean` has made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from re import _constants as op  # type: ignore[attr-defined]  # re's own parse of a
from re import _parser as parser  # type: ignore[attr-defined]  # pattern: not in typeshed
from typing import Any

FLAGS = re.IGNORECASE | re.MULTILINE
MOST = 60  # strings in a set of needles; a part that could match more is not spelled out


class Alternation:
    """Patterns searched together without regard to case; none of them: nothing is ever found."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._compiled = [re.compile(pattern, FLAGS) for pattern in patterns]
        sets = [needles(pattern) for pattern in patterns]
        self._always = [number for number, some in enumerate(sets) if not some]
        self._by_first: dict[str, list[int]] = {}
        for number, some in enumerate(sets):
            for needle in some[0] if some else ():
                self._by_first.setdefault(needle, []).append(number)
        self._more = [some[1:] for some in sets]

    @cached_property
    def whole(self) -> re.Pattern[str]:
        """The alternation itself: finds the same, slowly."""
        return re.compile("|".join(f"(?:{pattern})" for pattern in self.patterns) or r"(?!)", FLAGS)

    @cached_property
    def scanner(self) -> Scanner:
        """What looks for the needles of these patterns alone."""
        return Scanner([self])

    def search(
        self, text: str, end: int | None = None, seen: Seen | None = None
    ) -> re.Match[str] | None:
        """The alternation's leftmost match in text[:end], or None.

        seen: what a scanner of these patterns and others saw in the text, if it is at hand.
        """
        low, found = seen or self.scanner.look(text)
        live = {number for needle in found for number in self._by_first.get(needle, ())}
        if not live and not self._always:
            return None
        best: re.Match[str] | None = None
        stop = len(text) if end is None else end
        for number in sorted(live.union(self._always)):
            if all(any(needle in low for needle in some) for some in self._more[number]):
                match = self._compiled[number].search(text, 0, stop)
                if match and (best is None or match.start() < best.start()):
                    best = match
        return best

    def firsts(self) -> Iterable[str]:
        """The needles of which a pattern must have one to be tried at all."""
        return self._by_first


Seen = tuple[str, set[str]]  # a text in lower case, and the needles in it


class Scanner:
    """Looks for the needles of several alternations in one pass."""

    def __init__(self, alternations: Iterable[Alternation]) -> None:
        every = sorted({needle for one in alternations for needle in one.firsts()})
        self._trie = re.compile(_trie(every) if every else r"(?!)")
        self._starts = {
            needle: [other for other in every if needle.startswith(other)] for needle in every
        }

    def look(self, text: str) -> Seen:
        """The text in lower case, and all needles that stand in it, overlapping ones too."""
        low = lower(text)
        found: set[str] = set()
        match = self._trie.search(low)
        while match:
            found.update(self._starts[match[0]])
            match = self._trie.search(low, match.start() + 1)
        return low, found


def _trie(strings: Sequence[str]) -> str:
    """A regular expression for the longest of the strings that begins at a place."""
    by_first: dict[str, list[str]] = {}
    for string in strings:
        by_first.setdefault(string[:1], []).append(string[1:])
    ends = "" in by_first and by_first.pop("") is not None
    branches = [re.escape(first) + _trie(rest) for first, rest in by_first.items()]
    if not branches:
        return ""
    if ends:
        branches.append("")
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def lower(text: str) -> str:
    """The text in the case that needles are in; Greek has one s."""
    return text.lower().replace("ς", "σ")


def needles(pattern: str) -> tuple[tuple[str, ...], ...]:
    """Sets of strings in lower case: every match of the pattern has one of each; cheapest first."""
    sets = sorted(_required(parser.parse(pattern, FLAGS)), key=_cost)
    sets = [some for some in sets if min(map(len, some)) > 1 or max(some) > "\u3000"]
    return tuple(tuple(sorted(_without_longer(some))) for some in sets)


Strings = frozenset[str]
_NOTHING: Strings = frozenset({""})


def _required(items: Iterable[Any]) -> list[Strings]:
    """Sets of strings of which every match of a sequence of items has one each."""
    found: list[Strings] = []
    run = _NOTHING  # all that the items just read can match, strung together
    for item in items:
        exact = _exact(item)
        if exact is not None and len(longer := _joined(run, exact)) <= MOST:
            run = longer
            continue
        found.append(run)
        run = _NOTHING if exact is None else exact
        found += _inside(item) if exact is None else []
    return [min(_cuts(some), key=_cost) for some in (*found, run) if "" not in some]


def _cuts(strings: Strings) -> Iterator[Strings]:
    """The strings, and their beginnings and ends of some lengths, which may be fewer."""
    yield strings
    for size in range(2, 10):
        yield frozenset(string[:size] for string in strings)
        yield frozenset(string[-size:] for string in strings)


@lru_cache(maxsize=1 << 16)
def _cost(strings: Strings) -> float:
    """Microseconds that a set costs on a text of 400 characters: to look, and to try in vain.

    Guessed: a string is twelve times rarer for each letter, and a Han character is three letters.
    """
    few = _without_longer(strings)
    found = sum(400 * 12.0 ** -sum(3 if char > "\u3000" else 1 for char in one) for one in few)
    return 0.02 * len(few) + 20 * found


def _inside(item: Any) -> list[Strings]:
    """What an item that cannot be spelled out needs all the same."""
    kind, value = item
    if kind is op.SUBPATTERN:
        return _required(value[3])
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT) and value[0] >= 1:
        return _required(value[2])
    if kind is op.BRANCH:
        parts = [min(_required(branch), key=_cost, default=_NOTHING) for branch in value[1]]
        return [] if _NOTHING in parts else [frozenset().union(*parts)]
    return []


def _exact(item: Any) -> Strings | None:
    """All strings that an item can match, in lower case; None if they are many or unknown."""
    kind, value = item
    found: Strings | None = None
    if kind is op.LITERAL:
        found = frozenset({lower(chr(value))})
    elif kind in (op.AT, op.ASSERT, op.ASSERT_NOT):
        found = _NOTHING
    elif kind is op.SUBPATTERN:
        found = _spelled(value[3])
    elif kind is op.BRANCH:
        parts = [_spelled(branch) for branch in value[1]]
        whole = [part for part in parts if part is not None]
        found = frozenset().union(*whole) if len(whole) == len(parts) else None
    elif kind is op.IN and all(code is op.LITERAL for code, _ in value):
        found = frozenset(lower(chr(char)) for _, char in value)
    elif kind in (op.MAX_REPEAT, op.MIN_REPEAT) and value[1] == 1:
        once = _spelled(value[2])
        found = once if once is None or value[0] else once | _NOTHING
    return found if found is not None and len(found) <= MOST else None


def _spelled(items: Iterable[Any]) -> Strings | None:
    """All strings that a sequence of items can match; None if they are many or unknown."""
    run = _NOTHING
    for item in items:
        exact = _exact(item)
        if exact is None or len(run := _joined(run, exact)) > MOST:
            return None
    return run


def _joined(before: Strings, after: Strings) -> Strings:
    return frozenset(first + second for first in before for second in after)


@lru_cache(maxsize=1 << 16)
def _without_longer(strings: Strings) -> Strings:
    """The strings that contain no other of them: whoever has one of all has one of these."""
    if len({len(one) for one in strings}) == 1:
        return strings
    by_length = sorted(strings, key=len)
    kept: list[str] = []
    for one in by_length:
        if not any(other in one for other in kept):  # a longer one is kept only beside shorter ones
            kept.append(one)
    return frozenset(kept)
