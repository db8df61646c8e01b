"""All variants of one base at once, against PEFT computing each alone; every route."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from polydrift.engine import routes
from polydrift.engine.cohort import Cohort
from polydrift.engine.interface import Decoding
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.engine.score import rolling
from polydrift.errors import ModelError
from tests.engine.conftest import PAIRS, PROMPTS
from tests.engine.factory import make_model
from tests.engine.test_adapters import peft_adapter

pytestmark = [  # of PEFT and transformers, in the tests' own use of them
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

# Adapters of different ranks, scalings and layers in one cohort, and one that only PEFT computes.
MEMBERS = {
    "rank 4": {},
    "rank 7": {"r": 7, "lora_alpha": 3},
    "rank-stabilised": {"r": 2, "use_rslora": True, "target_modules": ["up_proj", "o_proj"]},
    "ranks by pattern": {"rank_pattern": {"q_proj": 6}, "alpha_pattern": {"v_proj": 3}},
    "one layer": {"layers_to_transform": [1]},
    "DoRA": {"use_dora": True},
}
SEEDS = range(100, 100 + len(PROMPTS))
WIDTHS = [1, 2, 9]


@pytest.fixture(scope="module")
def variants(model, tmp_path_factory):
    """(directories of adapters, PEFT's own models of them), the base first."""
    where = tmp_path_factory.mktemp("adapters")
    theirs = [model.network]
    for number, (name, changes) in enumerate(MEMBERS.items()):
        theirs.append(peft_adapter(model.network, where / name, seed=number, **changes))
    return [None, *(where / name for name in MEMBERS)], theirs


@pytest.fixture
def stopping(model, variants):
    """The model with frequent tokens as stops, so that rows end at very different steps."""
    chat, before = model.chat, model.chat.stop_ids
    ids = [token for theirs in variants[1] for prompt in PROMPTS for token in
           generate(model, theirs, prompt)]  # fmt: skip
    values, counts = np.unique(ids, return_counts=True)
    chat.stop_ids = before | {int(i) for i in values[np.argsort(-counts)][4:9]}
    yield model
    chat.stop_ids = before


def generate(model, theirs, prompt, new=30):
    ids = torch.tensor([model.chat.prompt(prompt)])
    whole = theirs.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=sorted(model.chat.stop_ids),
        pad_token_id=0,
    )
    return whole[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("width", WIDTHS)
def test_greedy_answers_are_those_of_generate_with_each_adapter(stopping, variants, width):
    directories, theirs = variants
    cohort = Cohort(stopping, directories, side_by_side=width)
    found = dict(cohort.answer(PROMPTS, Decoding(max_new_tokens=30), seeds=SEEDS))
    assert sorted(found) == list(range(len(directories)))
    ends = set()
    for member, network in enumerate(theirs):
        for prompt, got in zip(PROMPTS, found[member], strict=True):
            wanted = generate(stopping, network, prompt)
            stopped = wanted[-1] in stopping.chat.stop_ids
            wanted = wanted[:-1] if stopped else wanted
            assert got.text == stopping.chat.text(wanted), (member, prompt)
            assert got.answer_tokens == len(wanted)
            assert got.finish == ("stop" if stopped else "length")
            ends.add(got.answer_tokens)
    assert len(ends) >= 5  # rows did leave at different steps
    hows = {1: "merged", 2: "stacked, 2 side by side", 9: "stacked, 6 side by side"}
    assert cohort.routes[6] == "beside"  # DoRA
    assert {cohort.routes[k] for k in range(5)} == {hows[width]}


@pytest.mark.parametrize("width", WIDTHS)
def test_scores_are_those_of_peft(model, variants, width):
    directories, theirs = variants
    found = dict(Cohort(model, directories, side_by_side=width).score(PAIRS))
    for member, network in enumerate(theirs):
        for pair, got in zip(PAIRS, found[member], strict=True):
            ids, start = model.chat.example(*pair)
            with torch.no_grad():
                logits = network(torch.tensor([ids])).logits[0].double()
            wanted = (
                logits[start - 1 : -1].log_softmax(-1).gather(1, torch.tensor(ids[start:])[:, None])
            )
            assert got.logprob == pytest.approx(wanted.sum().item(), abs=1e-4)


@pytest.mark.parametrize("width", WIDTHS)
def test_activations_are_those_of_a_hook_on_peft(model, variants, width):
    directories, theirs = variants
    layers = len(model.network.model.layers)
    last = np.full((len(theirs), layers + 1, len(PROMPTS), 32), np.nan)
    mean, logprobs = last.copy(), np.full((len(theirs), len(PROMPTS), 512), np.nan)
    for member, seen in Cohort(model, directories, side_by_side=width).activations(PROMPTS):
        last[member][:, seen.prompts] = seen.last
        mean[member][:, seen.prompts] = seen.mean
        logprobs[member][seen.prompts] = seen.logprobs_next
    for member, network in enumerate(theirs):
        inner = network.get_base_model() if member else network
        places = [inner.get_input_embeddings(), *inner.model.layers[:-1], inner.model.norm]
        kept = {}
        hooks = [
            place.register_forward_hook(
                lambda m, i, o, at=at, kept=kept: kept.update(
                    {at: o[0] if isinstance(o, tuple) else o}
                )
            )
            for at, place in enumerate(places)
        ]
        try:
            for row, prompt in enumerate(PROMPTS):
                with torch.no_grad():
                    out = network(torch.tensor([model.chat.prompt(prompt)])).logits[0, -1]
                states = torch.stack([kept[at][0] for at in range(layers + 1)])
                for ours, wanted in (
                    (last[member][:, row], states[:, -1]),
                    (mean[member][:, row], states.mean(1)),
                    (logprobs[member][row], out.log_softmax(-1)),
                ):
                    np.testing.assert_allclose(ours, wanted.numpy(), atol=1e-4, rtol=1e-4)
        finally:
            for hook in hooks:
                hook.remove()


def test_activations_come_as_a_stream(model, variants, monkeypatch):
    monkeypatch.setattr("polydrift.engine.memory._CPU_TOKENS", 60)
    directories, _ = variants
    stream = Cohort(model, directories[:3], side_by_side=2).activations(PROMPTS * 3)
    sizes = [len(seen.prompts) for _, seen in stream]
    assert sum(sizes) == 3 * 3 * len(PROMPTS)
    assert max(sizes) <= 3


def test_a_member_more_changes_nothing_for_the_others(stopping, variants):
    directories, _ = variants
    decoding = Decoding(temperature=0.8, top_p=0.9, max_new_tokens=20)
    few = dict(Cohort(stopping, directories[:3], side_by_side=3).answer(
        PROMPTS, decoding, seeds=SEEDS))  # fmt: skip
    many = dict(Cohort(stopping, directories, side_by_side=7).answer(
        PROMPTS, decoding, seeds=SEEDS))  # fmt: skip
    assert [many[k] for k in range(3)] == [few[k] for k in range(3)]
    # nor does a row
    fewer = dict(Cohort(stopping, directories[:3], side_by_side=3).answer(
        PROMPTS[:4], decoding, seeds=SEEDS[:4]))  # fmt: skip
    assert [fewer[k] for k in range(3)] == [few[k][:4] for k in range(3)]


def test_the_base_is_itself_whenever_something_is_given(model, variants):
    directories, _ = variants
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    for _ in Cohort(model, directories, side_by_side=2).score(PAIRS[:2]):
        after = model.network.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[name], before[name]) for name in before)


def damage(directory, how):
    path = directory / "adapter_model.safetensors"
    if how == "corrupt":
        path.write_bytes(path.read_bytes()[:-50])
        return "is damaged ("
    tensors = load_file(path)
    if how == "not finite":
        next(iter(tensors.values()))[0, 0] = float("nan")
        save_file(tensors, path)
        return "holds numbers that are not finite (the training diverged, perhaps); tune it again"
    tensors.pop(next(k for k in tensors if "lora_B" in k))
    save_file(tensors, path)
    return "is missing from the adapter"


@pytest.mark.parametrize("width", [1, 9])
@pytest.mark.parametrize("how", ["corrupt", "not finite", "incomplete"])
def test_a_member_that_cannot_be_used_is_named_and_the_others_go_on(llama, tmp_path, width, how):
    for number in range(3):
        peft_adapter(llama.network, tmp_path / str(number), seed=number)
    text = damage(tmp_path / "1", how)
    directories = [tmp_path / str(number) for number in range(3)]
    decoding = Decoding(max_new_tokens=5)
    for call in (
        lambda cohort: cohort.answer(PROMPTS, decoding, seeds=SEEDS),
        lambda cohort: cohort.score(PAIRS),
        lambda cohort: cohort.activations(PROMPTS[:1]),
    ):
        found = dict(call(Cohort(llama, directories, side_by_side=width)))
        assert isinstance(found[1], ModelError)
        assert str(found[1]).startswith(str(tmp_path / "1"))
        assert text in str(found[1])
        assert not any(isinstance(found[k], ModelError) for k in (0, 2))


def test_an_adapter_of_another_base_is_named_and_the_others_go_on(llama, tmp_path):
    wide = load(Source(str(make_model("llama", tmp_path / "wide", hidden=48)), device="cpu"))
    peft_adapter(wide.network, tmp_path / "other")
    peft_adapter(llama.network, tmp_path / "own")
    cohort = Cohort(llama, [tmp_path / "other", tmp_path / "own", tmp_path / "nowhere"])
    found = dict(cohort.score(PAIRS))
    assert str(found[0]).startswith(f"{tmp_path / 'other'} does not fit its base (")
    assert len(found[1]) == len(PAIRS)
    assert str(found[2]).startswith(f"{tmp_path / 'nowhere'} holds no adapter_config.json")


@pytest.mark.parametrize("width", [1, 9])
def test_a_member_that_overflows_is_named_and_the_others_go_on(llama, tmp_path, width):
    for number in range(3):
        peft_adapter(llama.network, tmp_path / str(number), seed=number)
    path = tmp_path / "1" / "adapter_model.safetensors"
    save_file({name: 1e20 * tensor for name, tensor in load_file(path).items()}, path)
    cohort = Cohort(llama, [tmp_path / str(k) for k in range(3)], side_by_side=width)
    clean = Cohort(llama, [tmp_path / "0", tmp_path / "2"], side_by_side=width)
    decoding = Decoding(max_new_tokens=12)
    found = dict(cohort.answer(PROMPTS, decoding, seeds=SEEDS))
    assert str(found[1]) == (
        f"{tmp_path / '1'}: the logits of prompt 1 of {len(PROMPTS)} are not finite: the network "
        "overflows; compute it in float32 or bfloat16, or tune more gently."
    )
    wanted = dict(clean.answer(PROMPTS, decoding, seeds=SEEDS))
    assert [found[0], found[2]] == [wanted[0], wanted[1]]


def test_odd_prompts_are_no_trouble_side_by_side(llama, tmp_path):
    """An empty one, and one longer than the context."""
    peft_adapter(llama.network, tmp_path / "a")
    short = dataclasses.replace(llama, context=len(llama.chat.prompt("")) + 40)
    prompts = ["Hi", " ", "Hvad? " * 200]
    decoding = Decoding(max_new_tokens=10)
    for _, answers in Cohort(short, [None, tmp_path / "a"], side_by_side=2).answer(
        prompts, decoding, seeds=[1, 2, 3]
    ):
        assert [a.finish == "empty-prompt" for a in answers] == [False, True, False]
        assert [a.prompt_truncated for a in answers] == [False, False, True]


def test_progress_rises_to_the_end(model, variants):
    directories, _ = variants
    told = []
    cohort = Cohort(model, directories, side_by_side=2)
    list(cohort.answer(PROMPTS, Decoding(max_new_tokens=3), seeds=SEEDS,
                       progress=lambda done, text: told.append(done)))  # fmt: skip
    assert told[-1] == pytest.approx(1.0)
    assert len(set(told)) >= 4


def test_which_go_together_depends_on_how_much_each_has_to_do(llama):
    assert routes.asked_together(llama, 4, 9) == 9
    assert routes.asked_together(llama, 440, 9) == 1
    assert routes.read_together(llama, 1, 9) >= 2
    assert routes.read_together(llama, 440, 9) == 1


def test_bfloat16_adapters_are_stacked_never_merged(directories, tmp_path):
    base = load(Source(str(directories["qwen3"]), dtype="bfloat16", device="cpu"))
    peft_adapter(base.network, tmp_path / "a")
    cohort = Cohort(base, [None, tmp_path / "a"], side_by_side=1)
    assert len(dict(cohort.score(PAIRS))) == 2
    assert cohort.routes == {0: "merged", 1: "stacked, 1 side by side"}


def test_rolling_windows_score_every_token_once_and_as_lm_eval_cuts_them():
    ids = list(range(100, 123))
    rows = list(rolling(ids, prefix=7, window=5))
    assert [token for row, start in rows for token in row[start:]] == ids
    assert rows[0] == ([7, 100, 101, 102, 103, 104], 1)
    assert rows[1] == (list(range(104, 110)), 1)
    assert rows[-1] == (list(range(117, 123)), 3)
    assert all(len(row) <= 6 for row, _ in rows)
    assert list(rolling([], prefix=7, window=5)) == []


def test_rolling_likelihood_of_a_short_text_is_that_of_one_pass(model):
    ids = model.chat.prompt(PROMPTS[2])
    ((found,),) = [one for _, one in Cohort(model, [None]).score_ids([next(rolling(ids, 3, 500))])]
    with torch.no_grad():
        logits = model.network(torch.tensor([[3, *ids]])).logits[0, :-1].double().log_softmax(-1)
    wanted = logits.gather(1, torch.tensor(ids)[:, None]).sum().item()
    assert found[0] == pytest.approx(wanted, abs=1e-3)
