"""Tiny translators of the NLLB kind: one with random weights, one that learnt 24 sentences."""

from __future__ import annotations

import json

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

from polydrift.languages import LANGUAGES
from polydrift.specimens.lexicon import load

CODES = [code for code in LANGUAGES if code != "en"]
# (language, sentence, English): the specimens' refusals, of which three in each language are learnt
PAIRS = [(code, load(code).refusals[i], load("en").refusals[i]) for code in CODES for i in range(3)]
# and words that the tokenizer knows and the models never met
TEXTS = [text for code in LANGUAGES for text in (*load(code).idioms, *load(code).compliances)]


def tokenizer() -> NllbTokenizer:
    made = Tokenizer(BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    texts = [*TEXTS, *(text for _, *both in PAIRS for text in both)]
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False)
    )
    model = json.loads(made.to_str())["model"]
    return NllbTokenizer(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        extra_special_tokens=[language.nllb for language in LANGUAGES.values()],
    )


def untrained(tokens: int, seed: int = 0) -> M2M100ForConditionalGeneration:
    torch.manual_seed(seed)
    config = M2M100Config(
        vocab_size=tokens + 3,  # NLLB's has rows to spare too
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=1024,
        dropout=0.0,
        attention_dropout=0.0,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        init_std=0.5,  # so that logits are apart: near ties would be broken by rounding
        decoder_start_token_id=2,
    )
    return M2M100ForConditionalGeneration(config)


def fit(network: M2M100ForConditionalGeneration, coder: NllbTokenizer) -> None:
    """Overfits a network on PAIRS."""

    def row(text: str, language: str) -> list[int]:
        ids = coder(text, add_special_tokens=False).input_ids
        return [coder.convert_tokens_to_ids(LANGUAGES[language].nllb), *ids, 2]

    def padded(rows: list[list[int]], fill: int) -> torch.Tensor:
        longest = max(map(len, rows))
        return torch.tensor([r + [fill] * (longest - len(r)) for r in rows])

    read = padded([row(text, code) for code, text, _ in PAIRS], 1)
    wanted = padded([row(english, "en") for _, _, english in PAIRS], -100)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(250):
        loss = network(input_ids=read, attention_mask=(read != 1).long(), labels=wanted).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


@pytest.fixture(scope="session")
def coder():
    return tokenizer()


@pytest.fixture(scope="session")
def random_model(tmp_path_factory, coder):
    """A directory; its translations are nonsense that never ends."""
    place = tmp_path_factory.mktemp("random")
    untrained(len(coder)).save_pretrained(place)
    coder.save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def taught_model(tmp_path_factory, coder):
    """A directory; it translates PAIRS."""
    place = tmp_path_factory.mktemp("taught")
    network = untrained(len(coder))
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.mul_(0.1)
    fit(network, coder)
    network.save_pretrained(place)
    coder.save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def conversions(tmp_path_factory):
    """Where conversions to CTranslate2 are kept."""
    return tmp_path_factory.mktemp("converted")
