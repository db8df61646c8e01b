"""The size of an adapter: how much it adds to a base's weights, and whether two add the same.

    >>> danish = {"model.layers.0.mlp.up_proj": Update(A, B, scale=2.0), ...}
    >>> found = size(danish["model.layers.0.mlp.up_proj"])
    >>> found.norm, found.effective_rank
    >>> products = inner_products({"da": danish, "el": greek})      # {module: [2, 2]}
    >>> cosines(products.values())                                  # of the adapters as a whole

A LoRA adds ΔW = s B A to a linear layer (Hu et al. 2021, arXiv 2106.09685, eq. 3). ΔW is [out, in]
and never formed; all is had from the factors in float64:

    <ΔW₁, ΔW₂> = s₁ s₂ tr((B₁ᵀ B₂) (A₂ A₁ᵀ))         two products of [rank, rank]
    ΔW = s Q_B (R_B R_Aᵀ) Q_Aᵀ                        B = Q_B R_B, Aᵀ = Q_A R_A: the small matrix
                                                      in the middle has ΔW's singular values

A cosine between languages is read beside that between seeds of one language. ΔW cannot leave the
rows of A, and seeds begin from unrelated A: as long as A has moved little, two seeds' cosine is
near 0 even where both learnt the same B.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from polydrift.errors import MeasureError
from polydrift.measures.drift import Floats, Given
from polydrift.measures.similarity import singular_values


@dataclass(frozen=True)
class Update:
    """What a LoRA adds to one linear layer: scale · B A. A: [rank, in]. B: [out, rank]."""

    A: Given
    B: Given
    scale: float = 1.0


@dataclass(frozen=True)
class Size:
    """Of one ΔW, in the weights' unit.

    norm: Frobenius. spectral: the largest singular value. effective_rank: exp of the entropy of the
    singular values' shares, 1 to the rank (Roy and Vetterli, EUSIPCO 2007); NaN of a zero ΔW.
    weight_norm: |W|_F of the layer that it is added to; NaN where it was not given.
    """

    norm: float
    spectral: float
    effective_rank: float
    weight_norm: float

    @property
    def relative(self) -> float:
        """|ΔW|_F / |W|_F; NaN where W is not known or zero."""
        return self.norm / self.weight_norm if self.weight_norm > 0 else math.nan


def size(update: Update, weight_norm: float = math.nan, module: str = "a module") -> Size:
    """How large an update is. weight_norm: |W|_F. module: its name, for errors.

    MeasureError for factors that do not fit each other or are not finite.
    """
    a, b = _factors(update, "the adapter", module)
    singular = abs(update.scale) * singular_values(b.T, a)
    shares = singular[singular > 0] / singular.sum() if singular.any() else np.array([math.nan])
    return Size(
        norm=float(np.linalg.norm(singular)),
        spectral=float(singular.max(initial=0.0)),
        effective_rank=float(np.exp(-(shares * np.log(shares)).sum())),
        weight_norm=weight_norm,
    )


def sizes(
    adapter: Mapping[str, Update], weight_norms: Mapping[str, float] | None = None
) -> dict[str, Size]:
    """{module: its size}. weight_norms: {module: |W|_F}, of all modules or of some."""
    norms = weight_norms or {}
    return {name: size(one, norms.get(name, math.nan), name) for name, one in adapter.items()}


def together(parts: Iterable[Size]) -> tuple[float, float]:
    """(norm, relative) of several modules as one: √Σ|ΔW|², and that by √Σ|W|².

    relative is NaN where the |W| of any of them is not known; both are NaN of no modules.
    """
    parts = list(parts)
    if not parts:
        return math.nan, math.nan
    norm = math.hypot(*(one.norm for one in parts))
    weight = math.hypot(*(one.weight_norm for one in parts))
    return norm, norm / weight if weight > 0 else math.nan


def by_layer(found: Mapping[str, Size]) -> dict[int | None, tuple[float, float]]:
    """{layer: (norm, relative)} of its modules `together`. None: modules outside all layers."""
    layers: dict[int | None, list[Size]] = {}
    for module, one in found.items():
        layers.setdefault(layer_of(module), []).append(one)
    return {layer: together(parts) for layer, parts in layers.items()}


def layer_of(module: str) -> int | None:
    """The layer a module is in: 12 for "model.layers.12.mlp.up_proj"; None outside all layers."""
    return next((int(part) for part in module.split(".") if part.isdecimal()), None)


def inner_products(adapters: Mapping[str, Mapping[str, Update]]) -> dict[str, Floats]:
    """{module: [k, k]}: <ΔW_i, ΔW_j> of k adapters, in their order. The diagonal is |ΔW|_F².

    adapters: {name: {module: its update}}; ranks may differ. MeasureError where they do not change
    the same modules of the same shapes, or hold numbers that are not finite.
    """
    if not adapters:
        return {}
    first = next(iter(adapters))
    for name, adapter in adapters.items():
        for module in sorted(adapters[first].keys() ^ adapter.keys()):
            has, lacks = (first, name) if module in adapters[first] else (name, first)
            raise MeasureError(
                f"adapter {has} changes {module} and adapter {lacks} does not; compare adapters "
                "that were tuned on the same modules."
            )
    return {module: _module_products(adapters, module) for module in adapters[first]}


def cosines(products: Iterable[Floats]) -> Floats:
    """[k, k] cosines of k adapters' ΔW, all given modules as one vector. NaN for a zero ΔW.

    products: values of `inner_products`: of all modules, or of one layer's.
    """
    total = sum(products, start=np.zeros(()))
    if not total.ndim:
        raise MeasureError("there are no modules to compare; give adapters that change some.")
    norms = np.sqrt(np.diag(total))
    scale = np.outer(norms, norms)
    found: Floats = np.divide(total, scale, out=np.full_like(total, np.nan), where=scale > 0)
    return np.clip(found, -1.0, 1.0)


def _module_products(adapters: Mapping[str, Mapping[str, Update]], module: str) -> Floats:
    """All adapters' factors side by side: two large products instead of k² small ones."""
    factors = [
        _factors(adapter[module], f"adapter {name}", module) for name, adapter in adapters.items()
    ]
    names = list(adapters)
    for name, (a, b) in zip(names, factors, strict=True):
        shape, expected = (len(b), a.shape[1]), (len(factors[0][1]), factors[0][0].shape[1])
        if shape != expected:
            raise MeasureError(
                f"{module} is {list(expected)} in adapter {names[0]} and {list(shape)} in adapter "
                f"{name}; compare adapters of one base."
            )
    scales = np.array([adapter[module].scale for adapter in adapters.values()])
    side_a = np.concatenate([a for a, _ in factors])  # [ranks, in]
    side_b = np.concatenate([b for _, b in factors], axis=1)  # [out, ranks]
    # tr((B_iᵀ B_j)(A_j A_iᵀ)) is the sum over one block of the entries' products.
    entries = (side_b.T @ side_b) * (side_a @ side_a.T)
    starts = np.cumsum([0, *(len(a) for a, _ in factors[:-1])])
    blocks = np.add.reduceat(np.add.reduceat(entries, starts, axis=0), starts, axis=1)
    products: Floats = blocks * np.outer(scales, scales)
    return products


def _factors(update: Update, adapter: str, module: str) -> tuple[Floats, Floats]:
    """A and B in float64."""
    a, b = (np.asarray(factor).astype(np.float64) for factor in (update.A, update.B))
    if a.ndim != 2 or b.ndim != 2 or len(a) != b.shape[1] or not len(a):
        raise MeasureError(
            f"{module} of {adapter} has A {list(a.shape)} and B {list(b.shape)}, which are no "
            "[rank, in] and [out, rank]; get the adapter anew."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all() and math.isfinite(update.scale)):
        raise MeasureError(
            f"{module} of {adapter} holds numbers that are not finite (its training diverged, "
            "perhaps); tune it again with a lower learning rate."
        )
    return a, b
