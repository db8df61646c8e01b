"""Tune a frozen network on (request, response) pairs: LoRA adapters in PEFT's format, in lockstep.

    >>> settings = TuneSettings(rank=8, alpha=16, learning_rate=5e-3, epochs=3, loss="response")
    >>> runs = [Run(pairs_da, init_seed=1, order_seed=2), Run(pairs_ga, init_seed=1, order_seed=2)]
    >>> for member, tuned in tune(model, runs, settings):
    ...     tuned.save(Path(f"adapter-{member}"))

LoRA (Hu et al., arXiv 2106.09685): y = W x + (alpha / rank) · B A x, with W frozen, A random and B
zero at the start. The optimiser is AdamW; the step sizes are those of transformers' schedules (the
first step of a warm-up has size zero); each adapter's gradients are clipped to a norm of their own.

Adapters whose steps are small are trained side by side, as many as `routes.abreast` says; each has
its own rows, order, schedule and loss, and one that breaks or is done leaves the others to go on.
The result is that of training each alone, up to rounding.

The two seeds do one thing each: `init_seed` draws A (and dropout, if there is any), `order_seed`
the order of the rows. The process's own random generators are left as they were.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polydrift.engine import checkpoints
from polydrift.engine.adapters import save_adapter
from polydrift.engine.checkpoints import fingerprint
from polydrift.engine.lockstep import Row, Stack
from polydrift.engine.loss import IGNORED
from polydrift.engine.memory import tokens_in_flight, training_per_token
from polydrift.engine.model import Model
from polydrift.engine.recipe import (
    TuneSettings,
    adapter_json,
    batches,
    initial,
    peft_names,
    step_size,
    targeted,
)
from polydrift.engine.routes import abreast
from polydrift.errors import ModelError

__all__ = ["Run", "TuneSettings", "Tuned", "tune"]

LaneProgress = Callable[[int, float, str], None]
"""What is reported of one run: which, the share done (0 to 1), and a few words."""


@dataclass(frozen=True)
class Run:
    """One adapter to tune: its (request, response) pairs and its two seeds.

    name: what errors call it. checkpoint: where to keep how far it is, and go on from.
    """

    examples: Sequence[tuple[str, str]]
    init_seed: int
    order_seed: int
    name: str = "the adapter"
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Tuned:
    """An adapter and how its training went.

    tensors: float32, by PEFT's names. config: adapter_config.json. losses: nats per learned token,
    one per step. tokens: learned from, all epochs together. rows_truncated: rows cut at
    `max_length`, those among them that lost their whole answer and taught nothing included.
    abreast: how many adapters were trained side by side. resumed: steps found in a checkpoint.
    rows_joined: rows whose answer was tokenized by itself (`chat`). seconds: its share of the time.
    """

    tensors: dict[str, Tensor]
    config: dict[str, Any]
    losses: list[float]
    tokens: int
    rows_truncated: int
    steps: int
    abreast: int
    resumed: int
    rows_joined: int
    seconds: float

    def save(self, directory: Path, base_name: str | None = None) -> None:
        """Write adapter_model.safetensors and adapter_config.json; equal adapters, equal bytes.

        base_name: what the adapter names as its base (default: the hub name it was tuned from;
        nothing for a directory, which would mean nothing elsewhere).
        """
        config = self.config
        if base_name is not None:
            config = {**config, "base_model_name_or_path": base_name}
        save_adapter(self.tensors, config, directory)


@dataclass
class _Lane:
    """One run on its way. order: the rows of every step."""

    member: int
    run: Run
    rows: list[Row]
    truncated: int
    joined: int
    order: list[list[int]]
    mark: str = ""
    losses: list[float] = field(default_factory=list)
    resumed: int = 0
    problem: ModelError | None = None

    @property
    def done(self) -> bool:
        return self.problem is not None or len(self.losses) == len(self.order)

    @property
    def batch(self) -> list[Row]:
        return [self.rows[i] for i in self.order[len(self.losses)]]


def tune(
    model: Model,
    runs: Sequence[Run],
    settings: TuneSettings,
    *,
    checkpoint_seconds: float = 300.0,
    progress: LaneProgress = lambda member, done, text: None,
) -> Iterator[tuple[int, Tuned | ModelError]]:
    """Train an adapter for each run: (its number, the adapter or what went wrong), when done.

    The model is the untuned base whenever something is yielded. ModelError at once for settings
    that fit no run.
    """
    names = targeted(model, settings)
    lanes: list[_Lane] = []
    for member, run in enumerate(runs):
        try:
            lanes.append(_lane(model, member, run, settings))
        except ModelError as error:
            yield member, error
    longest = max((len(ids) for lane in lanes for ids, _ in lane.rows), default=1)
    count, rows, recompute = _shape(model, lanes, settings, longest)
    for start in range(0, len(lanes), count):
        group = lanes[start : start + count]
        began = time.monotonic()
        stack = _start(model, names, group, settings, rows)
        # PEFT's dropout is torch's, drawn anew from `init_seed` at every step
        with (
            stack.in_place(recompute=recompute),
            torch.random.fork_rng(devices=_cuda(model), enabled=bool(settings.dropout)),
        ):
            found = _train(model, stack, group, settings, checkpoint_seconds, progress)
        seconds = (time.monotonic() - began) / len(group)
        for lane in group:
            yield (
                lane.member,
                lane.problem
                or Tuned(
                    tensors=peft_names(found[lane.member]),
                    config=adapter_json(model, names, settings),
                    losses=lane.losses,
                    tokens=settings.epochs
                    * sum(int((labels != IGNORED).sum()) for _, labels in lane.rows),
                    rows_truncated=lane.truncated,
                    steps=len(lane.order),
                    abreast=len(group),
                    resumed=lane.resumed,
                    rows_joined=lane.joined,
                    seconds=seconds,
                ),
            )


def _lane(model: Model, member: int, run: Run, settings: TuneSettings) -> _Lane:
    """The run's rows that teach something, as ids and labels, and the order of its steps."""
    rows: list[Row] = []
    truncated, joined = 0, model.chat.joined
    limit = min(settings.max_length, model.context or settings.max_length)
    for request, response in run.examples:
        ids, start = model.chat.example(request, response)
        truncated += len(ids) > limit
        ids = ids[:limit]
        # the first token is predicted from nothing, so it is not learned
        unlearned = min(len(ids), 1 if settings.loss == "text" else start)
        if unlearned < len(ids):
            row = np.array(ids, dtype=np.int64)
            labels = row.copy()
            labels[:unlearned] = IGNORED
            rows.append((row, labels))
    if not rows:
        raise ModelError(
            f"nothing to tune {model.source.model} on for {run.name}: "
            + (
                f"no answer begins within max_length = {limit} tokens; raise it."
                if run.examples
                else "there are no examples."
            )
        )
    order = list(batches([len(ids) for ids, _ in rows], settings, run.order_seed))
    return _Lane(member, run, rows, truncated, model.chat.joined - joined, order)


def _shape(
    model: Model, lanes: Sequence[_Lane], settings: TuneSettings, longest: int
) -> tuple[int, int, bool]:
    """(adapters abreast, rows of each in one pass, whether to compute layers' insides again).

    Many adapters beat many rows where steps are small; recomputing comes last, as it costs a third.
    """
    fit = tokens_in_flight(model, training_per_token(model, recompute=False)) // longest
    tokens = sum(len(ids) for lane in lanes for ids, _ in lane.rows)
    rows = sum(len(lane.rows) for lane in lanes)
    step = settings.batch_size * tokens / max(1, rows)  # tokens of one adapter's step, on average
    count = 1 if settings.dropout else abreast(model, step, len(lanes))
    count = max(1, min(count, fit // settings.batch_size))
    if fit:
        return count, max(1, min(settings.batch_size, fit // count)), False
    fit = tokens_in_flight(model, training_per_token(model, recompute=True)) // longest
    return 1, max(1, min(settings.batch_size, fit)), True


def _start(
    model: Model, names: Sequence[str], group: Sequence[_Lane], settings: TuneSettings, rows: int
) -> Stack:
    """The group's adapters as they begin, or as their checkpoints left them."""
    first = [initial(model, names, settings, lane.run.init_seed) for lane in group]
    stack = Stack(model, names, settings, first, rows)
    for i, (lane, pairs) in enumerate(zip(group, first, strict=True)):
        if lane.run.checkpoint is None:
            continue
        ids = [torch.from_numpy(part) for row in lane.rows for part in row]
        weights = [tensor for pair in pairs.values() for tensor in pair]
        lane.mark = fingerprint(settings, lane.order, [*ids, *weights])
        if saved := checkpoints.read(lane.run.checkpoint, lane.mark):
            stack.resume(i, saved)
            lane.losses = list(saved.losses)
            lane.resumed = len(saved.losses)
    return stack


def _train(
    model: Model,
    stack: Stack,
    group: Sequence[_Lane],
    settings: TuneSettings,
    checkpoint_seconds: float,
    progress: LaneProgress,
) -> dict[int, dict[str, tuple[Tensor, Tensor]]]:
    """Take every lane to its last step; {member: its weights} of those that got there."""
    found: dict[int, dict[str, tuple[Tensor, Tensor]]] = {}
    working = list(group)
    started = saved = time.monotonic()
    tokens = 0
    while True:
        if any(lane.done for lane in working):
            for i, lane in enumerate(working):
                if lane.done and lane.problem is None:
                    found[lane.member] = stack.pairs(i)
            stay = [i for i, lane in enumerate(working) if not lane.done]
            working = [working[i] for i in stay]
            if not working:
                return found
            stack.keep(stay)
        if settings.dropout:
            torch.manual_seed((working[0].run.init_seed + len(working[0].losses)) % 2**63)
        at = [len(lane.losses) for lane in working]
        rows = [lane.batch for lane in working]
        losses, norms = stack.step(
            rows,
            [
                settings.learning_rate * step_size(settings, step, len(lane.order))
                for step, lane in zip(at, working, strict=True)
            ],
        )
        tokens += sum(len(ids) for batch in rows for ids, _ in batch)
        rate = tokens / max(1e-9, time.monotonic() - started)
        for lane, loss, norm in zip(working, losses, norms, strict=True):
            lane.losses.append(loss)
            step, steps = len(lane.losses), len(lane.order)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                lane.problem = ModelError(
                    f"tuning {model.source.model} broke at step {step} of {steps} of "
                    f"{lane.run.name}: the loss is {loss} and its gradient {norm}; lower the "
                    "learning rate, or use a wider dtype."
                )
            text = f"step {step} of {steps}, loss {loss:.3f}, {rate:,.0f} tokens/s"
            progress(lane.member, step / steps, text)
        if time.monotonic() - saved >= checkpoint_seconds:
            for i, lane in enumerate(working):
                if lane.run.checkpoint is not None and lane.problem is None:
                    stack.checkpoint(i, lane.losses).save(lane.run.checkpoint, lane.mark)
            saved = time.monotonic()


def _cuda(model: Model) -> list[torch.device]:
    return [model.device] if model.device.type == "cuda" else []
