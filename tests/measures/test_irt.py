"""gp-IRT: the equations against scipy, abilities recovered, and files that cannot be used."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from polydrift.errors import DataError, MeasureError
from polydrift.measures.irt import ERRORS, Items, fit_logistic, gp_irt, read_items, sigmoid


def drawn(
    seed: int = 0, items: int = 1400, k: int = 100, dimensions: int = 5, name: str = "mmlu"
) -> Items:
    """A benchmark of the size and kind of those published: anchors with unequal weights, subjects
    of unequal size that count the same.
    """
    random = np.random.default_rng(seed)
    weights = random.gamma(2.0, size=k)
    sizes = random.integers(20, 300, 7)
    subject = random.choice(7, items, p=sizes / sizes.sum())
    balance = items / (7 * np.bincount(subject, minlength=7))[subject]
    return Items(
        anchors=random.choice(items, k, replace=False),
        weights=weights / weights.sum(),
        mixing=0.29,
        discrimination=random.normal(0.5, 0.6, (items, dimensions)),
        difficulty=random.normal(0.2, 1.0, items),
        balance=balance,
        name=name,
    )


def answers(items: Items, theta: np.ndarray, seed: int = 1) -> np.ndarray:
    """What a model of this ability answers to the whole benchmark."""
    p = expit(items.discrimination @ theta - items.difficulty)
    return (np.random.default_rng(seed).random(len(p)) < p).astype(float)


def ability_by_scipy(y: np.ndarray, items: Items, seen: np.ndarray) -> np.ndarray:
    """The least negative log likelihood, by BFGS from 0, as tinyBenchmarks has it."""
    a, b = items.discrimination[seen], items.difficulty[seen]

    def loss(theta):
        z = a @ theta - b
        return -(y * log_expit(z) + (1 - y) * log_expit(-z)).sum()

    return minimize(loss, np.zeros(a.shape[1]), method="BFGS", options={"gtol": 1e-9}).x


def by_hand(y: np.ndarray, items: Items, theta: np.ndarray) -> tuple[float, float, float]:
    """Equations (4.1) to (4.3), item by item."""
    irt = sum(w * right for w, right in zip(items.weights, y, strict=True))
    seen = dict(zip(items.anchors.tolist(), y, strict=True))
    total, observed, predicted = len(items.difficulty), 0.0, 0.0
    for i in range(total):
        if i in seen:
            observed += items.balance[i] * seen[i]
        else:
            z = sum(items.discrimination[i] * theta) - items.difficulty[i]
            predicted += items.balance[i] / (1 + math.exp(-z))
    share = len(seen) / total
    p_irt = share * observed / len(seen) + (1 - share) * predicted / (total - len(seen))
    return irt, p_irt, items.mixing * irt + (1 - items.mixing) * p_irt


@pytest.mark.parametrize("seed", range(5))
def test_every_estimate_equals_the_equations_with_an_ability_fitted_by_scipy(seed):
    items = drawn(seed)
    theta = np.random.default_rng(seed).normal(size=5)
    y = answers(items, theta, seed)[items.anchors]
    found, fitted = gp_irt(y, items), ability_by_scipy(y, items, items.anchors)
    np.testing.assert_allclose(found.theta, fitted, atol=1e-5)
    wanted = by_hand(y, items, fitted)
    np.testing.assert_allclose((found.irt, found.p_irt, found.gp_irt), wanted, atol=1e-6)
    assert found.plain == pytest.approx(y.mean())
    assert (found.answered, found.error) == (100, 0.016)


def test_probabilities_are_answers_too():
    items = drawn(7, name="alpaca")
    y = np.random.default_rng(7).beta(0.3, 0.6, 100)  # preferences, most near 0 or 1
    found, fitted = gp_irt(y, items), ability_by_scipy(y, items, items.anchors)
    np.testing.assert_allclose(
        (found.irt, found.p_irt, found.gp_irt), by_hand(y, items, fitted), atol=1e-6
    )
    assert found.error == ERRORS["alpaca"] == 0.016


def test_a_known_ability_is_recovered_and_the_score_with_it():
    items = drawn(3, items=5000, k=4000, dimensions=3)
    theta = np.array([0.8, -0.4, 1.2])
    found = gp_irt(answers(items, theta)[items.anchors], items)
    assert np.abs(found.theta - theta).max() < 0.2
    errors = []
    for seed in range(40):
        hundred = drawn(100 + seed, dimensions=3)
        theta = np.random.default_rng(seed).normal(size=3)
        truth = (hundred.balance * answers(hundred, theta, seed)).mean()
        estimate = gp_irt(answers(hundred, theta, seed)[hundred.anchors], hundred)
        errors.append((estimate.p_irt - truth, estimate.irt - truth))
    p_irt, irt = np.abs(errors).mean(axis=0)
    assert p_irt < 0.03  # where the item parameters are right, the model makes it better
    assert p_irt < irt
    assert abs(np.mean(errors, axis=0)[0]) < 0.01


@pytest.mark.parametrize(("right", "beyond"), [(1.0, 0.97), (0.0, 0.03)])
def test_all_right_and_all_wrong_have_an_estimate(right, beyond):
    items = drawn(4, dimensions=1)
    items = Items(**vars(items) | {"discrimination": np.abs(items.discrimination) + 0.5})
    found = gp_irt(np.full(100, right), items)
    assert found.irt == pytest.approx(right)
    assert abs(found.p_irt - right) < 0.03
    assert np.isfinite(found.theta).all()


def test_an_anchor_without_an_answer_is_an_item_never_asked():
    items = drawn(5)
    y = answers(items, np.zeros(5))[items.anchors]
    gaps = y.copy()
    gaps[[3, 50]] = np.nan
    kept = np.delete(np.arange(100), [3, 50])
    without = Items(
        **vars(items)
        | {
            "anchors": items.anchors[kept],
            "weights": items.weights[kept] / items.weights[kept].sum(),
        }
    )
    found, wanted = gp_irt(gaps, items), gp_irt(y[kept], without)
    assert found.answered == 98
    assert (found.irt, found.p_irt) == pytest.approx((wanted.irt, wanted.p_irt), abs=1e-12)


def test_no_answers_have_no_estimate():
    found = gp_irt(np.full(100, np.nan), drawn())
    assert np.isnan([found.plain, found.irt, found.p_irt, found.gp_irt, *found.theta]).all()
    assert (found.answered, found.error) == (0, 0.016)


def test_a_benchmark_asked_whole_is_its_own_estimate():
    items = drawn(6, items=50, k=50, name="ours")
    y = answers(items, np.zeros(5))
    found = gp_irt(y[items.anchors], items)
    assert found.p_irt == pytest.approx((items.balance * y).mean())
    assert math.isnan(found.error)  # nobody measured it


@pytest.mark.parametrize("size", [(99,), (100, 2)])
def test_answers_of_another_number_are_refused(size):
    with pytest.raises(MeasureError) as caught:
        gp_irt(np.zeros(size), drawn())
    assert str(caught.value) == (
        "gp-IRT of mmlu needs 100 answers, one for each anchor in order, not "
        f"{' x '.join(map(str, size))}."
    )


def test_answers_that_are_no_probabilities_are_refused():
    y = np.zeros(100)
    y[7] = 1.5
    with pytest.raises(MeasureError) as caught:
        gp_irt(y, drawn())
    assert str(caught.value) == (
        "answer 7 (counted from 0) is 1.5; give 1 for right, 0 for wrong or a probability between "
        "them (a preference from 1 to 2, less 1)."
    )


def test_logistic_regressions_equal_scipy_and_each_other():
    random = np.random.default_rng(9)
    design, y = random.normal(size=(60, 3)), random.random((4, 60))
    offset, weights = random.normal(size=60), random.integers(0, 4, (4, 60)).astype(float)
    found = fit_logistic(design, y, offset=offset, weights=weights, penalty=0.3)
    for row, seen, beta in zip(y, weights, found, strict=True):

        def loss(b, row=row, seen=seen):
            z = design @ b + offset
            return -(seen * (row * log_expit(z) + (1 - row) * log_expit(-z))).sum() + 0.15 * b @ b

        wanted = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-10}).x
        np.testing.assert_allclose(beta, wanted, atol=1e-6)


def test_newton_steps_do_not_run_away():
    """Far rows and separated answers, where the full Newton step diverges."""
    design = np.array([[1.0, 0.0], [1.0, 40.0], [1.0, -60.0], [1.0, 0.1]])
    y = np.array([0.0, 1.0, 0.0, 1.0])
    (beta,) = fit_logistic(design, y, penalty=1e-6)
    slope = (sigmoid(design @ beta) - y) @ design + 1e-6 * beta
    assert np.abs(slope).max() < 1e-8


def test_the_sigmoid_never_overflows():
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-800.0, 0.0, 800.0])), [0, 0.5, 1], atol=1e-15)


# --- files ----------------------------------------------------------------------------------------


def arrays(items: Items) -> dict[str, np.ndarray]:
    return {
        "anchors": items.anchors,
        "weights": items.weights,
        "lambda": np.array(items.mixing),
        "discrimination": items.discrimination,
        "difficulty": items.difficulty,
        "balance": items.balance,
    }


def written(tmp_path: Path, suffix: str, **more: object) -> Path:
    """A small file of items, some of its arrays replaced, or left out where None."""
    found = {k: v for k, v in (arrays(drawn(items=20, k=4)) | more).items() if v is not None}
    path = tmp_path / f"items{suffix}"
    if suffix == ".npz":
        np.savez(path, **found)
    else:
        path.write_text(json.dumps({k: np.asarray(v).tolist() for k, v in found.items()}))
    return path


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_items_come_back_from_a_file(tmp_path, suffix):
    found, wanted = read_items(written(tmp_path, suffix), name="mmlu"), drawn(items=20, k=4)
    for key, value in vars(wanted).items():
        np.testing.assert_array_equal(getattr(found, key), value)


def test_balance_may_be_left_out_and_difficulty_come_by_dimension(tmp_path):
    items = drawn(items=20, k=4)
    fifths = np.stack([items.difficulty / 5] * 5, axis=1)
    found = read_items(written(tmp_path, ".npz", balance=None, difficulty=fifths))
    np.testing.assert_array_equal(found.balance, np.ones(20))
    np.testing.assert_allclose(found.difficulty, items.difficulty)
    assert found.name == ""


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("trapped",))


def test_a_pickle_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "items.npz"
    np.savez(path, **arrays(drawn()) | {"weights": np.array([Trap()], dtype=object)})
    with pytest.raises(DataError) as caught:
        read_items(path)
    assert str(caught.value) == (
        f"{path} cannot be read (it holds pickled objects, which may run code); write plain arrays "
        "with numpy.savez, or JSON."
    )
    assert not (tmp_path / "trapped").exists()
    other = tmp_path / "tinyBenchmarks.pkl"
    with pytest.raises(DataError) as caught:
        read_items(other)
    assert str(caught.value) == f"{other}: item parameters are read from .npz and .json files only."


BAD = [
    (
        {"weights": None, "lambda": None},
        "lacks weights, lambda; it must hold anchors, weights, lambda, discrimination, difficulty.",
    ),
    (
        {"difficulty": np.zeros(19)},
        "difficulty has 19 rows and discrimination 20; both must have one for each item.",
    ),
    (
        {"difficulty": np.zeros((20, 1))},
        "difficulty is 1 wide and discrimination 5; make them alike, or give one difficulty for "
        "each item, the sum.",
    ),
    (
        {"balance": np.ones(3)},
        "balance has 3 rows and discrimination 20; both must have one for each item.",
    ),
    (
        {"weights": np.ones(5)},
        "weights has 5 rows and anchors 4; both must have one for each anchor.",
    ),
    (
        {"anchors": np.array([0, 1, 2, 20])},
        "anchors must be different whole numbers from 0 to 19, positions of the items that were "
        "asked, and at least one.",
    ),
    (
        {"anchors": np.array([0, 1, 1, 2])},
        "anchors must be different whole numbers from 0 to 19, positions of the items that were "
        "asked, and at least one.",
    ),
    (
        {"weights": np.array([0.5, 0.5, 0.5, -0.5])},
        "weights must be above 0; give those published with the anchors.",
    ),
    ({"lambda": np.array(1.2)}, "lambda is 1.2; it must lie between 0 and 1."),
    ({"lambda": np.ones(2)}, "lambda must be one number, and every number finite."),
    (
        {"discrimination": np.zeros(20)},
        "discrimination must be a table [items, dimensions], and every number finite.",
    ),
    (
        {"difficulty": np.array(["hard"] * 20)},
        "difficulty must be a list of numbers or a table [items, dimensions], and every number "
        "finite.",
    ),
]


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize(("more", "said"), BAD, ids=[f"{i}" for i in range(len(BAD))])
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, suffix, more, said):
    path = written(tmp_path, suffix, **more)
    with pytest.raises(DataError) as caught:
        read_items(path)
    assert str(caught.value) == f"{path}: {said}"


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    weights = np.array([0.5, np.nan, 0.2, 0.3])
    path = written(tmp_path, ".npz", weights=weights)
    with pytest.raises(DataError, match=r"weights must be a list of numbers, and every number fin"):
        read_items(path)


def test_files_that_cannot_be_read_are_one_sentence(tmp_path):
    path = tmp_path / "none.npz"
    with pytest.raises(
        DataError, match=r"none\.npz cannot be read \(No such file or directory\)\.$"
    ):
        read_items(path)
    for name, content, why in (
        ("cut.npz", b"PK\x03\x04 and no more", "File is not a zip file"),
        ("text.npz", b"words", "pickled objects, which may run code"),
        ("cut.json", b'{"anchors": [1,', "Expecting value"),
        ("list.json", b"[1, 2]", "it holds no object"),
        ("empty.npz", b"", "No data left in file"),
        ("latin.json", b"\xff", "can't decode byte 0xff"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_items(path)
        assert str(caught.value).startswith(f"{path} cannot be read (")
        assert why in str(caught.value)
        assert str(caught.value).endswith("); write plain arrays with numpy.savez, or JSON.")
    plain = tmp_path / "one.npz"  # an .npy under another name
    with plain.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"one\.npz cannot be read \(it holds one array"):
        read_items(plain)
