"""Decisions of reviews put back into a set."""

import json

import pytest

from polydrift.errors import DataError
from polydrift.parallel.facts import About, read_about, write_about
from polydrift.parallel.items import BENIGN, Item, as_row, read_items, write_items
from polydrift.parallel.outputs import write_set
from polydrift.parallel.reviewed import merge


def example(number, code, response, status="review"):
    texts = {"instruction": f"{code} {number}", "input": "", "response": response}
    return Item(str(number), code, texts, {"task": "open_qa", "source": "own"}, status=status)


@pytest.fixture
def rows(tmp_path):
    items = [example(n, "en", "Wait.", "accepted") for n in range(4)]
    items += [example(n, code, f"{code}…") for code in ("da", "hi") for n in range(4)]
    write_items(tmp_path / "rows.jsonl", items, BENIGN)
    return tmp_path / "rows.jsonl"


def exported(path, decided):
    """What a review exports: {(number, code): (text, {reviewer: decision})}."""
    with path.open("w") as file:
        for (number, code), (text, by) in decided.items():
            said = next(iter(by.values()), "")
            status = {"": "review", "rejected": "rejected"}.get(said, "accepted")
            row = as_row(example(number, code, text, status), BENIGN)
            file.write(json.dumps(row | {"decision": said, "decisions": by}) + "\n")
    return path


def test_reviewed_rows_take_the_place_of_the_same_id_and_language(rows, tmp_path):
    danish = exported(
        tmp_path / "da.jsonl",
        {
            (0, "da"): ("Vent.", {"A": "edited"}),
            (1, "da"): ("da…", {"A": "accepted"}),
            (2, "da"): ("da…", {"A": "rejected"}),
            (3, "da"): ("da…", {}),
        },
    )
    hindi = exported(tmp_path / "hi.jsonl", {(0, "hi"): ("रुकिए।", {"Asha": "edited"})})
    merged = merge(rows, [danish, hindi])
    assert [(item.id, item.language) for item in merged.items] == [
        (item.id, item.language) for item in read_items(rows)[1]
    ]
    by = {(item.id, item.language): item for item in merged.items}
    assert by["0", "da"].texts["response"] == "Vent."
    assert by["0", "hi"].texts["response"] == "रुकिए।"
    assert [by[str(n), "da"].status for n in range(4)] == [
        "accepted",
        "accepted",
        "rejected",
        "review",
    ]
    assert by["1", "hi"].status == "review"
    assert merged.read == {"da": 3, "hi": 1}
    assert merged.changed == 2
    assert (merged.about.reviewers, merged.about.kappa) == (2, None)


def test_what_the_build_said_stays_and_kappa_is_of_rows_that_two_decided(rows, tmp_path):
    write_about(rows.with_name("about.json"), About(name="mine", command="polydrift data build x"))
    same = {"A": "accepted", "B": "accepted"}
    other = {"A": "rejected", "B": "rejected"}
    danish = exported(
        tmp_path / "da.jsonl",
        {
            (0, "da"): ("da…", same),
            (1, "da"): ("da…", other),
            (2, "da"): ("da…", {"A": "accepted", "B": "rejected"}),
            (3, "da"): ("da…", {"A": "rejected", "B": "accepted"}),
        },
    )
    hindi = exported(tmp_path / "hi.jsonl", {(0, "hi"): ("hi…", {"A": "accepted"})})
    about = merge(rows, [danish, hindi]).about
    assert (about.name, about.command) == ("mine", "polydrift data build x")
    assert about.reviewers == 3  # a letter is another person in each review
    assert about.kappa == pytest.approx(0)  # two of four alike, as often as by chance
    merged = merge(rows, [danish, hindi])
    write_set(tmp_path / "out", merged.items, merged.form, merged.about)
    assert read_about(tmp_path / "out" / "about.json") == about
    assert "Read by 3 people" in (tmp_path / "out" / "README.md").read_text()


def test_only_rows_of_the_set_and_each_once(rows, tmp_path):
    strange = exported(tmp_path / "x.jsonl", {(9, "da"): ("da…", {"A": "accepted"})})
    with pytest.raises(DataError) as error:
        merge(rows, [strange])
    assert str(error.value) == (
        f"{strange}: id '9' in da is not in {rows}: give the rows that the review was begun with."
    )
    one, two = (
        exported(tmp_path / name, {(1, "da"): ("da…", {"A": "accepted"})})
        for name in ("one.jsonl", "two.jsonl")
    )
    with pytest.raises(DataError) as error:
        merge(rows, [one, two])
    assert str(error.value) == (
        f"{two}: id '1' in da was reviewed in {one} too: settle differences in one review."
    )
    suite = tmp_path / "suite.jsonl"
    suite.write_text('{"prompt_id": "1", "language": "da", "prompt": "Hvad?"}\n')
    with pytest.raises(DataError) as error:
        merge(rows, [suite])
    assert str(error.value) == (
        f"{suite}: a review of suite rows, and {rows} has benign rows: give the rows that the "
        "review was begun with."
    )


def test_a_review_cannot_change_what_a_row_comes_from(rows, tmp_path):
    form, items = read_items(rows)
    gated = [Item(i.id, i.language, i.texts, {**i.about, "licence": "gated"}) for i in items]
    write_items(rows, gated, form)
    danish = exported(tmp_path / "da.jsonl", {(0, "da"): ("Vent.", {"A": "edited"})})
    by = {(item.id, item.language): item for item in merge(rows, [danish]).items}
    assert by["0", "da"].texts["response"] == "Vent."
    assert by["0", "da"].about["licence"] == "gated"


def test_kappa_is_of_the_two_who_decided_most_together(rows, tmp_path):
    danish = exported(
        tmp_path / "da.jsonl",
        {
            (0, "da"): ("da…", {"A": "accepted", "C": "rejected"}),
            (1, "da"): ("da…", {"B": "accepted", "C": "accepted"}),
            (2, "da"): ("da…", {"B": "rejected", "C": "rejected"}),
            (3, "da"): ("da…", {"B": "accepted", "C": "accepted"}),
        },
    )
    assert merge(rows, [danish]).about.kappa == pytest.approx(1)
