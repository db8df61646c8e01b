"""A model that is shown two answers to one instruction and says which is better.

    >>> names = ["openai/gpt-4o-mini"]
    >>> judge = PairwiseJudge(vendors(names, PAIRWISE), names)
    >>> found = judge.judge([Pair("Name a fruit.", "A pear.", "No."), ...])["openai/gpt-4o-mini"]
    >>> both = swapped(found.first, found.second, asked=found.asked)   # measures/preference.py
    >>> win_rate(both.y).win_rate, both.position_bias, found.unparsed
    (61.5, 0.04, 1)

Each pair is asked twice, with the model's answer first and with it second, because judges lean
towards a position (Zheng et al. 2023, arXiv 2306.05685, section 3.3). Two equal answers tie and are
not shown to anybody, as in AlpacaEval; nor is an answer without text: it loses to one that has
some. Replies are greedy; one that cannot be read is asked for again where asking again can give
another reply, and counts as not judged if that does not help: NaN, never a loss.

What is shown stands between tags, as material and not as instructions, and cannot end its own
quotation. The question is English; instruction and answers may be in any language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polydrift.engine.interface import Decoding, Engine, Generated
from polydrift.errors import ModelError
from polydrift.judges.forms import PAIRWISE
from polydrift.judges.model import Usage
from polydrift.judges.text import clean, letters
from polydrift.judges.verdicts import Progress, silent

_BORDER = re.compile(r"<(/?(?:instruction|first|second)\b)", re.IGNORECASE)
_OBJECT = re.compile(r"\{[^{}]*\}")
_NAMES = {"first": 1.0, "1": 1.0, "second": 0.0, "2": 0.0, "tie": 0.5}
_WORD = re.compile(r"[^\W_]+")
_FILLING = {"the", "response", "answer", "is", "better", "json", "a"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A model's answer to an instruction, and the reference's."""

    instruction: str
    answer: str
    reference: str


@dataclass(frozen=True)
class Preferences:
    """What one judge says of pairs, as y of `measures.preference`: 1 the model's answer is better,
    0 the reference's, 0.5 neither, NaN the reply could not be read.

    first, second: [pairs] with the model's answer shown first, and shown second. asked: [pairs]
    false where the judge was not needed. unparsed: replies that could not be read, of 2 for each
    pair asked.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    asked: NDArray[np.bool_]
    unparsed: int


def shown(instruction: str, first: str, second: str) -> str:
    """What a judge is shown of two answers, in this order."""
    texts = (_BORDER.sub(r"<\1_", text) for text in (instruction, first, second))
    return PAIRWISE.words.format(
        **dict(zip(("instruction", "first", "second"), texts, strict=True))
    )


def read_better(reply: str) -> float:
    """1 the answer shown first, 0 the second, 0.5 a tie; NaN where the reply says none of them.

    The last JSON object with "better" decides; without one, a text of hardly more than the word
    itself ("The second response."). Case, blanks and the numbers 1 and 2 for the two are forgiven.
    """
    for text in reversed(_OBJECT.findall(reply)):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if "better" in found:
            return _NAMES.get(str(found["better"]).strip().lower(), np.nan)
    words = set(_WORD.findall(reply.lower())) - _FILLING
    return _NAMES.get(words.pop(), np.nan) if len(words) == 1 else np.nan


class PairwiseJudge:
    """A judge that asks a model, or several, to compare."""

    def __init__(self, engine: Engine, names: Sequence[str], *, again: int = 0) -> None:
        """names: of the engine's members. again: how often an unreadable reply is asked for anew
        (with another seed, so that no cache answers).
        """
        assert engine.members == len(names) > 0
        self._engine, self._names, self._again = engine, list(names), again
        self.usage = {name: Usage() for name in names}

    def judge(self, pairs: Sequence[Pair], progress: Progress = silent) -> dict[str, Preferences]:
        """What each member says, by its name. Equal questions are asked once. ModelError: a member
        that cannot be asked.
        """
        settled = [_unasked(pair) for pair in pairs]
        orders = [
            [
                shown(p.instruction, p.answer, p.reference),
                shown(p.instruction, p.reference, p.answer),
            ]
            for p in pairs
        ]
        open_ = [i for i, known in enumerate(settled) if known is None]
        questions = list(dict.fromkeys(orders[i][turned] for i in open_ for turned in (0, 1)))
        found = self._ask(questions, 0, progress)
        for turn in range(1, self._again + 1):
            # an engine asks all its members; what one had said already is left as it is
            unread = [q for q in questions if any(np.isnan(said[q]) for said in found.values())]
            for name, said in self._ask(unread, turn, silent).items():
                self.usage[name].again += len(unread)
                found[name] |= {q: y for q, y in said.items() if np.isnan(found[name][q])}
        return {name: _gathered(settled, orders, said) for name, said in found.items()}

    def _ask(
        self, questions: Sequence[str], turn: int, progress: Progress
    ) -> dict[str, dict[str, float]]:
        """What each member's replies say, by question. turn: 0 the first time, the seed."""
        found: dict[str, dict[str, float]] = {name: {} for name in self._names}
        if not questions:
            return found
        decoding = Decoding(temperature=0.0, max_new_tokens=PAIRWISE.new_tokens)
        seeds = [turn] * len(questions)
        for member, replies in self._engine.answer(
            questions, decoding, seeds=seeds, progress=progress
        ):
            if isinstance(replies, ModelError):
                raise replies
            name = self._names[member]
            _count(self.usage[name], replies)
            found[name] = {
                question: read_better(clean(reply.text))
                for question, reply in zip(questions, replies, strict=True)
            }
        return found


def _unasked(pair: Pair) -> float | None:
    """What is known of a pair without a judge: equal answers tie, an empty one loses."""
    answer, reference = (bool(letters(clean(text))) for text in (pair.answer, pair.reference))
    if pair.answer.strip() == pair.reference.strip() or not (answer or reference):
        return 0.5
    if answer and reference:
        return None
    return float(answer)


def _gathered(
    settled: Sequence[float | None], orders: Sequence[Sequence[str]], said: Mapping[str, float]
) -> Preferences:
    """One member's replies in the order of the pairs."""
    asked = np.array([known is None for known in settled], bool)
    first = [said[o[0]] if y is None else y for y, o in zip(settled, orders, strict=True)]
    second = [1 - said[o[1]] if y is None else y for y, o in zip(settled, orders, strict=True)]
    both = np.array([first, second], float)
    return Preferences(both[0], both[1], asked, int(np.isnan(both).sum()))


def _count(usage: Usage, replies: Sequence[Generated]) -> None:
    usage.replies += len(replies)
    usage.read += sum(reply.prompt_tokens for reply in replies)
    usage.written += sum(reply.answer_tokens for reply in replies)
    usage.cut += sum(reply.prompt_truncated for reply in replies)
