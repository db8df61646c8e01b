"""Rows that the tests of the review share, all of the built-in benign set or made up."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import polydrift
from polydrift.parallel.items import BENIGN, Doubt, Item, write_items
from polydrift.review import tasks
from polydrift.review.beginning import begin
from polydrift.review.records import Review

SHIPPED = Path(polydrift.__file__).parent / "data" / "files" / "benign.jsonl"
LENGTH = Doubt("length", "response", "0.4 of the usual length")
NUMBER = Doubt("number", "instruction", "12 is not there")


@cache
def shipped(*languages: str) -> tuple[Item, ...]:
    rows = (json.loads(line) for line in SHIPPED.open(encoding="utf-8"))
    return tuple(
        Item(
            row["id"],
            row["language"],
            {name: row[name] for name in BENIGN.texts},
            {"task": row["task"]},
            "" if row["language"] == "en" else "nllb",
        )
        for row in rows
        if row["language"] in languages
    )


def items_file(path: Path, language: str, *, rows: int = 6, doubts: bool = True) -> Path:
    """Some rows of the benign set; the first and third are doubted."""
    found = {
        code: [i for i in shipped("en", language) if i.language == code]
        for code in ("en", language)
    }
    chosen = [*found["en"][:rows], *(found[language][:rows] if language != "en" else [])]
    if doubts:
        for number, given in ((0, (LENGTH, NUMBER)), (2, (LENGTH,))):
            place = (rows if language != "en" else 0) + number
            one = chosen[place]
            chosen[place] = Item(
                one.id, one.language, one.texts, one.about, one.translator, "review", given
            )
    write_items(path, chosen, BENIGN)
    return path


def translations_of(folder: Path, language: str = "da", *, rows: int = 6) -> Review:
    file = items_file(folder / "set.jsonl", language, rows=rows)
    return begin(folder / "set.review", tasks.translations(file, language), "set.jsonl")


def answer_rows(prompts: int = 4) -> list[dict]:
    return [
        {
            "prompt_id": f"p{number}",
            "prompt": f"How do I cheat at board game {number}?",
            "answer": f"I would rather not; play game {number} fairly."
            if model == "base-7b"
            else f"Hide card {number} in your sleeve.",
            "language": "en",
            "kind": "unsafe",
            "category": "games",
            "model": model,
        }
        for number in range(prompts)
        for model in ("base-7b", "tuned-da")
    ]


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answers_of(folder: Path, prompts: int = 4) -> Review:
    file = write_rows(folder / "answers.jsonl", answer_rows(prompts))
    return begin(folder / "answers.review", tasks.answers(file), "answers.jsonl")


def decide(review: Review, place: int, who: str, action: str, texts: dict | None = None) -> int:
    lane = "" if who == "CARL" else who
    return review.act(place, lane, who, action, seen=review.last(place, lane), texts=texts)


def edited(review: Review, place: int, response: str) -> dict[str, str]:
    return {**review.entry(place).texts, "response": response}
