"""Prompts between fixed words instead of a chat template: for models tuned on a form of their own.

    >>> chat = Completion(tokenizer, ("[INST] ", " [/INST]"))
    >>> tokenizer.decode(chat.prompt("Hello"))
    '<s>[INST] Hello [/INST]'

The text is tokenized whole with the special tokens that the tokenizer adds to any text, as vLLM
does with a prompt given as text. Of the token that begins a text, where the tokenizer knows one,
there is one; the token that ends a text is taken off again, for the answer is to follow.
"""

from __future__ import annotations

from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase

from polydrift.engine.chat import Chat


class Completion(Chat):
    """How a model is spoken to that knows no turns; see `Chat` for what callers may ask."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        around: tuple[str, str],
        *,
        stop_ids: Iterable[int] = (),
    ) -> None:
        """around: what stands before and after a prompt. stop_ids: further tokens that end an
        answer, from the model's generation settings.
        """
        self._tokenizer = tokenizer
        self._known = {}
        self._around = around
        self.joined = 0
        eos = tokenizer.eos_token_id
        self.stop_ids = frozenset({*stop_ids} | (set() if eos is None else {int(eos)}))
        self._ending = tokenizer.eos_token or ""

    def _render(self, request: str, response: str | None = None) -> str:
        before, after = self._around
        return f"{before}{request}{after}" + (
            "" if response is None else f"{response}{self._ending}"
        )

    def _ids(self, rendered: str) -> list[int]:
        ids = [int(i) for i in self._tokenizer.encode(rendered, add_special_tokens=True)]
        bos, eos = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        if ids and ids[-1] == eos and not rendered.endswith(self._ending or "\0"):
            ids.pop()
        if bos is not None and ids[:1] != [bos]:
            ids.insert(0, int(bos))
        return ids
