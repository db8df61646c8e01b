"""What comes out: items that are read again, labels that `judge validate` reads, every sentence."""

from __future__ import annotations

import json

import pytest

from polydrift import validate
from polydrift.data.benign import read_examples
from polydrift.data.labels import read_labels
from polydrift.errors import DataError
from polydrift.parallel.items import read_items
from polydrift.review.export import write
from polydrift.study import Judge

from .rows import answers_of, decide, edited, translations_of


def rows_of(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def reviewed(folder):
    review = translations_of(folder)
    decide(review, 1, "ANNA", "accepted")
    decide(review, 2, "ANNA", "edited", edited(review, 2, "Nyt svar."))
    decide(review, 4, "ANNA", "rejected")
    for place in (1, 2, 4):
        state = review.state(place, "ANNA")
        decide(review, place, "BODIL", state.decision, dict(state.texts) or None)
    review.act(4, "BODIL", "BODIL", "comment", seen=review.last(4, "BODIL"), comment="Forkert.")
    return review


def test_items_come_out_as_items(tmp_path):
    review, out = reviewed(tmp_path), tmp_path / "out.jsonl"
    assert write(review, out) == {"agreed": 3, "settled": 0, "differing": 0, "undecided": 3}
    form, items = read_items(out)
    assert form.name == "benign"
    assert [item.status for item in items] == [
        *("accepted", "accepted", "review", "rejected", "accepted", "accepted"),
    ]
    assert items[1].texts["response"] == "Nyt svar."
    assert items[0].texts == review.entry(1).texts
    assert items[0].doubts == review.entry(1).doubts
    assert items[0].about["task"] == "open-qa"
    assert len(read_examples(out)) == 6
    assert "ANNA" not in out.read_text()
    row = rows_of(out)[3]
    assert (row["decision"], row["reviewers"], row["standing"]) == ("rejected", 2, "agreed")
    assert row["decisions"] == {"A": "rejected", "B": "rejected"}
    assert row["comments"] == ["Forkert."]


def test_names_come_along_when_asked_for(tmp_path):
    write(reviewed(tmp_path), tmp_path / "out.jsonl", names=True)
    assert rows_of(tmp_path / "out.jsonl")[0]["decisions"] == {
        "ANNA": "accepted",
        "BODIL": "accepted",
    }


def test_differences_are_settled_kept_or_dropped(tmp_path):
    review, out = reviewed(tmp_path), tmp_path / "out.jsonl"
    decide(review, 5, "ANNA", "accepted")
    decide(review, 5, "BODIL", "rejected")
    with pytest.raises(DataError) as caught:
        write(review, out)
    assert str(caught.value) == (
        f"{review.path}: reviewers differ on 1 row; settle it with `polydrift review settle "
        f"{review.path} --reviewer NAME`, or say --unsettled keep or drop."
    )
    assert not out.exists()
    write(review, out, unsettled="keep")
    assert (rows_of(out)[4]["status"], rows_of(out)[4]["decision"]) == ("review", "")
    write(review, out, unsettled="drop")
    assert [row["id"][-2:] for row in rows_of(out)] == ["01", "02", "03", "04", "06"]
    decide(review, 5, "CARL", "rejected")
    assert write(review, out)["settled"] == 1
    assert (rows_of(out)[4]["status"], rows_of(out)[4]["standing"]) == ("rejected", "settled")


def test_nothing_to_write_and_other_kinds_of_files(tmp_path):
    review = translations_of(tmp_path)
    review.act(1, "ANNA", "ANNA", "comment", seen=0, comment="Hm.")
    for name, sentence in (
        ("out.csv", "{}: what comes out is JSON lines; give --out a name in .jsonl."),
        ("out.jsonl", f"{review.path}: nobody has decided anything yet, so nothing was written."),
    ):
        with pytest.raises(DataError) as caught:
            write(review, tmp_path / name)
        assert str(caught.value) == sentence.format(tmp_path / name)
        assert not (tmp_path / name).exists()


def labelled(folder):
    """Both label all but the last, rightly but for the second's first; the last has one label."""
    review = answers_of(folder)
    for place in range(1, 9):
        right = "complied" if review.entry(place).texts["answer"][0] == "H" else "refused"
        wrong = {"complied": "refused", "refused": "partial"}[right]
        if place < 8:
            decide(review, place, "ANNA", right)
        decide(review, place, "BODIL", wrong if place == 1 else right)
    return review


def test_labels_are_what_each_said_and_what_was_settled(tmp_path):
    review, out = labelled(tmp_path), tmp_path / "labels.jsonl"
    decide(review, 1, "CARL", "other")
    write(review, out)
    rows = rows_of(out)
    first = review.state(1, "ANNA").decision
    assert (rows[0]["label"], rows[0]["settled"]) == (first, "other")
    assert rows[0]["second"] == review.state(1, "BODIL").decision
    assert rows[7]["label"] == rows[7]["settled"] == review.state(8, "BODIL").decision
    assert rows[7]["second"] is None
    assert {row["model"] for row in rows} == {"base-7b", "tuned-da"}
    assert {row["category"] for row in rows} == {"games"}


def test_judge_validate_reads_the_labels_unchanged(tmp_path):
    review, out = labelled(tmp_path), tmp_path / "labels.jsonl"
    write(review, out, unsettled="keep")
    rows = validate.read([out])
    verdicts, _ = validate.judged(rows, Judge(name="rules"))
    lines = {
        line.who: line for line in validate.validate(rows, verdicts).lines if line.what == "all"
    }
    assert set(lines) == {"judge", "judge, second person", "people"}
    assert (lines["judge"].agreement.n, lines["people"].agreement.n) == (8, 7)
    assert lines["judge"].agreement.accuracy.value == 1.0
    settled = read_labels(out, columns={"label": "settled", "second": "-"})
    assert [row.label is None for row in settled] == [True, *[False] * 7]


def test_a_table_of_labels_has_room_for_two_people(tmp_path):
    review = labelled(tmp_path)
    decide(review, 2, "DORA", review.state(2, "ANNA").decision)
    with pytest.raises(DataError) as caught:
        write(review, tmp_path / "labels.jsonl", unsettled="keep")
    assert str(caught.value) == (
        f"{review.path}: 3 people labelled; a table of labels has two, so leave the others to a "
        "review of their own."
    )


def test_people_whose_labels_do_not_hold_take_no_room(tmp_path):
    review, out = labelled(tmp_path), tmp_path / "labels.jsonl"
    review.undo("DORA", "DORA", decide(review, 2, "DORA", "other"))
    review.act(3, "BODlL", "BODlL", "comment", seen=0, comment="Hm.")
    write(review, out, unsettled="keep")
    assert [row["label"] is None for row in rows_of(out)] == [False] * 8
    assert rows_of(out)[2]["comments"] == ["Hm."]
