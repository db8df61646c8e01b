from __future__ import annotations

import pytest
from inspect_ai.model import ModelOutput

from polydrift.engine.interface import Decoding
from polydrift.engine.vendor import Vendor as Engine
from polydrift.errors import ModelError
from polydrift.parallel.ask import REFUSED, STOP, Reply, replies, unasked
from polydrift.parallel.journal import Journal
from tests.engine.test_served import loopback  # noqa: F401  # no test may look up another machine
from tests.parallel.serving import (
    KEY,
    LOCAL,
    broken,
    english,
    odd,
    rubbish,
    saying,
    serving,
    slow_down,
    status,
)
from tests.translate.test_vendor import said

SHORT = Decoding(max_new_tokens=8)
ABOUT = {"model": LOCAL}


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


def requests(number=4):
    return [f"Write {word}." for word in ("one", "two", "three", "four", "five")[:number]]


def ask(vendor, some, journal, *, about=ABOUT, decoding=SHORT, retries=0, **more):
    args = {"base_url": vendor.url, "max_retries": retries}
    engine = Engine([LOCAL], at_once=2, tries=1, model_args=args)
    return replies(engine, about, decoding, some, journal, "test", **more)


def test_replies_come_in_order_and_nothing_is_asked_twice(vendor, journal):
    some = [*requests(), requests()[0]]
    vendor.faults = {text: saying(f"Reply to {text}") for text in some}
    told = []
    found = ask(vendor, some, journal, progress=lambda *what: told.append(what))
    assert found.texts == [Reply(f"Reply to {text}", "stop") for text in some]
    assert (found.failed, len(vendor.asked)) == ({}, 4)
    assert told[-1] == (1.0, "4 of 4 requests")
    again = ask(vendor, some, journal)
    assert again.texts == found.texts
    assert len(vendor.asked) == 4


def test_each_reply_is_on_the_disk_before_more_than_are_in_flight_are_asked(vendor, tmp_path):
    ahead = []

    class Watched(Journal):
        def put(self, key, reply, kind=""):
            super().put(key, reply, kind)
            with Journal(tmp_path / "work.sqlite") as other:
                ahead.append(len(vendor.asked) - other.count("test"))

    with Watched(tmp_path / "work.sqlite") as journal:
        ask(vendor, [f"Write {number}." for number in range(40)], journal)
    assert len(ahead) == 40
    assert max(ahead) <= 2


def test_what_fails_is_asked_again_and_nothing_else(vendor, journal):
    some = requests()
    vendor.faults[some[1]] = [broken]
    found = ask(vendor, some, journal)
    assert [reply is None for reply in found.texts] == [False, True, False, False]
    ((why, number),) = found.failed.items()
    assert (number, why.startswith(f"{LOCAL} fails (HTTP 500")) == (1, True)
    vendor.forget()
    assert None not in ask(vendor, some, journal).texts
    assert [one.text for one in vendor.asked] == [some[1]]


def test_the_client_tries_again_by_itself(vendor, journal):
    vendor.faults["Write one."] = [slow_down]
    found = ask(vendor, ["Write one."], journal, retries=2)
    assert (found.failed, len(vendor.asked)) == ({}, 2)


def test_what_the_vendor_refuses_for_good_is_put_down(vendor, journal):
    some = requests(2)
    vendor.faults[some[0]] = odd
    assert ask(vendor, some, journal).texts[0] == Reply("", REFUSED)
    vendor.forget()
    assert ask(vendor, some, journal).texts[0] == Reply("", REFUSED)
    assert vendor.asked == []


def test_after_ten_failures_in_a_row_a_service_is_left_alone(vendor, journal):
    some = [f"Write {number}." for number in range(30)]
    vendor.always = broken
    found = ask(vendor, some, journal)
    assert found.texts == [None] * 30
    assert found.failed[f"not asked after {STOP} failures in a row"] == 20
    assert sum(found.failed.values()) == 30
    assert STOP <= len(vendor.asked) <= STOP + 2
    assert journal.count("test") == 0


def test_an_answer_between_failures_counts_from_the_start(vendor, journal):
    some = [f"Write {number}." for number in range(24)]
    vendor.faults = {text: broken for number, text in enumerate(some) if number % 6}
    found = ask(vendor, some, journal)
    assert sum(reply is not None for reply in found.texts) == 4
    assert sum(found.failed.values()) == len(vendor.asked) - 4 == 20


def test_another_model_temperature_or_length_is_asked_anew(vendor, journal):
    ask(vendor, requests(1), journal)
    for changed in (
        {"about": {"model": "another"}},
        {"decoding": Decoding(max_new_tokens=9)},
        {"decoding": Decoding(max_new_tokens=8, temperature=1.0)},
    ):
        before = len(vendor.asked)
        ask(vendor, requests(1), journal, **changed)
        assert len(vendor.asked) == before + 1


@pytest.mark.parametrize(
    ("code", "sentence"), [(401, "wants a key (HTTP 401)"), (404, "the vendor has no such model")]
)
def test_a_model_that_cannot_be_asked_ends_all_and_keeps_what_came(vendor, journal, code, sentence):
    some = requests(5)
    vendor.faults[some[2]] = status(code)
    with pytest.raises(ModelError) as caught:
        ask(vendor, some, journal)
    assert sentence in str(caught.value)
    assert KEY not in str(caught.value)
    assert journal.count("test") >= 1
    there = [text for text in some if text not in unasked(ABOUT, SHORT, some, journal, "test")]
    vendor.faults.clear()
    vendor.forget()
    assert None not in ask(vendor, some, journal).texts
    assert not {one.text for one in vendor.asked} & set(there)


def test_what_was_never_asked_is_known_without_asking(vendor, journal):
    some = requests(3)
    assert unasked(ABOUT, SHORT, [*some, some[0]], journal, "test") == some
    vendor.faults[some[0]] = broken
    ask(vendor, some[:2], journal)
    assert unasked(ABOUT, SHORT, some, journal, "test") == [some[0], some[2]]
    assert unasked(ABOUT, SHORT, some, journal, "other") == some
    assert unasked({"model": "another"}, SHORT, some, journal, "test") == some


def test_rubbish_is_a_reply(vendor, journal):
    vendor.always = rubbish
    (found,) = ask(vendor, requests(1), journal).texts
    assert found.text == '{"verdict": "green"}'


def test_an_empty_list_opens_no_model(journal):
    engine = Engine(["nonsense/model"])
    assert replies(engine, ABOUT, SHORT, [], journal, "test").texts == []


def test_what_has_no_choices_is_asked_again(journal):
    outputs = [ModelOutput(model="mock", choices=[], usage=said("").usage), said("Now.")]
    args = {"custom_outputs": outputs}
    engine = Engine(["mockllm/model"], tries=1, model_args=args)
    some = [english(1)[0].texts["instruction"]]
    assert replies(engine, ABOUT, SHORT, some, journal, "test").texts == [None]
    args["custom_outputs"] = [said("Now.")]
    engine = Engine(["mockllm/model"], tries=1, model_args=args)
    assert replies(engine, ABOUT, SHORT, some, journal, "test").texts == [Reply("Now.", "stop")]
