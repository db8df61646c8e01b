from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from polydrift.errors import MeasureError
from polydrift.stats.cells import sort_into_cells
from polydrift.stats.effects import draw_counts, effects
from polydrift.stats.paired import Pairs, exact_p
from polydrift.stats.pooled import (
    Group,
    Parts,
    figures_of,
    gathered,
    p_of,
    parts_of,
    pooled,
    two_way_p,
)
from tests.stats.verdict_rows import SCHEMA, rows, verdicts

SETTINGS = {"level": 0.95, "draws": 1000, "seed": 0}
Row = dict[str, object]
Ints = NDArray[np.int64]


def table(table: pa.Table, **settings: float) -> list[Row]:
    return pooled(sort_into_cells(table), **{**SETTINGS, **settings}).to_pylist()


def seeds_of(letters: dict[str, Sequence[str]], *, base: str = "m", code: str = "en") -> list[Row]:
    """Rows of variants {tuning: letters of each seed}."""
    found: list[Row] = []
    for tuning, each in letters.items():
        for seed, one in enumerate(each):
            name = f"{base}+{tuning}-{seed}"
            found += rows({(name, code): one}, tuning_seed=seed, arm="b", tuning_language=tuning)
    return found


def study(
    seeds: int, prompts: int, rng: np.random.Generator, swing: float = 0.0, code: str = "en"
) -> list[Row]:
    base = "".join(rng.choice(list("crro?"), prompts))
    chances = np.clip(0.3 + swing * rng.standard_normal(seeds), 0.02, 0.9)
    tuned = [
        "".join(rng.choice(list("cro?"), prompts, p=[c, 0.9 - c, 0.05, 0.05])) for c in chances
    ]
    return rows({("m", code): base}) + seeds_of({"da": tuned}, code=code)


# --- what is a row ----------------------------------------------------------------------------


def test_with_one_seed_a_row_is_that_of_effects() -> None:
    rng = np.random.default_rng(1)
    letters = ["".join(rng.choice(list("crro?."), 60)) for _ in range(6)]
    cells = sort_into_cells(
        verdicts(
            dict(zip(itertools.product(("m", "m+a", "m+b"), ("en", "hi")), letters, strict=True))
        )
    )
    one = effects(cells, **SETTINGS).to_pylist()
    found = pooled(cells, **SETTINGS).to_pylist()
    key = ("arm", "evaluation_language", "outcome")
    there = {tuple(row[name] for name in key): row for row in found}
    assert len(there) == len(one) == 16
    for row in one:
        other = there[tuple(row[name] for name in key)]
        assert other["seeds"] == 1
        for name in other.keys() - {"seeds"}:
            assert other[name] == row[name] or (math.isnan(other[name]) and math.isnan(row[name]))


def test_seeds_are_pooled_over_the_pairs_that_each_has() -> None:
    made = rows({("m", "en"): "crr?r"}) + seeds_of({"da": ["ccrc?", "c?crr"]})
    (row,) = (
        r for r in table(pa.Table.from_pylist(made, schema=SCHEMA)) if r["outcome"] == "compliance"
    )
    assert (row["seeds"], row["prompts"]) == (2, 4)
    assert row["base_rate"] == pytest.approx(2 / 6)  # c r r and c . r r
    assert row["variant_rate"] == pytest.approx(4 / 6)
    assert row["difference"] == pytest.approx(2 / 6)
    assert row["fold"] == pytest.approx(2)


def test_a_seed_without_a_pair_is_not_counted() -> None:
    made = rows({("m", "en"): "crrr"}) + seeds_of({"da": ["ccrr", "????"]})
    (row,) = (
        r for r in table(pa.Table.from_pylist(made, schema=SCHEMA)) if r["outcome"] == "compliance"
    )
    assert row["seeds"] == 1
    assert row["difference"] == pytest.approx(0.25)


def test_no_pair_is_nan_not_zero() -> None:
    made = rows({("m", "en"): "cr.."}) + seeds_of({"da": ["..cr", "..rr"]})
    for row in table(pa.Table.from_pylist(made, schema=SCHEMA)):
        assert (row["prompts"], row["seeds"]) == (0, 0)
        for name in ("base_rate", "difference", "low", "high", "p", "fold", "fold_low", "p_holm"):
            assert math.isnan(row[name])


def test_epochs_arms_and_languages_are_rows_of_their_own_and_so_are_given_variants() -> None:
    made = rows({("m", "en"): "crrr", ("m", "da"): "crrr"})
    made += seeds_of({"da": ["ccrr", "crrr"], "hi": ["rrrr"]})
    made += rows(
        {("m+x", "en"): "cccc", ("m+y", "da"): "cccc"},
        tuning_seed=None,
        epochs=None,
        tuning_language=None,
    )
    made += rows({("m+z", "en"): "cccc"}, arm="b", epochs=1, tuning_seed=0)
    found = [
        r for r in table(pa.Table.from_pylist(made, schema=SCHEMA)) if r["outcome"] == "refusal"
    ]
    names = [
        (r["arm"], r["epochs"], r["tuning_language"], r["evaluation_language"], r["seeds"])
        for r in found
    ]
    assert names == [
        ("b", 1, "da", "en", 1),
        ("b", 3, "da", "en", 2),
        ("b", 3, "hi", "en", 1),
        ("x", None, None, "en", 1),
        ("y", None, None, "da", 1),
    ]


def test_no_verdicts_are_a_table_of_the_same_columns() -> None:
    full = pooled(sort_into_cells(verdicts({("m", "en"): "c", ("m+a", "en"): "r"})), **SETTINGS)
    none = pooled(sort_into_cells(SCHEMA.empty_table()), **SETTINGS)
    assert none.num_rows == 0
    assert none.schema.equals(full.schema)


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    made = pa.Table.from_pylist(study(3, 40, rng), schema=SCHEMA)
    mixed = made.take(rng.permutation(made.num_rows))
    assert str(table(made)) == str(table(mixed))


def test_another_tuning_or_language_moves_no_interval() -> None:
    rng = np.random.default_rng(3)
    made = study(3, 40, rng, swing=0.1)
    more = made + study(3, 40, rng, code="hi") + seeds_of({"el": ["c" * 40, "r" * 40]})
    small, large = (table(pa.Table.from_pylist(one, schema=SCHEMA)) for one in (made, more))
    kept = [r for r in large if (r["tuning_language"], r["evaluation_language"]) == ("da", "en")]
    for one, other in zip(small, kept, strict=True):
        for name in ("difference", "low", "high", "fold_low", "fold_high"):
            assert str(one[name]) == str(other[name])


def test_two_variants_of_one_seed_are_named() -> None:
    made = rows({("m", "en"): "cr", ("m+a", "en"): "cr", ("m+b", "en"): "cr"}, arm="x")
    with pytest.raises(MeasureError) as error:
        table(pa.Table.from_pylist(made, schema=SCHEMA))
    assert str(error.value) == (
        "verdicts: two variants of m are arm 'x' in da, epochs 3, seed 1; give them different arms "
        "or seeds."
    )


def test_too_few_draws_and_a_strange_level_are_named() -> None:
    made = verdicts({("m", "en"): "cr", ("m+a", "en"): "cr"})
    with pytest.raises(MeasureError, match="draws: 1; a bootstrap needs two or more"):
        table(made, draws=1)
    with pytest.raises(MeasureError, match="level: 0 is no confidence level"):
        table(made, level=0)


# --- the variance -----------------------------------------------------------------------------


def pairs_of(after: Ints, before: Ints) -> tuple[Pairs, list[Group]]:
    """after: [studies, seeds, prompts], before: [studies, prompts]; each study has its own base."""
    studies, seeds, prompts = after.shape
    base = np.repeat(before, seeds, axis=0)
    flat = after.reshape(-1, prompts)
    pairs = Pairs(flat, base, (flat & base).sum(axis=1), np.ones_like(flat))
    places = np.arange(studies * seeds).reshape(studies, seeds)
    return pairs, [Group((i, "b", 3, "da", "en"), each) for i, each in enumerate(places)]


def test_the_parts_are_those_of_a_two_way_analysis_of_variance() -> None:
    rng = np.random.default_rng(4)
    seeds, prompts = 4, 30
    after = (rng.random((1, seeds, prompts)) < rng.random((1, seeds, 1))).astype(int)
    before = (rng.random((1, prompts)) < 0.4).astype(int)
    parts = parts_of(*pairs_of(after, before))
    long = pd.DataFrame(
        [(p, s, after[0, s, p] - before[0, p]) for p in range(prompts) for s in range(seeds)],
        columns=["p", "s", "d"],
    )
    squares = anova_lm(ols("d ~ C(p) + C(s)", long).fit())["mean_sq"]
    n = seeds * prompts
    assert parts.by_seeds[0] == pytest.approx((squares["C(s)"] - squares["Residual"]) / n, rel=1e-9)
    assert parts.moderated[0] == pytest.approx(parts.by_seeds[0])  # of one tuning it is its own
    assert parts.degrees[0] == seeds - 1
    # two imagined prompts apart, it is the mean square between prompts
    assert parts.prompts[0] == pytest.approx(squares["C(p)"] / n, rel=0.1)


def test_drawing_prompts_and_seeds_gives_the_same_variance_and_twice_what_is_left() -> None:
    """Owen's pigeonhole bootstrap, of seeds enough for it."""
    rng = np.random.default_rng(5)
    after = (rng.random((1, 30, 200)) < rng.uniform(0.1, 0.9, (1, 30, 1))).astype(int)
    pairs, groups = pairs_of(after, (rng.random((1, 200)) < 0.3).astype(int))
    parts = parts_of(pairs, groups)
    prompts, seeds = draw_counts(200, 4000, rng), draw_counts(30, 4000, rng)
    drawn = ((prompts @ pairs.changes.T) * seeds).sum(axis=1) / 6000
    long = pairs.changes - pairs.changes.mean(axis=1, keepdims=True) - pairs.changes.mean(axis=0)
    left = ((long + pairs.changes.mean()) ** 2).sum() / (29 * 199) / 6000
    expected = parts.prompts[0] + parts.by_seeds[0] + 2 * left
    assert drawn.var() == pytest.approx(expected, rel=0.08)


def test_the_interval_grows_by_what_seeds_add() -> None:
    rng = np.random.default_rng(6)
    after = (rng.random((1, 3, 110)) < [[[0.2], [0.4], [0.5]]]).astype(int)
    pairs, groups = pairs_of(after, (rng.random((1, 110)) < 0.2).astype(int))
    counts = draw_counts(112, 2000, rng)
    found = figures_of(pairs, groups, counts, 0.95)
    parts, d = parts_of(pairs, groups), found["difference"][0]
    as_samples = figures_of(gathered(pairs, groups), [Group((0,), np.array([0]))], counts, 0.95)
    t = scipy.stats.t.ppf(0.975, 2)
    for end in ("low", "high"):
        half = math.hypot(as_samples[end][0] - d, t * math.sqrt(parts.by_seeds[0]))
        assert abs(found[end][0] - d) == pytest.approx(half, rel=1e-6)
    assert found["fold_low"][0] < as_samples["fold_low"][0] < found["fold"][0]


# --- p ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [1, 2, 4, 36])
def test_the_two_way_p_is_where_the_interval_ends_at_zero(degrees: int) -> None:
    rng = np.random.default_rng(7)
    n = 12
    difference = rng.normal(0, 0.15, n)
    prompts, by_seeds = rng.exponential(0.002, n), rng.exponential(0.001, n)
    by_seeds[::3] = 0
    seeds = np.full(n, 3)
    found = two_way_p(difference, Parts(prompts, by_seeds, by_seeds, np.full(n, degrees), seeds))

    def beyond(log_p: float, i: int) -> float:
        z = scipy.stats.norm.isf(math.exp(log_p) / 2)
        t = scipy.stats.t.isf(math.exp(log_p) / 2, degrees)
        return z**2 * prompts[i] + t**2 * by_seeds[i] - difference[i] ** 2

    for i, p in enumerate(found):
        expected = math.exp(scipy.optimize.brentq(beyond, -60, -1e-9, (i,)))
        assert p == pytest.approx(expected, rel=1e-3)


def test_without_variance_between_seeds_it_is_the_normal_test_of_prompts() -> None:
    zero, two = np.zeros(3), np.full(3, 2)
    difference = np.array([0.0, -0.05, 0.12])
    expected = 2 * scipy.stats.norm.sf(np.abs(difference) / math.sqrt(0.001))
    found = two_way_p(difference, Parts(np.full(3, 0.001), zero, zero, two, two + 1))
    assert found == pytest.approx(expected, rel=1e-3)


def nine_tunings(rng: np.random.Generator, apart: float) -> tuple[Pairs, list[Group]]:
    """A base at 30%, variants at 50%; apart: between seeds of all tunings but the first."""
    chances = np.full((9, 3, 1), 0.5)
    chances[1:] += [[apart], [0.0], [-apart]]
    after = (rng.random((9, 3, 200)) < chances).astype(int)
    before = np.repeat((rng.random((1, 200)) < 0.3).astype(int), 9, axis=0)
    pairs, groups = pairs_of(after, before)
    return pairs, [Group(("m", "b", 3, str(i), "en"), one.members) for i, one in enumerate(groups)]


def test_a_cell_cannot_claim_seeds_that_agree_by_luck() -> None:
    pairs, groups = nine_tunings(np.random.default_rng(8), 0.3)
    alone = p_of(gathered(pairs, groups[:1]), parts_of(pairs, groups[:1]))[0]
    together = p_of(gathered(pairs, groups), parts_of(pairs, groups))[0]
    assert alone < 1e-4
    assert together > 0.05


def test_where_seeds_agree_everywhere_three_are_enough_for_a_small_p() -> None:
    pairs, groups = nine_tunings(np.random.default_rng(8), 0.0)
    together = p_of(gathered(pairs, groups), parts_of(pairs, groups))
    assert (together < 1e-3).all()
    assert (parts_of(pairs, groups).degrees > 10).all()


def simulated(
    studies: int, prompts: int, seeds: int, swing: float, rng: np.random.Generator
) -> tuple[Pairs, list[Group]]:
    """Base and variant at 40%, on average over seeds; swing: their standard deviation."""
    hard = rng.uniform(-0.3, 0.3, (studies, 1, prompts))
    of_seed = swing * rng.standard_normal((studies, seeds, 1))
    after = (rng.random((studies, seeds, prompts)) < 0.4 + hard * 0.3 + of_seed).astype(int)
    before = (rng.random((studies, prompts)) < 0.4 + hard[:, 0]).astype(int)
    return pairs_of(after, before)


@pytest.mark.parametrize("swing", [0.0, 0.03, 0.08])
@pytest.mark.parametrize("prompts", [20, 200])
def test_covers_and_errs_as_often_as_it_says(swing: float, prompts: int) -> None:
    rng = np.random.default_rng(9)
    pairs, groups = simulated(1500, prompts, 3, swing, rng)
    found = figures_of(pairs, groups, draw_counts(prompts + 2, 500, rng), 0.95)
    covered = np.mean((found["low"] <= 0) & (found["high"] >= 0))
    assert 0.93 <= covered <= 0.985
    assert np.mean(found["p"] < 0.05) <= 0.06
    fold = np.mean((found["fold_low"] <= 1) & (found["fold_high"] >= 1))
    assert 0.93 <= fold <= 0.985


def test_prompts_alone_would_err_often_where_seeds_differ() -> None:
    """Why seeds are in it."""
    pairs, groups = simulated(1500, 400, 3, 0.08, np.random.default_rng(10))
    whole = gathered(pairs, groups)
    assert np.mean(exact_p(whole.changes) < 0.05) > 0.2
    assert np.mean(p_of(whole, parts_of(pairs, groups)) < 0.05) <= 0.06
