"""A prompt: what models are asked, the same id in every language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["unsafe", "safe-lookalike"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question in one language. `prompt_id` is the same in all languages."""

    prompt_id: str
    language: str
    kind: Kind
    category: str
    text: str
