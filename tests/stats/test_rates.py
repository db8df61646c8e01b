from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from statsmodels.stats.proportion import proportion_confint

from polydrift.errors import MeasureError
from polydrift.stats import analyse
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
