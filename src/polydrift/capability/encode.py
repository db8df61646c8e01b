"""Requests of lm-evaluation-harness to token ids, exactly as its `hf` model makes them.

    >>> encoder = Encoder(model)
    >>> encoder.pairs([("Copenhagen is in", " Denmark")])
    [Row(context=(1, 412, 77), continuation=(903,), truncated=False)]

What that means (lm_eval 0.4.13, `TemplateLM` and `HFLM`):

- Special tokens are added as the tokenizer adds them by itself, unless the text begins with the
  beginning-of-sequence token already: one of them, not two.
- Blanks that end a context go to the continuation; context and continuation are tokenized as one
  text, and what comes after the context's own tokens is the continuation.
- An empty context is the beginning-of-sequence token, or the end-of-sequence token if there is no
  other.
- What does not fit the context window loses its beginning, and is counted.
- A text of its own, for perplexity, is cut into windows (`score.rolling`). Where the tokenizer adds
  a beginning-of-sequence token, that token is scored as well, after another one: lm-eval does so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polydrift.capability.silence import harness
from polydrift.engine.model import Model
from polydrift.engine.texts import Tokens
from polydrift.errors import MeasureError


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids of one request; truncated: the context lost its beginning."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    truncated: bool = False

    @property
    def ids(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Context and continuation."""
        return self.context, self.continuation


class Encoder(Tokens):
    """A model's tokenizer as lm-eval uses it. window: the most tokens that are read at once."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._name = model.source.model
        self.window: int = harness("models.utils").resolve_max_length(
            model.network.config, model.tokenizer
        )

    def pairs(self, requests: Sequence[tuple[str, str]]) -> list[Row]:
        """Rows of (context, continuation) pairs."""
        moved = [_moved(*pair) for pair in requests]
        joined = [text for context, end in moved for text in (context, context + end)]
        known = self.ids(joined, self.opening)
        alone = self.ids([end for context, end in requests if context == ""], plain=True)
        rows = []
        for (context, end), (kept, rest) in zip(requests, moved, strict=True):
            if context:
                before = known[kept]
                after = known[kept + rest][len(before) :]
            else:
                before, after = (self.prefix,), alone[end]
                after = after[1:] if after[:1] == before else after
            rows.append(self._row(before, after, context, end))
        return rows

    def text_rows(self, texts: Sequence[str]) -> list[list[Row]]:
        """Of each text, the windows in which every token is scored once."""
        return [
            [Row(tuple(ids[:start]), tuple(ids[start:])) for ids, start in rows]
            for rows in self.windows(texts, self.window)
        ]

    def prompts(self, texts: Sequence[str], new: int) -> list[Row]:
        """Contexts that leave room for `new` tokens; their continuation is empty."""
        room = self.room(new)
        known = self.ids(texts, self.tokenizer.bos_token)
        if any(not ids for ids in known.values()):
            raise MeasureError(
                f"a task asks {self._name} to go on from an empty context, and its tokenizer adds "
                "no token to begin with; leave the task out, or use a chat template."
            )
        return [Row(known[text][-room:], (), len(known[text]) > room) for text in texts]

    def room(self, new: int, task: str | None = None) -> int:
        """The most tokens of a context before `new` ones; MeasureError if there are none."""
        if new >= self.window:
            raise MeasureError(
                f"the task {task} asks for up to {new} new tokens, and {self._name} was made for "
                f"{self.window} tokens in all; set a lower one (generation={{'max_gen_toks': …}})."
            )
        return self.window - new

    def decode(self, ids: Any) -> str:
        """Text of new ids, as lm-eval's `hf` model shows it: special tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _row(
        self, before: tuple[int, ...], after: tuple[int, ...], context: str, continuation: str
    ) -> Row:
        if not after or not before or len(after) > self.window:
            what = "no token" if not after or not before else f"{len(after)} tokens"
            which = "context" if after and not before else "continuation"
            raise MeasureError(
                f"the {which} of a request ({_shown(context)}, {_shown(continuation)}) takes "
                f"{what} of {self._name}, which reads 1 to {self.window}; leave its task out."
            )
        whole = (*before, *after)
        kept = whole[-(self.window + 1) :]  # the last one is predicted, not read
        return Row(kept[: -len(after)], after, len(kept) < len(whole))


def _moved(context: str, continuation: str) -> tuple[str, str]:
    """The pair with the blanks that end the context at the head of the continuation."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
