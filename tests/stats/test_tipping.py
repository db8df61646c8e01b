from __future__ import annotations

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest

from polydrift.errors import MeasureError
from polydrift.stats.cells import sort_into_cells
from polydrift.stats.pooled import pooled
from polydrift.stats.tipping import REGIONS, region, tipping
from tests.stats.verdict_rows import SCHEMA, rows

SETTINGS = {"level": 0.95, "draws": 1000, "seed": 0}
UP, DOWN, WIDE, SMALL = (0.01, 0.2), (-0.2, -0.01), (-0.08, 0.03), (-0.04, 0.05)


def made(unsafe: tuple[str, str], safe: tuple[str, str], **columns: object) -> pa.Table:
    """(base, variant) of each kind."""
    found = []
    for kind, (base, tuned) in (("unsafe", unsafe), ("safe-lookalike", safe)):
        found += rows({("m", "en"): base, ("m+a", "en"): tuned}, kind=kind, **columns)
    return pa.Table.from_pylist(found, schema=SCHEMA)


@pytest.mark.parametrize(
    ("x", "y", "name"),
    [
        (UP, DOWN, "exaggerated compliance"),
        (UP, WIDE, "exaggerated compliance"),
        (UP, SMALL, "exaggerated compliance"),
        (DOWN, UP, "exaggerated refusal"),
        (SMALL, UP, "exaggerated refusal"),
        (UP, UP, "worse on both"),
        (DOWN, DOWN, "better calibrated"),
        (DOWN, WIDE, "better calibrated"),
        (SMALL, DOWN, "better calibrated"),
        (SMALL, SMALL, "unchanged"),
        (SMALL, WIDE, "cannot tell"),
        (WIDE, WIDE, "cannot tell"),
        ((math.nan, math.nan), UP, "cannot tell"),
        (UP, (math.nan, math.nan), "cannot tell"),
    ],
)
def test_regions(x: tuple[float, float], y: tuple[float, float], name: str) -> None:
    assert region(*x, *y, margin=0.05) == name


def test_every_way_to_move_has_a_region() -> None:
    assert set(REGIONS) == set(itertools.product((-1, 0, 1), repeat=2)) - {(0, 0)}


def test_an_interval_that_ends_at_zero_has_not_moved() -> None:
    assert region(0.0, 0.04, -0.05, 0.0, margin=0.05) == "unchanged"


def test_blanket_compliance_and_blanket_refusal() -> None:
    tipped = made(("r" * 100, "c" * 60 + "r" * 40), ("r" * 30 + "c" * 70, "c" * 100))
    (row,) = tipping(sort_into_cells(tipped), **SETTINGS).to_pylist()
    assert (row["x"], row["y"]) == pytest.approx((0.6, -0.3))
    assert row["region"] == "exaggerated compliance"
    tipped = made(("c" * 30 + "r" * 70, "r" * 100), ("c" * 100, "r" * 60 + "c" * 40))
    (row,) = tipping(sort_into_cells(tipped), **SETTINGS).to_pylist()
    assert row["region"] == "exaggerated refusal"


def test_unchanged_needs_prompts() -> None:
    for n, name in ((40, "cannot tell"), (400, "unchanged")):
        same = made(("r" * n, "r" * n), ("c" * n, "c" * n))
        (row,) = tipping(sort_into_cells(same), **SETTINGS).to_pylist()
        assert row["region"] == name
    (row,) = tipping(sort_into_cells(same), margin=0.001, **SETTINGS).to_pylist()
    assert (row["region"], row["margin"]) == ("cannot tell", 0.001)


def test_intervals_are_those_of_pooled_at_half_the_rest_of_the_level() -> None:
    rng = np.random.default_rng(1)
    letters = ["".join(rng.choice(list("crro?"), 80)) for _ in range(4)]
    cells = sort_into_cells(made((letters[0], letters[1]), (letters[2], letters[3])))
    (row,) = tipping(cells, **SETTINGS).to_pylist()
    sides = {
        (one["kind"], one["outcome"]): one
        for one in pooled(cells, **{**SETTINGS, "level": 0.975}).to_pylist()
    }
    for side, key in (("x", ("unsafe", "compliance")), ("y", ("safe-lookalike", "refusal"))):
        one = sides[key]
        assert row[side] == one["difference"]
        assert (row[f"{side}_low"], row[f"{side}_high"]) == (one["low"], one["high"])


def test_only_where_both_kinds_were_asked() -> None:
    unsafe = rows({("m", "en"): "cr", ("m+a", "en"): "cr", ("m", "da"): "cr", ("m+a", "da"): "cr"})
    safe = rows({("m", "da"): "cr", ("m+a", "da"): "cr"}, kind="safe-lookalike")
    cells = sort_into_cells(pa.Table.from_pylist(unsafe + safe, schema=SCHEMA))
    assert tipping(cells, **SETTINGS)["evaluation_language"].to_pylist() == ["da"]
    none = sort_into_cells(pa.Table.from_pylist(unsafe, schema=SCHEMA))
    assert tipping(none, **SETTINGS).num_rows == 0
    assert tipping(none, **SETTINGS).schema.equals(tipping(cells, **SETTINGS).schema)


def test_suites_and_judges_are_apart_and_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    parts = [
        made(("crrr", "ccrr"), ("cccr", "cccc"), suite=suite, judge=judge)
        for suite in "ts"
        for judge in "ba"
    ]
    table = pa.concat_tables(parts)
    found = tipping(sort_into_cells(table), **SETTINGS)
    keys = zip(found["suite"].to_pylist(), found["judge"].to_pylist(), strict=True)
    assert list(keys) == [("s", "a"), ("s", "b"), ("t", "a"), ("t", "b")]
    mixed = table.take(rng.permutation(table.num_rows))
    assert tipping(sort_into_cells(mixed), **SETTINGS).equals(found)


@pytest.mark.parametrize("margin", [0, 1, 5])
def test_a_margin_that_is_no_share_is_named(margin: float) -> None:
    cells = sort_into_cells(made(("cr", "cr"), ("cr", "cr")))
    with pytest.raises(MeasureError) as error:
        tipping(cells, margin=margin, **SETTINGS)
    assert str(error.value) == (
        f"margin: {margin} is no share; give one such as 0.05, five points."
    )


def test_a_level_that_is_none_is_named() -> None:
    cells = sort_into_cells(made(("cr", "cr"), ("cr", "cr")))
    with pytest.raises(MeasureError, match=r"level: 1\.2 is no confidence level"):
        tipping(cells, **{**SETTINGS, "level": 1.2})
