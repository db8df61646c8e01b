"""Texts to read: long and wide files, and every sentence said of a bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polydrift.data.corpora import Text, read_corpus
from polydrift.errors import DataError

NINE = {
    "en": "Bread is made of flour.", "zh": "面包由面粉制成。", "da": "Brød laves af mel.",
    "el": "Το ψωμί γίνεται από αλεύρι.", "hi": "रोटी आटे से बनती है।", "ga": "Déantar arán as plúr.",
    "pt": "O pão é feito de farinha.", "es": "El pan se hace de harina.",
    "tl": "Gawa sa harina ang tinapay.",
}  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_columns_called_after_languages_are_the_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.jsonl", [{"unit": "1", "topic": "food", **NINE}])
    assert read_corpus(path) == [Text("1", code, text) for code, text in NINE.items()]


def test_a_row_per_text(tmp_path: Path) -> None:
    rows = [{"id": 1, "language": code, "text": text} for code, text in NINE.items()]
    path = write(tmp_path / "long.jsonl", rows)
    assert {one.language: one.text for one in read_corpus(path)} == NINE


def test_columns_can_be_named_and_rows_picked(tmp_path: Path) -> None:
    rows = [
        {"n": str(i), "split": split, "dan_Latn": NINE["da"], "ell_Grek": NINE["el"]}
        for i, split in enumerate(("train", "test"))
    ]
    path = write(tmp_path / "flores.jsonl", rows)
    columns = {"id": "n", "text.da": "dan_Latn", "text.el": "ell_Grek"}
    found = read_corpus(path, columns=columns, select={"split": "test"})
    assert found == [Text("1", "da", NINE["da"]), Text("1", "el", NINE["el"])]


def test_pieces_are_lines_and_blank_texts_are_left_out(tmp_path: Path) -> None:
    rows = [{"id": "a", "en": ["One.", "Two."], "da": None}, {"id": "b", "en": " ", "da": "To."}]
    path = write(tmp_path / "pieces.jsonl", rows)
    assert read_corpus(path) == [Text("a", "en", "One.\nTwo."), Text("b", "da", "To.")]


BAD: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no texts": ([{"id": "1", "words": "x"}], {}, "no column of texts; there are id, words"),
    "no such column": ([{"da": "x"}], {"columns": {"text.da": "dansk"}}, "no column 'dansk'"),
    "no such language": ([{"x": "y"}], {"columns": {"text.xx": "x"}}, "unknown field 'text.xx'"),
    "no language": ([{"id": "1", "text": "x"}], {}, "no language: say which"),
    "twice": (
        [{"id": "1", "language": "da", "text": t} for t in ("x", "y")], {},
        "text '1' in da stands already at",
    ),
    "all blank": ([{"id": "1", "da": ""}], {}, "every text is blank"),
    "a number": ([{"id": "1", "language": "da", "text": 7}], {}, "text"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_corpus_is_one_sentence(name: str, tmp_path: Path) -> None:
    rows, options, sentence = BAD[name]
    path = write(tmp_path / "bad.jsonl", rows)
    with pytest.raises(DataError) as caught:
        read_corpus(path, **options)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
