"""What a translator is, whatever translates: a local model, a vendor's, a phrasebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Progress = Callable[[float, str], None]
"""What a long call reports: the share done (0 to 1), and a few words."""


def silent(done: float, text: str) -> None:
    """The progress of a call that nobody watches."""


class Translator(Protocol):
    """Turns sentences of one language into English."""

    def translate(
        self, sentences: Sequence[str], source: str, progress: Progress = silent
    ) -> list[str]:
        """One English sentence for each of `sentences`, in their order; "" for one that could not
        be translated. source: code of the language they are in, one of the nine.

        A sentence is translated by itself: its translation depends on no other of the call.
        DataError: an unknown language. ModelError: a model that cannot be asked.
        """
        ...
