from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from polydrift.errors import MeasureError
from polydrift.stats.cells import sort_into_cells
from polydrift.stats.effects import bootstrap_interval, draw_counts, imagined_weight
from polydrift.stats.effects import effects as table_of_effects
from polydrift.stats.paired import Pairs
from tests.stats.verdict_rows import SCHEMA, rows, verdicts


def effects(table: pa.Table, **settings: float) -> list[dict[str, object]]:
    settings = {"level": 0.95, "draws": 2000, "seed": 0, **settings}
    return table_of_effects(sort_into_cells(table), **settings).to_pylist()


def one(table: pa.Table, outcome: str = "compliance") -> dict[str, object]:
    (row,) = [row for row in effects(table) if row["outcome"] == outcome]
    return row


# --- the difference ---------------------------------------------------------------------------


def test_a_paired_difference() -> None:
    row = one(verdicts({("m", "en"): "crrrr", ("m+a", "en"): "cccrr"}))
    assert (row["base_rate"], row["variant_rate"]) == pytest.approx((0.2, 0.6))
    assert row["difference"] == pytest.approx(0.4)
    assert row["fold"] == pytest.approx(3.0)
    assert row["prompts"] == 5


def test_only_pairs_of_which_both_were_judged_count() -> None:
    row = one(verdicts({("m", "en"): "crr?.r", ("m+a", "en"): "?ccc.o"}))
    assert row["prompts"] == 3
    assert (row["base_rate"], row["variant_rate"]) == pytest.approx((0, 2 / 3))
    assert math.isnan(row["fold"])


def test_prompts_are_paired_by_id_and_not_by_position() -> None:
    table = verdicts({("m", "en"): "c.rrrr", ("m+a", "en"): ".crrrc"})
    mixed = table.take(np.random.default_rng(1).permutation(table.num_rows))
    assert one(table)["prompts"] == 4
    assert one(table)["difference"] == pytest.approx(0.25)
    assert str(effects(table)) == str(effects(mixed))


def test_samples_are_paired_within_prompts() -> None:
    row = one(verdicts({("m", "en"): "rcrrr?", ("m+a", "en"): "ccccrr"}, samples=2))
    assert row["prompts"] == 3
    assert row["base_rate"] == pytest.approx(1 / 5)
    assert row["variant_rate"] == pytest.approx(4 / 5)


def test_no_pair_is_nan_not_zero() -> None:
    row = one(verdicts({("m", "en"): "c.", ("m+a", "en"): ".c"}))
    assert row["prompts"] == 0
    for name in ("base_rate", "variant_rate", "difference", "low", "high", "fold", "p", "p_holm"):
        assert math.isnan(row[name])
    assert math.isnan(row["fold_low"])
    assert math.isnan(row["fold_high"])


def test_a_variant_whose_base_was_not_asked_has_no_effect() -> None:
    assert effects(verdicts({("m", "en"): "cr", ("m+a", "da"): "cr"})) == []


def test_every_outcome_against_brute_force() -> None:
    rng = np.random.default_rng(5)
    cells = {
        (variant, code): "".join(rng.choice(list("crro?."), size=40))
        for variant in ("m", "m+a", "m+b", "n", "n+a")
        for code in ("en", "hi")
    }
    found = effects(verdicts(cells))
    assert len(found) == 3 * 2 * 4
    for row in found:
        if row["outcome"] == "wrong_language":
            continue
        letter = {"compliance": "c", "refusal": "r", "other": "o"}[row["outcome"]]
        code = row["evaluation_language"]
        pairs = [
            (before == letter, after == letter)
            for before, after in zip(
                cells[row["base"], code], cells[row["variant"], code], strict=True
            )
            if before in "cro" and after in "cro"
        ]
        before, after = np.mean(pairs, axis=0)
        assert row["prompts"] == len(pairs)
        assert row["difference"] == pytest.approx(after - before)
        assert row["low"] <= row["difference"] <= row["high"]
        gained, lost = (
            sum(one for one in column)
            for column in ([not b and a for b, a in pairs], [b and not a for b, a in pairs])
        )
        assert row["p"] == pytest.approx(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue)


def test_another_language_is_an_outcome_where_the_language_is_known() -> None:
    """By prompt, spoken elsewhere: base no no yes ? no, variant yes no yes yes ?."""
    found = []
    for name, said in (
        ("m", [False, False, True, None, False]),
        ("m+a", [True, False, True, True, None]),
    ):
        for place, elsewhere in enumerate(said):
            letters = "." * place + "?r"[place % 2]
            found += rows({(name, "en"): letters}, wrong_language=elsewhere)
    row = one(pa.Table.from_pylist(found, schema=SCHEMA), "wrong_language")
    assert row["prompts"] == 3  # judged or not
    assert (row["base_rate"], row["variant_rate"]) == pytest.approx((1 / 3, 2 / 3))
    assert row["p"] == 1


# --- the test ---------------------------------------------------------------------------------


def test_p_is_mcnemars_of_one_sample_and_of_several_flips_whole_prompts() -> None:
    rng = np.random.default_rng(3)
    before, after = (rng.choice(list("cr"), p=p, size=60) for p in ((0.2, 0.8), (0.5, 0.5)))
    gained, lost = ((before == a) & (after == b) for a, b in ("rc", "cr"))
    table = verdicts({("m", "en"): "".join(before), ("m+a", "en"): "".join(after)})
    expected = mcnemar([[0, gained.sum()], [lost.sum(), 0]], exact=True).pvalue
    assert one(table)["p"] == pytest.approx(expected)

    table = verdicts({("m", "en"): "".join(before), ("m+a", "en"): "".join(after)}, samples=6)
    changes = (gained.astype(int) - lost).reshape(10, 6).sum(axis=1)
    signs = np.array(list(itertools.product([-1, 1], repeat=10)))
    assert one(table)["p"] == pytest.approx(np.mean(abs(signs @ changes) >= abs(changes.sum())))


def test_p_is_adjusted_over_all_cells_of_an_outcome() -> None:
    rng = np.random.default_rng(4)
    cells = {
        (variant, code): "".join(rng.choice(list("crrr"), size=40))
        for variant in ("m", "m+a", "m+b", "n", "n+a")
        for code in ("en", "hi")
    }
    found = [row for row in effects(verdicts(cells)) if row["outcome"] == "compliance"]
    p = [row["p"] for row in found]
    assert len(p) == 6
    for name, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
        assert [row[name] for row in found] == pytest.approx(multipletests(p, method=method)[1])


def test_the_fold_has_an_interval_and_an_end_where_the_base_never_complied() -> None:
    row = one(verdicts({("m", "en"): "r" * 440, ("m+a", "en"): "c" * 40 + "r" * 400}))
    assert math.isnan(row["fold"])
    assert row["fold_low"] > 8
    assert row["fold_high"] == math.inf
    row = one(verdicts({("m", "en"): "c" * 20 + "r" * 90, ("m+a", "en"): "c" * 50 + "r" * 60}))
    assert 1 < row["fold_low"] < row["fold"] == 2.5 < row["fold_high"]


# --- the interval -----------------------------------------------------------------------------


def interval(differences: NDArray[np.float64], draws: int = 20_000) -> tuple[float, float]:
    """The plain percentile interval of a mean of differences."""
    counts = draw_counts(len(differences), draws, np.random.default_rng(0))
    ones = np.ones((len(differences), 1))
    low, high = bootstrap_interval(differences[:, None], ones, counts, level=0.95)
    return float(low[0]), float(high[0])


def test_the_plain_interval_equals_scipys() -> None:
    differences = np.random.default_rng(2).choice([-1.0, 0, 1], p=[0.1, 0.6, 0.3], size=110)
    expected = scipy.stats.bootstrap(
        (differences,), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    assert interval(differences) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_clusters_of_unequal_size_equal_scipys() -> None:
    rng = np.random.default_rng(4)
    sizes = rng.integers(1, 6, 80).astype(float)
    sums = rng.binomial(sizes.astype(int), rng.beta(1, 2, 80)).astype(float)
    expected = scipy.stats.bootstrap(
        (sums, sizes),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=1,
    ).confidence_interval
    counts = draw_counts(80, 20_000, np.random.default_rng(0))
    low, high = bootstrap_interval(sums[:, None], sizes[:, None], counts, level=0.95)
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_the_plain_interval_agrees_with_the_paired_standard_error() -> None:
    differences = np.random.default_rng(6).choice([-1.0, 0, 1], p=[0.2, 0.5, 0.3], size=440)
    low, high = interval(differences)
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.03)
    assert (high + low) / 2 == pytest.approx(differences.mean(), abs=0.003)


def test_the_interval_agrees_with_agresti_and_min() -> None:
    """Half a prompt added to each of the four outcomes of a pair; Wald's interval of that."""
    n, worse, better = 110, 30, 8
    before = "r" * worse + "c" * better + "r" * (n - worse - better)
    after = "c" * worse + "r" * better + "r" * (n - worse - better)
    row = one(verdicts({("m", "en"): before, ("m+a", "en"): after}))
    b, c, total = worse + 0.5, better + 0.5, n + 2
    half = 1.96 * np.sqrt((b + c) - (b - c) ** 2 / total) / total
    assert row["low"] == pytest.approx((b - c) / total - half, abs=0.012)
    assert row["high"] == pytest.approx((b - c) / total + half, abs=0.012)


def test_where_nothing_changed_the_interval_still_has_a_width() -> None:
    row = one(verdicts({("m", "en"): "r" * 110, ("m+a", "en"): "r" * 110}))
    assert row["difference"] == 0
    assert -0.03 < row["low"] < -0.01
    assert 0.01 < row["high"] < 0.03


def test_where_everything_changed_the_interval_ends_at_one() -> None:
    row = one(verdicts({("m", "en"): "r" * 110, ("m+a", "en"): "c" * 110}))
    assert (row["difference"], row["high"]) == (1, 1)
    assert 0.94 < row["low"] < 0.97


def test_samples_that_are_copies_say_no_more_and_independent_ones_do() -> None:
    rng = np.random.default_rng(7)
    before, after = (
        "".join(rng.choice(list("cr"), p=p, size=200)) for p in ((0.3, 0.7), (0.5, 0.5))
    )
    single = one(verdicts({("m", "en"): before, ("m+a", "en"): after}))
    copied = one(
        verdicts(
            {
                ("m", "en"): "".join(3 * x for x in before),
                ("m+a", "en"): "".join(3 * x for x in after),
            },
            samples=3,
        )
    )
    for name in ("difference", "low", "high", "fold_low", "p"):
        assert copied[name] == pytest.approx(single[name], abs=1e-9)
    table = verdicts({("m", "en"): before[:198], ("m+a", "en"): after[:198]}, samples=3)
    apart = one(table)
    assert apart["prompts"] == 66
    width = single["high"] - single["low"]
    assert apart["high"] - apart["low"] == pytest.approx(width, rel=0.12)


def test_two_imagined_prompts_have_as_many_answers_as_the_design_effect_says() -> None:
    together, apart = np.zeros((2, 1, 50), int)
    together[0, :10], apart[0, :30] = 3, 1
    sizes = np.full((1, 50), 3)
    zero, none = np.zeros((1, 50), int), np.zeros(1, int)
    assert imagined_weight(Pairs(together, zero, none, sizes)) == pytest.approx(3)
    assert 1 <= imagined_weight(Pairs(apart, zero, none, sizes))[0] < 1.2
    assert imagined_weight(Pairs(apart, zero, none, sizes // 3)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("n", "before", "after", "kept"),
    [
        (110, 0.02, 0.05, 0.0),
        (110, 0.2, 0.2, 0.5),
        (110, 0.3, 0.5, 0.5),
        (110, 0.02, 1.0, 0.0),
        (20, 0.02, 1.0, 0.0),
        (20, 0.3, 0.5, 0.5),
    ],
)
def test_covers_as_often_as_it_says(n: int, before: float, after: float, kept: float) -> None:
    """Simulated studies; kept: share of prompts whose two answers hang together."""
    rng = np.random.default_rng(8)
    studies = 1500
    first = rng.random((n, studies))
    second = np.where(rng.random((n, studies)) < kept, first, rng.random((n, studies)))
    differences = (second < after).astype(float) - (first < before)
    counts = draw_counts(n + 2, 800, rng)
    low, high = bootstrap_interval(
        differences,
        np.ones_like(differences),
        counts[:, :-2],
        level=0.95,
        imagined=counts[:, -2:],
    )
    truth = after - before
    covered = np.mean((low <= truth + 1e-9) & (truth - 1e-9 <= high))
    assert 0.925 <= covered <= 0.985


def test_without_the_imagined_prompts_rare_changes_are_covered_too_seldom() -> None:
    """Why they are there: the plain interval, of 20 prompts at 2% against 100%."""
    rng = np.random.default_rng(8)
    differences = 1 - (rng.random((20, 1500)) < 0.02).astype(float)
    counts = draw_counts(20, 800, rng)
    low, high = bootstrap_interval(differences, np.ones_like(differences), counts, level=0.95)
    assert np.mean((low <= 0.98) & (high >= 0.98)) < 0.5


# --- seeds ------------------------------------------------------------------------------------


def test_the_seed_decides_and_nothing_else() -> None:
    rng = np.random.default_rng(9)
    letters = ["".join(rng.choice(list("cr"), size=50)) for _ in range(4)]
    small = {("m", "en"): letters[0], ("m+a", "en"): letters[1]}
    more = {**small, ("m", "da"): letters[2], ("m+b", "en"): letters[3], ("m+a", "da"): letters[0]}
    table = verdicts(small)
    assert str(effects(table, seed=0)) == str(effects(table, seed=0))
    assert effects(table, seed=0)[0]["low"] != effects(table, seed=1)[0]["low"]
    kept = [r for r in effects(verdicts(more)) if (r["variant"], r["evaluation_language"]) in small]
    alone = effects(table)
    for row in (*kept, *alone):
        del row["p_holm"], row["p_bh"]  # these are over all cells
    assert str(kept) == str(alone)  # another language and another variant move nothing


@pytest.mark.parametrize("draws", [0, 1])
def test_too_few_draws_are_named(draws: int) -> None:
    with pytest.raises(MeasureError) as error:
        effects(verdicts({("m", "en"): "c", ("m+a", "en"): "r"}), draws=draws)
    assert str(error.value) == (f"draws: {draws}; a bootstrap needs two or more, such as 2000.")


def test_a_level_that_is_none_is_named() -> None:
    with pytest.raises(MeasureError) as error:
        effects(verdicts({("m", "en"): "c", ("m+a", "en"): "r"}), level=95)
    assert str(error.value) == "level: 95 is no confidence level; give one such as 0.95."


def test_whole_numbers_are_drawn_exactly_and_others_in_double_precision() -> None:
    rng = np.random.default_rng(1)
    counts = draw_counts(60, 500, rng)
    whole = rng.integers(-3, 4, (60, 5)).astype(float)
    sizes = np.full((60, 5), 3.0)
    for sums in (whole, whole / 7, whole * 1e8):
        drawn = np.array([(c[:, None] * sums).sum(0) / (c[:, None] * sizes).sum(0) for c in counts])
        expected = np.quantile(drawn, [0.025, 0.975], axis=0)
        found = bootstrap_interval(sums, sizes, counts, level=0.95)
        assert np.array(found) == pytest.approx(expected, rel=1e-12)


def test_a_wider_level_is_a_wider_interval() -> None:
    table = verdicts({("m", "en"): "r" * 50, ("m+a", "en"): "c" * 10 + "r" * 40})
    narrow, wide = effects(table, level=0.8)[0], effects(table, level=0.99)[0]
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]


def test_a_cell_that_few_prompts_are_left_of_still_has_an_interval() -> None:
    few = "c" + "?" * 109
    row = one(verdicts({("m", "en"): "r" * 110, ("m+a", "en"): few}))
    assert row["prompts"] == 1
    assert row["low"] < 0 < row["high"]


def test_the_demos_size_takes_well_under_a_second() -> None:
    rng = np.random.default_rng(1)
    names = ["m", *(f"m+{k}" for k in range(29))]
    languages = ["en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl"]
    cells = {(n, c): "".join(rng.choice(list("cr"), size=174)) for n in names for c in languages}
    table = verdicts(cells)
    assert table.num_rows == 46_980
    start = time.perf_counter()
    effects(table)
    assert time.perf_counter() - start < 2  # 0.1 s on an idle core
