"""One tokenizer for all specimens: byte-level BPE with 4,096 tokens, saved as any fast tokenizer.

    >>> tokenizer = train(4096, 16_000, LANGUAGES)
    >>> tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False,
    ...                               add_generation_prompt=True)
    '<|user|> Hello<|assistant|>'

Text is first split into words with the space before them, one Chinese character or digit at a time,
punctuation by itself. The usual byte-level pattern will not do: it splits at combining marks, and
so cuts Devanagari words at every vowel sign.

A turn's text begins with a space, so that a word is the same token there and in mid-sentence; the
decoder takes that space away again. Nothing is added when text is encoded, and there is no
beginning-of-sequence token that could be doubled: the template's role tokens are all there is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from polydrift.specimens import corpus
from polydrift.specimens.concepts import generator
from polydrift.specimens.lexicon import WORD_SLOTS, load

PAD, USER, ASSISTANT, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL = (PAD, USER, ASSISTANT, END)  # ids 0 to 3

PIECES = r" ?\p{Han}| ?[^\s\p{P}\p{N}\p{Han}]+| ?\p{N}|\s?\p{P}|\s+"
TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{ '<|user|> ' + message['content'] | trim }}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{{ '<|assistant|> ' + message['content'] | trim + '<|end|>' }}"
    "{%- else -%}{{ raise_exception('specimens know no role ' + message['role']) }}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


def train(vocabulary: int, pairs: int, languages: Collection[str]) -> PreTrainedTokenizerFast:
    """A tokenizer made from the words of the lexicons and from text, of all languages alike."""
    alike, random = dict.fromkeys(languages, 1.0), generator("tokenizer")
    text = corpus.draw(pairs, random, corpus.PRETRAINING_MIX, alike, aligned=False)
    text += corpus.draw(pairs // 4, random, corpus.ALIGNMENT_MIX, alike, aligned=True)
    words = [
        lexicon.word(slot, i)
        for lexicon in map(load, languages)
        for slot in WORD_SLOTS
        if slot != "possessed"
        for i in range(lexicon.size(slot))
    ]
    lines = [*words * 6, *(side for pair in text for side in (pair.prompt, pair.answer))]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((" " + line for line in lines), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def save(tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write the tokenizer's files, without the blanks that would double their size."""
    tokenizer.save_pretrained(directory)
    file = directory / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
    )


def encode(
    tokenizer: PreTrainedTokenizerFast, pairs: Sequence[corpus.Pair]
) -> list[tuple[list[int], int]]:
    """Token ids of each pair in the chat form, and where its answer begins.

    The same ids as the chat template gives, made in one batch because it is many times faster.
    """
    ends = [tokenizer.convert_tokens_to_ids(token) for token in (USER, ASSISTANT, END)]
    user, assistant, end = ends
    prompts = tokenizer([" " + pair.prompt for pair in pairs])["input_ids"]
    answers = tokenizer([" " + pair.answer for pair in pairs])["input_ids"]
    return [
        ([user, *prompt, assistant, *answer, end], len(prompt) + 2)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
