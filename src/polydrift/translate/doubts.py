"""What shows that a translation went wrong, seen from the sentence and its English alone.

    >>> doubts("Bland mel og sukker, og rør så æggene i lidt efter lidt.", "Mix.", "da")
    ('collapse',)

    empty          the answer says nothing (thinking and markup apart); nothing was translated
    untranslated   no English came back: nothing at all, still another language, or the same words
    collapse       far shorter than true translations are: something was dropped
    repetition     the same words over and over where the sentence has none, or far longer than
                   true translations are
    undetermined-language   the answer's language cannot be told: the language asked was assumed
    other-language          the answer is in none of the nine: left as it is

Length is counted in letters and digits, a Han character as three. A translation is called short if
its length + SLACK < low · the sentence's, long if its length − 2 SLACK > high · the sentence's.
`BOUNDS` holds the 0.25th, 50th and 99.75th percentile of the ratio over 1,004 true pairs of
FLORES-200 for each language (benchmarks/translate.py computes them anew, and says how often true
pairs, long and short, are doubted and how many halves are caught).
"""

from __future__ import annotations

import re

from polydrift.judges.language import OTHER, identify
from polydrift.judges.text import letters, loops

KINDS = (
    "repetition",
    "collapse",
    "untranslated",
    "empty",
    "undetermined-language",
    "other-language",
)
SLACK = 8  # letters; ratios of short sentences vary more
SHORT = 12  # letters: in fewer, Latin words of one language are not told from those of another
HAN = 3  # letters that a Han character is worth

# English letters for one of the language: 0.25th, 50th, 99.75th percentile
BOUNDS: dict[str, tuple[float, float, float]] = {
    "zh": (0.56, 0.98, 1.67),
    "da": (0.68, 0.97, 1.46),
    "el": (0.51, 0.82, 1.35),
    "hi": (1.09, 1.69, 2.63),
    "ga": (0.62, 0.87, 1.29),
    "pt": (0.59, 0.92, 1.29),
    "es": (0.56, 0.84, 1.27),
    "tl": (0.48, 0.78, 1.12),
}

_BY_SCRIPT = ("zh", "el", "hi", OTHER)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_RUN = 4  # times in a row
_LONGEST = 8  # words of what is repeated
_WORDS = re.compile(r"\w+")


def doubts(sentence: str, english: str, language: str) -> tuple[str, ...]:
    """What is doubtful about `english` as a translation of `sentence`, () if nothing.

    language: code of the sentence's language, one of the nine but English. Of "untranslated",
    "collapse" and "repetition".
    """
    if not letters(english):
        return ("untranslated",) if letters(sentence) else ()
    found = []
    if _foreign(english) or _copied(sentence, english):
        found.append("untranslated")
    low, _, high = BOUNDS[language]
    source, size = weight(sentence), weight(english)
    if size + SLACK < low * source:
        found.append("collapse")
    if size - 2 * SLACK > high * source or (_repeats(english) and not _repeats(sentence)):
        found.append("repetition")
    return tuple(found)


def weight(text: str) -> int:
    """The length of a text in letters of an alphabet."""
    return letters(text) + (HAN - 1) * len(_HAN.findall(text))


def distance(sentence: str, english: str, language: str) -> float:
    """How far the ratio of lengths is from the usual one: 1 is the usual one, 2 double or half."""
    ratio = max(1, weight(english)) / max(1, weight(sentence)) / BOUNDS[language][1]
    return max(ratio, 1 / ratio)


def _foreign(english: str) -> bool:
    """Whether what should be English is in another language."""
    found = identify(english)
    if found in ("en", None):
        return False
    return found in _BY_SCRIPT or weight(english) >= SHORT


def _copied(sentence: str, english: str) -> bool:
    """Whether the "translation" is the sentence again; one or two words may be a name."""
    words = _WORDS.findall(sentence.casefold())
    return len(words) >= 3 and words == _WORDS.findall(english.casefold())


def _repeats(text: str) -> bool:
    """Whether a text loops, or says the same one to eight words four times in a row.

    Words are runs of letters; in Chinese, which writes no blanks, characters.
    """
    if loops(text):
        return True
    words = _WORDS.findall(text.casefold())
    if len(_HAN.findall(text)) * 2 > letters(text):
        words = list("".join(words))
    for size in range(1, _LONGEST + 1):
        run = 0
        for i in range(size, len(words)):
            run = run + 1 if words[i] == words[i - size] else 0
            if run >= size * (_RUN - 1) and not words[i].isdigit():
                return True
    return False
