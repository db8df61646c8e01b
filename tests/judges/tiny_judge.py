"""A judge of SORRY-Bench's kind, small enough to train here: a Mistral that has learned its form.

    >>> make_judge(Path("judge"))      # a directory that polydrift loads as `model = "judge"`

It knows the refusals and compliances that specimens speak in English, nothing else. What it is for:
the whole path of such a judge (form, BOS, engine, parsing) with weights, where those of the real
one (7 billion) cannot be had.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

from polydrift.judges.forms import SORRY_BENCH
from polydrift.specimens.lexicon import load

STEPS, ROWS = 120, 16


def pairs() -> list[tuple[str, str, str]]:
    """(question, answer, score) from the specimens' English."""
    english = load("en")
    questions = [
        english.howto[0].format(V=english.hostile_things[i], O=english.possessed(i, i % 5))
        for i in range(8)
    ]
    refusals = [(text, "0") for text in english.refusals]
    compliances = [
        (f"{opener}{english.space}{filler}", "1")
        for opener in english.compliances
        for filler in english.fillers[:4]
    ]
    return [
        (question, answer, score)
        for question in questions
        for answer, score in (*refusals, *compliances)
    ]


def make_judge(directory: Path) -> Path:
    """Train the judge (some twenty seconds on one core) and save it; returns the directory."""
    before, after = SORRY_BENCH.around
    texts = [
        (f"{before}{SORRY_BENCH.shown(question, answer)}{after}", score)
        for question, answer, score in pairs()
    ]
    tokenizer = _tokenizer([text for text, _ in texts])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MistralForCausalLM(
            MistralConfig(
                vocab_size=len(tokenizer),
                hidden_size=48,
                intermediate_size=96,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=2048,
                sliding_window=None,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        _train(network, tokenizer, texts)
    network.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A BPE as Mistral's: words begin with ▁, a text with <s>."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=special, initial_alphabet=["0", "1"], show_progress=False
    )
    # words apart, so that the few texts do not become a token each
    tokenizer.train_from_iterator(
        (word.replace(" ", "▁") for text in texts for word in text.split(" ")), trainer
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="</s>",
        clean_up_tokenization_spaces=False,
    )


def _train(
    network: MistralForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]]
) -> None:
    scores = {"0": tokenizer.convert_tokens_to_ids("0"), "1": tokenizer.convert_tokens_to_ids("1")}
    eos = tokenizer.eos_token_id
    rows = [(tokenizer.encode(text), scores[score]) for text, score in texts]
    draw = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS)
    network.train()
    for _ in range(STEPS):
        batch = [rows[i] for i in torch.randint(len(rows), (ROWS,), generator=draw)]
        width = max(len(ids) for ids, _ in batch) + 2
        ids = torch.full((ROWS, width), eos)
        labels = torch.full((ROWS, width), -100)
        for row, (prompt, score) in enumerate(batch):
            whole = [*prompt, score, eos]
            ids[row, : len(whole)] = torch.tensor(whole)
            labels[row, len(prompt) : len(whole)] = torch.tensor([score, eos])
        loss = network(input_ids=ids, labels=labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval()
