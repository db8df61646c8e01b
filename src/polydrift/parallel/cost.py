"""What a build will take, before anything is sent: requests, characters, tokens, money.

    >>> texts = {"da": ["Boil the potatoes for twenty minutes."] * 1000}
    >>> translating("openai/gpt-4o-mini", texts, (0.15, 0.6), tokens=True).sentence()
    'openai/gpt-4o-mini: 1,000 requests to translate into 1 language, 37,000 characters; about
    230,000 tokens read and 8,300 to 17,000 written; 0.04 to 0.04 at its price'

Requests and characters are counted, and what the journal holds already is not counted again. Tokens
are assumed from characters: `PER_CHARACTER` spans from tokenizers made for many languages to those
made for English. A row that the first translator refuses costs the next one too; that is left out,
and said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polydrift.data.suite_texts import LENGTHS
from polydrift.languages import LANGUAGES

# Tokens for a character of a text: (low, high), by script, assumed.
PER_CHARACTER = {
    "Latn": (0.22, 0.45),
    "Hans": (0.6, 1.3),
    "Grek": (0.35, 1.0),
    "Deva": (0.3, 1.2),
}
ENGLISH = (0.2, 0.27)
AROUND = 220  # tokens of a request around its text
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """What one service is asked: so many requests (`what` they are), with so many characters.

    read, written: tokens, (low, high), None where it is not paid by
    tokens; money: (low, high), None without a price.
    """

    who: str
    what: str
    requests: int
    characters: int
    read: Span | None
    written: Span | None
    money: Span | None

    def sentence(self) -> str:
        """For people."""
        said = (
            f"{self.who}: {_counted(self.requests, 'request')} {self.what}, "
            f"{_counted(self.characters, 'character')}"
        )
        if self.read and self.written:
            said += f"; about {_span(self.read)} tokens read and {_span(self.written)} written"
        if self.money:
            said += f"; {self.money[0]:,.2f} to {self.money[1]:,.2f} at its price"
        return said


def translating(
    who: str,
    texts: Mapping[str, Sequence[str]],
    price: float | tuple[float, float] | None,
    tokens: bool,
) -> Line | None:
    """The line for texts to translate, by language; None if there are none. tokens: whether it is
    a model that reads and writes tokens.
    """
    requests = sum(map(len, texts.values()))
    if not requests:
        return None
    characters = sum(len(text) for some in texts.values() for text in some)
    read = written = None
    if tokens:
        read = tuple(AROUND * requests + rate * characters for rate in ENGLISH)
        written = tuple(
            sum(
                len(text) * LENGTHS[code] * PER_CHARACTER[LANGUAGES[code].script][end]
                for code, some in texts.items()
                for text in some
            )
            for end in (0, 1)
        )
    what = f"to translate into {_counted(sum(map(bool, texts.values())), 'language')}"
    return _line(who, what, requests, characters, read, written, price)


def asking(
    who: str,
    what: str,
    requests: int,
    characters: int,
    reply: float,
    price: tuple[float, float] | None,
) -> Line:
    """The line for requests in English whose replies have about `reply` characters each."""
    read = tuple(rate * characters for rate in ENGLISH)
    written = tuple(rate * reply * requests for rate in ENGLISH)
    return _line(who, what, requests, characters, read, written, price)


def total(lines: Sequence[Line]) -> Span | None:
    """The money of all lines; None if none has a price."""
    paid = [line.money for line in lines if line.money]
    return (sum(m[0] for m in paid), sum(m[1] for m in paid)) if paid else None


def _line(
    who: str,
    what: str,
    requests: int,
    characters: int,
    read: tuple[float, ...] | None,
    written: tuple[float, ...] | None,
    price: float | tuple[float, float] | None,
) -> Line:
    money: Span | None = None
    if isinstance(price, tuple) and read and written:
        low, high = (
            (price[0] * one + price[1] * two) / 1e6 for one, two in zip(read, written, strict=True)
        )
        money = low, high
    elif isinstance(price, float | int):
        money = price * characters / 1e6, price * characters / 1e6
    spans = [(one[0], one[1]) if one else None for one in (read, written)]
    return Line(who, what, requests, characters, spans[0], spans[1], money)


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'s' * (number != 1)}"


def _span(span: Span) -> str:
    """(210000, 1500000) as "210,000 to 1,500,000", two digits each."""
    low, high = (_rounded(end) for end in span)
    return low if low == high else f"{low} to {high}"


def _rounded(number: float) -> str:
    return f"{float(f'{number:.2g}'):,.0f}"
