"""What the pages show, as plain values for the templates; nothing here knows of HTTP.

    sitting = Sitting(review, "ANNA")
    shown = row(sitting, 17, show="doubted")
    shown["fields"][0].doubts        # (Doubt(kind="number", field="response", says="12 is …"),)

A reviewer sees the row and what they did themselves, and nothing of others. Who settles also sees
what the reviewers did, under letters. Of an answer only its prompt, itself and its language are
shown: no model, no id.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from polydrift import records
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.parallel.items import Doubt
from polydrift.review.agree import Pair, agreements, letters, reviewers
from polydrift.review.look import Look, progress, shows
from polydrift.review.records import Review
from polydrift.review.states import SETTLED, State
from polydrift.review.tasks import DECISIONS, Entry, optional_texts, texts_of
from polydrift.stats.agreement import Estimate

HTML_LANGUAGES = {"zh": "zh-Hans"}  # which script a browser takes a font for
_SHARED = 0.25  # of the shorter text, below which two are shown one after the other
_COMPARED = 4_000_000  # pairs of words, beyond which comparing takes too long for a page


@dataclass(frozen=True, slots=True)
class Sitting:
    """Somebody at a review. settling: whether they settle what reviewers differ on. names: whether
    they are shown the reviewers' names.
    """

    review: Review
    reviewer: str
    settling: bool = False
    names: bool = False

    @property
    def lane(self) -> str:
        """Where their actions belong."""
        return SETTLED if self.settling else self.reviewer


class Field(NamedTuple):
    """A text of a row. was: as it came; now: after this lane's edit. source: None for answers and
    for English. rows: of the text area.
    """

    name: str
    source: str | None
    was: str
    now: str
    marks: list[tuple[str, str]]
    doubts: tuple[Doubt, ...]
    optional: bool
    rows: int


class Opinion(NamedTuple):
    """What a reviewer decided, for who settles. edits: field, and its marks against what came."""

    who: str
    state: State
    edits: list[tuple[str, list[tuple[str, str]]]]


def marks(before: str, after: str) -> list[tuple[str, str]]:
    """("same" | "del" | "ins", text) that lead from one text to the other, by words; of Chinese,
    which has no blanks, by characters. Texts that share little are not mixed up.
    """
    old, new = _pieces(before), _pieces(after)
    if len(old) * len(new) > _COMPARED:
        return _replaced(before, after)
    found: list[tuple[str, str]] = []
    shared = 0
    for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            found.append(("same", "".join(old[a:b])))
            shared += sum(len(piece.strip()) for piece in old[a:b])
        else:
            found += _replaced("".join(old[a:b]), "".join(new[c:d]))
    return found if shared >= _SHARED * min(len(before), len(after)) else _replaced(before, after)


def _replaced(before: str, after: str) -> list[tuple[str, str]]:
    return [(what, text) for what, text in (("del", before), ("ins", after)) if text]


def _pieces(text: str) -> list[str]:
    """Words with what clings to them, for a vowel sign of Hindi is nothing to see by itself."""
    return re.findall(r"[\u3400-\u9fff]|\s+|[^\s\u3400-\u9fff]+", text)


def html_language(code: str) -> str:
    """The value of `lang` for a language's texts."""
    return HTML_LANGUAGES.get(code, code)


def row(
    sitting: Sitting,
    place: int,
    *,
    show: str = "all",
    find: str = "",
    draft: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """All of a row's page. draft: texts that were sent and not saved, to be shown again."""
    review, lane = sitting.review, sitting.lane
    entry, state = review.entry(place), review.state(place, lane)
    look = Look(review, lane, show, find)
    opinions = _opinions(sitting, place, entry) if sitting.settling else []
    if sitting.settling and not opinions:
        raise DataError(f"Nobody has decided anything about row {place} yet.")
    fields = _fields(review, entry, state, opinions, draft)
    known = {field.name for field in fields}
    return {
        **frame(sitting, show=show, find=find),
        "place": place,
        "entry": entry,
        "language": LANGUAGES[entry.language],
        "fields": fields,
        "further_doubts": [doubt for doubt in entry.doubts if doubt.field not in known],
        "state": state,
        "seen": review.last(place, lane),
        "opinions": opinions,
        "previous": look.before(place),
        "next": look.place(after=place),
    }


def frame(sitting: Sitting, *, show: str = "all", find: str = "") -> dict[str, Any]:
    """What every page has around its content."""
    review, lane = sitting.review, sitting.lane
    return {
        "sitting": sitting,
        "kind": review.kind,
        "decisions": DECISIONS[review.kind],
        "shows": shows(review, lane),
        "show": show,
        "find": find,
        "shown": Look(review, lane, show, find).position(0)[1],
        "progress": progress(review, lane),
        "size": review.size(),
        "latest": review.latest(lane, sitting.reviewer),
        "mine": _mine(sitting),
    }


def _mine(sitting: Sitting) -> str:
    """By which a tab knows what was typed and not sent as this person's, in this review."""
    about = sitting.review.about
    of = [about["digest"], about["begun"], sitting.settling, sitting.reviewer]
    return records.digest(of)[:16]


def _fields(
    review: Review,
    entry: Entry,
    state: State,
    opinions: Sequence[Opinion],
    draft: Mapping[str, str] | None,
) -> list[Field]:
    form = review.about["form"]
    edited = next((o.state.texts for o in opinions if o.state.texts), {})
    found = []
    for name in texts_of(form):
        was, source = entry.texts[name], entry.source.get(name) if entry.source else None
        if not was and not source and name in optional_texts(form) and not state.texts.get(name):
            continue  # there is nothing to translate
        mine = state.texts.get(name, was)
        typed = (draft or {}).get(name, mine if state.texts else edited.get(name, mine))
        found.append(
            Field(
                name=name,
                source=source,
                was=was,
                now=typed,
                marks=marks(was, mine) if state.texts else [],
                doubts=tuple(doubt for doubt in entry.doubts if doubt.field == name),
                optional=name in optional_texts(form),
                rows=max(2, len(typed) // 50 + typed.count("\n") + 1),
            )
        )
    return found


def _opinions(sitting: Sitting, place: int, entry: Entry) -> list[Opinion]:
    """What reviewers did to a row, in the order of their letters."""
    states = sitting.review.states(place)
    called = letters(sitting.review)
    return [
        Opinion(
            who=name if sitting.names else called[name],
            state=states[name],
            edits=[
                (field, marks(entry.texts[field], text))
                for field in texts_of(sitting.review.about["form"])
                if (text := states[name].texts.get(field, entry.texts[field])) != entry.texts[field]
            ],
        )
        for name in called
        if name in states and (states[name].decision or states[name].comment)
    ]


def summary(sitting: Sitting) -> dict[str, Any]:
    """The summary's page: how far a reviewer is; for who settles, how far everybody is and how far
    they agree.
    """
    review = sitting.review
    shown = {
        **frame(sitting, show=next(iter(shows(review, sitting.lane)))),
        "file": review.about["file"] if review.kind == "translations" else "",
        "begun": review.about["begun"][:10],
        "reviewers": [],
        "pairs": [],
    }
    if sitting.settling:
        called = {n: n if sitting.names else letter for n, letter in letters(review).items()}
        shown["reviewers"] = [(called[n], progress(review, n)) for n in reviewers(review)]
        shown["pairs"] = [(called[p.first], called[p.second], p) for p in agreements(review)]
    return shown


def estimate(found: Estimate) -> str:
    """A number and its interval: "0.71 [0.62, 0.79]"."""
    if math.isnan(found.value):
        return "undefined"
    if math.isnan(found.low):
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def kappa(pair: Pair) -> str:
    """Kappa of two reviewers, for people."""
    if pair.agreement is None:
        return "no rows yet"
    found = estimate(pair.agreement.kappa)
    return "undefined: only one decision was ever used" if found == "undefined" else found
