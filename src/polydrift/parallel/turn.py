"""English items into other languages, each by the first translator that can do it.

    made = turn(items, BENIGN, "da", translators, journal)
    made.items[0]         # Item(id="dolly:7", language="da", translator="openai/gpt-4o-mini", …)
    made.attempts         # who tried which row, and how it ended

A translator that refuses an unsafe prompt is the normal case. So rows go through the translators in
their order: a row that one refuses, cuts off, leaves in English, puts into another language or
loops on goes to the next, and the log says so. The texts of one row are all by one translator. If
none gives a good one, the best that was given is kept, rejected; if none gave any, the row is there
with an empty text, rejected too: no row disappears.

A failure of the service is no refusal: its rows wait (`Made.waiting`), are handed to nobody else,
and are asked again when the same command runs again. After STOP failures in a row the service is
taken for broken, and the rest of its rows wait too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from polydrift.parallel.ask import STOP
from polydrift.parallel.checks import REJECTING, check_rows, verdict
from polydrift.parallel.items import Doubt, Form, Item
from polydrift.parallel.journal import Journal
from polydrift.translate.interface import Progress, silent
from polydrift.translate.into import IntoLanguage
from polydrift.translate.replies import Rendering

ENDINGS = ("made", "refused", "filtered", "empty", "cut-off", "failed", "rejected", "waiting")


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one translator fared with one row. ending: of ENDINGS; says: what the service said, or
    which checks rejected it.
    """

    id: str
    language: str
    translator: str
    ending: str
    says: str


@dataclass
class Made:
    """items: one for each English item that does not wait, in their order. attempts: the log.
    waiting: why rows wait for another run, with how many.
    """

    items: list[Item] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    waiting: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Row:
    """A row on its way. best: the best translation so far with its doubts; why: the last ending of
    each translator, by field and words; waits: the failure that it waits for.
    """

    source: Item
    best: Item | None = None
    why: list[Doubt] = field(default_factory=list)
    waits: str = ""

    def settled(self) -> bool:
        return bool(self.waits) or (self.best is not None and self.best.status != "rejected")


def turn(
    items: Sequence[Item],
    form: Form,
    target: str,
    translators: Sequence[IntoLanguage],
    journal: Journal,
    *,
    keep: Sequence[str] = (),
    progress: Progress = silent,
) -> Made:
    """The items in the language of code `target`.

    translators: in the order in which they are tried; those that don't know the language are passed
    over. ModelError: a translator that cannot be asked at all (no key, no package, no such model);
    what others did before stands in the journal.
    """
    rows = [_Row(item) for item in items]
    made = Made()
    able = [one for one in translators if target in one.languages]
    for number, translator in enumerate(able):
        open_rows = [row for row in rows if not row.settled()]
        if not open_rows:
            break

        def tell(done: float, text: str, number: int = number) -> None:
            progress((number + done) / len(able), text)

        _one(open_rows, form, target, translator, journal, keep, tell, made)
    for row in rows:
        if row.waits:
            made.waiting[row.waits] += 1
        else:
            made.items.append(row.best or _nothing(row, form, target))
    progress(1.0, f"{len(made.items):,} rows")
    return made


def _one(
    rows: Sequence[_Row],
    form: Form,
    target: str,
    translator: IntoLanguage,
    journal: Journal,
    keep: Sequence[str],
    progress: Progress,
    made: Made,
) -> None:
    """Let one translator try rows."""
    texts = list(
        dict.fromkeys(
            row.source.texts[name]
            for row in rows
            for name in form.texts
            if row.source.texts[name].strip()
        )
    )
    found = renderings(texts, target, translator, journal, progress)
    tried: list[tuple[_Row, Item]] = []
    for row in rows:
        parts = {name: found.get(row.source.texts[name]) for name in form.texts}
        given = {name: part for name, part in parts.items() if row.source.texts[name].strip()}
        ill = [name for name, part in given.items() if part is None or part.problem]
        if not ill:
            said = {name: part.text if part else "" for name, part in parts.items()}
            item = replace(row.source, language=target, texts=said, translator=translator.name)
            tried.append((row, item))
            continue
        ending, says = _ending(row, ill[0], parts[ill[0]], translator.name)
        made.attempts.append(Attempt(row.source.id, target, translator.name, ending, says))
    checked = check_rows([(row.source, item) for row, item in tried], form, keep=keep)
    for (row, item), doubts in zip(tried, checked, strict=True):
        status = verdict(doubts)
        item = replace(item, doubts=doubts, status=status)
        if row.best is None or _badness(item) < _badness(row.best):
            row.best = item
        says = ", ".join(dict.fromkeys(doubt.kind for doubt in doubts))
        ending = "rejected" if status == "rejected" else "made"
        made.attempts.append(Attempt(row.source.id, target, translator.name, ending, says))


def _ending(row: _Row, name: str, part: Rendering | None, translator: str) -> tuple[str, str]:
    """How a translator ended that gave no text for a field, and what it said."""
    if part is None or (part.problem == "failed" and not part.final):
        row.waits = part.says if part else f"{translator} was left alone after failures in a row."
        return "waiting", row.waits
    kind = "refused" if part.problem in ("refused", "filtered") else "missing"
    row.why.append(Doubt(kind, name, f"{translator}: {part.says or part.problem}"))
    return part.problem, part.says


def renderings(
    texts: Sequence[str],
    target: str,
    translator: IntoLanguage,
    journal: Journal,
    progress: Progress = silent,
) -> dict[str, Rendering]:
    """What the translator makes of distinct texts, by text: from the journal, else asked now.

    Absent are those of a service that was left alone after STOP failures.
    """
    keys = {
        text: journal.key("translate", {**translator.identity, "target": target, "text": text})
        for text in texts
    }
    found: dict[str, Rendering] = {}
    for text, key in keys.items():
        if (known := journal.get(key)) is not None:
            found[text] = _restored(known)
    missing = [text for text in texts if text not in found]
    if not missing:
        return found
    total, before, failures = len(texts), len(found), 0
    gives_up = getattr(translator, "gives_up", False)  # counts requests itself, of many texts each

    def tell(done: float, text: str) -> None:
        progress((before + done * len(missing)) / total, text)

    asked = translator.into(missing, target, tell)
    with closing(asked) as arriving:
        for index, rendering in arriving:
            text = missing[index]
            found[text] = rendering
            if rendering.problem == "failed" and not rendering.final:
                failures += 1
            else:
                failures = 0
                journal.put(keys[text], _stored(rendering), "translate")
            if failures == STOP and not gives_up:
                break
    return found


def _stored(rendering: Rendering) -> dict[str, Any]:
    return {"text": rendering.text, "problem": rendering.problem, "says": rendering.says}


def _restored(stored: Mapping[str, Any]) -> Rendering:
    return Rendering(stored["text"], stored["problem"], stored["says"], True)


def _badness(item: Item) -> tuple[int, int]:
    """What the better of two translations has less of."""
    return sum(doubt.kind in REJECTING for doubt in item.doubts), len(item.doubts)


def _nothing(row: _Row, form: Form, target: str) -> Item:
    """A row that nobody translated."""
    why = tuple(row.why) or (Doubt("missing", form.texts[0], "no translator knows this language"),)
    return replace(
        row.source,
        language=target,
        texts=dict.fromkeys(form.texts, ""),
        doubts=why,
        status="rejected",
    )
