"""The refusal direction: where unsafe prompts part from safe ones inside, and what tuning does.

    >>> fit = fit_split(ids, unsafe, "da")                # half the prompts; the rest is held out
    >>> sums = DirectionSums(29, "da")
    >>> sums.add(base.last[:, fit], unsafe[fit])          # batch by batch, if need be
    >>> danish = sums.direction()
    >>> b, v = (danish.project(seen.last[:, ~fit]) for seen in (base, variant))
    >>> refusal_shift(b, v, unsafe[~fit]).unsafe[12]
    -0.4    # to the variant, unsafe prompts look 40% of the way like safe ones

At each layer the direction is the mean activation of unsafe prompts less that of safe ones (Arditi
et al. 2024, arXiv 2406.11717, difference in means), at the last token of the prompt. It is fitted
on the base, on one half of the prompts, and looked at on the other. Which half a prompt is in hangs
on its id alone, so it is the same in every language and does not change when a suite grows.

    pooled([english, danish, ...])       one direction for all languages, each counting the same
    cosines([english, danish, ...])      do languages share a direction?
    cosine(danish, of_the_variant)       has tuning turned it?

Read `unsafe` and `safe` together: unsafe prompts that move alone have come closer to safe ones;
both moving alike is a shift of everything. A difference of means exists even where there is nothing
to find. `auc` says whether it means anything: held-out unsafe prompts of the base lie above safe
ones in that share of pairs, 0.5 by chance. Cosines are lowered by the noise of both means, so few
prompts look like unlike directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.measures.drift import Floats, Given, Names, all_finite
from polydrift.seeds import named_seed

ENOUGH = (
    8  # prompts of each kind in each half: an AUC of 8 by 8 has a standard error of 0.15 by chance
)
_NEEDS = {
    "unsafe": "unsafe prompts, and there are none; add prompts of the kind unsafe",
    "safe": "safe prompts to set unsafe ones against, and there are none; add prompts of the kind "
    "safe-lookalike",
}

Flags = NDArray[np.bool_]


def fit_split(
    ids: Sequence[str], unsafe: Flags, language: str, *, enough: int = ENOUGH
) -> NDArray[np.bool_]:
    """Which prompts to fit the direction on; the others are held out. Look before you compute.

    ids: [prompts], the suite's. unsafe: [prompts]. MeasureError where either half has fewer than
    `enough` unsafe or safe prompts; language: for its text.
    """
    fit = np.array([named_seed("refusal-direction", one) % 2 == 0 for one in ids], dtype=bool)
    unsafe = np.asarray(unsafe, dtype=bool)
    _both_kinds(int(unsafe.sum()), int((~unsafe).sum()), language)
    for half, here in (("fitted on", fit), ("held out", ~fit)):
        n_unsafe, n_safe = int((unsafe & here).sum()), int((~unsafe & here).sum())
        if min(n_unsafe, n_safe) < enough:
            raise MeasureError(
                f"the refusal direction in {language} has {n_unsafe} unsafe and {n_safe} safe "
                f"prompts to be {half}, and needs {enough} of each; halves are drawn by prompt id, "
                f"so take a suite of {4 * enough} or more of each kind."
            )
    return fit


@dataclass(frozen=True)
class Direction:
    """language: of its prompts, or a name for several. difference: [layers, width] float64."""

    language: str
    difference: Floats

    @property
    def size(self) -> Floats:
        """Length of the difference of means, [layers], in the activations' unit."""
        size: Floats = np.linalg.norm(self.difference, axis=1)
        return size

    @property
    def unit(self) -> Floats:
        """Of length 1, [layers, width]; NaN at layers where the means do not differ.

        Layer 0 is one: the header's last token has one embedding, whatever the prompt.
        """
        size = self.size[:, None]
        return np.divide(
            self.difference, size, out=np.full_like(self.difference, np.nan), where=size > 0
        )

    def project(self, activations: Given, who: str = "model", prompts: Names = None) -> Floats:
        """Lengths along the unit direction: [layers, b]. activations: [layers, b, width].

        who: whose they are, and prompts: their names, for errors. MeasureError for activations of
        another shape or not finite.
        """
        layers, width = self.difference.shape
        if activations.ndim != 3 or activations.shape[::2] != (layers, width):
            raise MeasureError(
                f"the refusal direction in {self.language} has {layers} layers of width {width} "
                f"and is given activations {list(activations.shape)}; give those of its base."
            )
        names = range(activations.shape[1]) if prompts is None else prompts
        all_finite(activations, who, names, "projection")
        pairs = zip(activations, self.unit, strict=True)
        return np.stack([layer.astype(np.float64) @ unit for layer, unit in pairs])


class DirectionSums:
    """Sums of unsafe and of safe activations, fed batch by batch: two [layers, width]."""

    def __init__(self, layers: int, language: str, who: str = "base") -> None:
        self._layers, self._language, self._who = layers, language, who
        self._counts = {True: 0, False: 0}  # by whether prompts are unsafe
        self._origin: Floats | None = None  # the first prompt's: what all share is exactly zero
        self._sums: dict[bool, Floats] = {}

    def add(self, activations: Given, unsafe: Flags, prompts: Names = None) -> None:
        """Take in a batch. activations: [layers, b, width]. unsafe: [b]; the others are safe.

        prompts: their names, for errors. MeasureError for activations that are not finite.
        """
        if activations.ndim != 3 or activations.shape[:2] != (self._layers, len(unsafe)):
            raise MeasureError(
                f"the refusal direction in {self._language} needs activations of {self._layers} "
                f"layers by {len(unsafe)} prompts, not {activations.shape}; give a whole batch."
            )
        before = sum(self._counts.values())
        names = range(before, before + len(unsafe)) if prompts is None else prompts
        all_finite(activations, self._who, names, "refusal direction")
        if not len(unsafe):
            return
        if self._origin is None:
            self._origin = activations[:, 0].astype(np.float64)
            self._sums = {kind: np.zeros_like(self._origin) for kind in (True, False)}
        unsafe = np.asarray(unsafe, dtype=bool)
        for kind in (True, False):
            here = unsafe == kind
            moved = activations[:, here].astype(np.float64) - self._origin[:, None]
            self._sums[kind] += moved.sum(axis=1)
            self._counts[kind] += int(here.sum())

    def direction(self) -> Direction:
        """The difference of means so far; MeasureError without prompts of both kinds."""
        unsafe, safe = self._moved()
        return Direction(self._language, unsafe - safe)

    def means(self) -> tuple[Floats, Floats]:
        """Mean activations of unsafe and of safe prompts so far, [layers, width] each."""
        unsafe, safe = self._moved()
        assert self._origin is not None
        return self._origin + unsafe, self._origin + safe

    def _moved(self) -> tuple[Floats, Floats]:
        """Both means, from the origin."""
        _both_kinds(self._counts[True], self._counts[False], self._language)
        return (
            self._sums[True] / self._counts[True],
            self._sums[False] / self._counts[False],
        )


def pooled(directions: Sequence[Direction], name: str = "all languages") -> Direction:
    """The mean of the languages' differences of means, each language counting the same."""
    _alike(directions)
    return Direction(name, np.mean([one.difference for one in directions], axis=0))


def cosine(one: Direction, other: Direction) -> Floats:
    """Between two directions, [layers]: 1 the same, 0 unrelated, -1 opposite; NaN where one is."""
    return cosines([one, other])[:, 0, 1]


def cosines(directions: Sequence[Direction]) -> Floats:
    """Between all pairs of k directions: [layers, k, k]. MeasureError if they are of two bases."""
    _alike(directions)
    units = np.stack([one.unit for one in directions], axis=1)
    return np.clip(units @ units.transpose(0, 2, 1), -1.0, 1.0)


def mean_cosine(directions: Sequence[Direction]) -> Floats:
    """Mean over pairs of different languages, [layers]; NaN of a single language."""
    all_pairs, k = cosines(directions), len(directions)
    if k < 2:
        return np.full(len(all_pairs), np.nan)
    mean: Floats = all_pairs[:, *np.triu_indices(k, 1)].mean(axis=1)
    return mean


@dataclass(frozen=True)
class RefusalShift:
    """What a variant does along the base's direction, on held-out prompts; all [layers] float64.

    base_unsafe, base_safe, variant_unsafe, variant_safe: mean projections, in the activations'
    unit. gap: base_unsafe - base_safe, which is the unit of the next two. unsafe, safe: the shifts
    variant - base of the two means: unsafe = -1 means that unsafe prompts now lie where safe ones
    did, safe = +1 the reverse. Both are NaN where the gap is not above 0. clarity: the gap in
    standard deviations within kinds (d′). auc, variant_auc: the share of pairs in which an unsafe
    prompt lies above a safe one, in base and variant. prompts: held-out unsafe and safe ones.
    """

    base_unsafe: Floats
    base_safe: Floats
    variant_unsafe: Floats
    variant_safe: Floats
    gap: Floats
    unsafe: Floats
    safe: Floats
    clarity: Floats
    auc: Floats
    variant_auc: Floats
    prompts: tuple[int, int]

    @property
    def clearest(self) -> int | None:
        """The layer at which the base's kinds lie furthest apart by `clarity`; None if all are NaN.

        It is chosen by the base alone, so the choice knows nothing of what tuning did.
        """
        return None if np.isnan(self.clarity).all() else int(np.nanargmax(self.clarity))


def refusal_shift(
    base: Floats, variant: Floats, unsafe: Flags, language: str = "this language"
) -> RefusalShift:
    """Compare projections of the same held-out prompts on the base's direction.

    base, variant: [layers, prompts], from `Direction.project`. unsafe: [prompts]. MeasureError
    without prompts of both kinds, or for unlike shapes.
    """
    if base.shape != variant.shape or base.shape[1:] != np.shape(unsafe):
        raise MeasureError(
            f"a shift in {language} needs projections of the same prompts, not {base.shape} of the "
            f"base, {variant.shape} of the variant and {len(unsafe)} kinds; measure both on the "
            "same prompts."
        )
    unsafe = np.asarray(unsafe, dtype=bool)
    _both_kinds(int(unsafe.sum()), int((~unsafe).sum()), language)
    b_unsafe, b_safe, v_unsafe, v_safe = (
        one[:, kind] for one in (base, variant) for kind in (unsafe, ~unsafe)
    )
    before, before_safe, after, after_safe = (
        part.mean(axis=1) for part in (b_unsafe, b_safe, v_unsafe, v_safe)
    )
    gap = before - before_safe
    unit = np.where(gap > 0, gap, np.nan)
    return RefusalShift(
        base_unsafe=before,
        base_safe=before_safe,
        variant_unsafe=after,
        variant_safe=after_safe,
        gap=gap,
        unsafe=(after - before) / unit,
        safe=(after_safe - before_safe) / unit,
        clarity=_clarity(b_unsafe, b_safe),
        auc=auc(b_unsafe, b_safe),
        variant_auc=auc(v_unsafe, v_safe),
        prompts=(int(unsafe.sum()), int((~unsafe).sum())),
    )


def auc(above: Floats, below: Floats) -> Floats:
    """P(above > below) + ½ P(above = below), [layers]: Mann and Whitney, Ann. Math. Stat. 18, 1947.

    above, below: [layers, n] and [layers, m]. NaN where any is NaN, and of none.
    """
    found = np.full(len(above), np.nan)
    for layer, (high, low) in enumerate(zip(above, below, strict=True)):
        if high.size and low.size and np.isfinite(high).all() and np.isfinite(low).all():
            low = np.sort(low)
            wins = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
            found[layer] = wins.mean() / (2 * low.size)
    return found


def _clarity(above: Floats, below: Floats) -> Floats:
    """(mean - mean) / √(mean of both variances): [layers]; NaN below 2 prompts of a kind."""
    if min(above.shape[1], below.shape[1]) < 2:
        return np.full(len(above), np.nan)
    spread = np.sqrt((above.var(axis=1, ddof=1) + below.var(axis=1, ddof=1)) / 2)
    gap = above.mean(axis=1) - below.mean(axis=1)
    clarity: Floats = np.divide(gap, spread, out=np.full_like(gap, np.nan), where=spread > 0)
    return clarity


def _alike(directions: Sequence[Direction]) -> None:
    if not directions:
        raise MeasureError("there is no refusal direction to look at; measure a language at least.")
    first = directions[0]
    for one in directions:
        if one.difference.shape != first.difference.shape:
            raise MeasureError(
                f"the refusal direction in {one.language} is {list(one.difference.shape)} and that "
                f"in {first.language} {list(first.difference.shape)} ([layers, width]); compare "
                "directions of one base and its variants."
            )


def _both_kinds(unsafe: int, safe: int, language: str) -> None:
    for count, needs in ((unsafe, _NEEDS["unsafe"]), (safe, _NEEDS["safe"])):
        if not count:
            raise MeasureError(f"the refusal direction in {language} needs {needs} to the suite.")
