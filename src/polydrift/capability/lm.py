"""A cohort as lm-evaluation-harness's `LM`: one pass over the requests serves every member.

    >>> lm = CohortLM(Cohort(model, [None, Path("adapter-da"), Path("adapter-ga")]))
    >>> lm_eval.simple_evaluate(lm.member(0), tasks=["wikitext"])      # all three are computed
    >>> lm_eval.simple_evaluate(lm.member(2), tasks=["wikitext"])      # remembered

Requests are known by what they ask, so the same question in two tasks is computed once. Responses
are those of lm-eval's `hf` model with the same adapter: token ids as in `encode`, log-likelihoods
within rounding, greedy texts the same. Sampled texts (a task's own choice) have seeds of their own
for each request and repetition.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jinja2 import TemplateError

from polydrift.capability.choices import Choices, Ids, Scored, score_choices
from polydrift.capability.encode import Encoder, Row
from polydrift.capability.generate import Asked, settings, write
from polydrift.capability.silence import harness
from polydrift.engine import routes
from polydrift.engine.chat import pinned
from polydrift.engine.cohort import Cohort
from polydrift.engine.interface import Progress, silent
from polydrift.errors import MeasureError, ModelError
from polydrift.seeds import named_seed

Key = tuple[str, ...]
"""What a request asks: its type, its texts, and for a sampled one which repetition it is."""

Scores = dict[tuple[Ids, Ids], Scored]
"""Of each context and continuation."""

KINDS = ("loglikelihood", "loglikelihood_rolling", "generate_until")


class CohortLM:
    """Responses of all members of a cohort, computed when first asked for.

    seed: of sampled texts. truncated: requests whose context lost its beginning. errors: of the
    members that broke.
    """

    def __init__(self, cohort: Cohort, *, seed: int = 0) -> None:
        harness("api.model").LM.register(MemberLM)
        self.cohort, self.encoder = cohort, Encoder(cohort.model)
        self.truncated: set[Key] = set()
        self.errors: dict[int, ModelError] = {}
        self._seed = seed
        self._known: list[dict[Key, Any]] = [{} for _ in range(cohort.members)]
        self._asked: set[Key] = set()

    def member(self, number: int) -> MemberLM:
        """One member, for lm-eval to evaluate."""
        return MemberLM(self, number)

    def responses(self, member: int, requests: Sequence[Any]) -> list[Any]:
        """What a member responds to lm-eval's requests (`Instance`), in their order; ModelError
        if the member broke.
        """
        self.respond(requests)
        if member in self.errors:
            raise self.errors[member]
        return [self._known[member][key] for key in keys(requests)]

    def respond(self, requests: Sequence[Any], progress: Progress = silent) -> None:
        """Compute what every member responds, where it is not known yet."""
        new = {key: request for key, request in zip(keys(requests), requests, strict=True)
               if key not in self._asked}  # fmt: skip
        work: dict[str, Callable[[dict[Key, Any], Progress], None]] = {
            "loglikelihood": self._likelihoods,
            "loglikelihood_rolling": self._texts,
            "generate_until": self._answers,
        }
        kinds = [kind for kind in KINDS if any(key[0] == kind for key in new)]
        for number, kind in enumerate(kinds):
            some = {key: request.args for key, request in new.items() if key[0] == kind}
            work[kind](some, _part(progress, number, len(kinds)))
        self._asked.update(new)

    def check(self, requests: Sequence[Any]) -> None:
        """MeasureError for requests that cannot be responded to, as far as their settings go."""
        for request in requests:
            if request.request_type == "generate_until":
                how = settings(request.args[1], self.cohort.model, request.task_name)
                self.encoder.room(how.new, request.task_name)

    def chat(self, history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Turns in the form of the model's chat template: today's date pinned and thinking off, as
        in the rest of an audit.
        """
        tokenizer = self.cohort.model.tokenizer
        try:
            template = pinned(tokenizer.get_chat_template())
        except ValueError:
            raise MeasureError(
                f"{self.cohort.model.source.model} has no chat template; measure it without one."
            ) from None
        for turns in (history, [turn for turn in history if turn["role"] != "system"]):
            try:
                return str(
                    tokenizer.apply_chat_template(
                        turns,
                        chat_template=template,
                        tokenize=False,
                        add_generation_prompt=add_generation_prompt,
                        continue_final_message=not add_generation_prompt,
                        enable_thinking=False,
                    )
                )
            except TemplateError as error:
                failed = error  # perhaps it knows no system turn: lm-eval leaves that out, too
        raise MeasureError(
            f"the chat template of {self.cohort.model.source.model} fails ({failed}); measure it "
            "without one."
        )

    def _likelihoods(self, asked: dict[Key, tuple[str, str]], progress: Progress) -> None:
        rows = dict(zip(asked, self.encoder.pairs([*asked.values()]), strict=True))
        self.truncated.update(key for key, row in rows.items() if row.truncated)

        def response(key: Key, scores: Scores) -> Scored:
            return scores[rows[key].ids]

        self._score(rows.values(), asked, response, progress)

    def _texts(self, asked: dict[Key, tuple[str]], progress: Progress) -> None:
        windows = dict(
            zip(asked, self.encoder.text_rows([text for (text,) in asked.values()]), strict=True)
        )

        def response(key: Key, scores: Scores) -> float:
            return sum(scores[row.ids][0] for row in windows[key])

        self._score((row for rows in windows.values() for row in rows), asked, response, progress)

    def _score(
        self,
        rows: Iterable[Row],
        asked: Iterable[Key],
        response: Callable[[Key, Scores], Any],
        progress: Progress,
    ) -> None:
        """Score rows, those with one context together, and keep the responses made from them."""
        grouped: dict[Ids, dict[Ids, None]] = defaultdict(dict)
        for row in rows:
            grouped[row.context][row.continuation] = None
        choices = [Choices(context, list(ends)) for context, ends in grouped.items()]

        def work(lanes: int, told: Progress) -> list[Scores | ModelError]:
            found: list[Scores | ModelError] = []
            for lane in score_choices(self.cohort.model, lanes, choices, progress=told):
                scores = {
                    (one.context, end): score
                    for one, some in zip(choices, lane, strict=True)
                    for end, score in zip(one.continuations, some, strict=True)
                }
                broken = any(not math.isfinite(nats) for nats, _ in scores.values())
                found.append(_overflow() if broken else scores)
            return found

        width = routes.read_together(self.cohort.model, len(choices), self.cohort.members)
        for member, found in self.cohort.compute(work, width=width, progress=progress):
            if isinstance(found, ModelError):
                self.errors.setdefault(member, found)
            else:
                self._known[member].update((key, response(key, found)) for key in asked)

    def _answers(self, asked: dict[Key, tuple[str, Any]], progress: Progress) -> None:
        groups: dict[Asked, list[Key]] = defaultdict(list)
        for key, (_, wanted) in asked.items():
            groups[settings(wanted, self.cohort.model)].append(key)
        for number, (how, some) in enumerate(groups.items()):
            rows = self.encoder.prompts([asked[key][0] for key in some], how.new)
            self.truncated.update(key for key, row in zip(some, rows, strict=True) if row.truncated)
            prompts = [row.context for row in rows]
            seeds = [named_seed("capability", self._seed, *key) for key in some]

            def work(
                lanes: int,
                told: Progress,
                how: Asked = how,
                prompts: list[tuple[int, ...]] = prompts,
                seeds: list[int] = seeds,
            ) -> list[list[str] | ModelError]:
                return write(self.cohort.model, lanes, self.encoder, prompts, how, seeds, told)

            width = routes.asked_together(self.cohort.model, len(prompts), self.cohort.members)
            told = _part(progress, number, len(groups))
            for member, found in self.cohort.compute(work, width=width, progress=told):
                if isinstance(found, ModelError):
                    self.errors.setdefault(member, found)
                else:
                    self._known[member].update(zip(some, found, strict=True))


class MemberLM:
    """One member of a cohort, with the methods of lm-eval's `LM`.

    (It is registered as one, not derived from it: lm_eval is imported when it is needed.)
    """

    rank, world_size = 0, 1

    def __init__(self, cohort: CohortLM, number: int) -> None:
        self._cohort, self._number = cohort, number

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval's cache of requests knows the chat template by."""
        return self._cohort.cohort.model.source.model.replace("/", "__")

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Nats of each (context, continuation), and whether it is what greedy decoding writes."""
        return self._cohort.responses(self._number, requests)

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """Nats of each text."""
        return self._cohort.responses(self._number, requests)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """What is written after each (context, settings)."""
        return self._cohort.responses(self._number, requests)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Turns as one text; see `CohortLM.chat`."""
        return self._cohort.chat(chat_history, add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The template itself, for lm-eval's records."""
        return str(self._cohort.cohort.model.tokenizer.chat_template or "")


def keys(requests: Iterable[Any]) -> list[Key]:
    """What each request asks. Sampled ones that ask the same are told apart by their place."""
    found: list[Key] = []
    seen: Counter[Key] = Counter()
    for request in requests:
        kind, args = request.request_type, request.args
        if kind == "generate_until":
            key: Key = (kind, args[0], json.dumps(args[1], sort_keys=True, default=str))
            if args[1].get("do_sample") or args[1].get("temperature"):
                seen[key] += 1
                key = (*key, str(seen[key]))
        else:
            key = (kind, *args)
        found.append(key)
    return found


def _part(progress: Progress, number: int, of: int) -> Progress:
    """Progress of one of several parts as progress of the whole."""
    return lambda done, text: progress((number + done) / of, text)


def _overflow() -> ModelError:
    return ModelError(
        "the log-likelihood of a request is not finite: the network overflows; compute it in "
        "float32 or bfloat16, or tune more gently."
    )
