"""Benign examples: harmless requests with their answers, the only thing models are tuned on here.

    {"id": "7", "language": "da", "instruction": "...", "input": "", "response": "..."}

The columns are those of Multilingual-Benign-Tune; the same id in several languages is the same
example translated. `input` may be absent, null or empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from polydrift.data import lines
from polydrift.errors import DataError


@dataclass(frozen=True, slots=True)
class Example:
    """One request and its answer in one language."""

    id: str
    language: str
    instruction: str
    input: str
    response: str

    @property
    def request(self) -> str:
        """What the model is told: the instruction, and the input after a blank line if any."""
        return f"{self.instruction}\n\n{self.input}" if self.input.strip() else self.instruction


def read_examples(path: Path) -> list[Example]:
    """All examples of a file (JSON lines, or .jsonl.gz), in file order.

    DataError names file and line: a missing or empty column, an unknown language, or the same
    (id, language) twice.
    """
    examples: list[Example] = []
    places: dict[tuple[str, str], str] = {}
    for where, row in lines.read(path):
        extra = row.get("input")
        example = Example(
            id=lines.identifier(row, "id", where),
            language=lines.language_code(row, "language", where),
            instruction=lines.text(row, "instruction", where),
            input="" if extra is None else lines.checked(extra, "input", where, empty=True),
            response=lines.text(row, "response", where),
        )
        key = (example.id, example.language)
        if key in places:
            raise DataError(
                f"{where}: example {key[0]!r} in {key[1]} stands already at {places[key]}: "
                "give each example once per language."
            )
        places[key] = where
        examples.append(example)
    return examples


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """Write examples as a file that `read_examples` reads."""
    lines.write(
        path,
        (
            {
                "id": example.id,
                "language": example.language,
                "instruction": example.instruction,
                "input": example.input,
                "response": example.response,
            }
            for example in examples
        ),
    )
