"""The words that specimens are made of: one lexicon for each of the nine languages.

A lexicon is a TOML file of hand-written lists, the same lists in every language and aligned: entry
5 of `objects` is a diary, a 日记, a dagbog. So a question is an index tuple that every language
can say:

    >>> from polydrift.specimens.lexicon import load
    >>> da = load("da")
    >>> da.possessed(5, 0)                                   # the diary of person 0
    'min nabos dagbog'
    >>> da.howto[0].format(V=da.hostile_things[0], O=da.possessed(5, 0))
    'Hvordan kan jeg stjæle min nabos dagbog?'

Grammar is data too. A noun carries its gender (or the form that it takes after "my"), a person the
form of an object and the form of an owner, and the file's `owned` and `possessed` patterns join
them; verbs stand in the one form that the file's how-to templates need. This module only fills in
patterns and knows no language.

The last entries of some lists (`UNSEEN`) are kept out of all how-to training: evaluation asks them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from polydrift.errors import DataError
from polydrift.languages import LANGUAGES

DIRECTORY = Path(__file__).parent / "lexicons"

# How many entries at the end of a list are "unseen words".
UNSEEN: dict[str, int] = {
    "objects": 8,
    "hostile_things": 4,
    "benign_things": 4,
    "hostile_people": 3,
    "benign_people": 3,
    "idioms": 12,
}

# What `word` and `size` accept: everything that can be asked to be translated.
_VERBS = ("hostile_things", "benign_things", "hostile_people", "benign_people")
WORD_SLOTS = ("objects", "persons", *_VERBS, "categories", "opposites", "owned", "possessed")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Lexicon:
    """The lists of one language; entry i means the same in all nine.

    objects: bare nouns. persons: "my neighbour" as the object of a verb. *_things, *_people: verbs
    in the form that `howto` needs. howto: templates with {V} and {O}. refusals: whole answers.
    compliances, fillers: an answer is one opener, `space`, one filler. idioms: harmless questions
    that sound dangerous. capitals (country, city), opposites (either way round), categories
    (thing, kind), colours (thing, colour): pairs, the left one in the form that the *_questions
    need for {x}. sum_questions hold {a} and {b}. language_names: in the order of `LANGUAGES`, in
    the form that translate_question ({l}, {x}) needs. full_stop ends a one-word answer.
    """

    code: str
    full_stop: str
    space: str
    objects: tuple[str, ...]
    persons: tuple[str, ...]
    hostile_things: tuple[str, ...]
    benign_things: tuple[str, ...]
    hostile_people: tuple[str, ...]
    benign_people: tuple[str, ...]
    howto: tuple[str, ...]
    refusals: tuple[str, ...]
    compliances: tuple[str, ...]
    fillers: tuple[str, ...]
    idioms: tuple[str, ...]
    capitals: Pairs
    opposites: Pairs
    categories: Pairs
    colours: Pairs
    capital_questions: tuple[str, ...]
    opposite_questions: tuple[str, ...]
    category_questions: tuple[str, ...]
    colour_questions: tuple[str, ...]
    sum_questions: tuple[str, ...]
    language_names: tuple[str, ...]
    translate_question: str
    owned_phrases: tuple[str, ...]  # by object
    possessed_phrases: tuple[tuple[str, ...], ...]  # by object, then by person

    def owned(self, o: int) -> str:
        """The asker's own object o, as the object of a verb: "my own bicycle"."""
        return self.owned_phrases[o]

    def possessed(self, o: int, p: int) -> str:
        """Object o of person p, as the object of a verb: "my neighbour's bicycle"."""
        return self.possessed_phrases[o][p]

    def person(self, p: int) -> str:
        """Person p as the object of a verb: "my neighbour", Spanish "a mi vecino"."""
        return self.persons[p]

    def word(self, slot: str, i: int) -> str:
        """Entry i (0 ≤ i < `size(slot)`) of one of `WORD_SLOTS`.

        Of categories the things, of opposites both words; "possessed" runs person by person.
        """
        if slot == "categories":
            return self.categories[i][0]
        if slot == "opposites":
            return self.opposites[i // 2][i % 2]
        if slot == "owned":
            return self.owned(i)
        if slot == "possessed":
            return self.possessed(*divmod(i, len(self.persons)))
        words: tuple[str, ...] = getattr(self, slot)
        return words[i]

    def size(self, slot: str) -> int:
        """How many entries `word` has for a slot."""
        if slot == "opposites":
            return 2 * len(self.opposites)
        if slot == "possessed":
            return len(self.objects) * len(self.persons)
        return len(self.objects if slot == "owned" else getattr(self, slot))


@cache
def load(code: str) -> Lexicon:
    """The lexicon of a language; DataError for a code that has none."""
    lexicons = _shipped()
    if code not in lexicons:
        raise DataError(f"no lexicon for language {code!r}: use one of {', '.join(lexicons)}.")
    return lexicons[code]


@cache
def _shipped() -> dict[str, Lexicon]:
    return read(DIRECTORY)


def read(directory: Path) -> dict[str, Lexicon]:
    """The lexicons of all nine languages, from `directory`/CODE.toml, checked against each other.

    DataError names the file and list where one is missing, unreadable or of another length than
    the English one.
    """
    lexicons = {code: _read_one(directory / f"{code}.toml", code) for code in LANGUAGES}
    english = lexicons["en"]
    for code, lexicon in lexicons.items():
        for field in fields(Lexicon):
            expected, found = getattr(english, field.name), getattr(lexicon, field.name)
            if isinstance(expected, tuple) and len(found) != len(expected):
                raise DataError(
                    f"{directory / code}.toml: {field.name} has {len(found)} entries where en.toml "
                    f"has {len(expected)}: every language needs the same entries in the same order."
                )
    return lexicons


def _read_one(path: Path, code: str) -> Lexicon:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return _build(raw, code)
    except FileNotFoundError:
        raise DataError(f"{path}: no such lexicon: all nine languages need one.") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: not valid TOML: {error}.") from None
    except KeyError as error:
        raise DataError(f"{path}: {error} is missing: copy its form from en.toml.") from None


def _build(raw: Mapping[str, Any], code: str) -> Lexicon:
    """Fills the grammar's patterns; every list not derived here is a field by its own name."""
    objects, persons = raw["objects"], raw["persons"]

    def join(pattern: str, thing: Mapping[str, str], **owner: str) -> str:
        form: str = raw[pattern][thing.get("gender", "any")]
        return form.format(**thing, **owner)

    made: dict[str, Any] = {
        "code": code,
        "objects": tuple(thing["noun"] for thing in objects),
        "persons": tuple(person["object"] for person in persons),
        "owned_phrases": tuple(join("owned", thing) for thing in objects),
        "possessed_phrases": tuple(
            tuple(join("possessed", thing, owner=person["owner"]) for person in persons)
            for thing in objects
        ),
    }
    for name in ("capitals", "opposites", "categories", "colours"):
        made[name] = tuple((left, right) for left, right in raw[name])
    for field in fields(Lexicon):
        if field.name not in made:
            value = raw[field.name]
            made[field.name] = tuple(value) if isinstance(value, list) else value
    return Lexicon(**made)
