"""Numbers and names as people read them.

>>> points(0.582), percent(0.0), percent(float("nan"))
('+58', '0%', '–')

What is not known is a dash, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from polydrift.languages import LANGUAGES

NONE = "–"
_MINUS = "−"
# Control characters, which HTML forbids, and marks that turn the direction of what follows them.
_UNPRINTABLE = dict.fromkeys(
    (
        *(*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)),
        *(*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFFFE, 0xFFFF),
    ),
    "\ufffd",
)


def number(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """A number with a true minus sign; a dash for NaN and None. Zero never has a sign."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{abs(value):,.{digits}f}"
    if not any(digit in text for digit in "123456789"):
        return text
    return (_MINUS if value < 0 else "+" if signed else "") + text


def points(share: float | None, digits: int = 0) -> str:
    """A difference of shares in percentage points, signed."""
    return number(None if share is None else 100 * share, digits, signed=True)


def percent(share: float | None, digits: int = 0) -> str:
    """A share in percent."""
    text = number(None if share is None else 100 * share, digits)
    return text if text == NONE else f"{text}%"


def interval(low: float, high: float, digits: int = 1) -> str:
    """An interval of a difference of shares, in points: "[+48.2, +67.3]"; a dash if unknown."""
    if math.isnan(low) or math.isnan(high):
        return NONE
    return f"[{points(low, digits)}, {points(high, digits)}]"


def p_value(p: float) -> str:
    """ "< .001", ".012"; a dash for NaN."""
    if math.isnan(p):
        return NONE
    return "< .001" if p < 0.001 else number(p, 3).removeprefix("0")


def count(n: int, thing: str, things: str = "") -> str:
    """ "1 cell", "243 cells"; `things` where the plural is not made with s."""
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def name(code: str | None) -> str:
    """A language's English name; the code itself where it is none of the nine."""
    if code is None:
        return NONE
    return LANGUAGES[code].name if code in LANGUAGES else code


def endonym(code: str) -> str:
    """A language's name in itself, "" where that is not known."""
    return LANGUAGES[code].endonym if code in LANGUAGES else ""


def clean(text: str) -> str:
    """A text without what HTML forbids or what would turn the direction of its surroundings."""
    return text.translate(_UNPRINTABLE)


def excerpt(text: str, length: int) -> str:
    """The start of a text, cut with an ellipsis."""
    cut = text[:length].strip()
    return cut + " …" if len(text) > length else cut
