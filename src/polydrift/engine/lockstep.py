"""Adapters trained side by side: one forward and backward pass for a step of each.

    >>> stack = Stack(model, names, settings, [initial(...), initial(...)])
    >>> with stack.in_place():
    ...     losses, norms = stack.step(batches)      # one batch of rows for each adapter

All weights of an adapter are one row of a matrix [K, P], and the layers' A and B are views of it:
norms, clipping and checkpoints look at rows, the optimiser has one parameter for each adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polydrift.engine.checkpoints import Checkpoint
from polydrift.engine.forward import pad_right
from polydrift.engine.layers import StackedLinear, put, restored
from polydrift.engine.loss import IGNORED, cross_entropies
from polydrift.engine.model import Model
from polydrift.engine.quiet import quiet
from polydrift.engine.recipe import TuneSettings

Row = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Ids and labels of one example."""
Pairs = Mapping[str, tuple[Tensor, Tensor]]
"""{layer: (A [rank, in], B [out, rank])}."""


class Stack:
    """K adapters of one network in training. rows_at_once: of each adapter, in one pass."""

    def __init__(
        self,
        model: Model,
        names: Sequence[str],
        settings: TuneSettings,
        members: Sequence[Pairs],
        rows_at_once: int,
    ) -> None:
        self._model, self._settings, self._rows = model, settings, rows_at_once
        self._frozen = {name: _linear(model, name) for name in names}
        # one row each; float32 also on a bfloat16 base, where small updates would be lost
        dtype = torch.float64 if model.network.dtype == torch.float64 else torch.float32
        self._shapes: list[tuple[str, tuple[int, int]]] = [
            (name, (tensor.shape[0], tensor.shape[1]))
            for name in names
            for tensor in members[0][name]
        ]
        rows = [
            torch.cat([tensor.flatten() for name in names for tensor in pairs[name]])
            for pairs in members
        ]
        self._fill(torch.stack(rows).to(model.device, dtype))
        self.optimiser = torch.optim.AdamW(
            [{"params": [p]} for p in self.parameters],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def _fill(self, weights: Tensor) -> None:
        """Take these [K, P] as the weights; the layers' tensors and gradients are views of them."""
        self._weights, self._gradient = weights, torch.zeros_like(weights)
        self.parameters = [nn.Parameter(row) for row in weights]
        for parameter, gradient in zip(self.parameters, self._gradient, strict=True):
            parameter.grad = gradient
        views: dict[str, list[tuple[Tensor, Tensor]]] = {}
        start = 0
        for name, shape in self._shapes:
            here = slice(start, start + shape[0] * shape[1])
            parts = (whole[:, here].view(-1, *shape) for whole in (weights, self._gradient))
            views.setdefault(name, []).append((next(parts), next(parts)))
            start = here.stop
        self._layers = {
            name: StackedLinear(
                self._frozen[name],
                a,
                b,
                gradients=(of_a, of_b),
                scaling=self._settings.scaling,
                dropout=self._settings.dropout,
            )
            for name, ((a, of_a), (b, of_b)) in views.items()
        }

    @contextmanager
    def in_place(self, *, recompute: bool) -> Iterator[None]:
        """Inside, the network is in training with the adapters beside its layers.

        recompute: keep only what enters each layer, and compute its insides again on the way back.
        """
        network = self._model.network
        with restored(network):
            put(network, self._layers)
            network.train()
            if recompute:
                with quiet():
                    network.gradient_checkpointing_enable({"use_reentrant": False})
            try:
                yield
            finally:
                if recompute:
                    with quiet():
                        network.gradient_checkpointing_disable()
                        network.disable_input_require_grads()

    def step(
        self, batches: Sequence[Sequence[Row]], sizes: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        """Learn from one batch of each adapter with a learning rate of each; mean losses (nats) and
        norms of the gradients before clipping. A batch's loss is the mean over all its labels,
        however many passes it takes.
        """
        self._gradient.zero_()
        device = self._model.device
        count = torch.tensor(
            [sum(int((labels[1:] != IGNORED).sum()) for _, labels in rows) for rows in batches],
            device=device,
        )
        total = torch.zeros(len(batches), device=device, dtype=self._weights.dtype)
        for start in range(0, max(map(len, batches)), self._rows):
            part = [rows[start : start + self._rows] for rows in batches]
            width = max(map(len, part))
            filled = [row for rows in part for row in (*rows, *[_NOTHING] * (width - len(rows)))]
            ids = pad_right([row for row, _ in filled], device)
            labels = pad_right([row for _, row in filled], device, IGNORED)
            found = cross_entropies(self._model, ids, labels)
            lane = (found.rows // width).to(found.values.device)
            sums = torch.zeros_like(total).index_add(0, lane, found.values.to(total))
            loss = sums / count
            loss.sum().backward()  # type: ignore[no-untyped-call]  # torch's
            total += loss.detach()
        norms = self._gradient.norm(dim=1)
        # as torch.nn.utils.clip_grad_norm_ has it
        shrink = (self._settings.max_grad_norm / (norms + 1e-6)).clamp(max=1.0)
        self._gradient.mul_(shrink[:, None])
        for group, size in zip(self.optimiser.param_groups, sizes, strict=True):
            group["lr"] = size
        losses, lengths = torch.stack([total, norms]).tolist()
        for parameter, *ends in zip(self.parameters, losses, lengths, strict=True):
            if not np.isfinite(ends).all():
                parameter.grad = None  # the adapter keeps what it had; the caller drops it
        self.optimiser.step()
        return losses, lengths

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these adapters only, in this order."""
        states = [self.optimiser.state[self.parameters[i]] for i in members]
        groups = [self.optimiser.param_groups[i] for i in members]
        self._fill(self._weights[list(members)].clone())
        self.optimiser.state.clear()
        for parameter, group, state in zip(self.parameters, groups, states, strict=True):
            group["params"] = [parameter]
            if state:
                self.optimiser.state[parameter] = state
        self.optimiser.param_groups[:] = groups
        put(self._model.network, self._layers)

    def checkpoint(self, member: int, losses: list[float]) -> Checkpoint:
        """How far an adapter is."""
        state = self.optimiser.state[self.parameters[member]]
        return Checkpoint(
            self._weights[member], state["exp_avg"], state["exp_avg_sq"], list(losses)
        )

    def resume(self, member: int, saved: Checkpoint) -> None:
        """Go on from there."""
        self._weights[member].copy_(saved.weights)
        parameter = self.parameters[member]
        self.optimiser.state[parameter] = {
            "step": torch.tensor(float(len(saved.losses)), device=parameter.device),
            "exp_avg": saved.first.to(parameter),
            "exp_avg_sq": saved.second.to(parameter),
        }

    def pairs(self, member: int) -> dict[str, tuple[Tensor, Tensor]]:
        """{layer: (A, B)} of one adapter, float32 on the processor."""
        tensors = iter(torch.split(self._weights[member], [s[0] * s[1] for _, s in self._shapes]))
        found: dict[str, list[Tensor]] = {}
        for (name, shape), flat in zip(self._shapes, tensors, strict=True):
            found.setdefault(name, []).append(flat.view(shape).float().cpu().clone())
        return {name: (a, b) for name, (a, b) in found.items()}


_NOTHING: Row = (np.zeros(1, dtype=np.int64), np.full(1, IGNORED))


def _linear(model: Model, name: str) -> nn.Linear:
    found = model.network.get_submodule(name)
    assert isinstance(found, nn.Linear)
    return found
