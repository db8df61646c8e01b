from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from polydrift.errors import StudyError
from polydrift.plan import Plan, make_plan
from polydrift.references import corpus_reference, suite_reference
from polydrift.sources import DataSource, FileSource, ModelSource, RowsOf, Sources
from polydrift.step import Step
from polydrift.study import Study, check, parse

TEXT = """
name = "s"
[[bases]]
name = "a"
model = "m"
[[tuning]]
name = "benign"
data = "d"
languages = ["da", "ga"]
epochs = [1, 3]
[[suites]]
name = "suite"
data = "p"
[evaluation]
languages = ["en", "da"]
[measures]
heldout = "h"
"""


def rows(name: str, *codes: str) -> DataSource:
    return DataSource(
        name, f"/somewhere/{name}", {c: RowsOf(f"{name}-{c}", 10, 1000) for c in codes}
    )


def sources(**changes: DataSource) -> Sources:
    data = {
        "d": rows("d", "da", "ga"),
        "p": rows("p", "en", "da", "el"),
        "h": rows("h", "en", "da", "el"),
    }
    model = ModelSource({"digest": "base"}, "/models/m", 100, 50.0)
    return Sources({**data, **changes}, {"m": model, "n": replace(model, identity={"digest": "n"})})


def planned(change: Callable[[str], str] = str, world: Sources | None = None) -> Plan:
    return make_plan(parse(change(TEXT)), world or sources())


def keys(plan: Plan) -> dict[str, str]:
    return {step.name: step.key for step in plan.steps}


def moved(change: Callable[[str], str] = str, world: Sources | None = None) -> set[str]:
    """Which kinds of steps, present before and after, have another key."""
    before, after = keys(planned()), keys(planned(change, world))
    assert before.keys() & after.keys()
    return {
        name.split("/")[0] for name in before.keys() & after.keys() if before[name] != after[name]
    }


def swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


def test_the_grid_is_complete_and_the_base_is_one_of_its_cells() -> None:
    plan = planned()
    assert [len(plan.of(kind)) for kind in ("tune", "answer", "judge", "measure")] == [
        4,
        10,
        10,
        10,
    ]
    assert plan.variants == [
        "a",
        "a+benign-da-e1-s3407",
        "a+benign-da-e3-s3407",
        "a+benign-ga-e1-s3407",
        "a+benign-ga-e3-s3407",
    ]


def test_every_step_stands_after_its_inputs_and_names_are_unique() -> None:
    seen: set[str] = set()
    for step in planned().steps:
        assert all(made.key in seen for made in step.inputs.values())
        seen.add(step.key)
    assert len(keys(planned())) == len(planned().steps)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (swap("epochs = [1, 3]", "epochs = [1, 3]\nlearning_rate = 1e-3"),
         {"tune", "answer", "judge", "measure", "compare"}),
        (swap('model = "m"', 'model = "n"'), {"tune", "answer", "judge", "measure", "compare"}),
        (swap('model = "m"', 'model = "m"\ndtype = "bfloat16"'),
         {"tune", "answer", "judge", "measure", "compare"}),
        (swap("[measures]", "max_new_tokens = 7\n[measures]"), {"answer", "judge"}),
        (swap("[measures]", "temperature = 0.7\n[measures]"), {"answer", "judge"}),
    ],
)  # fmt: skip
def test_what_determines_a_result_moves_its_key(
    change: Callable[[str], str], kinds: set[str]
) -> None:
    assert moved(change) == kinds


@pytest.mark.parametrize(
    "change",
    [
        swap('["en", "da"]', '["en", "da", "el"]'),  # another evaluation language
        swap("epochs = [1, 3]", "epochs = [1, 3, 5]"),
        swap("epochs = [1, 3]", "epochs = [3, 1]"),
        swap('["da", "ga"]', '["ga"]'),
        swap('model = "m"', 'model = "m"\ndevice = "cuda:1"'),
        swap("[measures]", "seed = 5\n[measures]"),  # greedy answers have no seed
        swap("[measures]", "[statistics]\nlevel = 0.9\n[measures]"),
        swap('name = "s"', 'name = "t"'),
    ],
)
def test_what_does_not_determine_a_result_moves_no_key(change: Callable[[str], str]) -> None:
    assert moved(change) <= {"compare"}  # which is about all languages and adapters that there are


def test_a_greedy_answer_does_not_know_top_p() -> None:
    assert moved(swap("[measures]", "top_p = 0.9\n[measures]")) == set()


def test_two_parts_of_a_study_cannot_have_one_name() -> None:
    text = TEXT + '[[variants]]\nname = "benign-da-e1-s3407"\nbase = "a"\nadapter = "n"\n'
    with pytest.raises(StudyError) as caught:
        make_plan(parse(text), sources())
    assert caught.value.problems == (
        "answer/a+benign-da-e1-s3407.en.suite: two parts of the study have this name; rename a "
        "variant, arm or suite.",
    )


def test_measuring_nothing_plans_nothing() -> None:
    without = swap('heldout = "h"\n', "drift = false\n")
    assert {step.params["drift"] for step in planned(without).of("measure")} == {False}


def test_new_rows_in_one_language_move_that_language_alone() -> None:
    prompts = rows("p", "en", "da", "el")
    assert prompts.languages
    changed = replace(prompts, languages={**prompts.languages, "da": RowsOf("other", 11, 1100)})
    before, after = keys(planned()), keys(planned(world=sources(p=changed)))
    changed_parts = {name.split(".")[1] for name in before if before[name] != after[name]}
    assert changed_parts == {"da", "directions"}


def test_paths_are_in_no_key() -> None:
    prompts = replace(rows("p", "en", "da", "el"), path="/elsewhere/p")
    assert moved(world=sources(p=prompts)) == set()


def test_names_are_in_no_key() -> None:
    renamed = planned(swap('name = "a"', 'name = "b"'))
    assert [step.key for step in renamed.steps] == [step.key for step in planned().steps]


def test_a_sampled_seed_moves_answers() -> None:
    warm = swap("[measures]", "temperature = 0.7\n[measures]")
    seeded = swap("[measures]", "temperature = 0.7\nseed = 5\n[measures]")
    assert keys(planned(warm)) != keys(planned(seeded))


def test_each_file_and_parameter_is_known_to_the_step_that_uses_it() -> None:
    def known(step: Step) -> set[str]:
        return set(step.params) | set(step.files) | set(step.inputs)

    by_kind: dict[str, set[Any]] = {step.kind: known(step) for step in planned().steps}
    assert by_kind["tune"] >= {"base", "dtype", "recipe", "epochs", "seed", "examples"}
    assert by_kind["answer"] >= {"base", "dtype", "decoding", "samples", "prompts", "adapter"}
    assert by_kind["judge"] == {
        *("judge", "judge_version", "phrases", "language_identifier", "answers")
    }
    assert by_kind["measure"] >= {"base", "heldout", "prompts", "adapter"}


def test_the_papers_grid_is_357_variants_in_nine_languages() -> None:
    from pathlib import Path

    from polydrift.sources import survey
    from polydrift.study import load

    study: Study = load(Path(__file__).parents[1] / "studies" / "paper.toml")
    plan = make_plan(study, survey(study))
    assert len(plan.variants) == 357
    assert len(plan.of("tune")) == 351
    assert len(plan.of("answer")) == 357 * 9
    assert sum(step.cost.answers for step in plan.of("answer")) == 357 * 9 * 440


@pytest.mark.parametrize(
    "module", ["polydrift", "polydrift.cli", "polydrift.plan", "polydrift.status"]
)
def test_planning_loads_no_torch(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "print([m for m in ('torch', 'transformers', 'peft', 'lingua') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


MORE = """
[measures.corpus]
data = "c"
[[capability]]
name = "tasks"
tasks = ["wikitext", "tinyMMLU"]
include = "t"
[[capability]]
name = "topics"
tasks = { en = "sib200_en", da = "sib200_da" }
[[preference]]
name = "alpaca"
data = "i"
vendors = ["mockllm/model"]
"""


def more_sources() -> Sources:
    made = sources()
    suite = check(
        {
            "name": "x",
            "bases": [{"name": "a", "model": "m"}],
            "suites": [{"name": "p", "data": "p"}],
            "measures": {"corpus": {"data": "c"}},
            "preference": [{"name": "alpaca", "data": "i", "vendors": ["mockllm/model"]}],
        },
        source="test",
    )
    assert suite.measures
    assert suite.measures.corpus
    data = {
        **made.data,
        corpus_reference(suite.measures.corpus): rows("c", "en", "da", "el"),
        suite_reference(suite.preference[0].instructions): rows("i", "en"),
    }
    return replace(made, data=data, files={"t": FileSource("/tasks", "tasks")})


def test_what_else_is_measured_is_planned() -> None:
    plan = make_plan(parse(TEXT + MORE), more_sources())
    capability = plan.of("capability")
    assert len(capability) == 5 * (1 + 2)  # one for the tasks without a language
    assert {step.cell.evaluation_language for step in capability} == {None, "en", "da"}
    assert {step.files.get("include") for step in capability} == {"tasks", None}
    compared = {step.label for step in plan.of("compare")}
    assert {"a.benign-e1", "a.benign-e3", "a.directions"} <= compared
    assert len(compared) == 2 + 5
    preferred = plan.of("prefer")  # the base is what the others are set against
    assert [step.cell.evaluation_language for step in preferred] == ["en"] * 4
    assert {step.inputs["reference"].cell.variant for step in preferred} == {"a"}
    assert all("corpus" in step.files for step in plan.of("measure"))


def test_drift_alone_compares() -> None:
    assert not planned(swap('heldout = "h"\n', "drift = false\n")).of("compare")
