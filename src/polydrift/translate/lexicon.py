"""A phrasebook as a translator: exact, offline, and only as good as its rows.

    {"language": "da", "text": "Selvfølgelig, her er trinene:", "english": "Of course, here …"}
    {"language": "da", "text": "spørg en ven.", "english": "ask a friend."}

    >>> Lexicon(path).translate(["Selvfølgelig, her er trinene: spørg en ven."], "da")
    ['Of course, here are the steps: ask a friend.']

A sentence is looked up whole, then phrase by phrase from its beginning, the longest that fits, at
the bounds of words (in Chinese anywhere). What no row knows is kept as it is, and where that is
most of the sentence there is no translation (""). Case and blanks do not count.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from polydrift.data import lines
from polydrift.errors import DataError
from polydrift.judges.text import letters
from polydrift.languages import language as known
from polydrift.translate.interface import Progress, silent


class Lexicon:
    """The rows of one file, by language."""

    def __init__(self, path: Path) -> None:
        """DataError names file and line: a column missing or empty, an unknown language, or a text
        that has another translation already. path: JSON lines, or .jsonl.gz; further columns are
        ignored.
        """
        self._rows: dict[str, dict[str, str]] = {}
        self._by_first: dict[str, dict[str, list[str]]] = {}
        places: dict[tuple[str, str], str] = {}
        for where, row in lines.read(path):
            code = lines.language_code(row, "language", where)
            text = _normal(lines.text(row, "text", where))
            english = lines.text(row, "english", where)
            if code == "en":
                raise DataError(f"{where}: an English text needs no translation: remove the row.")
            rows = self._rows.setdefault(code, {})
            if rows.setdefault(text, english) != english:
                raise DataError(
                    f"{where}: {text!r} has another translation at {places[code, text]}: give "
                    "each text once per language."
                )
            places.setdefault((code, text), where)
        for code, rows in self._rows.items():
            first = self._by_first.setdefault(code, {})
            for text in sorted(rows, key=len, reverse=True):
                first.setdefault(text[0], []).append(text)

    def translate(
        self, sentences: Sequence[str], source: str, progress: Progress = silent
    ) -> list[str]:
        """See `Translator.translate`."""
        code = known(source).code
        found = [self._sentence(sentence, code) for sentence in sentences]
        progress(1.0, f"{len(found)} of {len(found)} sentences")
        return found

    def _sentence(self, sentence: str, code: str) -> str:
        text = _normal(sentence)
        whole = self._rows.get(code, {}).get(text)
        return whole if whole is not None else self._phrases(text, code)

    def _phrases(self, text: str, code: str) -> str:
        """Phrase by phrase; "" if most letters belong to none."""
        pieces: list[str] = []
        unknown = kept = at = 0  # letters in no phrase; the text before `kept` is in `pieces`
        while at < len(text):
            phrase = self._longest(text, at, code)
            if phrase is None:
                unknown += text[at].isalnum()
                at += 1
                continue
            pieces += [text[kept:at].strip(), self._rows[code][phrase]]
            kept = at = at + len(phrase)
        pieces.append(text[kept:].strip())
        return "" if 2 * unknown > letters(text) else " ".join(filter(None, pieces))

    def _longest(self, text: str, at: int, code: str) -> str | None:
        """The longest phrase at a place, if a word begins there."""
        spaced = code != "zh"
        if spaced and at and text[at - 1].isalnum():
            return None
        for phrase in self._by_first.get(code, {}).get(text[at], []):
            end = at + len(phrase)
            inside = spaced and phrase[-1].isalnum() and text[end : end + 1].isalnum()
            if not inside and text.startswith(phrase, at):
                return phrase
        return None


def _normal(text: str) -> str:
    """What texts are compared by: NFC, small letters, single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
