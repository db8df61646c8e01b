"""Similarity of representations: is the map of all prompts, as a whole, still the same?

    >>> sums = SimilaritySums(layers=29)
    >>> for base, variant in batches:            # [29, b, width] each, the same b prompts
    ...     sums.add(base, variant)
    >>> sums.similarity().cka_debiased[12]       # 1.0: the same up to rotation and scale

`drift` compares prompt by prompt and sees every shift. These compare the *shape* that all prompts
make together at a layer. With X and Y [prompts, width] the base's and the variant's activations,
each column centred:

    CKA         |XᵀY|_F² / (|XᵀX|_F |YᵀY|_F)    linear; Kornblith et al. 2019, arXiv 1905.00414:
                1 the same, 0 unrelated
    Procrustes  |X|_F² + |Y|_F² - 2 |XᵀY|_*     squared; Schönemann, Psychometrika 31, 1966; Ding
                et al. 2021, arXiv 2108.01661: X and Y are scaled to |·|_F = 1 and Y turned onto X;
                what then remains is 0 for the same, 2 at most

Neither sees a rotation, one scale for all, or a shift common to all prompts. **Report the debiased
CKA.** Plain CKA of unrelated X and Y tends to 1 as width outgrows the prompts (Murphy et al. 2024,
arXiv 2405.01012): random ones of 500 prompts and width 2048 have 0.80. Debiased, its three products
are the unbiased HSIC₁ of Song et al. (JMLR 13, 2012), as in Nguyen et al. 2021 (arXiv 2010.15327,
eq. 3): the same X and Y have 0.00; it may fall below 0. Procrustes shares the bias (0.12 for
those X and Y) and has no such remedy: compare it at equal numbers of prompts and one width only.

Memory. Up to `width` prompts, rows are kept and matrices [prompts, prompts] do the work; beyond,
they are folded into three sums [width, width] per layer (24 width² bytes), whatever their number.
Both are exact and in float64. A wide network with more prompts than that is best measured at some
layers only: `sums.add(base[[0, 9, 18, 28]], ...)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from polydrift.errors import MeasureError
from polydrift.measures.drift import Floats, Given, Names, all_finite, same_prompts


@dataclass(frozen=True)
class Similarity:
    """[layers] float64 each; prompts: how many were compared.

    cka, procrustes: NaN below 2 prompts; cka_debiased: NaN below 4. All are NaN at a layer where a
    model makes the same of every prompt, as the embedding of the header's last token does.
    """

    cka: Floats
    cka_debiased: Floats
    procrustes: Floats
    prompts: int


class SimilaritySums:
    """What similarity needs of base and variant, fed batch by batch."""

    def __init__(self, layers: int) -> None:
        self._layers = layers
        self._prompts = self._width = 0
        self._rows: list[tuple[Given, Given]] = []  # batches [layers, b, width], yet to be folded
        self._waiting = 0  # prompts in them
        self._folded: list[_Sums] = []  # one per layer, once there are more prompts than width

    def add(self, base: Given, variant: Given, prompts: Names = None) -> None:
        """Take in a batch. base, variant: [layers, b, width], the same prompts in the same order.

        Arrays may be kept, not copied: do not write to them afterwards. prompts: their names, for
        errors. MeasureError names the layer and prompt of a vector that is not finite; such a batch
        is not added.
        """
        same_prompts(base, variant, self._layers, "similarity")
        width = base.shape[2]
        if self._prompts and width != self._width:
            raise MeasureError(
                f"similarity was begun at width {self._width} and is given {width}; give every "
                "base a sum of its own."
            )
        names = range(self._prompts, self._prompts + base.shape[1]) if prompts is None else prompts
        for who, given in (("base", base), ("variant", variant)):
            all_finite(given, who, names, "similarity")
        if not base.shape[1]:
            return
        self._width = width
        self._prompts += base.shape[1]
        self._waiting += base.shape[1]
        self._rows.append((base, variant))
        if self._waiting > width:
            self._fold()

    def similarity(self) -> Similarity:
        """The figures so far; more may be added afterwards."""
        if self._folded and self._rows:
            self._fold()
        found = np.full((3, self._layers), np.nan)
        for layer in range(self._layers if self._prompts > 1 else 0):
            if self._folded:
                found[:, layer] = self._folded[layer].similarity(self._prompts)
            else:
                found[:, layer] = _of_rows(*self._joined(layer))
        cka, debiased, procrustes = found
        return Similarity(cka, debiased, procrustes, self._prompts)

    def _joined(self, layer: int) -> tuple[Floats, Floats]:
        """The waiting rows of base and variant at one layer, [n, width] each."""
        base, variant = (
            np.concatenate([batch[side][layer] for batch in self._rows]).astype(np.float64)
            for side in (0, 1)
        )
        return base, variant

    def _fold(self) -> None:
        """Many rows at a time: each time writes all of [width, width]."""
        for layer in range(self._layers):
            x, y = self._joined(layer)
            if len(self._folded) == layer:
                self._folded.append(_Sums(x[0], y[0]))
            self._folded[layer].add(x, y)
        self._rows, self._waiting = [], 0


class _Terms(NamedTuple):
    """What HSIC₁ of kernels K and L, their diagonals set to 0, is made of."""

    trace: float  # tr(K L)
    k_total: float  # 1ᵀ K 1
    l_total: float  # 1ᵀ L 1
    chain: float  # 1ᵀ K L 1

    def hsic(self, n: int) -> float:
        """n (n - 3) HSIC₁. A shift common to all prompts falls out of it."""
        totals = self.k_total * self.l_total / ((n - 1) * (n - 2))
        return self.trace + totals - 2 * self.chain / (n - 2)


def _debiased(xy: _Terms, xx: _Terms, yy: _Terms, n: int) -> float:
    if n < 4:
        return float("nan")
    square = xx.hsic(n) * yy.hsic(n)
    return xy.hsic(n) / square**0.5 if square > 0 else float("nan")


def _of_rows(x: Floats, y: Floats) -> tuple[float, float, float]:
    """CKA, debiased CKA and Procrustes distance by matrices [n, n]. x, y: [n, width]."""
    # Taking off the first row before the mean makes equal rows exactly zero.
    x, y = (rows - rows[0] for rows in (x, y))
    x, y = (rows - rows.mean(axis=0) for rows in (x, y))
    x_size, y_size = np.linalg.norm(x), np.linalg.norm(y)
    if not (x_size > 0 and y_size > 0):
        return (float("nan"),) * 3
    x, y = x / x_size, y / y_size
    k, l = x @ x.T, y @ y.T  # noqa: E741 (the papers' names)
    cka = (k * l).sum() / (np.linalg.norm(k) * np.linalg.norm(l))
    nuclear = singular_values(x, y).sum()
    for kernel in (k, l):
        np.fill_diagonal(kernel, 0.0)
    debiased = _debiased(_of_kernels(k, l), _of_kernels(k, k), _of_kernels(l, l), len(x))
    return float(cka), debiased, max(0.0, float(2 - 2 * nuclear))


def singular_values(x: Floats, y: Floats) -> Floats:
    """Of XᵀY, without forming it, largest first. x, y: [n, width of its own], n the smaller.

    Xᵀ = Q_x R_x and Yᵀ = Q_y R_y make XᵀY = Q_x (R_x R_yᵀ) Q_yᵀ, and rotations Q change none.
    """
    r_x, r_y = (cast(Floats, np.linalg.qr(rows.T, mode="r")) for rows in (x, y))
    return cast(Floats, np.linalg.svd(r_x @ r_y.T, compute_uv=False))


def _of_kernels(k: Floats, l: Floats) -> _Terms:  # noqa: E741 (the papers' names)
    rows_k, rows_l = k.sum(axis=1), l.sum(axis=1)
    return _Terms(float((k * l).sum()), rows_k.sum(), rows_l.sum(), float(rows_k @ rows_l))


class _Sums:
    """Of one layer, over prompts, with the first prompt as origin so that little cancels."""

    def __init__(self, x_origin: Floats, y_origin: Floats) -> None:
        width = len(x_origin)
        self._origins = (x_origin, y_origin)
        self._sum = (np.zeros(width), np.zeros(width))  # Σ p
        self._square = np.zeros(2)  # Σ |p|²
        pairs = ((0, 1), (0, 0), (1, 1))
        self._product = {pair: np.zeros((width, width)) for pair in pairs}  # Σ p qᵀ
        self._squares = dict.fromkeys(pairs, 0.0)  # Σ |p|² |q|²
        self._left = {pair: np.zeros(width) for pair in pairs}  # Σ p |q|²
        self._right = {pair: np.zeros(width) for pair in pairs}  # Σ q |p|²

    def add(self, x: Floats, y: Floats) -> None:
        """x, y: [b, width]."""
        rows = (x - self._origins[0], y - self._origins[1])
        lengths = [np.einsum("bw,bw->b", p, p) for p in rows]
        for side in (0, 1):
            self._sum[side][:] += rows[side].sum(axis=0)
            self._square[side] += lengths[side].sum()
        for i, j in self._product:
            self._product[i, j] += rows[i].T @ rows[j]
            self._squares[i, j] += float(lengths[i] @ lengths[j])
            self._left[i, j] += lengths[j] @ rows[i]
            self._right[i, j] += lengths[i] @ rows[j]

    def similarity(self, n: int) -> tuple[float, float, float]:
        """CKA, debiased CKA and Procrustes distance by matrices [width, width]."""
        centred = {
            (i, j): product - np.outer(self._sum[i], self._sum[j]) / n
            for (i, j), product in self._product.items()
        }
        x_square, y_square = (float(np.trace(centred[side, side])) for side in (0, 1))
        if not (x_square > 0 and y_square > 0):
            return (float("nan"),) * 3
        xy, xx, yy = (float(np.linalg.norm(matrix)) for matrix in centred.values())
        nuclear = (
            np.linalg.svd(centred[0, 1], compute_uv=False).sum() / (x_square * y_square) ** 0.5
        )
        debiased = _debiased(self._terms(0, 1), self._terms(0, 0), self._terms(1, 1), n)
        return xy**2 / (xx * yy), debiased, max(0.0, float(2 - 2 * nuclear))

    def _terms(self, i: int, j: int) -> _Terms:
        """Sums over the kernels' entries, by sums over prompts: K 1 = X (Σ x), and so on."""
        p, q, squares = self._sum[i], self._sum[j], self._squares[i, j]
        return _Terms(
            float((self._product[i, j] ** 2).sum()) - squares,
            float(p @ p) - float(self._square[i]),
            float(q @ q) - float(self._square[j]),
            float(p @ self._product[i, j] @ q - p @ self._left[i, j] - q @ self._right[i, j])
            + squares,
        )
