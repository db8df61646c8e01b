"""Win rates of a table of preferences, against a plain loop over its rows and against scipy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_expit

from polydrift import tables
from polydrift.errors import MeasureError
from polydrift.measures.irt import Items
from polydrift.measures.preference import PENALTY, length_controlled, win_rate
from polydrift.stats.preferences import win_rates

DRAWS = 300
NAN = math.nan
# What a judge says of a pair in one order: the variant's answer is better, worse, as good; unread.
Y = {"+": 1.0, "-": 0.0, "=": 0.5, "?": NAN}


def rows(
    said: str, *, judge: str = "a/a", samples: int = 1, **columns: Any
) -> list[dict[str, Any]]:
    """A row for each two signs of a string: what a judge says in the two orders."""
    found = []
    for place, pair in enumerate(said.split()):
        prompt, sample = divmod(place, samples)
        found.append(
            {
                "base": "m",
                "variant": "m+t",
                "arm": "t",
                "tuning_language": "da",
                "tuning_seed": 1,
                "epochs": 3,
                "evaluation_language": "en",
                "benchmark": "alpaca",
                "prompt_id": str(prompt),
                "sample": sample,
                "judge": judge,
                "first": Y[pair[0]],
                "second": Y[pair[1]],
                "asked": True,
                "length": 30 + 7 * (place % 5),
                "reference_length": 40,
                **columns,
            }
        )
    return found


def many(random: np.random.Generator, n: int, samples: int = 1, **columns: Any) -> list[Any]:
    """n instructions whose pairs are judged at random, the longer answer rather preferred."""
    found = rows(" ".join(["=="] * n * samples), samples=samples, **columns)
    for row in found:
        row["length"] = int(random.integers(5, 120))
        won = 0.1 + row["length"] / 200
        said = random.choice([NAN, 0.5, 1.0, 0.0], size=2, p=[0.05, 0.1, won, 0.85 - won])
        row["first"], row["second"] = said.tolist()
    return found


def made(
    found: Sequence[Mapping[str, Any]], items: Mapping[str, Items] | None = None, **settings: Any
) -> list[dict[str, Any]]:
    settings = {"level": 0.95, "draws": DRAWS, "seed": 0, **settings}
    return win_rates(tables.table("preferences", found), items or {}, **settings).to_pylist()


def one(found: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    (row,) = made(found, **more)
    return row


# --- one judge ------------------------------------------------------------------------------------


def test_a_row_says_what_a_judge_said() -> None:
    row = one(rows("++ +- -- == ?- =+ ++"))
    assert row["win_rate"] == pytest.approx(100 * (1 + 0.5 + 0 + 0.5 + 0.75 + 1) / 6)
    assert [row[name] for name in ("wins", "losses", "ties")] == [3, 1, 2]
    assert row["discrete"] == pytest.approx(100 * 4 / 6)
    assert (row["judged"], row["unjudged"]) == (6, 1)
    assert row["position_bias"] == pytest.approx((0 + 1 + 0 + 0 - 0.5 + 0) / 6 / 2)
    assert row["consistent"] == pytest.approx(4 / 6)
    assert row["length"] == pytest.approx(np.mean([30, 37, 44, 51, 58, 30, 37]))
    assert row["reference_length"] == 40
    assert math.isnan(row["gp_irt"])
    assert math.isnan(row["gp_irt_error"])
    assert (row["variant"], row["tuning_seed"], row["judge"]) == ("m+t", 1, "a/a")


def test_pairs_that_nobody_was_asked_say_nothing_of_the_judge() -> None:
    row = one([*rows("+- ++ +-"), *rows("==", prompt_id="9", asked=False)])
    assert (row["judged"], row["ties"]) == (4, 3)
    assert row["position_bias"] == pytest.approx((1 + 0 + 1) / 3 / 2)
    assert row["consistent"] == pytest.approx(1 / 3)


def test_the_figures_are_those_of_a_plain_loop_over_the_rows() -> None:
    random = np.random.default_rng(0)
    cells = [
        {"variant": variant, "evaluation_language": language, "benchmark": name, "judge": judge}
        for variant in ("m", "m+t")
        for language in ("da", "en")
        for name in ("alpaca", "other")
        for judge in ("a/a", "b/b")
    ]
    found = [row for cell in cells for row in many(random, 12, samples=2, **cell)]
    table = {
        tuple(row[name] for name in ("variant", "evaluation_language", "benchmark", "judge")): row
        for row in made(found)
    }
    assert len(table) == 8 * 3
    for cell in cells:
        total = judged = wins = losses = bias = same = 0.0
        for row in found:
            if any(row[name] != value for name, value in cell.items()):
                continue
            y = (row["first"] + row["second"]) / 2
            if math.isnan(y):
                continue
            judged += 1
            total += y
            wins += y > 0.5
            losses += y < 0.5
            bias += row["first"] - row["second"]
            same += (row["first"] > 0.5) - (row["first"] < 0.5) == (row["second"] > 0.5) - (
                row["second"] < 0.5
            )
        row = table[tuple(cell.values())]
        assert (row["judged"], row["unjudged"]) == (judged, 24 - judged)
        assert row["win_rate"] == pytest.approx(100 * total / judged)
        assert (row["wins"], row["losses"]) == (wins, losses)
        assert row["ties"] == judged - wins - losses
        assert row["position_bias"] == pytest.approx(bias / judged / 2)
        assert row["consistent"] == pytest.approx(same / judged)


def test_intervals_and_controlled_rates_are_those_of_the_measure() -> None:
    found = many(np.random.default_rng(1), 40, samples=3)
    row = one(found, level=0.9, draws=200, seed=5)
    in_order = sorted(found, key=lambda row: (row["prompt_id"], row["sample"]))
    y = [(row["first"] + row["second"]) / 2 for row in in_order]
    ids = [row["prompt_id"] for row in in_order]
    sampled: dict[str, Any] = {"clusters": ids, "level": 0.9, "draws": 200, "seed": 5}
    plain = win_rate(y, **sampled)
    assert (row["win_rate"], row["low"], row["high"]) == (plain.win_rate, plain.low, plain.high)
    lengths = [[row[name] for row in in_order] for name in ("length", "reference_length")]
    alike = length_controlled(y, *lengths, **sampled)
    controlled = [row[f"controlled{end}"] for end in ("", "_low", "_high")]
    assert controlled == [alike.win_rate, alike.low, alike.high]
    assert row["low"] < row["win_rate"] < row["high"]


def test_the_interval_is_scipys_bootstrap_of_the_mean_with_a_pair_won_and_one_lost() -> None:
    found = many(np.random.default_rng(2), 60)
    row = one(found, draws=20_000)
    y = np.array([(row["first"] + row["second"]) / 2 for row in found])
    y = np.append(y[~np.isnan(y)], [0.0, 1.0])
    theirs = scipy.stats.bootstrap(
        (y,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert (row["low"], row["high"]) == pytest.approx(
        (100 * theirs.low, 100 * theirs.high), abs=0.6
    )


def test_the_controlled_rate_is_that_of_scipys_regression() -> None:
    found = many(np.random.default_rng(3), 80)
    y = np.array([(row["first"] + row["second"]) / 2 for row in found])
    d = np.array([row["length"] - row["reference_length"] for row in found], float)
    d, y = d[~np.isnan(y)], y[~np.isnan(y)]
    term = np.tanh(d / d.std(ddof=1))

    def loss(beta: np.ndarray) -> float:
        z = beta[0] + beta[1] * term
        fit = -(y * log_expit(z) + (1 - y) * log_expit(-z)).sum()
        return float(fit + PENALTY / 2 * (beta**2).sum())

    theta = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x[0]
    row = one(found)
    assert row["controlled"] == pytest.approx(100 * expit(theta), abs=1e-3)
    assert abs(row["controlled"] - row["win_rate"]) > 1  # longer answers were preferred


def test_samples_of_an_instruction_stay_together() -> None:
    said = many(np.random.default_rng(4), 50)
    thrice = [{**row, "sample": sample} for row in said for sample in range(3)]
    once, more = one(said, draws=2000), one(thrice, draws=2000)
    assert more["judged"] == 3 * once["judged"]
    assert (more["low"], more["high"]) == pytest.approx((once["low"], once["high"]))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Instructions of unequal difficulty, two samples of each, some of it unreadable."""
    random = np.random.default_rng(5)
    held, runs, truth = 0, 300, 100 * 0.3
    found = []
    for run in range(runs):
        ease = random.beta(1.2, 2.8, 40)  # mean 0.3
        block = rows(" ".join(["=="] * 80), samples=2, variant=f"m+{run}")
        for row in block:
            y = float(random.random() < ease[int(row["prompt_id"])])
            row["first"], row["second"] = y, NAN if random.random() < 0.1 else y
        found += block
    for row in made(found):
        held += row["low"] <= truth <= row["high"]
    # 95% of 300, less and more three standard errors of that share
    assert 0.95 - 3 * 0.0126 <= held / runs <= 0.95 + 3 * 0.0126


def test_nothing_judged_is_nan_and_counted() -> None:
    row = one(rows("?? ?+ -?"))
    assert (row["judged"], row["unjudged"], row["wins"]) == (0, 3, 0)
    for name in ("win_rate", "low", "discrete", "controlled", "position_bias", "consistent"):
        assert math.isnan(row[name])
    assert row["length"] == pytest.approx(np.mean([30, 37, 44]))
    assert made([]) == []


def test_length_that_cannot_be_told_from_strength_is_nan() -> None:
    row = one(rows("++ -- ++ +-", length=47))
    assert row["win_rate"] == 62.5
    for name in ("controlled", "controlled_low", "controlled_high"):
        assert math.isnan(row[name])
    # an answer of another length that nobody judged tells nothing either
    more = [*rows("++ -- ++ +-", length=47), *rows("?+", length=10, prompt_id="9")]
    assert math.isnan(one(more)["controlled"])
    # as long as the reference's: all the same there, and the plain rate but for the weak penalty
    theta = brentq(lambda theta: 4 * (expit(theta) - 0.625) + PENALTY * theta, -5, 5)
    alike = one(rows("++ -- ++ +-", length=40))
    assert alike["controlled"] == pytest.approx(100 * expit(theta), abs=1e-6)


def test_the_order_of_the_rows_says_nothing() -> None:
    random = np.random.default_rng(6)
    found = [
        row
        for variant in ("m", "m+t")
        for judge in ("a/a", "b/b")
        for row in many(random, 20, samples=2, variant=variant, judge=judge)
    ]
    schema = tables.SCHEMAS["preferences"]
    settings: dict[str, Any] = {"level": 0.95, "draws": DRAWS, "seed": 0}
    wanted = win_rates(pa.Table.from_pylist(found, schema=schema), {}, **settings)
    mixed = [found[i] for i in random.permutation(len(found))]
    again = win_rates(pa.Table.from_pylist(mixed, schema=schema), {}, **settings)
    assert str(wanted.to_pylist()) == str(again.to_pylist())
    other = win_rates(pa.Table.from_pylist(found, schema=schema), {}, **settings | {"seed": 1})
    assert other["low"].to_pylist() != wanted["low"].to_pylist()


# --- several judges -------------------------------------------------------------------------------


def test_a_panel_is_the_mean_of_those_that_could_be_read() -> None:
    found = [
        *rows("++ +- -- ?? ++ -?", judge="b/b"),
        *rows("+- -- -- ?+ -- ++", judge="a/a"),
        *rows("++ ++ =- ?? == ?+", judge="c/c"),
    ]
    table = {row["judge"]: row for row in made(found)}
    assert list(table) == ["a/a", "b/b", "c/c", "panel"]
    panel = table["panel"]
    y = [(1 + 0.5 + 1) / 3, (0.5 + 0 + 1) / 3, (0 + 0 + 0.25) / 3, (1 + 0 + 0.5) / 3, 1.0]
    assert panel["win_rate"] == pytest.approx(100 * np.mean(y))
    # 0.5 is a tie exactly, from thirds too
    assert [panel[name] for name in ("wins", "losses", "ties")] == [2, 1, 2]
    assert (panel["judged"], panel["unjudged"]) == (5, 1)
    bias = [(0 + 1 + 0) / 3, (1 + 0 + 0) / 3, (0 + 0 + 0.5) / 3, 0.0, 0.0]
    assert panel["position_bias"] == pytest.approx(np.mean(bias) / 2)
    assert panel["length"] == table["a/a"]["length"]


def test_ties_of_many_judges_are_ties() -> None:
    """Means of quarters, sixths and so on; the second pair is lost by a quarter of one judge."""
    for k in range(1, 9):
        found = [row for i in range(k) for row in rows("++ +- +-", judge=f"for/{i}")]
        found += [row for i in range(k) for row in rows("-- -+ +-", judge=f"not/{i}")]
        found += rows("== +- =-", judge="odd/0") + rows("== =- =+", judge="odd/1")
        panel = next(row for row in made(found, draws=10) if row["judge"] == "panel")
        assert [panel[name] for name in ("wins", "losses", "ties")] == [0, 1, 2]


def test_one_judge_is_no_panel() -> None:
    found = [*rows("++ --"), *rows("++ --", variant="m+u"), *rows("++", variant="m+u", judge="b/b")]
    assert [(row["variant"], row["judge"]) for row in made(found)] == [
        ("m+t", "a/a"),
        ("m+u", "a/a"),
        ("m+u", "b/b"),
        ("m+u", "panel"),
    ]


# --- gp-IRT ---------------------------------------------------------------------------------------


def items(k: int = 12, count: int = 60, name: str = "alpaca") -> Items:
    random = np.random.default_rng(7)
    return Items(
        anchors=random.permutation(count)[:k],
        weights=np.full(k, 1 / k),
        mixing=0.4,
        discrimination=random.normal(0.8, 0.3, (count, 2)),
        difficulty=random.normal(0, 0.7, count),
        balance=np.ones(count),
        name=name,
    )


def test_gp_irt_is_that_of_the_equations_in_the_order_of_the_ids() -> None:
    """Ids sort as text ("10" before "2"), anchors as numbers; a mean over samples, NaN left out."""
    known = items()
    found = many(np.random.default_rng(8), 12, samples=2)
    for row in found:
        if row["prompt_id"] == "11":
            row["first"] = NAN
    y = np.full(12, NAN)
    for prompt in range(12):
        values = [
            (row["first"] + row["second"]) / 2 for row in found if row["prompt_id"] == str(prompt)
        ]
        judged = [value for value in values if not math.isnan(value)]
        y[prompt] = sum(judged) / len(judged) if judged else NAN
    seen = known.anchors[~np.isnan(y)]
    right = y[~np.isnan(y)]
    assert 9 < len(right) < 12

    def logits(theta: np.ndarray, at: Any) -> Any:
        return known.discrimination[at] @ theta - known.difficulty[at]

    def loss(theta: np.ndarray) -> float:
        z = logits(theta, seen)
        return float(-(right * log_expit(z) + (1 - right) * log_expit(-z)).sum())

    theta = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x
    rest = np.setdiff1d(np.arange(60), seen)
    share = len(seen) / 60
    p_irt = share * right.mean() + (1 - share) * expit(logits(theta, rest)).mean()
    row = one(found, items={"alpaca": known})
    assert row["gp_irt"] == pytest.approx(100 * (0.4 * right.mean() + 0.6 * p_irt), abs=1e-3)
    assert row["gp_irt_error"] == pytest.approx(1.6)


def test_only_benchmarks_with_items_have_gp_irt() -> None:
    found = [*rows("++ --"), *rows("++ --", benchmark="other")]
    first, second = made(found, {"other": items(k=2, name="nobody's")})
    assert math.isnan(first["gp_irt"])
    assert 0 < second["gp_irt"] < 100
    assert math.isnan(second["gp_irt_error"])


def test_a_panel_has_gp_irt_too() -> None:
    found = [*rows("++ -- +-"), *rows("-- -- ++", judge="b/b")]
    alone = one(rows("+- -- +="), items={"alpaca": items(k=3)})
    panel = made(found, {"alpaca": items(k=3)})[-1]
    assert panel["judge"] == "panel"
    assert panel["gp_irt"] == pytest.approx(alone["gp_irt"])


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (rows("++ --", prompt_id="p7")[:1], "'p7' is none of them"),
        (rows("++ -- ++ --"), "'3' is none of them"),
        ([*rows("++ --"), *rows("++", prompt_id="02")], "'02' is none of them"),
        (rows("++ --"), "'2' is lacking"),
    ],
)
def test_gp_irt_wants_the_ids_to_be_the_order_of_the_anchors(found: Any, what: str) -> None:
    with pytest.raises(MeasureError) as caught:
        made(found, {"alpaca": items(k=3)})
    assert str(caught.value) == (
        "preferences: gp-IRT of 'alpaca' needs instructions whose ids are the whole numbers 0 to "
        f"2, in the order of the anchors, and {what}; number them so, ask all of them, or leave "
        "`irt` out."
    )


def test_a_pair_is_judged_once() -> None:
    with pytest.raises(MeasureError) as caught:
        made([*rows("++ --"), *rows("++")])
    assert str(caught.value) == (
        "preferences: two rows of a/a for prompt '0', sample 0, of m+t in en; each pair is judged "
        "once by a judge."
    )


def test_a_level_that_is_none() -> None:
    with pytest.raises(MeasureError, match=r"^level: 95 is no confidence level; give one such as"):
        made(rows("++"), level=95)


def test_preferences_that_are_none() -> None:
    with pytest.raises(MeasureError, match=r"^first: 1\.5; give a list of numbers from 0"):
        made(rows("++ --", first=1.5))
