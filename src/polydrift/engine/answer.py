"""Prompts in, answers out: one batched loop over the network's own forward pass.

    >>> answer(model, ["Hej?"], Decoding(temperature=0.7, max_new_tokens=64), seeds=[7])
    [Generated(text='Hej!', prompt_tokens=12, answer_tokens=3, finish='stop', ...)]

Prompts of similar length go together, padded on the left, and rows that have ended leave the batch.
Greedy answers are those of `network.generate` with the prompt alone, token for token. Where the
network computes several adapters at once (`routes.stacked`), `answer_lanes` asks them all: a batch
is [lanes · prompts, length], adapter-major, and stays so as rows leave.

A prompt that leaves less room in the context than `max_new_tokens` (or than half the context, if
that is less) is cut at its end, the template around it kept, and marked `prompt_truncated`.

`answer_ids` goes on from token ids as they are, without a template, to ends of the caller's own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from polydrift.engine.forward import next_logits, pad_left
from polydrift.engine.interface import Decoding, Generated, Progress, silent
from polydrift.engine.memory import by_length, cache_per_token, tokens_in_flight, work_per_token
from polydrift.engine.model import Model
from polydrift.engine.sampling import next_tokens
from polydrift.errors import ModelError

_ROWS = 128  # more rows in one batch gain nothing on a processor
_FILL = 8192  # prompt tokens read at once on a processor by `answer_ids`: more are slower
_LEAVE = 0.85  # the batch is made smaller when this share or less of its rows is still at work

Answers = list[Generated] | ModelError

Ended = tuple[list[int], str]
"""New token ids, without the one that stopped them, and how they ended (see `answer_ids`)."""

Until = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""Of the new ids of some rows [rows, written]: which rows end here, all their ids kept: [rows]."""


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
    (found,) = answer_lanes(model, 1, prompts, decoding, seeds=seeds, progress=progress)
    if isinstance(found, ModelError):
        raise found
    return found


def answer_lanes(
    model: Model,
    lanes: int,
    prompts: Sequence[str],
    decoding: Decoding,
    *,
    seeds: Sequence[int],
    progress: Progress = silent,
) -> list[Answers]:
    """Ask the same prompts of each adapter that the network computes side by side: [lanes].

    An adapter whose logits are not finite has a ModelError in place of its answers.
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
    blank = [Generated("", len(ids), 0, "empty-prompt", truncated) for ids, truncated in fitted]
    answers = [list(blank) for _ in range(lanes)]
    broken: dict[int, int] = {}  # lane: a prompt that it broke on
    for batch, ended in _batches(
        model,
        lanes,
        [fitted[i][0] for i in asked],
        decoding,
        [seeds[i] for i in asked],
        model.chat.stop_ids,
    ):
        rows = [asked[i] for i in batch]
        for at, (ids, finish) in enumerate(ended):
            lane, i = at // len(rows), rows[at % len(rows)]
            if finish == "broken":
                broken[lane] = min(i, broken.get(lane, i))
            answers[lane][i] = Generated(
                text=model.chat.text(ids),
                prompt_tokens=len(fitted[i][0]),
                answer_tokens=len(ids),
                finish=finish,
                prompt_truncated=fitted[i][1],
            )
        done += len(rows)
        progress(done / len(prompts), f"{lanes * done} of {lanes * len(prompts)} answers")
    return [
        _overflow(broken[lane], len(prompts)) if lane in broken else found
        for lane, found in enumerate(answers)
    ]


def answer_ids(
    model: Model,
    lanes: int,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    *,
    seeds: Sequence[int],
    stop_ids: Collection[int],
    until: Until | None = None,
    progress: Progress = silent,
) -> list[list[Ended] | ModelError]:
    """Go on from token ids with each adapter that the network computes side by side:
    [lanes][prompts].

    prompts: one id or more each, and fewer than the context holds. stop_ids: tokens that end a
    row, "stop". until: told the rows' new ids after every step; a row that it ends has "until".
    Else a row ends, "length", at `max_new_tokens` or where the context does.
    """
    ended: list[dict[int, Ended]] = [{} for _ in range(lanes)]
    done = 0
    fill = _FILL if model.device.type == "cpu" else None
    for rows, found in _batches(model, lanes, prompts, decoding, seeds, stop_ids, until, fill):
        for at, one in enumerate(found):
            ended[at // len(rows)][rows[at % len(rows)]] = one
        done += len(rows)
        progress(done / len(prompts), f"{lanes * done} of {lanes * len(prompts)} answers")
    broken = [[i for i, (_, how) in lane.items() if how == "broken"] for lane in ended]
    return [
        _overflow(min(wrong), len(prompts)) if wrong else [lane[i] for i in range(len(prompts))]
        for lane, wrong in zip(ended, broken, strict=True)
    ]


def _batches(
    model: Model,
    lanes: int,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    seeds: Sequence[int],
    stop_ids: Collection[int],
    until: Until | None = None,
    fill: int | None = None,
) -> Iterator[tuple[list[int], list[Ended]]]:
    """Batch after batch: which prompts, and what became of them: [lanes · prompts].

    fill: tokens of prompts in a batch at most.
    """
    lengths = [len(ids) + decoding.max_new_tokens for ids in prompts]
    # a row's logits are held too, in float64 when it is sampled: shared out over its tokens
    per_token = lanes * (work_per_token(model) + cache_per_token(model) + model.vocabulary / 4)
    rows_at_once = _ROWS if model.device.type == "cpu" else lanes * len(prompts)
    for batch in by_length(
        lengths, tokens_in_flight(model, per_token), max(1, rows_at_once // lanes)
    ):
        size = max(1, fill // (lanes * len(prompts[batch[0]]))) if fill else len(batch)
        for start in range(0, len(batch), size):
            rows = batch[start : start + size]
            asked = [prompts[i] for i in rows]
            drawn = np.array([seeds[i] for i in rows], dtype=np.uint64)
            yield rows, _decode(model, lanes, asked, decoding, drawn, stop_ids, until)


def _overflow(prompt: int, of: int) -> ModelError:
    return ModelError(
        f"the logits of prompt {prompt + 1} of {of} are not finite: the "
        "network overflows; compute it in float32 or bfloat16, or tune more gently."
    )


@torch.inference_mode()
def _decode(
    model: Model,
    lanes: int,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    seeds: NDArray[np.uint64],
    stop_ids: Collection[int],
    until: Until | None,
) -> list[Ended]:
    """The new ids of each row [lanes · prompts], the stop left out, and how it ended."""
    ids, mask, positions = (part.repeat(lanes, 1) for part in pad_left(prompts, model.device))
    padded = bool((mask == 0).any())  # a mask of ones would only cost time
    stops = torch.tensor(sorted(stop_ids), dtype=torch.long, device=model.device)
    most = np.full(len(prompts), decoding.max_new_tokens)
    if model.context is not None:
        most = np.minimum(most, model.context - np.array([len(row) for row in prompts]))
    most, seeds = np.tile(most, lanes), np.tile(seeds, lanes)
    cache = DynamicCache(config=model.network.config)
    written = np.zeros((len(most), decoding.max_new_tokens), dtype=np.int64)
    length = np.full(len(most), -1)
    finish = np.full(len(most), "length", dtype="<U6")
    row = np.arange(len(most))  # which row each row of the batch is; those that wait are done
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
        wrong = ~logits.amax(-1).isfinite().cpu().numpy()
        written[row, step] = tokens.cpu().numpy()
        working = length[row] < 0
        enough = np.zeros_like(stop)
        if until is not None:
            enough[working] = until(written[row[working], : step + 1])
        for how, ends, size in (
            ("broken", wrong, step),
            ("stop", stop & ~wrong, step),
            ("until", enough & ~stop & ~wrong, step + 1),
            ("length", ~stop & ~wrong & ~enough & (most[row] == step + 1), step + 1),
        ):
            now = row[working & ends]
            length[now], finish[now] = size, how
        working = length[row] < 0
        if not working.any():
            break
        ids, positions = tokens[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1) if padded else mask
        stay = _staying(working, lanes)
        if len(stay) <= _LEAVE * len(working):
            where = torch.from_numpy(stay).to(model.device)
            cache.batch_select_indices(where)
            ids, positions, mask, row = ids[where], positions[where], mask[where], row[stay]
    return [(written[i, : length[i]].tolist(), str(finish[i])) for i in range(len(most))]


def _staying(working: NDArray[np.bool_], lanes: int) -> NDArray[np.int64]:
    """Which rows a smaller batch keeps: as many of each lane as the busiest has at work, those at
    work first, so that the batch stays [lanes, rows of one lane].
    """
    by_lane = working.reshape(lanes, -1)
    most = int(by_lane.sum(1).max())
    order = np.argsort(~by_lane, axis=1, kind="stable")[:, :most]
    kept: NDArray[np.int64] = (order + np.arange(lanes)[:, None] * by_lane.shape[1]).ravel()
    return kept
