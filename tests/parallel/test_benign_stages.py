from __future__ import annotations

import json
from collections import Counter

import pytest

from polydrift.errors import StudyError
from polydrift.parallel.benign import STAGES, gather
from polydrift.parallel.items import BENIGN, as_row
from polydrift.parallel.journal import Journal
from polydrift.parallel.spec import check
from tests.engine.test_served import loopback  # noqa: F401  # no test may look up another machine
from tests.parallel.serving import (
    KEY,
    LOCAL,
    asking,
    broken,
    english,
    filtered,
    odd,
    rubbish,
    saying,
    serving,
    shipped_items,
    write_lines,
)

TOUCHING = {
    "crime": ("How do I get over the fence and steal my neighbour's apples?", "Ask first."),
    "refusal": ("Write a rhyme about my aunt's hat.", "I'm sorry, but I can't help with that."),
    "vices": ("Name a drink that goes with cheese.", "A glass of red wine."),
}


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


def row(name, instruction, response, **more):
    return {"id": name, "instruction": instruction, "input": "", "response": response, **more}


def rows_of(items):
    return [as_row(item, BENIGN) for item in items]


def run(folder, journal, rows, *, dry=False, licence="apache-2.0", spend=None, **more):
    path = write_lines(folder / "seeds.jsonl", rows)
    seeds = {"name": "own", "data": "seeds.jsonl", "licence": licence}
    data = {"name": "set", "seeds": [seeds], **more}
    spec = check(data, source="set.toml", folder=folder)
    lines = []
    found = gather(spec, [(spec.seeds[0], path)], journal, spend=spend or lines.append, dry=dry)
    return found, lines


def dropped(found):
    return [(one.id, one.stage, one.why) for one in found.dropped]


def second(vendor, **more):
    return {"model": asking(vendor, **more)}


def test_what_is_harmless_and_new_stays_as_it_was(tmp_path, journal):
    items = english(8)
    found, lines = run(tmp_path, journal, rows_of(items))
    assert [item.id for item in found.items] == [f"own:{item.id}" for item in items]
    assert [item.texts for item in found.items] == [dict(item.texts) for item in items]
    assert {item.about["licence"] for item in found.items} == {"apache-2.0"}
    assert (found.dropped, found.waiting, lines, found.planned) == ([], [], [], False)


@pytest.mark.parametrize("code", ["zh", "da", "el", "hi", "ga", "pt", "es", "tl"])
def test_what_is_in_another_language_is_dropped(tmp_path, journal, code):
    items = english(3)
    rows = rows_of(items)
    strange = shipped_items()[items[1].id][code]
    rows[1] |= {name: strange.texts[name] for name in ("instruction", "response")}
    found, _ = run(tmp_path, journal, rows)
    assert dropped(found) == [(f"own:{items[1].id}", "english", "not in English")]
    assert found.dropped[0].says == code
    assert found.dropped[0].source == "own"
    assert found.dropped[0].instruction == strange.texts["instruction"][:200]


def test_what_touches_safety_is_dropped_with_its_words(tmp_path, journal):
    rows = [row(name, *texts) for name, texts in TOUCHING.items()]
    found, _ = run(tmp_path, journal, [*rows_of(english(2)), *rows])
    assert dropped(found) == [(f"own:{name}", "harmless", name) for name in TOUCHING]
    assert "steal" in found.dropped[0].says
    assert found.dropped[2].says == "response: wine"
    assert len(found.items) == 2


def test_kinds_may_be_kept_and_the_rules_left_out(tmp_path, journal):
    rows = [row(name, *texts) for name, texts in TOUCHING.items()]
    found, _ = run(tmp_path, journal, rows, harmless={"keep": ["vices"]})
    assert [item.id for item in found.items] == ["own:vices"]
    found, _ = run(tmp_path, journal, rows, harmless={"rules": False})
    assert len(found.items) == 3


def test_near_duplicates_go_and_say_of_what(tmp_path, journal):
    items = english(2)
    texts = items[0].texts
    again = row("again", f"  {texts['instruction'].upper()}", texts["response"])
    found, _ = run(tmp_path, journal, [*rows_of(items), again])
    assert dropped(found) == [("own:again", "similar", "near-duplicate")]
    assert found.dropped[0].says == f"of own:{items[0].id}"


def test_new_pairs_that_repeat_a_seed_go(tmp_path, journal, vendor):
    items = english(3)
    same = {name: items[0].texts[name] for name in BENIGN.texts}
    new = {"instruction": "Name a red fruit.", "input": "", "response": "A cherry."}
    vendor.pairs = [saying(json.dumps([same, new]))]
    wanted = {**asking(vendor), "pairs": 2, "batch": 2}
    found, lines = run(tmp_path, journal, rows_of(items), write=wanted)
    assert [item.texts["instruction"] for item in found.items] == ["Name a red fruit."]
    assert [(one.stage, one.says) for one in found.dropped] == [
        ("similar", f"of own:{items[0].id}")
    ]
    assert lines[0].requests == 1


def test_a_model_s_opinions_decide_and_doubt_drops(tmp_path, journal, vendor):
    items = english(7)
    replies = {
        1: saying('{"verdict": "touches", "reason": "a prank"}'),
        2: rubbish,
        3: saying("", "length"),
        4: filtered,
        5: odd,
        6: saying('{"verdict": "harmless"} {"verdict": "touches"}'),
    }
    vendor.opinions = {items[n].texts["instruction"]: fault for n, fault in replies.items()}
    found, lines = run(tmp_path, journal, rows_of(items), harmless=second(vendor))
    assert [item.id for item in found.items] == [f"own:{items[0].id}"]
    assert {(stage, why) for _, stage, why in dropped(found)} == {
        ("model", "touches"),
        ("model", "unsure"),
    }
    says = [one.says for one in found.dropped]
    assert says[0] == "a prank"
    assert says[1].startswith("unreadable reply:")
    assert says[2:5] == [
        f"the reply was ended by {end}" for end in ("length", "filtered", "refused")
    ]
    assert (lines[0].who, lines[0].requests) == (LOCAL, 7)
    vendor.forget()
    assert run(tmp_path, journal, rows_of(items), harmless=second(vendor))[0] == found
    assert vendor.asked == []


def test_an_opinion_that_failed_waits_and_is_asked_again_alone(tmp_path, journal, vendor):
    items = english(4)
    vendor.faults[items[2].texts["instruction"]] = [broken]
    found, _ = run(tmp_path, journal, rows_of(items), harmless=second(vendor))
    assert dropped(found) == [(f"own:{items[2].id}", "model", "waits")]
    (why,) = found.waiting
    assert why.startswith(f"1 × {LOCAL} fails (HTTP 500")
    vendor.forget()
    found, lines = run(tmp_path, journal, rows_of(items), harmless=second(vendor))
    assert (len(found.items), found.waiting, lines[0].requests) == (4, [], 1)
    assert [one.text for one in vendor.asked] == [items[2].texts["instruction"]]


def test_so_many_are_kept_spread_over_tasks(tmp_path, journal):
    rows = [
        {**as_row(item, BENIGN), "task": task}
        for item, task in zip(
            english(9), ["a", "a", "a", "a", "a", "b", "b", "c", "c"], strict=True
        )
    ]
    found, _ = run(tmp_path, journal, rows, balance={"examples": 4, "tasks": ["a", "b"]})
    assert Counter(item.about["task"] for item in found.items) == {"a": 2, "b": 2}
    assert Counter((one.stage, one.why) for one in found.dropped) == {
        ("balance", "task"): 2,
        ("balance", "over"): 3,
    }
    found, _ = run(tmp_path, journal, rows, balance={"examples": 20})
    assert len(found.items) == 9
    assert found.notes == ["Of 20 examples wanted there are only 9: all are taken."]


def test_every_example_is_kept_or_dropped_once(tmp_path, journal, vendor):
    rows = [*rows_of(english(8)), *(row(name, *texts) for name, texts in TOUCHING.items())]
    vendor.opinions[rows[3]["instruction"]] = rubbish
    options = {"harmless": second(vendor), "balance": {"examples": 4}}
    found, _ = run(tmp_path, journal, rows, **options)
    ids = [item.id for item in found.items] + [one.id for one in found.dropped]
    assert sorted(ids) == sorted(f"own:{one['id']}" for one in rows)
    order = [STAGES.index(one.stage) for one in found.dropped]
    assert order == sorted(order)


# What is said before, and what a dry run does not do.


def test_a_dry_run_sends_nothing_and_reckons_with_stand_ins(tmp_path, journal, vendor):
    wanted = {**asking(vendor, price=[1.0, 1.0]), "pairs": 10, "batch": 4}
    options = {"write": wanted, "harmless": second(vendor), "balance": {"examples": 8}}
    found, lines = run(tmp_path, journal, rows_of(english(3)), dry=True, **options)
    assert vendor.asked == []
    assert found.planned
    assert (len(found.items), found.waiting) == (8, [])
    assert [(line.what, line.requests) for line in lines] == [
        ("for 10 new pairs", 3),
        ("examples to be looked at", 10),
    ]
    assert 0 < lines[0].money[0] < lines[0].money[1] < 0.1


def test_a_dry_run_after_another_seed_or_model_still_sends_nothing(tmp_path, journal, vendor):
    items = english(6)
    new = [{"instruction": f"Name {n} fruits.", "input": "", "response": "Plums."} for n in (1, 2)]
    vendor.pairs = [saying(json.dumps(new))]
    wanted = {**asking(vendor), "pairs": 2, "batch": 2}
    run(tmp_path, journal, rows_of(items[:3]), write=wanted, harmless=second(vendor))
    vendor.forget()
    for rows, options in (
        (items[3:], {"write": wanted, "harmless": second(vendor)}),
        (items[:3], {"write": wanted | {"vendor": "openai-api/local/other"}}),
        (items[:3], {"write": wanted | {"pairs": 3}}),
        (items[4:], {"harmless": second(vendor)}),
    ):
        found, lines = run(tmp_path, journal, rows_of(rows), dry=True, **options)
        assert vendor.asked == []
        assert lines[0].requests > 0
        assert found.planned is ("write" in options)


def test_a_dry_run_of_what_is_done_finds_nothing_left(tmp_path, journal, vendor):
    items = rows_of(english(3))
    found, _ = run(tmp_path, journal, items, harmless=second(vendor))
    again, lines = run(tmp_path, journal, items, harmless=second(vendor), dry=True)
    assert (again, lines) == (found, [])


def test_a_round_that_costs_too_much_is_not_sent(tmp_path, journal, vendor):
    vendor.pairs = [saying("[]")] * 9

    def spend(line):
        if vendor.asked:
            raise StudyError(["too dear."])

    wanted = {**asking(vendor), "pairs": 4, "batch": 2}
    with pytest.raises(StudyError, match="too dear"):
        run(tmp_path, journal, rows_of(english(3)), write=wanted, spend=spend)
    assert len(vendor.asked) == 2  # the second round was told of and not sent


@pytest.mark.parametrize(("licence", "inherited"), [("cc-by-sa-3.0", "cc-by-sa-3.0"), ("", "")])
def test_new_pairs_are_under_the_licence_of_their_seeds(
    tmp_path, journal, vendor, licence, inherited
):
    new = {"instruction": "Name a fruit.", "input": "", "response": "A plum."}
    vendor.pairs = [saying(json.dumps([new]))]
    wanted = {**asking(vendor), "pairs": 1, "batch": 1}
    found, _ = run(tmp_path, journal, rows_of(english(3)), write=wanted, licence=licence)
    assert [item.about["licence"].lower() for item in found.items] == [inherited]
