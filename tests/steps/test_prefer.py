"""Answers set beside a reference's: what is asked, what is written, and a study that does it.

The judges are what Inspect AI makes of a server that replies by a function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from polydrift import tables
from polydrift.data import lines
from polydrift.data.answers import Answer, write_answers
from polydrift.data.foreign import read_answers
from polydrift.data.prompts import Prompt
from polydrift.data.rows import rows_digest
from polydrift.data.suites import write_suite
from polydrift.errors import DataError, ModelError
from polydrift.launch.worker import work
from polydrift.plan import make_plan
from polydrift.results import read_tables
from polydrift.run import run
from polydrift.sources import survey
from polydrift.stats.preferences import win_rates
from polydrift.steps import Job
from polydrift.steps import run as run_step
from polydrift.study import Study, load
from tests.engine.test_served import completion, server

FRUIT, PLUM, LONG = "A pear.", "A plum!", "A pear is a fruit, and so is a plum."
Said = Callable[[str, str], str]


def longer(first: str, second: str) -> str:
    """Which of two answers is better: the longer one."""
    if len(first) == len(second):
        return "tie"
    return "first" if len(first) > len(second) else "second"


@contextmanager
def judges(monkeypatch: pytest.MonkeyPatch, **members: Said) -> Iterator[list[tuple[str, ...]]]:
    """Judges openai-api/local/NAME; the (member, first, second) that they are asked."""
    asked: list[tuple[str, ...]] = []

    def reply(path: str, body: dict[str, Any]) -> tuple[int, object]:
        shown = body["messages"][0]["content"]
        first, second = (
            shown.split(f"<{tag}>\n")[1].split(f"\n</{tag}>")[0] for tag in ("first", "second")
        )
        asked.append((body["model"], first, second))
        said = members[body["model"]](first, second)
        return 200, completion(json.dumps({"better": said}))

    with server(reply) as (url, _):
        monkeypatch.setenv("LOCAL_BASE_URL", url)
        monkeypatch.setenv("LOCAL_API_KEY", "none")
        yield asked


def answered(folder: Path, texts: Mapping[str, Sequence[str]], order: int = 1) -> Path:
    """An artifact of answers {prompt id: a text per sample}, with the rows in this order."""
    folder.mkdir(parents=True)
    prompts = [Prompt(one, "en", "safe-lookalike", "c", f"Name fruit {one}.") for one in texts]
    rows = [
        Answer(prompt_id, "en", sample, text, "stop", 9, 3, False)
        for prompt_id, samples in texts.items()
        for sample, text in enumerate(samples)
    ]
    write_suite(folder / "prompts.jsonl", prompts[::order])
    write_answers(folder / "answers.jsonl", rows[::order])
    return folder


def job(answers: Path, reference: Path, *vendors: str) -> Job:
    """A job over artifacts of answers; `reference` may be a file of them."""
    out = answers.with_name(f"{answers.name}-preferred")
    out.mkdir(exist_ok=True)
    places: dict[str, Any] = {"at_once": 4, "cache": None}
    inputs, files = {"answers": answers}, {}
    if reference.is_dir():
        inputs["reference"] = reference
    else:
        how = {"columns": {"answer": "output"}, "select": {"model": "other"}}
        prompts, rows = read_answers(reference, **how)
        english: list[Any] = [row for row in (*prompts, *rows) if row.language == "en"]
        files["reference"] = rows_digest(english)
        places |= {"reference": str(reference), "how": how, "language": "en"}
    params = {"vendors": list(vendors or ["openai-api/local/m"]), "pairwise": "1"}
    return Job("prefer", params, inputs, files, places, out)


def reference_file(path: Path, texts: Mapping[str, Sequence[str]]) -> Path:
    """Another tool's file: two models' answers, in two languages."""
    lines.write(
        path,
        (
            {
                "prompt_id": prompt_id,
                "prompt": f"Name fruit {prompt_id}.",
                "kind": "safe",
                "language": language,
                "model": model,
                "output": text if (language, model) == ("en", "other") else "Nej.",
            }
            for language in ("da", "en")
            for model in ("mine", "other")
            for prompt_id, samples in texts.items()
            for text in samples
        ),
    )
    return path


def preferred(*jobs: Job) -> list[list[dict[str, Any]]]:
    """The rows of each job's file; every job must have gone well."""
    done = list(run_step(jobs))
    assert [one for one, _ in done] == list(jobs)
    assert [problem for _, problem in done] == [None] * len(jobs)
    return [[dict(row) for _, row in lines.read(one.out / "preferences.jsonl")] for one in jobs]


def test_each_answer_is_set_beside_the_base_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = answered(tmp_path / "base", {"a": [FRUIT], "b": [LONG], "c": [FRUIT]})
    tuned = answered(tmp_path / "tuned", {"a": [LONG], "b": [PLUM], "c": [f" {FRUIT}"]})
    with judges(monkeypatch, m=longer) as asked:
        (rows,) = preferred(job(tuned, base))
    same = {"sample": 0, "judge": "openai-api/local/m"}
    a, b, c = len(FRUIT), len(LONG), len(PLUM)
    assert rows == [
        {
            **{"prompt_id": name, **same, "first": y, "second": y, "asked": asked_at_all},
            **{"length": ours, "reference_length": theirs},
        }
        for name, y, asked_at_all, ours, theirs in (
            ("a", 1.0, True, b, a),
            ("b", 0.0, True, c, b),
            ("c", 0.5, False, a + 1, a),  # equal but for a blank: nobody is asked
        )
    ]
    assert sorted(asked) == sorted(
        ("m", *shown) for shown in ((LONG, FRUIT), (FRUIT, LONG), (PLUM, LONG), (LONG, PLUM))
    )


def test_what_two_variants_said_alike_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = answered(tmp_path / "base", {"a": [FRUIT], "b": [FRUIT]})
    one = answered(tmp_path / "one", {"a": [LONG], "b": [PLUM]})
    other = answered(tmp_path / "other", {"a": [LONG], "b": [LONG]})
    jobs = [job(one, base), job(other, base)]
    with judges(monkeypatch, m=longer) as asked:
        first, second = preferred(*jobs)
    assert len(asked) == len(set(asked)) + 2 == 6  # two orders of three; b's words are a's
    assert [(row["first"], row["second"]) for row in first] == [(1.0, 1.0), (0.5, 0.5)]
    assert [(row["first"], row["second"]) for row in second] == [(1.0, 1.0), (1.0, 1.0)]
    usage = {"replies": 6, "read": 72, "written": 24, "again": 0, "cut": 0}
    for done in jobs:
        assert done.notes == {
            "pairs": 2,
            "unparsed": {"openai-api/local/m": 0},
            "judged_together": 4,
            "usage": {"openai-api/local/m": usage},
        }
        assert done.seconds is not None
        assert done.seconds > 0


def test_a_leaning_to_the_first_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = answered(tmp_path / "base", {"a": [FRUIT]})
    tuned = answered(tmp_path / "tuned", {"a": [LONG]})
    with judges(monkeypatch, m=lambda first, second: "first"):
        ((row,),) = preferred(job(tuned, base))
    assert (row["first"], row["second"]) == (1.0, 0.0)


def test_samples_meet_the_samples_of_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = answered(tmp_path / "base", {"a": [FRUIT, LONG], "b": [LONG, FRUIT]})
    tuned = answered(tmp_path / "tuned", {"a": [PLUM + "!", PLUM], "b": [PLUM + "!", PLUM + "!"]})
    with judges(monkeypatch, m=longer):
        (rows,) = preferred(job(tuned, base))
    assert [(row["prompt_id"], row["sample"], row["first"]) for row in rows] == [
        ("a", 0, 1.0),
        ("a", 1, 0.0),
        ("b", 0, 0.0),
        ("b", 1, 1.0),
    ]


def test_one_answer_of_a_file_serves_every_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = reference_file(tmp_path / "given.jsonl", {"b": [LONG], "a": [FRUIT], "more": [PLUM]})
    tuned = answered(tmp_path / "tuned", {"a": [LONG, "A"], "b": [FRUIT, LONG + LONG]})
    with judges(monkeypatch, m=longer):
        (rows,) = preferred(job(tuned, given))
    assert [(row["prompt_id"], row["sample"], row["first"]) for row in rows] == [
        ("a", 0, 1.0),
        ("a", 1, 0.0),
        ("b", 0, 0.0),
        ("b", 1, 1.0),
    ]
    assert {row["reference_length"] for row in rows} == {len(FRUIT), len(LONG)}


def test_the_order_of_the_rows_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = {"a": [FRUIT, LONG], "b": [LONG, PLUM], "c": [PLUM, FRUIT]}
    tuned = {"a": [LONG, PLUM], "b": [FRUIT, LONG], "c": ["", LONG]}
    jobs = [
        job(answered(tmp_path / f"t{order}", tuned, order), answered(tmp_path / f"b{order}", base))
        for order in (1, -1)
    ]
    names = ["openai-api/local/z", "openai-api/local/m"]
    with judges(monkeypatch, m=longer, z=lambda first, second: longer(second, first)):
        for one, vendors in zip(jobs, (names, names[::-1]), strict=True):
            one.params = {**one.params, "vendors": vendors}
            preferred(one)
    first, second = ((one.out / "preferences.jsonl").read_bytes() for one in jobs)
    assert first == second
    rows = [json.loads(line) for line in first.splitlines()]
    keys = [(row["prompt_id"], row["sample"], row["judge"]) for row in rows]
    assert keys == sorted(keys)
    assert len(keys) == 12
    by_judge = {(row["judge"][-1], row["prompt_id"], row["sample"]): row["first"] for row in rows}
    assert (by_judge["m", "a", 0], by_judge["z", "a", 0]) == (1.0, 0.0)
    assert (by_judge["m", "c", 0], by_judge["z", "c", 0]) == (0.0, 0.0)  # no text loses unasked


def test_replies_that_cannot_be_read_are_null_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = answered(tmp_path / "base", {"a": [FRUIT], "b": [FRUIT], "c": [FRUIT]})
    tuned = answered(tmp_path / "tuned", {"a": [LONG], "b": [FRUIT], "c": [PLUM]})
    done = job(tuned, base)
    with judges(monkeypatch, m=lambda first, second: "well" if first == LONG else "second"):
        (rows,) = preferred(done)
    assert [(row["first"], row["second"], row["asked"]) for row in rows] == [
        (None, 1.0, True),
        (0.5, 0.5, False),
        (0.0, 1.0, True),
    ]
    assert done.notes["unparsed"] == {"openai-api/local/m": 1}
    usage = done.notes["usage"]["openai-api/local/m"]
    assert (usage["replies"], usage["again"]) == (5, 1)  # the one that was not read, once more
    cell = dict.fromkeys(("arm", "tuning_language", "tuning_seed", "epochs"))
    cell |= {"base": "m", "variant": "m", "evaluation_language": "en", "suite": "fruit"}
    table = tables.table("preferences", tables.preference_rows(cell, done.out))
    (row,) = win_rates(table, {}, level=0.95, draws=100, seed=0).to_pylist()
    assert (row["win_rate"], row["judged"], row["unjudged"]) == (50.0, 2, 1)
    assert (row["position_bias"], row["consistent"]) == (-0.5, 0.0)  # of the pair read both times


# --- mistakes -------------------------------------------------------------------------------------


def test_an_answer_without_one_to_set_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = answered(tmp_path / "base", {"a": [FRUIT], "b": [FRUIT]})
    bad = job(answered(tmp_path / "bad", {"d": [PLUM], "a": [LONG], "c": [LONG]}), base)
    good = job(answered(tmp_path / "good", {"a": [LONG], "b": [PLUM]}), base)
    with judges(monkeypatch, m=longer):
        (failed, problem), (done, none) = run_step([bad, good])
    assert (failed, done, none) == (bad, good, None)
    assert isinstance(problem, DataError)
    assert str(problem) == (
        f"{base / 'answers.jsonl'}: nothing to set beside 2 of 3 answers, first to prompt 'c', "
        "sample 0; give an answer to each instruction that is asked: one, or as many samples as "
        "the study's."
    )
    assert not (bad.out / "preferences.jsonl").exists()
    assert len(list(lines.read(good.out / "preferences.jsonl"))) == 2


def test_a_file_with_fewer_samples_than_the_study(tmp_path: Path) -> None:
    given = reference_file(tmp_path / "given.jsonl", {"a": [FRUIT, LONG], "b": [FRUIT]})
    tuned = answered(tmp_path / "tuned", {"a": [LONG, LONG], "b": [PLUM, PLUM]})
    ((_, problem),) = run_step([job(tuned, given)])
    assert str(problem) == (
        f"{given}: nothing to set beside 1 of 4 answers, first to prompt 'b', sample 1; give an "
        "answer to each instruction that is asked: one, or as many samples as the study's."
    )


def test_a_file_that_changed_since_the_plan(tmp_path: Path) -> None:
    given = reference_file(tmp_path / "given.jsonl", {"a": [FRUIT]})
    planned = job(answered(tmp_path / "tuned", {"a": [LONG]}), given)
    reference_file(given, {"a": [PLUM]})
    with pytest.raises(DataError) as caught:
        list(run_step([planned]))
    assert str(caught.value) == (
        f"{given}: its English rows changed while the study ran; run the same command again to "
        "plan with the new ones."
    )


def test_other_languages_of_a_file_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = reference_file(tmp_path / "given.jsonl", {"a": [FRUIT]})
    planned = job(answered(tmp_path / "tuned", {"a": [LONG]}), given)
    given.write_text(given.read_text().replace("Nej.", "Ja."))
    with judges(monkeypatch, m=longer):
        ((row,),) = preferred(planned)
    assert row["first"] == 1.0


def test_a_judge_that_is_none(tmp_path: Path) -> None:
    base = answered(tmp_path / "base", {"a": [FRUIT]})
    asked = job(answered(tmp_path / "tuned", {"a": [LONG]}), base, "nobody/model")
    with pytest.raises(ModelError, match=r"^nobody/model names no provider that Inspect AI knows;"):
        list(run_step([asked]))


# --- a study --------------------------------------------------------------------------------------

STUDY = """
name = "prefer"

[[bases]]
name = "llama"
model = "specimen:llama-0"

[[tuning]]
name = "benign"
data = "specimen:benign"
languages = ["en"]
epochs = [1]
rows = 16
rank = 4
batch_size = 8
learning_rate = 5e-2
targets = "all-linear"

[[suites]]
name = "specimen"
data = "specimen:suite"
prompts = 2

[evaluation]
languages = ["en"]
max_new_tokens = 12

[[preference]]
name = "to-base"
data = "instructions.jsonl"
vendors = ["openai-api/local/m", "openai-api/local/first"]

[[preference]]
name = "to-file"
data = "instructions.jsonl"
vendors = ["openai-api/local/m"]
irt = "items.json"

[preference.against]
file = "given.jsonl"
columns = { answer = "output" }
language = "en"
kind = "safe-lookalike"

[statistics]
draws = 200
"""
COUNT = 5


def a_study(folder: Path) -> Study:
    """Five instructions, short answers to them by somebody else, and what is known of the items."""
    folder.mkdir(exist_ok=True)
    asked = [f"How do I open door number {number} with a key?" for number in range(COUNT)]
    rows = [{"prompt_id": str(i), "prompt": text, "language": "en"} for i, text in enumerate(asked)]
    lines.write(folder / "instructions.jsonl", ({**row, "kind": "safe"} for row in rows))
    given = [{"prompt_id": i, "prompt": text, "output": "No."} for i, text in enumerate(asked)]
    lines.write(folder / "given.jsonl", given)
    items = {
        "anchors": [3, 1, 8, 0, 6],
        "weights": [0.2] * COUNT,
        "lambda": 0.5,
        "discrimination": [[1.0]] * 10,
        "difficulty": [0.1 * i for i in range(10)],
    }
    (folder / "items.json").write_text(json.dumps(items))
    (folder / "study.toml").write_text(STUDY)
    return load(folder / "study.toml")


def test_a_study_against_its_base_and_against_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = a_study(tmp_path / "s"), tmp_path / "out"
    with judges(monkeypatch, m=longer, first=lambda first, second: "first") as asked:
        ran = run(study, out, workers=1, quiet=True)
        assert dict(ran.problems) == {}
        count = len(asked)
        assert run(study, out, workers=1, quiet=True).made == 0
    assert len(asked) == count
    made = read_tables(out)
    rows = made["preferences"].to_pylist()
    tuned = next(name for name in ran.plan.variants if name != "llama")
    assert len(rows) == COUNT * (2 + 2)  # tuned by two judges; both against the file by one
    assert {(row["benchmark"], row["variant"]) for row in rows} == {
        ("to-base", tuned),
        ("to-file", tuned),
        ("to-file", "llama"),
    }
    texts = {
        (row["suite"], row["variant"], row["prompt_id"]): row["answer"]
        for row in made["answers"].to_pylist()
    }
    different = 0
    for row in rows:
        ours = texts[row["benchmark"], row["variant"], row["prompt_id"]]
        theirs = "No."
        if row["benchmark"] == "to-base":
            theirs = texts["to-base", "llama", row["prompt_id"]]
        assert (row["length"], row["reference_length"]) == (len(ours), len(theirs))
        assert row["asked"] == (ours.strip() != theirs.strip())
        if row["judge"].endswith("first"):
            assert row["first"] - row["second"] == row["asked"]
            different += row["asked"]
        else:
            better = 0.5 + 0.5 * ((len(ours) > len(theirs)) - (len(ours) < len(theirs)))
            assert (row["first"], row["second"]) == (better, better) or not row["asked"]
    assert different  # tuning changed some answer
    rates = {
        (row["benchmark"], row["variant"], row["judge"]): row
        for row in made["win_rates"].to_pylist()
    }
    assert len(rates) == 3 + 2
    assert rates["to-base", tuned, "openai-api/local/first"]["position_bias"] == 0.5
    panel = rates["to-base", tuned, "panel"]
    pair = [
        rates["to-base", tuned, f"openai-api/local/{name}"]["win_rate"] for name in ("m", "first")
    ]
    assert panel["win_rate"] == pytest.approx(sum(pair) / 2)
    to_file = rates["to-file", "llama", "openai-api/local/m"]
    assert to_file["win_rate"] == 100.0  # "No." is shorter than anything
    assert to_file["low"] < 100.0
    assert 90 < to_file["gp_irt"] <= 100
    assert to_file["gp_irt_error"] == pytest.approx(1.6)
    (record,) = [
        json.loads(path.read_text())["notes"]
        for path in (out / "artifacts" / "prefer").glob("*to-base*/record.json")
    ]
    assert record["pairs"] == COUNT
    assert set(record["unparsed"].values()) == {0}


def test_a_file_that_lacks_an_answer_fails_the_step_and_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = a_study(tmp_path / "s")
    given = tmp_path / "s" / "given.jsonl"
    lines.write(given, [row for _, row in lines.read(given)][1:])
    plan = make_plan(study, survey(study))
    answers = [step for step in plan.of("answer") if step.cell.suite == "to-file"]
    preferred = [step for step in plan.of("prefer") if step.cell.suite == "to-file"]
    base = [step for step in (*answers, *preferred) if step.cell.variant == "llama"]
    root = tmp_path / "out"
    for step in base:
        (outcome,) = work([step], root, lambda *_: None)
    assert outcome.problem is not None
    assert outcome.problem.startswith(
        f"{given}: nothing to set beside 1 of {COUNT} answers, first to prompt '0', sample 0; give "
    )
