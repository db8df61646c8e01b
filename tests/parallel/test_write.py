from __future__ import annotations

import json

import pytest

from polydrift.errors import ModelError
from polydrift.parallel.journal import Journal
from polydrift.parallel.spec import TASKS, Write
from polydrift.parallel.write import requests_of, write_pairs
from tests.engine.test_served import loopback  # noqa: F401  # no test may look up another machine
from tests.parallel.serving import (
    KEY,
    LOCAL,
    asking,
    broken,
    english,
    odd,
    saying,
    serving,
    status,
)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("LOCAL_API_KEY", KEY)


@pytest.fixture
def vendor():
    with serving() as running:
        yield running


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "work.sqlite") as opened:
        yield opened


def pair(number, **changed):
    texts = {"instruction": f"Name {number} fruits.", "input": "", "response": "Pears and plums."}
    return {"task": "brainstorming", **texts, **changed}


def pairs(*numbers):
    return json.dumps([pair(number) for number in numbers])


def write(vendor, journal, wanted, *, batch=2, seeds=6, **more):
    asked = {**asking(vendor), "at_once": 1, "batch": batch, "pairs": wanted}
    return write_pairs(english(seeds), Write(**asked), journal, licence="cc0-1.0", **more)


def instructions(found):
    return [item.texts["instruction"] for item in found.items]


def test_new_pairs_are_items_of_their_own(vendor, journal):
    vendor.pairs = [saying(pairs(1, 2)), saying(pairs(3, 4))]
    found = write(vendor, journal, 4)
    assert instructions(found) == [f"Name {n} fruits." for n in (1, 2, 3, 4)]
    first = found.items[0]
    assert first.about == {
        "task": "brainstorming",
        "length": "short",
        "source": f"new:{LOCAL}",
        "licence": "cc0-1.0",
    }
    assert first.id.startswith("new:")
    assert len({item.id for item in found.items}) == 4
    assert (found.lost, found.failed, found.stopped) == ({}, {}, False)


def test_a_request_shows_seeds_and_names_every_task(vendor, journal):
    seeds = english(6)
    wanted = Write(vendor=LOCAL, pairs=8, batch=2, examples=3)
    some = requests_of(seeds, wanted, 0)
    assert some == requests_of(seeds, wanted, 0) != requests_of(seeds, wanted, 1)
    assert len(set(some)) == len(some) == 8  # twice what would do
    for request in some:
        shown = json.loads(request.partition("as JSON:\n")[2].partition("\n\nReply with")[0])
        assert len(shown) == 3
        known = [item.texts["instruction"] for item in seeds]
        assert all(one["instruction"] in known for one in shown)
        assert all(task in request for task in TASKS)
        assert "2 new instructions" in request


@pytest.mark.parametrize(
    ("around", "lost"),
    [
        ("{}", {}),
        ("```json\n{}\n```", {}),
        ("Here you are:\n{}\nAnything else?", {}),
        ("<think>Fruits [{{, then?</think>\n{}", {}),
        ('{{"examples": {}}}', {}),
    ],
)
def test_json_is_found_whatever_is_around_it(vendor, journal, around, lost):
    vendor.pairs = [saying(around.format(pairs(1, 2)))]
    found = write(vendor, journal, 2)
    assert instructions(found) == ["Name 1 fruits.", "Name 2 fruits."]
    assert found.lost == lost


@pytest.mark.parametrize("finish", ["length", "stop"])
def test_of_a_list_that_is_cut_off_the_whole_objects_are_taken(vendor, journal, finish):
    vendor.pairs = [saying(pairs(1, 2, 3)[:-30], finish), saying(pairs(4, 5))]
    found = write(vendor, journal, 3)
    assert instructions(found) == [f"Name {n} fruits." for n in (1, 2, 4)]
    assert found.lost == {"ended by length" if finish == "length" else "damaged JSON": 1}


def test_an_object_cut_off_around_a_list_loses_its_last_alone(vendor, journal):
    vendor.pairs = [saying('{"examples": ' + pairs(1, 2)[:-30])]
    found = write(vendor, journal, 1)
    assert instructions(found) == ["Name 1 fruits."]
    assert found.lost == {"damaged JSON": 1}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (pair(1, instruction=" "), "no instruction"),
        (pair(1, response=None), "no response"),
        (pair(1, response=["a", "b"]), "no response"),
        (pair(1, input=7), "no input"),
        ({"task": "open_qa"}, "no instruction"),
    ],
)
def test_a_pair_that_is_none_is_counted(vendor, journal, bad, why):
    vendor.pairs = [saying(json.dumps([bad, pair(2)]))]
    found = write(vendor, journal, 2)
    assert instructions(found)[:1] == ["Name 2 fruits."]
    assert found.lost[why] == 1


def test_rubbish_is_counted_and_asked_for_again_a_bounded_number_of_times(vendor, journal):
    vendor.pairs = [
        saying("I would rather talk about the weather."),
        saying("[1, 2, 3]"),
        saying('["a", {"examples": [1, "b"]}]'),
        saying("{" * 3000),
        odd,
        saying("", "content_filter"),
    ]
    found = write(vendor, journal, 8, batch=2)
    assert found.items == []
    assert len(vendor.asked) == 8  # four would do if every pair could be used
    assert found.lost == {
        "no JSON in the reply": 5,
        "no instruction": 1,
        "ended by refused": 1,
        "ended by filtered": 1,
    }


def test_the_same_request_again_is_no_new_pair(vendor, journal):
    vendor.pairs = [saying(pairs(1, 1)), saying(pairs(1, 2)), saying(pairs(3))]
    found = write(vendor, journal, 3)
    assert instructions(found) == ["Name 1 fruits.", "Name 2 fruits.", "Name 3 fruits."]
    assert found.lost == {"the same request again": 2}


def test_an_unknown_task_is_left_open_and_a_missing_input_is_none(vendor, journal):
    strange = pair(1, task="poetry slam")
    del strange["input"]
    vendor.pairs = [saying(json.dumps([strange]))]
    (item,) = write(vendor, journal, 1).items
    assert (item.about["task"], item.texts["input"]) == ("unknown", "")


def test_what_failed_is_asked_again_alone_and_nothing_is_asked_twice(vendor, journal):
    vendor.pairs = [saying(pairs(1, 2)), broken, saying(pairs(5, 6))]
    found = write(vendor, journal, 6)
    assert instructions(found) == [f"Name {n} fruits." for n in (1, 2, 5, 6)]
    ((why, number),) = found.failed.items()
    assert (number, "HTTP 500" in why) == (1, True)
    asked = [one.text for one in vendor.asked]
    vendor.forget()
    vendor.pairs = [saying(pairs(3, 4))]
    found = write(vendor, journal, 6)
    assert instructions(found) == [f"Name {n} fruits." for n in range(1, 7)]
    assert [one.text for one in vendor.asked] == [asked[1]]
    vendor.forget()
    assert write(vendor, journal, 6) == found
    assert vendor.asked == []


def test_a_key_that_opens_nothing_ends_all(vendor, journal):
    vendor.always = status(401)
    with pytest.raises(ModelError, match=r"wants a key \(HTTP 401\)"):
        write(vendor, journal, 4)


def test_who_spends_is_told_every_round_and_may_stop_it(vendor, journal):
    vendor.pairs = [saying(pairs(1)), saying(pairs(2)), saying(pairs(3, 4))]
    rounds = []

    def going(requests, lacking):
        rounds.append((len(requests), lacking))
        return len(rounds) < 2

    found = write(vendor, journal, 4, going=going)
    assert rounds == [(2, 4), (1, 2)]
    assert (len(found.items), found.stopped, len(vendor.asked)) == (2, True, 2)
    rounds.clear()
    found = write(vendor, journal, 4, going=going)
    assert rounds == [(1, 2)]  # the first round is in the journal
    assert (len(found.items), found.stopped) == (4, False)
