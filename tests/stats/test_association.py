from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.stats.association import (
    Points,
    associations,
    correlate,
    spearman,
)
from polydrift.stats.student import student_quantile, student_tail

LANGUAGES = ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl")
SETTINGS: dict[str, Any] = {"level": 0.95, "draws": 400, "seed": 0}
VARIANT = {
    **{name: pa.string() for name in ("base", "variant", "arm", "tuning_language")},
    **{name: pa.int64() for name in ("tuning_seed", "epochs")},
    "evaluation_language": pa.string(),
}
EFFECTS = pa.schema(
    {
        **VARIANT,
        **{name: pa.string() for name in ("suite", "kind", "judge", "outcome")},
        "difference": pa.float64(),
    }
)
MEASURES = pa.schema(
    {**VARIANT, "measure": pa.string(), "layer": pa.int64(), "value": pa.float64()}
)
CAPABILITY = pa.schema(
    {**VARIANT, "benchmark": pa.string(), "task": pa.string(), "difference": pa.float64()}
)

Floats = NDArray[np.float64]
Row = dict[str, Any]


def cell(variant: str, language: str | None = None, **values: Any) -> Row:
    """A row of variant "m" (the base), "m+x" (given) or "m+da-9" (tuned in da with seed 9)."""
    base, _, made = variant.partition("+")
    tuned = {}
    if "-" in made:
        code, seed = made.split("-")
        tuned = {"arm": "a", "tuning_language": code, "tuning_seed": int(seed), "epochs": 1}
    return {"base": base, "variant": variant, "evaluation_language": language, **tuned, **values}


def effect(variant: str, language: str, difference: float, **values: Any) -> Row:
    known = {"suite": "s", "kind": "unsafe", "judge": "rules", "outcome": "compliance"}
    return cell(variant, language, difference=difference, **(known | values))


def measure(name: str, variant: str, language: str, value: float, layer: int | None = None) -> Row:
    return cell(variant, language, measure=name, layer=layer, value=value)


def score(
    benchmark: str, task: str, variant: str, language: str | None, difference: float | None
) -> Row:
    return cell(variant, language, benchmark=benchmark, task=task, difference=difference)


def tables(
    effects: Sequence[Row], measures: Sequence[Row] = (), scores: Sequence[Row] = ()
) -> tuple[pa.Table, pa.Table, pa.Table]:
    pairs = ((effects, EFFECTS), (measures, MEASURES), (scores, CAPABILITY))
    first, second, third = (pa.Table.from_pylist(list(r), schema=schema) for r, schema in pairs)
    return first, second, third


def found(*rows: Sequence[Row], **settings: Any) -> list[Row]:
    made: list[Row] = associations(*tables(*rows), **(SETTINGS | settings)).to_pylist()
    return made


def one(rows: Sequence[Row], predictor: str, base: str | None = "m", **wanted: str) -> Row:
    (row,) = [
        row
        for row in rows
        if (row["predictor"], row["base"]) == (predictor, base)
        and all(row[name] == value for name, value in wanted.items())
    ]
    return row


def grid(
    tunings: int, languages: int, seeds: int = 1, *, rng: np.random.Generator, r: float = 0.5
) -> Points:
    """Normal effects of tunings, seeds, languages and cells, x and y correlated in each."""
    x, y = np.zeros((2, tunings, seeds, languages))
    for shape in ((tunings, 1, 1), (1, 1, languages), (tunings, seeds, 1), x.shape):
        a, b = rng.standard_normal((2, *shape))
        x, y = x + a, y + r * a + math.sqrt(1 - r * r) * b
    names = [(f"t{t}", f"l{e}", f"t{t}-{s}") for t, s, e in np.ndindex(x.shape)]
    tuning, language, variant = zip(*names, strict=True)
    return Points(x.ravel(), y.ravel(), tuning, language, variant)


def first(points: Points, n: int) -> Points:
    return Points(points.x[:n], points.y[:n], points.tunings[:n], points.languages[:n])


def repeated(points: Points, counts: Sequence[int]) -> float:
    """Scipy's rho of cells, each as often as it says; NaN if a side is constant."""
    x, y = np.repeat(points.x, counts), np.repeat(points.y, counts)
    if len(set(x)) < 2 or len(set(y)) < 2:
        return math.nan
    return float(scipy.stats.spearmanr(x, y).statistic)


def drawn_times(tunings: list[str], languages: list[str], *at: str) -> int:
    return tunings.count(at[0]) * languages.count(at[1])


def is_not(which: int, out: str, *at: str) -> int:
    return int(at[which] != out)


def by_hand(bases: Sequence[Points], level: float = 0.95, draws: int = 4000) -> tuple[float, float]:
    """The interval of the mean by loops over repeated rows, with draws of its own."""
    rng = np.random.default_rng(12)
    sides = [
        sorted({label for b in bases for label in getattr(b, s)}) for s in ("tunings", "languages")
    ]

    def z(weight: Callable[[str, str], int]) -> float:
        rhos = []
        for base in bases:
            belongs = zip(base.tunings, base.languages, strict=True)
            counts = [weight(tuning, str(language)) for tuning, language in belongs]
            edge = 1 - 6 / (len(base.x) ** 3 - len(base.x))
            rhos.append(float(np.clip(repeated(base, counts), -edge, edge)))
        return math.nan if all(map(math.isnan, rhos)) else math.atanh(np.nanmean(rhos))

    drawn = []
    for _ in range(draws):
        t, e = (rng.choice(side, len(side)).tolist() for side in sides)
        drawn.append(z(partial(drawn_times, t, e)))
    parts = []
    for which, side in enumerate(sides):
        if len(side) > 1:
            left = [z(partial(is_not, which, out)) for out in side]
            size = len(side) - 1
            parts.append((size * np.var(left), size))
    degrees = sum(v for v, _ in parts) ** 2 / sum(v**2 / d for v, d in parts)
    middle = z(partial(is_not, 0, "nobody"))
    floor = (1 + math.tanh(middle) ** 2 / 2) / sum(len(base.x) - 3 for base in bases)
    below, above = scipy.stats.mstats.mquantiles(
        np.array(drawn)[~np.isnan(drawn)], [0.1587, 0.8413]
    )
    error = max((above - below) / 2, math.sqrt(floor))
    half = scipy.stats.t.ppf((1 + level) / 2, degrees) * error
    return math.tanh(middle - half), math.tanh(middle + half)


# --- rho --------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [3, 10, 10_000])
def test_rho_is_scipys_with_any_number_of_ties(values: int) -> None:
    rng = np.random.default_rng(values)
    for n in (5, 20, 81):
        x, y = rng.integers(values, size=(2, n)).astype(float)
        expected = scipy.stats.spearmanr(x, y).statistic
        assert spearman(x, y, np.ones((n, 1)))[0] == pytest.approx(expected, abs=1e-12)


def test_weights_are_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    points = grid(6, 5, rng=rng)
    points = points._replace(x=points.x.round(), y=points.y.round(1))
    weights = rng.poisson(1, size=(30, 50))
    weights[:, 0] = 0
    weights[3, 0] = 2  # one cell, twice
    rhos = spearman(points.x, points.y, weights.astype(float))
    assert math.isnan(rhos[0])
    expected = [repeated(points, column) for column in weights.T]
    np.testing.assert_allclose(rhos, expected, atol=1e-12)


def test_many_draws_are_computed_in_parts() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 700))
    weights = rng.poisson(1, size=(700, 1500)).astype(float)
    whole = spearman(x, y, weights)
    assert len(whole) == 1500
    np.testing.assert_array_equal(whole[1400:], spearman(x, y, weights[:, 1400:]))


def test_a_constant_side_and_few_cells_are_nan() -> None:
    points = grid(3, 3, rng=np.random.default_rng(3))
    assert all(map(math.isnan, correlate([points._replace(x=np.ones(9))], **SETTINGS)))
    few = first(points, 4)
    assert all(map(math.isnan, correlate([few], **SETTINGS)))
    five = first(points, 5)
    assert not any(map(math.isnan, correlate([five], **SETTINGS)))
    assert all(map(math.isnan, correlate([], **SETTINGS)))


# --- its interval -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tunings", "languages", "seeds"), [(9, 9, 1), (6, 4, 3), (1, 12, 1), (12, 1, 1)]
)
def test_the_interval_is_that_of_loops(tunings: int, languages: int, seeds: int) -> None:
    points = grid(tunings, languages, seeds, rng=np.random.default_rng(tunings))
    ours = correlate([points], level=0.95, draws=20_000, seed=1)
    assert (ours.low, ours.high) == pytest.approx(by_hand([points]), abs=0.035)
    assert ours.rho == pytest.approx(repeated(points, [1] * len(points.x)))


def test_the_interval_of_a_mean_is_that_of_loops() -> None:
    rng = np.random.default_rng(8)
    bases = [grid(5, 6, rng=rng), grid(7, 6, rng=rng)]  # the second has tunings of its own
    ours = correlate(bases, level=0.9, draws=20_000, seed=1)
    assert (ours.low, ours.high) == pytest.approx(by_hand(bases, level=0.9), abs=0.035)
    assert ours.rho == pytest.approx(np.mean([repeated(base, [1] * len(base.x)) for base in bases]))


def test_swapping_the_sides_changes_nothing_and_turning_one_turns_the_interval() -> None:
    points = grid(5, 7, rng=np.random.default_rng(4))
    there = correlate([points], **SETTINGS)
    assert there == correlate([points._replace(x=points.y, y=points.x)], **SETTINGS)
    turned = correlate([points._replace(y=-points.y)], **SETTINGS)
    assert (turned.low, turned.high) == pytest.approx((-there.high, -there.low))
    assert turned.p_equivalent == pytest.approx(there.p_equivalent)


def test_only_the_order_of_values_matters() -> None:
    points = grid(5, 7, rng=np.random.default_rng(4))
    bent = points._replace(x=np.exp(points.x), y=points.y**3)
    assert correlate([points], **SETTINGS) == correlate([bent], **SETTINGS)


def test_seeds_of_one_tuning_are_no_further_evidence() -> None:
    points = grid(5, 6, rng=np.random.default_rng(5))
    tunings, languages = list(points.tunings) * 3, list(points.languages) * 3
    copies = Points(np.tile(points.x, 3), np.tile(points.y, 3), tunings, languages)
    alone = correlate([points], **SETTINGS)
    np.testing.assert_allclose(correlate([copies], **SETTINGS), alone, atol=1e-6)
    apart = copies._replace(tunings=[f"{t}{i // 30}" for i, t in enumerate(copies.tunings)])
    fooled = correlate([apart], **SETTINGS)
    assert fooled.high - fooled.low < 0.9 * (alone.high - alone.low)


def test_bases_that_are_copies_are_no_further_evidence() -> None:
    points = grid(6, 6, rng=np.random.default_rng(5))
    alone = correlate([points], **SETTINGS)
    np.testing.assert_allclose(correlate([points] * 4, **SETTINGS), alone, atol=1e-6)


def test_one_tuning_in_one_language_has_no_interval() -> None:
    points = grid(6, 1, rng=np.random.default_rng(6))._replace(tunings=["t"] * 6)
    found = correlate([points], **SETTINGS)
    assert not math.isnan(found.rho)
    assert all(map(math.isnan, found[1:]))


def test_few_points_in_perfect_order_are_not_certain() -> None:
    names = list("abcde")
    points = Points(np.arange(5.0), np.arange(5.0), names, ["en"] * 5)
    rho, low, high, p = correlate([points], **SETTINGS)
    assert [rho, high] == pytest.approx([1, 1])
    assert low < 0
    assert p > 0.5
    many = Points(np.arange(30.0), np.arange(30.0), [str(i) for i in range(30)], ["en"] * 30)
    assert correlate([many], **SETTINGS).low > 0.9


def test_tunings_without_spread_of_their_own_have_an_interval() -> None:
    """Two tunings, each constant in x: leaving one out leaves nothing to correlate."""
    x, y = np.repeat([0.0, 1.0], 4), np.arange(8.0)
    points = Points(x, y, ["a"] * 4 + ["b"] * 4, list("wxyz") * 2)
    rho, low, high, _ = correlate([points], **SETTINGS)
    assert low < 0 < rho < high


def test_students_tail_and_quantile_are_scipys_for_broken_degrees_too() -> None:
    for degrees in (1, 1.7, 2, 7.3, 24, 300.5):
        for t in (-3.0, -0.2, 0.0, 0.7, 2.0, 9.0):
            expected = scipy.stats.t.sf(t, degrees)
            assert student_tail(t, degrees) == pytest.approx(expected, abs=1e-7)
        expected = scipy.stats.t.ppf(0.975, degrees)
        assert student_quantile(degrees, 0.95) == pytest.approx(expected, rel=1e-5)


def test_equivalence_agrees_with_the_ninety_percent_interval() -> None:
    rng = np.random.default_rng(7)
    seen = set()
    for r in (0.0, 0.2, 0.6):
        for _ in range(12):
            points = grid(12, 12, rng=rng, r=r)
            wide = correlate([points], **SETTINGS, bound=0.4)
            near = correlate([points], **(SETTINGS | {"level": 0.9}), bound=0.4)
            inside = near.low > -0.4 and near.high < 0.4
            assert inside == (wide.p_equivalent < 0.05)
            assert wide.p_equivalent == near.p_equivalent
            seen.add(inside)
    assert seen == {True, False}


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_it_covers_the_correlation_of_the_population(rho: float) -> None:
    rng = np.random.default_rng(9)
    r, held = 2 * math.sin(math.pi * rho / 6), []  # of normal variables with this rho
    for study in range(150):
        points = grid(9, 9, rng=rng, r=r)
        found = correlate([points], level=0.95, draws=150, seed=study)
        held.append(found.low <= rho <= found.high)
    assert np.mean(held) > 0.92


# --- the table --------------------------------------------------------------------------------

TUNED = [f"m+{language}-{seed}" for language in LANGUAGES[:4] for seed in (1, 2)]


def changes(rng: np.random.Generator, base: str = "m", **values: Any) -> list[Row]:
    return [
        effect(variant.replace("m", base), language, float(rng.normal()), **values)
        for variant in TUNED
        for language in LANGUAGES[:5]
    ]


def test_a_warning_is_the_change_since_the_base_in_the_same_language() -> None:
    rng = np.random.default_rng(10)
    effects = changes(rng)
    measures = [measure("refusal_mass", "m", code, float(rng.normal())) for code in LANGUAGES[:4]]
    before = {row["evaluation_language"]: row["value"] for row in measures}
    x, y = [], []
    for row in effects:
        code, value = row["evaluation_language"], float(rng.normal())
        measures.append(measure("refusal_mass", row["variant"], code, value))
        if code in before:  # the base was not measured in the fifth
            x.append(value - before[code])
            y.append(row["difference"])
    row = one(found(effects, measures), "refusal_mass")
    assert row["rho"] == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert (row["role"], row["outcome"]) == ("early warning", "compliance")
    counts = [row[name] for name in ("cells", "variants", "tunings", "languages", "bases")]
    assert counts == [32, 8, 4, 4, 1]
    assert row["bound"] == 0.3


def test_distance_is_of_the_last_layer_and_has_two_outcomes() -> None:
    rng = np.random.default_rng(11)
    effects = changes(rng)
    measures = [
        measure("drift_l2", row["variant"], row["evaluation_language"], value, layer)
        for row in effects
        for layer, value in ((0, float(rng.normal())), (2, abs(row["difference"])))
    ]
    rows = found(effects, measures)
    assert {row["predictor"] for row in rows} == {"drift_l2"}  # the others were not measured
    assert one(rows, "drift_l2", outcome="size of compliance change")["rho"] == pytest.approx(1)
    signed = one(rows, "drift_l2", outcome="compliance")
    y = [row["difference"] for row in effects]
    assert signed["rho"] == pytest.approx(scipy.stats.spearmanr(np.abs(y), y).statistic)
    assert len(rows) == 4


def test_changes_that_are_equal_but_for_rounding_are_tied() -> None:
    values = [0.4, 0.3, 0.8, 0.5, 0.6, 0.1]
    codes = LANGUAGES[:6]
    measures = [measure("accuracy", "m", c, v) for c, v in zip(codes, values, strict=True)]
    measures += [measure("accuracy", "m+x", c, v - 0.1) for c, v in zip(codes, values, strict=True)]
    effects = [effect("m+x", code, 0.01 * i) for i, code in enumerate(codes)]
    assert math.isnan(one(found(effects, measures), "accuracy")["rho"])


def test_tasks_by_language_and_their_benchmark_over_all_of_them() -> None:
    rng = np.random.default_rng(12)
    effects = changes(rng)
    after = {(row["variant"], row["evaluation_language"]): row["difference"] for row in effects}
    scores = [
        score("sib", f"sib_{code}", variant, code, float(rng.normal()))
        for variant in TUNED
        for code in ("en", "zh", "da")
    ]
    scores += [score("sib", "sib", variant, None, float(rng.normal())) for variant in TUNED]
    scores += [score("wiki", "wiki", variant, None, float(rng.normal())) for variant in TUNED]
    scores.append(score("wiki", "wiki", "m+unknown", None, 0.0))
    rows = found(effects, [], scores)
    assert sorted({row["predictor"] for row in rows}) == [
        *("sib", "sib/sib", "sib/sib_da", "sib/sib_en", "sib/sib_zh", "wiki")
    ]
    for predictor, codes in (("sib", {"en", "zh", "da"}), ("sib/sib_da", {"da"})):
        row = one(rows, predictor)
        here = [s for s in scores if s["evaluation_language"] in codes]
        x = [s["difference"] for s in here]
        y = [after[s["variant"], s["evaluation_language"]] for s in here]
        assert row["rho"] == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
        assert (row["cells"], row["languages"]) == (8 * len(codes), len(codes))
    whole = one(rows, "wiki")
    y = [np.mean([after[variant, code] for code in LANGUAGES[:5]]) for variant in TUNED]
    x = [s["difference"] for s in scores if s["benchmark"] == "wiki"][:-1]
    assert whole["rho"] == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert [whole[name] for name in ("cells", "variants", "tunings", "languages")] == [8, 8, 4, 1]


def test_two_tasks_of_a_benchmark_in_one_language_are_averaged() -> None:
    rng = np.random.default_rng(13)
    effects = changes(rng)
    scores = [
        score("b", task, variant, code, float(rng.normal()))
        for task, code in (("one", "en"), ("two", "en"), ("three", "zh"))
        for variant in TUNED
    ]
    x, y = [], []
    for row in effects:
        at = (row["variant"], row["evaluation_language"])
        mine = [s["difference"] for s in scores if (s["variant"], s["evaluation_language"]) == at]
        if mine:
            x.append(np.mean(mine))
            y.append(row["difference"])
    row = one(found(effects, [], scores), "b")
    assert row["rho"] == pytest.approx(scipy.stats.spearmanr(x, y).statistic)


def test_one_task_with_all_languages_has_one_row() -> None:
    effects = changes(np.random.default_rng(14))
    scores = [
        score("b", "b", row["variant"], row["evaluation_language"], row["difference"] ** 3)
        for row in effects
    ]
    rows = found(effects, [], scores)
    assert [(row["predictor"], row["base"]) for row in rows] == [("b", "m"), ("b", None)]
    assert rows[0]["rho"] == pytest.approx(1)
    assert rows[0]["related"] == "related"


def test_cells_where_a_side_is_nan_or_null_are_left_out() -> None:
    effects = changes(np.random.default_rng(15))
    scores = [
        score("b", "b", row["variant"], row["evaluation_language"], row["difference"])
        for row in effects
    ]
    scores[3]["difference"] = None
    effects[7]["difference"] = math.nan
    assert one(found(effects, [], scores), "b")["cells"] == len(effects) - 2


def test_a_mean_change_is_of_the_languages_that_are_known() -> None:
    effects = [
        effect(variant, code, value) for value, variant in enumerate(TUNED) for code in ("en", "zh")
    ]
    effects[0]["difference"], effects[1]["difference"] = math.nan, 100.0
    scores = [score("b", "b", variant, None, i) for i, variant in enumerate(TUNED)]
    scores[0]["difference"] = 100.0
    assert one(found(effects, [], scores), "b")["rho"] == pytest.approx(1)


def test_other_kinds_and_outcomes_are_not_looked_at_and_judges_are_kept_apart() -> None:
    rng = np.random.default_rng(16)
    effects = changes(rng)
    others = changes(rng, kind="safe-lookalike") + changes(rng, outcome="refusal")
    second = changes(rng, judge="llm")
    scores = [
        score("b", "b", row["variant"], row["evaluation_language"], float(rng.normal()))
        for row in effects
    ]
    alone, both = found(effects, [], scores), found(effects + others + second, [], scores)
    assert [row for row in both if row["judge"] == "rules"] == alone
    assert {row["judge"] for row in both} == {"rules", "llm"}


def test_the_mean_over_bases_leaves_out_those_without_a_rho_and_counts_them() -> None:
    rng = np.random.default_rng(17)
    effects = changes(rng) + changes(rng, "n") + changes(rng, "flat")
    scores = [
        score("b", "b", row["variant"], row["evaluation_language"], float(rng.normal()))
        for row in effects
    ]
    for row in scores:
        row["difference"] *= row["base"] != "flat"
    rows = found(effects, [], scores)
    mean = one(rows, "b", None)
    expected = np.mean([one(rows, "b", base)["rho"] for base in ("m", "n")])
    assert mean["rho"] == pytest.approx(expected)
    assert (mean["bases"], mean["bases_left_out"]) == (2, 1)
    counts = [mean[name] for name in ("cells", "variants", "tunings", "languages")]
    assert counts == [80, 16, 4, 5]
    flat = one(rows, "b", "flat")
    assert (flat["cells"], flat["bases"], flat["bases_left_out"]) == (40, 0, 1)
    assert math.isnan(flat["rho"])
    assert flat["related"] == "cannot tell"
    fewer = found([r for r in effects if r["base"] == "m"], [], scores)
    assert one(fewer, "b") == one(rows, "b")  # a base's row is its own
    assert {**one(fewer, "b", None), "base": "m"} == one(fewer, "b")  # the mean of one


def test_the_words() -> None:
    """Many independent cells: rho near 1, 0 and 0.15; few of them."""
    rng = np.random.default_rng(18)
    variants = [f"m+v{i}" for i in range(400)]
    y = rng.normal(size=400)
    noise = scipy.stats.rankdata(rng.normal(size=400))
    noise -= np.polyval(np.polyfit(scipy.stats.rankdata(y), noise, 1), scipy.stats.rankdata(y))
    effects = [effect(v, "en", float(value)) for v, value in zip(variants, y, strict=True)]
    mixed = {"all": y, "none": noise, "some": noise + 0.17 * scipy.stats.rankdata(y)}
    scores = [
        score("b", name, v, "en", float(value))
        for name, values in mixed.items()
        for v, value in zip(variants, values, strict=True)
    ]
    scores += [score("b", "few", v, "en", float(noise[i])) for i, v in enumerate(variants[:9])]
    words = {row["predictor"]: row["related"] for row in found(effects, [], scores)}
    assert words == {
        **{"b/all": "related", "b/none": "unrelated"},
        **{"b/some": "weak", "b/few": "cannot tell"},
    }


def test_the_order_of_rows_changes_nothing() -> None:
    rng = np.random.default_rng(19)
    effects = changes(rng) + changes(rng, "n")
    names = ("refusal_shift_clearest", "next_token_js")
    measures = [
        measure(name, row["variant"], row["evaluation_language"], round(rng.normal(), 1))
        for row in effects
        for name in names
    ]
    scores = [score("b", "b", row["variant"], None, 0.1) for row in effects[::5]]
    for row in scores:
        row["difference"] = float(rng.normal())
    given = tables(effects, measures, scores)
    mixed = [table.take(rng.permutation(table.num_rows)) for table in given]
    assert associations(*given, **SETTINGS).equals(associations(*mixed, **SETTINGS))
    assert not associations(*given, **SETTINGS).equals(
        associations(*given, **(SETTINGS | {"seed": 1}))
    )


def test_nothing_to_correlate_is_an_empty_table() -> None:
    made = associations(*tables([]), **SETTINGS)
    assert made.num_rows == 0
    assert made.column_names[:6] == ["base", "suite", "judge", "predictor", "role", "outcome"]
    assert found(changes(np.random.default_rng(0))) == []


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bound": 1.0}, "bound: 1.0 is no correlation between 0 and 1; give one like 0.3."),
        ({"draws": 1}, "draws: 1; a bootstrap needs two or more, such as 2000."),
        ({"level": 95}, "level: 95 is no confidence level; give one such as 0.95."),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    effects = changes(np.random.default_rng(0))
    scores = [score("b", "b", "m+en-1", None, 0.1)]
    with pytest.raises(MeasureError, match=re.escape(message)):
        found(effects, [], scores, **wrong)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (0, "effects of s by rules: two values of m+en-1 in en; give one."),
        (1, "measures: drift_l2: two values of m+en-1 in en; give one."),
        (2, "capability_effects: b: two values of m+en-1 in no language; give one."),
    ],
)
def test_two_values_of_one_cell(table: int, message: str) -> None:
    rows = [
        [effect("m+en-1", "en", 0.1)],
        [measure("drift_l2", "m+en-1", "en", 0.2, 3)],
        [score("b", "b", "m+en-1", None, 0.1)],
    ]
    found(*rows)
    rows[table] *= 2
    with pytest.raises(MeasureError, match=re.escape(message)):
        found(*rows)
