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
prompt, and the one that gives the source's own row is put on the translation. SORRY-Bench's rows
begin with instructions how to read the cipher; they stay as they are, in English. Where no form
fits, the row is left out and said so, and no guess is made. CipherChat (Yuan et al. 2023, arXiv
2308.06463), from which the ciphers come, writes its capitals and its punctuation its own way.
Letters outside an alphabet stay as they are: Caesar and Atbash turn the letters A to Z, and in
Greek the 24 of the Greek alphabet, without accents. Morse has the codes of ITU-R M.1677 with those
for é, and the usual ones for Danish, Spanish and Greek letters; other accents go. For Han and
Devanagari there is no alphabet to shift and no common Morse code, only "ascii", which writes code
points.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping

FRAGILE = ("misspellings", "slang", "uncommon_dialects")

_LATIN, _GREEK = "abcdefghijklmnopqrstuvwxyz", "αβγδεζηθικλμνξοπρστυφχψω"
_SHIFT = 3  # Caesar's
_UNALPHABETIC = ("zh", "hi")
_LATIN_CODES = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- "
    "-..- -.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
_GREEK_CODES = (
    ".- -... --. -.. . --.. .... -.-. .. -.- .-.. -- -. -..- --- .--. .-. ... - -.-- ..-. ---- "
    "--.- .--"
)
_MORSE = dict(zip(_LATIN + "0123456789", _LATIN_CODES.split(), strict=True))
_MORSE |= dict(zip(_GREEK, _GREEK_CODES.split(), strict=True))
_MORSE |= {"æ": ".-.-", "ø": "---.", "å": ".--.-", "ñ": "--.--", "é": "..-.."}
_SIGNS = {
    **{".": ".-.-.-", ",": "--..--", "?": "..--..", "'": ".----.", "!": "-.-.--", "/": "-..-."},
    **{"(": "-.--.", ")": "-.--.-", "&": ".-...", ":": "---...", ";": "-.-.-.", "=": "-...-"},
    **{"+": ".-.-.", "-": "-....-", "_": "..--.-", '"': ".-..-.", "$": "...-..-", "@": ".--.-."},
}
_CIPHERCHAT = dict.fromkeys(".?/-()")  # the signs that its Morse table has
_BLANKS = " \t\r\n"


def assemble(style: str, row: str, english: str, translation: str, language: str) -> str | None:
    """The translation of a base prompt in an encoded style; None if it has none.

    row: the source's own row in that style, with or without instructions before the cipher.
    english: the base prompt. None where no known form of the cipher gives the row, or where the
    language has no alphabet for it.
    """
    if style != "ascii" and language in _UNALPHABETIC:
        return None
    found = _read(style, row, english)
    return None if found is None else found[0] + found[1](translation).strip(_BLANKS)


def instructions(style: str, row: str, english: str) -> str:
    """What stands before the cipher in the source's own row: how to read it, "" if nothing."""
    found = _read(style, row, english)
    return "" if found is None else found[0]


def _read(style: str, row: str, english: str) -> tuple[str, Callable[[str], str]] | None:
    """What stands before the cipher in a row, and the form that it has."""
    row = row.strip(_BLANKS)
    for form in _forms(style):
        cipher = form(english).strip(_BLANKS)
        before = row.removesuffix(cipher)
        if cipher and row.endswith(cipher) and (not before or before[-1] in _BLANKS):
            return before, form
    return None


def _forms(style: str) -> Iterator[Callable[[str], str]]:
    """The ways in which a cipher is usually written, CipherChat's last."""
    if style == "ascii":
        for between in (" ", ", ", ",", "\n"):
            yield lambda text, b=between: b.join(str(ord(c)) for c in text)  # type: ignore[misc]  # mypy infers no type for a lambda's default
        yield lambda text: "\n".join(_words(text))
        yield lambda text: " \n".join(" ".join(str(ord(c)) for c in x) for x in text.split("\n"))
    elif style == "caesar":
        yield lambda text: _turned(text, lambda at, size: (at + _SHIFT) % size)
    elif style == "atbash":
        yield lambda text: _turned(text, lambda at, size: size - 1 - at)
        yield _atbash_of_cipherchat
    elif style == "morse":
        for word in (" / ", "/", "   ", " "):
            yield lambda text, w=word: _morse(text, w, _SIGNS, drop=False)  # type: ignore[misc]  # as above
            yield lambda text, w=word: _morse(text, w, _SIGNS, drop=True)  # type: ignore[misc]  # as above
        yield _morse_of_cipherchat


def _atbash_of_cipherchat(text: str) -> str:
    """Atbash that takes the capitals A to Z from the code of small ones, to control characters."""
    ends = ord("a") + ord("z")
    turned = _turned(text, lambda at, size: size - 1 - at)
    return "".join(
        chr(ends - ord(was)) if "A" <= was <= "Z" else now
        for was, now in zip(_greek_plain(text), turned, strict=True)
    )


def _morse_of_cipherchat(text: str) -> str:
    """Morse code line by line, two blanks between words, most punctuation as it is."""
    signs = {sign: _SIGNS[sign] for sign in _CIPHERCHAT}
    lines = text.upper().split("\n")
    return " \n".join(_morse(line, "  ", signs, drop=False) for line in lines)


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


def _morse(text: str, between: str, signs: Mapping[str, str], *, drop: bool) -> str:
    """Morse code; signs: those that have one; drop: others go, instead of standing as they are."""
    words = []
    for word in _greek_plain(text).split():
        codes = []
        for letter in word:
            small = letter.lower()
            code = _MORSE.get(small) or _MORSE.get(_bare(small)) or signs.get(letter)
            if code or not drop:
                codes.append(code or letter)
        words.append(" ".join(codes))
    return between.join(words)
