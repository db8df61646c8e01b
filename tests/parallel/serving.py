"""A vendor in a box: it speaks chat completions, translates by looking up, and misbehaves if told.

    with serving() as vendor:
        vendor.faults["Wait."] = [slow_down]          # once, then as it should
        vendor.faults["Go."] = refusing               # always
        ...
        vendor.asked                                  # every request, in order

It knows the shipped benign set in nine languages, whole texts and single sentences; a request is
read for the language that it names. What it does not know it gives back in capitals. It also writes
new pairs (`pairs`) and gives opinions (`opinions`).
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Event, Lock
from typing import Any

from polydrift.data import shipped
from polydrift.languages import LANGUAGES
from polydrift.parallel.harmless import touches_all
from polydrift.parallel.items import BENIGN, SOURCE, Item, as_row, read_items
from polydrift.parallel.spec import Build, check
from polydrift.translate.sentences import split
from tests.engine.test_served import completion, server

LOCAL = "openai-api/local/base"
KEY = "key-that-nobody-may-read"
REFUSAL = "I'm sorry, but I can't help with that."
_INTO = re.compile(r"from English into (\w+) \(")
_BACK = re.compile(r"\ATranslate the (\w+) sentence")
_CODES = {language.name: code for code, language in LANGUAGES.items()}


@dataclass(frozen=True)
class Asked:
    """One request. kind: translate, back, write or harmless; language: asked for; text: the one in
    the tags, or all that was asked.
    """

    kind: str
    language: str
    text: str


Reply = tuple[Any, ...]  # (status, body) or (status, body, headers)
Fault = Callable[[Asked], Reply]


def status(code: int, message: str = "broken", **more: str) -> Fault:
    """An HTTP error. Retries, if the client makes any, come at once."""
    body = {"error": {"message": message, **more}}
    return lambda asked: (code, body, {"retry-after-ms": "10"})


def saying(text: str, finish: str = "stop") -> Fault:
    """A reply in so many words."""
    return lambda asked: (200, completion(text, finish))


slow_down, broken, odd = status(429, "slow down"), status(500), status(400, "too long")
refusing = saying(REFUSAL)
cut_off = saying("<translation>Det er", "length")
filtered = saying("", "content_filter")
rubbish = saying('{"verdict": "green"}')


def tagged(text: str) -> str:
    return f"<translation>\n{text}\n</translation>"


def broken_off(asked: Asked) -> Reply:
    """A body that is no JSON."""
    return 200, b'{"choices": [{"mess'


def copying(asked: Asked) -> Reply:
    """The English text again."""
    return 200, completion(tagged(asked.text))


def looping(asked: Asked) -> Reply:
    """The beginning of the translation, without end."""
    words = " ".join(known()[asked.language][asked.text].split()[:3])
    return 200, completion(tagged(f"{words} " * 60))


def without_numbers(asked: Asked) -> Reply:
    """The translation, its digits gone."""
    return 200, completion(tagged(re.sub(r"\d+", "", known()[asked.language][asked.text])))


def in_language(code: str) -> Fault:
    """Another language than was asked for."""
    return lambda asked: (200, completion(tagged(known()[code][asked.text])))


@dataclass
class Vendor:
    """What the server is told and has heard.

    faults: by text of a request, one that always happens or a list of which each happens once.
    always: happens to every request, before faults. slow: seconds before each reply. pairs: what
    `write` requests get, one after the other. opinions: by instruction, else "harmless".
    """

    url: str = ""
    faults: dict[str, Fault | list[Fault]] = field(default_factory=dict)
    always: Fault | None = None
    slow: float = 0.0
    pairs: list[Fault] = field(default_factory=list)
    opinions: dict[str, Fault] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    closed: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def reply(self, path: str, body: dict[str, Any]) -> Reply:
        """What a request gets."""
        asked = understood(body["messages"][0]["content"])
        with self.lock:
            self.asked.append(asked)
            fault = self.always or self.faults.get(asked.text)
            if isinstance(fault, list):
                fault = fault.pop(0) if fault else None
            if fault is None and asked.kind == "write":
                fault = self.pairs.pop(0) if self.pairs else saying("[]")
        if self.slow:
            time.sleep(self.slow)
        return fault(asked) if fault else self._rightly(asked)

    def _rightly(self, asked: Asked) -> Reply:
        if asked.kind == "harmless":
            return self.opinions.get(asked.text, saying('{"verdict": "harmless"}'))(asked)
        found = known()[asked.language].get(asked.text, asked.text.upper())
        return 200, completion(tagged(found) if asked.kind == "translate" else found)

    def hang(self, asked: Asked) -> Reply:
        """A fault: no reply as long as the server runs, or half a minute."""
        self.closed.wait(30)
        return 503, b""

    def texts(self, language: str | None = None) -> list[str]:
        """The texts that were to be translated, in the order in which they were asked for."""
        return [
            one.text
            for one in self.asked
            if one.kind == "translate" and language in (None, one.language)
        ]

    def forget(self) -> None:
        """As if nothing had been asked."""
        self.asked.clear()


@contextlib.contextmanager
def serving() -> Iterator[Vendor]:
    """A running vendor."""
    vendor = Vendor()
    with server(vendor.reply) as (url, _):
        vendor.url = url
        try:
            yield vendor
        finally:
            vendor.closed.set()


class Heard:
    """A board that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stages: dict[str, float] = {}

    def update(self, stage: str, done: float, text: str) -> None:
        self.stages[stage] = done

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def asking(vendor: Vendor, name: str = LOCAL, **more: Any) -> dict[str, Any]:
    """How a build file names a vendor of ours: asked once, four requests in flight."""
    args = {"base_url": vendor.url, "max_retries": 0}
    return {"vendor": name, "tries": 1, "at_once": 4, "model_args": args, **more}


def understood(request: str) -> Asked:
    """What a request is about."""
    if into := _INTO.search(request):
        quoted = re.search(r"<(text[-\d]*)>\n(.*)\n</\1>\Z", request, re.DOTALL)
        assert quoted, request
        return Asked("translate", _CODES[into[1]], quoted[2])
    if back := _BACK.match(request):
        text = request.rpartition("\n<sentence>")[2].removesuffix("</sentence>")
        return Asked("back", f"{_CODES[back[1]]}-en", text)
    if "<example>" in request:
        example = json.loads(request.partition("<example>\n")[2].partition("\n</example>")[0])
        return Asked("harmless", SOURCE, example["instruction"])
    assert request.startswith("Write "), request
    return Asked("write", SOURCE, request)


@cache
def shipped_items() -> dict[str, dict[str, Item]]:
    """The shipped set by id and language."""
    _, items = read_items(shipped.path(shipped.BENIGN))
    found: dict[str, dict[str, Item]] = {}
    for item in items:
        found.setdefault(item.id, {})[item.language] = item
    return found


@cache
def known() -> dict[str, dict[str, str]]:
    """English texts to those of each language; of "da-en" and so on, sentences to English ones."""
    found: dict[str, dict[str, str]] = {code: {} for code in LANGUAGES}
    found |= {f"{code}-en": {} for code in LANGUAGES}
    for row in shipped_items().values():
        for code, item in row.items():
            for name, text in item.texts.items():
                english = row[SOURCE].texts[name]
                found[code].setdefault(english, text)
                there, here = split(text, code), split(english, SOURCE)
                if len(there) == len(here):
                    found[f"{code}-en"] |= dict(zip(there, here, strict=True))
    return found


def english(number: int, skip: int = 0) -> list[Item]:
    """So many English items of the shipped set that no rule of the filter drops."""
    return _harmless()[skip : skip + number]


@cache
def _harmless() -> list[Item]:
    rows = [row[SOURCE] for name, row in shipped_items().items() if name.startswith("open-qa")]
    touched = touches_all([row.texts for row in rows], [SOURCE] * len(rows))
    return [row for row, touches in zip(rows, touched, strict=True) if not touches]


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as JSON lines."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def build_data(
    folder: Path, items: Sequence[Item], *translators: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    """The contents of a build file for items, whose seeds are written beside it."""
    write_lines(folder / "seeds.jsonl", [as_row(item, BENIGN) for item in items])
    seeds = [{"name": "own", "data": "seeds.jsonl", "licence": "apache-2.0"}]
    first = {"name": "set", "languages": ["da"], "seeds": seeds}
    return {**first, "translators": list(translators), **more}


def spec_of(folder: Path, *given: Any, **more: Any) -> Build:
    """A checked build of `build_data`."""
    return check(build_data(folder, *given, **more), source="set.toml", folder=folder)


def build_file(path: Path, data: Mapping[str, Any]) -> Path:
    """A build file."""
    lines = [f"{key} = {_toml(value)}" for key, value in data.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    """A value inline; JSON is TOML but for tables."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
