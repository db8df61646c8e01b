from __future__ import annotations

import random
from collections import Counter
from typing import ClassVar

import pytest

from polydrift.errors import ModelError
from polydrift.languages import LANGUAGES
from polydrift.parallel.checks import REJECTING
from polydrift.parallel.items import BENIGN, Doubt
from polydrift.parallel.journal import Journal
from polydrift.parallel.translators import Only
from polydrift.parallel.turn import ENDINGS, STOP, Attempt, turn
from polydrift.translate.into import LexiconInto, Rendering, VendorInto
from tests.engine.test_served import loopback  # noqa: F401  # no test may look up another machine
from tests.parallel.serving import (
    KEY,
    LOCAL,
    REFUSAL,
    broken,
    broken_off,
    copying,
    cut_off,
    english,
    filtered,
    in_language,
    known,
    looping,
    odd,
    refusing,
    saying,
    serving,
    shipped_items,
    slow_down,
    status,
    tagged,
    understood,
    without_numbers,
    write_lines,
)
from tests.translate.test_vendor import said

SECOND = "openai-api/local/second"
CODES = [code for code in LANGUAGES if code != "en"]
NUMBERED = "open-qa-10"  # an item with numbers in its texts
FAILING = (broken, slow_down, broken_off)
ONCE = tuple([fault] for fault in FAILING)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("LOCAL_API_KEY", KEY)


@pytest.fixture
def first():
    with serving() as running:
        yield running


@pytest.fixture
def second():
    with serving() as running:
        yield running


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "work.sqlite") as opened:
        yield opened


def at(vendor, name=LOCAL, retries=0, **more):
    args = {"base_url": vendor.url, "max_retries": retries}
    return VendorInto(name, at_once=2, tries=1, model_args=args, **more)


def both(first, second):
    return [at(first), at(second, SECOND)]


def log(made):
    return [(one.id, one.translator, one.ending) for one in made.attempts]


def mock(reply):
    """A translator whose model answers with `reply(text, right translation)`."""

    def outputs(messages, tools, tool_choice, config):
        asked = understood(messages[0].text)
        return reply(asked.text, known()[asked.language][asked.text])

    return VendorInto("mockllm/model", model_args={"custom_outputs": outputs})


def test_all_rows_are_made_by_the_first_translator_that_can(first, second, journal):
    items = english(4)
    made = turn(items, BENIGN, "da", both(first, second), journal)
    assert [item.id for item in made.items] == [item.id for item in items]
    assert {(item.language, item.translator, item.status) for item in made.items} == {
        ("da", LOCAL, "accepted")
    }
    assert [item.texts for item in made.items] == [
        shipped_items()[item.id]["da"].texts for item in items
    ]
    assert [item.about for item in made.items] == [item.about for item in items]
    assert log(made) == [(item.id, LOCAL, "made") for item in items]
    assert (second.asked, made.waiting) == ([], {})


@pytest.mark.parametrize(
    ("fault", "ending", "says"),
    [
        (refusing, "refused", REFUSAL),
        (saying(tagged(REFUSAL)), "refused", REFUSAL),
        (filtered, "filtered", "the vendor's filter kept it back"),
        (cut_off, "cut-off", "the token limit ended the reply"),
        (saying(""), "empty", "no translation in the reply"),
        (saying("<translation></translation>"), "empty", "no translation in the reply"),
        (odd, "failed", f"{LOCAL} refuses what was asked (HTTP 400"),
        (copying, "rejected", "untranslated"),
        (in_language("es"), "rejected", "wrong-language"),
        (looping, "rejected", "repetition"),
    ],
)
def test_a_row_that_one_cannot_do_goes_to_the_next(first, second, journal, fault, ending, says):
    items = english(3)
    first.faults[items[1].texts["response"]] = fault
    made = turn(items, BENIGN, "da", both(first, second), journal)
    assert [item.translator for item in made.items] == [LOCAL, SECOND, LOCAL]
    assert {item.status for item in made.items} == {"accepted"}
    assert set(second.texts()) == {text for text in items[1].texts.values() if text}
    lost = made.attempts[[one.ending for one in made.attempts].index(ending)]
    assert (lost.id, lost.translator) == (items[1].id, LOCAL)
    assert lost.says.startswith(says)
    assert made.attempts[-1] == Attempt(items[1].id, "da", SECOND, "made", "")
    assert len(made.attempts) == 4


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_in_any_language_is_followed_by_the_next(first, second, journal, code):
    items = english(3, skip=4)
    first.faults[items[0].texts["instruction"]] = refusing
    first.faults[items[2].texts["response"]] = copying
    made = turn(items, BENIGN, code, both(first, second), journal)
    assert [item.translator for item in made.items] == [SECOND, LOCAL, SECOND]
    for item, source in zip(made.items, items, strict=True):
        assert item.texts == shipped_items()[source.id][code].texts
        assert item.status == "accepted"


def test_what_is_to_be_reviewed_goes_to_nobody_else(first, second, journal):
    item = shipped_items()[NUMBERED]["en"]
    first.faults = dict.fromkeys(item.texts.values(), without_numbers)
    made = turn([item], BENIGN, "da", both(first, second), journal)
    (found,) = made.items
    assert (found.status, {doubt.kind for doubt in found.doubts}) == ("review", {"number"})
    assert (log(made), made.attempts[0].says) == ([(item.id, LOCAL, "made")], "number")
    assert second.asked == []


def test_the_least_bad_text_is_kept_where_none_is_good(first, second, journal):
    (item,) = english(1)
    first.faults[item.texts["response"]] = copying
    second.faults = dict.fromkeys(item.texts.values(), copying)
    (found,) = turn([item], BENIGN, "da", both(first, second), journal).items
    assert (found.translator, found.status) == (LOCAL, "rejected")
    assert [doubt.kind for doubt in found.doubts] == ["untranslated"]
    assert found.texts["instruction"] == shipped_items()[item.id]["da"].texts["instruction"]


def test_a_row_that_all_refuse_is_there_without_text_and_with_every_reason(first, second, journal):
    items = english(2)
    first.faults[items[0].texts["instruction"]] = refusing
    second.faults[items[0].texts["instruction"]] = cut_off
    found, other = turn(items, BENIGN, "da", both(first, second), journal).items
    assert (found.status, found.translator) == ("rejected", "")
    assert set(found.texts.values()) == {""}
    assert found.doubts == (
        Doubt("refused", "instruction", f"{LOCAL}: {REFUSAL}"),
        Doubt("missing", "instruction", f"{SECOND}: the token limit ended the reply"),
    )
    assert {doubt.kind for doubt in found.doubts} <= REJECTING
    assert other.status == "accepted"


def test_a_language_that_nobody_knows(first, journal):
    items = english(1)
    made = turn(items, BENIGN, "da", [Only(at(first), ["el"])], journal)
    assert made.items[0].doubts == (
        Doubt("missing", "instruction", "no translator knows this language"),
    )
    assert (made.attempts, first.asked) == ([], [])


def test_who_does_not_know_the_language_is_passed_over(first, second, journal, tmp_path):
    items = english(1)
    greek = [Only(at(first), ["el"]), at(second, SECOND)]
    assert turn(items, BENIGN, "da", greek, journal).items[0].translator == SECOND
    rows = [
        {"language": "da", "english": text, "text": shipped_items()[items[0].id]["da"].texts[name]}
        for name, text in items[0].texts.items()
        if text
    ]
    book = LexiconInto(write_lines(tmp_path / "book.jsonl", rows))
    assert turn(items, BENIGN, "da", [book], journal).items[0].status == "accepted"
    assert turn(items, BENIGN, "hi", [book], journal).items[0].status == "rejected"


# Failures of the service.


@pytest.mark.parametrize("fault", [broken, slow_down, broken_off])
def test_a_failure_waits_goes_to_nobody_else_and_is_asked_again_alone(
    first, second, journal, fault
):
    items = english(4)
    text = items[2].texts["response"]
    first.faults[text] = [fault]
    made = turn(items, BENIGN, "da", both(first, second), journal)
    assert [item.id for item in made.items] == [items[n].id for n in (0, 1, 3)]
    assert made.waiting.total() == 1
    assert log(made)[0] == (items[2].id, LOCAL, "waiting")
    assert made.attempts[0].says in made.waiting
    assert second.asked == []
    first.forget()
    again = turn(items, BENIGN, "da", both(first, second), journal)
    assert first.texts() == [text]
    assert ([item.id for item in again.items], again.waiting) == ([item.id for item in items], {})
    assert log(again) == [(item.id, LOCAL, "made") for item in items]


def test_a_busy_service_is_asked_again_by_the_client(first, journal):
    items = english(1)
    first.faults[items[0].texts["instruction"]] = [slow_down, broken]
    made = turn(items, BENIGN, "da", [at(first, retries=2)], journal)
    assert (made.items[0].status, made.waiting) == ("accepted", {})
    assert len(first.asked) == 2 + 2


def test_a_text_that_hangs_waits_alone(first, journal):
    items = english(3)
    first.faults[items[0].texts["instruction"]] = first.hang
    made = turn(items, BENIGN, "da", [at(first, timeout=1)], journal)
    assert [item.id for item in made.items] == [items[1].id, items[2].id]
    ((why, number),) = made.waiting.items()
    assert (number, why.startswith(f"{LOCAL} gave no answer within 1 seconds")) == (1, True)


def test_ten_failures_in_a_row_stop_and_all_rows_wait(first, second, journal):
    items = english(10)
    first.always = broken
    made = turn(items, BENIGN, "da", both(first, second), journal)
    assert (made.items, made.waiting.total()) == ([], 10)
    assert made.waiting[f"{LOCAL} was left alone after failures in a row."] > 0
    assert STOP <= len(first.asked) <= STOP + 2
    assert second.asked == []
    first.always = None
    made = turn(items, BENIGN, "da", both(first, second), journal)
    assert {item.status for item in made.items} == {"accepted"}
    assert len(made.items) == 10


@pytest.mark.parametrize(
    ("code", "sentence"), [(401, "wants a key (HTTP 401)"), (404, "has no such model (HTTP 404")]
)
def test_a_model_that_cannot_be_asked_ends_all_at_once(first, second, journal, code, sentence):
    items = english(3)
    second.always = status(code)
    for item in items:
        first.faults[item.texts["response"]] = refusing
    with pytest.raises(ModelError) as caught:
        turn(items, BENIGN, "da", both(first, second), journal)
    assert sentence in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(second.asked) <= 2
    first.forget()
    second.always = None
    made = turn(items, BENIGN, "da", both(first, second), journal)
    assert {item.translator for item in made.items} == {SECOND}
    assert first.asked == []


def test_nothing_is_asked_twice_and_another_language_is_asked_anew(first, journal):
    items = english(3)
    first.faults[items[0].texts["instruction"]] = odd
    made = turn(items, BENIGN, "da", [at(first)], journal)
    assert sorted(first.texts()) == sorted(set(first.texts()))
    first.forget()
    assert turn(items, BENIGN, "da", [at(first)], journal) == made
    assert first.asked == []
    turn(items, BENIGN, "el", [at(first)], journal)
    assert len(first.texts("el")) == 6
    turn(items, BENIGN, "da", [at(first, kind="prompt")], journal)
    assert len(first.texts("da")) == 6


def test_equal_texts_are_asked_once(first, journal):
    items = english(2)
    same = [items[0], items[1], items[0]]
    made = turn(same, BENIGN, "da", [at(first)], journal)
    assert len(made.items) == 3
    assert Counter(first.texts()).most_common(1)[0][1] == 1


class Batches:
    """A service whose first request, of many texts, fails; the next are answered."""

    name, gives_up = "batches", True
    identity: ClassVar = {"service": "batches"}
    languages = frozenset({"da"})

    def into(self, texts, target, progress=None):
        for number in range(len(texts)):
            if number < 2 * STOP:
                yield number, Rendering("", "failed", "batches fails (HTTP 503).", False)
            else:
                yield number, Rendering(texts[number].swapcase())


@pytest.mark.parametrize("only", [False, True])
def test_a_service_says_itself_when_it_is_left_alone(journal, only):
    items = english(2 * STOP)
    translator = Only(Batches(), ["da"]) if only else Batches()
    made = turn(items, BENIGN, "da", [translator], journal)
    assert set(made.waiting) == {"batches fails (HTTP 503)."}
    assert 0 < made.waiting["batches fails (HTTP 503)."] < len(items)
    assert len(made.items) + made.waiting.total() == len(items)


@pytest.mark.parametrize("seed", range(6))
def test_no_row_disappears_whatever_happens(first, second, tmp_path, seed):
    rng = random.Random(seed)
    faults = [refusing, filtered, cut_off, odd, copying, broken, slow_down, broken_off, looping]
    faults += [in_language("pt"), saying("```"), saying("<think>hm")]
    items = english(12)
    for vendor in (first, second):
        for text in (text for item in items for text in item.texts.values() if text):
            if rng.random() < 0.4:
                fault = rng.choice(faults)
                vendor.faults[text] = [fault] if rng.random() < 0.5 else fault
    before = {
        vendor.url: {t: list(f) if isinstance(f, list) else f for t, f in vendor.faults.items()}
        for vendor in (first, second)
    }
    with Journal(tmp_path / "work.sqlite") as journal:
        for _ in range(3):
            made = turn(items, BENIGN, "da", both(first, second), journal)
            ids = [item.id for item in made.items]
            assert len(ids) + made.waiting.total() == len(items)
            waiting = [one.id for one in made.attempts if one.ending == "waiting"]
            assert sorted(ids + waiting) == sorted(item.id for item in items)
            assert {one.ending for one in made.attempts} <= set(ENDINGS)
            for item in made.items:
                assert (item.status == "rejected") == any(d.kind in REJECTING for d in item.doubts)
    for vendor in (first, second):
        passing = {text for text, fault in before[vendor.url].items() if fault in FAILING}
        once = {text for text, fault in before[vendor.url].items() if fault in ONCE}
        for text, times in Counter(vendor.texts()).items():
            assert times == (3 if text in passing else 2 if text in once else 1)


# Through the Python API, without a server.


def test_a_mocked_model_that_refuses_some(journal):
    items = english(3)
    bad = items[1].texts["instruction"]
    picky = mock(lambda text, right: said(REFUSAL if text == bad else tagged(right)))
    made = turn(items, BENIGN, "tl", [picky], journal)
    assert [item.status for item in made.items] == ["accepted", "rejected", "accepted"]
    assert made.items[1].doubts == (Doubt("refused", "instruction", f"mockllm/model: {REFUSAL}"),)


def test_a_mocked_model_that_is_cut_off_and_filtered(journal):
    items = english(2)
    ends = {items[0].texts["response"]: "max_tokens", items[1].texts["response"]: "content_filter"}
    model = mock(lambda text, right: said(tagged(right)[:-20], ends.get(text, "stop")))
    made = turn(items, BENIGN, "da", [model], journal)
    assert [one.ending for one in made.attempts] == ["cut-off", "filtered"]
    assert [item.doubts[0].kind for item in made.items] == ["missing", "refused"]
