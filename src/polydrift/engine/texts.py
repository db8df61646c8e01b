"""Texts without a chat form to token ids, and long ones to windows.

    >>> tokens = Tokens(model)
    >>> rows = tokens.windows(["A text.", "A longer one."], 2048)   # of each, for `score_ids`

As lm-evaluation-harness's `hf` model does it (lm_eval 0.4.13, `TemplateLM` and `HFLM`): special
tokens are added as the tokenizer adds them by itself, unless the text begins with the
beginning-of-sequence token already: one of them, not two. A text without context begins after that
token, or after the end-of-sequence token if there is no other. A beginning-of-sequence token that
the tokenizer adds is scored as well, after another one: lm-eval does so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polydrift.engine.model import Model
from polydrift.engine.quiet import quiet
from polydrift.engine.score import Ids, rolling
from polydrift.errors import ModelError


class Tokens:
    """A model's tokenizer, for texts as they are.

    prefix: the token before a text without context. opening: its text.
    """

    def __init__(self, model: Model) -> None:
        tokenizer = model.tokenizer
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        if bos is None and eos is None:
            raise ModelError(
                f"the tokenizer of {model.source.model} has neither a beginning-of-sequence nor an "
                "end-of-sequence token, so a text without context cannot be scored; set "
                "`eos_token` in tokenizer_config.json."
            )
        self.tokenizer = tokenizer
        self.prefix = int(eos if bos is None else bos)
        self.opening = str(tokenizer.decode(self.prefix))

    def ids(
        self, texts: Iterable[str], opening: str | None = None, *, plain: bool = False
    ) -> dict[str, tuple[int, ...]]:
        """Ids of each text, with special tokens unless it begins with `opening`; plain: without."""
        unique = dict.fromkeys(texts)
        opened = {
            text: plain or (opening is not None and text.startswith(opening)) for text in unique
        }
        found: dict[str, tuple[int, ...]] = {}
        for bare in (False, True):
            some = [text for text in unique if opened[text] is bare]
            if some:
                with quiet():  # it warns of texts beyond the window: they are cut
                    rows = self.tokenizer(some, add_special_tokens=not bare)["input_ids"]
                found.update(zip(some, map(tuple, rows), strict=True))
        return found

    def windows(self, texts: Sequence[str], size: int) -> list[list[Ids]]:
        """Of each text, the windows of so many tokens in which every token is scored once."""
        known = self.ids(texts, self.opening)
        return [list(rolling(known[text], self.prefix, size)) for text in texts]
