"""Bad input: one sentence each, before anything is computed."""

from __future__ import annotations

import sys

import datasets
import huggingface_hub.constants
import pytest
import yaml

from polydrift.capability.lm import CohortLM
from polydrift.capability.measure import capability
from polydrift.engine.cohort import Cohort
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.errors import DataError, MeasureError
from tests.capability.conftest import TASKS, make_exact_model, make_tasks
from tests.capability.test_equal import pytestmark

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    path = make_exact_model("qwen3", tmp_path_factory.mktemp("base") / "qwen3")
    return Cohort(load(Source(str(path), device="cpu")), [None])


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def told(cohort, names, kind=MeasureError, **options):
    with pytest.raises(kind) as raised:
        capability(cohort, names, **options)
    return str(raised.value)


def test_an_unknown_task_has_its_nearest_names(cohort, include):
    assert told(cohort, ["facts_choise"], include_path=include) == (
        "lm-eval has no task, group or tag 'facts_choise'; the nearest: facts_choice, "
        "facts_write, facts_end. Mend the name, or give the directory of its YAML file "
        "(include_path)."
    )
    assert told(cohort, ["belebele_dan_latin"]).startswith(
        "lm-eval has no task, group or tag 'belebele_dan_latin'; the nearest: belebele_dan_Latn, "
    )
    assert told(cohort, ["#"]) == (
        "lm-eval has no task, group or tag '#'. Mend the name, or give the directory of its YAML "
        "file (include_path)."
    )


def test_no_task_at_all(cohort):
    wanted = "no tasks are named; give a list of lm-eval's task names."
    assert told(cohort, []) == wanted
    assert told(cohort, "wikitext") == wanted


@pytest.mark.parametrize(
    ("name", "task", "data"),
    [
        ("wikitext", "wikitext", "EleutherAI/wikitext_document_level (wikitext-2-raw-v1)"),
        ("tinyMMLU", "tinyMMLU", "tinyBenchmarks/tinyMMLU (all)"),
        ("sib200", "sib200_en", "Davlan/sib200 (eng_Latn)"),
    ],
)
def test_data_out_of_reach(cohort, name, task, data):
    assert told(cohort, [name], DataError) == (
        f"the task {task} cannot have its data, {data}: Couldn't reach '{data.split()[0]}' on the "
        "Hub (OfflineModeIsEnabled); go online once (it is then kept in the cache of Hugging Face "
        "datasets), or define the task over a local file and give its directory (include_path)."
    )


def test_a_file_that_is_missing_or_empty(cohort, tmp_path):
    make_tasks(tmp_path)
    absent = tmp_path / "absent.jsonl"
    for file, why in ((absent, f"Unable to find '{absent}'"), (tmp_path / "empty.jsonl", None)):
        task = yaml.safe_load((tmp_path / "facts_choice.yaml").read_text())
        task["dataset_kwargs"]["data_files"] = {"test": str(file), "train": str(file)}
        (tmp_path / "facts_choice.yaml").write_text(yaml.safe_dump(task))
        (tmp_path / "empty.jsonl").write_text("")
        text = told(cohort, ["facts_choice"], DataError, include_path=tmp_path)
        assert text == (
            f"the task facts_choice cannot read its file ({why or 'StopIteration: is it empty?'}); "
            "mend data_files in its YAML file, or the file."
        )


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (
            {"output_type": "embedding"},
            "cannot be made (Got invalid output_type 'embedding', must be in "
            "'loglikelihood,multiple_choice,loglikelihood_rolling,generate_until'); look at its "
            "YAML file, or leave it out.",
        ),
        (
            {"doc_to_text": "{{colour}}"},
            "cannot be made ('colour' is undefined); look at its YAML file, or leave it out.",
        ),
        (
            {"test_split": "validation"},
            "names 'validation', which its data does not have; mend the split, the column or the "
            "name in its YAML file, or leave it out.",
        ),
        (
            {"doc_to_image": ["question"]},
            "shows pictures or plays sounds, and a cohort reads text; leave it out.",
        ),
        (
            {"unsafe_code": True},
            "runs code that the model writes, which polydrift does not do; leave it out.",
        ),
    ],
)
def test_a_task_that_cannot_be_made_or_asked(cohort, tmp_path, change, wanted):
    make_tasks(tmp_path, facts_choice=change)
    text = told(cohort, ["facts_choice"], include_path=tmp_path)
    assert text == f"the task facts_choice {wanted}"


def test_a_task_of_another_kind_of_request(cohort, include, monkeypatch):
    from lm_eval.api.task import ConfigurableTask

    whole = ConfigurableTask.construct_requests

    def other(self, doc, ctx, **options):
        one = whole(self, doc, ctx, **options)
        one.request_type = "multimodal_embedding"
        return one

    monkeypatch.setattr(ConfigurableTask, "construct_requests", other)
    assert told(cohort, ["facts_end"], include_path=include) == (
        "the task facts_end asks for multimodal_embedding, which polydrift does not do; use one "
        "with an output_type of loglikelihood, loglikelihood_rolling, generate_until or "
        "multiple_choice."
    )


def test_requests_that_cannot_be_made(cohort, tmp_path):
    make_tasks(tmp_path, facts_letter={"num_fewshot": 50})
    text = told(cohort, ["facts_letter"], include_path=tmp_path)
    assert text.startswith("the task facts_letter cannot make its requests (")
    assert text.endswith("); look at its data and its YAML file, or leave it out.")


def test_a_task_that_needs_a_package(cohort, tmp_path):
    make_tasks(tmp_path)
    (tmp_path / "helper.py").write_text("import surely_absent\n")
    path = tmp_path / "facts_end.yaml"
    path.write_text(path.read_text().replace("'{{question}}'", "!function helper.text"))
    assert told(cohort, ["facts_end"], include_path=tmp_path) == (
        "the task facts_end needs a package that is not installed (No module named "
        "'surely_absent'); install it, or leave the task out."
    )


def test_a_yaml_file_that_cannot_be_read(cohort, tmp_path):
    (tmp_path / "mine.yaml").write_text("task: mine\n  x: [\n")
    assert told(cohort, ["mine"], include_path=tmp_path) == (
        f"{tmp_path / 'mine.yaml'} cannot be read (mapping values are not allowed in this "
        "context); mend it."
    )


def test_an_include_path_that_is_none(cohort, tmp_path):
    text = told(cohort, ["facts"], include_path=[tmp_path / "absent"])
    assert text == f"include_path: {tmp_path / 'absent'} is no directory; mend the path."


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_of_nothing(cohort, include, limit):
    assert told(cohort, list(TASKS), include_path=include, limit=limit) == (
        f"limit = {limit} asks no question; give 1 or more, or none for all questions."
    )


def test_settings_that_our_engine_does_not_do(cohort, include):
    text = told(cohort, ["facts_write"], include_path=include, generation={"num_beams": 4})
    assert text == (
        "the task facts_write asks for texts with num_beams = 4, which polydrift does not do; "
        "leave the task out, or switch it off (generation={'num_beams': None})."
    )
    text = told(
        cohort, ["facts_write"], include_path=include,
        generation={"do_sample": True, "temperature": 1.0, "top_k": 5},
    )  # fmt: skip
    assert "top_k = 5" in text


def test_more_new_tokens_than_the_model_reads(cohort, include):
    text = told(cohort, ["facts_write"], include_path=include, generation={"max_gen_toks": 50_000})
    assert text == (
        f"the task facts_write asks for up to 50000 new tokens, and {cohort.model.source.model} "
        "was made for 40960 tokens in all; set a lower one (generation={'max_gen_toks': …})."
    )


def test_lm_eval_is_not_installed(cohort, include, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    text = told(cohort, ["facts"], include_path=include)
    assert text.startswith("capability needs lm-evaluation-harness, which cannot be used (")
    assert text.endswith('); install it: pip install "polydrift[capability]".')


def test_lm_eval_is_too_old(cohort, include, monkeypatch):
    from lm_eval.tasks import TaskManager

    monkeypatch.delattr(TaskManager, "load")
    assert "(it is older than 0.4.13)" in told(cohort, ["facts"], include_path=include)


def test_a_chat_template_that_is_not_there_or_fails(cohort, include, monkeypatch):
    tokenizer, name = cohort.model.tokenizer, cohort.model.source.model
    monkeypatch.setattr(tokenizer, "chat_template", "{{ raise_exception('no turns') }}")
    assert told(cohort, ["facts_write"], include_path=include, chat=True) == (
        f"the chat template of {name} fails (no turns); measure it without one."
    )
    monkeypatch.setattr(tokenizer, "chat_template", None)
    assert told(cohort, ["facts_write"], include_path=include, chat=True) == (
        f"{name} has no chat template; measure it without one."
    )


def test_a_context_without_a_token_is_named(cohort, tmp_path):
    make_tasks(tmp_path, facts_write={"doc_to_text": ""})
    with pytest.raises(MeasureError) as raised:
        list(capability(cohort, ["facts_write"], include_path=tmp_path))
    assert str(raised.value) == (
        f"a task asks {cohort.model.source.model} to go on from an empty context, and its "
        "tokenizer adds no token to begin with; leave the task out, or use a chat template."
    )


def test_a_member_s_error_reaches_lm_eval_s_own_functions(cohort, include, tmp_path):
    from polydrift.capability.silence import hushed
    from polydrift.capability.tasks import load as load_tasks
    from polydrift.errors import ModelError

    with hushed():
        tasks = load_tasks(["facts_end"], include_path=include)
        tasks.build()
    lm = CohortLM(Cohort(cohort.model, [None, tmp_path / "absent"]))
    assert len(lm.member(0).loglikelihood(tasks.requests())) == 9
    with pytest.raises(ModelError, match=r"holds no adapter_config\.json"):
        lm.member(1).loglikelihood(tasks.requests())
