"""How probable continuations of a context are, each part that they share read once.

    >>> (found,) = score_choices(model, 1, [Choices((5, 9, 2), [(7,), (8,), (7, 4)])])
    >>> found[0][2]               # of the third: nats, and whether greedy decoding writes it
    (-3.1, False)

Of a multiple choice question the context is most and its continuations few tokens. Continuations
that differ in their last token alone need one pass over context and continuation (lm-evaluation-
harness does so too). Others have their context read once, its keys and values kept, and are then
read from there side by side; it does not. Either way each token is predicted from all before it, as
if it had been read alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from polydrift.engine.forward import (
    decoder,
    logits_at,
    next_logits,
    pad_left,
    pad_right,
    through_head,
    wide,
)
from polydrift.engine.interface import Progress, silent
from polydrift.engine.memory import cache_per_token, reading
from polydrift.engine.model import Model

Ids = tuple[int, ...]
Scored = tuple[float, bool]
"""Nats, summed over a continuation's tokens, and whether each of them is the likeliest there."""

_WORTH = 16  # tokens of context from which keeping its keys and values is faster than reading twice


@dataclass(frozen=True, slots=True)
class Choices:
    """A context of one token or more, and its continuations, each of one token or more."""

    context: Ids
    continuations: list[Ids]

    def bodies(self) -> list[Ids]:
        """What must be read after the context: continuations without their last token, unique."""
        return list(dict.fromkeys(one[:-1] for one in self.continuations))


@dataclass(frozen=True, slots=True)
class _Places:
    """Where logits predict a continuation: its tokens, and of each the row of `logits`."""

    tokens: Ids
    rows: list[int]


def score_choices(
    model: Model, lanes: int, asked: Sequence[Choices], *, progress: Progress = silent
) -> list[list[list[Scored]]]:
    """Scores by each adapter that the network computes side by side: [lanes][asked][continuations];
    NaN where the network overflows.
    """
    apart: list[tuple[int, Choices]] = []
    together: list[tuple[int, Choices]] = []
    for number, one in enumerate(asked):
        bodies = one.bodies()
        if len(bodies) > 1 and len(one.context) >= _WORTH:
            together.append((number, one))
            continue
        for body in bodies:
            fitting = [c for c in one.continuations if c[:-1] == body]
            apart.append((number, Choices(one.context, fitting)))
    found: list[list[dict[Ids, Scored]]] = [[{} for _ in asked] for _ in range(lanes)]
    size, done = len(apart) + len(together), 0
    for work, parts in ((_together, together), (_apart, apart)):
        for batch in _batches(model, [one for _, one in parts], lanes):
            rows = [parts[i] for i in batch]
            scores = iter(work(model, [one for _, one in rows] * lanes))
            for lane in range(lanes):
                for number, one in rows:
                    found[lane][number].update((c, next(scores)) for c in one.continuations)
            done += len(rows)
            progress(done / size, f"{done} of {size} contexts")
    return [
        [[known[c] for c in one.continuations] for known, one in zip(lane, asked, strict=True)]
        for lane in found
    ]


def _batches(model: Model, parts: Sequence[Choices], lanes: int) -> list[list[int]]:
    """Indices of contexts that are read at once, within the memory for their logits and caches."""
    if not parts:
        return []
    lengths = [len(one.context) + len(min(one.bodies(), key=len)) for one in parts]
    held = 0.0
    for one, length in zip(parts, lengths, strict=True):
        bodies = one.bodies()
        kept = 0 if len(bodies) == 1 else (1 + len(bodies)) * cache_per_token(model)
        logits = 1 + sum(map(len, bodies))  # rows of float32, and once more while they are summed
        held = max(held, kept + 8.0 * model.vocabulary * logits / length)
    return reading(model, lengths, held, lanes=lanes)


@torch.inference_mode()
def _apart(model: Model, rows: Sequence[Choices]) -> list[Scored]:
    """Scores, row after row, of rows whose continuations differ in their last token alone."""
    read = [(*one.context, *one.continuations[0][:-1]) for one in rows]
    ids = pad_right(read, model.device)
    place = torch.arange(ids.shape[1], device=model.device)
    start = torch.tensor([len(one.context) for one in rows], device=model.device)[:, None]
    end = torch.tensor([len(row) for row in read], device=model.device)[:, None]
    logits = logits_at(model, ids, (place >= start - 1) & (place < end))
    places, at = [], 0
    for one in rows:
        size = len(one.continuations[0])
        places += [_Places(c, list(range(at, at + size))) for c in one.continuations]
        at += size
    return _scored(logits, places)


@torch.inference_mode()
def _together(model: Model, rows: Sequence[Choices]) -> list[Scored]:
    """Scores, row after row, of rows whose contexts are read once for all their continuations."""
    ids, mask, positions = pad_left([one.context for one in rows], model.device)
    padded = bool((mask == 0).any())
    cache = DynamicCache(config=model.network.config)
    logits = next_logits(
        model,
        input_ids=ids,
        attention_mask=mask if padded else None,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )
    bodies = [(row, body) for row, one in enumerate(rows) for body in one.bodies() if body]
    owner = torch.tensor([row for row, _ in bodies], device=model.device)
    more = pad_right([body for _, body in bodies], model.device)
    size = torch.tensor([len(body) for _, body in bodies], device=model.device)
    place = torch.arange(more.shape[1], device=model.device)
    cache.batch_select_indices(owner)
    rest = _logits(
        model,
        place < size[:, None],
        input_ids=more,
        attention_mask=torch.cat([mask[owner], torch.ones_like(more)], 1) if padded else None,
        position_ids=positions[owner, -1:] + 1 + place,
        past_key_values=cache,
        use_cache=True,
    )
    ends = accumulate((len(body) for _, body in bodies), initial=0)
    first = dict(zip(bodies, ends, strict=False))
    begun, went_on = [], []
    for row, one in enumerate(rows):
        for c in one.continuations:
            at = first.get((row, c[:-1]), 0)
            begun.append(_Places(c[:1], [row]))
            went_on.append(_Places(c[1:], list(range(at, at + len(c) - 1))))
    return [
        (a + b, yes and also)
        for (a, yes), (b, also) in zip(_scored(logits, begun), _scored(rest, went_on), strict=True)
    ]


def _logits(model: Model, chosen: Tensor, **inputs: Any) -> Tensor:
    """Float32 logits [n, vocabulary] at the chosen positions [rows, length], n of them."""
    if not model.splits:
        whole: Tensor = model.network(**inputs).logits
        return wide(whole[chosen])
    return through_head(model.network, decoder(model.network)(**inputs).last_hidden_state[chosen])


def _scored(logits: Tensor, places: Sequence[_Places]) -> list[Scored]:
    """Of each continuation its score. logits: [n, vocabulary]."""
    row = torch.tensor([i for one in places for i in one.rows], device=logits.device)
    token = torch.tensor([i for one in places for i in one.tokens], device=logits.device)
    nats = (logits[row, token] - logits.logsumexp(-1)[row]).double().cpu()
    likeliest = (logits.argmax(-1)[row] == token).cpu()
    sizes = [len(one.tokens) for one in places]
    return [
        (float(one.sum()), bool(right.all()))
        for one, right in zip(torch.split(nats, sizes), torch.split(likeliest, sizes), strict=True)
    ]
