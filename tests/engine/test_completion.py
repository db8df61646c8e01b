"""Prompts between fixed words: the form of models that know no turns, here a judge's."""

from __future__ import annotations

import pytest

from polydrift.engine.answer import answer
from polydrift.engine.completion import Completion
from polydrift.engine.interface import Decoding
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.engine.served import Served
from polydrift.judges.forms import SORRY_BENCH
from polydrift.judges.model import ModelJudge
from polydrift.judges.verdicts import Case
from tests.engine.factory import make_tokenizer
from tests.engine.test_served import (
    error_of,
    in_order,
    loopback,  # noqa: F401  # used by every test here too
    server,
    transformers_serve,
)
from tests.judges.tiny_judge import make_judge, pairs

AROUND = ("[INST] ", " [/INST]")
SHORT = Decoding(max_new_tokens=8)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return make_judge(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def judge(directory):
    return load(Source(str(directory), around=AROUND, device="cpu"))


def test_the_words_stand_around_a_prompt_after_one_bos(judge):
    ids = judge.chat.prompt("Is it?")
    assert ids == judge.tokenizer("[INST] Is it? [/INST]")["input_ids"]
    assert ids.count(judge.tokenizer.bos_token_id) == 1
    assert judge.tokenizer.decode(ids) == "<s> [INST] Is it? [/INST]"


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_a_tokenizer_that_adds_no_bos_gets_the_one_it_knows(family):
    tokenizer = make_tokenizer(family)
    plain = tokenizer.encode("[INST] Hi [/INST]", add_special_tokens=False)
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    assert Completion(tokenizer, AROUND).prompt("Hi") == [*bos, *plain]


def test_a_text_that_does_not_fit_keeps_the_words_around_it(judge):
    ids, cut = judge.chat.fitted("again and " * 400, 200)
    assert cut
    assert len(ids) <= 200
    assert judge.tokenizer.decode(ids).endswith(" [/INST]")


def test_an_example_is_the_prompt_the_answer_and_the_end(judge):
    ids, start = judge.chat.example("Is it?", "1")
    assert ids[:start] == judge.chat.prompt("Is it?")
    assert ids[-1] == judge.tokenizer.eos_token_id


def test_a_trained_judge_judges_right_through_our_engine_and_a_server(directory, judge):
    cases = [Case(question, said, "en") for question, said, _ in pairs()[:60]]
    prompts = [SORRY_BENCH.shown(case.prompt, case.answer) for case in cases]
    decoding = Decoding(max_new_tokens=SORRY_BENCH.new_tokens)
    ours = answer(judge, prompts, decoding, seeds=[0] * len(prompts))
    assert [one.text for one in ours] == [score for _, _, score in pairs()[:60]]
    assert {one.finish for one in ours} == {"stop"}
    with transformers_serve(directory) as url:
        served = Served(url, str(directory), tries=1, around=SORRY_BENCH.around)
        found = ModelJudge(served, SORRY_BENCH, ["m"]).judge(cases)
    verdicts = {"1": "complied", "0": "refused"}
    assert [one.verdict for one in found] == [verdicts[score] for _, _, score in pairs()[:60]]


def reply(text="1", finish="stop"):
    return {
        "choices": [{"text": text, "finish_reason": finish}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 2},
    }


def test_a_server_is_given_the_text_and_no_template():
    with server(lambda path, body: (200, reply())) as (url, requests):
        engine = Served(url, "base", around=AROUND)
        ((_, (found,)),) = engine.answer(["Is it?"], SHORT, seeds=[7])
    assert (found.text, found.prompt_tokens, found.answer_tokens) == ("1", 12, 1)
    ((path, _, body),) = requests
    assert path == "/completions"
    assert body["prompt"] == "[INST] Is it? [/INST]"
    assert body.keys().isdisjoint({"messages", "chat_template_kwargs"})
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.0, 8, 7)


def test_a_server_that_answers_otherwise_is_one_sentence():
    chat = {"choices": [{"message": {"content": "1"}, "finish_reason": "stop"}]}
    with server(in_order((200, chat))) as (url, _):
        found = error_of(Served(url, "base", tries=1, around=AROUND))
    assert found.startswith(f"{url} answers for 'base' with what is no completion (")
