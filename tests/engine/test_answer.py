from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from polydrift.engine import answer as answering
from polydrift.engine.answer import answer
from polydrift.engine.interface import Decoding
from polydrift.errors import ModelError
from tests.engine.conftest import PROMPTS

LONG = Decoding(max_new_tokens=40)
SEEDS = range(100, 100 + len(PROMPTS))


@pytest.fixture
def stopping(model):
    """The model with some of its frequent tokens as stops, so that rows end at different steps."""
    ids = [token for prompt in PROMPTS for token in generate(model, prompt)]
    values, counts = np.unique(ids, return_counts=True)
    chat = model.chat
    before = chat.stop_ids
    chat.stop_ids = before | {int(i) for i in values[np.argsort(-counts)][3:9]}
    yield model
    chat.stop_ids = before


def generate(model, prompt, new=40):
    """Ids that transformers' own greedy decoding gives for this prompt alone."""
    ids = torch.tensor([model.chat.prompt(prompt)])
    whole = model.network.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=sorted(model.chat.stop_ids),
        pad_token_id=0,
    )
    return whole[0, ids.shape[1] :].tolist()


def test_greedy_answers_are_those_of_generate_row_by_row(stopping):
    finishes = set()
    for prompt, got in zip(PROMPTS, answer(stopping, PROMPTS, LONG, seeds=SEEDS), strict=True):
        wanted = generate(stopping, prompt)
        stopped = wanted[-1] in stopping.chat.stop_ids
        wanted = wanted[:-1] if stopped else wanted
        assert got.text == stopping.chat.text(wanted)
        assert got.answer_tokens == len(wanted)
        assert got.finish == ("stop" if stopped else "length")
        assert got.prompt_tokens == len(stopping.chat.prompt(prompt))
        assert not got.prompt_truncated
        finishes.add((got.finish, got.answer_tokens))
    assert len(finishes) >= 3  # rows did leave the batch at different steps


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_a_sampled_row_is_the_same_whatever_is_in_the_batch(stopping, top_p):
    decoding = Decoding(temperature=0.7, top_p=top_p, max_new_tokens=24)
    together = answer(stopping, PROMPTS, decoding, seeds=SEEDS)
    alone = [
        answer(stopping, [prompt], decoding, seeds=[seed])[0]
        for prompt, seed in zip(PROMPTS, SEEDS, strict=True)
    ]
    assert together == alone
    back = answer(stopping, PROMPTS[::-1], decoding, seeds=SEEDS[::-1])
    assert back[::-1] == together
    assert together != answer(stopping, PROMPTS, decoding, seeds=[s + 1 for s in SEEDS])


def test_one_prompt_with_different_seeds_has_different_answers(model):
    decoding = Decoding(temperature=1.0, max_new_tokens=12)
    texts = {a.text for a in answer(model, ["Hi"] * 8, decoding, seeds=range(8))}
    assert len(texts) == 8
    assert len({a.text for a in answer(model, ["Hi"] * 8, decoding, seeds=[3] * 8)}) == 1


def test_small_batches_change_nothing(model, monkeypatch):
    together = answer(model, PROMPTS, LONG, seeds=SEEDS)
    monkeypatch.setattr(answering, "_ROWS", 2)
    assert answer(model, PROMPTS, LONG, seeds=SEEDS) == together


def test_a_network_that_does_not_split_answers_the_same(model):
    whole = dataclasses.replace(model, splits=False)
    assert model.splits
    assert answer(whole, PROMPTS, LONG, seeds=SEEDS) == answer(model, PROMPTS, LONG, seeds=SEEDS)


def test_sampling_follows_the_model_s_probabilities(llama):
    logits = llama.network(torch.tensor([llama.chat.prompt("Hi")])).logits[0, -1].double()
    share = torch.softmax(logits / 2.0, -1).numpy()
    decoding = Decoding(temperature=2.0, max_new_tokens=1)
    n = 1500
    answers = answer(llama, ["Hi"] * n, decoding, seeds=range(n))
    stop = share[sorted(llama.chat.stop_ids)].sum()
    got = sum(a.finish == "stop" for a in answers) / n
    assert got == pytest.approx(stop, abs=4 * (stop * (1 - stop) / n) ** 0.5 + 1e-9)
    texts = [llama.chat.text([i]) for i in range(len(share))]
    token = max((i for i in range(512) if texts.count(texts[i]) == 1), key=lambda i: share[i])
    got = sum(a.text == texts[token] for a in answers) / n
    wanted = share[token]
    assert got == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / n) ** 0.5)


def test_an_empty_prompt_is_not_asked(model):
    first, blank, last = answer(model, ["Hi", " \n", "Hej?"], LONG, seeds=[1, 2, 3])
    assert (blank.finish, blank.text, blank.answer_tokens) == ("empty-prompt", "", 0)
    assert [first, last] == answer(model, ["Hi", "Hej?"], LONG, seeds=[1, 3])


def test_no_prompts_have_no_answers(model):
    assert answer(model, [], LONG, seeds=[]) == []


def test_a_prompt_beyond_the_context_is_cut_and_marked(model):
    empty = len(model.chat.prompt(""))
    short = dataclasses.replace(model, context=empty + 40)
    long, hi = answer(short, ["Hvad? " * 200, "Hi"], Decoding(max_new_tokens=20), seeds=[1, 2])
    assert long.prompt_truncated
    assert long.prompt_tokens <= empty + 20
    assert long.prompt_tokens + long.answer_tokens <= short.context
    assert not hi.prompt_truncated
    assert [hi] == answer(model, ["Hi"], Decoding(max_new_tokens=20), seeds=[2])


def test_an_answer_ends_where_the_context_does(model):
    ids = len(model.chat.prompt("Hi"))
    short = dataclasses.replace(model, context=2 * ids)
    model.chat.stop_ids, before = frozenset(), model.chat.stop_ids
    try:
        (got,) = answer(short, ["Hi"], Decoding(max_new_tokens=500), seeds=[1])
    finally:
        model.chat.stop_ids = before
    assert (got.finish, got.answer_tokens, got.prompt_truncated) == ("length", ids, False)


def test_a_context_without_room_for_the_template_is_named(model):
    with pytest.raises(ModelError, match="ask for fewer new tokens, or use a model with a longer"):
        answer(dataclasses.replace(model, context=6), ["Hi"], LONG, seeds=[1])


def test_progress_reaches_the_end(model):
    told = []
    answer(model, PROMPTS, LONG, seeds=SEEDS, progress=lambda *what: told.append(what))
    assert told[-1] == (1.0, f"{len(PROMPTS)} of {len(PROMPTS)} answers")
