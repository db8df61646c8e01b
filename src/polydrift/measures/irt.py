"""Item response theory: the score on a whole benchmark from answers to a hundred of its items.

    >>> items = read_items(Path("tinymmlu.npz"), name="mmlu")
    >>> found = gp_irt(right, items)          # right: [100] 0 or 1, in the order of items.anchors
    >>> found.gp_irt, found.plain, found.error
    (0.471, 0.45, 0.016)

tinyBenchmarks (Maia Polo et al. 2024, arXiv 2402.14992) chose 100 *anchors* out of a benchmark and
published for each a weight, and for every item of the benchmark, asked or not, the parameters of a
model of who answers it rightly. Item i is right with probability

    p_i(theta) = 1 / (1 + exp(-a_i . theta + b_i))                                      (4.1)

where theta is a model's ability, a_i how much the item tells of it and b_i how hard it is. theta
is fitted to the answers by maximum likelihood, and three estimates follow:

    irt     sum_i w_i y_i, over the anchors                                   (section 3)
    p-IRT   s mean_anchors(y) + (1 - s) mean_others(p(theta)), s = anchors / items      (4.2)
    gp-IRT  lambda irt + (1 - lambda) p-IRT, lambda published with the anchors          (4.3)

where both means weigh an item by its `balance`, which makes each subject of MMLU count the same.
y may be any number from 0 to 1: for tinyAlpacaEval it is the probability that an answer is
preferred (`preference`).

**The method's own error.** For models that its authors held out, gp-IRT missed the score on the
whole benchmark by 0.016 on average for MMLU (and 0.016 for AlpacaEval; `ERRORS`), so a change of
less than about 0.03 between two models is noise. The answers tell nothing of that error: it stands
beside the estimate as `error`. Specialised models are missed by more (section 5).

The parameters are published as a pickle, which polydrift does not open: whoever trusts the file
writes its arrays into a .npz or .json once (`read_items`). NumPy only.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import DataError, MeasureError

Floats = NDArray[np.float64]

ERRORS: Mapping[str, float] = {
    **{"truthfulqa": 0.011, "gsm8k": 0.020, "winogrande": 0.015, "arc": 0.017},
    **{"hellaswag": 0.015, "mmlu": 0.016, "alpaca": 0.016},
}
"""Mean absolute error of gp-IRT with 100 anchors on held-out models (tinyBenchmarks' README)."""

_RIDGE = 1e-8  # keeps theta finite where every answer is right; moves no estimate by 1e-6
_STEPS, _STILL = 200, 1e-9  # Newton steps at most; logits that move less than this have arrived


@dataclass(frozen=True)
class Items:
    """A benchmark's items and the anchors among them.

    anchors: [k] positions in the benchmark, in the order that they are asked in. weights: [k].
    mixing: lambda of (4.3). discrimination: [items, dimensions] a. difficulty: [items] b. balance:
    [items], of mean 1. name: a key of `ERRORS`, or any other.
    """

    anchors: NDArray[np.int64]
    weights: Floats
    mixing: float
    discrimination: Floats
    difficulty: Floats
    balance: Floats
    name: str = ""


@dataclass(frozen=True)
class Estimate:
    """A score on the whole benchmark, 0 to 1, by each estimator; NaN where nothing was answered.

    plain: the mean of the answers. answered: how many there are. theta: [dimensions]. error: of
    gp-IRT, as published for 100 anchors; NaN where none is.
    """

    plain: float
    irt: float
    p_irt: float
    gp_irt: float
    answered: int
    theta: Floats
    error: float


def gp_irt(y: ArrayLike, items: Items) -> Estimate:
    """Estimates from a model's answers.

    y: [k] 0 to 1, in the order of `items.anchors`; NaN: not answered, or not judged. Such an anchor
    is an item like those never asked: it has no part in theta, p-IRT predicts it, and the weights
    of the others are scaled up. MeasureError for a list of another length, and other numbers.
    """
    right = np.asarray(y, dtype=np.float64)
    size = len(items.anchors)
    if right.shape != (size,):
        raise MeasureError(
            f"gp-IRT of {items.name or 'these items'} needs {size} answers, one for each anchor in "
            f"order, not {' x '.join(map(str, right.shape)) or 'a single number'}."
        )
    bad = np.flatnonzero((right < 0) | (right > 1))  # false for NaN
    if len(bad):
        raise MeasureError(
            f"answer {bad[0]} (counted from 0) is {right[bad[0]]:g}; give 1 for right, 0 for wrong "
            "or a probability between them (a preference from 1 to 2, less 1)."
        )
    known = ~np.isnan(right)
    right, seen = right[known], items.anchors[known]
    error = ERRORS.get(items.name, math.nan)
    dimensions = items.discrimination.shape[1]
    if not len(seen):
        nothing = np.full(dimensions, np.nan)
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0, nothing, error)
    theta = fit_logistic(
        items.discrimination[seen], right, offset=-items.difficulty[seen], penalty=_RIDGE
    )[0]
    weights = items.weights[known]
    irt = float(weights @ right * (items.weights.sum() / weights.sum()))
    p_irt = _p_irt(right, seen, theta, items)
    gp = items.mixing * irt + (1 - items.mixing) * p_irt
    return Estimate(float(right.mean()), irt, p_irt, gp, len(seen), theta, error)


def _p_irt(right: Floats, seen: NDArray[np.int64], theta: Floats, items: Items) -> float:
    """Equation (4.2): what was seen, and what theta predicts of the rest."""
    observed = (items.balance[seen] * right).mean()
    rest = np.ones(len(items.difficulty), bool)
    rest[seen] = False
    if not rest.any():
        return float(observed)
    p = sigmoid(items.discrimination[rest] @ theta - items.difficulty[rest])
    share = len(seen) / len(items.difficulty)
    return float(share * observed + (1 - share) * (items.balance[rest] * p).mean())


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)), elementwise, that never overflows."""
    found: Floats = 0.5 * (1.0 + np.tanh(0.5 * z))
    return found


def fit_logistic(
    design: Floats,
    y: Floats,
    *,
    offset: Floats | float = 0.0,
    weights: Floats | float = 1.0,
    penalty: float = 0.0,
) -> Floats:
    """Logistic regressions over the same rows: [fits, columns], or [1, columns] for one.

    design: [rows, columns]. y: [rows] or [fits, rows], 0 to 1. offset (added to the logit) and
    weights: numbers, [rows] or [fits, rows]. Each minimises

        sum_r weights_r cross_entropy(y_r, sigmoid(design_r . beta + offset_r))
            + penalty / 2 |beta|^2

    by Newton steps, each halved while it does not lower the sum, down to log(1 + D) / D of it,
    where D is the furthest that it would move a logit: that much of a step lowers it always (Sun
    and Tran-Dinh 2019, Mathematical Programming 178:145). With a penalty above 0 there is one
    minimum, even where y is all 0 or all 1.
    """
    rows, columns = design.shape
    y, offset, weights = (np.atleast_2d(np.asarray(x, float)) for x in (y, offset, weights))
    fits = max(len(y), len(offset), len(weights))
    outer = (design[:, :, None] * design[:, None, :]).reshape(rows, columns**2)

    def total(beta: Floats) -> Floats:
        z = beta @ design.T + offset
        crosses = (weights * (np.logaddexp(0.0, z) - y * z)).sum(axis=1, keepdims=True)
        found: Floats = crosses + penalty / 2 * (beta**2).sum(axis=1, keepdims=True)
        return found

    beta = np.zeros((fits, columns))
    now = total(beta)
    for _ in range(_STEPS):
        p = sigmoid(beta @ design.T + offset)
        slope = (weights * (p - y)) @ design + penalty * beta
        curvature = ((weights * p * (1 - p)) @ outer).reshape(-1, columns, columns)
        curvature = curvature + penalty * np.eye(columns)
        step = np.linalg.solve(curvature, slope[..., None])[..., 0]
        furthest = np.abs(step @ design.T).max(axis=1, keepdims=True)
        if furthest.max() < _STILL:
            break
        safe = np.log1p(furthest) / np.maximum(furthest, np.finfo(float).tiny)
        part = np.ones((fits, 1))
        while (worse := (total(beta - part * step) > now) & (part > safe)).any():
            part = np.where(worse, np.maximum(part / 2, safe), part)
        beta = beta - part * step
        now = total(beta)
    return beta


def read_items(path: Path, *, name: str = "") -> Items:
    """Items from a .npz (plain arrays; pickles are refused) or a .json file (one object of lists).

        anchors         [k]                 positions in the benchmark, from 0
        weights         [k]                 of the anchors
        lambda          a number            of (4.3)
        discrimination  [items, dimensions]
        difficulty      [items], or [items, dimensions] as in the authors' file: summed over them
        balance         [items], optional   1 for every item if left out

    name: of the benchmark, for its published error (`ERRORS`). DataError names the file, the array
    and what is wrong with it.
    """
    found = _arrays(path)
    lacking = [key for key in _NEEDED if key not in found]
    if lacking:
        raise DataError(f"{path}: lacks {', '.join(lacking)}; it must hold {', '.join(_NEEDED)}.")
    a, b = (
        _numbers(path, found, "discrimination", (2,)),
        _numbers(path, found, "difficulty", (1, 2)),
    )
    anchors, weights = (_numbers(path, found, key, (1,)) for key in ("anchors", "weights"))
    mixing = float(_numbers(path, found, "lambda", (0,)))
    balance = _numbers(path, found, "balance", (1,)) if "balance" in found else np.ones(len(a))
    if b.ndim == 2:
        if b.shape[1] != a.shape[1]:
            raise DataError(
                f"{path}: difficulty is {b.shape[1]} wide and discrimination {a.shape[1]}; make "
                "them alike, or give one difficulty for each item, the sum."
            )
        b = b.sum(axis=1)
    for key, array, of, size in (
        ("difficulty", b, "discrimination", len(a)),
        ("balance", balance, "discrimination", len(a)),
        ("weights", weights, "anchors", len(anchors)),
    ):
        if len(array) != size:
            raise DataError(
                f"{path}: {key} has {len(array)} rows and {of} {size}; both must have one for each "
                f"{'anchor' if of == 'anchors' else 'item'}."
            )
    places = anchors.astype(np.int64)
    whole = (places == anchors) & (places >= 0) & (places < len(a))
    if not len(places) or not whole.all() or len(set(places.tolist())) < len(places):
        raise DataError(
            f"{path}: anchors must be different whole numbers from 0 to {len(a) - 1}, positions of "
            "the items that were asked, and at least one."
        )
    if not (weights > 0).all():
        raise DataError(f"{path}: weights must be above 0; give those published with the anchors.")
    if not 0 <= mixing <= 1:
        raise DataError(f"{path}: lambda is {mixing:g}; it must lie between 0 and 1.")
    return Items(places, weights, mixing, a, b, balance, name)


_NEEDED = ("anchors", "weights", "lambda", "discrimination", "difficulty")


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of a file by name, not yet looked at."""
    try:
        if path.suffix == ".npz":
            archive = np.load(path, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it holds one array without a name")
            with archive:
                return {key: archive[key] for key in archive.files}
        if path.suffix == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
            raise ValueError("it holds no object")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        pickled = "pickle" in str(error)
        why = "it holds pickled objects, which may run code" if pickled else str(error)
        raise DataError(
            f"{path} cannot be read ({why}); write plain arrays with numpy.savez, or JSON."
        ) from error
    raise DataError(f"{path}: item parameters are read from .npz and .json files only.")


def _numbers(path: Path, found: Mapping[str, Any], key: str, shapes: tuple[int, ...]) -> Floats:
    """One array of a file as finite float64 of one of some numbers of dimensions."""
    try:
        array = np.asarray(found[key])
        numbers: Floats = array.astype(np.float64)
        plain = array.dtype.kind in "iuf" and bool(np.isfinite(numbers).all())
    except (TypeError, ValueError):
        plain = False
    if not plain or numbers.ndim not in shapes:
        wanted = " or ".join(_SHAPES[size] for size in shapes)
        raise DataError(f"{path}: {key} must be {wanted}, and every number finite.")
    return numbers


_SHAPES = {0: "one number", 1: "a list of numbers", 2: "a table [items, dimensions]"}
