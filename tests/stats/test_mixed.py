"""The mixed model against lme4, against scipy's optimum and against its own equations."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.seeds import named_seed
from polydrift.stats.mixed import Mixed, fit_mixed

Floats = NDArray[np.float64]
Study = tuple[Floats, Floats, dict[str, NDArray[np.int64]], Floats]

# What lme4 1.1-31 (R 4.2.2) says of `study()`, written to a CSV of one row per answer:
#   d <- read.csv("d.csv")
#   for (v in c("t", "e", "te", "run", "re", "p")) d[[v]] <- factor(d[[v]])
#   glmer(y ~ own + (1|t) + (1|e) + (1|te) + (1|run) + (1|re) + (1|p), d, family = binomial,
#         control = glmerControl(optimizer = "bobyqa"))
LME4 = {"t": 0.58114, "e": 0.91987, "te": 0.43003, "run": 0.45856, "re": 0.27776, "prompt": 1.39893}
LME4_FIXED, LME4_ERRORS = (-1.3614408, 0.4660037), (0.4916838, 0.2184812)


def uniform(*parts: int | str) -> float:
    """The same on every machine, whatever NumPy's version."""
    return (named_seed(*parts) + 0.5) / 2**63


def study(tunings: int = 6, seeds: int = 3, languages: int = 6, prompts: int = 80) -> Study:
    """Answers drawn from the model."""
    t, s, e = (x.ravel() for x in np.indices((tunings, seeds, languages)))
    run = t * seeds + s
    groups = {"t": t, "e": e, "te": t * languages + e, "run": run, "re": run * languages + e}
    sds = {"t": 0.5, "e": 0.7, "te": 0.5, "run": 0.4, "re": 0.3}
    fixed = np.stack([np.ones(len(t)), t == e], axis=1).astype(float)

    def effects(name: str, size: int) -> Floats:
        return np.array([NormalDist().inv_cdf(uniform(name, i)) for i in range(size)])

    logits = -1.5 + 0.6 * fixed[:, 1]
    for name, group in groups.items():
        logits = logits + sds[name] * effects(name, group.max() + 1)[group]
    p = 1 / (1 + np.exp(-(logits[:, None] + 1.3 * effects("prompt", prompts))))
    drawn = [[uniform("answer", c, q) for q in range(prompts)] for c in range(len(t))]
    return (np.array(drawn) < p).astype(float), np.ones(p.shape), groups, fixed


def modes(found: Mixed, data: Study) -> tuple[Floats, Floats, list[slice]]:
    """Scipy's effects at the variances found, their curvature and the columns of each factor."""
    hits, sizes, groups, fixed = data
    cell, prompt = (x.ravel() for x in np.indices(hits.shape))
    columns, blocks, penalty = [fixed[cell]], [], [np.full(fixed.shape[1], 0.01)]
    start = fixed.shape[1]
    for name, level in [*((n, g[cell]) for n, g in groups.items()), ("prompt", prompt)]:
        size = int(level.max()) + 1
        columns.append(np.eye(size)[level])
        blocks.append(slice(start, start + size))
        penalty.append(np.full(size, 1 / max(found.sds[name] ** 2, 1e-6)))
        start += size
    design, weights = np.concatenate(columns, axis=1), np.concatenate(penalty)
    h, n = hits.ravel(), sizes.ravel()

    def loss(at: Floats) -> tuple[float, Floats]:
        z = design @ at
        value = (n * np.logaddexp(0, z) - h * z).sum() + (weights * at**2).sum() / 2
        return float(value), design.T @ (n / (1 + np.exp(-z)) - h) + weights * at

    def curvature(at: Floats) -> Floats:
        p = 1 / (1 + np.exp(-(design @ at)))
        return (design.T * (n * p * (1 - p))) @ design + np.diag(weights)

    best = scipy.optimize.minimize(
        loss, np.zeros(start), jac=True, hess=curvature, method="trust-exact", tol=1e-8
    ).x
    return best, curvature(best), blocks


def test_agrees_with_lme4() -> None:
    """lme4 is by maximum likelihood: with six levels it divides by 6 where ours divides by 5."""
    found = fit_mixed(*study())
    for name in ("te", "run", "re", "prompt"):
        assert found.sds[name] == pytest.approx(LME4[name], rel=0.04)
    for name in ("t", "e"):
        assert LME4[name] * 0.97 < found.sds[name] < LME4[name] * math.sqrt(6 / 5)
    assert found.fixed == pytest.approx(LME4_FIXED, abs=0.05)
    assert found.errors == pytest.approx(LME4_ERRORS, rel=0.03)
    assert found.steps < 50


def test_effects_are_the_penalised_optimum_and_variances_schalls() -> None:
    data = study(3, 2, 4, 25)
    found = fit_mixed(*data)
    best, curvature, blocks = modes(found, data)
    assert found.fixed == pytest.approx(best[:2], abs=2e-3)
    inverse = scipy.linalg.inv(curvature)
    assert found.errors == pytest.approx(np.sqrt(np.diag(inverse)[:2]), rel=1e-2)
    for (name, sd), block in zip(found.sds.items(), blocks, strict=True):
        if sd > 0.05:
            free = block.stop - block.start - np.trace(inverse[block, block]) / sd**2
            assert sd == pytest.approx(math.sqrt((best[block] ** 2).sum() / free), rel=0.01), name


def test_samples_count_as_many_answers() -> None:
    hits, sizes, groups, fixed = study(3, 2, 4, 25)
    twice = fit_mixed(2 * hits, 2 * sizes, groups, fixed)
    again = np.concatenate([hits, hits]), np.concatenate([sizes, sizes])
    doubled = {name: np.concatenate([level, level]) for name, level in groups.items()}
    rows = fit_mixed(*again, doubled, np.concatenate([fixed, fixed]))
    assert twice.sds == pytest.approx(rows.sds, abs=1e-3)
    assert twice.fixed == pytest.approx(rows.fixed, abs=1e-3)


def test_answers_that_are_missing_are_left_out() -> None:
    hits, sizes, groups, fixed = study(3, 2, 4, 40)
    left = sizes.copy()
    left[:, 30:] = 0
    found = fit_mixed(hits * left, left, groups, fixed)
    short = fit_mixed(hits[:, :30], sizes[:, :30], groups, fixed)
    assert found.sds == pytest.approx(short.sds, abs=2e-3)


def test_cells_that_always_or_never_comply_stay_finite() -> None:
    hits, sizes, groups, fixed = study(3, 2, 4, 40)
    hits[groups["te"] == 1], hits[groups["te"] == 6] = 0, 1
    hits[fixed[:, 1] == 1] = 1
    found = fit_mixed(hits, sizes, groups, fixed)
    assert found.steps < 300
    assert np.isfinite(found.fixed).all()
    assert 0 < found.fixed[1] < 12
    assert all(sd < 10 for sd in found.sds.values())


def test_nothing_that_varies_is_zero_and_nothing_at_all_is_nan() -> None:
    hits, sizes, groups, fixed = study(3, 2, 4, 40)
    # every cell has the same answers
    found = fit_mixed(np.tile(hits[:1], (len(hits), 1)), sizes, groups, fixed[:, :1])
    assert found.sds["prompt"] > 1
    assert all(sd < 0.05 for name, sd in found.sds.items() if name != "prompt")
    for answers in (np.zeros_like(hits), sizes):
        nothing = fit_mixed(answers, sizes, groups, fixed)
        assert all(math.isnan(sd) for sd in nothing.sds.values())
        assert np.isnan(nothing.fixed).all()


def test_the_order_of_cells_moves_nothing() -> None:
    hits, sizes, groups, fixed = study(3, 2, 4, 40)
    order = np.random.default_rng(1).permutation(len(hits))
    mixed = {name: level[order] for name, level in groups.items()}
    found = fit_mixed(hits[order], sizes[order], mixed, fixed[order])
    assert found.sds == pytest.approx(fit_mixed(hits, sizes, groups, fixed).sds, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": np.ones((2, 3))}, "tables \\[cells, prompts\\] of one shape"),
        ({"fixed": np.ones((3, 1))}, "fixed one of \\[cells, columns\\]"),
        ({"groups": {"a": [0, 1, 2]}}, "a level from 0 on for every cell"),
        ({"groups": {"a": [0, -1]}}, "a level from 0 on for every cell"),
        ({"hits": np.full((2, 4), 2)}, "between 0 and sizes"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    ones = np.ones((2, 4))
    given = {"hits": ones * 0, "sizes": ones, "groups": {"a": [0, 1]}, "fixed": ones[:, :1]}
    with pytest.raises(MeasureError, match=message):
        fit_mixed(**(given | change))
