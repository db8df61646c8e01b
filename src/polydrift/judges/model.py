"""Models as judges: a fine-tuned one on our engine or a server, any vendor's, or a panel of them.

    >>> engine = Cohort(load(Source(SORRY_BENCH_MODEL, around=SORRY_BENCH.around)), [None])
    >>> ModelJudge(engine, SORRY_BENCH, ["sorry-bench"]).judge(cases)

    >>> names = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "google/gemini-2.5-flash"]
    >>> panel = ModelJudge(vendors(names, RUBRICS["xstest"]), RUBRICS["xstest"], names)

Each different (question, answer) is judged once. An answer with no text is not shown to anybody: it
is *other*. Replies are greedy; one that cannot be read is asked for again where asking again can
give another reply (of the whole panel), and stays unparsed if that does not help. A panel's verdict
is that of more than half of the members whose replies could be read; where there is no such
majority it is unparsed, with detail "tie". Every member's vote is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from polydrift.engine.interface import Decoding, Engine, Generated
from polydrift.errors import ModelError
from polydrift.judges import rules
from polydrift.judges.forms import Form, unparsed
from polydrift.judges.text import clean, letters
from polydrift.judges.verdicts import Case, Progress, Verdict, silent

if TYPE_CHECKING:
    from polydrift.engine.vendor import Vendor


@dataclass
class Usage:
    """What a member of a panel was asked. replies: those it gave; read, written: tokens, as it
    counts them; again: replies asked for a second time; cut: questions cut to fit its context.
    """

    replies: int = 0
    read: int = 0
    written: int = 0
    again: int = 0
    cut: int = 0

    def cost(self, prices: tuple[float, float]) -> float:
        """What that costs. prices: of a million tokens read, and written."""
        return (prices[0] * self.read + prices[1] * self.written) / 1e6


class ModelJudge:
    """A judge that asks a model, or several, by a form."""

    def __init__(self, engine: Engine, form: Form, names: Sequence[str], *, again: int = 0) -> None:
        """names: of the engine's members. again: how often an unreadable reply is asked for anew
        (with another seed, so that no cache answers).
        """
        assert engine.members == len(names) > 0
        self._engine, self._form, self._names, self._again = engine, form, list(names), again
        self.usage = {name: Usage() for name in names}

    def judge(self, cases: Sequence[Case], progress: Progress = silent) -> list[Verdict]:
        """See `Judge.judge`. ModelError: a member that cannot be asked; a panel waits for all."""
        shown = [
            self._form.shown(case.prompt, case.answer) if letters(clean(case.answer)) else None
            for case in cases
        ]
        questions = list(dict.fromkeys(text for text in shown if text is not None))
        found = self._ask(questions, 0, progress)
        for turn in range(1, self._again + 1):
            unread = [q for q in questions if any(v[q].verdict == "unparsed" for v in found)]
            for name, verdicts, anew in zip(
                self._names, found, self._ask(unread, turn, silent), strict=True
            ):
                self.usage[name].again += len(unread)
                verdicts |= {q: one for q, one in anew.items() if verdicts[q].verdict == "unparsed"}
        empty = Verdict("other", "empty", "", None)
        agreed = {q: self._agreed([verdicts[q] for verdicts in found]) for q in questions}
        return [empty if text is None else agreed[text] for text in shown]

    def _ask(
        self, questions: Sequence[str], turn: int, progress: Progress
    ) -> list[dict[str, Verdict]]:
        """Each member's verdicts by question. turn: 0 the first time, part of the seeds."""
        found: list[dict[str, Verdict]] = [{} for _ in self._names]
        if not questions:
            return found
        decoding = Decoding(temperature=0.0, max_new_tokens=self._form.new_tokens)
        seeds = [turn] * len(questions)
        for member, replies in self._engine.answer(
            questions, decoding, seeds=seeds, progress=progress
        ):
            if isinstance(replies, ModelError):
                raise replies
            self._count(self.usage[self._names[member]], replies)
            found[member] = {
                question: self._read(reply)
                for question, reply in zip(questions, replies, strict=True)
            }
        return found

    def _read(self, reply: Generated) -> Verdict:
        if reply.finish == "filtered":
            return replace(unparsed(""), evidence="kept back by the vendor's filter")
        return self._form.read(clean(reply.text))

    def _count(self, usage: Usage, replies: Sequence[Generated]) -> None:
        usage.replies += len(replies)
        usage.read += sum(reply.prompt_tokens for reply in replies)
        usage.written += sum(reply.answer_tokens for reply in replies)
        usage.cut += sum(reply.prompt_truncated for reply in replies)

    def _agreed(self, verdicts: Sequence[Verdict]) -> Verdict:
        """What the members say together."""
        if len(verdicts) == 1:
            return verdicts[0]
        votes = tuple(
            f"{name}: {' '.join(filter(None, (v.verdict, v.detail)))}"
            for name, v in zip(self._names, verdicts, strict=True)
        )
        heard = [v for v in verdicts if v.verdict != "unparsed"]
        scores = [v.score for v in heard if v.score is not None]
        score = sum(scores) / len(scores) if scores else None
        outcomes = Counter(v.verdict for v in heard).most_common(1)
        if not outcomes or 2 * outcomes[0][1] <= len(heard):
            detail = "tie" if heard else ""
            return Verdict("unparsed", detail, "", None, score=score, votes=votes)
        details = Counter(v.detail for v in heard if v.verdict == outcomes[0][0])
        detail = max(sorted(details), key=details.__getitem__)
        return Verdict(outcomes[0][0], detail, "", None, score=score, votes=votes)


def settled(verdict: Verdict, case: Case) -> Verdict:
    """A verdict with what the rules know of the answer as it was given.

    Which language it is in; and where the judge says that it did not comply, whether that is a
    refusal or *other* (in a loop, the prompt again, cut off at once, in an unknown language). How
    many complied stays the judge's alone.
    """
    known = rules.judge(case.prompt, case.answer, case.language, case.finish)
    found = replace(verdict, answer_language=known.answer_language)
    if verdict.verdict == "refused" and known.verdict == "other":
        return replace(found, verdict="other", detail=known.detail, evidence=known.evidence)
    return found


def vendors(
    names: Sequence[str],
    form: Form,
    *,
    at_once: int = 10,
    tries: int = 6,
    timeout: int = 600,
    cache: str | None = None,
    settings: Mapping[str, Any] | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> Vendor:
    """The engine of judges that Inspect AI knows, held to the form's schema where they can be.

    See `Vendor` for the other arguments.
    """
    from polydrift.engine.vendor import Vendor

    held: dict[str, Any] = {}
    if form.schema is not None:
        try:
            from inspect_ai.model import ResponseSchema
        except ImportError as error:
            raise ModelError(
                f'{names[0]} is asked through Inspect AI; pip install "polydrift[inspect]".'
            ) from error
        schema = {"name": form.name.replace("-", "_"), "json_schema": form.schema, "strict": True}
        held["response_schema"] = ResponseSchema.model_validate(schema)
    return Vendor(
        names,
        at_once=at_once,
        tries=tries,
        timeout=timeout,
        cache=cache,
        settings=held | dict(settings or {}),
        model_args=model_args,
    )
