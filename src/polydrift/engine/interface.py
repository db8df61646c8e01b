"""What an engine is, whatever computes the answers: our cohort, a server, a vendor's model.

    >>> engine: Engine = Cohort(model, [None, Path("adapter-da"), Path("adapter-ga")])
    >>> for member, found in engine.answer(["Hej?"], Decoding(max_new_tokens=64), seeds=[7]):
    ...     print(member, found)
    0 [Generated(text='Hej!', prompt_tokens=12, answer_tokens=3, finish='stop', ...)]

Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from polydrift.errors import ModelError

Progress = Callable[[float, str], None]
"""What a long call reports: the share done (0 to 1), and a few words."""


def silent(done: float, text: str) -> None:
    """The progress of a call that nobody watches."""


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen.

    temperature: logits are divided by it; 0 takes the likeliest token. top_p: draw among the
    likeliest tokens that together have this much probability (1: among all). max_new_tokens: the
    answer is cut there.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer. answer_tokens: without the token that ended it.

    How it ended (`finish`):

        "stop"          the model ended its turn
        "length"        `max_new_tokens`, or the model's context, was used up
        "empty-prompt"  the prompt holds no text; the model was not asked
        "filtered"      a vendor's own filter kept the answer back
    """

    text: str
    prompt_tokens: int
    answer_tokens: int
    finish: str
    prompt_truncated: bool


class Engine(Protocol):
    """Members (variants of one base, the base itself among them) that can be asked."""

    @property
    def members(self) -> int:
        """How many there are; they are called 0, 1, … below."""
        ...

    def answer(
        self,
        prompts: Sequence[str],
        decoding: Decoding,
        *,
        seeds: Sequence[int],
        progress: Progress = silent,
    ) -> Iterator[tuple[int, list[Generated] | ModelError]]:
        """Ask every member every prompt: (member, its answers in the prompts' order), each member
        once, as they are done. A member that breaks has a ModelError in place of its answers and
        the others go on. seeds: one for each prompt, 0 or more; they decide sampled answers.
        """
        ...
