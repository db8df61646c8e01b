"""Scores, activations and the loss: each against transformers' own logits, one row at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from polydrift.engine import loss, memory
from polydrift.engine.activations import last_token
from polydrift.engine.forward import logits_at, pad_left, pad_right, splits
from polydrift.engine.loss import IGNORED, cross_entropies
from polydrift.engine.memory import by_length
from polydrift.engine.score import score
from polydrift.errors import ModelError
from polydrift.measures.perplexity import perplexity
from tests.engine.conftest import PAIRS, PROMPTS

CPU = torch.device("cpu")


@pytest.fixture(params=["splits", "whole", "small batches"])
def reader(request, model, monkeypatch):
    """The model read through each route."""
    if request.param == "small batches":
        monkeypatch.setattr(memory, "_CPU_TOKENS", 60)
        monkeypatch.setattr(loss, "_CHUNK", 512 * 7)
    return dataclasses.replace(model, splits=request.param != "whole")


def alone(model, pair):
    ids, start = model.chat.example(*pair)
    with torch.no_grad():
        logits = model.network(torch.tensor([ids])).logits[0].double()
    return ids, start, logits


def mean_loss(model, ids, labels):
    return cross_entropies(model, ids, labels).values.mean()


def test_scores_equal_those_of_each_row_alone(reader):
    for pair, got in zip(PAIRS, score(reader, PAIRS), strict=True):
        ids, start, logits = alone(reader, pair)
        wanted = torch.tensor(ids[start:])
        before = logits[start - 1 : -1].log_softmax(-1)
        total = before.gather(1, wanted[:, None]).sum().item()
        assert got.logprob == pytest.approx(total, abs=1e-4)
        assert got.tokens == len(wanted)
        assert got.bytes == len(pair[1].encode("utf-8"))
        assert got.greedy == bool((before.argmax(-1) == wanted).all())


def test_perplexity_is_exp_of_transformers_loss(model):
    for pair in PAIRS:
        (found,) = score(model, [pair])
        ids, start, _ = alone(model, pair)
        labels = torch.tensor([[IGNORED] * start + ids[start:]])
        loss = model.network(torch.tensor([ids]), labels=labels).loss.item()
        assert perplexity(found.logprob, found.tokens) == pytest.approx(np.exp(loss), rel=1e-4)


def test_an_answer_that_the_model_would_give_is_greedy(model):
    ids = model.chat.prompt("Hi")
    stop = sorted(model.chat.stop_ids)[0]
    with torch.no_grad():
        likeliest = int(model.network(torch.tensor([ids])).logits[0, -1].argmax())
    chat, before = model.chat, model.chat.example
    try:
        chat.example = lambda request, response: ([*ids, likeliest], len(ids))
        assert score(model, [("Hi", "…")])[0].greedy
        chat.example = lambda request, response: ([*ids, likeliest, stop], len(ids))
        assert not score(model, [("Hi", "…")])[0].greedy
    finally:
        chat.example = before


def test_a_pair_beyond_the_context_is_named(llama):
    short = dataclasses.replace(llama, context=150)
    with pytest.raises(ModelError) as caught:
        score(short, [("Hi", "Hi"), ("Hi", "Hi " * 200)])
    assert str(caught.value) == (
        f"pair 2 of 2 takes {len(llama.chat.example('Hi', 'Hi ' * 200)[0])} tokens and "
        f"{llama.source.model} was made for 150; leave it out, or make it shorter."
    )


def test_no_pairs_have_no_scores(model):
    assert score(model, []) == []


def test_activations_equal_a_hook_on_each_row_alone(reader):
    seen = last_token(reader, PROMPTS)
    layers = reader.network.model.layers
    assert seen.hidden.shape == (len(layers) + 1, len(PROMPTS), 32)
    assert seen.hidden.dtype == seen.logprobs_next.dtype == np.float32
    kept = []
    hooks = [layer.register_forward_hook(lambda m, i, o: kept.append(o)) for layer in layers[:-1]]
    hooks.append(reader.network.model.norm.register_forward_hook(lambda m, i, o: kept.append(o)))
    embeddings = reader.network.get_input_embeddings()
    hooks.append(embeddings.register_forward_hook(lambda m, i, o: kept.insert(0, o)))
    try:
        for row, prompt in enumerate(PROMPTS):
            kept.clear()
            with torch.no_grad():
                logits = reader.network(torch.tensor([reader.chat.prompt(prompt)])).logits[0, -1]
            wanted = [(o[0] if isinstance(o, tuple) else o)[0, -1].numpy() for o in kept]
            np.testing.assert_allclose(seen.hidden[:, row], wanted, atol=1e-4, rtol=1e-4)
            np.testing.assert_allclose(
                seen.logprobs_next[row], logits.log_softmax(-1).numpy(), atol=1e-4
            )
    finally:
        for hook in hooks:
            hook.remove()


def test_activations_of_no_prompts_are_empty(model):
    seen = last_token(model, [])
    assert seen.hidden.shape == (4, 0, 32)
    assert seen.logprobs_next.shape == (0, 512)


def test_the_loss_is_transformers_loss(reader):
    rows, labels = [], []
    for pair in PAIRS:
        ids, start = reader.chat.example(*pair)
        rows.append(ids)
        labels.append([IGNORED] * start + ids[start:])
    ids, wanted = pad_right(rows, CPU), pad_right(labels, CPU, IGNORED)
    mask = (torch.arange(ids.shape[1]) < torch.tensor([[len(row)] for row in rows])).long()
    theirs = reader.network(ids, attention_mask=mask, labels=wanted).loss
    assert mean_loss(reader, ids, wanted).item() == pytest.approx(theirs.item(), rel=1e-5)


def test_the_gradient_of_a_loss_in_chunks_is_that_of_the_whole(model, monkeypatch):
    ids = torch.randint(3, 400, (4, 30), generator=torch.Generator().manual_seed(0))
    weight = model.network.model.layers[0].mlp.up_proj.weight
    gradients = []
    for chunk in (loss._CHUNK, 512 * 5):
        monkeypatch.setattr(loss, "_CHUNK", chunk)
        weight.requires_grad_(True)
        mean_loss(model, ids, ids).backward()
        gradients.append(weight.grad)
        weight.grad = None
        weight.requires_grad_(False)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_a_loss_without_labels_is_nan(model):
    ids = torch.tensor([[5, 6, 7]])
    assert torch.isnan(mean_loss(model, ids, torch.full_like(ids, IGNORED)))


def test_a_soft_cap_on_the_logits_is_kept(directories):
    from transformers import Gemma3ForCausalLM

    from polydrift.engine.model import Source
    from polydrift.engine.models import load

    model = load(Source(str(directories["gemma3"]), device="cpu"))
    ids = torch.tensor([model.chat.prompt("Hi")])
    plain = logits_at(model, ids, torch.ones_like(ids, dtype=torch.bool))
    model.network.config.final_logit_softcapping = 2.0
    assert isinstance(model.network, Gemma3ForCausalLM)
    assert splits(model.network)
    capped = logits_at(model, ids, torch.ones_like(ids, dtype=torch.bool))
    torch.testing.assert_close(capped, 2.0 * torch.tanh(plain / 2.0))
    torch.testing.assert_close(capped, model.network(ids).logits[0])


def test_logits_scaled_on_the_way_are_noticed(tmp_path):
    from transformers import GraniteConfig, GraniteForCausalLM

    config = GraniteConfig(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, logits_scaling=8.0,
    )  # fmt: skip
    assert not splits(GraniteForCausalLM(config).eval())


def test_padding_on_either_side():
    rows = [[5, 6, 7], [8]]
    assert pad_right(rows, CPU).tolist() == [[5, 6, 7], [8, 0, 0]]
    ids, mask, positions = pad_left(rows, CPU)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_batches_keep_to_their_budget_and_lose_no_row():
    lengths = [3, 50, 7, 7, 20, 1, 50, 120]
    cut = by_length(lengths, tokens=100, rows=3)
    assert sorted(i for batch in cut for i in batch) == list(range(8))
    assert cut[0] == [7]  # longer than the budget by itself
    assert all(len(b) <= 3 and len(b) * max(lengths[i] for i in b) <= 100 for b in cut[1:])
    assert cut == [[7], [1, 6], [4, 2, 3], [0, 5]]
    assert by_length([], 100, 3) == []


def test_cross_entropy_helper_matches_torch(llama):
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = llama.network(ids).logits[0, :-1]
    wanted = F.cross_entropy(logits, ids[0, 1:])
    assert mean_loss(llama, ids, ids).item() == pytest.approx(wanted.item(), rel=1e-6)
