"""Cross-entropy through a head that is frozen: logits never exist all at once.

    >>> losses = cross_entropies(model, ids, labels)     # nats, one for each label
    >>> losses.values.mean().backward()

Only the hidden states' gradient is wanted, so it is computed together with the loss, a few
positions at a time, and the logits are thrown away: with p = softmax(z) and the target's one-hot
row t, d loss / d hidden = (p - t) · W. That takes the memory of one chunk instead of
[positions, vocabulary] three times over, and half the passes over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  # as torch's own docs call it

from polydrift.engine.forward import decoder, soft_cap, wide
from polydrift.engine.model import Model

IGNORED = -100
_CHUNK = 2**22  # logits held at once on a processor, where they should stay in its caches: 16 MB
_CHUNK_GPU = 2**26


@dataclass(frozen=True, slots=True)
class Losses:
    """values: [n], nats, of every label that is not ignored. rows: [n], the row each is in."""

    values: Tensor
    rows: Tensor


def cross_entropies(model: Model, ids: Tensor, labels: Tensor) -> Losses:
    """How surprised the network is by each label, given the tokens before it.

    ids, labels: [rows, length], right-padded; labels are ids, or `IGNORED` where nothing is
    learned. The first token of a row is predicted from nothing and has no loss.
    """
    targets = labels[:, 1:]
    kept = targets != IGNORED
    rows = torch.arange(len(ids), device=ids.device)[:, None].expand_as(kept)[kept]
    wanted = targets[kept]
    if not model.splits:
        logits = model.network(input_ids=ids, use_cache=False).logits[:, :-1][kept]
        return Losses(F.cross_entropy(wide(logits), wanted, reduction="none"), rows)
    hidden = decoder(model.network)(input_ids=ids, use_cache=False).last_hidden_state
    head = model.network.get_output_embeddings()
    chunk = _CHUNK if hidden.device.type == "cpu" else _CHUNK_GPU
    losses: Tensor = _HeadLoss.apply(  # type: ignore[no-untyped-call]  # torch's
        hidden[:, :-1][kept].to(head.weight.device),
        head.weight,
        getattr(head, "bias", None),
        wanted,
        soft_cap(model.network),
        max(1, chunk // model.vocabulary),
    )
    return Losses(losses, rows)


class _HeadLoss(torch.autograd.Function):
    """hidden [n, width], a frozen head's weight [vocabulary, width], targets [n] -> losses [n]."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        cap: float | None,
        size: int,
    ) -> Tensor:
        losses = hidden.new_empty(len(hidden), dtype=wide(hidden[:0]).dtype)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else hidden[:0]
        for start in range(0, len(hidden), size):
            here = slice(start, start + size)
            z = wide(F.linear(hidden[here], weight, bias))
            if cap is not None:
                z = torch.tanh(z / cap) * cap
            slope = None if cap is None else 1 - (z / cap) ** 2
            target = targets[here, None]
            z = z.sub_(z.amax(-1, keepdim=True))  # so that nothing is lost in the sum
            surprise = -z.gather(1, target)
            total = z.exp_().sum(-1, keepdim=True)
            losses[here] = (surprise + total.log())[:, 0]
            if ctx.needs_input_grad[0]:
                z = z.div_(total)
                z.scatter_add_(1, target, torch.full_like(total, -1.0))
                z = z if slope is None else z.mul_(slope)
                torch.mm(z.to(weight.dtype), weight, out=gradient[here])
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[:, None].to(gradient.dtype), None, None, None, None, None
