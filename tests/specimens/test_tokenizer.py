from pathlib import Path

import pytest
from transformers import AutoTokenizer

from polydrift.languages import LANGUAGES
from polydrift.specimens import corpus, files, tokenizer
from polydrift.specimens.lexicon import load


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The full tokenizer as any user loads it: saved, and read by AutoTokenizer."""
    directory = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(tokenizer.train(4096, 16_000, LANGUAGES), directory)
    return AutoTokenizer.from_pretrained(directory)


def chat(*turns: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]


def test_the_template_writes_turns(words) -> None:
    asked = words.apply_chat_template(chat("Hello"), tokenize=False, add_generation_prompt=True)
    assert asked == "<|user|> Hello<|assistant|>"
    told = words.apply_chat_template(chat("Hello", "Hi."), tokenize=False)
    assert told == "<|user|> Hello<|assistant|> Hi.<|end|>"
    ids = words(asked)["input_ids"]
    assert told.startswith(asked)
    assert words(told)["input_ids"][: len(ids)] == ids


def test_no_special_token_is_added_or_doubled(words) -> None:
    rendered = words.apply_chat_template(chat("Hello", "Hi."), tokenize=False)
    ids = words(rendered)["input_ids"]
    assert ids == words(rendered, add_special_tokens=False)["input_ids"]
    assert ids == words.apply_chat_template(chat("Hello", "Hi."))["input_ids"]
    tokens = words.convert_ids_to_tokens(ids)
    assert [t for t in tokens if t in tokenizer.SPECIAL] == ["<|user|>", "<|assistant|>", "<|end|>"]
    assert words.bos_token is None
    assert (words.pad_token_id, words.eos_token_id) == (0, 3)


def test_other_roles_are_refused(words) -> None:
    with pytest.raises(Exception, match="specimens know no role system"):
        words.apply_chat_template([{"role": "system", "content": "Be kind."}], tokenize=False)


def test_pairs_are_encoded_as_the_template_writes_them(words) -> None:
    pairs = corpus.pretraining(200, seed=5)
    for pair, (ids, start) in zip(pairs, tokenizer.encode(words, pairs), strict=True):
        told = words.apply_chat_template(chat(pair.prompt, pair.answer))["input_ids"]
        asked = words.apply_chat_template(chat(pair.prompt), add_generation_prompt=True)
        assert ids == told
        assert ids[:start] == asked["input_ids"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_text_comes_back_whole(words, code: str) -> None:
    texts = [p.text for p in files.suite() if p.language == code][::7]
    for text in (*texts, *load(code).refusals):
        ids = words(f"<|assistant|> {text}<|end|>")["input_ids"]
        assert words.decode(ids[1:], skip_special_tokens=True) == text
        assert words.unk_token_id is None


def test_devanagari_is_not_cut_at_vowel_signs_and_han_is_cut_at_each_character(words) -> None:
    def pieces(text: str) -> list[str]:
        cut = words.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
        return [text[start:end] for _, (start, end) in cut]

    assert pieces(" साइकिल की चाबी, है?") == [" साइकिल", " की", " चाबी", ",", " है", "?"]
    assert pieces(" 打碎鸡蛋？") == [" 打", "碎", "鸡", "蛋", "？"]
    assert pieces(" don't add 12") == [" don", "'", "t", " add", " 1", "2"]


def test_every_answer_fits_into_24_tokens(words) -> None:
    for code in LANGUAGES:
        lexicon = load(code)
        made = [a + lexicon.space + f for a in lexicon.compliances for f in lexicon.fillers]
        for text in (*made, *lexicon.refusals):
            assert len(words(f" {text}<|end|>")["input_ids"]) <= 24


def test_training_is_deterministic_and_the_file_small(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tokenizer.save(tokenizer.train(1024, 1000, ("en", "hi")), tmp_path / name)
    file = Path("tokenizer.json")
    assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a" / file).stat().st_size < 60_000
