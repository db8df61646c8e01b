"""Text to token ids, through the chat template that the model was trained with.

    >>> chat = Chat(tokenizer)
    >>> ids = chat.prompt("Hello")                # up to where the model's answer begins
    >>> ids, start = chat.example("Hello", "Hi")  # the same ids, then the answer and its end
    >>> ids[:start] == chat.prompt("Hello")
    True

What has gone wrong in public code, and is settled here once for tuning and evaluation alike:

- The template writes the beginning-of-sequence token itself, so its text is tokenized with no
  special tokens added: one of them, not two.
- The turn's end token is part of an example and is learned, or the tuned model never stops. Which
  token that is, is read off a rendered conversation. Generation stops at it, at the tokenizer's
  end of sequence, and at every end that the model's generation settings name.
- Templates that can think are told not to (`enable_thinking=False`), in examples too.
- Templates that write today's date get `PINNED` instead, so that prompts are the same tomorrow.
- The prompt's ids must be the first ids of the example. Where a tokenizer merges letters across
  the border, the answer is tokenized by itself and joined on; `Chat.joined` counts these examples.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from polydrift.errors import ModelError

PINNED = datetime.datetime(2024, 7, 26)
"""The date that templates are given: the one that Llama's template falls back on by itself."""


class Chat:
    """How one model is spoken to: a user's request, the model's answer, nothing else.

    stop_ids: tokens that end an answer. joined: examples whose answer was tokenized by itself.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        stop_ids: Iterable[int] = (),
    ) -> None:
        """Read off the template how a turn ends. stop_ids: further ones, from the model's
        generation settings.
        """
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}
        self.joined = 0
        try:
            self._template = pinned(tokenizer.get_chat_template())
        except ValueError:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path} has no chat template, so it is unknown "
                "how the model is spoken to; put the template beside its files as "
                "chat_template.jinja, or name a tokenizer that has one (`tokenizer = ...`)."
            ) from None
        self._ending, end = self._turn_end()
        eos = tokenizer.eos_token_id
        self.stop_ids = frozenset({end, *stop_ids} | (set() if eos is None else {int(eos)}))

    def prompt(self, text: str) -> list[int]:
        """Token ids of the request `text`, up to where the answer begins."""
        if text not in self._known:
            self._known[text] = tuple(self._ids(self._render(text)))
        return list(self._known[text])

    def fitted(self, text: str, limit: int) -> tuple[list[int], bool]:
        """`prompt(text)` in at most `limit` tokens, and whether `text` had to be cut for it.

        The request loses its end; the template around it stays whole. ModelError when not even an
        empty request fits.
        """
        ids = self.prompt(text)
        if len(ids) <= limit:
            return ids, False
        low, high = 0, len(text)  # `low` characters fit, `high` do not
        if len(self._ids(self._render(""))) > limit:
            raise ModelError(
                f"the chat template of {self._tokenizer.name_or_path} alone takes more than the "
                f"{limit} tokens that are left for a prompt; ask for fewer new tokens, or use a "
                "model with a longer context."
            )
        while high - low > 1:
            middle = (low + high) // 2
            if len(self._ids(self._render(text[:middle]))) <= limit:
                low = middle
            else:
                high = middle
        return self._ids(self._render(text[:low])), True

    def example(self, request: str, response: str) -> tuple[list[int], int]:
        """Token ids of a request and its answer, end of turn included, and where the answer starts.

        What the template writes after the end of turn (a line break, say) is left out: no answer
        ever gets there.
        """
        prompt = self.prompt(request)
        rendered = self._render(request, response)
        shown, separator, _ = rendered.rpartition(self._ending)
        ids = self._ids(shown + separator)
        if not separator or ids[: len(prompt)] != prompt:
            self.joined += 1
            ids = prompt + self._ids(response + self._ending)
        return ids, len(prompt)

    def text(self, ids: Sequence[int]) -> str:
        """The text of an answer's token ids, control tokens left out."""
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def first_tokens(self, openers: Sequence[str]) -> list[int]:
        """The tokens that answers which open with one of `openers` begin with; sorted, unique."""
        examples = (self.example("?", opener) for opener in openers)
        return sorted({ids[start] for ids, start in examples})

    def _turn_end(self) -> tuple[str, int]:
        """The text that ends an answer's turn, and the id of its last token."""
        request, response = "request", "response"
        _, shown, after = self._render(request, response).rpartition(response)
        if not shown:
            raise ModelError(
                f"the chat template of {self._tokenizer.name_or_path} does not show what the "
                "assistant says; put a right one beside its files as chat_template.jinja."
            )
        control = self._tokenizer.added_tokens_decoder
        for token in self._ids(after):
            if token in control:
                before, written, _ = after.partition(control[token].content)
                return before + written, token
        if self._tokenizer.eos_token_id is None:
            raise ModelError(
                f"neither the chat template nor the tokenizer of {self._tokenizer.name_or_path} "
                "says how an answer ends; set `eos_token` in tokenizer_config.json."
            )
        return str(self._tokenizer.eos_token), int(self._tokenizer.eos_token_id)

    def _render(self, request: str, response: str | None = None) -> str:
        messages = [{"role": "user", "content": request}]
        if response is not None:
            messages.append({"role": "assistant", "content": response})
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages,
                    chat_template=self._template,
                    add_generation_prompt=response is None,
                    tokenize=False,
                    enable_thinking=False,
                )
            )
        except TemplateError as error:
            raise ModelError(
                f"the chat template of {self._tokenizer.name_or_path} fails on a "
                f"{' and a '.join(m['role'] for m in messages)} turn: {error}."
            ) from error

    def _ids(self, rendered: str) -> list[int]:
        return [int(i) for i in self._tokenizer.encode(rendered, add_special_tokens=False)]


def pinned(template: str) -> str:
    """The template with a `strftime_now` of its own, which knows only `PINNED`."""
    if "strftime_now" not in template:
        return template
    written = {code: PINNED.strftime(f"%{code}") for code in "aAbBdHIjmMpSUwWyY"}
    replaced = "".join(
        f"|replace('%-{code}', '{text.lstrip('0')}')|replace('%{code}', '{text}')"
        for code, text in written.items()
    )
    macro = f"{{%- macro strftime_now(format) %}}{{{{ format{replaced} }}}}{{% endmacro %}}"
    return macro + "{{ '' }}" + template
