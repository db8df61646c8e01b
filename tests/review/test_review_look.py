"""Filters, the next row, progress and lists, also of 5,000 rows."""

from __future__ import annotations

from time import perf_counter

import pytest

from polydrift.parallel.items import Doubt
from polydrift.review.beginning import begin
from polydrift.review.look import Look, progress, shows
from polydrift.review.states import SETTLED
from polydrift.review.tasks import Entry, Task

from .rows import answers_of, decide, edited, translations_of


def places(look: Look) -> list[int]:
    found, at = [], 0
    while (at := look.place(after=at) or 0) != 0:
        found.append(at)
    back, before = [], 10**6
    while (before := look.before(before) or 0) != 0:
        back.append(before)
    assert back == found[::-1]
    assert look.position(10**6) == (len(found), len(found))
    return found


@pytest.fixture
def review(tmp_path):
    made = translations_of(tmp_path)
    decide(made, 1, "ANNA", "accepted")
    decide(made, 2, "ANNA", "edited", edited(made, 2, "Nyt."))
    decide(made, 3, "ANNA", "rejected")
    made.act(4, "ANNA", "ANNA", "comment", seen=0, comment="?")
    decide(made, 1, "BODIL", "rejected")
    decide(made, 2, "BODIL", "edited", edited(made, 2, "Andet."))
    decide(made, 3, "BODIL", "rejected")
    return made


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        ("all", [1, 2, 3, 4, 5, 6]),
        ("doubted", [1, 3]),
        ("doubt:number", [1]),
        ("doubt:length", [1, 3]),
        ("to do", [4, 5, 6]),
        ("accepted", [1]),
        ("edited", [2]),
        ("rejected", [3]),
        ("commented", [4]),
        ("nonsense", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_filters(review, show, expected):
    assert places(Look(review, "ANNA", show)) == expected


def test_a_reviewer_cannot_filter_by_what_the_other_did(review):
    for show in ("unsettled", "settled", "differing"):
        assert places(Look(review, "ANNA", show)) == [1, 2, 3, 4, 5, 6]
        assert show not in shows(review, "ANNA")


def test_who_settles_sees_differences_of_decisions_and_of_edits(review):
    assert places(Look(review, SETTLED, "unsettled")) == [1, 2]
    assert progress(review, SETTLED)[:2] == (2, 0)
    decide(review, 1, "CARL", "accepted")
    assert places(Look(review, SETTLED, "unsettled")) == [2]
    assert places(Look(review, SETTLED, "settled")) == [1]
    assert places(Look(review, SETTLED, "differing")) == [1, 2]
    assert places(Look(review, SETTLED, "all")) == [1, 2]
    assert progress(review, SETTLED)[:2] == (2, 1)


def test_ids_are_found_in_any_case_and_nothing_in_them_is_special(review):
    assert places(Look(review, "ANNA", find="QA-03")) == [3]
    for odd in ("%", "_", "' OR 1 --"):
        assert places(Look(review, "ANNA", find=odd)) == []


def test_progress(review):
    assert progress(review, "ANNA") == (6, 3, {"accepted": 1, "edited": 1, "rejected": 1})
    assert progress(review, "NEW") == (6, 0, {"accepted": 0, "edited": 0, "rejected": 0})


def test_doubts_that_were_found_are_filters_by_kind(review, tmp_path):
    assert list(shows(review, "ANNA"))[-2:] == ["doubt:length", "doubt:number"]
    labels = answers_of(tmp_path)
    assert list(shows(labels, "ANNA")) == [
        *("all", "to do", "complied", "refused", "partial", "other", "commented"),
    ]


def test_five_thousand_rows_are_looked_through_quickly(tmp_path):
    rows = tuple(
        Entry(
            f"row-{number}",
            "hi",
            {"prompt": "क्यों?"},
            {"prompt": "Why?"},
            doubts=(Doubt("length", "prompt", "short"),) if number % 9 == 0 else (),
        )
        for number in range(5000)
    )
    review = begin(tmp_path / "r", Task("translations", "suite", rows, {}), "x")
    with review.writing() as base:
        for who in ("ANNA", "BODIL"):
            base.executemany(
                "INSERT INTO actions (at, reviewer, lane, place, action) VALUES ('', ?, ?, ?, ?)",
                [(who, who, n, "accepted" if n % 7 else "rejected") for n in range(1, 4900)],
            )
    review.derive()
    started = perf_counter()
    for show in [*shows(review, "ANNA"), "to do"]:
        look = Look(review, "ANNA", show, "row")
        look.place(after=2500), look.before(2500), look.position(2500), look.page(60)
        progress(review, "ANNA")
    each = (perf_counter() - started) / len([*shows(review, "ANNA"), "to do"])
    assert look.page(1)[0].place == 4900
    assert each < 0.1  # seconds for all that a page asks
