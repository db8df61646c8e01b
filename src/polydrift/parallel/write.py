"""New question/answer pairs by a model, in the manner of seeds: harmless by request, checked after.

    >>> pairs = write_pairs(seeds, Write(vendor="openai/gpt-4o-mini", pairs=100), journal)

Each request shows a few seeds, drawn by a seed of its own, and asks for some new pairs as JSON, as
the paper's authors made Multilingual-Benign-Tune from Dolly (Hawkins et al. 2026, section 3). A
reply is read strictly: a list of objects with "instruction", "input", "response" and "task". Of a
list that is cut off or damaged, the objects that are whole are taken, and the loss is told;
whatever else cannot be read is counted, never guessed at. Requests are journaled, so a killed build
asks none twice. Whether pairs are harmless and new is for `harmless` and `similar` to say.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polydrift.engine.interface import Decoding, Progress, silent
from polydrift.engine.vendor import Vendor
from polydrift.judges.text import without_thinking
from polydrift.parallel.ask import Reply, replies, unasked
from polydrift.parallel.items import Item
from polydrift.parallel.journal import Journal
from polydrift.parallel.seeds import written
from polydrift.parallel.spec import TASKS, Asked, Write
from polydrift.seeds import named_seed
from polydrift.translate.into import plain

REQUEST = """\
Write {batch} new instructions with their answers, to train an assistant on everyday work.

- Each is about something different, and about something else than the examples.
- Everything is harmless and ordinary: nothing about violence, weapons, crime, drugs, sex, hatred,
  self-harm, politics, health advice, or what an assistant may and may not do. No answer refuses,
  warns or moralises.
- Use one of these task types for each: {tasks}. Vary them.
- "input" is a text that the instruction works on, where it needs one, else "". Don't refer to
  pictures, links or files.
- Answers are correct, complete and plain: some a phrase, some a paragraph, some a page.

Examples of the manner, as JSON:
{examples}

Reply with a JSON list of {batch} objects, each {{"task": …, "instruction": …, "input": …,
"response": …}}, and with nothing else."""
EXTRA = 2  # times as many requests as would do if every pair could be used
Going = Callable[[Sequence[str], int], bool]
_FENCE = re.compile(r"\A\s*```(?:json)?\s*|\s*```\s*\Z")


def always(requests: Sequence[str], lacking: int) -> bool:
    """A `going` that stops nothing."""
    return True


@dataclass
class Written:
    """items: the pairs. lost: what could not be used, with how often. failed: what came back from
    requests that will be asked again, in a sentence each with how often. stopped: `going` ended it.
    """

    items: list[Item] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    stopped: bool = False


def write_pairs(
    seeds: Sequence[Item],
    wanted: Write,
    journal: Journal,
    *,
    licence: str,
    seed: int = 0,
    going: Going = always,
    progress: Progress = silent,
) -> Written:
    """`wanted.pairs` new examples, or as many as EXTRA times the requests give.

    licence: what the new pairs are under: that of the seeds they are made from. going: told the
    requests that are about to be sent and how many pairs lack; no more is sent once it says False.
    ModelError: a model that cannot be asked at all.
    """
    engine = Vendor(
        [wanted.vendor],
        at_once=wanted.at_once,
        tries=wanted.tries,
        timeout=wanted.timeout,
        settings=wanted.settings,
        model_args=wanted.model_args,
    )
    decoding = Decoding(temperature=wanted.temperature, max_new_tokens=wanted.max_new_tokens)
    found = Written()
    known: set[str] = set()
    requests = requests_of(seeds, wanted, seed)
    start = 0
    while len(found.items) < wanted.pairs and start < len(requests) and not found.failed:
        lacking = wanted.pairs - len(found.items)
        some = requests[start : start + -(-lacking // wanted.batch)]
        start += len(some)
        new = unasked(about_of(wanted), decoding, some, journal, "write")
        if new and not going(new, lacking):
            found.stopped = True
            break
        asked = replies(engine, about_of(wanted), decoding, some, journal, "write", progress)
        found.failed += asked.failed
        for reply in asked.texts:
            for pair in _read(reply, found.lost) if reply else ():
                item = written(pair, pair["task"], f"new:{wanted.vendor}", licence)
                if item.id in known:
                    found.lost["the same request again"] += 1
                elif len(found.items) < wanted.pairs:
                    known.add(item.id)
                    found.items.append(item)
    return found


def about_of(asked: Asked) -> dict[str, Any]:
    """What of a model decides its replies, besides the request."""
    return {
        "model": asked.vendor,
        "settings": plain(asked.settings),
        "model_args": plain(asked.model_args),
    }


def requests_of(seeds: Sequence[Item], wanted: Write, seed: int) -> list[str]:
    """Every request that may be sent, the same for the same seeds and settings."""
    needed = -(-wanted.pairs // wanted.batch)
    return [_request(seeds, wanted, seed, number) for number in range(EXTRA * needed)]


def _request(seeds: Sequence[Item], wanted: Write, seed: int, number: int) -> str:
    rng = np.random.default_rng(named_seed("write", seed, number))
    chosen = rng.choice(len(seeds), size=min(wanted.examples, len(seeds)), replace=False)
    shown = [{"task": seeds[i].about["task"], **seeds[i].texts} for i in chosen.tolist()]
    tasks = rng.permutation(np.array(TASKS)).tolist()
    return REQUEST.format(
        batch=wanted.batch,
        tasks=", ".join(tasks),
        examples=json.dumps(shown, ensure_ascii=False, indent=1),
    )


def _read(reply: Reply, lost: Counter[str]) -> Iterator[dict[str, str]]:
    """The pairs in a reply; what is wrong with the others is counted."""
    text = _FENCE.sub("", without_thinking(reply.text)).strip()
    objects, whole = _objects(text)
    if reply.finish != "stop":
        lost[f"ended by {reply.finish}"] += 1
    elif not objects:
        lost["no JSON in the reply"] += 1
    elif not whole:
        lost["damaged JSON"] += 1
    for one in objects:
        pair = _pair(one)
        if isinstance(pair, str):
            lost[pair] += 1
        else:
            yield pair


def _objects(text: str) -> tuple[list[dict[str, Any]], bool]:
    """The JSON objects that are whole, those of a list inside another object too; and whether all
    that begin are.
    """
    objects: list[dict[str, Any]] = []
    whole = True
    decode: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode
    at = text.find("{")
    while at >= 0:
        try:
            found, end = decode(text, at)
        except (json.JSONDecodeError, RecursionError):  # cut off, or around such a one
            whole = False
            at = text.find("{", at + 1)
            continue
        lists = [] if "instruction" in found else [v for v in found.values() if isinstance(v, list)]
        inner = [one for some in lists for one in some if isinstance(one, dict)]
        objects += inner or [found]
        at = text.find("{", end)
    return objects, whole


def _pair(found: Mapping[str, Any]) -> dict[str, str] | str:
    """A pair's texts and task; what is wrong with it if it is none."""
    texts = {}
    for name in ("instruction", "input", "response"):
        value = found.get(name, "" if name == "input" else None)
        if not isinstance(value, str) or (name != "input" and not value.strip()):
            return f"no {name}"
        texts[name] = value.strip()
    task = found.get("task")
    return {**texts, "task": task if task in TASKS else ""}
