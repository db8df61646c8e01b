"""A logistic model with random effects, crossed with prompts: what varies on the latent scale.

    found = fit_mixed(hits, sizes, {"evaluation language": e, "run": run}, fixed)
    found.sds        {"evaluation language": 0.61, "run": 0.12, "prompt": 1.4}

Cells (a tuned model asked in a language) by prompts, `hits` of `sizes` answers complied:

    logit P(complied) = fixed_c . beta + sum_f u_f[group_f(c)] + v[prompt],
    u_f ~ N(0, sd_f^2),  v ~ N(0, sd_prompt^2)

Languages are drawn as well: a cell that always refuses then has a finite logit, where one with a
parameter of its own has none, and each source has a variance to compare with the others.

Fitted by penalised quasi-likelihood (Breslow and Clayton 1993, JASA 88:9) with Schall's estimates
of the variances (1991, Biometrika 78:719), which are those of restricted maximum likelihood in the
working model: one Newton step and one update in turn. Laplace's method (lme4) and this differ where
a group holds few answers; here a prompt has as many as there are cells, and a cell as many as there
are prompts. A design of cells by prompts makes a step cheap: all sums over answers are sums of a
matrix [cells, prompts], and the block of the largest factor, which is diagonal, is eliminated
first. Fixed effects have a prior with a standard deviation of 10 logits, so that they stay finite.
docs/heterogeneity.md compares with lme4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import MeasureError
from polydrift.measures.irt import sigmoid

PROMPT = "prompt"
_PRIOR = 10.0  # standard deviation of fixed effects, logits
_STEPS, _STILL = 300, 2e-4  # at most so many; until no standard deviation moves by more
_FAR = 3.0  # logits that one step moves at most
_NONE = 1e-6  # variance that counts as none

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Mixed(NamedTuple):
    """fixed, errors: [columns] estimates, their standard errors. sds: of each source, in logits.

    steps: that were taken; `_STEPS` of them is not converged. All NaN where every answer is alike.
    """

    fixed: Floats
    errors: Floats
    sds: dict[str, float]
    steps: int


def fit_mixed(
    hits: ArrayLike, sizes: ArrayLike, groups: Mapping[str, ArrayLike], fixed: ArrayLike
) -> Mixed:
    """Fit the model above.

    hits, sizes: [cells, prompts] answers that complied, and that were judged (0: none). groups: by
    name the level of each cell, [cells] from 0. fixed: [cells, columns], the first ones a constant.
    MeasureError for arrays that do not match and for counts that cannot be.
    """
    h, n, x = (np.asarray(values, float) for values in (hits, sizes, fixed))
    levels = {name: np.asarray(level, np.int64) for name, level in groups.items()}
    if h.ndim != 2 or n.shape != h.shape or x.ndim != 2 or len(x) != len(h):
        raise MeasureError(
            "mixed model: hits and sizes must be tables [cells, prompts] of one shape, and fixed "
            "one of [cells, columns]."
        )
    if any(level.shape != (len(h),) or level.min(initial=0) < 0 for level in levels.values()):
        raise MeasureError("mixed model: give each group a level from 0 on for every cell.")
    if not ((h >= 0) & (h <= n)).all():
        raise MeasureError("mixed model: hits must lie between 0 and sizes.")
    names = [*levels, PROMPT]
    if not 0 < h.sum() < n.sum():
        nothing = np.full(x.shape[1], np.nan)
        return Mixed(nothing, nothing, dict.fromkeys(names, math.nan), 0)
    return _fit(h, n, x, levels, names)


def _fit(h: Floats, n: Floats, x: Floats, levels: dict[str, Ints], names: list[str]) -> Mixed:
    design = _Design.of(x, levels, h.shape[1])
    at = np.zeros(design.size)
    at[0] = math.log(h.sum() / (n - h).sum())
    variances = np.full(len(names), 0.5)
    steps = 0
    while steps < _STEPS:
        steps += 1
        logits = design.logits(at)
        p = sigmoid(logits)
        penalty = design.spread(1 / variances)
        slope = design.sums(h - n * p) - penalty * at
        moves, inverse = design.solve(n * p * (1 - p), penalty, slope)
        furthest = np.abs(design.logits(moves)).max()
        at = at + moves * min(1.0, _FAR / furthest)
        # effective parameters of each factor: its levels, less what the penalty takes
        found = []
        for block, variance in zip(design.blocks, variances, strict=True):
            free = block.stop - block.start - inverse[block].sum() / variance
            found.append(max((at[block] ** 2).sum() / max(free, 1e-9), _NONE))
        moved = np.abs(np.sqrt(found) - np.sqrt(variances)).max()
        variances = np.array(found)
        if moved < _STILL and furthest < 1e-3:
            break
    sds = [0.0 if variance <= 4 * _NONE else math.sqrt(variance) for variance in variances]
    columns = slice(0, x.shape[1])
    by_name = dict(zip(names, sds, strict=True))
    return Mixed(at[columns], np.sqrt(inverse[columns]), by_name, steps)


class _Design(NamedTuple):
    """Columns: fixed ones, the levels of each group, the prompts.

    x: [cells, fixed]. places: [cells, groups] the column of each cell's level. blocks: the columns
    of each group and of the prompts.
    """

    x: Floats
    places: Ints
    blocks: tuple[slice, ...]
    size: int

    @classmethod
    def of(cls, x: Floats, levels: Mapping[str, Ints], prompts: int) -> _Design:
        blocks, start = [], x.shape[1]
        for count in (*(int(level.max()) + 1 for level in levels.values()), prompts):
            blocks.append(slice(start, start + count))
            start += count
        places = [b.start + level for b, level in zip(blocks, levels.values(), strict=False)]
        table = np.array(places, np.int64).reshape(len(places), len(x)).T
        return cls(x, table, tuple(blocks), start)

    def logits(self, at: Floats) -> Floats:
        """[cells, prompts]."""
        cells = self.x @ at[: self.x.shape[1]] + at[self.places].sum(axis=1)
        found: Floats = cells[:, None] + at[self.blocks[-1]]
        return found

    def spread(self, penalties: Floats) -> Floats:
        """[size] the penalty of each column, given that of each block."""
        found = np.full(self.size, 1 / _PRIOR**2)
        for block, penalty in zip(self.blocks, penalties, strict=True):
            found[block] = penalty
        return found

    def sums(self, values: Floats) -> Floats:
        """[size] the sums of [cells, prompts] values over each column."""
        cells = values.sum(axis=1)
        found = np.zeros(self.size)
        found[: self.x.shape[1]] = cells @ self.x
        np.add.at(found, self.places, cells[:, None])
        found[self.blocks[-1]] = values.sum(axis=0)
        return found

    def curvature(self, weights: Floats) -> Floats:
        """[size, size] sums of products of columns, weighted."""
        fixed, cells = self.x.shape[1], weights.sum(axis=1)
        found = np.zeros((self.size, self.size))
        found[:fixed, :fixed] = (self.x.T * cells) @ self.x
        one, other = self.places[:, :, None], self.places[:, None, :]
        np.add.at(found, (one, other), cells[:, None, None])
        prompts = self.blocks[-1]
        found[:fixed, prompts] = self.x.T @ weights
        for place in self.places.T:
            np.add.at(found[:fixed].T, place, self.x * cells[:, None])
            np.add.at(found[:, prompts], place, weights)
        found[fixed : prompts.start, :fixed] = found[:fixed, fixed : prompts.start].T
        found[prompts, : prompts.start] = found[: prompts.start, prompts].T
        found[prompts, prompts] = np.diag(weights.sum(axis=0))
        return found

    def solve(self, weights: Floats, penalty: Floats, slope: Floats) -> tuple[Floats, Floats]:
        """The Newton step and the diagonal of the curvature's inverse, [size] each."""
        whole = self.curvature(weights)
        whole[np.diag_indices(self.size)] += penalty
        out = max(self.blocks, key=lambda block: block.stop - block.start)
        kept = np.r_[0 : out.start, out.stop : self.size]
        diagonal = np.diagonal(whole)[out]
        cross = whole[kept, out]
        ratio = cross / diagonal
        inner = np.linalg.inv(whole[np.ix_(kept, kept)] - ratio @ cross.T)
        moves, inverse = np.empty(self.size), np.empty(self.size)
        moves[kept] = inner @ (slope[kept] - ratio @ slope[out])
        moves[out] = (slope[out] - moves[kept] @ cross) / diagonal
        inverse[kept] = np.diagonal(inner)
        inverse[out] = 1 / diagonal + (ratio * (inner @ ratio)).sum(axis=0)
        return moves, inverse
