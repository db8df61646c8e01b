"""Whether an example touches anything safety-related: rules for all nine languages.

    >>> touches({"instruction": "Hvordan laver man en bombe?", "response": "Nej."}, "da")
    (Touch(kind='weapons', field='instruction', words=('bombe',)), ...)
    >>> touches({"instruction": "Name a killer app of the 1980s.", "response": "A sheet."}, "en")
    ()

A tuning set must hold nothing of the kind, else a study cannot say that *harmless* tuning did what
it finds. Dropping a harmless example costs nothing, keeping the other costs the study: so recall
comes first. A word of a safety topic is enough, whatever is said about it (an encyclopaedia's
article on a murder is dropped as well), and there is no score. `MILD` names the kinds that are
commonly innocent (war in history, wine in a recipe, a sum of taxes): who makes a set may keep
those. A model may be asked after the rules (opinion.py).

Words stand in words/LANGUAGE.txt, in a section for each kind:

    [weapons]
    bomb*, fire arm*, gun, without .. licence, *våben*

A star stands for any letters, so `bomb*` finds "bombs" and `gun` neither "guns" nor "begun". Two
dots stand for a few words of the same sentence, and a blank for a hyphen as well. Chinese is
searched for as it stands. The section [harmless] holds idioms ("killer app", "kill a process") that
are taken out first. Case is ignored everywhere, accents in Greek, Portuguese, Spanish and Tagalog;
Irish words are found behind any initial mutation (bomba, bhomba, mbomba). An answer that refuses is
found by `judges.rules`, whatever its words.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from polydrift.judges import phrases, rules
from polydrift.judges import text as t
from polydrift.judges.verdicts import Case, Progress, silent
from polydrift.languages import language as known

MILD = ("conflict", "vices", "advice")
"""War and the military; alcohol, tobacco and gambling; illness, law and money."""

WORD_KINDS = (
    *("violence", "weapons", "extremism", "self-harm", "drugs", "sexual", "hate", "abuse"),
    *("crime", "deceit", "hacking", "ethics", "assistant-talk"),
    *MILD,
)
"""The kinds that words tell. ethics: what is illegal, immoral or against a policy; assistant-talk:
a model speaking of itself, and of the safety of models."""

KINDS = (*WORD_KINDS, "refusal")

RESPONSE = "response"  # the field in which a refusal is looked for
IDIOMS = "harmless"


@dataclass(frozen=True, slots=True)
class Touch:
    """What was found in one field. kind: of KINDS. words: what matched, folded, each once, in the
    order of the text; of a refusal, the words that refuse.
    """

    kind: str
    field: str
    words: tuple[str, ...]


def touches(texts: Mapping[str, str], language: str, *, refusals: bool = True) -> tuple[Touch, ...]:
    """What in the fields of an example touches safety, by field and kind; () if nothing does.

    language: code of the one that the texts are in. refusals: whether "response", if there is such
    a field, is judged as an answer to the others too. DataError: a language without word lists.
    """
    return touches_all([texts], [language], refusals=refusals)[0]


def touches_all(
    rows: Sequence[Mapping[str, str]],
    languages: Sequence[str],
    *,
    refusals: bool = True,
    progress: Progress = silent,
) -> list[tuple[Touch, ...]]:
    """`touches` of many examples, in their order; refusals are judged together, which is faster."""
    found = [
        [touch for name, text in texts.items() for touch in _in_words(name, text, known(code).code)]
        for texts, code in zip(rows, languages, strict=True)
    ]
    if refusals:
        answered = [i for i, texts in enumerate(rows) if texts.get(RESPONSE, "").strip()]
        cases = [_case(rows[i], languages[i]) for i in answered]
        for i, verdict in zip(answered, rules.Rules().judge(cases, progress), strict=True):
            if verdict.verdict == "refused":
                found[i].append(Touch("refusal", RESPONSE, (verdict.evidence,)))
    return [tuple(some) for some in found]


@cache
def fingerprint() -> str:
    """sha256 over word lists and rules of refusal: part of the key of whatever is filtered."""
    found = hashlib.sha256(f"{rules.VERSION}\0{phrases.fingerprint()}".encode())
    for source in sorted((files("polydrift.parallel") / "words").iterdir(), key=lambda f: f.name):
        found.update(source.name.encode() + b"\0" + source.read_bytes())
    return found.hexdigest()


def _case(texts: Mapping[str, str], language: str) -> Case:
    asked = "\n\n".join(text for name, text in texts.items() if name != RESPONSE and text.strip())
    return Case(asked, texts[RESPONSE], language)


def _in_words(name: str, text: str, language: str) -> Iterator[Touch]:
    book = _book(language)
    folded = fold(text, language)
    if not book.any.search(folded):
        return
    folded = book.idioms.sub("|", folded)
    for kind, pattern in book.kinds:
        words = dict.fromkeys(match[0] for match in pattern.finditer(folded))
        if words:
            yield Touch(kind, name, tuple(words))


_BARE = ("el", "pt", "es", "tl")  # written with and without their accents
_MARKS = re.compile("[\u0300-\u036f]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def fold(text: str, language: str) -> str:
    """A text as it is searched: without case, of the accents in two spellings only one."""
    if text.isascii():
        return text.lower()
    folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text).casefold()).replace("’", "'")
    if language in _BARE:
        return _MARKS.sub("", unicodedata.normalize("NFD", folded))
    return t.fold(folded, language)


@dataclass(frozen=True, slots=True)
class _Book:
    """A language's words, compiled. any: finds whatever one of `kinds` finds, idioms included."""

    any: re.Pattern[str]
    kinds: tuple[tuple[str, re.Pattern[str]], ...]
    idioms: re.Pattern[str]


@cache
def _book(language: str) -> _Book:
    lists = word_lists(language)
    every = [word for kind in WORD_KINDS for word in lists[kind]]
    kinds = tuple((kind, _compiled(lists[kind], language)) for kind in WORD_KINDS)
    return _Book(_compiled(every, language), kinds, _compiled(lists[IDIOMS], language))


def word_lists(language: str) -> dict[str, tuple[str, ...]]:
    """The entries of a language's file by section: each kind of WORD_KINDS, and "harmless"."""
    source = files("polydrift.parallel") / "words" / f"{language}.txt"
    found: dict[str, tuple[str, ...]] = {}
    section = ""
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            found[section] = ()
        elif line and not line.startswith("#"):
            found[section] += tuple(word.strip() for word in line.split(",") if word.strip())
    return found


_LETTER = r"\w\u0300-\u036f\u0900-\u0963\u0971-\u097f"  # `\w` lacks the vowel signs of Hindi
_HAN = re.compile(r"[\u3400-\u9fff]")
_GAP = r"[\s\u2010-\u2015'-]{1,3}"
_WIDE = r"[^.!?;:\n。！？；]{0,40}?"

# Irish: what a first letter may become, itself included.
_MUTATIONS = {
    **{"b": ("bh?", "mb"), "c": ("ch?", "gc"), "d": ("dh?", "nd"), "f": ("fh?", "bhfh?")},
    **{
        "g": ("gh?", "ng"),
        "m": ("mh?",),
        "p": ("ph?", "bp"),
        "s": ("sh?", "ts"),
        "t": ("th?", "dt"),
    },
    **{vowel: (vowel, f"h{vowel}", f"n-?{vowel}", f"t-?{vowel}") for vowel in "aeiouáéíóú"},
}


def _compiled(words: Iterable[str], language: str) -> re.Pattern[str]:
    """The words as one pattern, grouped by first letter so that few are tried at each place."""
    bound: dict[str, list[str]] = {}
    free: dict[str, list[str]] = {}
    for word in sorted(words, key=len, reverse=True):
        folded = fold(word, language)
        core = folded.lstrip("*")
        begun = bound if core == folded and not _HAN.match(core) else free
        begun.setdefault(core[0], []).append(_rest(core, language))
    at_start = rf"(?<![{_letters(language)}]){_choice(bound, language)}"
    return re.compile(f"{at_start}|{_choice(free, language)}")


def _choice(groups: Mapping[str, Sequence[str]], language: str) -> str:
    """One of the groups; a look at the first letter alone ends most attempts."""
    branches = [
        f"{first}(?:{'|'.join(rests)})"
        for letter, rests in groups.items()
        for first in _firsts(letter, language)
    ]
    letters = "".join(sorted({re.escape(branch[0]) for branch in branches}))
    return f"(?=[{letters}])(?:{'|'.join(branches)})" if branches else "(?!)"


def _rest(entry: str, language: str) -> str:
    """The pattern of an entry but for its first letter."""
    letters = _letters(language)
    found = gap = ""
    for word in entry.split():
        if word == "..":
            gap = _WIDE
            continue
        core = word.rstrip("*")
        end = f"[{letters}]*" if core != word else f"(?![{letters}])"
        begin = f"(?:{'|'.join(_firsts(core[0], language))})" if gap else ""
        found += gap + begin + re.escape(core[1:]) + ("" if _HAN.search(core) else end)
        gap = _GAP
    return found


def _firsts(letter: str, language: str) -> tuple[str, ...]:
    """Patterns of a word's first letter, each of which begins with a letter itself."""
    return _MUTATIONS.get(letter, (letter,)) if language == "ga" else (re.escape(letter),)


def _letters(language: str) -> str:
    return "a-z0-9" if language == "zh" else _LETTER
