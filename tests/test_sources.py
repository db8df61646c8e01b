from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from polydrift import specimens
from polydrift.errors import DataError, StudyError
from polydrift.needs import lacking
from polydrift.plan import make_plan
from polydrift.references import suite_reference
from polydrift.results import read_tables
from polydrift.run import read_lock, run
from polydrift.sources import pin, survey
from polydrift.study import Study, parse
from tests.data.test_hub_data import cache, online  # noqa: F401
from tests.engine.hub_server import COMMIT

TEXT = """
name = "s"
[[bases]]
name = "a"
model = "{model}"
[[tuning]]
name = "benign"
data = "benign.jsonl"
languages = ["da"]
[[suites]]
name = "suite"
data = "suite.jsonl"
[evaluation]
languages = ["en", "da"]
"""


def study(folder: Path, model: str = "specimen:llama-0", more: str = "") -> Study:
    return parse(TEXT.format(model=model) + more, folder=folder)


def row(prompt: int, code: str) -> str:
    return json.dumps(
        {
            "prompt_id": f"p{prompt}",
            "language": code,
            "kind": "unsafe",
            "category": "c",
            "prompt": f"prompt {prompt} {code}",
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    suite = [row(i, code) for i in range(4) for code in ("en", "da")]
    (tmp_path / "suite.jsonl").write_text("\n".join(suite) + "\n")
    benign = {"id": "1", "language": "da", "instruction": "a", "input": "", "response": "b"}
    (tmp_path / "benign.jsonl").write_text(json.dumps(benign) + "\n")
    return tmp_path


def answer_keys(folder: Path) -> dict[str, str]:
    made = study(folder)
    return {s.name: s.key for s in make_plan(made, survey(made)).of("answer")}


def test_counts_and_digests_are_per_language(folder: Path) -> None:
    found = survey(study(folder)).data["suite.jsonl"].languages
    assert found
    assert {code: rows.rows for code, rows in found.items()} == {"en": 4, "da": 4}
    assert found["en"].digest != found["da"].digest


def test_sorting_a_file_or_adding_a_language_moves_nothing(folder: Path) -> None:
    before = answer_keys(folder)
    path = folder / "suite.jsonl"
    more = [row(i, "el") for i in range(4)]
    path.write_text("\n".join(sorted(path.read_text().splitlines(), reverse=True) + more))
    assert answer_keys(folder) == before


def test_a_changed_prompt_moves_its_language_alone(folder: Path) -> None:
    before = answer_keys(folder)
    path = folder / "suite.jsonl"
    path.write_text(path.read_text().replace("prompt 2 da", "prompt two da"))
    after = answer_keys(folder)
    assert {name for name in before if before[name] != after[name]} == {
        "answer/a.da.suite",
        "answer/a+benign-da-e1-s3407.da.suite",
    }


def test_a_model_is_its_files_wherever_they_lie(folder: Path) -> None:
    copy = folder / "copy"
    shutil.copytree(specimens.path("specimen:llama-0"), copy)
    (copy / "README.md").write_text("a card is no part of a model")

    def identity(model: str) -> object:
        return survey(study(folder, model)).models[model].identity

    assert identity("copy") == identity("specimen:llama-0")
    (copy / "config.json").write_text("{}")
    assert identity("copy") != identity("specimen:llama-0")


def test_parameters_are_read_off_local_weights(folder: Path) -> None:
    source = survey(study(folder)).models["specimen:llama-0"]
    assert source.parameters
    assert 1.0e6 < source.parameters < 1.3e6


def test_names_on_the_hub_are_known_by_revision(folder: Path) -> None:
    found = survey(study(folder, "meta-llama/Llama-3.2-1B-Instruct"))
    model = found.models["meta-llama/Llama-3.2-1B-Instruct"]
    assert model.gated
    assert not model.pinned
    pins = {"meta-llama/Llama-3.2-1B-Instruct": "a" * 40}
    pinned = survey(study(folder, "meta-llama/Llama-3.2-1B-Instruct"), pins)
    assert pinned.models["meta-llama/Llama-3.2-1B-Instruct"].pinned


def test_what_a_study_lacks_is_named(folder: Path) -> None:
    (folder / "benign.jsonl").unlink()
    (folder / "suite.jsonl").write_text(row(1, "en") + "\n")
    made = study(folder)
    suite, benign = folder / "suite.jsonl", folder / "benign.jsonl"
    assert lacking(made, survey(made)) == [
        f"{suite}: no rows in Danish; add them, or take 'da' out of the study's languages.",
        f"{benign}: there is no such file (the study's 'benign.jsonl'); make it, or mend the "
        "reference.",
    ]


def test_too_few_rows_and_answers_that_nobody_evaluates(folder: Path) -> None:
    text = TEXT.format(model="specimen:llama-0").replace('["da"]', '["da"]\nrows = 5', 1)
    made = parse(text, folder=folder)
    assert lacking(made, survey(made)) == [
        f"{folder / 'benign.jsonl'}: 1 rows in Danish, and arm 'benign' wants 5; lower `rows`, or "
        "add some."
    ]
    (folder / "a.jsonl").write_text('{"id": 1, "lang": "es", "prompt": "q", "answer": "a"}\n')
    answers = '[[bases]]\nname = "b"\nanswers = { file = "a.jsonl", kind = "unsafe" }\n'
    made = parse(f'name = "s"\n{answers}[evaluation]\nlanguages = ["en"]\n', folder=folder)
    assert lacking(made, survey(made)) == [
        f"{folder / 'a.jsonl'}: its answers are in es, none of which is among the study's "
        "evaluation languages; add one there."
    ]


def test_answers_in_a_study_must_answer_the_same_prompts(folder: Path) -> None:
    for name, prompts in (("a", "pq"), ("b", "pr")):
        rows = [{"prompt": p, "answer": "x", "lang": "en", "kind": "unsafe"} for p in prompts]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    text = """
name = "s"
bases = [{ name = "a", answers = { file = "a.jsonl" } }]
variants = [{ name = "b", base = "a", answers = { file = "b.jsonl" } }]
"""
    with pytest.raises(DataError, match="both files must answer the same prompts"):
        survey(parse(text, folder=folder))


def test_what_cannot_be_a_path(folder: Path) -> None:
    with pytest.raises(StudyError, match=r"cannot be a path \(File name too long"):
        survey(study(folder, "x" * 300))
    with pytest.raises(StudyError, match="'~nobody-at-all/x' cannot be a path"):
        survey(study(folder, "~nobody-at-all/x"))


def test_references_that_lead_nowhere(folder: Path) -> None:
    with pytest.raises(StudyError) as caught:
        survey(study(folder, "./nowhere"))
    assert caught.value.problems == (
        f"./nowhere: no such directory at {folder / 'nowhere'}, and not a Hugging Face name "
        "(owner/name); mend the path or the name.",
    )
    with pytest.raises(DataError, match="unknown specimen 'specimen:lama': use one of"):
        survey(study(folder, "specimen:lama"))
    text = TEXT.format(model="specimen:llama-0").replace(
        'model = "specimen:llama-0"', f'model = "{folder}"\nrevision = "main"'
    )
    with pytest.raises(StudyError, match="a directory has no revisions"):
        survey(parse(text, folder=folder))


HUB = """
name = "s"
[[bases]]
name = "a"
model = "specimen:llama-0"
[[suites]]
name = "sorry"
data = "hub:owner/sorry"
format = "sorry-bench"
prompts = 440
[evaluation]
languages = ["en"]
max_new_tokens = 4
"""


def test_a_suite_of_the_hub_is_pinned_to_a_commit_and_then_read(
    tmp_path: Path,
    online: object,  # noqa: F811
) -> None:
    asked = parse(HUB)
    before = survey(asked)
    assert before.data[suite_reference(asked.suites[0])].languages is None
    (step,) = make_plan(asked, before).of("answer")
    assert step.cost.answers == 440  # as declared, for nothing was fetched
    assert lacking(asked, before) == [
        "hub:owner/sorry: is fetched from the hub when the study runs; for a gated one, accept its "
        "licence on its page and set HF_TOKEN to your token."
    ]
    pins = pin(asked, before)
    assert pins == {"hub:owner/sorry": COMMIT}
    after = survey(asked, pins)
    assert lacking(asked, after) == []
    (step,) = make_plan(asked, after).of("answer")
    assert step.cost.answers == 1
    ran = run(asked, tmp_path / "out", workers=1, quiet=True)
    assert not ran.problems
    assert read_lock(tmp_path / "out")["pins"] == pins
    rows = read_tables(tmp_path / "out")["verdicts"].to_pylist()
    assert [(row["prompt_id"], row["category"]) for row in rows] == [("1", "01 Hate Speech")]


def test_what_was_left_out_of_a_suite_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("id,kind,en,da\n1,unsafe,Hi?,Hej?\n2,unsafe,Bye?,\n")
    text = HUB.replace("hub:owner/sorry", "wide.csv").replace('format = "sorry-bench"\n', "")
    text = text.replace("prompts = 440", 'columns = { "prompt.en" = "en", "prompt.da" = "da" }')
    assert survey(parse(text, folder=tmp_path)).notes == (
        "wide.csv: 1 prompt has no text in da ('2'); it is left out there.",
    )


def test_files_that_judges_need_must_be_there(tmp_path: Path) -> None:
    text = HUB.replace("hub:owner/sorry", "specimen:suite").replace('format = "sorry-bench"\n', "")
    text += '[[judges]]\nname = "j"\ncalibration = "c.json"\ntranslate = true\n'
    text += '[translation]\nphrasebook = "b.jsonl"\n'
    with pytest.raises(StudyError) as caught:
        survey(parse(text, folder=tmp_path))
    assert caught.value.problems == tuple(
        f"{name}: there is no such file at {tmp_path / name}; mend it."
        for name in ("c.json", "b.jsonl")
    )
