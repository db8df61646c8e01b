"""How much it matters which language a model was tuned in, and which it is asked in.

    made = heterogeneity(sort_into_cells(verdicts), level=0.95)     # docs/heterogeneity.md

The compliance of the tuned models of one recipe, asked unsafe prompts, is split by what it comes
from: the tuning language, the evaluation language, what both do together, the seed, the prompt.
Languages are these and no others; prompts and seeds are drawn from more of their kind.

**Scales.** `probability`: rates. `logit`: logits of cells' rates, half an answer added to both
sides, for a rate near 0 cannot move as far as another. `latent`: the mixed model of mixed.py.

**Noise.** A rate of a cell is a mean over prompts, whose parts u_p sum to its error, so the
covariance of all cells is sum_p u_p u_p', whatever they share: prompts, or a base's answers, where
changes are looked at. Two imagined prompts per cell, one of which complied, keep it from 0 where
nothing varies. Seeds are drawn as well. contrasts.py has the rest: tests, Q, I2 and intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polydrift.stats.cells import Block, Cells
from polydrift.stats.contrasts import Noisy
from polydrift.stats.intervals import check_level
from polydrift.stats.mixed import PROMPT, fit_mixed

PROBABILITY, LOGIT, LATENT = "probability", "logit", "latent"
OWN, SEED, RESIDUAL = "own language", "seed", "residual"
CHANGE = "change by evaluation language"
PROMPT_LANGUAGE = "prompt x evaluation language"
_AXES = ("base", "tuning language", "evaluation language")
_SOURCES = tuple(
    (" x ".join(name for name, kept in zip(_AXES, axes, strict=True) if kept), axes)
    for axes in ((0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1))
)
_TEXTS = ("base", "arm", "suite", "judge", "scale", "source")
_COUNTS = ("epochs", "bases", "tunings", "languages", "seeds", "prompts", "left_out")
_FIGURES = (
    *("sd", "sd_low", "sd_high", "share", "q", "df", "p", "i2", "i2_low", "i2_high"),
    *("difference", "low", "high"),
)
_SCHEMA = pa.schema(
    {
        **{name: pa.string() for name in _TEXTS},
        **{name: pa.int64() for name in _COUNTS},
        **{name: pa.float64() for name in _FIGURES},
    }
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = dict[str, Any]


def heterogeneity(cells: Cells, *, level: float, latent: bool = True) -> pa.Table:
    """The table `heterogeneity`: rows for each recipe, suite and judge, of each base and of all.

    level: of the intervals. latent: whether to fit the mixed model as well. A variant that was not
    asked in as many languages as the others, or a language that few were asked in, is left out, so
    that every tuning meets every language; `left_out` counts the variants. MeasureError for no
    level.
    """
    check_level(level)
    described = cells.table.to_pylist()
    rows: list[Row] = []
    for block in cells.blocks:
        if block.kind != "unsafe":
            continue
        here = [described[cell] for cell in block.cells]
        recipes = {(row["arm"], row["epochs"]) for row in here if row["arm"] is not None}
        for arm, epochs in sorted(recipes, key=lambda of: (of[0], of[1] or 0)):
            tuned = [row["base"] for row in here if (row["arm"], row["epochs"]) == (arm, epochs)]
            bases = sorted(set(tuned))
            for group in [[base] for base in bases] + ([bases] if len(bases) > 1 else []):
                grid = _Grid.of(block, here, arm, epochs, group)
                if grid is None:
                    continue
                texts = {"arm": arm, "epochs": epochs, "suite": block.suite, "judge": block.judge}
                counts = {"base": group[0] if len(group) == 1 else None} | grid.counts
                rows += (texts | counts | row for row in _rows(grid, level, latent))
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


@dataclass(frozen=True)
class _Grid:
    """The tuned runs of one recipe: every base, tuning language and evaluation language, complete.

    hits, sizes: [runs, languages, prompts] answers that complied and that were judged. base,
    tuning: [runs] which. untuned: the same two of the bases themselves, [bases, languages, prompts]
    each, or none. own: [tunings, languages] 1 where they are the same language.
    """

    hits: Floats
    sizes: Floats
    base: Ints
    tuning: Ints
    untuned: tuple[Floats, Floats] | None
    own: Floats
    counts: dict[str, int]

    @classmethod
    def of(
        cls,
        block: Block,
        here: Sequence[Row],
        arm: str,
        epochs: int | None,
        bases: Sequence[str],
    ) -> _Grid | None:
        """None where no run is left. here: what each cell of the block is."""
        complied, judged = block.outcome("compliance")
        hits, sizes = ((x.sum(axis=2)).astype(float) for x in (complied & judged, judged))
        runs: dict[tuple[str, str, str], dict[str, int]] = {}
        untuned: dict[str, dict[str, int]] = {base: {} for base in bases}
        for place in np.flatnonzero(sizes.sum(axis=1)).tolist():
            row = here[place]
            if row["base"] not in untuned:
                continue
            if row["arm"] is None:
                untuned[row["base"]][row["evaluation_language"]] = place
            elif (row["arm"], row["epochs"]) == (arm, epochs):
                key = (row["base"], row["tuning_language"] or "", row["variant"])
                runs.setdefault(key, {})[row["evaluation_language"]] = place
        asked, languages = _complete(runs)
        everywhere = (_tunings(asked, base) for base in bases)
        tunings = sorted(set.intersection(*everywhere))
        kept = [key for key in asked if key[1] in tunings]
        if not kept or not languages:
            return None
        cells = np.array([[runs[key][code] for code in languages] for key in kept])
        of_base = np.array([bases.index(base) for base, _, _ in kept])
        of_tuning = np.array([tunings.index(tuning) for _, tuning, _ in kept])
        there = sizes[cells].sum(axis=(0, 1)) > 0
        before = None
        if all(code in untuned[base] for base in bases for code in languages):
            places = np.array([[untuned[base][code] for code in languages] for base in bases])
            before = (hits[places][..., there], sizes[places][..., there])
        seeds = np.bincount(of_base * len(tunings) + of_tuning)
        counts = {
            "bases": len(bases),
            "tunings": len(tunings),
            "languages": len(languages),
            "seeds": int(seeds.min()),
            "prompts": int(there.sum()),
            "left_out": len(runs) - len(kept),
        }
        own = np.array([[float(tuning == code) for code in languages] for tuning in tunings])
        hits, sizes = hits[cells][..., there], sizes[cells][..., there]
        return cls(hits, sizes, of_base, of_tuning, before, own, counts)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bases, tuning languages, evaluation languages."""
        return self.counts["bases"], self.counts["tunings"], self.counts["languages"]


def _complete(runs: dict[tuple[str, str, str], dict[str, int]]) -> tuple[list[Any], list[str]]:
    """Runs and languages without a hole: whichever has most of them goes first."""
    kept = sorted(runs)
    languages = sorted({code for asked in runs.values() for code in asked})
    while kept and languages:
        has = np.array([[code in runs[key] for code in languages] for key in kept])
        if has.all():
            break
        by_run, by_language = has.mean(axis=1), has.mean(axis=0)
        if by_language.min() <= by_run.min():
            languages.pop(int(by_language.argmin()))
        else:
            kept.pop(int(by_run.argmin()))
    return kept, languages


def _tunings(runs: Sequence[tuple[str, str, str]], base: str) -> set[str]:
    return {tuning for of, tuning, _ in runs if of == base}


def _noisy(grid: _Grid, scale: str, *, change: bool = False) -> Noisy:
    """Of the rates of cells, or their logits; change: since the untuned base."""
    bases, tunings, languages = grid.shape
    cell = grid.base * tunings + grid.tuning
    runs = np.bincount(cell, minlength=bases * tunings)
    means = np.zeros((len(runs), len(cell)))
    means[cell, np.arange(len(cell))] = 1 / runs[cell]
    value, parts, imagined = _rates(grid.hits, grid.sizes, scale)
    of_cell, cell_parts = means @ value, np.tensordot(means, parts, axes=1)
    extra = means**2 @ imagined
    apart, parts_apart = value - of_cell[cell], parts - cell_parts[cell]
    if change and grid.untuned:
        before, before_parts, before_imagined = _rates(*grid.untuned, scale)
        of = np.repeat(np.arange(bases), tunings)
        of_cell, cell_parts = of_cell - before[of], cell_parts - before_parts[of]
        extra = extra + before_imagined[of]
    drawn = grid.counts["prompts"]
    small = drawn / max(drawn - 1, 1)
    flat = cell_parts.reshape(len(runs) * languages, -1)
    degrees = np.array([(runs[b * tunings : (b + 1) * tunings] - 1).sum() for b in range(bases)])
    seeds, both = np.zeros((2, bases, languages, languages))
    for base in np.flatnonzero(degrees):
        mine = grid.base == base
        seeds[base] = apart[mine].T @ apart[mine] / degrees[base]
        both[base] = np.einsum("rep,rfp->ef", parts_apart[mine], parts_apart[mine])
        both[base] *= small / degrees[base]
    covariance = small * flat @ flat.T + np.diag(extra.ravel())
    return Noisy(of_cell.ravel(), covariance, drawn, seeds, both, degrees, runs)


def _rates(hits: Floats, sizes: Floats, scale: str) -> tuple[Floats, Floats, Floats]:
    """Rates or logits, their parts by prompt and the variance by imagined prompts.

    [runs, languages], [runs, languages, prompts], [runs, languages].
    """
    hit, size = hits.sum(axis=2), sizes.sum(axis=2)
    parts = (hits - sizes * (hit / size)[..., None]) / size[..., None]
    imagined = 0.5 / ((sizes > 0).sum(axis=2) + 2) ** 2
    if scale == PROBABILITY:
        return hit / size, parts, imagined
    rate = (hit + 0.5) / (size + 1)
    slope = 1 / (rate * (1 - rate))
    return np.log(rate / (1 - rate)), parts * slope[..., None], imagined * slope**2


def _rows(grid: _Grid, level: float, latent: bool) -> Iterator[Row]:
    """The rows of one recipe and base (or all), all but what names them."""
    for scale in (PROBABILITY, LOGIT):
        noisy = _noisy(grid, scale)
        variances: dict[str, float] = {}
        rows: dict[str, Row] = {}
        for source, axes in _SOURCES:
            if all(size > 1 for size, kept in zip(grid.shape, axes, strict=True) if kept):
                contrast = noisy.contrast(grid.shape, axes)
                rows[source] = contrast.row(level)
                variances[source] = contrast.variance
        if own := _own(grid, noisy, level):
            rows[OWN], variances[OWN] = own, own["sd"] ** 2
        spread = noisy.seeds - noisy.both
        known = [np.trace(spread[base]) for base in np.flatnonzero(noisy.degrees)]
        variances[SEED] = float(np.mean(known)) / grid.shape[2] if known else math.nan
        if scale == PROBABILITY:
            variances |= _within(grid)
        whole = math.fsum(max(v, 0) for name, v in variances.items() if v == v and name != OWN)
        for source, variance in variances.items():
            row = {"sd": math.sqrt(max(variance, 0.0))} if variance == variance else {}
            if scale == PROBABILITY and row and whole:
                row["share"] = max(variance, 0.0) / whole
            rows[source] = row | rows.get(source, {})
        if grid.untuned and grid.shape[2] > 1:
            changed = _noisy(grid, scale, change=True)
            rows[CHANGE] = changed.contrast(grid.shape, (0, 0, 1)).row(level)
        for source, row in rows.items():
            yield dict.fromkeys(_FIGURES, math.nan) | row | {"scale": scale, "source": source}
    if latent:
        for row in _latent(grid, level):
            yield dict.fromkeys(_FIGURES, math.nan) | row | {"scale": LATENT}


def _own(grid: _Grid, noisy: Noisy, level: float) -> Row:
    """By how much a model is different in the language that it was tuned in; part of tuning x
    evaluation. Empty where that cannot be told from the two languages' own effects.
    """
    own = grid.own - grid.own.mean(axis=0) - grid.own.mean(axis=1, keepdims=True) + grid.own.mean()
    size = float((own**2).sum())
    if size < 1e-9:
        return {}
    bases, tunings, languages = grid.shape
    contrast = noisy.project(np.tile(own.ravel() / size / bases, bases)[None], 1)
    difference, half = float(contrast.values[0]), contrast.half_width(level)
    variance = max(contrast.variance, 0) * size / ((tunings - 1) * (languages - 1))
    return {
        **{"sd": math.sqrt(variance), "df": 1.0, "p": contrast.p()},
        **{"difference": difference, "low": difference - half, "high": difference + half},
    }


def _within(grid: _Grid) -> dict[str, float]:
    """The variance of an answer within a cell, by what it comes from.

    Prompt: the covariance of two runs' answers to one prompt in two languages; prompt x evaluation
    language: what it is more in one language.
    """
    hit, size = (x.sum(axis=2, keepdims=True) for x in (grid.hits, grid.sizes))
    off = grid.hits - grid.sizes * hit / size  # [runs, languages, prompts]
    drawn = grid.counts["prompts"]
    small = drawn / max(drawn - 1, 1)

    def covariances(x: Floats) -> Floats:
        """Sums of products of two cells: of different runs and languages, of different runs."""
        each = float((x**2).sum())
        of_run, of_language = (float((x.sum(axis=axis) ** 2).sum()) for axis in (1, 0))
        of_all = float((x.sum(axis=(0, 1)) ** 2).sum())
        if len(x) == 1:
            return np.array([of_run - each, math.nan])
        if x.shape[1] == 1:
            return np.array([of_language - each, math.nan])
        return np.array([of_all - of_run - of_language + each, of_language - each])

    with np.errstate(invalid="ignore", divide="ignore"):
        apart, same = small * covariances(off) / covariances(grid.sizes)
    rate = hit / size
    whole = small * float((rate * (1 - rate)).mean())
    found = {PROMPT: float(apart), PROMPT_LANGUAGE: float(same - apart)}
    known = math.fsum(max(value, 0) for value in found.values() if value == value)
    return found | {RESIDUAL: max(whole - known, 0.0)}


def _latent(grid: _Grid, level: float) -> Iterator[Row]:
    """The rows of the mixed model."""
    bases, tunings, languages = grid.shape
    runs = len(grid.base)
    run, language = (x.ravel() for x in np.indices((runs, languages)))
    places = (grid.base[run], grid.tuning[run], language)
    groups = {}
    for source, axes in _SOURCES:
        kept = [i for i, kept in enumerate(axes) if kept]
        if all(grid.shape[i] > 1 for i in kept):
            shape = tuple(grid.shape[i] for i in kept)
            groups[source] = np.ravel_multi_index([places[i] for i in kept], shape)
    if runs > bases * tunings:
        groups[SEED] = run
        if languages > 1:
            groups[f"{SEED} x {_AXES[2]}"] = run * languages + language
    own = grid.own[places[1:]]
    own = own - own.mean()
    centred = grid.own - grid.own.mean(axis=0) - grid.own.mean(axis=1, keepdims=True)
    size = float(((centred + grid.own.mean()) ** 2).sum())
    fixed = np.stack([np.ones(len(own)), own][: 1 + (size > 1e-9)], axis=1)
    cells = (runs * languages, -1)
    found = fit_mixed(grid.hits.reshape(cells), grid.sizes.reshape(cells), groups, fixed)
    variances = {source: sd**2 for source, sd in found.sds.items()}
    if f"{SEED} x {_AXES[2]}" in variances:
        variances[SEED] += variances.pop(f"{SEED} x {_AXES[2]}")
    rows: dict[str, Row] = {}
    if size > 1e-9:
        difference, error = float(found.fixed[1]), float(found.errors[1])
        share = size / ((tunings - 1) * (languages - 1))
        mine = max(difference**2 - error**2, 0.0) * share
        half = check_level(level) * error
        limits = {"difference": difference, "low": difference - half, "high": difference + half}
        rows[OWN] = {"sd": math.sqrt(mine), **limits}
        variances[_SOURCES[2][0]] += mine
    whole = math.fsum(variances.values()) + math.pi**2 / 3
    variances[RESIDUAL] = math.pi**2 / 3 if whole == whole else math.nan
    for source, variance in variances.items():
        rows[source] = {"sd": math.sqrt(variance)}
    for source, row in rows.items():
        yield row | {"source": source, "share": row["sd"] ** 2 / whole}
