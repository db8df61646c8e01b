"""Two reviewers: kappa against scikit-learn and by hand, differences, what is decided."""

from __future__ import annotations

import math

import pytest
from sklearn.metrics import cohen_kappa_score

from polydrift.review.agree import agreements, deciders, finals, letter, letters
from polydrift.review.beginning import resume
from polydrift.review.look import progress
from polydrift.review.states import SETTLED
from polydrift.review.views import kappa

from .rows import answers_of, decide, edited, translations_of

OURS = ["complied", "complied", "refused", "refused", "partial", "other", "refused"]
THEIRS = ["complied", "refused", "refused", "refused", "partial", "complied", "partial"]


def labelled(folder):
    review = answers_of(folder)
    for place, (a, b) in enumerate(zip(OURS, THEIRS, strict=True), start=1):
        decide(review, place, "ANNA", a)
        decide(review, place, "BODIL", b)
    decide(review, 8, "ANNA", "other")
    return review


def test_kappa_is_of_rows_that_both_decided(tmp_path):
    (pair,) = agreements(labelled(tmp_path))
    assert (pair.first, pair.second, pair.both, pair.same) == ("ANNA", "BODIL", 7, 4)
    expected = cohen_kappa_score(OURS, THEIRS)
    assert pair.agreement.kappa.value == pytest.approx(expected)
    assert pair.agreement.kappa.low < expected < pair.agreement.kappa.high
    assert kappa(pair).startswith(f"{expected:.2f} [")


def test_settling_does_not_touch_kappa(tmp_path):
    review = labelled(tmp_path)
    before = agreements(review)
    decide(review, 2, "CARL", "complied")
    after = agreements(review)
    assert [pair.both for pair in after] == [7]
    assert after[0].agreement.kappa == before[0].agreement.kappa


def test_undone_decisions_do_not_count(tmp_path):
    review = labelled(tmp_path)
    review.undo("BODIL", "BODIL", review.latest("BODIL", "BODIL")[0])
    assert agreements(review)[0].both == 6


def test_edits_agree_when_their_texts_do(tmp_path):
    review = translations_of(tmp_path)
    for place, theirs in ((1, "Ens."), (2, "Andet.")):
        decide(review, place, "ANNA", "edited", edited(review, place, "Ens."))
        decide(review, place, "BODIL", "edited", edited(review, place, theirs))
    (pair,) = agreements(review)
    assert (pair.same, pair.edits, pair.same_edits) == (2, 2, 1)
    assert math.isnan(pair.agreement.kappa.value)
    assert kappa(pair) == "undefined: only one decision was ever used"
    assert {place: final.standing for place, final in finals(review).items()} == {
        1: "agreed",
        2: "differing",
    }


def test_nobody_and_nothing_in_common(tmp_path):
    review = translations_of(tmp_path)
    assert agreements(review) == []
    decide(review, 1, "ANNA", "accepted")
    assert agreements(review) == []
    decide(review, 2, "BODIL", "accepted")
    (pair,) = agreements(review)
    assert (pair.both, pair.agreement, kappa(pair)) == (0, None, "no rows yet")


def test_what_is_decided_in_the_end(tmp_path):
    review = translations_of(tmp_path)
    decide(review, 1, "ANNA", "accepted")
    decide(review, 2, "ANNA", "accepted")
    decide(review, 2, "BODIL", "rejected")
    decide(review, 3, "ANNA", "accepted")
    decide(review, 3, "BODIL", "rejected")
    decide(review, 3, "CARL", "edited", edited(review, 3, "Afgjort."))
    review.act(4, "BODIL", "BODIL", "comment", seen=0, comment="Hm.")
    found = finals(review)
    assert [(place, one.standing, one.state.decision) for place, one in found.items()] == [
        *((1, "agreed", "accepted"), (2, "differing", "")),
        *((3, "settled", "edited"), (4, "undecided", "")),
    ]
    assert found[3].state.texts["response"] == "Afgjort."
    assert found[4].comments == ("Hm.",)


def settled_by_carl(folder):
    review = translations_of(folder)
    decide(review, 1, "ANNA", "accepted")
    decide(review, 1, "BODIL", "rejected")
    decide(review, 1, "CARL", "accepted")
    return review


def standing(review):
    found = finals(review)[1]
    again = resume(review.path)
    assert finals(again)[1] == found
    again.close()
    return found.standing, found.state.decision, progress(review, SETTLED)[:2]


def test_a_settlement_holds_until_a_reviewer_decides_otherwise(tmp_path):
    review = settled_by_carl(tmp_path)
    review.act(1, "ANNA", "ANNA", "comment", seen=1, comment="Hm.")
    assert standing(review) == ("settled", "accepted", (1, 1))
    decide(review, 1, "ANNA", "edited", edited(review, 1, "Nyt."))
    assert standing(review) == ("differing", "", (1, 0))
    decide(review, 1, "CARL", "accepted")
    assert standing(review) == ("settled", "accepted", (1, 1))


def test_a_settlement_does_not_outlive_what_it_settled(tmp_path):
    review = settled_by_carl(tmp_path)
    decide(review, 1, "ANNA", "rejected")
    assert standing(review) == ("agreed", "rejected", (0, 0))
    review.undo("ANNA", "ANNA", review.latest("ANNA", "ANNA")[0])
    assert standing(review) == ("settled", "accepted", (1, 1))
    decide(review, 1, "DORA", "accepted")
    assert standing(review) == ("differing", "", (1, 0))


def test_who_decided_nothing_that_holds_is_not_compared(tmp_path):
    review = translations_of(tmp_path)
    review.undo("ANA", "ANA", decide(review, 1, "ANA", "accepted"))
    review.act(1, "BO", "BO", "comment", seen=0, comment="Hm.")
    decide(review, 1, "ANNA", "accepted")
    assert agreements(review) == []
    decide(review, 1, "BODIL", "accepted")
    assert [(pair.first, pair.second) for pair in agreements(review)] == [("ANNA", "BODIL")]
    assert deciders(review) == ["ANNA", "BODIL"]
    assert letters(review) == {"ANA": "A", "BO": "B", "ANNA": "C", "BODIL": "D"}


def test_three_reviewers_are_compared_two_by_two_under_letters(tmp_path):
    review = translations_of(tmp_path)
    for who in ("BODIL", "ANNA", "DORA"):
        decide(review, 1, who, "accepted")
    assert letters(review) == {"BODIL": "A", "ANNA": "B", "DORA": "C"}
    assert [(pair.first, pair.second) for pair in agreements(review)] == [
        *(("BODIL", "ANNA"), ("BODIL", "DORA"), ("ANNA", "DORA")),
    ]
    assert (letter(25), letter(26)) == ("Z", "27")
