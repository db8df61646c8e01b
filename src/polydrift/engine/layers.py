"""Several LoRA adapters beside the linear layers of one frozen network, computed at once.

    batch of the network: [K · b, length], adapter-major: row i belongs to adapter i // b

    y = x Wᵀ + (x Aₖᵀ) Bₖᵀ       one matrix product with the shared W for all rows,
                                 and one batched low-rank product, adapter by adapter

A is [K, rank, in] and B is [K, out, rank] (Hu et al., arXiv 2106.09685, with alpha / rank folded
into `scaling` or into B). An adapter of zeros is the base itself. A row's numbers do not depend on
the other adapters' rows, only on how matrix products of that many rows are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  # as torch's own docs call it
from transformers import PreTrainedModel


class StackedLinear(nn.Module):
    """A frozen linear layer with K adapters beside it.

    A: [K, rank, in]. B: [K, out, rank]. Both may be wider than the layer's own dtype (float32
    masters on a bfloat16 base); they are rounded to it where they are used. gradients: what theirs
    are added to in training, in place; None for adapters that are not trained.
    """

    def __init__(
        self,
        linear: nn.Linear,
        a: Tensor,
        b: Tensor,
        *,
        gradients: tuple[Tensor, Tensor] | None = None,
        scaling: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.linear, self.scaling, self.dropout = linear, scaling, dropout
        self.A = nn.Parameter(a, requires_grad=gradients is not None)
        self.B = nn.Parameter(b, requires_grad=gradients is not None)
        self.gradients = gradients
        # what code that looks at a linear layer may ask for
        self.in_features, self.out_features = linear.in_features, linear.out_features

    @property
    def weight(self) -> Tensor:
        """The frozen layer's own."""
        return self.linear.weight

    def forward(self, x: Tensor) -> Tensor:
        """x: [K · b, ..., in]; returns [K · b, ..., out]."""
        if self.gradients is None or not torch.is_grad_enabled():
            return _product(self, x, x)[0]
        dropped = F.dropout(x, self.dropout) if self.training and self.dropout else None
        y: Tensor = _Product.apply(x, dropped, self.A, self)  # type: ignore[no-untyped-call]  # torch's
        return y


def _product(layer: StackedLinear, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y = W x + scaling · B A z, adapter by adapter; also A, B as they were used, and A z."""
    y: Tensor = layer.linear(x)
    a, b = layer.A.to(x), layer.B.to(x)
    low = torch.bmm(_lanes(z, len(a)), a.mT)
    _lanes(y, len(b)).baddbmm_(low, b.mT, alpha=layer.scaling)
    return y, a, b, low


class _Product(torch.autograd.Function):
    """`_product` for a frozen W: keeps x (or what dropout left of it) and A x, nothing else, and
    adds the gradients of A and B straight to where they are wanted.

    `anchor` is A: it makes the result part of the graph where x is not (in the first layer).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Tensor | None, anchor: Tensor, layer: StackedLinear
    ) -> Tensor:
        z = x if dropped is None else dropped
        y, a, b, low = _product(layer, x, z)
        ctx.save_for_backward(z, layer.linear.weight, a, b, low)
        ctx.layer, ctx.one_way = layer, dropped is None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor) -> tuple[Tensor | None, ...]:
        z, weight, a, b, low = ctx.saved_tensors
        lanes = _lanes(of_y, len(a))
        of_low = torch.bmm(lanes, b).mul_(ctx.layer.scaling)
        of_a, of_b = ctx.layer.gradients
        _add(of_b, lanes.mT, low, ctx.layer.scaling)
        _add(of_a, of_low.mT, _lanes(z, len(a)), 1.0)
        of_x = of_z = None
        if ctx.needs_input_grad[0]:
            of_x = (of_y.reshape(-1, of_y.shape[-1]) @ weight).view(z.shape)
            if ctx.one_way:
                _lanes(of_x, len(a)).baddbmm_(of_low, a)
        if not ctx.one_way and ctx.needs_input_grad[1]:
            of_z = torch.bmm(of_low, a).view(z.shape)
        return of_x, of_z, None, None


def _add(total: Tensor, left: Tensor, right: Tensor, factor: float) -> None:
    """total += factor · left @ right, whatever device and (wider) dtype the total has."""
    if total.dtype == left.dtype and total.device == left.device:
        total.baddbmm_(left, right, alpha=factor)
    else:
        total.add_(torch.bmm(left, right).to(total), alpha=factor)


def _lanes(x: Tensor, k: int) -> Tensor:
    """[K · b, ..., width] as [K, tokens of one adapter, width]."""
    return x.reshape(k, -1, x.shape[-1])


def put(network: PreTrainedModel, layers: Mapping[str, nn.Module]) -> None:
    """Put modules at the places of others, by name; `restored` undoes it."""
    for name, layer in layers.items():
        parent, _, child = name.rpartition(".")
        network.get_submodule(parent)._modules[child] = layer


@contextmanager
def restored(network: PreTrainedModel) -> Iterator[None]:
    """Undo what is done to the network inside: layers put in, weights exchanged, modes set.

    Weights may be replaced by others inside, not changed in place.
    """
    before = [(m, dict(m._modules), dict(m._parameters)) for m in network.modules()]
    try:
        yield
    finally:
        for module, children, parameters in before:
            module._modules = children
            module._parameters = parameters
        if "peft_config" in network.__dict__:
            del network.peft_config
        network.requires_grad_(False).eval()
