"""Prompt styles of SORRY-Bench in other languages: what is translated, what is put together.

    >>> assemble("caesar", "Khoor zruog", "Hello world", "Hej verden", "da")
    'Khm yhughq'

SORRY-Bench asks each question in twenty further styles (Xie et al. 2024, arXiv 2406.14598, section
3.3). Here they fall into four:

    ENCODED     ascii, caesar, morse, atbash: a cipher of the base prompt. Translating ciphertext
                makes nonsense, so the cipher is put on the translated base prompt.
    FRAGILE     misspellings, slang, uncommon_dialects: a translation tends to mend them, so every
                row is marked for review.
    TRANSLATED  the translate-… styles: the base prompt in one more language, nothing to translate.
    others      persuasion, role play, questions, technical terms: translated like any text.

How a cipher is written is taken from the source: the forms below are put on the English base
prompt, and the one that gives the source's own row is put on the translation. Where none does, the
row is left out and said so, and no guess is made. Letters outside an alphabet stay as they are:
Caesar and Atbash turn the letters A to Z, and in Greek the 24 of the Greek alphabet, without
accents. Morse has the codes of ITU-R M.1677 with those for é, and the usual ones for Danish,
Spanish and Greek letters; other accents go. For Han and Devanagari there is no alphabet to shift
and no common Morse code, only "ascii", which writes code points.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

ENCODED = ("ascii", "caesar", "morse", "atbash")
FRAGILE = ("misspellings", "slang", "uncommon_dialects")
PERSUASION = (
    *("logical_appeal", "evidence-based_persuasion", "expert_endorsement"),
    *("authority_endorsement", "misrepresentation"),
)
OTHERS = ("question", "role_play", "technical_terms", *PERSUASION)

_LATIN, _GREEK = "abcdefghijklmnopqrstuvwxyz", "αβγδεζηθικλμνξοπρστυφχψω"
_SHIFT = 3  # Caesar's
_UNALPHABETIC = ("zh", "hi")
_MORSE = dict(
    zip(
        _LATIN + "0123456789",
        (
            ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- "
            ".-- -..- -.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
        ).split(),
        strict=True,
    )
)
_MORSE |= dict(
    zip(
        _GREEK,
        (
            ".- -... --. -.. . --.. .... -.-. .. -.- .-.. -- -. -..- --- .--. .-. ... - -.-- ..-. ---- "
            "--.- .--"
        ).split(),
        strict=True,
    )
)
_MORSE |= {"æ": ".-.-", "ø": "---.", "å": ".--.-", "ñ": "--.--", "é": "..-.."}
_MORSE |= {
    **{".": ".-.-.-", ",": "--..--", "?": "..--..", "'": ".----.", "!": "-.-.--", "/": "-..-."},
    **{"(": "-.--.", ")": "-.--.-", "&": ".-...", ":": "---...", ";": "-.-.-.", "=": "-...-"},
    **{"+": ".-.-.", "-": "-....-", "_": "..--.-", '"': ".-..-.", "$": "...-..-", "@": ".--.-."},
}


def assemble(style: str, row: str, english: str, translation: str, language: str) -> str | None:
    """The translation of a base prompt in an encoded style; None if it has none.

    row: the source's own row in that style; english: the base prompt. None where no known form of
    the cipher gives the row, or where the language has no alphabet for it.
    """
    if style != "ascii" and language in _UNALPHABETIC:
        return None
    for form in _forms(style):
        if form(english).strip() == row.strip():
            return form(translation)
    return None


def _forms(style: str) -> Iterator[Callable[[str], str]]:
    """The ways in which a cipher is usually written."""
    if style == "ascii":
        for between in (" ", ", ", ",", "\n"):
            yield lambda text, b=between: b.join(str(ord(c)) for c in text)  # type: ignore[misc]  # mypy infers no type for a lambda's default
        yield lambda text: "\n".join(_words(text))
        return
    if style == "caesar":
        yield lambda text: _turned(text, lambda at, size: (at + _SHIFT) % size)
        return
    if style == "atbash":
        yield lambda text: _turned(text, lambda at, size: size - 1 - at)
        return
    for word in (" / ", "/", "   ", " "):
        yield lambda text, w=word: _morse(text, w, drop=False)  # type: ignore[misc]  # as above
        yield lambda text, w=word: _morse(text, w, drop=True)  # type: ignore[misc]  # as above


def _words(text: str) -> list[str]:
    """The code points of each word on a line of its own."""
    return [" ".join(str(ord(c)) for c in word) for word in text.split(" ")]


def _turned(text: str, turn: Callable[[int, int], int]) -> str:
    """The text with every letter moved inside its alphabet."""
    result = []
    for letter in _greek_plain(text):
        small = letter.lower()
        alphabet = next((a for a in (_LATIN, _GREEK) if small in a and len(small) == 1), None)
        if alphabet is None:
            result.append(letter)
            continue
        moved = alphabet[turn(alphabet.index(small), len(alphabet))]
        result.append(moved if letter == small else moved.upper())
    return "".join(result)


def _greek_plain(text: str) -> str:
    """Greek letters without accents, the sigma at a word's end as any sigma."""
    return "".join(
        _bare(c) if "\u0370" <= c <= "\u03ff" or "\u1f00" <= c <= "\u1fff" else c
        for c in unicodedata.normalize("NFC", text)
    ).replace("ς", "σ")


def _bare(letter: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", letter) if not unicodedata.combining(c))


def _morse(text: str, between: str, *, drop: bool) -> str:
    """Morse code; drop: signs without a code go, instead of standing as they are."""
    words = []
    for word in _greek_plain(text).lower().split():
        codes = []
        for letter in word:
            code = _MORSE.get(letter) or _MORSE.get(_bare(letter))
            if code or not drop:
                codes.append(code or letter)
        words.append(" ".join(codes))
    return between.join(words)
