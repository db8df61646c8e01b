"""What `capability` gives, once and in one pass, and what becomes of the surroundings."""

from __future__ import annotations

import json
import logging
import math
import os
import random

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from polydrift.capability import lm as lms
from polydrift.capability.choices import Choices, score_choices
from polydrift.capability.encode import Encoder
from polydrift.capability.generate import settings
from polydrift.capability.lm import CohortLM, keys
from polydrift.capability.measure import capability
from polydrift.capability.results import Results
from polydrift.capability.silence import hushed
from polydrift.capability.tasks import load as load_tasks
from polydrift.engine.cohort import Cohort
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.errors import MeasureError, ModelError
from tests.capability.conftest import TASKS, make_exact_model, make_tasks
from tests.capability.test_equal import pytestmark
from tests.engine.test_adapters import peft_adapter

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = make_exact_model("llama", tmp_path_factory.mktemp("base") / "llama")
    return load(Source(str(path), device="cpu"))


@pytest.fixture(scope="module")
def adapters(model, tmp_path_factory):
    where = tmp_path_factory.mktemp("adapters")
    for number in range(2):
        peft_adapter(model.network, where / str(number), seed=number)
    return [where / "0", where / "1"]


def test_all_members_are_computed_in_one_pass(model, adapters, include, monkeypatch):
    passes = []

    def counted(model, lanes, asked, **options):
        passes.append((lanes, len(asked)))
        return score_choices(model, lanes, asked, **options)

    monkeypatch.setattr(lms, "score_choices", counted)
    cohort = Cohort(model, [None, *adapters], side_by_side=3)
    found = dict(capability(cohort, ["facts_choice", "facts_letter"], include_path=include))
    assert len(found) == 3
    assert passes == [(3, 19)]  # 9 questions, 9 others, and the empty context

    lm = CohortLM(cohort)
    with hushed():
        tasks = load_tasks(["facts_choice"], include_path=include)
        tasks.build()
    lm.respond(tasks.requests())
    for member in range(3):
        assert len(lm.member(member).loglikelihood(tasks.requests())) == 9 * 8
    assert len(passes) == 2


def test_one_member_does_not_touch_another(model, adapters, include):
    names = list(TASKS)
    alone = [
        dict(capability(Cohort(model, [one]), names, include_path=include))[0]
        for one in (None, *adapters)
    ]
    together = dict(capability(Cohort(model, [None, *adapters]), names, include_path=include))
    for member, one in enumerate(alone):
        for name in names:
            got = together[member].tasks[name]
            assert got.samples == pytest.approx(one.tasks[name].samples, abs=1e-5)
            for a, b in zip(got.figures, one.tasks[name].figures, strict=True):
                assert a.value == pytest.approx(b.value, rel=1e-5)


def test_samples_are_paired_by_question(model, adapters, include):
    found = dict(capability(Cohort(model, [None, *adapters]), list(TASKS), include_path=include))
    for name in TASKS:
        base, variant = found[0].tasks[name], found[1].tasks[name]
        assert base.requests == variant.requests
        assert base.config == variant.config
        assert list(base.samples) == list(variant.samples) == list(range(9))
    choice = found[1].tasks["facts_choice"]
    assert choice.main == choice["acc"]
    assert np.mean([*choice.samples.values()]) == pytest.approx(choice["acc"].value)
    assert choice["acc"].higher_is_better
    text = found[1].tasks["facts_text"]
    assert text.main == text["bits_per_byte"]
    assert text["bits_per_byte"].higher_is_better is False
    assert math.isnan(text["bits_per_byte"].stderr)  # lm-eval has none
    assert text.main.value == pytest.approx(np.mean([*text.samples.values()]), rel=0.3)
    assert text["bits_per_byte,none"] == text["bits_per_byte"]
    with pytest.raises(KeyError):
        text["acc"]


def test_digests_say_what_was_asked_and_not_where_it_lay(model, include, tmp_path):
    def digests(where, **options):
        ((_, found),) = capability(
            Cohort(model, [None]), ["facts_choice"], include_path=where, **options
        )
        task = found.tasks["facts_choice"]
        return task.config, task.requests

    elsewhere = make_tasks(tmp_path)
    assert digests(include) == digests(elsewhere)
    changed = tmp_path / "changed"
    changed.mkdir()
    make_tasks(changed, facts_choice={"doc_to_text": "{{question}}\nAnswer:"})
    assert digests(include)[0] != digests(changed)[0]
    assert digests(include)[1] != digests(changed)[1]
    assert digests(include)[0] == digests(include, limit=3)[0]
    assert digests(include)[1] != digests(include, limit=3)[1]


def test_a_member_that_breaks_has_its_error_and_the_others_go_on(
    model, adapters, include, tmp_path
):
    peft_adapter(model.network, tmp_path / "wild")
    file = tmp_path / "wild" / "adapter_model.safetensors"
    save_file({k: t * 1e30 for k, t in load_file(file).items()}, file)
    members = [None, tmp_path / "absent", tmp_path / "wild", adapters[0]]
    for names, what in (
        (["facts_choice"], "the log-likelihood of a request is not finite"),
        (["facts_write"], "the logits of prompt 1 of 9 are not finite"),
    ):
        for width in (1, 4):
            cohort = Cohort(model, members, side_by_side=width)
            found = dict(capability(cohort, names, include_path=include))
            assert list(found) == [0, 1, 2, 3]
            assert isinstance(found[0], Results)
            assert isinstance(found[3], Results)
            assert str(found[1]) == (
                f"{tmp_path / 'absent'} holds no adapter_config.json, so it is no adapter in "
                "PEFT's safetensors format; mend the path, or save it with save_pretrained."
            )
            assert str(found[2]) == (
                f"{tmp_path / 'wild'}: {what}: the network overflows; compute it in float32 or "
                "bfloat16, or tune more gently."
            )


def test_a_metric_that_overflows_is_the_member_s_own_error(model, tmp_path):
    make_tasks(tmp_path)
    word = "ab" * 2000
    (tmp_path / "test.jsonl").write_text(
        json.dumps({"question": word, "options": [word] * 4, "answer": 0}) + "\n"
    )
    ((_, found),) = capability(Cohort(model, [None]), ["facts_text"], include_path=tmp_path)
    assert isinstance(found, ModelError)
    assert str(found) == (
        f"{model.source.model}: lm-eval cannot compute a metric from its responses (math range "
        "error); the network is damaged, perhaps: look at its answers."
    )


def test_nothing_is_said_and_nothing_stays_changed(model, include, capfd, monkeypatch):
    monkeypatch.delenv("DISABLE_MULTIPROC", raising=False)
    logger = logging.getLogger("lm_eval")
    level = logger.level
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    cohort = Cohort(model, [None])
    assert len(list(capability(cohort, list(TASKS), include_path=include))) == 1
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected
    assert capfd.readouterr() == ("", "")
    assert logger.level == level
    assert "DISABLE_MULTIPROC" not in os.environ


def test_what_lm_eval_says_is_shown_when_asked(model, include, capfd):
    list(capability(Cohort(model, [None]), ["facts_end"], include_path=include, show=True))
    out, err = capfd.readouterr()
    assert "bootstrapping for stddev" in out
    assert "it/s" in err


def test_progress_rises_to_the_end(model, adapters, include):
    told = []
    cohort = Cohort(model, [None, *adapters], side_by_side=1)
    list(
        capability(
            cohort, list(TASKS), include_path=include, progress=lambda done, _: told.append(done)
        )
    )
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert len(set(told)) >= 9


def test_standard_errors_can_be_left_out(model, include):
    ((_, found),) = capability(
        Cohort(model, [None]), ["facts_choice"], include_path=include, bootstrap=0
    )
    assert math.isnan(found.tasks["facts_choice"]["acc"].stderr)


def test_sampled_texts_have_seeds_of_their_own(model, adapters, tmp_path):
    sampled = {"until": ["\n"], "max_gen_toks": 8, "do_sample": True, "temperature": 1.0}
    make_tasks(tmp_path, facts_write={"generation_kwargs": sampled, "repeats": 3})
    with hushed():
        tasks = load_tasks(["facts_write"], include_path=tmp_path)
        tasks.build()
    requests = tasks.requests()
    assert len(requests) == 27

    def texts(members, asked, **options):
        lm = CohortLM(Cohort(model, members), **options)
        return lm.member(0).generate_until(asked)

    found = texts([None], requests)
    assert len(set(found[:3])) == 3  # of one question, three repetitions
    assert texts([None, *adapters], requests) == found
    assert texts([None], requests[:3]) == found[:3]  # whatever else is asked
    assert texts([None], requests, seed=1) != found


def test_settings_of_written_answers_can_be_replaced(model, include):
    with hushed():
        tasks = load_tasks(["facts_write"], include_path=include, generation={"max_gen_toks": 3})
        tasks.build()
    assert {one.args[1]["max_gen_toks"] for one in tasks.requests()} == {3}
    assert {tuple(one.args[1]["until"]) for one in tasks.requests()} == {("\n", "e", " ")}


@pytest.mark.parametrize(
    ("wanted", "new", "temperature", "top_p"),
    [
        ({}, 256, 0.0, 1.0),
        ({"max_new_tokens": 9, "temperature": 0.0, "top_p": 0.5, "top_k": 4}, 9, 0.0, 1.0),
        ({"do_sample": False, "temperature": 0.7}, 256, 0.0, 1.0),
        ({"temperature": 0.7, "top_p": 0.9}, 256, 0.7, 0.9),
        ({"do_sample": True}, 256, 0.0, 1.0),
        ({"num_beams": 1, "repetition_penalty": None}, 256, 0.0, 1.0),
    ],
)
def test_settings_mean_what_they_mean_to_lm_eval(model, wanted, new, temperature, top_p):
    how = settings({"until": "x", **wanted}, model)
    assert (how.new, how.temperature, how.top_p) == (new, temperature, top_p)
    assert how.until == ("x", "<|eot_id|>")


def test_requests_are_known_by_what_they_ask(include):
    with hushed():
        tasks = load_tasks(["facts_choice", "facts_write"], include_path=include)
        tasks.build()
    first = keys(tasks.requests())
    with hushed():
        tasks.build()
    assert keys(tasks.requests()) == first
    unconditional = [key for key in first if key[:2] == ("loglikelihood", "")]
    assert len(set(unconditional)) < len(unconditional)  # " Athens" is asked once for all


def test_choices_are_read_as_if_alone(model):
    random_ids = random.Random(3)
    context = tuple(random_ids.randrange(20, 400) for _ in range(40))
    ends = [(7,), (8,), (7, 30), (7, 30, 31), (50, 51, 52, 53), (50, 51, 60, 61, 62)]
    asked = [Choices(context, ends), Choices(context[:23], ends[::-1]), Choices((9,), ends[2:])]
    (found,) = score_choices(model, 1, asked)
    for one, scores in zip(asked, found, strict=True):
        for end, (nats, greedy) in zip(one.continuations, scores, strict=True):
            with torch.no_grad():
                logits = model.network(torch.tensor([[*one.context, *end]])).logits[0].double()
            rows = logits[len(one.context) - 1 : -1].log_softmax(-1)
            wanted = sum(rows[i, token].item() for i, token in enumerate(end))
            assert nats == pytest.approx(wanted, abs=1e-4)
            assert greedy == (rows.argmax(-1).tolist() == list(end))
    assert score_choices(model, 2, []) == [[], []]


def test_encoding_errors_name_the_request(model):
    encoder = Encoder(model)
    with pytest.raises(MeasureError) as told:
        encoder.pairs([("Denmark", "")])
    assert str(told.value) == (
        f"the continuation of a request ('Denmark', '') takes no token of {model.source.model}, "
        "which reads 1 to 131072; leave its task out."
    )
    encoder.window = 3
    with pytest.raises(MeasureError, match="takes 4 tokens of"):
        encoder.pairs([("Denmark", "zqxj")])


def test_a_tokenizer_without_control_tokens_is_named(model):
    import copy
    import dataclasses

    bare = copy.deepcopy(model.tokenizer)
    bare.bos_token = bare.eos_token = None
    with pytest.raises(ModelError) as told:
        Encoder(dataclasses.replace(model, tokenizer=bare))
    assert str(told.value) == (
        f"the tokenizer of {model.source.model} has neither a beginning-of-sequence nor an "
        "end-of-sequence token, so a text without context cannot be scored; set `eos_token` in "
        "tokenizer_config.json."
    )


def test_the_yaml_files_that_ship_are_read_and_are_lm_eval_s_prompts():
    from lm_eval.tasks import TaskManager

    from polydrift.capability.tasks import DEFINITIONS, _defaults

    ours = TaskManager(include_path=DEFINITIONS, include_defaults=False).task_index
    languages = ["en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl"]
    assert sorted(ours) == sorted(["tinyMMLU", "sib200", *(f"sib200_{c}" for c in languages)])
    assert ours["sib200"].cfg["task"] == [f"sib200_{code}" for code in languages]
    theirs = _defaults()
    same = ("dataset_path", "dataset_name", "test_split", "doc_to_text", "doc_to_choice",
            "doc_to_target", "num_fewshot", "fewshot_split", "fewshot_config")  # fmt: skip
    for key in same:
        assert ours["tinyMMLU"].cfg.get(key) == theirs["tinyMMLU"].cfg.get(key)
    sib = yaml.safe_load((DEFINITIONS / "_sib200").read_text())
    assert sib["doc_to_choice"] == theirs["sib_eng_prompt_2"].cfg["doc_to_choice"]
    english = theirs["sib_eng_prompt_2"].cfg["doc_to_text"].replace("this English", "this")
    assert sib["doc_to_text"].strip() == english.strip()
    assert ours["sib200_pt"].cfg["dataset_name"] == theirs["sib_por_prompt_2"].cfg["dataset_name"]
