"""Answers into English, sentence by sentence, with what is doubtful about each said beside it.

    >>> to_english(["Bland mel.\\n- Vent."], ["da"], translator)
    [Translation(text='Mix flour.\\n- Wait.', source='da', doubts=(), sentences=2)]

What an answer is decides what it is translated from, not what was asked (PROTOCOL 3.6). All
sentences of one language go to the translator together, each distinct one once; those that come
back doubtful (`doubts`) once more, clause by clause, and the better of the two is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from polydrift.judges import text as t
from polydrift.judges.language import OTHER, identify_all
from polydrift.languages import LANGUAGES
from polydrift.languages import language as known
from polydrift.translate.doubts import KINDS, SHORT, distance, doubts, weight
from polydrift.translate.interface import Progress, Translator, silent
from polydrift.translate.layout import Piece, pieces, spoken
from polydrift.translate.sentences import clauses


@dataclass(frozen=True, slots=True)
class Translation:
    """An answer in English.

    text: without thinking; lists, line breaks and code blocks as they were. source: code of the
    language it was translated from, which is the one it is in. Where that cannot be told, or hardly
    a letter speaks against it, it is the one asked, and "undetermined-language" is among the
    doubts. "en": left as it is. "other": in none of the nine, left as it is. None: nothing to
    translate (empty, or no letter outside code). doubts: of `doubts.KINDS`, each once, in that
    order. sentences: how many were translated.
    """

    text: str
    source: str | None
    doubts: tuple[str, ...]
    sentences: int


class _Reading(NamedTuple):
    """An answer before its translation; parts: () if it stays as it is."""

    text: str
    source: str | None
    doubts: tuple[str, ...]
    parts: list[Piece]


class _Rendering(NamedTuple):
    """The English of one sentence ("" if there is none), and what is doubtful about it."""

    english: str
    doubts: tuple[str, ...]


def to_english(
    texts: Sequence[str], asked: Sequence[str], translator: Translator, progress: Progress = silent
) -> list[Translation]:
    """The answers `texts` in English, in their order.

    asked: for each, the code of the language that its prompt was in. The translator is called at
    most twice for each language. DataError: a code that is none of the nine; ModelError: a
    translator that cannot be asked.
    """
    answers = list(zip(texts, (known(code).code for code in asked), strict=True))
    readings = _read_all(list(dict.fromkeys(answers)))
    wanted: dict[str, dict[str, None]] = {}
    for reading in readings.values():
        sentences = (part.text for part in reading.parts if part.translated)
        wanted.setdefault(reading.source or "", {}).update(dict.fromkeys(sentences))
    codes = [code for code in LANGUAGES if wanted.get(code)]
    total = sum(len(wanted[code]) for code in codes)
    found: dict[str, dict[str, _Rendering]] = {}
    before = 0
    for code in codes:
        size = len(wanted[code])

        def tell(done: float, text: str, before: int = before, size: int = size) -> None:
            progress((before + done * size) / total, text)

        found[code] = _render(list(wanted[code]), code, translator, tell)
        before += size
    made = {answer: _compose(reading, found) for answer, reading in readings.items()}
    return [made[answer] for answer in answers]


def _read_all(answers: Sequence[tuple[str, str]]) -> dict[tuple[str, str], _Reading]:
    """What distinct answers say, in which language, and their pieces."""
    said = [spoken(answer) for answer, _ in answers]
    sources = identify_all([t.clean(text) for text in said])
    return {
        (answer, asked): _read(text, source, asked)
        for (answer, asked), text, source in zip(answers, said, sources, strict=True)
    }


def _read(said: str, source: str | None, asked: str) -> _Reading:
    if not said:
        return _Reading("", None, ("empty",), [])
    if source is not None and source != asked and weight(said) < SHORT:
        source = None
    if source in ("en", OTHER):
        return _Reading(said, source, ("other-language",) if source == OTHER else (), [])
    parts = pieces(said, source or asked)
    if not any(part.translated for part in parts):
        return _Reading(said, None, (), [])
    unsure = () if source else ("undetermined-language",)
    return _Reading(said, source or asked, unsure, [] if (source or asked) == "en" else parts)


def _render(
    sentences: list[str], code: str, translator: Translator, progress: Progress
) -> dict[str, _Rendering]:
    """The English of distinct sentences of one language."""
    first = translator.translate(sentences, code, lambda d, text: progress(0.9 * d, text))
    found = _judged(sentences, first, code)
    again = {s: clauses(s) for s, rendering in found.items() if rendering.doubts}
    smaller = list(dict.fromkeys(c for parts in again.values() if len(parts) > 1 for c in parts))
    if smaller:
        second = translator.translate(smaller, code, lambda d, text: progress(0.9 + d / 10, text))
        english = dict(zip(smaller, second, strict=True))
        cut = [s for s, parts in again.items() if len(parts) > 1]
        cut = [s for s in cut if all(english[clause].strip() for clause in again[s])]
        joined = [" ".join(english[clause] for clause in again[s]) for s in cut]
        for sentence, retried in _judged(cut, joined, code).items():
            found[sentence] = min(found[sentence], retried, key=_badness(sentence, code))
    progress(1.0, f"{len(sentences)} sentences from {known(code).name}")
    return found


def _judged(sentences: Sequence[str], english: Sequence[str], code: str) -> dict[str, _Rendering]:
    """Each sentence with its English, on one line as it was, and what is doubtful about it."""
    lines = [" ".join(text.split()) for text in english]
    identify_all(lines)  # all at once, so that `doubts` finds them known
    return {
        sentence: _Rendering(line, doubts(sentence, line, code))
        for sentence, line in zip(sentences, lines, strict=True)
    }


def _badness(sentence: str, code: str) -> Callable[[_Rendering], tuple[int, float]]:
    """What the better of two renderings has less of: doubts, then distance from usual length."""

    def of(rendering: _Rendering) -> tuple[int, float]:
        return len(rendering.doubts), distance(sentence, rendering.english, code)

    return of


def _compose(reading: _Reading, found: dict[str, dict[str, _Rendering]]) -> Translation:
    """The answer from its pieces; a sentence without English stays as it was."""
    if not reading.parts:
        return Translation(reading.text, reading.source, reading.doubts, 0)
    english = found[reading.source or ""]
    said, doubtful, count = [], set(reading.doubts), 0
    for part in reading.parts:
        if part.translated:
            rendering = english[part.text]
            said.append(rendering.english or part.text)
            doubtful.update(rendering.doubts)
            count += 1
        else:
            said.append(part.text)
    ordered = tuple(kind for kind in KINDS if kind in doubtful)
    return Translation("".join(said).strip(), reading.source, ordered, count)
