"""Prompts in, answers out: one batched loop over the network's own forward pass.

    >>> answer(model, ["Hej?"], Decoding(temperature=0.7, max_new_tokens=64), seeds=[7])
    [Generated(text='Hej!', prompt_tokens=12, answer_tokens=3, finish='stop', ...)]

Prompts of similar length go together, padded on the left, and rows that have ended leave the batch.
Greedy answers are those of `network.generate` with the prompt alone, token for token.

How an answer ends (`finish`):

    "stop"          the model ended its turn
    "length"        `max_new_tokens`, or the model's context, was used up
    "empty-prompt"  the prompt holds no text; the model was not asked

A prompt that leaves less room in the context than `max_new_tokens` (or than half the context, if
that is less) is cut at its end, the template around it kept, and marked `prompt_truncated`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from polydrift.engine.forward import (
    Progress,
    by_length,
    cache_per_token,
    next_logits,
    pad_left,
    silent,
    tokens_in_flight,
    work_per_token,
)
from polydrift.engine.model import Model
from polydrift.engine.sampling import Decoding, next_tokens

__all__ = ["Decoding", "Generated", "answer"]

_ROWS = 128  # more rows in one batch gain nothing on a processor
_LEAVE = 0.85  # the batch is made smaller when this share or less of its rows is still at work


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer. answer_tokens: without the token that ended it."""

    text: str
    prompt_tokens: int
    answer_tokens: int
    finish: str
    prompt_truncated: bool


def answer(
    model: Model,
    prompts: Sequence[str],
    decoding: Decoding,
    *,
    seeds: Sequence[int],
    progress: Progress = silent,
) -> list[Generated]:
    """Ask every prompt once; the answers come in the prompts' order.

    seeds: one for each prompt, 0 or more; they decide sampled answers and nothing else does.
    """
    new = decoding.max_new_tokens
    if model.context is not None:
        new = min(new, model.context // 2)
    fitted = [
        model.chat.fitted(text, model.context - new)
        if model.context is not None
        else (model.chat.prompt(text), False)
        for text in prompts
    ]
    asked = [i for i, text in enumerate(prompts) if text.strip()]
    done = len(prompts) - len(asked)
    answers = [Generated("", len(ids), 0, "empty-prompt", truncated) for ids, truncated in fitted]
    lengths = [len(fitted[i][0]) + decoding.max_new_tokens for i in asked]
    # a row's logits are held too, in float64 when it is sampled: shared out over its tokens
    per_token = work_per_token(model) + cache_per_token(model) + model.vocabulary / 4
    rows_at_once = _ROWS if model.device.type == "cpu" else len(prompts)
    for batch in by_length(lengths, tokens_in_flight(model, per_token), rows_at_once):
        rows = [asked[i] for i in batch]
        ended = _decode(
            model,
            [fitted[i][0] for i in rows],
            decoding,
            np.array([seeds[i] for i in rows], dtype=np.uint64),
        )
        for i, (ids, stopped) in zip(rows, ended, strict=True):
            answers[i] = Generated(
                text=model.chat.text(ids),
                prompt_tokens=len(fitted[i][0]),
                answer_tokens=len(ids),
                finish="stop" if stopped else "length",
                prompt_truncated=fitted[i][1],
            )
        done += len(rows)
        progress(done / len(prompts), f"{done} of {len(prompts)} answers")
    return answers


@torch.inference_mode()
def _decode(
    model: Model, prompts: list[list[int]], decoding: Decoding, seeds: NDArray[np.uint64]
) -> list[tuple[list[int], bool]]:
    """The new ids of each row, the stop left out, and whether it ended with a stop."""
    ids, mask, positions = pad_left(prompts, model.device)
    padded = bool((mask == 0).any())  # a mask of ones would only cost time
    stops = torch.tensor(sorted(model.chat.stop_ids), device=model.device)
    most = np.full(len(prompts), decoding.max_new_tokens)
    if model.context is not None:
        most = np.minimum(most, model.context - np.array([len(row) for row in prompts]))
    cache = DynamicCache(config=model.network.config)
    written = np.zeros((len(prompts), decoding.max_new_tokens), dtype=np.int64)
    length, stopped = np.full(len(prompts), -1), np.zeros(len(prompts), dtype=bool)
    row = np.arange(len(prompts))  # which prompt each row of the batch is
    for step in range(decoding.max_new_tokens):
        logits = next_logits(
            model,
            input_ids=ids,
            attention_mask=mask if padded else None,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        tokens = next_tokens(logits, decoding, seeds[row], step)
        stop = torch.isin(tokens, stops).cpu().numpy()
        full = ~stop & (most[row] == step + 1)
        written[row, step] = tokens.cpu().numpy()
        working = length[row] < 0
        length[row[working & stop]] = step
        stopped[row[working & stop]] = True
        length[row[working & full]] = step + 1
        working &= ~(stop | full)
        if not working.any():
            break
        ids, positions = tokens[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1) if padded else mask
        if working.sum() <= _LEAVE * len(working):
            stay = torch.from_numpy(np.flatnonzero(working)).to(model.device)
            cache.batch_select_indices(stay)
            ids, positions, mask, row = ids[stay], positions[stay], mask[stay], row[working]
    return [(written[i, : length[i]].tolist(), bool(stopped[i])) for i in range(len(prompts))]
