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
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lingua import LanguageDetector

OTHER = "other"  # a language that the rules do not know
FLOOR = 0.6  # confidence below which a Latin text is undetermined
SURE = 0.9  # confidence at which a neighbour overrules the six
SHORTEST = 4  # letters; less is undetermined
LONG = 80  # letters from which a neighbour is considered
READ = 320  # characters looked at

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
_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|https?://\S+|\S+@\S+|\\[A-Za-z]+", re.DOTALL)


def identify(text: str) -> str | None:
    """The code of the text's language, OTHER for one that is not of the nine, None if undetermined.

    text: an answer as `text.clean` leaves it; its first READ characters decide, code blocks apart.
    """
    return _identify(_NOT_PROSE.sub(" ", text)[:READ])


@lru_cache(maxsize=1 << 16)
def _identify(text: str) -> str | None:
    """`identify` without the preparation, remembered by text."""
    count = {script: len(pattern.findall(text)) for script, pattern in _SCRIPTS.items()}
    han = count["zh"]
    count["zh"] *= 3  # a Han character is worth about three letters of an alphabet
    if count["kana"]:
        count["zh"] = 0 if count["kana"] * 2 > han else count["zh"]
        count[OTHER] += count["kana"] * 3
    script = max((name for name in count if name != "kana"), key=count.__getitem__)
    if not count[script] or (script != "zh" and count[script] < SHORTEST):
        return None
    return script if script != "latin" else _latin(text, count["latin"])


def _latin(text: str, letters: int) -> str | None:
    """The language of a text in Latin letters."""
    six, wide = _detectors()
    if letters >= LONG:
        halves = (text[: len(text) // 2], text[len(text) // 2 :])
        best = [wide.compute_language_confidence_values(half)[0] for half in halves]
        if all(b.value >= SURE and b.language.name in _NEIGHBOURS for b in best):
            return OTHER
    likeliest = six.compute_language_confidence_values(text)[0]
    if likeliest.value < FLOOR:
        return None
    return next(code for code, name in _LATIN.items() if name == likeliest.language.name)


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
