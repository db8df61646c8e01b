"""What a model's reply holds when it was asked for a translation: the text, or why there is none.

    >>> reply = Generated("<translation>Vent.</translation>", 9, 8, "stop", False)
    >>> read(reply, "Wait.", "da")
    Rendering(text='Vent.', problem='', says='', final=False)

    refused    the model declined, as the rules (judges/rules.py) read its reply; they don't say so
               of the source, for a translated refusal is a refusal on both sides
    empty      nothing came back
    cut-off    the token limit ended the reply
    filtered   the vendor's filter kept the reply back
    failed     there is no reply; `final` if asking again is of no use

The rules know refusals by their first sentences, so a true translation is now and then taken for
one. That costs a request to the next translator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from polydrift.engine.asking import short
from polydrift.engine.interface import Generated
from polydrift.judges import text as t
from polydrift.judges.phrases import phrases
from polydrift.judges.rules import judge

Problem = Literal["", "refused", "empty", "cut-off", "filtered", "failed"]

_SURROGATES = re.compile("[\ud800-\udfff]")  # halves of characters, which no file can hold
_ANNOUNCED = re.compile(  # "Here is the Danish translation:", alone or before the translation
    r"\A\W*[^\n:：]{0,100}(?:translat|oversæt|aistri|traduz|tradu[cç]|salin|μετ[άα]φρ|अनुवाद|[翻译]译"
    r"|譯文|译文)[^\n:：]{0,60}[:：][*_]{0,2}\s*",
    re.IGNORECASE,
)
_FENCED = re.compile(r"\A```[^\n`]*\n(.*?)\n?```\Z", re.DOTALL)
_TAGGED = re.compile(r"\A<([^<>/\s]{1,30})>(.*)</\1>\Z", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "'": "'", "‘": "’"}
_QUESTIONS = ("?", "？", ";", "\u037e")


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a translator made of one text.

    text: the translation, "" if there is none. problem: "" or why there is none, as above. says:
    for people, what the model or the service said. final: of "failed", whether the service refuses
    this text for good.
    """

    text: str
    problem: Problem = ""
    says: str = ""
    final: bool = False


def read(reply: Generated, source: str, target: str) -> Rendering:
    """What a model's reply holds as the translation of `source`, or why it holds none.

    The translation stands between tags. Where the closing one lacks, a reply that ended by itself
    is taken whole. One without tags is taken whole too, less what announces it and the fence or
    quotation marks around it.
    """
    if reply.finish == "filtered":
        said = short(reply.text) if reply.text.strip() else "the vendor's filter kept it back"
        return Rendering("", "filtered", said)
    said = t.without_thinking(_SURROGATES.sub("", reply.text)).strip()
    name = re.escape(tag("translation", source))
    opening = re.search(f"<{name}>", said, re.IGNORECASE)
    start = opening.end() if opening else 0
    closing = re.compile(f"</{name}>", re.IGNORECASE).search(said, start)
    end = closing.start() if closing else len(said)
    if reply.finish == "length" and (closing is None or opening is None):
        return Rendering("", "cut-off", "the token limit ended the reply")
    text = said[start:end].strip()
    text = _bare(text if opening or closing else _unannounced(text, source), source)
    if _refuses(text or said, source, target):
        return Rendering("", "refused", t.clean(text or said)[:200])
    return Rendering(text) if text else Rendering("", "empty", "no translation in the reply")


def _refuses(said: str, source: str, target: str) -> bool:
    """Whether a reply declines to translate, as far as the rules can tell it from a translation.

    "How do I avoid it?" has words of refusal in some languages: a question for a question, without
    an apology, is none.
    """
    if judge("", said, target).verdict != "refused":
        return False
    if judge("", source, "en").verdict == "refused":
        return False
    asks = source.rstrip().endswith("?") and said.rstrip()[-1:] in _QUESTIONS
    sorry = any(
        phrases(code).apology.search(t.fold(t.clean(said), code)) for code in ("en", target)
    )
    return sorry or not asks


def _unannounced(text: str, source: str) -> str:
    """A reply without "Here is the translation:", unless that may be of the source."""
    before = _ANNOUNCED.match(text)
    if before and not _ANNOUNCED.match(source):
        alone = "\n" in before[0] and not source.partition("\n")[0].rstrip().endswith(":")
        text = text[before.end() :] if alone or ":" not in source else text
    whole = _TAGGED.match(text)  # some translate the tags
    return whole[2].strip() if whole and not _TAGGED.match(source) else text


def _bare(text: str, source: str) -> str:
    """A translation without the fence or the quotation marks that a model put around it."""
    fenced = _FENCED.match(text)
    if fenced and not source.startswith("```"):
        text = fenced[1].strip()
    closing = _QUOTES.get(text[:1])
    if closing and text.endswith(closing) and len(text) > 2 and source[:1] not in _QUOTES:
        inner = text[1:-1]
        return text if text[0] in inner or closing in inner else inner.strip()
    return text


def tag(name: str, text: str) -> str:
    """A tag that does not occur in a text, so that the text cannot end its quotation."""
    number, found = 1, name
    while re.search(rf"</?{found}\b", text, re.IGNORECASE):
        number += 1
        found = f"{name}-{number}"
    return found
