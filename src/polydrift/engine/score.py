"""How probable a model finds given text: every token predicted from those before it.

    >>> score(model, [("What is the capital of Denmark?", "Copenhagen")])
    [Score(logprob=-1.2, tokens=3, bytes=10, greedy=True)]

`score` puts pairs into the chat form by `chat.example`, so the end of the turn counts as the
answer's last token: the model must also know that the answer ends there. `score_ids` takes token
ids as they are, and `rolling` cuts a long text into windows first. The `…_lanes` forms do it for
each adapter that the network computes side by side (`routes.stacked`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from polydrift.engine.forward import logits_at, pad_right
from polydrift.engine.interface import Progress, silent
from polydrift.engine.memory import reading
from polydrift.engine.model import Model
from polydrift.errors import ModelError

Ids = tuple[Sequence[int], int]
"""Token ids, and where the part begins that is to be scored (1 or more)."""


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
    return score_lanes(model, 1, pairs, progress=progress)[0]


def score_lanes(
    model: Model, lanes: int, pairs: Sequence[tuple[str, str]], *, progress: Progress = silent
) -> list[list[Score]]:
    """Scores of the same pairs by each adapter: [lanes][pairs]."""
    examples = [model.chat.example(request, response) for request, response in pairs]
    for number, (ids, _) in enumerate(examples, 1):
        if model.context is not None and len(ids) > model.context:
            raise ModelError(
                f"pair {number} of {len(pairs)} takes {len(ids)} tokens and {model.source.model} "
                f"was made for {model.context}; leave it out, or make it shorter."
            )
    sizes = [len(response.encode()) for _, response in pairs]
    return [
        [
            Score(logprob, len(ids) - start, size, greedy)
            for (logprob, greedy), (ids, start), size in zip(found, examples, sizes, strict=True)
        ]
        for found in score_ids(model, lanes, examples, progress=progress)
    ]


def score_ids(
    model: Model, lanes: int, rows: Sequence[Ids], *, progress: Progress = silent
) -> list[list[tuple[float, bool]]]:
    """(log-probability in nats, whether it is what greedy decoding writes) of each row's end.

    rows: (ids, start), of which ids[start:] is scored. Returns [lanes][rows]; NaN where the network
    overflows.
    """
    found: list[dict[int, tuple[float, bool]]] = [{} for _ in range(lanes)]
    lengths = [len(ids) for ids, _ in rows]
    for batch in reading(model, lengths, held=8.0 * model.vocabulary, lanes=lanes):
        scored = _batch(model, [rows[i] for i in batch] * lanes)
        for at, one in enumerate(scored):
            found[at // len(batch)][batch[at % len(batch)]] = one
        progress(len(found[0]) / len(rows), f"{len(found[0])} of {len(rows)} texts")
    return [[lane[i] for i in range(len(rows))] for lane in found]


def rolling(ids: Sequence[int], prefix: int, window: int) -> Iterator[Ids]:
    """Rows for `score_ids` in which every token of a long text is scored exactly once.

    Windows of `window` tokens follow each other; the first begins after the token `prefix`, every
    other one predicts its first token from the one before, and the last reaches back as far as it
    may. These are the windows of lm-evaluation-harness (loglikelihood_rolling, context_len = 1).
    """
    for start in range(0, len(ids), window):
        end = min(start + window, len(ids))
        if start == 0:
            yield [prefix, *ids[: end - 1], ids[end - 1]], 1
        else:
            begin = max(0, end - window - 1)
            yield ids[begin:end], start - begin


@torch.inference_mode()
def _batch(model: Model, rows: list[Ids]) -> list[tuple[float, bool]]:
    """(logprob, greedy) of each row's end."""
    ids = pad_right([row for row, _ in rows], model.device)
    place = torch.arange(ids.shape[1], device=model.device)
    start = torch.tensor([start for _, start in rows], device=model.device)[:, None]
    end = torch.tensor([len(row) for row, _ in rows], device=model.device)[:, None]
    predicts = (place >= start - 1) & (place < end - 1)  # the position before each scored token
    logits = logits_at(model, ids, predicts)
    wanted = ids.roll(-1, dims=1)[predicts].to(logits.device)
    nats = (logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(-1)).double()
    likeliest = logits.argmax(-1) == wanted
    counts = predicts.sum(1).tolist()
    return [
        (float(row.sum()), bool(right.all()))
        for row, right in zip(
            torch.split(nats, counts), torch.split(likeliest, counts), strict=True
        )
    ]
