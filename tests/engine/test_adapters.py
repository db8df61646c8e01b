from __future__ import annotations

import copy
import dataclasses
import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from polydrift.engine import adapters
from polydrift.engine.answer import answer
from polydrift.engine.cohort import Cohort, adapted
from polydrift.engine.interface import Decoding
from polydrift.engine.layers import StackedLinear
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.errors import ModelError
from tests.engine.conftest import PROMPTS
from tests.engine.factory import make_model

pytestmark = [  # of PEFT and transformers, in the tests' own use of them
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

# Adapters as PEFT's own users make them; the second word is the route that is exact for them.
KINDS = {
    "plain": ({}, "merged"),
    "other rank": ({"r": 3, "lora_alpha": 7}, "merged"),
    "rank-stabilised": ({"r": 5, "use_rslora": True}, "merged"),
    "some targets": ({"target_modules": ["v_proj", "up_proj"]}, "merged"),
    "some layers": ({"layers_to_transform": [1]}, "merged"),
    "tied head": ({"target_modules": ["lm_head", "q_proj"]}, "merged"),
    "ranks by pattern": ({"rank_pattern": {"q_proj": 6}, "alpha_pattern": {"v_proj": 3}}, "merged"),
    "DoRA": ({"use_dora": True}, "beside"),
    "with biases": ({"lora_bias": True}, "beside"),
    "embeddings": ({"target_modules": ["embed_tokens", "q_proj"]}, "beside"),
    "norm retrained": ({"modules_to_save": ["norm"]}, "beside"),
}


def peft_adapter(network, where, seed=3, **changes):
    """An adapter saved by PEFT with weights far from zero; returns PEFT's own model of it."""
    config = {"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj"]}
    torch.manual_seed(seed)
    theirs = get_peft_model(
        copy.deepcopy(network), LoraConfig(task_type="CAUSAL_LM", **{**config, **changes})
    )
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    theirs.save_pretrained(where)
    return theirs.eval()


@pytest.fixture
def plain(llama, tmp_path):
    peft_adapter(llama.network, tmp_path / "plain")
    return tmp_path / "plain"


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_saved_by_peft_computes_as_in_peft(model, tmp_path, kind):
    changes, route = KINDS[kind]
    theirs = peft_adapter(model.network, tmp_path / "adapter", **changes)
    network = model.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    parts = {name: id(module) for name, module in network.named_modules()}
    ids = torch.tensor([model.chat.prompt(PROMPTS[4])])
    untuned = network(ids).logits
    with adapted(model, tmp_path / "adapter") as inside:
        assert inside is model
        got = network(ids).logits
    torch.testing.assert_close(got, theirs(ids).logits, rtol=1e-4, atol=2e-4)
    assert (got - untuned).abs().max() > 1e-2
    cohort = Cohort(model, [tmp_path / "adapter"])
    assert [found for _, found in cohort.score([("Hi", "Hi!")])]
    assert cohort.routes == {0: route}
    # the base is itself again: the same modules, the same bits
    assert {name: id(module) for name, module in network.named_modules()} == parts
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert torch.equal(network(ids).logits, untuned)
    assert not any(p.requires_grad for p in network.parameters())
    assert not network.training
    assert not hasattr(network, "peft_config")


@pytest.mark.parametrize("kind", ["plain", "ranks by pattern"])
def test_answers_with_an_adapter_are_those_of_peft_s_generate(model, tmp_path, kind):
    theirs = peft_adapter(model.network, tmp_path / "adapter", **KINDS[kind][0])
    with adapted(model, tmp_path / "adapter"):
        got = answer(model, PROMPTS, Decoding(max_new_tokens=15), seeds=range(len(PROMPTS)))
    for prompt, one in zip(PROMPTS, got, strict=True):
        ids = torch.tensor([model.chat.prompt(prompt)])
        whole = theirs.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=15,
            do_sample=False, eos_token_id=sorted(model.chat.stop_ids), pad_token_id=0,
        )[0, ids.shape[1] :].tolist()  # fmt: skip
        assert one.text == model.chat.text([i for i in whole if i not in model.chat.stop_ids])


def test_no_adapter_is_the_base(llama):
    network = dict(llama.network.named_modules())
    with adapted(llama, None) as inside:
        assert inside is llama
        assert dict(llama.network.named_modules()) == network


def test_the_base_comes_back_when_the_work_inside_fails(llama, plain):
    ids = torch.tensor([llama.chat.prompt("Hi")])
    untuned = llama.network(ids).logits
    with pytest.raises(KeyboardInterrupt), adapted(llama, plain):
        raise KeyboardInterrupt
    assert torch.equal(llama.network(ids).logits, untuned)


def test_adapters_may_follow_each_other(llama, tmp_path):
    ids = torch.tensor([llama.chat.prompt("Hi")])
    wanted = []
    for seed in (1, 2):
        theirs = peft_adapter(llama.network, tmp_path / str(seed), seed=seed)
        wanted.append(theirs(ids).logits)
    for _ in range(2):
        for seed in (1, 2):
            with adapted(llama, tmp_path / str(seed)):
                torch.testing.assert_close(
                    llama.network(ids).logits, wanted[seed - 1], rtol=1e-4, atol=2e-4
                )


def test_small_changes_are_not_rounded_away_in_bfloat16(tmp_path):
    base = load(Source(str(make_model("llama", tmp_path / "base")), dtype="bfloat16", device="cpu"))
    peft_adapter(base.network, tmp_path / "adapter", lora_alpha=4e-3)
    weight = base.network.model.layers[0].self_attn.q_proj.weight
    tensors = load_file(tmp_path / "adapter" / adapters.WEIGHTS)
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    change = 1e-3 * tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
    lost = ((weight + change.bfloat16()) == weight).float().mean()
    assert lost > 0.9  # merging would have kept hardly any of it
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    with adapted(base, tmp_path / "adapter"):
        layer = base.network.model.layers[0].self_attn.q_proj
        assert isinstance(layer, StackedLinear)
        ours = (x.bfloat16() @ layer.A[0].T @ layer.B[0].T).float()
    torch.testing.assert_close(ours, x @ change.float().T, rtol=0.05, atol=2e-5)


def message(model, adapter):
    with pytest.raises(ModelError) as caught, adapted(model, adapter):
        pass
    # nothing of a bad adapter stays behind
    assert not hasattr(model.network, "peft_config")
    assert type(model.network.model.layers[0].self_attn.q_proj) is torch.nn.Linear
    return str(caught.value)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(llama, plain, file):
    (plain / file).unlink()
    assert message(llama, plain) == (
        f"{plain} holds no {file}, so it is no adapter in PEFT's safetensors format; mend the "
        "path, or save it with save_pretrained."
    )


def test_a_directory_that_is_not_there_is_named(llama, tmp_path):
    assert message(llama, tmp_path / "nowhere").startswith(f"{tmp_path / 'nowhere'} holds no adap")


def test_damaged_weights_are_named(llama, plain):
    path = plain / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert message(llama, plain).startswith(f"{plain}: adapter_model.safetensors is damaged (")
    assert message(llama, plain).endswith("); get the adapter anew.")


def test_damaged_settings_are_named(llama, plain):
    (plain / "adapter_config.json").write_text('{"peft_type": "LORA", ')
    assert message(llama, plain).startswith(f"{plain}: adapter_config.json cannot be read (")
    (plain / "adapter_config.json").write_text("[]")
    assert "adapter_config.json holds no settings (a JSON object)" in message(llama, plain)


def change_settings(adapter, **changes):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_settings_that_make_no_sense_are_named(llama, plain):
    change_settings(plain, task_type="POETRY")
    assert f"{plain}: adapter_config.json cannot be used (" in message(llama, plain)


def test_another_kind_of_adapter_is_named(llama, plain):
    change_settings(plain, peft_type="IA3")
    assert message(llama, plain) == f"{plain} is an adapter of type 'IA3'; only LoRA can be used."


def test_a_lora_that_changed_its_base_is_named(llama, plain):
    change_settings(plain, init_lora_weights="pissa")
    assert "was begun by changing its base's weights (init_lora_weights = 'pissa')" in message(
        llama, plain
    )


def test_weights_that_are_no_lora_are_named(llama, plain):
    save_file({"base_model.model.x": torch.zeros(2)}, plain / "adapter_model.safetensors")
    assert "adapter_model.safetensors holds no LoRA weights" in message(llama, plain)


def test_an_adapter_of_a_wider_base_is_named(llama, tmp_path):
    wide = load(Source(str(make_model("llama", tmp_path / "wide", hidden=48)), device="cpu"))
    peft_adapter(wide.network, tmp_path / "adapter")
    found = message(llama, tmp_path / "adapter")
    assert found.startswith(f"{tmp_path / 'adapter'} does not fit its base (")
    assert found.endswith("); give the base that it was trained on.")


def test_an_adapter_of_a_deeper_base_is_named(llama, tmp_path):
    deep = load(Source(str(make_model("llama", tmp_path / "deep", layers=5)), device="cpu"))
    peft_adapter(deep.network, tmp_path / "adapter")
    found = message(llama, tmp_path / "adapter")
    assert "does not fit its base (" in found
    assert "layers.3" in found
    assert "is not in the base" in found


def test_embeddings_that_are_not_the_base_s_are_named(llama, plain):
    tensors = load_file(plain / "adapter_model.safetensors")
    tensors["base_model.model.model.embed_tokens.weight"] = torch.ones(520, 32)
    save_file(tensors, plain / "adapter_model.safetensors")
    assert message(llama, plain) == (
        f"{plain} brings a model.embed_tokens.weight that is not its base's; give the base that "
        "it was trained on, or merge the two into one model first."
    )


def test_an_adapter_that_lost_some_of_its_weights_is_named(llama, plain):
    tensors = load_file(plain / "adapter_model.safetensors")
    tensors.pop("base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight")
    save_file(tensors, plain / "adapter_model.safetensors")
    found = message(llama, plain)
    assert "model.layers.1.self_attn.q_proj.lora_B" in found
    assert "is missing from the adapter" in found


def test_a_broken_adapter_leaves_the_base_to_the_next(llama, plain, tmp_path):
    shutil.copytree(plain, tmp_path / "bad")
    (tmp_path / "bad" / "adapter_model.safetensors").write_bytes(b"no")
    message(llama, tmp_path / "bad")
    with adapted(llama, plain):
        pass
    assert dataclasses.is_dataclass(llama)
