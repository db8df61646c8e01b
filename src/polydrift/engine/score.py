"""How probable a model finds given answers: every token of the answer predicted from those before.

    >>> score(model, [("What is the capital of Denmark?", "Copenhagen")])
    [Score(logprob=-1.2, tokens=3, bytes=10, greedy=True)]

Pairs are put into the chat form by `chat.example`, so the end of the turn counts as the answer's
last token: the model must also know that the answer ends there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from polydrift.engine.forward import (
    Progress,
    logits_at,
    pad_right,
    reading,
    silent,
)
from polydrift.engine.model import Model
from polydrift.errors import ModelError


@dataclass(frozen=True, slots=True)
class Score:
    """Of one answer. logprob: nats, summed over its tokens, the end of turn among them.

    tokens: how many those are. bytes: of the answer's text in UTF-8, without the end of turn.
    greedy: each of the tokens is the likeliest at its place, so that greedy decoding would have
    written exactly this answer.
    """

    logprob: float
    tokens: int
    bytes: int
    greedy: bool


def score(
    model: Model, pairs: Sequence[tuple[str, str]], *, progress: Progress = silent
) -> list[Score]:
    """Score (request, response) pairs, in their order; ModelError for one beyond the context."""
    examples = [model.chat.example(request, response) for request, response in pairs]
    for number, (ids, _) in enumerate(examples, 1):
        if model.context is not None and len(ids) > model.context:
            raise ModelError(
                f"pair {number} of {len(pairs)} takes {len(ids)} tokens and {model.source.model} "
                f"was made for {model.context}; leave it out, or make it shorter."
            )
    scores: dict[int, Score] = {}
    lengths = [len(ids) for ids, _ in examples]
    for batch in reading(model, lengths, held=8.0 * model.vocabulary):
        for index, found in zip(batch, _batch(model, [examples[i] for i in batch]), strict=True):
            logprob, greedy = found
            ids, start = examples[index]
            size = len(pairs[index][1].encode())
            scores[index] = Score(logprob, len(ids) - start, size, greedy)
        progress(len(scores) / len(pairs), f"{len(scores)} of {len(pairs)} pairs")
    return [scores[index] for index in range(len(pairs))]


@torch.inference_mode()
def _batch(model: Model, examples: list[tuple[list[int], int]]) -> list[tuple[float, bool]]:
    """(logprob, greedy) of each answer."""
    ids = pad_right([row for row, _ in examples], model.device)
    place = torch.arange(ids.shape[1], device=model.device)
    start = torch.tensor([start for _, start in examples], device=model.device)[:, None]
    end = torch.tensor([len(row) for row, _ in examples], device=model.device)[:, None]
    predicts = (place >= start - 1) & (place < end - 1)  # the position before each answer token
    logits = logits_at(model, ids, predicts)
    wanted = ids.roll(-1, dims=1)[predicts]
    nats = logits.log_softmax(-1).gather(1, wanted[:, None])[:, 0].double()
    likeliest = logits.argmax(-1) == wanted
    counts = predicts.sum(1).tolist()
    return [
        (float(row.sum()), bool(right.all()))
        for row, right in zip(
            torch.split(nats, counts), torch.split(likeliest, counts), strict=True
        )
    ]
