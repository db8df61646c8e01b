"""Two reviewers: how far they agree, where they differ, and what is decided in the end.

    found = agreements(review)[0]
    found.both, found.agreed, found.agreement.kappa     # 150, 141, Estimate(value, low, high)
    finals(review)[17]                                  # Final(decision="edited", settled=True, …)

Two agree on a row when they decide the same, and, having edited it, wrote the same texts. Kappa is
of the decisions alone (Cohen's, with a bootstrap interval: `stats.agreement`), of the rows on which
both have decided; of answers, those to one prompt are resampled together. Kappa is of what people
said by themselves: what settles a difference has no part in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from polydrift.review.records import Review
from polydrift.review.states import SETTLED, State, state_of
from polydrift.review.tasks import DECISIONS
from polydrift.stats.agreement import Agreement, agreement

Standing = Literal["undecided", "agreed", "differing", "settled"]


@dataclass(frozen=True)
class Pair:
    """Two reviewers compared. both: rows on which both have decided. same: of them, those with the
    same decision. edits: rows that both edited; same_edits: of them, those with the same texts.
    agreement: of the decisions, None for no rows.
    """

    first: str
    second: str
    both: int
    same: int
    edits: int
    same_edits: int
    agreement: Agreement | None


@dataclass(frozen=True)
class Final:
    """What is decided of a row in the end. standing: "differing" has no decision, nor has
    "undecided". by: the states of those who decided, by name, in the reviewers' order.
    """

    standing: Standing = "undecided"
    state: State = field(default_factory=State)
    by: Mapping[str, State] = field(default_factory=dict)
    comments: tuple[str, ...] = ()


def reviewers(review: Review) -> list[str]:
    """Everybody with a lane of their own, in the order of their first actions."""
    sql = "SELECT lane FROM actions WHERE lane <> '' GROUP BY lane ORDER BY min(number)"
    return [name for (name,) in review.read(sql)]


def deciders(review: Review) -> list[str]:
    """The reviewers of whom any decision holds, in the same order: not those who took back all that
    they decided, or only left a comment.
    """
    sql = "SELECT DISTINCT lane FROM states WHERE decision <> ''"
    found = {name for (name,) in review.read(sql)}
    return [name for name in reviewers(review) if name in found]


def letters(review: Review) -> dict[str, str]:
    """{reviewer: "A", "B", …}, by which they are shown to who settles."""
    return {name: letter(place) for place, name in enumerate(reviewers(review))}


def letter(place: int) -> str:
    """A, B, … Z, then 27, 28, …"""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def lanes(review: Review) -> dict[str, dict[int, State]]:
    """{lane: {place: state}} of all that has been done; who settled is a lane too."""
    found: dict[str, dict[int, State]] = {name: {} for name in [*reviewers(review), SETTLED]}
    for place, lane, state in map(state_of, review.read("SELECT * FROM states ORDER BY place")):
        found[lane][place] = state
    return found


def finals(review: Review) -> dict[int, Final]:
    """{place: what is decided} of all rows that anybody has acted on."""
    states = lanes(review)
    places = sorted({place for of in states.values() for place in of})
    return {place: _final(place, states) for place in places}


def _final(place: int, states: Mapping[str, Mapping[int, State]]) -> Final:
    acted = {lane: of[place] for lane, of in states.items() if place in of}
    comments = tuple(state.comment for state in acted.values() if state.comment)
    settled = acted.pop(SETTLED, State())
    by = {name: state for name, state in acted.items() if state.decision}
    if settled.decision:
        return Final("settled", settled, by, comments)
    if not by:
        return Final(comments=comments)
    first = next(iter(by.values()))
    if any(state.said != first.said for state in by.values()):
        return Final("differing", State(), by, comments)
    return Final("agreed", first, by, comments)


def agreements(review: Review) -> list[Pair]:
    """Every two of the deciders compared, in their order."""
    clusters = _clusters(review)
    return [_pair(review, *two, clusters) for two in combinations(deciders(review), 2)]


def _pair(review: Review, first: str, second: str, clusters: Mapping[int, str]) -> Pair:
    both = review.read(_BOTH, [first, second])
    edits = [ours == theirs for _, a, b, ours, theirs in both if a == b == "edited"]
    return Pair(
        first=first,
        second=second,
        both=len(both),
        same=sum(a == b for _, a, b, _, _ in both),
        edits=len(edits),
        same_edits=sum(edits),
        agreement=agreement(
            [a for _, a, _, _, _ in both],
            [b for _, _, b, _, _ in both],
            labels=DECISIONS[review.kind],
            clusters=[clusters.get(place, str(place)) for place, *_ in both],
        )
        if both
        else None,
    )


_BOTH = (
    "SELECT a.place, a.decision, b.decision, a.texts, b.texts FROM states AS a JOIN states AS b "
    "ON b.place = a.place AND b.lane = ?2 WHERE a.lane = ?1 AND a.decision <> '' AND b.decision "
    "<> '' ORDER BY a.place"
)


def _clusters(review: Review) -> dict[int, str]:
    """{place: the prompt} of answers; translations stand each for itself."""
    if review.kind == "translations":
        return {}
    found = review.read("SELECT place, about FROM items")
    return {place: json.loads(about)["prompt_id"] for place, about in found}
