from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from statsmodels.stats.proportion import proportion_confint

from polydrift.errors import MeasureError
from polydrift.stats import analyse
from polydrift.stats.rates import macro_rate, micro_interval
from tests.stats.verdict_rows import SCHEMA, rows, verdicts


def rates(table: pa.Table) -> list[dict[str, object]]:
    return analyse(table, level=0.95, draws=100, seed=0)["rates"].to_pylist()


def test_counts_and_rates_of_a_cell() -> None:
    (row,) = rates(verdicts({("m", "en"): "ccrrrro???"}))
    assert [row[name] for name in ("complied", "refused", "other", "unparsed")] == [2, 4, 1, 3]
    assert (row["judged"], row["total"]) == (7, 10)
    assert row["compliance_rate"] == pytest.approx(2 / 7)
    assert row["refusal_rate"] == pytest.approx(4 / 7)
    low, high = proportion_confint(2, 7, method="wilson")
    assert (row["compliance_low"], row["compliance_high"]) == pytest.approx((low, high))


def test_nothing_judged_is_nan_not_zero() -> None:
    (row,) = rates(verdicts({("m", "en"): "??"}))
    assert (row["judged"], row["total"]) == (0, 2)
    for outcome in ("compliance", "refusal"):
        assert all(math.isnan(row[f"{outcome}_{end}"]) for end in ("rate", "low", "high"))
        assert all(math.isnan(row[f"{outcome}_macro{end}"]) for end in ("", "_low", "_high"))
    assert math.isnan(row["other_rate"])


def test_an_answer_in_another_language_keeps_its_verdict_and_is_counted() -> None:
    table = pa.concat_tables(
        [
            verdicts({("m", "da"): "c"}, wrong_language=True),
            verdicts({("m", "da"): ".r"}, wrong_language=None),
            verdicts({("m", "da"): "..r"}),
        ]
    )
    (row,) = rates(table)
    assert (row["complied"], row["refused"], row["wrong_language"]) == (1, 2, 1)
    assert row["language_known"] == 2  # of one it cannot be told
    assert row["wrong_language_rate"] == 0.5
    low, high = proportion_confint(1, 2, method="wilson")
    assert (row["wrong_language_low"], row["wrong_language_high"]) == pytest.approx((low, high))


def test_the_language_of_an_answer_that_was_not_judged_counts_all_the_same() -> None:
    (row,) = rates(verdicts({("m", "da"): "???"}, wrong_language=True))
    assert (row["judged"], row["language_known"], row["wrong_language_rate"]) == (0, 3, 1)
    (row,) = rates(verdicts({("m", "da"): "ccc"}, wrong_language=None))
    assert math.isnan(row["wrong_language_rate"])


def test_other_is_a_share_with_an_interval() -> None:
    (row,) = rates(verdicts({("m", "en"): "ooccrrrr??"}))
    assert row["other_rate"] == 0.25
    low, high = proportion_confint(2, 8, method="wilson")
    assert (row["other_low"], row["other_high"]) == pytest.approx((low, high))


# --- macro ------------------------------------------------------------------------------------


def in_categories(letters: dict[str, str], samples: int = 1) -> pa.Table:
    """One cell; letters by category, prompts after one another."""
    found, start = [], 0
    for category, each in letters.items():
        found += rows({("m", "en"): "." * start + each}, samples=samples, category=category)
        start += len(each)
    return pa.Table.from_pylist(found, schema=SCHEMA)


def test_macro_is_the_mean_of_the_categories_rates() -> None:
    (row,) = rates(in_categories({"a": "c", "b": "crrr", "c": "ccrr?o", "d": "??"}))
    assert row["compliance_macro"] == pytest.approx((1 + 1 / 4 + 2 / 5) / 3)
    assert row["refusal_macro"] == pytest.approx((0 + 3 / 4 + 2 / 5) / 3)
    assert row["compliance_rate"] == pytest.approx(4 / 10)
    assert row["compliance_macro_low"] < row["compliance_macro"] < row["compliance_macro_high"]


def test_of_one_category_and_of_equal_ones_macro_is_micro() -> None:
    (row,) = rates(in_categories({"a": "ccrrrrrrrr"}))
    assert row["compliance_macro"] == row["compliance_rate"]
    (row,) = rates(in_categories({"a": "ccrrrrrrrr", "b": "cccrrrrrrr"}))
    assert row["compliance_macro"] == pytest.approx(row["compliance_rate"])
    width = row["compliance_high"] - row["compliance_low"]
    assert row["compliance_macro_high"] - row["compliance_macro_low"] == pytest.approx(
        width, rel=0.1
    )


def test_nobody_complied_still_has_a_width() -> None:
    (row,) = rates(in_categories({f"{i}": "r" * 10 for i in range(44)}))
    assert (row["compliance_macro"], row["compliance_macro_low"]) == (0, 0)
    assert 1 <= row["compliance_macro_high"] / row["compliance_high"] < 1.15


def test_a_small_category_weighs_as_much_and_so_the_interval_is_wider() -> None:
    (row,) = rates(in_categories({"a": "cr", "b": "c" * 60 + "r" * 60}))
    assert row["compliance_macro"] == row["compliance_rate"] == 0.5
    assert row["compliance_macro_high"] - 0.5 > 2 * (row["compliance_high"] - 0.5)


def test_a_prompt_in_two_categories_is_named() -> None:
    both = rows({("m", "en"): "c"}, category="a") + rows({("m", "da"): "c"}, category="b")
    with pytest.raises(MeasureError) as error:
        rates(pa.Table.from_pylist(both, schema=SCHEMA))
    assert str(error.value) == (
        "verdicts: prompt 'p000' of s stands in two categories; give it one."
    )


def test_large_samples_agree_with_the_stratified_bootstrap() -> None:
    rng = np.random.default_rng(1)
    categories = np.repeat([0, 1, 2], [100, 200, 300])
    hits = (rng.random((1, 600)) < np.array([0.1, 0.4, 0.7])[categories]).astype(int)
    macro, low, high = macro_rate(hits, np.ones_like(hits), categories, 0.95)
    drawn = [
        np.mean(
            [rng.choice(hits[0, categories == k], (categories == k).sum()).mean() for k in range(3)]
        )
        for _ in range(4000)
    ]
    assert macro[0] == pytest.approx(np.mean(drawn), abs=0.003)
    assert (low[0], high[0]) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.004)


@pytest.mark.parametrize(
    ("sizes", "rate"), [([10] * 44, 0.02), ([10] * 44, 0.5), ([5] * 4, 0.2), ([1] * 20, 0.2)]
)
def test_macro_covers_as_often_as_it_says(sizes: list[int], rate: float) -> None:
    rng = np.random.default_rng(2)
    categories = np.repeat(np.arange(len(sizes)), sizes)
    of_category = np.clip(rate + rate * np.linspace(-0.9, 0.9, len(sizes)), 0, 1)
    hits = (rng.random((3000, len(categories))) < of_category[categories]).astype(int)
    _, low, high = macro_rate(hits, np.ones_like(hits), categories, 0.95)
    covered = np.mean((low <= of_category.mean()) & (of_category.mean() <= high))
    assert 0.93 <= covered <= 0.985


# --- several samples --------------------------------------------------------------------------


def test_copies_of_an_answer_say_no_more() -> None:
    letters = "ccrrrrorrrrccrrrrrrr"
    (single,) = rates(verdicts({("m", "en"): letters}))
    (copied,) = rates(verdicts({("m", "en"): "".join(4 * one for one in letters)}, samples=4))
    for name in ("compliance_rate", "compliance_low", "compliance_high"):
        assert copied[name] == pytest.approx(single[name], rel=1e-9)


def test_independent_samples_say_as_much_as_prompts() -> None:
    rng = np.random.default_rng(3)
    hits = rng.binomial(3, 0.3, (1, 2000))
    low, high = micro_interval(hits, np.full_like(hits, 3), 0.95)
    expected = proportion_confint(hits.sum(), 6000, method="wilson")
    assert (low[0], high[0]) == pytest.approx(expected, abs=0.001)


def test_micro_covers_where_answers_of_a_prompt_hang_together() -> None:
    """Where answers are taken for independent it is less than three times in four."""
    rng = np.random.default_rng(4)
    hits = rng.binomial(8, rng.beta(0.3, 0.7, (3000, 60)))
    low, high = micro_interval(hits, np.full_like(hits, 8), 0.95)
    assert 0.93 <= np.mean((low <= 0.3) & (high >= 0.3)) <= 0.97
    low, high = proportion_confint(hits.sum(axis=1), 480, method="wilson")
    assert np.mean((low <= 0.3) & (high >= 0.3)) < 0.75


def test_samples_are_rows_of_one_cell() -> None:
    (row,) = rates(verdicts({("m", "en"): "crcrrr"}, samples=2))
    assert (row["complied"], row["total"]) == (2, 6)


def test_cells_are_sorted_and_kept_apart() -> None:
    parts = [
        verdicts({("m+a", "hi"): "c", ("m", "hi"): "r", ("m", "en"): "r"}, kind=kind, suite=suite)
        for kind in ("unsafe", "safe-lookalike")
        for suite in ("t", "s")
    ]
    found = rates(pa.concat_tables(parts))
    assert len(found) == 12
    assert [row["variant"] for row in found] == ["m"] * 8 + ["m+a"] * 4
    assert all(row["total"] == 1 for row in found)
    assert found[0]["evaluation_language"] == "en"
    assert (found[0]["suite"], found[0]["kind"]) == ("s", "safe-lookalike")


def test_the_order_of_rows_does_not_matter() -> None:
    table = verdicts({("m", "en"): "crr?o", ("m", "da"): "ccc"})
    mixed = table.take(np.random.default_rng(0).permutation(table.num_rows))
    assert rates(table) == rates(mixed)


def test_an_empty_table_gives_empty_tables_with_the_same_columns() -> None:
    full = analyse(verdicts({("m", "en"): "c", ("m+a", "en"): "r"}), level=0.95, draws=100, seed=0)
    none = analyse(SCHEMA.empty_table(), level=0.95, draws=100, seed=0)
    for name in ("rates", "effects"):
        assert none[name].num_rows == 0
        assert none[name].schema.equals(full[name].schema)


def test_a_word_that_is_no_verdict_is_named() -> None:
    with pytest.raises(MeasureError) as error:
        rates(verdicts({("m", "en"): "cx"}))
    assert str(error.value) == (
        "verdicts: 'x' is no verdict; it must be one of complied, refused, other, unparsed."
    )


def test_an_answer_judged_twice_is_named() -> None:
    twice = rows({("m", "en"): "cr"}) + rows({("m", "en"): ".c"})
    with pytest.raises(MeasureError) as error:
        rates(pa.Table.from_pylist(twice, schema=SCHEMA))
    assert str(error.value) == (
        "verdicts: two rows for prompt 'p001', sample 0, of m in en; each answer is judged once "
        "by a judge."
    )
