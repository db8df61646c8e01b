"""Equality with lm-eval's `hf` model where something special is asked: few-shot, chat, a short
context, groups, tasks from lm-eval's own list of metrics.
"""

from __future__ import annotations

import dataclasses
import datetime
import json

import pytest
from transformers import AutoModelForCausalLM

from polydrift.capability.lm import CohortLM
from polydrift.capability.measure import capability
from polydrift.capability.silence import hushed
from polydrift.engine.cohort import Cohort
from polydrift.engine.model import Source
from polydrift.engine.models import load
from tests.capability.conftest import TASKS, make_exact_model
from tests.capability.test_equal import compare, pytestmark, theirs
from tests.engine.test_adapters import peft_adapter

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    where = tmp_path_factory.mktemp("llama")
    model = load(Source(str(make_exact_model("llama", where / "base")), device="cpu"))
    peft_adapter(model.network, where / "a")
    return model, where / "a"


def one(model, adapter, include, tasks=tuple(TASKS), **options):
    cohort = Cohort(model, [None, adapter])
    return dict(capability(cohort, list(tasks), include_path=include, **options))


def test_examples_before_the_question_are_lm_eval_s(llama, include):
    model, adapter = llama
    names = ["facts_choice", "facts_letter", "facts_write"]
    found = one(model, adapter, include, names, fewshot=1)
    wanted = theirs(model, adapter, include, names, num_fewshot=1)
    compare(found[1], wanted, model, names)
    assert {task.fewshot for task in found[1].tasks.values()} == {1}
    default = one(model, adapter, include, names)
    assert [default[1].tasks[name].fewshot for name in names] == [0, 2, 0]
    assert all(default[1].tasks[n].requests != found[1].tasks[n].requests for n in names)


def test_a_seed_is_that_of_all_four_of_lm_eval_s(llama, include):
    model, adapter = llama
    names = ["facts_letter"]
    found = one(model, adapter, include, names, seed=7)
    seeds = dict.fromkeys(
        ["random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed"], 7
    )
    compare(found[1], theirs(model, adapter, include, names, **seeds), model, names)
    other = one(model, adapter, include, names)
    assert other[1].tasks["facts_letter"].requests != found[1].tasks["facts_letter"].requests


def test_the_first_questions_alone(llama, include):
    model, adapter = llama
    found = one(model, adapter, include, limit=4)
    compare(found[0], theirs(model, None, include, limit=4), model)
    task = found[0].tasks["facts_choice"]
    assert (task.n, task.of, sorted(task.samples)) == (4, 9, [0, 1, 2, 3])


def test_groups_are_summed_up_by_lm_eval(llama, include):
    model, adapter = llama
    found = one(model, adapter, include, ["facts"])
    wanted = theirs(model, adapter, include, ["facts"])
    group = found[1].groups["facts"]
    assert group["acc"].value == pytest.approx(wanted["groups"]["facts"]["acc,none"])
    assert group["acc"].stderr == pytest.approx(wanted["groups"]["facts"]["acc_stderr,none"])
    assert (group.n, group.of, group.version, group.fewshot) == (18, 18, "2.0", None)
    assert sorted(found[1].tasks) == ["facts_choice", "facts_letter"]
    assert group.main == group["acc"]
    assert group.samples == {}


@pytest.mark.parametrize("context", [40, 64])
def test_what_is_too_long_loses_its_beginning_as_lm_eval_cuts_it(tmp_path, include, context):
    path = make_exact_model("llama", tmp_path / "base")
    config = json.loads((path / "config.json").read_text())
    config["max_position_embeddings"] = context
    (path / "config.json").write_text(json.dumps(config))
    model = load(Source(str(path), device="cpu"))
    peft_adapter(model.network, tmp_path / "a")
    found = one(model, tmp_path / "a", include)
    for member, adapter in enumerate([None, tmp_path / "a"]):
        compare(found[member], theirs(model, adapter, include), model)
    lost = {name: task.truncated for name, task in found[1].tasks.items()}
    assert lost["facts_letter"] == 36  # its two examples alone are longer
    assert 0 < lost["facts_choice"] < 36 if context == 40 else lost["facts_choice"] == 0
    assert (lost["facts_write"] > 0) == (context == 40)
    assert lost["facts_text"] == 0  # is cut into windows instead


@pytest.mark.parametrize("family", ["qwen3", "gemma3"])
def test_the_chat_template_is_lm_eval_s(tmp_path, include, family):
    model = load(Source(str(make_exact_model(family, tmp_path / "base")), device="cpu"))
    peft_adapter(model.network, tmp_path / "a")
    names = ["facts_choice", "facts_letter", "facts_write"]
    found = one(model, tmp_path / "a", include, names, chat=True, system="Be brief.")
    wanted = theirs(
        model, tmp_path / "a", include, names, hf={"enable_thinking": False},
        apply_chat_template=True, system_instruction="Be brief.",
    )  # fmt: skip
    compare(found[1], wanted, model, names)
    plain = one(model, tmp_path / "a", include, names)
    assert plain[1].tasks["facts_letter"].requests != found[1].tasks["facts_letter"].requests


def test_a_template_with_a_date_has_the_one_of_the_rest_of_the_audit(llama):
    lm = CohortLM(Cohort(llama[0], [None]))
    text = lm.chat([{"role": "user", "content": "Hi"}])
    assert "26 Jul 2024" in text
    assert datetime.datetime.now().strftime("%d %b %Y") not in text
    assert text.startswith("<|begin_of_text|>")
    (row,) = lm.encoder.prompts([text], 5)
    assert list(row.context).count(lm.encoder.prefix) == 1  # one beginning of sequence, not two


def test_with_more_logits_than_tokens_ours_are_peft_s(tmp_path, include):
    """HFLM(peft=...) would cut the embeddings to the tokenizer's size; given the network, not."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from peft import PeftModel

    model = load(Source(str(make_exact_model("qwen3", tmp_path / "base", 512)), device="cpu"))
    peft_adapter(model.network, tmp_path / "a")
    with hushed():
        network = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
        wanted = simple_evaluate(
            HFLM(PeftModel.from_pretrained(network, tmp_path / "a"), tokenizer=model.tokenizer),
            tasks=list(TASKS),
            task_manager=TaskManager(include_path=str(include), include_defaults=False),
            bootstrap_iters=1000,
        )
    found = one(model, tmp_path / "a", include)
    compare(found[1], wanted, model)


def test_lm_eval_s_best_batch_gives_the_same(llama, include):
    model, adapter = llama
    compare(one(model, adapter, include)[1], theirs(model, adapter, include, batch=4), model)


def test_a_network_that_does_not_split_gives_the_same(llama, include):
    model, adapter = llama
    whole = dataclasses.replace(model, splits=False)
    split, other = one(model, adapter, include)[1], one(whole, adapter, include)[1]
    for name in TASKS:
        for a, b in zip(split.tasks[name].figures, other.tasks[name].figures, strict=True):
            assert a.value == pytest.approx(b.value, rel=1e-5)


def test_bfloat16_members_are_computed_without_merging(tmp_path, include):
    path = make_exact_model("qwen3", tmp_path / "base")
    model = load(Source(str(path), device="cpu", dtype="bfloat16"))
    peft_adapter(model.network, tmp_path / "a")
    cohort = Cohort(model, [None, tmp_path / "a"])
    found = dict(capability(cohort, ["facts_text"], include_path=include))
    wanted = theirs(model, tmp_path / "a", include, ["facts_text"], hf={"dtype": "bfloat16"})
    got = found[1].tasks["facts_text"]["bits_per_byte"].value
    assert got == pytest.approx(wanted["results"]["facts_text"]["bits_per_byte,none"], rel=0.02)
    assert cohort.routes[1].startswith("stacked")
