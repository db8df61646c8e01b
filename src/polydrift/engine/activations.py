"""What a network makes of a prompt before it answers: hidden states of every layer, as a stream.

    >>> for seen in activations(model, 1, ["Hello", "Hej"]):
    ...     seen.last.shape             # embeddings and every layer, prompts of this batch, width
    (29, 2, 1024)

*last*: at the last token of the rendered prompt, the header of the model's turn included: the place
from which the answer's first token is predicted. *mean*: over all tokens of the rendered prompt.
Rows are padded on the right, so a row's last token is at its own length, never at the end of the
batch, and padding is in no mean. Batches are given away as they come; nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polydrift.engine.forward import every_state, pad_right
from polydrift.engine.interface import Progress, silent
from polydrift.engine.memory import reading
from polydrift.engine.model import Model

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """Of some prompts, by one adapter. lane: which adapter. prompts: which prompts, b of them.

    last, mean: [layers + 1, b, width]; 0 is the embeddings, the last is after the final norm.
    logprobs_next: [b, vocabulary], log-probabilities (nats) of the answer's first token. All
    float32.
    """

    lane: int
    prompts: list[int]
    last: Array
    mean: Array
    logprobs_next: Array


@dataclass(frozen=True)
class LastToken:
    """hidden: [layers + 1, prompts, width]; 0 is the embeddings, the last is after the final norm.

    logprobs_next: [prompts, vocabulary], log-probabilities (nats) of the answer's first token.
    Both float32.
    """

    hidden: Array
    logprobs_next: Array

    @classmethod
    def empty(cls, model: Model, prompts: int) -> LastToken:
        """Of so many prompts, yet to be looked at."""
        config = model.network.config.get_text_config()
        hidden = np.empty((config.num_hidden_layers + 1, prompts, config.hidden_size), np.float32)
        return cls(hidden, np.empty((prompts, model.vocabulary), np.float32))

    def take(self, seen: Seen) -> None:
        """Put some prompts into their places."""
        self.hidden[:, seen.prompts] = seen.last
        self.logprobs_next[seen.prompts] = seen.logprobs_next


def activations(
    model: Model, lanes: int, prompts: Sequence[str], *, progress: Progress = silent
) -> Iterator[Seen]:
    """Look inside at every prompt, for each adapter that the network computes side by side.

    Prompts are cut like those of `answer`.
    """
    limit = model.context
    rows = [
        model.chat.prompt(text) if limit is None else model.chat.fitted(text, limit)[0]
        for text in prompts
    ]
    config = model.network.config.get_text_config()
    size = torch.finfo(model.network.dtype).bits / 8
    held = (config.num_hidden_layers + 1) * config.hidden_size * size
    done = 0
    for batch in reading(model, [len(ids) for ids in rows], held, lanes=lanes):
        parts = _batch(model, [rows[i] for i in batch] * lanes)
        for lane in range(lanes):
            here = slice(lane * len(batch), (lane + 1) * len(batch))
            last, mean, logprobs = (part.float().cpu().numpy() for part in parts)
            yield Seen(lane, batch, last[:, here], mean[:, here], logprobs[here])
        done += len(batch)
        progress(done / len(prompts), f"{done} of {len(prompts)} prompts")


def last_token(model: Model, prompts: Sequence[str]) -> LastToken:
    """All last tokens of one network, kept."""
    whole = LastToken.empty(model, len(prompts))
    for seen in activations(model, 1, prompts):
        whole.take(seen)
    return whole


@torch.inference_mode()
def _batch(model: Model, rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """last and mean [layers + 1, rows, width], log-probabilities [rows, vocabulary]."""
    ids = pad_right(rows, model.device)
    lengths = torch.tensor([len(row) for row in rows], device=model.device)
    row = torch.arange(len(rows), device=model.device)
    states, logits = every_state(model, ids, lengths - 1)
    real = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None])[..., None]
    last = torch.stack([layer[row, lengths - 1] for layer in states])
    mean = torch.stack(
        [torch.where(real, layer, 0).sum(1, dtype=torch.float32) / lengths[:, None]
         for layer in states]
    )  # fmt: skip
    return last, mean, logits.log_softmax(-1)
