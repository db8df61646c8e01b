"""An answer as pieces: what is to be translated sentence by sentence, and what stays as it stands.

    >>> [(p.text, p.translated) for p in pieces("1. Bland mel. Vent.\\n```\\nx = 1\\n```", "da")]
    [('1. ', False), ('Bland mel.', True), (' ', False), ('Vent.', True), ('\\n', False),
     ('```\\nx = 1\\n```', False)]

The pieces joined are the answer again, emphasis (**, __, ~~) and doubled blanks between sentences
apart, so that a list stays a list with its numbers and its line breaks. Code blocks stay, and so do
list markers, headings' and quotations' signs, the bars of tables, and all that holds no letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from polydrift.translate.sentences import split

_THINK = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THINK_END = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?[A-Za-z][^<>\n]{0,80}>")
_BREAKS = re.compile(r"\r\n?|\u0085|\u2028|\u2029|<br ?/?>", re.IGNORECASE)
# joiners (U+200C, U+200D) stay: Hindi and emoji are written with them; lone surrogates go
_INVISIBLE = re.compile(
    r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e"
    r"\u2060-\u2069\ufeff\ud800-\udfff]"
)
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_EMPHASIS = re.compile(r"\*{2,3}|__+|~~|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])")
_MARKER = re.compile(
    r"[ \t]*(?:(?:#{1,6}|>+|[-*•‣–+]|\[[ xX]\]|\(?\d{1,3}[.)]|\(?[^\W\d_]\))(?:[ \t]+|\Z)"
    r"|\(?\d{1,3}[、．）][ \t]*|[①-⑳][ \t]*)*"
)
_CELL = re.compile(r"(\|)")


class Piece(NamedTuple):
    """A part of an answer. translated: whether it is a sentence to be translated."""

    text: str
    translated: bool


def spoken(answer: str) -> str:
    """What an answer says, NFC: no thinking, tags, control or invisible signs; lines stay lines.

    An opened and never closed <think> runs to the end. The same rules as `judges.text.clean`,
    without its limit and its changes of punctuation.
    """
    text = _BREAKS.sub("\n", answer)
    if "<" in text:
        text = _TAGS.sub("", _THINK_END.sub("", _THINK.sub("", text)))
    return _INVISIBLE.sub("", unicodedata.normalize("NFC", text)).strip()


def pieces(text: str, language: str) -> list[Piece]:
    """The pieces of a text that `spoken` made, written in `language` (code of one of the nine)."""
    found: list[Piece] = []
    at = 0
    for code in _CODE.finditer(text):
        found += _prose(text[at : code.start()], language)
        found.append(Piece(code[0], False))
        at = code.end()
    found += _prose(text[at:], language)
    return [piece for piece in found if piece.text]


def _prose(text: str, language: str) -> Iterator[Piece]:
    """The pieces of text without code blocks."""
    for number, line in enumerate(text.split("\n")):
        if number:
            yield Piece("\n", False)
        yield from _line(_EMPHASIS.sub("", line), language)


def _line(line: str, language: str) -> Iterator[Piece]:
    """The pieces of one line: its marker, then sentence, blank, sentence …"""
    marker = _MARKER.match(line)
    assert marker is not None
    yield Piece(marker[0], False)
    body = line[marker.end() :]
    if not body.startswith("|"):
        yield from _sentences(body, language)
        yield Piece(body[len(body.rstrip()) :], False)
        return
    for cell in _CELL.split(body):
        inner = cell.strip()
        before, _, after = cell.partition(inner) if inner else (cell, "", "")
        yield Piece(before, False)
        yield from _sentences(inner, language)
        yield Piece(after, False)


def _sentences(text: str, language: str) -> Iterator[Piece]:
    for number, sentence in enumerate(split(text, language)):
        if number:
            yield Piece(" ", False)
        yield Piece(sentence, any(map(str.isalpha, sentence)))
