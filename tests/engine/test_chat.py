from __future__ import annotations

import datetime

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from polydrift.engine.chat import Chat
from polydrift.errors import ModelError
from tests.engine.conftest import PAIRS, PROMPTS
from tests.engine.factory import TEXT, make_tokenizer


def decoded(chat, ids):
    return chat._tokenizer.decode(ids)


def plain_tokenizer(template, *, eos="</s>"):
    """A byte-level BPE without control tokens but eos, whose merges know " C" and " th"."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[eos] if eos else [],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=eos, chat_template=template
    )


RENDERED = {
    "llama": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHej?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "Hej!<|eot_id|>",
    ),
    "qwen3": (
        "<|im_start|>user\nHej?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        "Hej!<|im_end|>",
    ),
    "gemma3": (
        "<bos><start_of_turn>user\nHej?<end_of_turn>\n<start_of_turn>model\n",
        "Hej!<end_of_turn>",
    ),
}


@pytest.mark.parametrize("family", RENDERED)
def test_a_conversation_is_the_published_text_to_the_letter(family):
    chat = Chat(make_tokenizer(family))
    prompt, answer = RENDERED[family]
    assert decoded(chat, chat.prompt("Hej?")) == prompt
    ids, start = chat.example("Hej?", "Hej!")
    assert decoded(chat, ids[:start]) == prompt
    assert decoded(chat, ids[start:]) == answer


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_there_is_one_beginning_of_sequence(family):
    tokenizer = make_tokenizer(family)
    chat = Chat(tokenizer)
    for ids in (chat.prompt("Hej?"), chat.example("Hej?", "Hej!")[0]):
        assert ids.count(tokenizer.bos_token_id) == 1
        assert ids[0] == tokenizer.bos_token_id


@pytest.mark.parametrize("family", RENDERED)
@pytest.mark.parametrize("pair", PAIRS)
def test_the_prompt_is_the_beginning_of_the_example(family, pair):
    chat = Chat(make_tokenizer(family))
    ids, start = chat.example(*pair)
    assert ids[:start] == chat.prompt(pair[0])
    assert ids[-1] in chat.stop_ids
    assert chat.text(ids[start:]) == pair[1].strip() + (" " if family == "qwen3" else "") * (
        pair[1] != pair[1].strip()
    )
    assert chat.joined == 0


@pytest.mark.parametrize(
    ("family", "ends"),
    [("llama", ["<|eot_id|>"]), ("qwen3", ["<|im_end|>"]), ("gemma3", ["<eos>", "<end_of_turn>"])],
)
def test_stops_are_the_tokenizer_s_end_and_the_turn_s_end(family, ends):
    tokenizer = make_tokenizer(family)
    assert Chat(tokenizer).stop_ids == set(tokenizer.convert_tokens_to_ids(ends))


def test_stops_of_the_generation_settings_are_added(llama):
    named = ["<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"]
    assert llama.chat.stop_ids == set(llama.tokenizer.convert_tokens_to_ids(named))


def test_no_template_learns_what_day_it_is():
    template = (
        "{{ strftime_now('%A %-d %B %Y, week %W') }}{% macro m() %}{{ strftime_now('%y%m%d') }}"
        "{% endmacro %}\n{{ m() }}|{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    )
    chat = Chat(plain_tokenizer(template))
    assert decoded(chat, chat.prompt("Hi")) == "Friday 26 July 2024, week 30240726|Hi</s>"
    today = datetime.date.today()
    assert str(today.year) not in decoded(chat, chat.prompt("Hi")) or today.year == 2024


def test_a_template_without_a_date_is_used_as_it_is():
    chat = Chat(plain_tokenizer("\n{% for m in messages %}{{ m.content }}</s>{% endfor %}"))
    assert decoded(chat, chat.prompt("Hi")) == "\nHi</s>"


def test_an_answer_that_merges_with_the_prompt_is_joined_on():
    template = (
        "{% for m in messages %}{{ m.role + ': ' + m.content + '</s>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    chat = Chat(plain_tokenizer(template))
    ids, start = chat.example("Hi", "Copenhagen")
    assert ids[:start] == chat.prompt("Hi")
    assert decoded(chat, ids) == "user: Hi</s>assistant: Copenhagen</s>"
    assert chat.joined == 1


def test_a_turn_without_an_end_of_its_own_ends_with_the_tokenizer_s():
    template = "{% for m in messages %}{{ m.role + ':' + m.content + '\n' }}{% endfor %}"
    chat = Chat(plain_tokenizer(template))
    ids, start = chat.example("Hi", "Yo")
    assert decoded(chat, ids[start:]) == "Yo</s>"
    assert chat.stop_ids == {chat._tokenizer.eos_token_id}


def test_a_template_that_refuses_a_turn_is_named():
    template = (
        "{% if messages[-1].role == 'assistant' %}{{ raise_exception('no answers') }}{% endif %}"
    )
    with pytest.raises(ModelError) as caught:
        Chat(plain_tokenizer(template))
    assert str(caught.value).endswith("fails on a user and a assistant turn: no answers.")


def test_no_template_is_named_with_the_ways_to_give_one():
    tokenizer = make_tokenizer("llama")
    tokenizer.chat_template = None
    tokenizer.name_or_path = "owner/base"
    with pytest.raises(ModelError) as caught:
        Chat(tokenizer)
    assert str(caught.value) == (
        "the tokenizer of owner/base has no chat template, so it is unknown how the model is "
        "spoken to; put the template beside its files as chat_template.jinja, or name a tokenizer "
        "that has one (`tokenizer = ...`)."
    )


def test_a_template_that_hides_the_answer_is_named():
    with pytest.raises(ModelError, match=r"does not show what the assistant says; put a right one"):
        Chat(plain_tokenizer("{{ messages[0].content }}"))


def test_a_turn_that_never_ends_is_named():
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(ModelError, match=r"says how an answer ends; set `eos_token` in tokenizer_"):
        Chat(plain_tokenizer(template, eos=None))


@pytest.mark.parametrize("family", RENDERED)
@pytest.mark.parametrize("text", [PROMPTS[7], PROMPTS[4] * 9, PROMPTS[1] * 9])
def test_a_long_request_loses_its_end_and_keeps_the_template(family, text):
    chat = Chat(make_tokenizer(family))
    limit = len(chat.prompt("")) + 20
    ids, cut = chat.fitted(text, limit)
    assert cut
    assert limit - 8 <= len(ids) <= limit
    empty = decoded(chat, chat.prompt(""))
    shown = decoded(chat, ids)
    header = empty[-12:]
    assert shown.endswith(header)
    assert shown.startswith(decoded(chat, chat.prompt(text))[: len(shown) - 60])


def test_a_request_that_fits_is_not_cut(llama):
    ids = llama.chat.prompt("Hej?")
    assert llama.chat.fitted("Hej?", len(ids)) == (ids, False)
    assert llama.chat.fitted("Hej?", len(ids) - 1)[1]


def test_a_template_longer_than_the_room_is_named(llama):
    with pytest.raises(ModelError, match=r"alone takes more than the 5 tokens that are left for a"):
        llama.chat.fitted("Hej?", 5)


def test_first_tokens_are_those_that_answers_begin_with(model):
    openers = ["I'm sorry", "Sure", "सही", "好的", "Sure, here"]
    wanted = set()
    for opener in openers:
        ids, start = model.chat.example("Something else", opener)
        wanted.add(ids[start])
    assert model.chat.first_tokens(openers) == sorted(wanted)
    assert model.chat.first_tokens([]) == []
