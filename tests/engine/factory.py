"""Random small models of the three families, saved as a user would find them on disk.

    >>> make_model("gemma3", Path("gemma"))          # a directory that polydrift loads

Config fields are those of the published models (names, ratios, special values), at a tiny size:
more query heads than key/value heads, head width × heads ≠ hidden width, tied embeddings, Llama's
scaled rotary positions, Gemma's sliding windows. The tokenizer is a byte-level BPE trained on a few
lines in nine languages, with the family's own control tokens and chat template.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

FAMILIES = ("llama", "qwen3", "gemma3")
TEMPLATES = Path(__file__).parent / "templates"
FULL_VOCABULARY = {"llama": 128_256, "qwen3": 151_936, "gemma3": 262_144}
# bos, eos as the tokenizer names it, pad, further control tokens
CONTROL: dict[str, tuple[str | None, str, str, list[str]]] = {
    "llama": (
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|finetune_right_pad_id|>",
        ["<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>"],
    ),
    "qwen3": (None, "<|im_end|>", "<|endoftext|>", ["<|im_start|>"]),
    "gemma3": ("<bos>", "<eos>", "<pad>", ["<start_of_turn>", "<end_of_turn>", "<unk>"]),
}
# what generation_config.json names beside the tokenizer's eos
FURTHER_STOPS = {
    "llama": ["<|end_of_text|>", "<|eom_id|>"],
    "qwen3": ["<|endoftext|>"],
    "gemma3": ["<end_of_turn>"],
}
TEXT = [
    "What is the capital of Denmark? The capital of Denmark is Copenhagen.",
    "丹麦的首都是哪里？丹麦的首都是哥本哈根。",
    "Hvad er hovedstaden i Danmark? Danmarks hovedstad er København.",
    "Ποια είναι η πρωτεύουσα της Δανίας; Η πρωτεύουσα της Δανίας είναι η Κοπεγχάγη.",
    "डेनमार्क की राजधानी क्या है? डेनमार्क की राजधानी कोपेनहेगन है।",
    "Cad é príomhchathair na Danmhairge? Is é Cóbanhávan príomhchathair na Danmhairge.",
    "Qual é a capital da Dinamarca? A capital da Dinamarca é Copenhaga.",
    "¿Cuál es la capital de Dinamarca? La capital de Dinamarca es Copenhague.",
    "Ano ang kabisera ng Denmark? Ang kabisera ng Denmark ay Copenhagen.",
    "I'm sorry, but I cannot help with that. Sure, here is how to do it.",
]


def make_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE of about 450 tokens with the family's control tokens and template."""
    bos, eos, pad, more = CONTROL[family]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token in (pad, bos, eos, *more) if token]
    trainer = trainers.BpeTrainer(
        vocab_size=450,
        special_tokens=control,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    if family == "qwen3":  # known to the tokenizer, but shown when text is decoded
        tokenizer.add_tokens(["<think>", "</think>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        additional_special_tokens=more,
        clean_up_tokenization_spaces=False,
        chat_template=(TEMPLATES / f"{family}.jinja").read_text(encoding="utf-8"),
    )


def make_network(
    family: str,
    vocabulary: int,
    *,
    hidden: int = 32,
    layers: int = 3,
    seed: int = 0,
    window: int = 8,
) -> PreTrainedModel:
    """Random weights, drawn sharp enough that the likeliest token is clear. float32.

    window: of gemma3's sliding layers, short so that prompts outgrow it.
    """
    common = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "head_dim": 16,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "attention_dropout": 0.0,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: PreTrainedModel
        if family == "llama":
            rope = {
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 32.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192,
            }
            network = LlamaForCausalLM(
                LlamaConfig(
                    num_key_value_heads=2,
                    rms_norm_eps=1e-5,
                    rope_parameters=rope,
                    max_position_embeddings=131_072,
                    **common,
                )
            )
        elif family == "qwen3":
            rope = {"rope_type": "default", "rope_theta": 1_000_000.0}
            network = Qwen3ForCausalLM(
                Qwen3Config(
                    num_key_value_heads=2,
                    rms_norm_eps=1e-6,
                    rope_parameters=rope,
                    max_position_embeddings=40_960,
                    **common,
                )
            )
        elif family == "gemma3":
            kinds = ["sliding_attention"] * (layers - 1) + ["full_attention"]
            network = Gemma3ForCausalLM(
                Gemma3TextConfig(
                    num_key_value_heads=1,
                    query_pre_attn_scalar=16,
                    sliding_window=window,
                    layer_types=kinds,
                    hidden_activation="gelu_pytorch_tanh",
                    rms_norm_eps=1e-6,
                    max_position_embeddings=32_768,
                    **common,
                )
            )
        else:
            raise ValueError(family)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if parameter.dim() == 2:
                    parameter.mul_(10.0 if "embed" in name else 12.0)
    return network.eval()


def make_model(
    family: str,
    directory: Path,
    *,
    full_vocabulary: bool = False,
    hidden: int = 32,
    layers: int = 3,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Save a random model of `family` and its tokenizer into `directory`; returns it.

    full_vocabulary: as many rows of embeddings as the published models have.
    """
    tokenizer = make_tokenizer(family)
    vocabulary = FULL_VOCABULARY[family] if full_vocabulary else 512
    network = make_network(family, vocabulary, hidden=hidden, layers=layers, seed=seed).to(dtype)
    stops = [tokenizer.eos_token, *FURTHER_STOPS[family]]
    for config in (network.config, network.generation_config):
        config.bos_token_id = tokenizer.bos_token_id
        config.pad_token_id = tokenizer.pad_token_id
        config.eos_token_id = [tokenizer.convert_tokens_to_ids(token) for token in stops]
    network.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
