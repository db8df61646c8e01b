"""Sentences of nine languages: where one ends, and where a long one may be cut.

    >>> split("Τι είναι αυτό; Ρώτησε τον κ. Νίκο.", "el")
    ['Τι είναι αυτό;', 'Ρώτησε τον κ. Νίκο.']
    >>> split("不行。你可以问朋友！", "zh")
    ['不行。', '你可以问朋友！']
    >>> clauses("Bland først mel og sukker, rør så æggene i, og vent.")
    ['Bland først mel og sukker,', 'rør så æggene i, og vent.']

A sentence ends at . ! ? … before a blank, at the danda (। or a lone |, as many write it) in Hindi,
at 。！？ with or without a blank, and at ; in Greek, where it is the question mark. It does not end
before a small letter, after an abbreviation or an initial, or after a number that opens a line.
The ano teleia (·) and the semicolon part clauses. Quotation marks and brackets that close stay with
their sentence.

Nothing is lost: the pieces, blanks apart, are the text. Time is linear in its length.
`benchmarks/translate.py` measures the rules; docs/translation.md has the figures, beside those of
the library sentencex, which finds fewer ends in Chinese and Hindi, and is quadratic in Chinese.
"""

from __future__ import annotations

import re
from functools import cache

from polydrift.judges.text import letters, reach

LIMIT = 400  # characters of an alphabet; translators drop and repeat parts of longer sentences
CLAUSE = 24  # letters of an alphabet; a clause has as many at least

_CLOSING = "\"'”’»)\\]}）」』】》"
_OPENING = "\"'“‘«([{（「『【《¿¡-–—*"
_WIDE = "。！？｡"
_CLAUSE_END = re.compile(r"[,;:·—–](?=\s)|[，；：、،](?!\d)")
_BLANK = re.compile(r"\s")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«¿¡]+\Z")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")  # e.g, π.χ, U.S
_NUMBERING = re.compile(r"\(?(?:\d{1,3}|[^\W\d_])\Z")

# What stands before a full stop that ends no sentence, small letters, without the last full stop.
_ABBREVIATIONS: dict[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": "mr mrs ms dr prof st jr sr vs no vol fig etc approx inc ltd gen col sgt capt rev",
        "da": "bl.a f.eks ca dvs osv hr fr dr nr kr mio mia pga ift mht jf evt inkl ekskl kl kap "
        "stk st prof f.kr e.kr tlf d",
        "el": "κ κα κος δηλ κλπ κ.λπ βλ αρ σελ μ.χ δρ αγ",
        "hi": "डॉ श्री श्रीमती प्रो सं पं कु रु एम बी ए डी जी के एस पी आर सी टी वी एन यू ई एल जे एच",
        "ga": "uas lch srl dr uimh m.sh",
        "pt": "sr sra srs dr dra prof profa av ex etc nº n.º art pág págs fig vol jr st ltda cia",
        "es": "sr sra srta dr dra prof profa av ej etc núm n.º art pág fig vol ud uds ee jr st",
        "tl": "g gng bb dr dra prof atty jr sr st blg hal atbp",
        "zh": "",
    }.items()
}


def split(text: str, language: str) -> list[str]:
    """The sentences of one line of text, without blanks around them; none is longer than LIMIT.

    language: code of one of the nine. A blank text has none.
    """
    found: list[str] = []
    start = 0
    for mark in _marks(language).finditer(text):
        if not _ends(text, start, mark, language):
            continue
        found.append(text[start : mark.end()])
        start = mark.end()
    found.append(text[start:])
    joined: list[str] = []
    for piece in found:
        if joined and not letters(piece):  # a quotation mark or a danda by itself
            joined[-1] += piece
        else:
            joined.append(piece)
    return [part for piece in joined if piece.strip() for part in cut(piece.strip())]


def cut(sentence: str, limit: int = LIMIT) -> list[str]:
    """Pieces of at most `limit` characters of an alphabet (Han weighs more), the whole if it fits.

    Cut at the last clause mark of a piece's second half, else at its last blank, else by length.
    """
    size = reach(sentence, limit)
    pieces, start = [], 0
    while len(sentence) - start > size:
        window = sentence[start : start + size]
        marks = [m.end() for m in _CLAUSE_END.finditer(window, size // 2)]
        blanks = [m.end() for m in _BLANK.finditer(window, size // 2)]
        at = (marks or blanks or [size])[-1]
        pieces.append(window[:at].strip())
        start += at
    pieces.append(sentence[start:].strip())
    return [piece for piece in pieces if piece]


def clauses(sentence: str) -> list[str]:
    """The clauses of a sentence, each of CLAUSE letters at least; the whole if there is but one."""
    least = reach(sentence, CLAUSE)
    pieces, start = [], 0
    for mark in _CLAUSE_END.finditer(sentence):
        if letters(sentence[start : mark.end()]) >= least:
            pieces.append(sentence[start : mark.end()])
            start = mark.end()
    rest = sentence[start:]
    if pieces and letters(rest) < least:
        pieces[-1] += rest
    else:
        pieces.append(rest)
    return [piece.strip() for piece in pieces]


@cache
def _marks(language: str) -> re.Pattern[str]:
    """What may end a sentence, with what closes after it."""
    stops = r"[.!?…;]+" if language == "el" else r"[.!?…]+"
    danda = r"|[।॥]+|(?<=\s)\|(?=\s|\Z)|\|(?=\s*\Z)" if language == "hi" else ""
    return re.compile(rf"(?:{stops}{danda})[{_CLOSING}“]*(?=\s|\Z)|[{_WIDE}]+[{_CLOSING}]*")


def _ends(text: str, start: int, mark: re.Match[str], language: str) -> bool:
    """Whether a sentence that began at `start` ends with this mark."""
    rest = text[mark.end() : mark.end() + 12].lstrip()
    if not rest:
        return False  # the text ends here
    if mark[0][0] in _WIDE:
        return rest[0] not in "，、：；"
    first = rest.lstrip(_OPENING)[:1]
    if first.islower():
        return False
    if mark[0][0] != ".":
        return True
    before = text[max(start, mark.start() - 24) : mark.start()]
    if _NUMBERING.match(text[start : mark.start()].strip()):
        return False
    found = _LAST_WORD.search(before)
    word = found[0] if found else ""
    initial = len(word) == 1 and word.isupper()
    short = word.casefold() in _ABBREVIATIONS[language]
    return not (initial or short or _DOTTED.fullmatch(word))
