"""What can be told of a translation without a model: row by row, in any of the nine languages.

    >>> found = check_rows([(english, danish)], BENIGN)
    >>> found[0]
    (Doubt(kind='number', field='response', says='12 is not there'),)
    >>> verdict(found[0])
    'review'

A doubt of `REJECTING` kind makes a row rejected, any other sends it to review:

    missing         no translator gave a text (its doubts say why: refused, cut off, …)
    untranslated    the English text again, though it has words to translate
    wrong-language  in another language than it should be
    damaged         control characters, or letters that were decoded wrongly
    repetition      loops, where the English text does not
    collapse        less than a fifth of the usual length
    placeholder     a template's placeholder, a tag or a link is lost or changed

    partly-english  a sentence of the English text stands there word for word
    unclear         long, and yet of no clear language
    length          2.5 times as long, or as short, as is usual for the language
    number          a number is lost
    protected       code, a file's name, a word with digits, or a name that the user keeps, is lost
    structure       other headings, lists, tables or code blocks than the English text has
    markup          HTML entities that the English text has not
    style           of a style that translations tend to mend (misspellings, slang)

The models' own doubts ("round-trip", "comet") are made in `scores`, and send to review. A field of
which the English side is not English (a riddle in Latin, code) is not asked for its language, and
one that seems to be in none of the nine is believed to be right if another field of its row is.
`benchmarks/parallel_checks.py` measures how often true translations are doubted and how many
swapped ones are caught.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from polydrift.data import suite_texts as texts
from polydrift.judges import text as t
from polydrift.judges.language import OTHER, identify_all
from polydrift.languages import LANGUAGES
from polydrift.parallel.items import SOURCE, Doubt, Form, Item, Status
from polydrift.translate.doubts import weight
from polydrift.translate.protect import changed_structure, lost
from polydrift.translate.sentences import split

REJECTING = frozenset(
    {
        *("missing", "refused", "untranslated", "wrong-language", "damaged", "repetition"),
        *("collapse", "placeholder"),
    }
)
REVIEWING = (
    *("partly-english", "unclear", "length", "number", "protected", "structure", "markup"),
    *("round-trip", "comet", "style"),
)
KINDS = (*sorted(REJECTING), *REVIEWING)

COLLAPSE = 5.0  # times shorter than usual
TOLD = 24  # letters of an alphabet from which a field is asked for its language
BY_SCRIPT = ("zh", "el", "hi", OTHER)  # told in shorter fields too, by their script alone
CLEAR = 120  # letters from which an unclear language is a doubt
SENTENCE = 30  # letters of an English sentence that may not stand in its translation
READ = 1_000  # characters of a text that the identifier is given

Pair = tuple[Item, Item]  # the English item and the same one in another language
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)


def check_rows(
    pairs: Sequence[Pair], form: Form, *, keep: Sequence[str] = ()
) -> list[tuple[Doubt, ...]]:
    """What is doubtful about each pair's second item, in the order of `KINDS` of each field.

    keep: names that no translation changes. Languages are identified together, which uses all
    cores; everything else is done row by row.
    """
    told = _languages(pairs, form)
    return [
        tuple(doubt for name in form.texts for doubt in _field(source, item, name, told, keep))
        for source, item in pairs
    ]


def verdict(doubts: Sequence[Doubt]) -> Status:
    """What the doubts make of a row."""
    if any(doubt.kind in REJECTING for doubt in doubts):
        return "rejected"
    return "review" if doubts else "accepted"


def _languages(pairs: Sequence[Pair], form: Form) -> dict[str, str | None]:
    """The language of every text, English sides included: None if unclear, "" if too short to tell,
    which short texts in a script of one language are not.
    """
    every = dict.fromkeys(one.texts[name] for pair in pairs for one in pair for name in form.texts)
    found = identify_all([t.clean(text[:READ]) for text in every])
    return {
        text: "" if code not in BY_SCRIPT and weight(text[:READ]) < TOLD else code
        for text, code in zip(every, found, strict=True)
    }


def _field(
    source: Item, item: Item, name: str, told: dict[str, str | None], keep: Sequence[str]
) -> Iterator[Doubt]:
    """The doubts about one field."""
    english, text = source.texts[name], item.texts[name]
    if not english.strip():
        return
    if not text.strip():
        yield Doubt("missing", name, "no text")
        return
    if _same(english, text):
        if texts.translatable(_CODE.sub(" ", english)):
            yield Doubt("untranslated", name, "the English text again")
        return
    yield from _language((source, item), name, told)
    if texts.is_damaged(text) and not texts.is_damaged(english):
        yield Doubt("damaged", name, "control characters, or letters that were decoded wrongly")
    if t.loops(text) and not t.loops(english):
        yield Doubt("repetition", name, "says the same over and over")
    yield from _length(english, text, name, item.language)
    yield from _kept(english, text, name, keep)


def _same(english: str, text: str) -> bool:
    return text == english or texts.bare(text) == texts.bare(english)


def _language(pair: Pair, name: str, told: dict[str, str | None]) -> Iterator[Doubt]:
    """Another language than asked; a sentence left in English."""
    source, item = pair
    english, text = source.texts[name], item.texts[name]
    found, sure = told[text], told[english] in (SOURCE, "")
    if found == OTHER and any(told[one] == item.language for one in item.texts.values()):
        found = None  # short Danish is often good Norwegian
    if found not in (None, "", item.language) and sure:
        said = "none of the nine" if found == OTHER else LANGUAGES[str(found)].name
        yield Doubt("wrong-language", name, f"in {said}")
        return
    if found is None and sure and weight(text[:READ]) >= CLEAR:
        yield Doubt("unclear", name, "of no clear language")
    if sure and (left := _left(english, text)):
        yield Doubt("partly-english", name, f"“{left[:60]}” is left in English")


def _left(english: str, text: str) -> str:
    """The first English sentence that stands in a translation word for word, "" if none does."""
    return next((sentence for sentence in _sentences(english) if sentence in text), "")


@lru_cache(maxsize=64)
def _sentences(english: str) -> tuple[str, ...]:
    """The sentences of an English text that no translation leaves as they are."""
    return tuple(
        sentence
        for line in _CODE.sub(" ", english).split("\n")
        if len(line) >= SENTENCE
        for sentence in split(line, SOURCE)
        if len(sentence) >= SENTENCE and texts.translatable(sentence)
    )


def _length(english: str, text: str, name: str, language: str) -> Iterator[Doubt]:
    """Far longer or shorter than is usual."""
    if len(english) < texts.SHORT:
        return
    ratio = len(text) / len(english) / texts.LENGTHS[language]
    if 1 / texts.FACTOR <= ratio <= texts.FACTOR:
        return
    kind = "collapse" if ratio < 1 / COLLAPSE and len(english) >= 3 * texts.SHORT else "length"
    yield Doubt(kind, name, f"{ratio:.2g} of the usual length")


def _kept(english: str, text: str, name: str, keep: Sequence[str]) -> Iterator[Doubt]:
    """What a translation must keep: placeholders, numbers, code and names, its structure."""
    gone = texts.placeholders(english) - texts.placeholders(text)
    if gone:
        yield Doubt("placeholder", name, f"{_some(sorted(gone))} not there")
    if numbers := texts.lost_numbers(english, text):
        yield Doubt("number", name, f"{_some(numbers)} not there")
    other = [span for span in lost(english, text, keep) if span not in gone]
    other = [span for span in other if not any(span in one or one in span for one in gone)]
    if other:
        yield Doubt("protected", name, f"{_some(other)} not there")
    if changed := changed_structure(english, text):
        yield Doubt("structure", name, _some(changed))
    if texts.entities(text) - texts.entities(english):
        yield Doubt("markup", name, "HTML entities that the English text has not")


def _some(found: Sequence[str]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(one[:40] for one in found[:3]) + more
