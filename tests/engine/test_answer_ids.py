"""Going on from token ids, to ends of the caller's own; and work of the caller's own by members."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from polydrift.engine import answer as answering
from polydrift.engine.answer import answer, answer_ids
from polydrift.engine.cohort import Cohort
from polydrift.engine.interface import Decoding
from polydrift.errors import ModelError
from tests.engine.conftest import PROMPTS
from tests.engine.test_adapters import peft_adapter

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
GREEDY = Decoding(max_new_tokens=16)
SEEDS = range(len(PROMPTS))


def ids_of(model, prompts=PROMPTS):
    return [model.tokenizer.encode(text, add_special_tokens=False) for text in prompts]


def generate(model, ids, stops=(), new=16):
    whole = model.network.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=sorted(stops) or None,
        pad_token_id=0,
    )
    return whole[0, len(ids) :].tolist()


def test_ids_are_those_of_generate_row_by_row(model):
    prompts = ids_of(model)
    frequent = [token for ids in prompts for token in generate(model, ids)]
    values, counts = np.unique(frequent, return_counts=True)
    stops = {int(i) for i in values[np.argsort(-counts)][2:6]}
    (found,) = answer_ids(model, 1, prompts, GREEDY, seeds=SEEDS, stop_ids=stops)
    finishes = set()
    for ids, (got, finish) in zip(prompts, found, strict=True):
        wanted = generate(model, ids, stops)
        stopped = wanted[-1] in stops
        assert got == (wanted[:-1] if stopped else wanted)
        assert finish == ("stop" if stopped else "length")
        finishes.add((finish, len(got)))
    assert len(finishes) >= 3


def test_without_a_stop_every_row_has_all_its_tokens(model):
    (found,) = answer_ids(model, 1, ids_of(model), GREEDY, seeds=SEEDS, stop_ids=())
    assert {(len(ids), finish) for ids, finish in found} == {(16, "length")}


def test_the_caller_ends_rows_and_keeps_their_last_token(model):
    prompts = ids_of(model)
    (free,) = answer_ids(model, 1, prompts, GREEDY, seeds=SEEDS, stop_ids=())
    sizes = []

    def until(written):
        sizes.append(written.shape)
        return (written[:, -1] % 5 == 0) | (written[:, -1] == free[0][0][3])

    (found,) = answer_ids(model, 1, prompts, GREEDY, seeds=SEEDS, stop_ids=(), until=until)
    ends = set()
    for (whole, _), (got, finish) in zip(free, found, strict=True):
        at = next((i for i, t in enumerate(whole) if t % 5 == 0 or t == free[0][0][3]), None)
        assert got == (whole if at is None else whole[: at + 1])
        assert finish == ("length" if at is None else "until")
        ends.add((finish, len(got)))
    assert len(ends) >= 3
    assert [steps for _, steps in sizes] == list(range(1, len(sizes) + 1))
    assert sizes[0][0] == len(prompts) > sizes[-1][0]  # told of rows at work alone


def test_the_batches_of_a_processor_change_nothing(model, monkeypatch):
    together = answer_ids(model, 1, ids_of(model), GREEDY, seeds=SEEDS, stop_ids=())
    monkeypatch.setattr(answering, "_FILL", 60)
    told = []
    apart = answer_ids(
        model, 1, ids_of(model), GREEDY, seeds=SEEDS, stop_ids=(),
        progress=lambda done, text: told.append((done, text)),
    )  # fmt: skip
    assert apart == together
    assert told[-1] == (1.0, f"{len(PROMPTS)} of {len(PROMPTS)} answers")
    assert len(told) > 2


def test_sampled_ids_are_those_of_answer(model):
    decoding = Decoding(temperature=0.8, top_p=0.9, max_new_tokens=16)
    texts = [a.text for a in answer(model, PROMPTS, decoding, seeds=SEEDS)]
    prompts = [model.chat.prompt(text) for text in PROMPTS]
    (found,) = answer_ids(model, 1, prompts, decoding, seeds=SEEDS, stop_ids=model.chat.stop_ids)
    assert [model.chat.text(ids) for ids, _ in found] == texts


def test_a_row_ends_where_the_context_does(model):
    ids = ids_of(model)[0]
    short = dataclasses.replace(model, context=len(ids) + 5)
    ((got,),) = answer_ids(short, 1, [ids], GREEDY, seeds=[1], stop_ids=())
    assert got == (generate(model, ids)[:5], "length")


def test_no_prompts_have_no_ids(model):
    assert answer_ids(model, 2, [], GREEDY, seeds=[], stop_ids=()) == [[], []]


@pytest.mark.parametrize("width", [1, 3])
def test_each_member_goes_on_by_itself(llama, tmp_path, width):
    theirs = [llama.network, peft_adapter(llama.network, tmp_path / "a"),
              peft_adapter(llama.network, tmp_path / "b", seed=9)]  # fmt: skip
    prompts = ids_of(llama)
    cohort = Cohort(llama, [None, tmp_path / "a", tmp_path / "b"])
    lanes_seen = []

    def work(lanes, told):
        lanes_seen.append(lanes)
        return answer_ids(llama, lanes, prompts, GREEDY, seeds=SEEDS, stop_ids=(), progress=told)

    found = dict(cohort.compute(work, width=width))
    assert lanes_seen == [1, 1, 1] if width == 1 else lanes_seen == [3]
    for member, network in enumerate(theirs):
        one = dataclasses.replace(llama, network=network)
        assert [ids for ids, _ in found[member]] == [generate(one, ids) for ids in prompts]


def test_a_network_that_overflows_is_named_with_its_prompt(llama, tmp_path):
    peft_adapter(llama.network, tmp_path / "a")
    from safetensors.torch import load_file, save_file

    file = tmp_path / "a" / "adapter_model.safetensors"
    save_file({k: t * 1e30 for k, t in load_file(file).items()}, file)
    cohort = Cohort(llama, [None, tmp_path / "a"])

    def work(lanes, told):
        return answer_ids(llama, lanes, ids_of(llama), GREEDY, seeds=SEEDS, stop_ids=())

    found = dict(cohort.compute(work, width=2))
    assert len(found[0]) == len(PROMPTS)
    assert isinstance(found[1], ModelError)
    assert str(found[1]) == (
        f"{tmp_path / 'a'}: the logits of prompt 1 of 9 are not finite: the network overflows; "
        "compute it in float32 or bfloat16, or tune more gently."
    )


def test_members_have_names(llama, tmp_path):
    cohort = Cohort(llama, [None, tmp_path / "a"])
    assert [cohort.name(0), cohort.name(1)] == [llama.source.model, str(tmp_path / "a")]
