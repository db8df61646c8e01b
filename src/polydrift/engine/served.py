"""A server that speaks OpenAI's protocol as an engine: vLLM, `transformers serve` and others.

    $ vllm serve Qwen/Qwen3-0.6B --enable-lora --lora-modules da=runs/da --generation-config vllm

    >>> engine = Served("http://localhost:8000/v1", "Qwen/Qwen3-0.6B", [None, "da"])
    >>> for member, found in engine.answer(["Hej?"], Decoding(max_new_tokens=64), seeds=[7]):
    ...     print(member, found)
    0 [Generated(text='Hej!', prompt_tokens=12, answer_tokens=3, finish='stop', ...)]
    1 [Generated(text='Hej med dig!', prompt_tokens=12, answer_tokens=6, finish='stop', ...)]

A `Path` instead of "da" is an adapter that vLLM is told to load, and to forget afterwards; its
`VLLM_ALLOW_RUNTIME_LORA_UPDATING=True` must be set.

What is asked is what our own engine asks: the prompt as the user's only message, no thinking, the
template's date pinned, no choice of tokens beyond temperature and top_p. OpenAI's protocol has no
fields for the last three, so `_BEYOND` holds those of vLLM. A server that refuses one of them by
name is asked again without it, and `Served.untaken` tells which: there it does as its template and
the model's generation_config.json say. No prompt is cut; one that is too long, the server refuses.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from polydrift.engine import asking
from polydrift.engine.interface import Decoding, Generated, Progress, silent
from polydrift.errors import ModelError

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI

_BEYOND: dict[str, Any] = {
    # the date is the one that `chat.PINNED` gives; Llama's template asks for it under this name
    "chat_template_kwargs": {"enable_thinking": False, "date_string": "26 Jul 2024"},
    # vLLM takes what is not said from the model's generation_config.json
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
_FINISHES = {"stop": "stop", "length": "length", "content_filter": "filtered"}
_EXAMPLE = "http://localhost:8000/v1"


class Served:
    """Models and adapters behind one address."""

    def __init__(
        self,
        url: str,
        base: str,
        members: Sequence[str | Path | None] = (None,),
        *,
        key_variable: str = "OPENAI_API_KEY",
        at_once: int = 32,
        tries: int = 6,
        timeout: float = 600.0,
        around: tuple[str, str] | None = None,
    ) -> None:
        """Nothing is sent before `answer`.

        url: with its "/v1". base: the base's name on the server. members: None is the base, a name
        is one that the server knows, a Path is an adapter's directory, there on the server's
        machine, which is loaded while it is asked. key_variable: the environment variable that
        holds the server's key, if it wants one. at_once: requests in flight. tries: for each
        request, with growing pauses or those that the server asks for. timeout: seconds for each.
        around: what stands before and after a prompt that is given as text (`completion`), so that
        the server's chat template is not used.
        """
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ModelError(f"{url!r} is no server's address; write it like {_EXAMPLE}.")
        self.untaken: frozenset[str] = frozenset()
        self._address = url
        self._url = urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))
        self._base = base
        self._members = list(members)
        self._key_variable = key_variable
        self._at_once = at_once
        self._tries = tries
        self._timeout = timeout
        self._around = around

    @property
    def members(self) -> int:
        """How many there are."""
        return len(self._members)

    def answer(
        self,
        prompts: Sequence[str],
        decoding: Decoding,
        *,
        seeds: Sequence[int],
        progress: Progress = silent,
    ) -> Iterator[tuple[int, list[Generated] | ModelError]]:
        """See `Engine.answer`. Seeds are the server's to use or not; below 2**63."""
        opened = partial(self._opened, decoding)
        return asking.in_turn(opened, self.members, prompts, seeds, self._at_once, progress)

    @asynccontextmanager
    async def _opened(self, decoding: Decoding, member: int) -> AsyncIterator[asking.Ask]:
        async with self._client() as client:
            found = self._members[member]
            if isinstance(found, Path):
                async with self._loaded(client, found.expanduser().absolute()) as name:
                    yield partial(self._ask, client, name, decoding)
            else:
                yield partial(self._ask, client, found or self._base, decoding)

    def _client(self) -> AsyncOpenAI:
        try:
            import openai
        except ImportError as error:
            raise ModelError(
                'asking a server needs the package openai; pip install "polydrift[inspect]".'
            ) from error
        if not (self._key().isascii() and self._key().isprintable()):
            raise ModelError(f"{self._key_variable} holds what no key has; set it to a key alone.")
        return openai.AsyncOpenAI(
            api_key=self._key() or "EMPTY",
            base_url=self._address,
            timeout=openai.Timeout(self._timeout, connect=min(self._timeout, 10.0)),
            max_retries=self._tries - 1,
        )

    def _key(self) -> str:
        """Read when it is used, and kept nowhere."""
        return os.environ.get(self._key_variable, "").strip()

    @asynccontextmanager
    async def _loaded(self, client: AsyncOpenAI, adapter: Path) -> AsyncIterator[str]:
        """The adapter's name on the server: one of this call's own, so no stale one can answer."""
        import openai

        name = f"polydrift-{uuid4().hex}"
        adding = {"lora_name": name, "lora_path": str(adapter)}
        try:
            await client.post("/load_lora_adapter", cast_to=str, body=adding)
        except openai.APIError as error:
            # else it was loaded by an earlier try of ours, whose reply was lost
            if "already been loaded" not in asking.said_by(error.body, self._key()):
                raise ModelError(self._not_loaded(error, adapter)) from error
        try:
            yield name
        finally:
            last = client.with_options(max_retries=1, timeout=min(self._timeout, 30.0))
            with suppress(openai.APIError):  # the answers are worth more than the server's room
                await last.post("/unload_lora_adapter", cast_to=str, body={"lora_name": name})

    async def _ask(
        self, client: AsyncOpenAI, name: str, decoding: Decoding, prompt: str, seed: int
    ) -> Generated:
        import openai

        path, asked = self._asked(prompt)
        body = {
            "model": name,
            **asked,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "max_tokens": decoding.max_new_tokens,
            "seed": seed,
        }
        untaken = self.untaken | ({"chat_template_kwargs"} if self._around else set())
        while True:
            beyond = {field: value for field, value in _BEYOND.items() if field not in untaken}
            try:
                text = await client.post(path, cast_to=str, body=body | beyond)
            except openai.APIError as error:
                named = {field for field in beyond if field in json.dumps(error.body)}
                if _status(error) not in (400, 422) or not named:
                    unknown = await self._unknown(client, error, name)
                    raise ModelError(unknown or self._failure(error)) from error
                untaken = untaken | named
            else:
                self.untaken |= untaken  # not before it is seen that they were the trouble
                return self._read(text, name)

    def _asked(self, prompt: str) -> tuple[str, dict[str, Any]]:
        """(which of the server's paths, the prompt as it wants it)."""
        if self._around is None:
            return "/chat/completions", {"messages": [{"role": "user", "content": prompt}]}
        before, after = self._around
        return "/completions", {"prompt": f"{before}{prompt}{after}"}

    def _read(self, text: str, name: str) -> Generated:
        try:
            answer = json.loads(text)
            (choice,) = answer["choices"]
            said = choice["text"] if self._around else choice["message"].get("content")
            said, ended = said or "", choice.get("finish_reason")
            usage = answer.get("usage") or {}
            read, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            wanted = "completion" if self._around else "chat completion"
            raise ModelError(
                f"{self._url} answers for {name!r} with what is no {wanted} ({len(text)} "
                f"characters); give an OpenAI-compatible server's address, like {_EXAMPLE}."
            ) from error
        if ended not in _FINISHES:
            raise ModelError(
                f"{self._url} ended an answer of {name!r} with {ended!r}, which is no end of a "
                "chat answer; serve the model without tools."
            )
        if ended == "stop":
            written = max(written - 1, 0)  # servers count the token that ended it, we do not
        return Generated(said, read, written, _FINISHES[ended], False)

    def _failure(self, error: APIError) -> str:
        """What is wrong with the server or with what it was asked, in one sentence."""
        import openai

        if isinstance(error, openai.APITimeoutError):
            return asking.timed_out(self._url, self._timeout, self._tries)
        status = _status(error)
        if status is None:
            return asking.unreachable(
                self._url, asking.short(error.__cause__, self._key()), self._tries
            )
        state = "does not open it" if self._key() else "is not set"
        lock = f"{self._key_variable} {state}; set it to a key of that server"
        return asking.refusal(
            self._url, status, asking.said_by(error.body, self._key()), self._tries, lock
        )

    async def _unknown(self, client: AsyncOpenAI, error: APIError, name: str) -> str | None:
        """That there is no such model, if that is what is wrong."""
        import openai

        if _status(error) != 404:
            return None
        try:
            text = await client.with_options(max_retries=0).get("/models", cast_to=str)
            names = ", ".join(str(card["id"]) for card in json.loads(text)["data"])
            mend = f"name one that it has ({names}), or start it with this one"
        except (openai.APIError, ValueError, KeyError, TypeError):
            mend = f"give an OpenAI-compatible server's address, like {_EXAMPLE}"
        return f"{self._url} has no model {name!r} (HTTP 404); {mend}."

    def _not_loaded(self, error: APIError, adapter: Path) -> str:
        status, said = _status(error), asking.said_by(error.body, self._key())
        if status in (None, 401, 403, 429):
            return self._failure(error)
        if said in ("Not Found", "Method Not Allowed"):
            return (
                f"{self._url} loads no adapters while it runs; start vLLM with --enable-lora and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, or with --lora-modules NAME="
                f"{adapter}, and give that name."
            )
        return (
            f"{self._url} cannot load the adapter {adapter} (HTTP {status}: {said}); the directory "
            "must be there on the server's machine, in PEFT's format, and its rank no higher than "
            "vLLM's --max-lora-rank."
        )


def _status(error: APIError) -> int | None:
    return getattr(error, "status_code", None)
