from __future__ import annotations

import math
from typing import Any

import krippendorff as published
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from polydrift.errors import MeasureError
from polydrift.stats.agreement import (
    Agreement,
    agreement,
    alpha,
    confusion,
    kappa,
    krippendorff,
)

LABELS = ("complied", "refused", "other")


def sides(n: int, accuracy: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """(ours, theirs): ours is theirs, or with probability 1 - accuracy another label."""
    rng = np.random.default_rng(seed)
    theirs = rng.choice(3, n, p=[0.3, 0.6, 0.1])
    ours = np.where(rng.random(n) < accuracy, theirs, (theirs + rng.integers(1, 3, n)) % 3)
    return [LABELS[i] for i in ours], [LABELS[i] for i in theirs]


@pytest.mark.parametrize("accuracy", [0.2, 0.6, 0.95])
def test_values_equal_those_of_others(accuracy: float) -> None:
    ours, theirs = sides(300, accuracy)
    found = agreement(ours, theirs, labels=LABELS, draws=10)
    np.testing.assert_array_equal(
        found.confusion[:3, :3], confusion_matrix(theirs, ours, labels=LABELS)
    )
    assert found.confusion.sum() == found.n == 300
    assert found.accuracy.value == np.mean([a == b for a, b in zip(ours, theirs, strict=True)])
    assert found.kappa.value == pytest.approx(cohen_kappa_score(ours, theirs), abs=1e-12)
    codes = [[LABELS.index(one) for one in side] for side in (ours, theirs)]
    expected = published.alpha(codes, level_of_measurement="nominal")
    assert found.alpha.value == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(found.prevalence, [theirs.count(one) / 300 for one in LABELS])


def test_bootstrap_error_is_near_the_asymptotic_one() -> None:
    ours, theirs = sides(4000, 0.8)
    found = agreement(ours, theirs, labels=LABELS)
    expected = cohens_kappa(found.confusion[:3, :3])
    assert found.kappa.value == pytest.approx(expected.kappa, abs=1e-12)
    error = (found.kappa.high - found.kappa.low) / (2 * 1.959964)
    assert error == pytest.approx(expected.std_kappa, rel=0.1)
    assert found.kappa.low == pytest.approx(expected.kappa_low, abs=0.2 * error)


def test_accuracy_without_clusters_has_wilsons_interval() -> None:
    ours, theirs = sides(80, 0.9)
    found = agreement(ours, theirs, labels=LABELS, level=0.9, draws=10)
    hits = round(found.accuracy.value * 80)
    expected = proportion_confint(hits, 80, alpha=0.1, method="wilson")
    assert found.accuracy[1:] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # Krippendorff 2011, sections A, B and C
        (["0100000010", "1110010000"], 0.095),
        (["aabbdcccedda", "babbbccceddd"], 0.692),
        (["123321412...", "1233224125.3", ".3332342251.", "12332441251."], 0.743),
    ],
)
def test_alpha_of_the_published_examples(rows: list[str], expected: float) -> None:
    labels = sorted({one for row in rows for one in row} - {"."})
    ratings = [["unparsed" if one == "." else one for one in row] for row in rows]
    found = krippendorff(ratings, labels=labels, draws=200)
    assert found.value == pytest.approx(expected, abs=0.0005)
    assert found.low < found.value < found.high


def test_alpha_with_missing_labels_equals_that_of_others() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 60)
    codes = np.where(rng.random((4, 60)) < 0.6, truth, rng.integers(0, 3, (4, 60))).astype(float)
    codes[rng.random((4, 60)) < 0.4] = np.nan
    ratings = [["unparsed" if np.isnan(c) else LABELS[int(c)] for c in row] for row in codes]
    found = krippendorff(ratings, labels=LABELS, draws=10)
    expected = published.alpha(codes, level_of_measurement="nominal")
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_alpha_of_two_raters_is_that_of_their_confusion() -> None:
    ours, theirs = sides(100, 0.7)
    of_two = agreement(ours, theirs, labels=LABELS, draws=500, seed=1).alpha
    of_many = krippendorff([ours, theirs], labels=LABELS, draws=500, seed=1)
    assert of_many.value == pytest.approx(of_two.value, abs=1e-12)
    assert of_many[1:] == pytest.approx(of_two[1:], abs=0.03)  # other draws


def test_unparsed_verdicts_have_a_column_and_are_counted_and_left_out() -> None:
    ours = ["refused", "unparsed", "complied", "unparsed", "refused"]
    theirs = ["refused", "refused", "complied", "unparsed", "complied"]
    labels = ("complied", "refused")
    found = agreement(ours, theirs, labels=labels, draws=50)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert (found.n, found.n_unparsed) == (3, 2)
    without = agreement(
        ["refused", "complied", "refused"],
        ["refused", "complied", "complied"],
        labels=labels,
        draws=50,
    )
    for name in ("accuracy", "kappa", "alpha"):
        assert getattr(found, name) == getattr(without, name)


def numbers(found: Agreement) -> list[float]:
    return [*found.accuracy, *found.kappa, *found.alpha]


def test_nothing_labelled_is_nan() -> None:
    for ours, theirs in (([], []), (["unparsed"], ["refused"])):
        found = agreement(ours, theirs, labels=LABELS, draws=10)
        assert found.n == 0
        assert all(map(math.isnan, [*numbers(found), *found.prevalence]))
    assert all(map(math.isnan, krippendorff([[], []], labels=LABELS, draws=10)))


def test_one_label_only_has_an_accuracy_but_no_kappa() -> None:
    found = agreement(["refused"] * 9, ["refused"] * 9, labels=LABELS, draws=10)
    assert found.accuracy.value == found.accuracy.high == 1.0
    assert 0.6 < found.accuracy.low < 0.8
    assert all(map(math.isnan, [*found.kappa, *found.alpha]))


def test_one_cluster_has_no_interval() -> None:
    ours, theirs = sides(9, 0.6)
    found = agreement(ours, theirs, labels=LABELS, clusters=["p1"] * 9, draws=10)
    assert not math.isnan(found.kappa.value)
    for one in (found.accuracy, found.kappa, found.alpha):
        assert math.isnan(one.low)
        assert math.isnan(one.high)


def test_perfect_agreement_has_a_width_and_always_disagreeing_is_negative() -> None:
    half = ["complied"] * 20 + ["refused"] * 20
    found = agreement(half, half, labels=LABELS)
    for one in (found.kappa, found.alpha):
        assert (one.value, one.high) == (1.0, 1.0)
        assert 0.75 < one.low < 0.95
    found = agreement(half, half[::-1], labels=LABELS)
    assert found.kappa.value == -1.0
    assert found.kappa.high < -0.7


def test_labels_that_nobody_uses_change_nothing() -> None:
    ours, theirs = sides(50, 0.8)
    few = agreement(ours, theirs, labels=LABELS, draws=300)
    many = agreement(ours, theirs, labels=[*LABELS, "never"], draws=300)
    assert numbers(few) == numbers(many)


def test_the_seed_decides_the_draws() -> None:
    ours, theirs = sides(50, 0.8)
    one, same, other = (
        agreement(ours, theirs, labels=LABELS, draws=300, seed=seed) for seed in (1, 1, 2)
    )
    assert numbers(one) == numbers(same)
    assert one.kappa.value == other.kappa.value
    assert one.kappa.low != other.kappa.low


def test_answers_to_one_prompt_stay_together() -> None:
    ours, theirs = sides(60, 0.8)
    alone = agreement(ours, theirs, labels=LABELS)
    thrice = agreement(ours * 3, theirs * 3, labels=LABELS)
    together = agreement(ours * 3, theirs * 3, labels=LABELS, clusters=list(range(60)) * 3)
    assert together.kappa == pytest.approx(alone.kappa, abs=1e-9)
    for name in ("accuracy", "kappa", "alpha"):
        widths = [
            getattr(found, name).high - getattr(found, name).low for found in (thrice, together)
        ]
        assert widths[1] > 1.4 * widths[0]


def test_covers_where_the_plain_bootstrap_does_not() -> None:
    rng = np.random.default_rng(6)
    cells = np.array([[0.931, 0.049], [0.008, 0.012]])  # 2% complied, seen in 60%, cleared in 95%
    truth = float(kappa(cells))
    plain, covered = [], []
    for draw in rng.multinomial(50, cells.ravel(), size=400):
        pairs = np.repeat(np.arange(4), draw)
        ours, theirs = ([LABELS[i] for i in side] for side in (pairs % 2, pairs // 2))
        found = agreement(ours, theirs, labels=LABELS[:2], draws=300).kappa
        if math.isnan(found.value):
            continue
        covered.append(found.low <= truth <= found.high)
        drawn = kappa(rng.multinomial(50, draw / 50, size=300).reshape(-1, 2, 2).astype(float))
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        plain.append(low <= truth <= high)
    assert len(covered) > 350
    assert np.mean(plain) < 0.6
    assert 0.93 < np.mean(covered) <= 1


def test_kappa_and_alpha_take_stacks_of_tables() -> None:
    tables = np.random.default_rng(0).integers(1, 9, (5, 2, 3, 3)).astype(float)
    assert kappa(tables).shape == alpha(tables).shape == (5, 2)
    assert kappa(tables)[3, 1] == kappa(tables[3, 1])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ours": ["refused"]}, "ours and theirs: 1 and 2 labels; give both for each answer."),
        (
            {"ours": ["refused", "Refused"]},
            "ours: 'Refused' is no label; use complied, refused, other or unparsed.",
        ),
        (
            {"theirs": ["refused", 1]},
            "theirs: 1 is no label; use complied, refused, other or unparsed.",
        ),
        (
            {"labels": ["refused", "refused"]},
            "labels: refused, refused; give each label once, and not 'unparsed', which is counted "
            "apart.",
        ),
        (
            {"labels": ["refused", "unparsed"]},
            "labels: refused, unparsed; give each label once, and not 'unparsed', which is counted "
            "apart.",
        ),
        (
            {"labels": []},
            "labels: none; give each label once, and not 'unparsed', which is counted apart.",
        ),
        ({"clusters": ["p1"]}, "clusters: 1 for 2 answers; give one for each."),
        ({"level": 95}, "level: 95 is no confidence level; give one such as 0.95."),
        ({"draws": 0}, "draws: 0; a bootstrap needs one or more, such as 2000."),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], sentence: str) -> None:
    good: dict[str, Any] = {"ours": ["refused"] * 2, "theirs": ["refused"] * 2, "labels": LABELS}
    with pytest.raises(MeasureError) as error:
        agreement(**{**good, **change})
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("ratings", "sentence"),
    [
        (
            [],
            "ratings: lists of nobody; give those of two or more raters, all of the same answers.",
        ),
        (
            [["other"]],
            "ratings: lists of 1; give those of two or more raters, all of the same answers.",
        ),
        (
            [["other"], ["other", "other"]],
            "ratings: lists of 1, 2; give those of two or more raters, all of the same answers.",
        ),
        (
            [["other"], ["others"]],
            "rater 2: 'others' is no label; use complied, refused, other or unparsed.",
        ),
    ],
)
def test_bad_ratings_are_named(ratings: list[list[str]], sentence: str) -> None:
    with pytest.raises(MeasureError) as error:
        krippendorff(ratings, labels=LABELS)
    assert str(error.value) == sentence


def test_confusion_has_theirs_in_rows() -> None:
    table = confusion(["other", "other"], ["refused", "complied"], LABELS)
    assert table[:, LABELS.index("other")].tolist() == [1, 1, 0, 0]
