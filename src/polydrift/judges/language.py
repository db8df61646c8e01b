"""Which language an answer is in: one of the nine, another one, or not to be told.

Script decides for Greek, Devanagari and Han (Han with many kana is Japanese: another language), and
for every script that none of the nine uses. Latin letters go to lingua twice: a careful detector
among the six Latin languages of the study, and a light one with their neighbours (Norwegian,
French, Indonesian, …) that may only overrule it when the text is long and the light one sure of
both its halves: short Danish is often good Norwegian, and a list of names is in no language.

Short texts are treated honestly: below the floor of confidence the answer is None, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lingua import ConfidenceValue, LanguageDetector

OTHER = "other"  # a language that the rules do not know
FLOOR = 0.6  # confidence below which a Latin text is undetermined
SURE = 0.9  # confidence at which a neighbour overrules the six
SHORTEST = 4  # letters; less is undetermined
LONG = 80  # letters from which a neighbour is considered
READ = 320  # characters looked at
REMEMBERED = 1 << 16  # texts whose language is kept

_LATIN = {"en": "ENGLISH", "da": "DANISH", "ga": "IRISH", "pt": "PORTUGUESE", "es": "SPANISH"} | {
    "tl": "TAGALOG"
}
_NEIGHBOURS = (
    *("BOKMAL", "NYNORSK", "SWEDISH", "FRENCH", "ITALIAN", "GERMAN", "DUTCH", "CATALAN"),
    *("INDONESIAN", "MALAY", "WELSH", "TURKISH", "VIETNAMESE", "POLISH", "ROMANIAN", "SWAHILI"),
    *("FINNISH", "HUNGARIAN", "CZECH"),
)
_SCRIPTS = {
    "latin": re.compile(
        r"[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]"
    ),
    "el": re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
    "zh": re.compile(r"[\u3400-\u9fff\uf900-\ufaff]"),
    "kana": re.compile(r"[\u3041-\u30ff]"),
    OTHER: re.compile(  # Cyrillic to Arabic; Bengali to Tibetan; Burmese to Khmer; Hangul
        r"[\u0400-\u08ff\u0980-\u0fff\u1000-\u17ff\uac00-\ud7a3]"
    ),
}
_NOT_PROSE = (  # what tells nothing of the language, with a sign that it has
    ("```", re.compile(r"```.*?(?:```|\Z)", re.DOTALL)),
    ("http", re.compile(r"https?://\S+")),
    ("@", re.compile(r"[^\s@]{1,64}@\S+")),  # bounded, or text without blanks takes its square
    ("\\", re.compile(r"\\[A-Za-z]+")),
)


def identify(text: str) -> str | None:
    """The code of the text's language, OTHER for one that is not of the nine, None if undetermined.

    text: an answer as `text.clean` leaves it; its first READ characters decide, code blocks apart.
    """
    read = _read(text)
    return _KNOWN[read] if read in _KNOWN else identify_all([text])[0]


def identify_all(texts: Sequence[str]) -> list[str | None]:
    """`identify` of each text, each distinct one once; lingua reads them on all cores together."""
    read = [_read(text) for text in texts]
    if len(_KNOWN) > REMEMBERED:
        _KNOWN.clear()
    new = [text for text in dict.fromkeys(read) if text not in _KNOWN]
    if new:
        _KNOWN.update(zip(new, _identify(new), strict=True))
    return [_KNOWN[text] for text in read]


_KNOWN: dict[str, str | None] = {}  # what was read of a text -> its language


def _read(text: str) -> str:
    """What is read of a text: its beginning without code and addresses."""
    for sign, pattern in _NOT_PROSE:
        if sign in text:
            text = pattern.sub(" ", text)
    return text[:READ]


def _identify(texts: Sequence[str]) -> list[str | None]:
    """The languages of distinct texts as they are read."""
    scripts = [_script(text) for text in texts]
    latin = [number for number, script in enumerate(scripts) if script == "latin"]
    found = [None if script == "latin" else script for script in scripts]
    for number, code in zip(latin, _latin([texts[n] for n in latin]), strict=True):
        found[number] = code
    return found


def _script(text: str) -> str | None:
    """The script that prevails; None if there is too little of any."""
    if text.isascii():
        return "latin" if len(_SCRIPTS["latin"].findall(text)) >= SHORTEST else None
    count = {script: len(pattern.findall(text)) for script, pattern in _SCRIPTS.items()}
    han = count["zh"]
    count["zh"] *= 3  # a Han character is worth about three letters of an alphabet
    if count["kana"]:
        count["zh"] = 0 if count["kana"] * 2 > han else count["zh"]
        count[OTHER] += count["kana"] * 3
    script = max((name for name in count if name != "kana"), key=count.__getitem__)
    if not count[script] or (script != "zh" and count[script] < SHORTEST):
        return None
    return script


def _latin(texts: Sequence[str]) -> list[str | None]:
    """The languages of texts in Latin letters."""
    if not texts:
        return []
    six, wide = _detectors()
    others = [text for text in texts if len(_SCRIPTS["latin"].findall(text)) >= LONG]
    for half in (0, 1):  # few are strange in their first half, so few second ones are read
        halves = [
            text[: len(text) // 2] if half == 0 else text[len(text) // 2 :] for text in others
        ]
        others = [
            text
            for text, best in zip(others, _likeliest(wide, halves), strict=True)
            if best.value >= SURE and best.language.name in _NEIGHBOURS
        ]
    strange = set(others)
    ours = [text for text in texts if text not in strange]
    code = {name: code for code, name in _LATIN.items()}
    known = {
        text: code[best.language.name] if best.value >= FLOOR else None
        for text, best in zip(ours, _likeliest(six, ours), strict=True)
    }
    return [OTHER if text in strange else known[text] for text in texts]


def _likeliest(detector: LanguageDetector, texts: Sequence[str]) -> list[ConfidenceValue]:
    """The likeliest language of each text with its confidence."""
    if len(texts) == 1:
        return [detector.compute_language_confidence_values(texts[0])[0]]
    return [
        values[0] for values in detector.compute_language_confidence_values_in_parallel(list(texts))
    ]


@cache
def _detectors() -> tuple[LanguageDetector, LanguageDetector]:
    """The careful detector of the six and the light one of all, built at first need (0.7 s)."""
    from lingua import Language, LanguageDetectorBuilder

    six = [getattr(Language, name) for name in _LATIN.values()]
    wide = six + [getattr(Language, name) for name in _NEIGHBOURS]
    return (
        LanguageDetectorBuilder.from_languages(*six).build(),
        LanguageDetectorBuilder.from_languages(*wide).with_low_accuracy_mode().build(),
    )
