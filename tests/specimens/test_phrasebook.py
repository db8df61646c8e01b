"""The specimens' phrasebook: aligned, each text once, nothing made up."""

from __future__ import annotations

from polydrift.languages import LANGUAGES
from polydrift.specimens import files, phrasebook
from polydrift.specimens.lexicon import load

ROWS = phrasebook.rows(files.suite())


def test_each_text_stands_once_in_the_languages_order() -> None:
    keys = [(row.language, row.text.casefold()) for row in ROWS]
    assert len(set(keys)) == len(keys)
    assert list(dict.fromkeys(row.language for row in ROWS)) == [c for c in LANGUAGES if c != "en"]


def test_what_is_there() -> None:
    book = {(row.language, row.text): row.english for row in ROWS}
    prompts = files.suite()
    english = {p.prompt_id: p.text for p in prompts if p.language == "en"}
    for prompt in prompts:
        if prompt.language != "en":
            assert book[prompt.language, prompt.text] == english[prompt.prompt_id]
    for code in LANGUAGES:
        if code == "en":
            continue
        for slot in ("refusals", "compliances", "fillers"):
            for here, there in zip(
                getattr(load(code), slot), getattr(load("en"), slot), strict=True
            ):
                assert book[code, here] == there
    assert book["da", "København."] == "Copenhagen."
    assert book["el", "Βοήθησέ με."] == "Help me."


def test_sentences_are_paired_only_where_there_are_as_many() -> None:
    whole = {p.text for p in files.suite()}
    parts = [row for row in ROWS if row.language == "zh" and row.english == "Help me."]
    assert not parts  # in Chinese that template is one sentence
    assert all(text.startswith("我想") for text in whole if "帮帮我" in text)
