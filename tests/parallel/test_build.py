from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from polydrift.errors import DataError, ModelError, StudyError
from polydrift.languages import LANGUAGES
from polydrift.parallel.build import build
from polydrift.parallel.items import BENIGN, as_row
from polydrift.parallel.journal import Journal
from polydrift.parallel.outputs import write_outputs
from polydrift.parallel.spec import load
from tests.engine.test_served import loopback  # noqa: F401  # no test may look up another machine
from tests.parallel.serving import (
    KEY,
    LOCAL,
    Heard,
    asking,
    broken,
    build_data,
    build_file,
    english,
    in_language,
    odd,
    refusing,
    saying,
    serving,
    shipped_items,
    spec_of,
    status,
    write_lines,
)

SECOND = "openai-api/local/second"
CODES = [code for code in LANGUAGES if code != "en"]
FILES = ("rows.jsonl", "accepted.jsonl", "dropped.jsonl", "attempts.jsonl", "rows.parquet")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("LOCAL_API_KEY", KEY)


@pytest.fixture
def vendor():
    with serving() as running:
        yield running


@pytest.fixture
def other():
    with serving() as running:
        yield running


def made(spec, tmp_path, **more):
    return build(spec, tmp_path / "out", Heard(), **more)


def ids(built, code):
    return [item.id for item in built.items if item.language == code]


def command(file, out, *more):
    return [sys.executable, "-m", "polydrift", "data", "build", str(file), "-o", str(out), *more]


def finished(file, out):
    spec = load(file)
    build(spec, out, Heard(), write=lambda built: write_outputs(spec, built, out, "by hand"))


def files(out):
    return {name: (out / name).read_bytes() for name in FILES}


def test_all_nine_languages_by_one_translator(vendor, tmp_path):
    items = english(3)
    spec = spec_of(tmp_path, items, asking(vendor), languages=CODES)
    built = made(spec, tmp_path)
    assert [item.language for item in built.items] == [
        code for code in LANGUAGES for _ in items if code == "en"
    ] + [code for code in spec.targets for _ in items]
    for item in built.items:
        right = shipped_items()[item.id.removeprefix("own:")][item.language]
        assert (item.texts, item.status) == (dict(right.texts), "accepted")
    assert built.waiting == []
    assert len(vendor.asked) == 8 * 6


def test_nothing_is_asked_twice_though_checks_change(vendor, tmp_path):
    items = english(3)
    first = made(spec_of(tmp_path, items, asking(vendor)), tmp_path)
    vendor.forget()
    again = made(spec_of(tmp_path, items, asking(vendor)), tmp_path)
    assert (again.items, again.attempts, again.lines) == (first.items, first.attempts, [])
    kept = items[0].texts["instruction"].split()[0]
    made(spec_of(tmp_path, items, asking(vendor), similar=0.9), tmp_path)
    made(spec_of(tmp_path, items[:2], asking(vendor, timeout=5)), tmp_path)
    assert vendor.asked == []
    made(spec_of(tmp_path, items, asking(vendor), keep=[kept]), tmp_path)
    assert len(vendor.asked) == 6  # another request is another thing to ask


def test_a_dry_run_says_what_it_takes_and_sends_nothing(vendor, tmp_path):
    spec = spec_of(tmp_path, english(3), asking(vendor, price=[1.0, 2.0]), languages=["da", "hi"])
    heard = Heard()
    built = build(spec, tmp_path / "out", heard, dry=True, write=lambda _: pytest.fail("written"))
    assert (vendor.asked, built.items, built.planned) == ([], [], True)
    (line,) = built.lines
    assert (line.requests, line.what) == (12, "to translate into 2 languages")
    assert heard.said == [f"estimate: {line.sentence()}"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", "work.sqlite"]
    made(spec_of(tmp_path, english(2), asking(vendor), languages=["da"]), tmp_path)
    spec = spec_of(tmp_path, english(3), asking(vendor), languages=["da", "hi"])
    assert made(spec, tmp_path, dry=True).lines[0].requests == 2 + 6


def test_a_dry_run_reckons_with_pairs_that_are_not_written_yet(vendor, tmp_path):
    wanted = {**asking(vendor), "pairs": 10}
    built = made(spec_of(tmp_path, english(2), asking(vendor), write=wanted), tmp_path, dry=True)
    assert [line.requests for line in built.lines] == [3, 20]
    assert vendor.asked == []


def test_what_may_cost_too_much_is_not_begun(vendor, tmp_path):
    dear = asking(vendor, price=[100.0, 1000.0])
    with pytest.raises(StudyError) as caught:
        made(spec_of(tmp_path, english(3), dear, max_cost=0.5), tmp_path)
    assert str(caught.value).startswith("this may cost up to ")
    assert "and max_cost is 0.50: raise it" in str(caught.value)
    assert str(caught.value).endswith("Nothing was sent for it.")
    assert vendor.asked == []
    assert made(spec_of(tmp_path, english(3), dear, max_cost=50.0), tmp_path).waiting == []


def test_a_language_without_a_translator_is_told_before_anything_is_sent(vendor, tmp_path):
    only = asking(vendor, languages=["da"])
    with pytest.raises(StudyError) as caught:
        made(spec_of(tmp_path, english(1), only, languages=["da", "el", "hi"]), tmp_path)
    said = "no translator for el, hi: add one under [[translators]]."
    assert said in str(caught.value)
    assert vendor.asked == []


def test_ids_times_languages_are_rows_and_waiting(vendor, other, tmp_path):
    items = english(6)
    texts = [item.texts["response"] for item in items]
    vendor.faults = {texts[0]: refusing, texts[1]: broken, texts[2]: odd, texts[3]: [broken]}
    other.faults = {texts[0]: in_language("pt"), texts[2]: refusing}
    translators = asking(vendor), asking(other, SECOND)
    spec = spec_of(tmp_path, items, *translators, languages=["da", "el"])
    first = made(spec, tmp_path)
    assert len(first.waiting) == 2
    assert all(f"{code}: " in why for code, why in zip(spec.targets, first.waiting, strict=True))
    assert [len(ids(first, code)) for code in ("en", "da", "el")] == [6, 4, 5]
    second = made(spec, tmp_path)
    assert [len(ids(second, code)) for code in ("en", "da", "el")] == [6, 5, 5]
    assert second.waiting == [why.replace("2 rows", "1 row") for why in first.waiting]
    vendor.faults.pop(texts[1])
    vendor.forget()
    other.forget()
    third = made(spec, tmp_path)
    assert (vendor.texts("da"), vendor.texts("el"), other.asked) == ([texts[1]], [texts[1]], [])
    assert third.waiting == []
    assert len(third.items) == 3 * 6
    assert {(i.id, i.language) for i in third.items if i.status == "rejected"} == {
        (f"own:{items[n].id}", code) for n in (0, 2) for code in ("da", "el")
    }


def test_pairs_that_wait_are_written_by_the_next_run(vendor, tmp_path):
    rows = [as_row(item, BENIGN) for item in english(4, skip=4)]
    new = [saying(json.dumps([{n: one[n] for n in BENIGN.texts}])) for one in rows]
    vendor.pairs = [new[0], broken, new[2], new[3]]
    wanted = {**asking(vendor), "at_once": 1, "pairs": 4, "batch": 1}
    spec = spec_of(tmp_path, english(4), asking(vendor), write=wanted)
    first = made(spec, tmp_path)
    assert [why[:17] for why in first.waiting] == ["new pairs: 1 × op"]
    assert [len(ids(first, code)) for code in ("en", "da")] == [3, 3]
    vendor.pairs = [new[1]]
    vendor.forget()
    second = made(spec, tmp_path)
    assert second.waiting == []
    assert [item.texts["instruction"] for item in second.items[:4]] == [
        one["instruction"] for one in rows
    ]
    assert len(vendor.asked) == 1 + 2


@pytest.mark.parametrize("code", [401, 404])
def test_what_was_done_before_a_key_failed_is_kept(vendor, tmp_path, code):
    items = english(4)
    vendor.faults[items[3].texts["response"]] = status(code)
    with pytest.raises(ModelError, match=f"HTTP {code}"):
        made(spec_of(tmp_path, items, asking(vendor)), tmp_path)
    with Journal(tmp_path / "out" / "work.sqlite") as journal:
        kept = journal.count("translate")
    assert kept > 0
    vendor.faults.clear()
    vendor.forget()
    assert len(ids(made(spec_of(tmp_path, items, asking(vendor)), tmp_path), "da")) == 4
    assert len(vendor.asked) == 8 - kept


def test_seeds_without_a_row_in_english_are_one_sentence(vendor, tmp_path):
    spec = spec_of(tmp_path, english(1), asking(vendor))
    write_lines(tmp_path / "seeds.jsonl", [{"instruction": "Hej.", "response": "", "id": "1"}])
    with pytest.raises(DataError, match="no row has an English instruction and an answer"):
        made(spec, tmp_path)


# The way back.


@pytest.mark.parametrize("code", ["da", "hi", "zh"])
def test_a_way_back_that_returns_the_english_leaves_rows_accepted(vendor, tmp_path, code):
    items = [shipped_items()[name]["en"] for name in ("open-qa-01", "open-qa-02", "open-qa-03")]
    checks = {"round_trip": asking(vendor), "round_trip_below": 60.0}
    spec = spec_of(tmp_path, items, asking(vendor), languages=[code], checks=checks)
    built = made(spec, tmp_path)
    assert {item.status for item in built.items} == {"accepted"}
    assert {one.language for one in vendor.asked if one.kind == "back"} == {f"{code}-en"}
    vendor.forget()
    assert made(spec, tmp_path).items == built.items
    assert vendor.asked == []


def test_a_way_back_that_says_something_else_sends_to_review(vendor, other, tmp_path):
    items = english(2)
    other.always = saying("A cat sat on a mat.")
    checks = {"round_trip": asking(other)}
    built = made(spec_of(tmp_path, items, asking(vendor), checks=checks), tmp_path)
    danish = [item for item in built.items if item.language == "da"]
    assert [item.status for item in danish] == ["review", "review"]
    assert {doubt.kind for item in danish for doubt in item.doubts} == {"round-trip"}
    assert danish[0].doubts[0].says.endswith(", below 30")


def test_a_way_back_that_fails_loses_no_row_and_runs_again(vendor, other, tmp_path):
    items = english(2)
    other.always = broken
    spec = spec_of(tmp_path, items, asking(vendor), checks={"round_trip": asking(other)})
    built = made(spec, tmp_path)
    assert len(built.items) == 4
    assert list(built.not_run) == ["round-trip (da)"]
    assert built.waiting[0].startswith(f"da: the check round-trip did not run: {LOCAL} fails")
    other.always = None
    built = made(spec, tmp_path)
    assert (built.not_run, built.waiting) == ({}, [])


# Processes: killed, two at once.


def test_a_killed_build_goes_on_and_ends_as_an_unbroken_one(vendor, tmp_path):
    data = build_data(tmp_path, english(12), asking(vendor), languages=["da", "el"])
    file = build_file(tmp_path / "set.toml", data)
    whole, broken_off = tmp_path / "whole", tmp_path / "broken-off"
    finished(file, whole)
    vendor.forget()
    vendor.slow = 0.1
    process = subprocess.Popen(command(file, broken_off), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(vendor.asked) < 30 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    time.sleep(0.2)  # what is in flight is answered and heard by nobody
    assert not (broken_off / "rows.jsonl").exists()
    before = [(one.language, one.text) for one in vendor.asked]
    with Journal(broken_off / "work.sqlite") as journal:
        kept = journal.count("translate")
    assert len(before) - 4 - 1 <= kept <= len(before)
    vendor.slow = 0.0
    vendor.forget()
    finished(file, broken_off)
    after = [(one.language, one.text) for one in vendor.asked]
    assert len(after) == 48 - kept
    assert len(set(before) & set(after)) == len(before) - kept <= 4 + 1
    assert files(broken_off) == files(whole)


def test_two_builds_of_one_directory_take_turns(vendor, tmp_path):
    file = build_file(tmp_path / "set.toml", build_data(tmp_path, english(6), asking(vendor)))
    vendor.slow = 0.15
    out = tmp_path / "out"
    first = subprocess.Popen(command(file, out), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not vendor.asked and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    heard = Heard()
    built = build(spec_of(tmp_path, english(6), asking(vendor)), out, heard)
    assert first.wait(60) == 0
    assert [f"{out} is in use by process {first.pid} on " in one for one in heard.said] == [True]
    assert heard.said[0].endswith(": waiting until it is done")
    assert len(vendor.asked) == 12
    assert len(built.items) == 12
    first.stderr.close()


def test_what_is_written_is_written_while_the_directory_is_held(vendor, tmp_path):
    spec = spec_of(tmp_path, english(2), asking(vendor))
    out = tmp_path / "out"

    def write(built):
        assert f"process {os.getpid()}" in (out / ".lock").read_text()
        write_outputs(spec, built, out, "polydrift data build set.toml")

    build(spec, out, Heard(), write=write)
    assert (out / ".lock").read_text() == ""
    assert len((out / "rows.jsonl").read_text(encoding="utf-8").splitlines()) == 4
