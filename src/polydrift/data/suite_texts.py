"""What can be seen in a prompt's text, in any script, alone or beside its English.

    bare("How do I kill a Python process?!")      # "howdoikillapythonprocess"
    lost_number("In 1977 …", "I 1997 …")          # True
    is_out_of_length("Hej", "a long text …", "da")

No rule counts words or looks for letters of one alphabet, unless the text is known to be English.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

# Characters of a translation for one of the English text: medians over the 1,004 sentences of
# SIB-200 (FLORES), `python benchmarks/suites.py`.
LENGTHS = {"zh": 0.32, "da": 1.02, "el": 1.2, "hi": 1.0, "ga": 1.15, "pt": 1.08, "es": 1.19}
LENGTHS |= {"tl": 1.26}
FACTOR = 2.5  # how far from the usual length is out of it
SHORT = 20  # characters of English below which lengths say nothing

_SPACES = re.compile(r"\s+")
# {name} {{name}} ${name} %s %(name)d, <b> </b> <a href="…">, and links. Words in angle or square
# brackets are often meant to be translated.
_PLACEHOLDER = re.compile(
    r"\$?\{[^{}\s]{0,40}\}|%\(\w{1,40}\)[sdif]|%[sdif]\b"
    r"|</?[a-zA-Z][\w-]{0,20}(?:\s[^<>\n]{0,200}=[^<>\n]{0,200})?/?>"
    r"|https?://[!-~]*[A-Za-z0-9/]"
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|amp|quot|apos|lt|gt|nbsp);")
# Control characters but tab and line ends; direction overrides; byte order marks inside; the
# replacement character; private use. And "Ã©": UTF-8 that was read as Latin-1 or Windows-1252.
_DAMAGE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffd\ue000-\uf8ff]"
    r"|[ÃÂ][\u00a0-\u00bf]|â€[™œ“”˜\u009d]"
)
# 330,000 330.000 330 000, and 3,30,000 as India writes it
_GROUPED = re.compile(r"(?<=\d)[.,\u00a0\u202f' ](?=(?:\d\d,)*\d{3}(?!\d))")
_NUMBER = re.compile(r"\d+")
_LOWER_WORD = re.compile(r"\b[a-z]{2,}\b")
_ROMAN = {
    **{"10": "X", "11": "XI", "12": "XII", "13": "XIII", "14": "XIV", "15": "XV", "16": "XVI"},
    **{"17": "XVII", "18": "XVIII", "19": "XIX", "20": "XX", "21": "XXI"},
}


def plain(text: str) -> str:
    """The text with composed letters and single spaces."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()


@lru_cache(maxsize=1 << 14)
def bare(text: str) -> str:
    """The text without case, spaces, punctuation and symbols; vowel signs stay."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_not_letters())


@cache
def _not_letters() -> dict[int, None]:
    """Every character that is no letter, mark or digit (pictographs included), to nothing."""
    return {c: None for c in range(0x20000) if unicodedata.category(chr(c))[0] in "PSZC"}


def is_damaged(text: str) -> bool:
    """Control characters, or signs of a wrong decoding."""
    return bool(_DAMAGE.search(text))


def placeholders(text: str) -> set[str]:
    """Placeholders of templates, tags and links, which no translation changes."""
    return set(_PLACEHOLDER.findall(text))


def entities(text: str) -> set[str]:
    """HTML entities, which some translation services leave in plain text."""
    return set(_ENTITY.findall(text))


def translatable(english: str) -> bool:
    """Whether an English text has words to translate: two in lower case, besides links and tags."""
    return len(_LOWER_WORD.findall(_PLACEHOLDER.sub(" ", english))) >= 2


def numbers(text: str) -> set[str]:
    """The numbers of a text, as Western digits without separators or leading zeros."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_western())
    return {digits.lstrip("0") for digits in _NUMBER.findall(_GROUPED.sub("", text))} - {""}


@cache
def _western() -> dict[int, str]:
    """Every decimal digit of another script, to the Western one."""
    digits = ((c, chr(c)) for c in range(0x80, 0x20000))
    return {c: str(unicodedata.digit(digit)) for c, digit in digits if digit.isdecimal()}


def lost_number(english: str, text: str) -> bool:
    """Whether a number (of two digits or more) of the English text is not in its translation."""
    return bool(lost_numbers(english, text))


def lost_numbers(english: str, text: str) -> list[str]:
    """The numbers (of two digits or more) of the English text that its translation has not.

    Kept are also centuries in Roman numerals, decades without their century (1960s, 60), and
    thousands and ten thousands in words (330,000, 33万).
    """
    wanted = [number for number in numbers(english) if len(number) > 1]
    there = numbers(text) if wanted else set()

    def kept(number: str) -> bool:
        forms = {number, number.removesuffix("000"), number.removesuffix("0000")}
        if len(number) == 4 and number.endswith("0"):
            forms.add(number[2:])
        roman = _ROMAN.get(number)
        return bool(forms & there) or bool(roman and re.search(rf"\b{roman}\b", text))

    return sorted(number for number in wanted if not kept(number))


def is_out_of_length(text: str, english: str, language: str) -> bool:
    """Whether a translation is FACTOR times as long, or as short, as is usual."""
    if len(english) < SHORT:
        return False
    ratio = len(text) / len(english) / LENGTHS[language]
    return not 1 / FACTOR <= ratio <= FACTOR
