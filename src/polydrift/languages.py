"""The nine languages of the study, by ISO 639-1 code.

`LANGUAGES` is ordered as in the paper (PROTOCOL of arXiv 2606.28843); tables and figures keep that
order. A study may use any subset of them; other codes are refused until rules exist for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from polydrift.errors import DataError


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    code: ISO 639-1 ("tl" stands for Tagalog, as in the paper). nllb: the FLORES-200 code that NLLB
    translators take. script: ISO 15924 code of the script it is written in.
    """

    code: str
    name: str
    endonym: str
    nllb: str
    script: str


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("en", "English", "English", "eng_Latn", "Latn"),
        Language("zh", "Chinese", "中文", "zho_Hans", "Hans"),
        Language("da", "Danish", "dansk", "dan_Latn", "Latn"),
        Language("el", "Greek", "ελληνικά", "ell_Grek", "Grek"),
        Language("hi", "Hindi", "हिन्दी", "hin_Deva", "Deva"),
        Language("ga", "Irish", "Gaeilge", "gle_Latn", "Latn"),
        Language("pt", "Portuguese", "português", "por_Latn", "Latn"),
        Language("es", "Spanish", "español", "spa_Latn", "Latn"),
        Language("tl", "Tagalog", "Tagalog", "tgl_Latn", "Latn"),
    )
}


def language(code: str) -> Language:
    """The language of a code; DataError names the known ones when there is none."""
    try:
        return LANGUAGES[code]
    except KeyError:
        raise DataError(f"unknown language {code!r}: use one of {', '.join(LANGUAGES)}.") from None


def in_order(codes: Iterable[str]) -> list[str]:
    """The given codes without repeats, in the order of `LANGUAGES`."""
    wanted = set(codes)
    return [code for code in LANGUAGES if code in wanted]
