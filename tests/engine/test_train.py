from __future__ import annotations

import copy
import dataclasses
import json
import math
import re

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch.nn import functional as F  # noqa: N812
from transformers import AutoModelForCausalLM, get_scheduler

from polydrift.engine.answer import answer
from polydrift.engine.cohort import adapted
from polydrift.engine.interface import Decoding
from polydrift.engine.loss import IGNORED
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.engine.recipe import TuneSettings, batches, initial, peft_names, step_size, targeted
from polydrift.engine.score import score
from polydrift.engine.train import Run
from polydrift.engine.train import tune as tune_all
from polydrift.errors import ModelError
from tests.engine.conftest import PAIRS, PROMPTS

SETTINGS = TuneSettings(
    rank=4,
    alpha=8.0,
    learning_rate=2e-3,
    warmup_steps=3,
    epochs=8,
    batch_size=4,
    max_grad_norm=0.6,
    loss="response",
)
ONCE = dataclasses.replace(SETTINGS, epochs=1)
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
SEEDS = {"init_seed": 11, "order_seed": 22}

# raised by PEFT inside transformers, in the tests' own loop
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def assert_same_network(network, before):
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert not hasattr(network, "peft_config")


def tune(model, pairs, settings, *, init_seed, order_seed, progress=None):
    """One adapter; what stopped it is raised."""
    run = Run(pairs, init_seed, order_seed)
    told = {"progress": lambda member, *what: progress(*what)} if progress else {}
    ((member, found),) = tune_all(model, [run], settings, **told)
    assert member == 0
    if isinstance(found, ModelError):
        raise found
    return found


def plain_loop(model, pairs, settings, *, init_seed, order_seed):
    """The same tuning as users write it: get_peft_model, the model's own loss, HF's schedule."""
    network = get_peft_model(
        copy.deepcopy(model.network),
        LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=sorted(settings.targets),
            task_type="CAUSAL_LM",
        ),
    )
    first = peft_names(initial(model, targeted(model, settings), settings, init_seed))
    assert not set_peft_model_state_dict(network, first).unexpected_keys
    rows = []
    for pair in pairs:
        ids, start = model.chat.example(*pair)
        start = start if settings.loss == "response" else 1
        rows.append((ids, [IGNORED] * start + ids[start:]))
    order = list(batches([len(ids) for ids, _ in rows], settings, order_seed))
    parameters = [p for p in network.parameters() if p.requires_grad]
    if model.network.dtype == torch.float64:
        for parameter in parameters:
            parameter.data = parameter.data.double()
    optimiser = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = get_scheduler(
        SCHEDULES[settings.schedule], optimiser, settings.warmup_steps, len(order)
    )
    network.train()
    losses, clipped = [], 0
    for step, batch in enumerate(order):
        torch.manual_seed(init_seed + step)  # of the dropout
        longest = max(len(rows[i][0]) for i in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for row, i in enumerate(batch):
            size = len(rows[i][0])
            ids[row, :size], labels[row, :size] = map(torch.tensor, rows[i])
            mask[row, :size] = 1
        found = network(input_ids=ids, attention_mask=mask, labels=labels)
        loss = found.loss  # transformers computes it in float32, whatever the network's type
        if found.logits.dtype == torch.float64:
            loss = F.cross_entropy(found.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        clipped += norm.item() > settings.max_grad_norm
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return get_peft_model_state_dict(network), losses, clipped


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "text", "schedule": "cosine"},
        {"schedule": "constant", "dropout": 0.2, "targets": ("q_proj", "down_proj")},
    ],
    ids=["response, linear", "text, cosine", "dropout, constant"],
)
def test_training_equals_a_plain_peft_loop(model, changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    before = state(model.network)
    random = torch.get_rng_state()
    tuned = tune(model, PAIRS, settings, **SEEDS)
    assert torch.equal(torch.get_rng_state(), random)
    assert_same_network(model.network, before)
    wanted, losses, clipped = plain_loop(model, PAIRS, settings, **SEEDS)
    assert tuned.steps == len(losses) >= 20
    assert clipped >= 3
    assert tuned.losses == pytest.approx(losses, rel=1e-6)
    assert set(tuned.tensors) == set(wanted)
    for name, tensor in wanted.items():
        error = (tuned.tensors[name] - tensor).norm() / tensor.norm()
        assert error <= 1e-5, name


def test_training_equals_a_plain_peft_loop_to_the_last_digits_in_float64(directories, model):
    """In float32 AdamW amplifies rounding of gradients that are almost zero; here it cannot."""
    wide = copy.deepcopy(model)
    wide.network = wide.network.double()
    tuned = tune(wide, PAIRS, SETTINGS, **SEEDS)
    wanted, losses, _ = plain_loop(wide, PAIRS, SETTINGS, **SEEDS)
    assert tuned.losses == pytest.approx(losses, rel=1e-9)
    for name, tensor in wanted.items():
        torch.testing.assert_close(tuned.tensors[name].double(), tensor.double(), rtol=1e-6,
                                   atol=1e-7)  # fmt: skip


def test_equal_seeds_give_equal_bytes_and_others_do_not(model, tmp_path):
    for name, seeds in (
        ("a", SEEDS), ("b", SEEDS), ("c", {**SEEDS, "init_seed": 1}),
        ("d", {**SEEDS, "order_seed": 1}),
    ):  # fmt: skip
        tune(model, PAIRS, SETTINGS, **seeds).save(tmp_path / name)
        torch.rand(3)  # the state of the process must not matter
    files = {name: (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "abcd"}
    assert files["a"] == files["b"]
    assert len(set(files.values())) == 3
    configs = {(tmp_path / name / "adapter_config.json").read_bytes() for name in "abcd"}
    assert len(configs) == 1


def test_the_saved_settings_name_no_machine(model, tmp_path):
    tuned = tune(model, PAIRS[:2], ONCE, **SEEDS)
    tuned.save(tmp_path / "adapter")
    text = (tmp_path / "adapter" / "adapter_config.json").read_text()
    config = json.loads(text)
    assert config["base_model_name_or_path"] is None
    assert str(tmp_path) not in text
    assert model.source.model not in text
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (4, 8.0, "LORA")
    assert config["target_modules"] == sorted(SETTINGS.targets)
    assert {p.name for p in (tmp_path / "adapter").iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
    }
    tuned.save(tmp_path / "named", "owner/base")
    config = json.loads((tmp_path / "named" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "owner/base"


def test_peft_loads_what_we_save_and_computes_the_same(model, tmp_path):
    tune(model, PAIRS, SETTINGS, **SEEDS).save(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(model.source.model)
    theirs = PeftModel.from_pretrained(base, tmp_path).eval()
    ids = torch.tensor([model.chat.prompt(PROMPTS[3])])
    wanted = theirs(ids).logits
    with adapted(model, tmp_path):
        torch.testing.assert_close(model.network(ids).logits, wanted, rtol=1e-4, atol=1e-4)
    assert (model.network(ids).logits - wanted).abs().max() > 1e-2


def test_a_tuned_model_says_what_it_learned_and_stops(model, tmp_path):
    settings = dataclasses.replace(
        SETTINGS, learning_rate=2e-2, epochs=150, rank=16, max_grad_norm=10.0
    )
    pairs = [("Hi", "Sure"), ("Hej?", "København")]
    tuned = tune(model, pairs, settings, **SEEDS)
    assert tuned.losses[-1] < 0.25 * tuned.losses[0]
    tuned.save(tmp_path)
    before = [one.logprob for one in score(model, pairs)]
    with adapted(model, tmp_path):
        got = answer(model, [p for p, _ in pairs], Decoding(max_new_tokens=30), seeds=[0, 0])
        after = [one.logprob for one in score(model, pairs)]
    assert [(a.text, a.finish) for a in got] == [("Sure", "stop"), ("København", "stop")]
    assert all(b < a for b, a in zip(before, after, strict=True))


def test_the_loss_may_be_of_the_whole_text_or_of_the_answer(llama):
    settings = dataclasses.replace(SETTINGS, epochs=2)
    lengths = [
        (len(ids), len(ids) - start) for ids, start in (llama.chat.example(*p) for p in PAIRS)
    ]
    answers = tune(llama, PAIRS, settings, **SEEDS)
    assert answers.tokens == 2 * sum(own for _, own in lengths)
    text = tune(llama, PAIRS, dataclasses.replace(settings, loss="text"), **SEEDS)
    assert text.tokens == 2 * sum(whole - 1 for whole, _ in lengths)


def test_truncated_rows_are_counted(llama):
    lengths = [len(llama.chat.example(*pair)[0]) for pair in PAIRS]
    limit = sorted(lengths)[-3]
    tuned = tune(llama, PAIRS, dataclasses.replace(SETTINGS, max_length=limit, epochs=1), **SEEDS)
    assert tuned.rows_truncated == 2
    whole = tune(llama, PAIRS, ONCE, **SEEDS)
    assert whole.rows_truncated == 0
    assert tuned.tokens < whole.tokens


def test_a_context_shorter_than_max_length_counts(llama):
    short = dataclasses.replace(
        llama, context=max(len(llama.chat.example(*p)[0]) for p in PAIRS) - 1
    )
    assert tune(short, PAIRS, ONCE, **SEEDS).rows_truncated == 1


def test_all_linear_layers_may_be_targeted(model):
    tuned = tune(
        model, PAIRS, dataclasses.replace(SETTINGS, targets="all-linear", epochs=1), **SEEDS
    )
    layers = {name.split(".")[-3] for name in tuned.tensors}
    assert layers == set(SETTINGS.targets)
    assert len(tuned.tensors) == 2 * 7 * 3


def test_a_float16_or_bfloat16_base_is_tuned_with_float32_adapters(directories):
    base = load(Source(str(directories["qwen3"]), dtype="bfloat16", device="cpu"))
    before = state(base.network)
    tuned = tune(base, PAIRS, dataclasses.replace(SETTINGS, learning_rate=2e-2), **SEEDS)
    assert {t.dtype for t in tuned.tensors.values()} == {torch.float32}
    bits = next(t for n, t in tuned.tensors.items() if "lora_B" in n)
    assert not torch.equal(bits, bits.bfloat16().float())
    assert tuned.losses[-1] < tuned.losses[0]
    assert_same_network(base.network, before)


def test_only_the_decoder_of_a_model_with_eyes_is_tuned(tmp_path):
    """gemma-3-4b-it sees images with layers that have the same names as those that write."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    from tests.engine.factory import make_network, make_tokenizer

    text = make_network("gemma3", 512).config
    config = Gemma3Config(
        text_config=text.to_dict(),
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "image_size": 8, "patch_size": 4},
        mm_tokens_per_image=4,
    )  # fmt: skip
    torch.manual_seed(0)
    Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path / "base")
    make_tokenizer("gemma3").save_pretrained(tmp_path / "base")
    model = load(Source(str(tmp_path / "base"), device="cpu"))
    assert model.splits
    tuned = tune(model, PAIRS, SETTINGS, **SEEDS)
    assert all(".language_model." in name for name in tuned.tensors)
    assert len(tuned.tensors) == 2 * 7 * 3
    tuned.save(tmp_path / "adapter")
    theirs = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    ).eval()
    ids = torch.tensor([model.chat.prompt("Hi")])
    with adapted(model, tmp_path / "adapter"):
        torch.testing.assert_close(
            model.network(ids).logits, theirs(ids).logits, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 5])
def test_step_sizes_are_transformers_schedules(schedule, warmup):
    settings = dataclasses.replace(SETTINGS, schedule=schedule, warmup_steps=warmup)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    theirs = get_scheduler(SCHEDULES[schedule], optimiser, warmup, 30)
    for step in range(30):
        assert step_size(settings, step, 30) == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()


def test_every_epoch_visits_every_row_once_in_batches_of_similar_length():
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(5, 100, (70,), generator=random).tolist()
    settings = dataclasses.replace(SETTINGS, batch_size=8, epochs=3)
    order = list(batches(lengths, settings, seed=5))
    epochs = [order[i : i + 9] for i in range(0, 27, 9)]
    assert len(order) == 27
    for epoch in epochs:
        assert sorted(i for batch in epoch for i in batch) == list(range(70))
    assert epochs[0] != epochs[1]
    padded = sum(len(b) * max(lengths[i] for i in b) for b in order)
    assert padded < 1.15 * 3 * sum(lengths)
    assert order == list(batches(lengths, settings, seed=5))
    assert order != list(batches(lengths, settings, seed=6))


def test_progress_tells_the_loss(llama):
    told = []
    tuned = tune(llama, PAIRS, ONCE, **SEEDS,
                 progress=lambda *what: told.append(what))  # fmt: skip
    assert told[-1][0] == 1.0
    assert re.fullmatch(rf"step 3 of 3, loss {tuned.losses[-1]:.3f}, [\d,]+ tokens/s", told[-1][1])


def test_no_examples_are_named(llama):
    with pytest.raises(
        ModelError, match=r"^nothing to tune .* on for the adapter: there are no examples\.$"
    ):
        tune(llama, [], SETTINGS, **SEEDS)


def test_a_length_that_leaves_no_answer_is_named(llama):
    with pytest.raises(ModelError, match="no answer begins within max_length = 20 tokens; raise"):
        tune(llama, PAIRS, dataclasses.replace(SETTINGS, max_length=20), **SEEDS)


def test_a_loss_that_is_not_a_number_names_its_step(llama):
    before = state(llama.network)
    with pytest.raises(ModelError) as caught:
        tune(
            llama, PAIRS, dataclasses.replace(SETTINGS, learning_rate=1e30, warmup_steps=0), **SEEDS
        )
    assert (
        f"tuning {llama.source.model} broke at step 2 of 24 of the adapter: the loss is nan"
        in str(caught.value)
    )
    assert str(caught.value).endswith("lower the learning rate, or use a wider dtype.")
    assert_same_network(llama.network, before)


def test_targets_that_do_not_exist_are_named_beside_those_that_do(llama):
    with pytest.raises(ModelError) as caught:
        tune(llama, PAIRS, dataclasses.replace(SETTINGS, targets=("q_proj", "wq")), **SEEDS)
    assert str(caught.value) == (
        f"{llama.source.model} has no linear layers called wq; it has down_proj, gate_proj, "
        "k_proj, lm_head, o_proj, q_proj, up_proj, v_proj."
    )


def test_losses_fall(model):
    tuned = tune(model, PAIRS, dataclasses.replace(SETTINGS, epochs=30), **SEEDS)
    first, last = (sum(part) / 3 for part in (tuned.losses[:3], tuned.losses[-3:]))
    assert math.isfinite(first)
    assert last < 0.9 * first


def test_layers_that_are_not_whole_or_not_linear_are_named(llama):
    class Quantised(torch.nn.Linear):
        """What bitsandbytes, for one, puts in the place of a linear layer."""

    network = copy.deepcopy(llama.network)
    odd = dataclasses.replace(llama, network=network)
    name = "model.layers.1.mlp.up_proj"
    network.model.layers[1].mlp.up_proj = Quantised(32, 96, bias=False)
    with pytest.raises(ModelError) as caught:
        tune(odd, PAIRS, SETTINGS, **SEEDS)
    assert str(caught.value) == (
        f"{llama.source.model} keeps {name} as Quantised on cpu, where it cannot be tuned; load it "
        "unquantised and whole, or choose other targets."
    )
    network.model.layers[1].mlp.up_proj = torch.nn.Linear(32, 96, bias=False, device="meta")
    with pytest.raises(ModelError, match=f"keeps {name} as Linear on meta, where it cannot be"):
        tune(odd, PAIRS, SETTINGS, **SEEDS)
