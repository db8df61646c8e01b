"""What people did to a row, and what holds after it.

    >>> did = [Action(1, "…", "ANNA", "accepted"), Action(2, "…", "ANNA", "rejected")]
    >>> replay(did).decision
    'rejected'
    >>> replay([*did, Action(3, "…", "ANNA", UNDO, undoes=2)]).decision
    'accepted'

An action belongs to a row and a lane: a reviewer's own, or `SETTLED` for what settles differences.
A settlement holds as long as the reviewers' decisions are those that it settled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from polydrift.errors import DataError

SETTLED = ""  # the lane of what settles differences; no reviewer is called so
COMMENT, UNDO = "comment", "undo"  # the actions that are no decisions
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody did. at: UTC, ISO 8601. action: a decision, "comment" or "undo". texts: all
    fields, of an edit. undoes: the number of another action.
    """

    number: int
    at: str
    reviewer: str
    action: str
    texts: Mapping[str, str] | None = None
    comment: str | None = None
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What holds of a row in a lane. texts: of an edit, else empty. last: the lane's last action on
    the row, 0 for none.
    """

    decision: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    last: int = 0

    @property
    def said(self) -> tuple[str, dict[str, str]]:
        """What two people must say alike to agree: the decision and the texts of an edit."""
        return self.decision, dict(self.texts)


def replay(actions: Sequence[Action]) -> State:
    """What holds after these actions on one row in one lane, in the order of their numbers."""
    decision, comment, texts = "", "", None
    for action in _standing(actions):
        if action.action == COMMENT:
            comment = action.comment or ""
        else:
            decision, texts = action.action, action.texts
    return State(decision, texts or {}, comment, actions[-1].number if actions else 0)


def held(lanes: Mapping[str, Sequence[Action]]) -> dict[str, State]:
    """What holds of one row in each of its lanes. A settlement is none any more when what a
    reviewer says is not what it was then: the row is to be settled again.
    """
    states = {lane: replay(actions) for lane, actions in lanes.items()}
    settled = [one for one in _standing(lanes.get(SETTLED, ())) if one.action != COMMENT]
    if settled:
        before = {
            lane: replay([action for action in actions if action.number < settled[-1].number])
            for lane, actions in lanes.items()
        }
        if any(before[lane].said != states[lane].said for lane in lanes if lane != SETTLED):
            states[SETTLED] = replace(states[SETTLED], decision="", texts={})
    return states


def _standing(actions: Sequence[Action]) -> list[Action]:
    """The actions that were not undone, without those that undid."""
    undone = {action.undoes for action in actions if action.undoes}
    return [one for one in actions if one.action != UNDO and one.number not in undone]


def state_of(row: Sequence[object]) -> tuple[int, str, State]:
    """(place, lane, state) of a row of the table `states`."""
    place, lane, decision, texts, comment, last = row
    edit = json.loads(str(texts)) if texts else {}
    state = State(str(decision), edit, str(comment), cast(int, last))
    return cast(int, place), str(lane), state


def action_of(row: Sequence[object]) -> Action:
    """An action from its columns, in the order of its fields."""
    number, at, reviewer, action, texts, comment, undoes = row
    return Action(
        cast(int, number),
        str(at),
        str(reviewer),
        str(action),
        json.loads(str(texts)) if texts else None,
        cast("str | None", comment),
        cast("int | None", undoes),
    )


def reviewer_named(name: str) -> str:
    """A reviewer's name without blanks around it; DataError if it is none."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise DataError(
            f"--reviewer {name[:80]!r} is no name: write one of 1 to {LONGEST_NAME} characters."
        )
    return name
