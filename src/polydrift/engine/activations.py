"""What a network has made of a prompt just before it answers: hidden states at the last token.

    >>> seen = last_token(model, ["Hello", "Hej"])
    >>> seen.hidden.shape            # embeddings and every layer, prompts, width
    (29, 2, 1024)

The last token is the last of the rendered prompt, the header of the model's turn included: the
place from which the answer's first token is predicted. Rows are padded on the right, so a padded
row's last token is at its own length, never at the end of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polydrift.engine.forward import (
    Progress,
    last_states,
    pad_right,
    reading,
    silent,
)
from polydrift.engine.model import Model


@dataclass(frozen=True)
class LastToken:
    """hidden: [layers + 1, prompts, width]; 0 is the embeddings, the last is after the final norm.

    logprobs_next: [prompts, vocabulary], log-probabilities (nats) of the answer's first token.
    Both float32.
    """

    hidden: NDArray[np.float32]
    logprobs_next: NDArray[np.float32]


def last_token(model: Model, prompts: Sequence[str], *, progress: Progress = silent) -> LastToken:
    """Look inside at the last token of each prompt; prompts are cut like those of `answer`."""
    config = model.network.config.get_text_config()
    shape = (config.num_hidden_layers + 1, len(prompts), config.hidden_size)
    hidden = np.empty(shape, dtype=np.float32)
    logprobs = np.empty((len(prompts), model.vocabulary), dtype=np.float32)
    limit = model.context
    rows = [
        model.chat.prompt(text) if limit is None else model.chat.fitted(text, limit)[0]
        for text in prompts
    ]
    held = shape[0] * config.hidden_size * torch.finfo(model.network.dtype).bits / 8
    done = 0
    for batch in reading(model, [len(ids) for ids in rows], held):
        states, logits = _batch(model, [rows[i] for i in batch])
        hidden[:, batch] = states.float().cpu().numpy()
        logprobs[batch] = logits.log_softmax(-1).float().cpu().numpy()
        done += len(batch)
        progress(done / len(prompts), f"{done} of {len(prompts)} prompts")
    return LastToken(hidden, logprobs)


@torch.inference_mode()
def _batch(model: Model, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Hidden states [layers + 1, rows, width] and logits [rows, vocabulary] at each row's end."""
    ids = pad_right(rows, model.device)
    last = torch.tensor([len(row) - 1 for row in rows], device=model.device)
    return last_states(model, ids, last)
