"""The database: actions and what holds after, two at once, undo, damage, and every sentence."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from polydrift.errors import DataError, StoreError
from polydrift.languages import LANGUAGES
from polydrift.review import records, tasks
from polydrift.review.beginning import begin, is_review, resume
from polydrift.review.records import StaleError
from polydrift.review.states import SETTLED, State, reviewer_named

from .rows import answer_rows, answers_of, decide, edited, items_file, translations_of, write_rows


def said(error, call, *args, **kwargs) -> str:
    with pytest.raises(error) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_a_decision_holds_and_comes_back(tmp_path):
    review = translations_of(tmp_path)
    texts = edited(review, 2, "Et nyt svar.")
    decide(review, 1, "ANNA", "accepted")
    number = decide(review, 2, "ANNA", "edited", texts)
    review.act(2, "ANNA", "ANNA", "comment", seen=number, comment="Bedre.")
    review.close()
    again = resume(tmp_path / "set.review")
    assert again.state(1, "ANNA") == State("accepted", last=1)
    assert again.state(2, "ANNA") == State("edited", texts, "Bedre.", 3)
    assert again.state(1, "BODIL") == State()


@pytest.mark.parametrize("code", LANGUAGES)
def test_texts_of_every_language_come_back_letter_for_letter(tmp_path, code):
    review = translations_of(tmp_path, code)
    text = f"{review.entry(1).texts['response']} — “{LANGUAGES[code].endonym}”\n\t<b>&amp; 🙂"
    decide(review, 1, "ANNA", "edited", edited(review, 1, text))
    review.close()
    assert resume(tmp_path / "set.review").state(1, "ANNA").texts["response"] == text


def test_undo_goes_back_step_by_step_and_is_an_action_itself(tmp_path):
    review = translations_of(tmp_path)
    first = decide(review, 1, "ANNA", "accepted")
    second = decide(review, 1, "ANNA", "rejected")
    assert review.undo("ANNA", "ANNA", second) == 1
    assert review.state(1, "ANNA").decision == "accepted"
    assert review.latest("ANNA", "ANNA") == (first, 1, "accepted")
    review.undo("ANNA", "ANNA", first)
    assert review.state(1, "ANNA").decision == ""
    assert review.latest("ANNA", "ANNA") is None
    assert [a.action for a in review.actions(1, "ANNA")] == [
        *("accepted", "rejected", "undo", "undo"),
    ]
    decide(review, 1, "ANNA", "rejected")
    assert review.state(1, "ANNA").decision == "rejected"


def test_an_undone_comment_gives_the_one_before(tmp_path):
    review = translations_of(tmp_path)
    seen = review.act(1, "ANNA", "ANNA", "comment", seen=0, comment="a")
    seen = review.act(1, "ANNA", "ANNA", "comment", seen=seen, comment="b")
    review.undo("ANNA", "ANNA", seen)
    assert review.state(1, "ANNA").comment == "a"


def test_what_was_seen_must_still_hold(tmp_path):
    review = translations_of(tmp_path)
    decide(review, 1, "ANNA", "accepted")
    sentence = said(StaleError, review.act, 1, "ANNA", "ANNA", "rejected", seen=0)
    assert sentence == (
        "Row 1 was changed after this page was loaded, in another tab or by somebody else, so "
        "nothing was saved; below is how it stands now."
    )
    assert review.state(1, "ANNA") == State("accepted", last=1)
    assert said(StaleError, review.undo, "ANNA", "ANNA", 7) == (
        "Something else was done after this page was loaded, in another tab, so nothing was undone."
    )


def test_what_holds_already_is_not_recorded_again(tmp_path):
    review = translations_of(tmp_path)
    assert review.act(1, "ANNA", "ANNA", "accepted", seen=0) == 1
    assert review.act(1, "ANNA", "ANNA", "accepted", seen=0) == 1
    assert review.act(2, "ANNA", "ANNA", "comment", seen=0, comment="") == 0
    assert len(review.actions(1, "ANNA")) == 1
    assert not review.actions(2, "ANNA")


def test_reviewers_do_not_disturb_each_other_and_who_settles_sees_both(tmp_path):
    review = translations_of(tmp_path)
    decide(review, 1, "ANNA", "accepted")
    assert review.act(1, "BODIL", "BODIL", "rejected", seen=0) == 2
    assert said(StaleError, review.act, 1, SETTLED, "CARL", "accepted", seen=1)
    assert review.act(1, SETTLED, "CARL", "accepted", seen=2) == 3


def test_what_cannot_be_done(tmp_path):
    review = translations_of(tmp_path)
    assert said(DataError, review.act, 1, "ANNA", "ANNA", "refused", seen=0) == (
        "'refused' cannot be done to translations."
    )
    assert said(DataError, review.act, 99, "ANNA", "ANNA", "accepted", seen=0) == (
        "There is no row 99; there are 6."
    )
    assert said(DataError, reviewer_named, " ") == (
        "--reviewer '' is no name: write one of 1 to 60 characters."
    )
    assert reviewer_named(" Ánna ") == "Ánna"


def test_actions_can_be_neither_changed_nor_removed(tmp_path):
    review = translations_of(tmp_path)
    decide(review, 1, "ANNA", "accepted")
    review.undo("ANNA", "ANNA", 1)
    columns = "INSERT OR REPLACE INTO actions (number, at, reviewer, lane, place, action, undoes)"
    held = review.read("SELECT * FROM actions")
    for sql in (
        "UPDATE actions SET action = 'rejected'",
        "DELETE FROM actions",
        f"{columns} VALUES (1, '', 'ANNA', 'ANNA', 1, 'rejected', NULL)",
        f"{columns} VALUES (NULL, '', 'ANNA', 'ANNA', 1, 'undo', 1)",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
            review.base.execute(sql)
    assert review.read("SELECT * FROM actions") == held


def test_actions_are_on_rows_that_are_there(tmp_path):
    review = translations_of(tmp_path)
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        review.base.execute(
            "INSERT INTO actions (at, reviewer, lane, place, action) VALUES ('', '', '', 99, '')"
        )


def test_a_decision_and_its_comment_are_recorded_together_or_not_at_all(tmp_path):
    review = translations_of(tmp_path)
    assert review.act(1, "ANNA", "ANNA", "accepted", seen=0, comment="Fin.") == 2
    assert review.state(1, "ANNA") == State("accepted", {}, "Fin.", 2)
    assert said(StaleError, review.act, 1, "ANNA", "ANNA", "rejected", seen=0, comment="Nej.")
    assert review.act(1, "ANNA", "ANNA", "accepted", seen=2, comment="Fint.") == 3
    assert [a.action for a in review.actions(1, "ANNA")] == ["comment", "accepted", "comment"]
    assert review.state(1, "ANNA") == State("accepted", {}, "Fint.", 3)


def test_states_are_made_anew_from_the_actions(tmp_path):
    review = translations_of(tmp_path)
    for place, action in ((1, "accepted"), (2, "rejected"), (1, "rejected")):
        decide(review, place, "ANNA", action)
    review.undo("ANNA", "ANNA", 3)
    held = review.read("SELECT * FROM states")
    review.base.execute("UPDATE states SET decision = 'nonsense'")
    review.close()
    assert resume(tmp_path / "set.review").read("SELECT * FROM states") == held


def test_the_database_is_for_its_owner_only_and_waits_for_the_disk(tmp_path):
    review = translations_of(tmp_path)
    assert stat.S_IMODE((tmp_path / "set.review").stat().st_mode) == 0o600
    assert review.read("PRAGMA synchronous") == [(2,)]
    assert review.read("PRAGMA journal_mode") == [("wal",)]


def test_two_processes_share_a_database(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PATIENCE", 0.05)
    review, other = translations_of(tmp_path), resume(tmp_path / "set.review")
    decide(review, 1, "ANNA", "accepted")
    decide(other, 1, "BODIL", "rejected")
    assert set(review.states(1)) == {"ANNA", "BODIL"}
    with review.writing():
        assert said(StoreError, decide, other, 2, "BODIL", "accepted") == (
            f"{tmp_path / 'set.review'} has been in use by another process for 0.05 seconds: "
            "nothing was saved; try again when that is done."
        )


def test_a_review_goes_on_with_the_rows_that_it_began_with(tmp_path):
    review = translations_of(tmp_path)
    decide(review, 1, "ANNA", "accepted")
    begun = review.about["begun"][:10]
    review.close()
    path = tmp_path / "set.review"
    same = tasks.translations(items_file(tmp_path / "renamed.jsonl", "da"), "da")
    assert begin(path, same, "renamed.jsonl").state(1, "ANNA").decision == "accepted"
    more = tasks.translations(items_file(tmp_path / "set.jsonl", "da", rows=7), "da")
    assert said(DataError, begin, path, more, "set.jsonl") == (
        f"set.jsonl is not what it was when {path} was begun ({begun}, of set.jsonl): go on with "
        "the rows of then by naming the review in place of the file, or begin another with --out."
    )
    greek = tasks.translations(items_file(tmp_path / "el.jsonl", "el"), "el")
    assert said(DataError, begin, path, greek, "el.jsonl") == (
        f"{path} was begun with language da, not el: give the same, go on with the review itself "
        "by naming it in place of the file, or begin another with --out."
    )
    labels = tasks.answers(write_rows(tmp_path / "a.jsonl", answer_rows(1)))
    assert said(DataError, begin, path, labels, "a.jsonl") == (
        f"{path} is a review of translations; name another place for answers with --out."
    )


def test_other_files_are_left_alone(tmp_path):
    task = tasks.answers(write_rows(tmp_path / "a.jsonl", answer_rows(1)))
    text = tmp_path / "notes.txt"
    text.write_text("mine")
    foreign = tmp_path / "other.db"
    with sqlite3.connect(foreign) as base:
        base.execute("CREATE TABLE mine (x)")
    base.close()
    before = foreign.read_bytes()
    for path in (text, foreign):
        assert said(StoreError, begin, path, task, "a.jsonl") == (
            f"{path} is no review database; name another place with --out."
        )
    assert (text.read_text(), foreign.read_bytes()) == ("mine", before)
    assert not is_review(text)
    assert said(DataError, resume, tmp_path / "none.review") == (
        f"{tmp_path / 'none.review'}: no such review; begin one by naming a file of rows."
    )


def test_other_versions_and_damage_are_said(tmp_path):
    review = answers_of(tmp_path)
    path = review.path
    review.base.execute("PRAGMA user_version = 9")
    review.close()
    assert said(StoreError, resume, path) == (
        f"{path} is of another version of polydrift (its form is 9, ours is 1); go on with the "
        "version that began it."
    )
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 9000)
    assert said(StoreError, resume, path) == (
        f"{path} cannot be read or written (database disk image is malformed): nothing was saved; "
        "check the file, its directory and their permissions."
    )


def test_a_beginning_that_was_cut_short_is_begun_again(tmp_path):
    path = tmp_path / "a.review"
    task = tasks.answers(write_rows(tmp_path / "a.jsonl", answer_rows(1)))
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA journal_mode = WAL")
    base.close()
    assert begin(path, task, "a.jsonl").size() == 2


def test_a_full_disk_is_said_and_nothing_is_half_written(tmp_path):
    review = translations_of(tmp_path)
    pages = review.read("PRAGMA page_count")[0][0]
    review.read(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to have no room left
    long = edited(review, 1, "Langt. " * 20_000)
    assert said(StoreError, decide, review, 1, "ANNA", "edited", long) == (
        f"the disk that holds {review.path} is full: nothing was saved; free some space and try "
        "again."
    )
    assert (review.actions(1, "ANNA"), review.state(1, "ANNA")) == ([], State())
    decide(review, 1, "ANNA", "accepted")
