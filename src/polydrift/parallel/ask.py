"""A model asked many requests, each reply put down as it comes; nothing is asked twice.

asked = replies(engine, {"model": "openai/gpt-4o-mini"}, decoding, requests, journal, "write")
asked.texts           # one for each request: (text, finish), None for one that failed
asked.failed          # why, in a sentence, with how often
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from polydrift.engine.asking import Failure
from polydrift.engine.interface import Decoding, Generated
from polydrift.parallel.journal import Journal
from polydrift.seeds import named_seed
from polydrift.translate.interface import Progress, silent

STOP = 10  # failures in a row after which a service is left alone
REFUSED = "refused"  # the finish of a request that the vendor will not take


class Each(Protocol):
    """An engine of one model whose answers come one by one: `engine.vendor.Vendor`."""

    def each(
        self, prompts: Sequence[str], decoding: Decoding, seeds: Sequence[int]
    ) -> Generator[tuple[int, Generated | Failure], None, None]:
        """See `Vendor.each`."""
        ...


class Reply(NamedTuple):
    """finish: as of `Generated`, or REFUSED."""

    text: str
    finish: str


@dataclass
class Replies:
    """What came back, in the order of the requests."""

    texts: list[Reply | None]
    failed: Counter[str] = field(default_factory=Counter)


def key_of(kind: str, about: Mapping[str, Any], decoding: Decoding, request: str) -> str:
    """The journal's key of a request."""
    asked = {
        **about,
        "temperature": decoding.temperature,
        "max_new_tokens": decoding.max_new_tokens,
        "request": request,
    }
    return Journal.key(kind, asked)


def unasked(
    about: Mapping[str, Any],
    decoding: Decoding,
    requests: Sequence[str],
    journal: Journal,
    kind: str,
) -> list[str]:
    """The distinct requests that the journal holds no reply to."""
    return [
        request
        for request in dict.fromkeys(requests)
        if journal.get(key_of(kind, about, decoding, request)) is None
    ]


def replies(
    engine: Each,
    about: Mapping[str, Any],
    decoding: Decoding,
    requests: Sequence[str],
    journal: Journal,
    kind: str,
    progress: Progress = silent,
) -> Replies:
    """Every request's reply, from the journal or asked now.

    about: what else than decoding and request decides a reply (the model, its settings). After STOP
    failures in a row the rest is not asked. ModelError: a model that cannot be asked at all.
    """
    keys = [key_of(kind, about, decoding, request) for request in requests]
    there: dict[str, Reply | None] = {
        key: Reply(*found) if (found := journal.get(key)) else None for key in dict.fromkeys(keys)
    }
    place = {key: number for number, key in reversed(list(enumerate(keys)))}
    missing = [place[key] for key, found in there.items() if found is None]
    failed: Counter[str] = Counter()
    seeds = [named_seed(kind, keys[number]) for number in missing]
    in_a_row = 0
    asked = engine.each([requests[number] for number in missing], decoding, seeds)
    with closing(asked) as arriving:
        for done, (index, result) in enumerate(arriving if missing else (), start=1):
            key = keys[missing[index]]
            if isinstance(result, Failure) and not result.final:
                failed[result.sentence] += 1
                in_a_row += 1
            else:
                in_a_row = 0
                there[key] = reply = _reply(result)
                journal.put(key, list(reply), kind)
            progress(done / len(missing), f"{done:,} of {len(missing):,} requests")
            if in_a_row == STOP:
                left = len(missing) - done
                if left:
                    failed[f"not asked after {STOP} failures in a row"] += left
                break
    return Replies([there[key] for key in keys], failed)


def _reply(result: Generated | Failure) -> Reply:
    if isinstance(result, Failure):
        return Reply("", REFUSED)
    return Reply(result.text, result.finish)
