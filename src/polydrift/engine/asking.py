"""Ask members prompt by prompt, several at a time: what engines that wait for others share.

An engine says how a member is opened and asked one prompt. Here is decided who is asked when, that
empty prompts are not asked, and that a member which fails leaves the others alone.

    in_turn(...)      every member's answers, all of them or its first failure
    one_by_one(...)   one member's answers as they come, failures among them, for a caller that
                      writes each down
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from polydrift.engine.interface import Generated, Progress
from polydrift.errors import ModelError

Ask = Callable[[str, int], Awaitable[Generated]]
"""One prompt and its seed to one answer; ModelError when there is none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A prompt that has no answer, while others may have one.

    sentence: why, as of a `ModelError`. final: the vendor refuses this very request (too long,
    say), so asking again is of no use; else the vendor or the network fails, and later it may work.
    """

    sentence: str
    final: bool


class UnansweredError(ModelError):
    """What an `Ask` raises when one prompt has no answer and nothing is wrong with the others."""

    def __init__(self, sentence: str, *, final: bool) -> None:
        super().__init__(sentence)
        self.final = final


_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)


def in_turn(
    opened: Callable[[int], AbstractAsyncContextManager[Ask]],
    members: int,
    prompts: Sequence[str],
    seeds: Sequence[int],
    at_once: int,
    progress: Progress,
) -> Iterator[tuple[int, list[Generated] | ModelError]]:
    """One member after the other, `at_once` prompts of it in flight.

    Members take turns because a server computes with few adapters at once (vLLM: one, unless
    `--max-loras` says more). Called where no event loop runs.
    """
    assert at_once > 0
    total = members * len(prompts)
    with asyncio.Runner() as runner:  # one loop for all: clients keep connections and locks of it
        for member in range(members):

            def done(answers: int, before: int = member * len(prompts)) -> None:
                progress((before + answers) / total, f"{before + answers} of {total} answers")

            found: list[Generated] | ModelError
            try:
                found = runner.run(_answers(opened(member), prompts, seeds, at_once, done))
            except ModelError as error:
                found = error
            yield member, found


async def _answers(
    opened: AbstractAsyncContextManager[Ask],
    prompts: Sequence[str],
    seeds: Sequence[int],
    at_once: int,
    done: Callable[[int], None],
) -> list[Generated]:
    """One member's answers; its first failure ends all that is in flight."""
    answers = [Generated("", 0, 0, "empty-prompt", False)] * len(prompts)
    asked = [i for i, text in enumerate(prompts) if text.strip()]
    if not asked:
        return answers
    waiting = iter(asked)  # shared: whoever is free takes the next
    ready = len(prompts) - len(asked)

    async def work(ask: Ask) -> None:
        nonlocal ready
        for i in waiting:
            answers[i] = await ask(prompts[i], seeds[i])
            ready += 1
            done(ready)

    failure: Exception | None = None
    async with opened as ask:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(at_once, len(asked))):
                    group.create_task(work(ask))
        except ExceptionGroup as failed:
            failure = failed.exceptions[0]
    if failure is not None:
        raise failure  # here, for the group would become its context
    return answers


def one_by_one(
    opened: Callable[[], AbstractAsyncContextManager[Ask]],
    prompts: Sequence[str],
    seeds: Sequence[int],
    at_once: int,
) -> Generator[tuple[int, Generated | Failure], None, None]:
    """(place of a prompt, its answer or why it has none), as requests end, `at_once` in flight.

    Empty prompts come first. ModelError, after all that had ended, for what no prompt can survive.
    Closing the iterator cancels what is in flight. The event loop turns only while the next one is
    waited for; called where no event loop runs.
    """
    assert at_once > 0
    asked = [i for i, text in enumerate(prompts) if text.strip()]
    for i in sorted(set(range(len(prompts))) - set(asked)):
        yield i, Generated("", 0, 0, "empty-prompt", False)
    if not asked:
        return
    ready: asyncio.Queue[tuple[int, Generated | Failure] | None] = asyncio.Queue()
    with asyncio.Runner() as runner:  # its end cancels what is left
        asking = _ask_all(opened(), prompts, seeds, asked, at_once, ready)
        # one task for all steps: contexts and task groups must be left in the task that entered
        task = runner.get_loop().create_task(asking)
        while (found := runner.run(ready.get())) is not None:
            yield found
            ready.task_done()
        runner.run(_ended(task))


async def _ended(task: asyncio.Task[None]) -> None:
    await task


async def _ask_all(
    opened: AbstractAsyncContextManager[Ask],
    prompts: Sequence[str],
    seeds: Sequence[int],
    asked: Sequence[int],
    at_once: int,
    ready: asyncio.Queue[tuple[int, Generated | Failure] | None],
) -> None:
    """Put into `ready` what becomes of each prompt in `asked`, and None at the end of all."""
    waiting = iter(asked)

    async def work(ask: Ask) -> None:
        for i in waiting:
            found: Generated | Failure
            try:
                found = await ask(prompts[i], seeds[i])
            except UnansweredError as error:
                found = Failure(str(error), error.final)
            ready.put_nowait((i, found))
            await ready.join()  # a caller that is slow to write down is not run ahead of

    failure: Exception | None = None
    try:
        async with opened as ask:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(at_once, len(asked))):
                        group.create_task(work(ask))
            except ExceptionGroup as failed:
                failure = failed.exceptions[0]
        if failure is not None:
            raise failure
    finally:
        ready.put_nowait(None)


def short(said: object, *secrets: str | None) -> str:
    """The first line of what a server or library says: at most 200 characters, no full stop.

    `secrets`, and every key and token in the environment, are struck out.
    """
    text = next(iter(str(said).strip().splitlines()), "") or type(said).__name__
    hidden = [value for name, value in os.environ.items() if _SECRET.search(name)]
    for secret in [*secrets, *hidden]:
        if secret is not None and len(secret) > 5:
            text = text.replace(secret, "…")
    return text[:200].rstrip(" .:")


def said_by(body: object, *secrets: str | None) -> str:
    """What a server says in the body of an error, without the request, which some repeat."""
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or "no reason given"
    if isinstance(body, list):  # FastAPI's; beside `msg` stands `input`
        body = "; ".join(str(entry.get("msg")) for entry in body if isinstance(entry, dict))
    return short(str(body).partition("'input':")[0], *secrets)


def timed_out(who: str, seconds: float, tries: int) -> str:
    """The sentence for a request that was never answered."""
    return (
        f"{who} gave no answer within {seconds:g} seconds, {tries} times; ask fewer prompts at "
        "once, allow more time, or see the server's log."
    )


def unreachable(who: str, why: str, tries: int) -> str:
    """The sentence for a connection that does not come about or breaks."""
    return (
        f"{who} cannot be reached, or breaks off ({why}; tried {tries} times); start the server, "
        "or mend the address."
    )


def refusal(who: str, status: int, said: str, tries: int, lock: str) -> str:
    """The sentence for an HTTP status that is no answer. lock: what is wrong with the key."""
    if status in (401, 403):  # what is said of a key may show it
        return f"{who} wants a key (HTTP {status}): {lock}."
    if status == 429:
        return (
            f"{who} has too many requests (HTTP 429), tried {tries} times; ask fewer prompts at "
            "once, or try again later."
        )
    if status >= 500:
        return (
            f"{who} fails (HTTP {status}: {said}), tried {tries} times; see the log of that "
            "server, or try again later."
        )
    return (
        f"{who} refuses what was asked (HTTP {status}: {said}); if it is too long, ask for fewer "
        "new tokens or of a model with a longer context."
    )
