r"""Protected spans: what no translation changes, whatever the language. And the Markdown around it.

    >>> [span.text for span in spans("Run `make test` with GPT-4, or ask {name} at a@b.org.")]
    ['`make test`', 'GPT-4', '{name}', 'a@b.org']
    >>> lost("Ask {name} about COVID-19.", "Pregúntale a {nombre} por la covid-19.")
    ['{name}']
    >>> mask("Open https://a.org now.")
    ('Open WQ0W now.', {'WQ0W': 'https://a.org'})
    >>> changed_structure("# Tea\n- Wait.\n- Drink.", "# Te\n- Vent.")
    ['1 list item for 2']

    code      fenced and inline code             placeholder  {x} {{x}} ${x} $VAR %s %(x)s <tag>
    formula   \(x\) \[x\] $$x$$ $x^2$            tag          @handle #tag
    address   URLs, e-mail, link targets, a.org  path         names of files, paths
    version   v1.2, 1.2.3, IP addresses          word         iPhone, GPT-4, H2O: inner capitals,
    keep      names that the user lists                       or capitals or letters with digits

Plain numbers are not here: languages write them in words and with other signs. `lost` looks for
each span anywhere in the translation, once, for word order is the language's own. Full-width and
Devanagari digits and letters count as ASCII's; of words, capitals, hyphens and a plural's s do not
count, and Chinese, Greek and Hindi may spell brands (iPhone) their own way, unless they are kept.

A mask is for translators that damage such spans: it looks like a product's number, which they
copy. `unmask` says None where one did not come back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, product
from typing import NamedTuple

_FILES = (
    "py|ipynb|txt|md|rst|csv|tsv|jsonl?|pdf|docx?|xlsx?|pptx?|html?|css|js|ts|java|cpp|sh|bat|exe|"
    "zip|tar|gz|jpe?g|png|gif|svg|mp[34]|wav|xml|ya?ml|toml|ini|cfg|log|sql|parquet"
)
_DOMAINS = "com|org|net|edu|gov|int|info|io|dev|eu|uk|dk|br|gr|ie|cn|ph"
_URL = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]"
_NAME = r"[A-Za-z_][\w.]*"
_KINDS = {
    "code": r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)"
    r"|(?<!`)(?P<ticks>`+)(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`)",
    "formula": r"\\\(.{1,400}?\\\)|\\\[.{1,400}?\\\]|\$\$.{1,400}?\$\$"
    r"|(?<![\w$\\])\$(?![\s\d$])(?=[^$\n]*[\\^_=+{]|[A-Za-z]\$)[^$\n]{0,200}(?<![\s\\$])\$(?![\w$])",
    "address": rf"(?<=\]\()[^\s()]+(?=[^\n()]*\))|\b(?:https?|ftp)://{_URL}+|\bwww\.{_URL}+"
    r"|(?<![\w.+-])[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    rf"|(?<![\w.@/-])(?:[a-z0-9-]{{2,40}}\.)+(?:{_DOMAINS})(?![\w-]|\.\w)",
    "placeholder": rf"\{{\{{[^{{}}\n]{{1,60}}\}}\}}|\$?\{{(?:{_NAME}|\d+)\}}"
    r"|(?<![\w$])\$[A-Z][A-Z0-9_]+\b|(?<![\w%])%(?:\(\w+\)|\d\$)?[-+#0]?\d*(?:\.\d+)?[sdifgxr]\b"
    r"|</?[A-Za-z][\w-]{0,40}(?:\s[^<>\n]{0,200})?/?>",
    "tag": r"(?<![\w.@/])@[A-Za-z0-9_]{2,40}\b|(?<![\w&/#])#[A-Za-z]\w{1,60}\b",
    "path": r"(?<![\w/.<:])(?:~|\.{1,2})?/(?:[\w.-]+/)+[\w.-]*\w"
    r"|(?<![\w/.<:])(?:~|\.{1,2})/[\w.-]*\w"
    rf"|\b[A-Z]:\\[\w\\.-]+|(?<![\w.])[\w-][\w.-]{{0,60}}\.(?:{_FILES})\b(?!\.\w)",
    "version": r"(?<![\w.,])[vV]?\d{1,5}(?:\.\d{1,5}){2,3}(?!\w|[.,]\d)|\b[vV]\d+(?:\.\d+)+\b",
    "word": r"(?<![\w'’.-])(?:[A-Z]{1,6}-\d{1,4}[A-Za-z]?|[A-Za-z]+\d[A-Za-z0-9]*(?:\.\d+)?"
    r"|[A-Za-z]*[a-z][A-Z][A-Za-z]*)(?!\w)",
}
_SPANS = re.compile(  # of ASCII: Chinese has no blanks around what it takes from elsewhere
    "|".join(f"(?P<{kind}>{rule})" for kind, rule in _KINDS.items()), re.DOTALL | re.ASCII
)
_ALPHABET = r"\u00c0-\u024f\u0370-\u03ff\u1e00-\u1fff"  # letters beyond ASCII that words go on with
_WITHIN = re.compile(rf"(?<=[{_ALPHABET}])\w|\w(?=[{_ALPHABET}])")
_HINTS = re.compile(r"[`$\\/@#{%<~.\d]|[a-z][A-Z]")  # what every span has one of
_TRAILING = ".,;:!?'\")]"
# such words that are translated all the same: degrees, units, quarters, names of people
_TRANSLATED = re.compile(
    r"(?:PhDs?|MSc|BSc|MPhil|kWh|MWh|GWh|mAh|mL|dL|dB|kB|[kKMGT]i?Bs?|[kMGT]?Hz|[mk]?Pa|mmHg|pH|[kcm]?m[23]"
    r"|[QH][1-4]|(?:Mc|Mac|De|Di|Du|La|Le|Van|Von|Fitz)[A-Z][a-z]+)\Z"
)
_NOT_LATIN = re.compile(r"[\u0370-\u03ff\u0904-\u0939\u3400-\u9fff]")  # Greek, Devanagari, Han
_BETWEEN = r"[\s.\u2010-\u2015\u2212_-]?"  # what may stand between the letters and digits of a word


class Span(NamedTuple):
    """A part of a text. kind: as in the table above; start, end: its place, in characters."""

    text: str
    kind: str
    start: int
    end: int


def spans(text: str, keep: Sequence[str] = ()) -> list[Span]:
    """The protected spans of a text, in their order, none within another.

    keep: names to protect beside them, as they are written, where they stand as words.
    """
    return list(_spans(text, tuple(keep)))


@lru_cache(maxsize=1 << 12)
def _spans(text: str, keep: tuple[str, ...]) -> tuple[Span, ...]:
    found = list(map(_span, _SPANS.finditer(text))) if _HINTS.search(text) else []
    found = [span for span in found if span.text and not _ordinary(span, text)]
    names = "|".join(re.escape(name) for name in sorted(filter(None, keep), key=len, reverse=True))
    if names:
        taken = [(span.start, span.end) for span in found]
        for match in re.finditer(rf"(?<!\w)(?:{names})(?!\w)", text):
            if not any(start < match.end() and match.start() < end for start, end in taken):
                found.append(Span(match[0], "keep", match.start(), match.end()))
    return tuple(sorted(found, key=lambda span: span.start))


def _span(match: re.Match[str]) -> Span:
    """A match, without the punctuation of the sentence that an address may end with."""
    kind, text = match.lastgroup or "code", match[0]
    if kind == "address":
        while text and (text[-1] in _TRAILING) and not _paired(text):
            text = text[:-1]
    return Span(text, kind, match.start(), match.start() + len(text))


def _paired(address: str) -> bool:
    """Whether an address ends with a bracket of its own: https://a.org/Tea_(drink)."""
    opening = {")": "(", "]": "["}.get(address[-1], "")
    return bool(opening) and opening in address


def _ordinary(span: Span, text: str) -> bool:
    """Whether what looks like a word to protect is a part of one, or is translated all the same."""
    if span.kind != "word":
        return False
    inside = _WITHIN.match(text, span.start) or _WITHIN.match(text, span.end - 1)
    return bool(inside or _TRANSLATED.match(span.text))


def lost(source: str, translation: str, keep: Sequence[str] = ()) -> list[str]:
    """The protected spans of `source` that are not in `translation`, each once, in their order."""
    wanted = dict.fromkeys((span.text, span.kind) for span in spans(source, keep))
    if not wanted:
        return []
    there = _plain(translation)
    spelt = bool(_NOT_LATIN.search(translation))
    return [
        text
        for text, kind in wanted
        if not (
            (_word(text).search(there) or (spelt and text.isalpha()))
            if kind == "word"
            else _plain(text) in there
        )
    ]


@lru_cache(maxsize=1 << 12)
def _word(text: str) -> re.Pattern[str]:
    """What a word is found by: a plural's s, capitals and hyphens apart."""
    letters = re.findall("[A-Za-z]+|[0-9]+", re.sub(r"(?<=\w{3})s\Z", "", text))
    before = rf"(?<![A-Za-z{_ALPHABET}])" if len(letters[0]) < 3 else ""
    return re.compile(before + _BETWEEN.join(letters) + r"(?!\d)", re.IGNORECASE)


def _plain(text: str) -> str:
    """A text with the letters and digits of ASCII for full-width and Devanagari ones, and without
    blanks at the ends of lines.
    """
    if not text.isascii():
        text = "".join(
            str(unicodedata.digit(sign)) if sign.isdecimal() else sign
            for sign in unicodedata.normalize("NFKC", text)
        )
    return "\n".join(line.rstrip() for line in text.split("\n"))


def mask(text: str, keep: Sequence[str] = ()) -> tuple[str, dict[str, str]]:
    """A text with masks for its protected spans, and what each mask stands for.

    Words that translators copy by themselves (kind "word") are left, for their sentence needs them.
    A span that occurs twice has one mask. No mask occurs in the text itself.
    """
    capitals = text.upper()
    first = next(sign for sign in _signs() if sign not in capitals)
    table: dict[str, str] = {}
    masks: dict[str, str] = {}
    parts: list[str] = []
    at = 0
    for span in spans(text, keep):
        if span.kind == "word":
            continue
        sign = masks.setdefault(span.text, f"{first}{len(masks)}W")
        table[sign] = span.text
        parts += [text[at : span.start], sign]
        at = span.end
    return "".join([*parts, text[at:]]), table


def _signs() -> Iterator[str]:
    """What masks may begin with, the best first. Without end, so that no text holds all."""
    yield from ("WQ", "QW", "WXQ", "QXW", "WQX")
    for size in count(4):
        yield from map("".join, product("WQX", repeat=size))


def unmask(text: str, table: Mapping[str, str]) -> str | None:
    """A translation with the spans in their places; None if a mask is lost, or one was invented.

    Capitals, blanks within a mask and other digits than ASCII's do not matter.
    """
    if not table:
        return text
    first = re.match("[A-Z]+", next(iter(table)))
    assert first is not None
    seen: set[str] = set()

    def put(match: re.Match[str]) -> str:
        sign = f"{first[0]}{int(match[1])}W"
        seen.add(sign)
        return table.get(sign, "")

    wide = "".join(f"[{sign}{sign.lower()}{chr(ord(sign) + 0xFEE0)}]" for sign in first[0])
    back = re.sub(rf"{wide}\s?(\d{{1,4}})\s?[WwＷ]", put, text)
    return back if seen == set(table) else None


class Structure(NamedTuple):
    """How many there are of each in a Markdown text, outside of code."""

    headings: int
    items: int
    fences: int
    rows: int
    links: int


_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
_COUNTED = (
    re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+\S", re.MULTILINE),
    re.compile(
        r"^[ \t]*(?:[-*+•‣][ \t]+\S|\(?\d{1,3}[.)][ \t]+\S|\(?\d{1,3}[、．）]|[①-⑳]"
        r"|\(?[^\W\d_]\)[ \t])",
        re.MULTILINE,
    ),
    re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.MULTILINE),
    re.compile(r"\[[^\[\]\n]{0,300}\]\([^()\s]+[^()\n]*\)"),
)
_NAMES = ("heading", "list item", "code block", "table row", "link")


def structure(text: str) -> Structure:
    """What a text is built of. A list item has a bullet, a number or a letter before it."""
    prose, fences = _FENCE.subn("", text)
    headings, items, rows, links = (len(rule.findall(prose)) for rule in _COUNTED)
    return Structure(headings, items, fences, rows, links)


def changed_structure(source: str, translation: str) -> list[str]:
    """A few words for each count that differs: "1 list item for 2"; [] if none does."""
    return [
        f"{there} {name}{'' if there == 1 else 's'} for {here}"
        for name, here, there in zip(_NAMES, structure(source), structure(translation), strict=True)
        if here != there
    ]
