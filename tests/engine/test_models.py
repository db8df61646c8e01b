from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.errors import ModelError
from tests.engine.factory import FAMILIES, make_model


@pytest.fixture
def directory(directories, tmp_path):
    """A good model that a test may damage."""
    return shutil.copytree(directories["llama"], tmp_path / "model")


def message(directory, **how):
    with pytest.raises(ModelError) as caught:
        load(Source(str(directory), **{"device": "cpu", **how}))
    return str(caught.value)


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_comes_frozen_and_ready(directories, family):
    model = load(Source(str(directories[family]), device="cpu"))
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())
    assert model.network.dtype == torch.float32
    assert model.device.type == "cpu"
    assert model.vocabulary == 512
    assert model.context == {"llama": 131_072, "qwen3": 40_960, "gemma3": 32_768}[family]
    assert model.splits
    stored = load_file(directories[family] / "model.safetensors")
    for name, tensor in model.network.named_parameters():
        assert torch.equal(stored[name], tensor)


def test_a_full_vocabulary_model_is_loaded(tmp_path):
    path = make_model("gemma3", tmp_path, full_vocabulary=True, hidden=8)
    model = load(Source(str(path), device="cpu"))
    assert model.vocabulary == 262_144
    assert model.splits


def test_loading_leaves_the_screen_and_the_settings_alone(directories, capfd):
    logging.set_verbosity_warning()
    load(Source(str(directories["qwen3"]), device="cpu"))
    assert capfd.readouterr() == ("", "")
    assert logging.get_verbosity() == logging.WARNING
    assert logging.is_progress_bar_enabled()


@pytest.mark.parametrize(
    ("stored", "asked", "computed"),
    [
        (torch.float32, "auto", torch.float32),
        (torch.bfloat16, "auto", torch.bfloat16),
        (torch.float16, "auto", torch.float32),
        (torch.float16, "bfloat16", torch.bfloat16),
        (torch.bfloat16, "float32", torch.float32),
    ],
)
def test_the_type_it_is_computed_in(tmp_path, stored, asked, computed):
    path = make_model("gemma3", tmp_path, dtype=stored)
    assert load(Source(str(path), dtype=asked, device="cpu")).network.dtype == computed


def test_another_tokenizer_may_be_named(directory, directories):
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (directory / file).unlink()
    model = load(Source(str(directory), tokenizer=str(directories["qwen3"]), device="cpu"))
    assert "<|im_start|>" in model.tokenizer.decode(model.chat.prompt("Hi"))


def test_weights_in_several_files_are_loaded(directories, directory):
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(directory)
    (directory / "model.safetensors").unlink()
    network.save_pretrained(directory, max_shard_size="60KB")
    assert len(list(directory.glob("*.safetensors"))) > 1
    whole = load(Source(str(directories["llama"]), device="cpu")).network.state_dict()
    parts = load(Source(str(directory), device="cpu")).network.state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    shard = sorted(directory.glob("*.safetensors"))[1]
    shard.unlink()
    assert message(directory) == f"{directory}: {shard.name} is missing; get the model anew."


def test_no_config_is_named(directory):
    (directory / "config.json").unlink()
    assert message(directory) == (
        f"{directory} holds no config.json, so it is no Hugging Face model; mend the path, or save "
        "the model with save_pretrained."
    )


def test_a_damaged_config_is_named(directory):
    (directory / "config.json").write_text("{")
    assert message(directory).startswith(f"{directory}: config.json cannot be read (")


def test_a_config_that_makes_no_sense_is_named(directory):
    change(directory / "config.json", hidden_size="wide")
    found = message(directory)
    assert found.startswith(f"{directory}: config.json cannot be used (")
    assert found.endswith("); get the model anew.")


def test_an_unknown_architecture_is_named(directory):
    change(directory / "config.json", model_type="llama9")
    assert message(directory) == (
        f"{directory}: config.json names no architecture that this transformers knows (model_type "
        "'llama9'); upgrade transformers, or use another model."
    )


def test_code_of_its_own_is_not_run(directory):
    (directory / "modeling.py").write_text("raise SystemExit('ran')")
    code = {"AutoConfig": "modeling.C", "AutoModelForCausalLM": "modeling.M"}
    change(directory / "config.json", model_type="own", auto_map=code)
    assert message(directory) == (
        f"{directory} brings Python code of its own, which is not run by default; if you trust it, "
        "set `trust_remote_code = true`."
    )


def test_a_model_that_only_reads_is_named(tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(tmp_path)
    assert message(tmp_path) == (
        f"{tmp_path} is a BertForMaskedLM, which does not write text from left to right; use a "
        "causal language model (…ForCausalLM)."
    )


def test_a_recurrent_network_is_named(directory):
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    network = MambaForCausalLM(MambaConfig(vocab_size=512, hidden_size=32, num_hidden_layers=2))
    network.save_pretrained(directory)
    assert message(directory) == (
        f"{directory} keeps no cache of keys and values that rows of a batch could share (a "
        "recurrent network, perhaps); use a transformer."
    )


def test_an_encoder_with_decoder_is_named(directory):
    (directory / "config.json").write_text('{"model_type": "t5"}')
    assert f"{directory} is a t5, which does not write text from left to right" in message(
        directory
    )


def test_an_adapter_given_as_a_model_is_named(directory):
    (directory / "adapter_config.json").write_text("{}")
    assert message(directory) == (
        f"{directory} holds an adapter, not a whole model; give its base as the model and this as "
        "the adapter."
    )


def test_pickle_is_never_loaded(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    assert message(directory) == (
        f"{directory} holds no safetensors weights (pickle files, .bin or .pt, are never loaded); "
        "convert them with save_pretrained, or use another revision."
    )


@pytest.mark.parametrize("size", [0, 5, 1000, -1000])
def test_damaged_weights_are_named(directory, size):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    found = message(directory)
    assert found.startswith(f"{directory}: model.safetensors is damaged (")
    assert found.endswith("); get it anew.")


def test_lost_weights_are_not_made_up(directory):
    tensors = load_file(directory / "model.safetensors")
    for name in ("model.layers.1.mlp.up_proj.weight", "model.norm.weight"):
        tensors.pop(name)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    assert message(directory) == (
        f"{directory} lacks 2 of its weights (model.layers.1.mlp.up_proj.weight, …); get the model "
        "anew."
    )


def test_weights_of_another_shape_are_named(directory):
    change(directory / "config.json", intermediate_size=64)
    found = message(directory)
    assert found.startswith(f"{directory} cannot be loaded (")
    assert "its weights do not fit its config.json" in found


def test_no_tokenizer_is_named(directory):
    (directory / "tokenizer.json").unlink()
    assert message(directory) == (
        f"{directory} holds no tokenizer; put its files there, or name another one "
        "(`tokenizer = ...`)."
    )


def test_a_damaged_tokenizer_is_named(directory):
    (directory / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Nonsense"}}')
    found = message(directory)
    assert found.startswith(f"{directory}: the tokenizer cannot be read (")
    assert found.endswith("); get its files anew, or name another one (`tokenizer = ...`).")


def test_no_chat_template_is_named(directory):
    (directory / "chat_template.jinja").unlink()
    found = message(directory)
    assert found.startswith(f"the tokenizer of {directory} has no chat template, so it is unknown")
    assert "chat_template.jinja, or name a tokenizer that has one" in found


def test_a_template_that_is_no_template_is_named(directory):
    (directory / "chat_template.jinja").write_text("{% for m in messages %}")
    assert f"the chat template of {directory} fails on a user and a assistant turn: " in message(
        directory
    )


def test_a_tokenizer_of_another_model_is_named(directory, tmp_path, directories):
    tensors = load_file(directory / "model.safetensors")
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:300].clone()
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    change(directory / "config.json", vocab_size=300)
    assert message(directory, tokenizer=str(directories["qwen3"])) == (
        f"the tokenizer of {directories['qwen3']} has 452 tokens and {directory} knows only 300; "
        "name the tokenizer that the model was trained with (`tokenizer = ...`)."
    )


def test_an_unknown_dtype_is_named(directory):
    assert message(directory, dtype="fp8") == (
        f"{directory}: unknown dtype 'fp8'; use auto, float32, bfloat16, float16."
    )


def test_float16_on_a_processor_is_refused(directory):
    assert message(directory, dtype="float16") == (
        f"{directory}: float16 is for GPUs; use float32 or bfloat16 on a processor."
    )


def test_gemma_3_in_float16_is_refused(directories, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    found = message(directories["gemma3"], dtype="float16", device="cuda")
    assert found.endswith("Gemma-3's activations overflow in float16; use bfloat16 or float32.")


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:x", ""])
def test_an_unknown_device_is_named(directory, device):
    assert message(directory, device=device) == (
        f"{directory}: unknown device {device!r}; use auto, cpu, cuda, cuda:N or mps."
    )


@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_gpu_that_is_not_there_is_named(directory, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert message(directory, device=device) == (
        f"{directory}: there is no CUDA device {device!r} here (0 found); use another one, cpu or "
        "auto."
    )


def test_no_mps_is_named(directory, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert message(directory, device="mps") == (
        f"{directory}: there is no MPS device here; use cpu or auto."
    )


def test_a_device_and_a_map_of_devices_are_one_too_many(directory):
    assert message(directory, device="cpu", device_map="auto") == (
        f"{directory}: `device_map` spreads a model over devices by itself; leave `device = 'cpu'` "
        "out."
    )


def test_a_map_of_devices_may_be_given(directory):
    pytest.importorskip("accelerate")
    model = load(Source(str(directory), device_map="cpu"))
    assert model.chat.prompt("Hi")
