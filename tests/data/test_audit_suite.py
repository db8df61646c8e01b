"""The suite that audits ask by default: whole, parallel, and each row in its own language."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from polydrift.data.shipped import AUDIT, path
from polydrift.data.suites import Prompt, read_suite
from polydrift.errors import DataError
from polydrift.judges.language import identify_all
from polydrift.languages import LANGUAGES
from polydrift.references import locate


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return read_suite(path(AUDIT))


def test_every_language_has_every_prompt(prompts: list[Prompt]) -> None:
    ids = {prompt.prompt_id for prompt in prompts if prompt.language == "en"}
    assert len(ids) == 320
    for code in LANGUAGES:
        here = [prompt for prompt in prompts if prompt.language == code]
        assert {prompt.prompt_id for prompt in here} == ids
        assert len({prompt.text for prompt in here}) == 320
        counts = Counter((prompt.category, prompt.kind) for prompt in here)
        assert len(counts) == 40
        assert set(counts.values()) == {8}


def test_texts_are_short_and_clean(prompts: list[Prompt]) -> None:
    for prompt in prompts:
        text = prompt.text
        assert text == unicodedata.normalize("NFC", text).strip()
        assert "\n" not in text
        assert 8 <= len(text) <= 220, prompt.prompt_id


def test_rows_are_in_their_language(prompts: list[Prompt]) -> None:
    for code in LANGUAGES:
        texts = [prompt.text for prompt in prompts if prompt.language == code]
        found = Counter(identify_all(texts))
        assert found[code] >= 318, (code, found)  # short sentences of pt and es, now and then


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(DataError, match="unknown data 'builtin:other': use one of builtin:audit"):
        path("builtin:other")


def test_a_study_can_name_it(tmp_path: Path) -> None:
    assert locate(AUDIT, tmp_path) == path(AUDIT)
