"""Answers: what a model said to a prompt, one JSON object a line.

An answer is found by (prompt id, language, sample), never by its position in a file. Judging reads
these rows and never writes to them: a new judge needs no new answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from polydrift.data import lines
from polydrift.errors import DataError


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    sample: 0, 1, … when a prompt is asked several times. finish: "stop" (the model ended its turn),
    "length" (the token limit ended it), "unknown" (another tool's file that does not say). Tokens
    are counted by the model's own tokenizer; prompt_tokens 0 means that nobody counted.
    prompt_truncated: the prompt did not fit the model and was cut.
    """

    prompt_id: str
    language: str
    sample: int
    text: str
    finish: str
    prompt_tokens: int
    answer_tokens: int
    prompt_truncated: bool


def write_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Write answers as JSON lines; equal answers give equal bytes."""
    lines.write(path, map(asdict, answers))


def read_answers(path: Path) -> list[Answer]:
    """All answers that `write_answers` wrote, in file order; DataError names file and line."""
    answers: list[Answer] = []
    places: dict[tuple[str, str, int], str] = {}
    for where, row in lines.read(path):
        truncated = row.get("prompt_truncated")
        if not isinstance(truncated, bool):
            raise DataError(f"{where}: 'prompt_truncated' must be true or false.")
        answer = Answer(
            prompt_id=lines.identifier(row, "prompt_id", where),
            language=lines.language_code(row, "language", where),
            sample=lines.number(row, "sample", where),
            text=lines.text(row, "text", where, empty=True),
            finish=lines.text(row, "finish", where),
            prompt_tokens=lines.number(row, "prompt_tokens", where),
            answer_tokens=lines.number(row, "answer_tokens", where),
            prompt_truncated=truncated,
        )
        key = (answer.prompt_id, answer.language, answer.sample)
        if key in places:
            raise DataError(
                f"{where}: sample {key[2]} of prompt {key[0]!r} in {key[1]} stands already at "
                f"{places[key]}: number the samples of a prompt 0, 1, …"
            )
        places[key] = where
        answers.append(answer)
    return answers
