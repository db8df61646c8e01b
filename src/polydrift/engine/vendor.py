"""Models that Inspect AI knows as an engine: a vendor's API, a hosted model, a mock.

    >>> engine = Vendor(["anthropic/claude-haiku-4-5", "openai/gpt-4o-mini"])
    >>> for member, found in engine.answer(["Hej?"], Decoding(max_new_tokens=64), seeds=[7]):
    ...     print(member, found)
    0 [Generated(text='Hej!', prompt_tokens=9, answer_tokens=4, finish='stop', ...)]
    1 [Generated(text='Hej!', prompt_tokens=9, answer_tokens=3, finish='stop', ...)]

Providers, their packages and the variables that hold their keys are Inspect's
(https://inspect.aisi.org.uk/providers.html), and so are concurrency, retries and the cache. The
prompt is the only message; no system prompt is written here. Tokens are counted as the vendor
counts them. Seeds are passed on, reduced to 31 bits; which vendors use them, Inspect's documents
say. A model that thinks does so out of `max_new_tokens`: `settings={"reasoning_effort": "none"}`.

A long run that must lose no row asks one model row by row:

    >>> for i, found in Vendor(["openai/gpt-4o-mini"]).each(prompts, Decoding(), seeds):
    ...     journal(i, found)                          # Generated, or a Failure with its sentence
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from polydrift.engine import asking
from polydrift.engine.interface import Decoding, Generated, Progress, silent
from polydrift.errors import ModelError

if TYPE_CHECKING:
    from inspect_ai.model import CachePolicy, Model

_NOWHERE = logging.NullHandler()  # where nobody set up logging, warnings would go to stderr
_PROVIDERS = "https://inspect.aisi.org.uk/providers.html"
_ALL = (401, 403, 404)  # HTTP statuses that every other request would get too
_LATER = (408, 409, 425, 429)  # that the same request may not get later, as it may all from 500 on
_ACCOUNT = re.compile(r"credit balance|billing|api.key", re.IGNORECASE)  # in what comes as HTTP 400
_FINISHES = {"stop": "stop", "max_tokens": "length", "content_filter": "filtered"}


class Vendor:
    """Models by their Inspect names, provider/model."""

    def __init__(
        self,
        models: Sequence[str],
        *,
        at_once: int = 10,
        tries: int = 6,
        timeout: int = 600,
        cache: str | None = None,
        settings: Mapping[str, Any] | None = None,
        model_args: Mapping[str, Any] | None = None,
    ) -> None:
        """Nothing is sent before `answer`.

        at_once: requests in flight. tries: for each request, with growing pauses. timeout: seconds
        for each. cache: how long Inspect keeps answers on this machine ("12h", "4W"); None: not at
        all. settings: more of Inspect's GenerateConfig. model_args: more of its `get_model`
        (base_url and the like), for every model.
        """
        self._models = list(models)
        self._at_once = at_once
        self._tries = tries
        self._timeout = timeout
        self._cache = cache
        self._settings = dict(settings or {})
        self._model_args = dict(model_args or {})

    @property
    def members(self) -> int:
        """How many there are."""
        return len(self._models)

    def answer(
        self,
        prompts: Sequence[str],
        decoding: Decoding,
        *,
        seeds: Sequence[int],
        progress: Progress = silent,
    ) -> Iterator[tuple[int, list[Generated] | ModelError]]:
        """See `Engine.answer`."""
        opened = partial(self._opened, decoding)
        return asking.in_turn(opened, self.members, prompts, seeds, self._at_once, progress)

    def each(
        self, prompts: Sequence[str], decoding: Decoding, seeds: Sequence[int]
    ) -> Generator[tuple[int, Generated | asking.Failure], None, None]:
        """Ask the one model there is: (place of a prompt, its answer or why it has none), as
        requests end.

        One prompt's failure leaves the others alone. ModelError for what no prompt survives: a
        model, key or package that is not there, an account without credit. Closing the iterator
        cancels what is in flight. The vendor is heard only while the next one is waited for, so
        time that the caller takes for itself counts against `timeout`.
        """
        assert self.members == 1
        opened = partial(self._opened, decoding, 0)
        return asking.one_by_one(opened, prompts, seeds, self._at_once)

    @asynccontextmanager
    async def _opened(self, decoding: Decoding, member: int) -> AsyncIterator[asking.Ask]:
        name = self._models[member]
        try:
            from inspect_ai.model import GenerateConfig, get_model
        except ImportError as error:
            raise ModelError(
                f'{name} is asked through Inspect AI; pip install "polydrift[inspect]".'
            ) from error
        logging.getLogger("inspect_ai").addHandler(_NOWHERE)
        unknown = sorted(self._settings.keys() - GenerateConfig.model_fields.keys())
        if unknown:
            raise ModelError(
                f"{name}: Inspect AI's GenerateConfig has no {', '.join(unknown)}; mend `settings`."
            )
        cache = self._policy()
        asked: dict[str, Any] = {
            "temperature": decoding.temperature,
            # some vendors take temperature or top_p, not both
            "top_p": decoding.top_p if decoding.top_p < 1 else None,
            "max_tokens": decoding.max_new_tokens,
            "max_connections": self._at_once,
            "max_retries": self._tries - 1,
            "attempt_timeout": self._timeout,
        }
        try:
            config = GenerateConfig(**asked | self._settings)
            model = get_model(name, config=config, memoize=False, **self._model_args)
        except Exception as error:  # whatever a provider raises on what it lacks
            raise ModelError(_unusable(name, error, self._key())) from error
        # Inspect keeps one pool for a model and key in a process, of the size first asked for
        # and with no regard to event loops: two callers would wait for each other
        vars(model.api)["connection_key"] = uuid4().__str__
        async with model:
            yield partial(self._ask, model, name, cache)

    def _policy(self) -> CachePolicy | None:
        from inspect_ai.model import CachePolicy

        if self._cache is None:
            return None
        if not re.fullmatch(r"\d+[smhDWMY]", self._cache):
            raise ModelError(
                f"answers cannot be kept for {self._cache!r}; write a number and one of s, m, h, "
                'D, W, M and Y, as in "4W".'
            )
        return CachePolicy(expiry=self._cache)

    def _key(self) -> str | None:
        return self._model_args.get("api_key")

    async def _ask(
        self, model: Model, name: str, cache: CachePolicy | None, prompt: str, seed: int
    ) -> Generated:
        from inspect_ai.model import GenerateConfig

        config = GenerateConfig(seed=seed % 2**31)  # the widest that every vendor takes
        try:
            output = await model.generate(prompt, config=config, cache=cache or False)
        except Exception as error:  # each provider has its own
            raise self._failure(name, error) from error
        if output.empty or output.stop_reason not in _FINISHES:
            ended = "no answer" if output.empty else repr(output.stop_reason)
            raise asking.UnansweredError(
                f"{name} ended with {ended} (model_length: prompt and answer do not fit the "
                "model); ask for fewer new tokens, leave such prompts out, or take another model.",
                final=not output.empty,
            )
        usage = output.usage
        return Generated(
            text=output.completion,
            prompt_tokens=usage.input_tokens if usage else 0,
            answer_tokens=usage.output_tokens if usage else 0,
            finish=_FINISHES[output.stop_reason],
            prompt_truncated=False,
        )

    def _failure(self, name: str, error: BaseException) -> ModelError:
        """What is wrong with the vendor or with what it was asked, in one sentence."""
        from tenacity import RetryError

        while isinstance(error, RetryError):  # holds what went wrong the last time
            error = error.last_attempt.exception() or ValueError("no reason given")
        status = _status(error)
        # OpenAI says 429 of an account without credit, OpenRouter 403 of a prompt it won't pass on
        if status == 402 or getattr(error, "code", None) == "insufficient_quota":
            return ModelError(
                f"{name}: the account has no credit (HTTP {status}); add some, or take another "
                "vendor."
            )
        if status == 403 and re.search("moderation|flagged", str(error), re.IGNORECASE):
            return asking.UnansweredError(
                f"{name} refuses what was asked (HTTP 403: its moderation); leave such prompts "
                "out, or take another model.",
                final=True,
            )
        if status == 400 and _ACCOUNT.search(said := self._said(error)):
            return ModelError(
                f"{name} does not serve this account or key (HTTP 400: {said}); mend it, or take "
                "another vendor."
            )
        sentence = self._sentence(name, error)
        if status in _ALL:
            return ModelError(sentence)
        refused = isinstance(status, int) and 400 <= status < 500 and status not in _LATER
        return asking.UnansweredError(sentence, final=refused)

    def _said(self, error: BaseException) -> str:
        # the text of Inspect's own error is the whole request; what the vendor said stands beside
        return asking.short(getattr(error, "provider_message", None) or error, self._key())

    def _sentence(self, name: str, error: BaseException) -> str:
        status, kind, said = _status(error), type(error).__name__, self._said(error)
        if status == 404:
            return f"{name}: the vendor has no such model (HTTP 404: {said}); mend the name."
        if status is not None:
            lock = "the one in its environment variable does not open it; set a valid one"
            return asking.refusal(name, status, said, self._tries, lock)
        if "Timeout" in kind:
            return asking.timed_out(name, self._timeout, self._tries)
        if "Connection" in kind:
            why = asking.short(error.__cause__ or error, self._key())
            return asking.unreachable(name, why, self._tries)
        return f"{name} cannot be asked ({kind}: {said}); see {_PROVIDERS}."


def _status(error: BaseException) -> int | None:
    """The HTTP status of a vendor's error, which Google's calls its code."""
    found = (getattr(error, name, None) for name in ("status_code", "code"))
    return next((one for one in found if isinstance(one, int)), None)


def _unusable(name: str, error: Exception, key: str | None) -> str:
    """Why there is no such model, in one sentence; what Inspect says has several, and markup."""
    said = re.sub(r"\[/?[a-z]+\]", "", str(getattr(error, "message", error)))
    if lacking := re.search(r"pip install [^\n]+", said):
        return f"{name} needs a package that is not there, or too old; {lacking[0]}."
    if unset := re.search(r"No (.+) defined in the environment", said):
        return f"{name} needs {unset[1]} in the environment, which is not set; set it."
    if "not recognized" in said or "should be in the format" in said:
        return (
            f"{name} names no provider that Inspect AI knows; write provider/model, like "
            f"openai/gpt-4o-mini ({_PROVIDERS})."
        )
    return f"{name} cannot be used ({asking.short(said, key)}); see {_PROVIDERS}."
