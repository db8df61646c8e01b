from __future__ import annotations

import json

import pytest

from polydrift.errors import DataError
from polydrift.parallel.facts import About, Worker, facts_of, published, read_about, write_about
from polydrift.parallel.items import BENIGN, SUITE, Doubt, Item


def example(id, language, status="accepted", translator="", doubts=(), **about):
    texts = {"instruction": f"Ask {id}", "input": "", "response": "Say"}
    return Item(id, language, texts, about, translator, status, tuple(doubts))


DOUBTS = (
    Doubt("length", "response", "0.3"),
    Doubt("length", "input", "9"),
    Doubt("number", "", ""),
)
ITEMS = [
    example("1", "en", task="open_qa", length="short", source="dolly", licence="CC-BY-SA-3.0"),
    example("1", "el", translator="b", task="open_qa", length="short", source="dolly", licence="x"),
    example("1", "da", translator="a", task="open_qa", length="short", source="dolly", licence="x"),
    example("2", "en", task="closed_qa", length="long"),
    example("2", "el", "review", "b", DOUBTS, task="closed_qa", length="long"),
    example("2", "da", "accepted", "a", DOUBTS[:1], task="closed_qa", length="long"),
    example("3", "en", task="closed_qa", length="long"),
    example("3", "da", "rejected", "a"),
]


def test_rows_are_published_where_their_id_is_accepted_in_every_language():
    assert [(item.language, item.id) for item in published(ITEMS)] == [
        ("en", "1"), ("da", "1"), ("el", "1"),
    ]  # fmt: skip


def test_partial_publishes_all_that_are_accepted_by_language():
    assert [(item.language, item.id) for item in published(ITEMS, partial=True)] == [
        ("en", "1"), ("en", "2"), ("en", "3"), ("da", "1"), ("da", "2"), ("el", "1"),
    ]  # fmt: skip


def test_all_that_can_be_counted_is_counted():
    facts = facts_of(ITEMS, BENIGN, partial=True)
    assert facts.of == 3
    assert list(facts.counts) == ["en", "da", "el"]
    assert facts.counts["da"] == {"accepted": 2, "review": 0, "rejected": 1}
    assert facts.counts["el"] == {"accepted": 1, "review": 1, "rejected": 0}
    assert facts.groups == {
        "task": {"open_qa": 1, "closed_qa": 2}, "length": {"short": 1, "long": 2},
    }  # fmt: skip
    assert facts.doubts == {"length": 2, "number": 1}  # a row once for each kind
    assert facts.translated == {"a": {"da": 3}, "b": {"el": 2}}
    assert facts.published == {"en": 3, "da": 2, "el": 1}
    assert facts.sources == {("dolly", "CC-BY-SA-3.0"): 1, ("dolly", "x"): 2, ("", ""): 3}
    assert facts.about == About()


def test_groups_and_sources_are_those_of_published_rows():
    facts = facts_of(ITEMS, BENIGN)
    assert facts.groups["task"] == {"open_qa": 1}
    assert facts.sources == {("dolly", "CC-BY-SA-3.0"): 1, ("dolly", "x"): 2}


def test_only_benign_sets_show_examples_and_splits_tell_what_rows_are_for():
    facts = facts_of(ITEMS, BENIGN)
    assert [(item.id, item.language) for item in facts.examples] == [("1", "en"), ("1", "da")]
    assert facts.split == "train"
    prompt = Item("p", "en", {"prompt": "How do I skip a queue?"}, {"kind": "unsafe"})
    facts = facts_of([prompt], SUITE)
    assert facts.examples == ()
    assert facts.split == "test"
    assert facts.groups["kind"] == {"unsafe": 1}


WHOLE = About(
    name="Ελληνικά",
    checks=("length",),
    not_run={"comet": "not installed"},
    translators=(Worker("a", {"temperature": 0.0, "model": "m"}, 2, 1), Worker("b")),
    dropped={"near-duplicate": 3},
    reviewers=2,
    kappa=0.75,
    polydrift="0.1.0",
    made="2026-01-31",
    command="polydrift data build x.toml",
)


@pytest.mark.parametrize("about", [WHOLE, About(), About(checks=(), dropped={}, reviewers=0)])
def test_a_description_is_read_as_it_was_written(tmp_path, about):
    write_about(tmp_path / "about.json", about)
    assert read_about(tmp_path / "about.json") == about


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"nam": "x"}', "unknown part 'nam': take it out."),
        ('{"dropped": {"x": "many"}}', "dropped.x is wrong (Input should be a valid integer"),
        ('{"translators": [{"identity": {}}]}', "translators.0.name is wrong (Field required"),
        ("[]", "the whole is wrong (Input should be a dictionary or an instance of About"),
        ("7", "not a JSON object ('int' object is not iterable): make the file again."),
        ("{", "not a JSON object (Expecting property name"),
    ],
)
def test_a_file_that_is_no_description_is_told(tmp_path, content, sentence):
    path = tmp_path / "about.json"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_about(path)
    assert str(caught.value).startswith(f"{path}: {sentence}")


def test_a_description_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError) as caught:
        read_about(tmp_path / "about.json")
    expected = f"{tmp_path / 'about.json'}: cannot be read (No such file or directory)."
    assert str(caught.value) == expected


def test_a_description_is_plain_json(tmp_path):
    write_about(tmp_path / "about.json", WHOLE)
    told = json.loads((tmp_path / "about.json").read_text(encoding="utf-8"))
    assert told["translators"][0]["identity"] == {"temperature": 0.0, "model": "m"}
