"""Looking through a review: filters, the next row, progress, lists.

    look = Look(review, lane="ANNA", show="doubted", find="qa")
    look.place(after=17)        # the next doubted row whose id holds "qa", None if there is none
    progress(review, "ANNA")    # Progress(rows=150, done=40, decisions={"accepted": 31, …})

Filters are SQL over indexed tables: 5,000 rows take a few milliseconds. "doubt:KIND" shows rows on
which a check found KIND. Rows on which reviewers differ are for who settles them only, and so are
no filter of a reviewer's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from polydrift.review.records import Review
from polydrift.review.states import SETTLED
from polydrift.review.tasks import DECISIONS

PAGE = 50  # rows of a page of a list
_DIFFERING = (
    "i.place IN (SELECT place FROM states WHERE lane <> '' AND decision <> '' GROUP BY place "
    "HAVING count(DISTINCT decision || char(31) || texts) > 1)"
)
_UNDECIDED = "coalesce(s.decision, '') = ''"
_CONDITIONS = {
    "all": "1",
    "doubted": "EXISTS (SELECT 1 FROM doubts AS d WHERE d.place = i.place)",
    "to do": _UNDECIDED,
    "commented": "s.comment <> ''",
    "unsettled": f"{_DIFFERING} AND {_UNDECIDED}",
    "settled": "s.decision <> ''",
    "differing": _DIFFERING,
}
_FROM = (
    "FROM items AS i LEFT JOIN states AS s ON s.place = i.place AND s.lane = :lane "
    "WHERE {condition} AND (:find = '' OR instr(lower(i.id), lower(:find)))"
)
DOUBT = "doubt:"
_ONE = "SELECT {} {} AND {}"
_LIST = (
    "SELECT i.place, i.id, i.language, coalesce(s.decision, ''), coalesce(s.comment, ''), "
    "(SELECT count(*) FROM doubts AS d WHERE d.place = i.place), i.texts "
    "{} ORDER BY i.place LIMIT :page OFFSET :at"
)


class Progress(NamedTuple):
    """How far a lane is. decisions: how many rows of each."""

    rows: int
    done: int
    decisions: Mapping[str, int]


class Listed(NamedTuple):
    """A row of a list. start: of its first translated text, or of the prompt."""

    place: int
    id: str
    language: str
    decision: str
    comment: str
    doubts: int
    start: str


def shows(review: Review, lane: str) -> dict[str, str]:
    """The filters of a lane, each with what it is called on the page."""
    if lane == SETTLED:
        return {"unsettled": "unsettled", "settled": "settled", "differing": "all that differ"}
    plain = ["all", "to do", *DECISIONS[review.kind], "commented"]
    if review.kind != "translations":
        return {name: name for name in plain}
    kinds = review.read("SELECT DISTINCT kind FROM doubts ORDER BY kind")
    doubts = {f"{DOUBT}{kind}": f"doubted: {kind}" for (kind,) in kinds}
    return {name: name for name in ["all", "doubted", *plain[1:]]} | doubts


@dataclass(frozen=True, slots=True)
class Look:
    """Rows as a filter shows them in a lane. show: of `shows`, unknown ones show all (none to who
    settles: "differing"). find: what an id holds, in any case of letters.
    """

    review: Review
    lane: str
    show: str = "all"
    find: str = ""

    def place(self, *, after: int = 0) -> int | None:
        """The first row after a place."""
        return self._one("min(i.place)", "i.place > :at", after)

    def before(self, place: int) -> int | None:
        """The last row before a place."""
        return self._one("max(i.place)", "i.place < :at", place)

    def position(self, place: int) -> tuple[int, int]:
        """(how many rows are shown up to and with a place, how many are shown)."""
        upto = self._one("count(*)", "i.place <= :at", place)
        return cast(int, upto), cast(int, self._one("count(*)", "1", 0))

    def page(self, number: int) -> list[Listed]:
        """A page of the list, counted from 1."""
        sql = _LIST.format(self._from())
        found = self.review.read(sql, self._values((max(number, 1) - 1) * PAGE))
        return [
            Listed._make([*columns, next(iter(json.loads(texts).values()))])
            for *columns, texts in found
        ]

    def _one(self, what: str, where: str, at: int) -> int | None:
        sql = _ONE.format(what, self._from(), where)
        return cast("int | None", self.review.read(sql, self._values(at))[0][0])

    def _from(self) -> str:
        if self.show in DECISIONS[self.review.kind]:
            condition = "s.decision = :show"
        elif self.show.startswith(DOUBT):
            condition = (
                "EXISTS (SELECT 1 FROM doubts AS d WHERE d.place = i.place AND d.kind = :kind)"
            )
        else:
            condition = _CONDITIONS.get(self.show, "1")
        if self.lane == SETTLED and self.show not in ("unsettled", "settled"):
            condition = _DIFFERING
        elif self.lane != SETTLED and self.show in ("unsettled", "settled", "differing"):
            condition = "1"  # what others decided is not to be seen
        return _FROM.format(condition=condition)

    def _values(self, at: int) -> dict[str, object]:
        kind = self.show.removeprefix(DOUBT)
        return {
            **{"lane": self.lane, "show": self.show, "kind": kind, "find": self.find},
            **{"at": at, "page": PAGE},
        }


def progress(review: Review, lane: str) -> Progress:
    """How far a lane is: of all rows, or, for who settles, of those on which reviewers differ."""
    found = review.read(
        "SELECT decision, count(*) FROM states WHERE lane = ? AND decision <> '' GROUP BY 1", [lane]
    )
    counts = dict(found)
    decisions = {name: counts.get(name, 0) for name in DECISIONS[review.kind]}
    if lane != SETTLED:
        return Progress(review.size(), sum(decisions.values()), decisions)
    waiting = Look(review, SETTLED, "unsettled").position(0)[1]
    done = sum(decisions.values())
    return Progress(waiting + done, done, decisions)
