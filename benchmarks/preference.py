"""Win rates recomputed beside those published, their intervals, and gp-IRT's arithmetic.

`python benchmarks/preference.py DATA_DIR [--studies N]`

DATA_DIR holds public data that are not part of this project: `alpaca_eval` (five models' answers to
AlpacaEval's 805 instructions, with the preferences of its judge) and `tinybenchmarks` (anchors,
weights and lambdas of the Open LLM Leaderboard's six benchmarks). Prints the tables of
docs/preference.md and writes them, with versions, device and date, to docs/figures/preference.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from polydrift.measures.irt import Items, fit_logistic, gp_irt, sigmoid
from polydrift.measures.preference import (
    PENALTY,
    instruction_difficulty,
    length_controlled,
    length_term,
    outcomes,
    win_rate,
)
from polydrift.seeds import named_seed

OUT = Path(__file__).parent.parent / "docs" / "figures" / "preference.json"
DATE, DEVICE = "2026-11-24", "one core of an AMD EPYC"
REFERENCE = "gpt4_1106_preview"
SEED, SIZES, MODELS, DIMENSIONS = 24, (100, 400), 50, 5

Floats = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """A line of AlpacaEval 2.0's leaderboard (judge weighted_alpaca_eval_gpt4_turbo), and the
    coefficients of its length-controlled regression (phi's sign turned: theirs takes the length of
    the reference's answer less that of the model's).
    """

    win_rate: float
    standard_error: float
    discrete: float
    controlled: float
    theta: float
    phi: float
    psi: float


# tatsu-lab/alpaca_eval: leaderboards/data_AlpacaEval_2 and metrics/weights, length_controlled_v1
PUBLISHED = {
    "claude-2": Published(17.188240, 1.174826, 16.335404, 28.155196, -1.181433, 1.873969, 0.996733),
    "vicuna-7b": Published(4.162611, 0.613511, 3.602484, 6.277218, -3.619425, 1.756300, 0.996188),
    "gemma-2b-it": Published(3.401971, 0.538998, 2.857143, 5.437454, -3.628114, 1.713376, 0.890761),
    "alpaca-7b": Published(2.591451, 0.487086, 2.298137, 5.875487, -3.690742, 2.206786, 0.985927),
    "phi-2": Published(2.350210, 0.449659, 2.054795, 4.398682, -3.286632, 1.506218, 0.460968),
}
# items of each benchmark of the leaderboard, in its names
ITEMS = {
    **{"harness_truthfulqa_mc_0": 817, "gsm8k": 1319, "winogrande": 1267, "arc": 1172},
    **{"hellaswag": 10042, "mmlu": 14042},
}


def lines(path: Path) -> list[Row]:
    """The rows of a gzipped file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def alpaca(data: Path) -> tuple[dict[str, Floats], dict[str, Floats], Floats]:
    """y and lengths of each model, [instructions] with NaN and 0 where it has no answer, and the
    lengths of the reference.
    """
    folder = data / "alpaca_eval"
    references = lines(folder / "instructions_and_references.jsonl.gz")
    theirs = np.zeros(len(references))
    for row in references:
        theirs[row["idx"]] = len(row[REFERENCE])
    y = {model: np.full(len(theirs), np.nan) for model in PUBLISHED}
    ours = {model: np.zeros(len(theirs)) for model in PUBLISHED}
    for model in PUBLISHED:
        for row in lines(folder / f"ae2_{model}.jsonl.gz"):
            y[model][row["idx"]] = outcomes(row["preference"])
            ours[model][row["idx"]] = len(row["output"])
    return y, ours, theirs


def raw(y: dict[str, Floats]) -> list[Row]:
    """Win rates as they are, beside the leaderboard's."""
    rows = []
    for model, known in PUBLISHED.items():
        found = win_rate(y[model], seed=SEED)
        rows.append(
            {
                "model": model,
                "n": found.n,
                "win rate": round(found.win_rate, 4),
                "published": round(known.win_rate, 4),
                "difference": f"{abs(found.win_rate - known.win_rate):.0e}",
                "standard error": round(found.standard_error, 4),
                "published error": round(known.standard_error, 4),
                "discrete": round(found.discrete, 4),
                "published discrete": round(known.discrete, 4),
                "95%": f"{found.low:.1f} to {found.high:.1f}",
            }
        )
    return rows


def controlled(y: dict[str, Floats], ours: dict[str, Floats], theirs: Floats) -> list[Row]:
    """Length-controlled win rates, without gamma and with gamma fitted to the five models."""
    terms = np.zeros((len(y), len(theirs)))
    for term, model in zip(terms, PUBLISHED, strict=True):
        known = ~np.isnan(y[model])
        term[known] = length_term(ours[model][known], theirs[known])
    gamma = instruction_difficulty(np.stack([y[model] for model in PUBLISHED]), terms)
    spread = normal_gamma()
    rows = []
    for model, known in PUBLISHED.items():
        cases = y[model], ours[model], theirs
        without, with_ = (length_controlled(*cases, difficulty=d, seed=SEED) for d in (None, gamma))
        rows.append(
            {
                "model": model,
                "win rate": round(known.win_rate, 2),
                "published, controlled": round(known.controlled, 2),
                "ours, no gamma": round(without.win_rate, 2),
                "ours, gamma of five": round(with_.win_rate, 2),
                "95%": f"{with_.low:.1f} to {with_.high:.1f}",
                "gamma of five, their phi": round(with_their_phi(*cases, gamma, known.phi), 2),
                "equation 2, their coefficients": round(equation_2(known, *spread), 2),
            }
        )
    return rows


def with_their_phi(y: Floats, ours: Floats, theirs: Floats, gamma: Floats, phi: float) -> float:
    """The length-controlled win rate with theta and psi fitted and phi as published."""
    known = ~np.isnan(y)
    term = length_term(ours[known], theirs[known])
    design = np.stack([np.ones(len(term)), gamma[known]], axis=1)
    beta = fit_logistic(design, y[known], offset=phi * term, penalty=PENALTY)[0]
    return 100 * float(sigmoid(design @ beta).mean())


def equation_2(known: Published, mean: float, spread: float) -> float:
    """The length-controlled win rate of published coefficients, were gamma normal."""
    quantiles = np.array([NormalDist().inv_cdf((i + 0.5) / 2000) for i in range(2000)])
    return 100 * float(sigmoid(known.theta + known.psi * (mean + spread * quantiles)).mean())


def normal_gamma() -> tuple[float, float]:
    """The mean and spread of gamma that fit the five published rates best: two for five."""

    def misses(x: Floats) -> float:
        return sum((equation_2(known, *x) - known.controlled) ** 2 for known in PUBLISHED.values())

    found = minimize(misses, np.array([0.0, 1.0]), method="Nelder-Mead").x
    return float(found[0]), float(found[1])


def coverage(
    y: dict[str, Floats], ours: dict[str, Floats], theirs: Floats, studies: int
) -> list[Row]:
    """How often 95% intervals from some of the instructions hold what all of them give."""
    rows = []
    for size in SIZES:
        for model in PUBLISHED:
            rng = np.random.default_rng(named_seed("coverage", SEED, model, size))
            known = np.flatnonzero(~np.isnan(y[model]))
            everything = [x[known] for x in (y[model], ours[model], theirs)]
            truth = win_rate(everything[0], draws=1).win_rate
            fair = length_controlled(*everything, draws=1).win_rate
            held = np.zeros((studies, 3))
            width = 0.0
            for study in range(studies):
                drawn = rng.integers(0, len(known), size)
                part = [x[drawn] for x in everything]
                plain = win_rate(part[0], draws=500, seed=study)
                control = length_controlled(*part, draws=300, seed=study)
                held[study] = (
                    plain.low <= truth <= plain.high,
                    abs(plain.win_rate - truth) <= 1.96 * plain.standard_error,
                    control.low <= fair <= control.high,
                )
                width += (plain.high - plain.low) / studies
            shares = [round(float(x), 3) for x in held.mean(axis=0)]
            rows.append(
                {
                    "instructions": size,
                    "model": model,
                    "win rate": round(truth, 1),
                    "ours": shares[0],
                    "width": round(width, 1),
                    "1.96 standard errors": shares[1],
                    "length-controlled": round(fair, 1),
                    "ours, controlled": shares[2],
                }
            )
    return rows


def by_equations(y: Floats, items: Items) -> tuple[float, float, float]:
    """irt, p-IRT and gp-IRT by (4.1) to (4.3), theta by scipy's BFGS, written apart from ours."""
    a, b = items.discrimination[items.anchors], items.difficulty[items.anchors]

    def loss(theta: Floats) -> tuple[float, Floats]:
        z = a @ theta - b
        return float((np.logaddexp(0, z) - y * z).sum()), (1 / (1 + np.exp(-z)) - y) @ a

    start = np.zeros(a.shape[1])
    theta = minimize(loss, start, method="BFGS", jac=True, options={"gtol": 1e-9}).x
    p = 1 / (1 + np.exp(items.difficulty - items.discrimination @ theta))
    total, asked = len(p), len(items.anchors)
    unseen = np.setdiff1d(np.arange(total), items.anchors)
    irt = float((items.weights * y).sum())
    observed = float((items.balance[items.anchors] * y).mean())
    predicted = float((items.balance * p)[unseen].mean())
    p_irt = asked / total * observed + (1 - asked / total) * predicted
    return irt, p_irt, items.mixing * irt + (1 - items.mixing) * p_irt


def arithmetic(data: Path) -> list[Row]:
    """gp-IRT with the published anchors, weights and lambdas, on simulated items and models."""
    folder = data / "tinybenchmarks" / "anchors_weights_lambdas.json"
    known = json.loads(folder.read_text(encoding="utf-8"))
    rows = []
    for name, size in ITEMS.items():
        rng = np.random.default_rng(named_seed("irt", SEED, name))
        items = Items(
            anchors=np.array(known["anchor_points"][name]),
            weights=np.array(known["anchor_weights"][name]),
            mixing=known["lambds"][name],
            discrimination=rng.normal(0.5, 0.6, (size, DIMENSIONS)),
            difficulty=rng.normal(0.2, 1.0, size),
            balance=np.ones(size),
        )
        apart, errors, seconds = 0.0, np.zeros((MODELS, 4)), 0.0
        for model in range(MODELS):
            theta = rng.normal(0.0, 0.7, DIMENSIONS)
            p = sigmoid(items.discrimination @ theta - items.difficulty)
            whole = (rng.random(size) < p).astype(float)
            y = whole[items.anchors]
            start = time.perf_counter()
            found = gp_irt(y, items)
            seconds += time.perf_counter() - start
            ours = np.array([found.irt, found.p_irt, found.gp_irt])
            apart = max(apart, np.abs(ours - by_equations(y, items)).max())
            errors[model] = np.abs(np.array([*ours, found.plain]) - whole.mean())
        irt, p_irt, gp, plain = (round(float(x), 4) for x in errors.mean(axis=0))
        rows.append(
            {
                "benchmark": name.removeprefix("harness_").removesuffix("_mc_0"),
                "items": size,
                "lambda": round(items.mixing, 3),
                "furthest from the equations": f"{apart:.0e}",
                "error, gp-IRT": gp,
                "p-IRT": p_irt,
                "irt": irt,
                "plain": plain,
                "ms": round(1000 * seconds / MODELS, 1),
            }
        )
    return rows


def speed(y: dict[str, Floats], ours: dict[str, Floats], theirs: Floats) -> list[Row]:
    """Seconds of each call on 805 instructions, the quickest of five."""
    case = y["claude-2"], ours["claude-2"], theirs
    gamma = np.zeros(len(theirs))
    calls: dict[str, Callable[[], object]] = {
        "win_rate, 2,000 draws": lambda: win_rate(case[0]),
        "length_controlled, 1,000 draws": lambda: length_controlled(*case),
        "the same with gamma": lambda: length_controlled(*case, difficulty=gamma),
    }
    rows = []
    for name, call in calls.items():
        took = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            took.append(time.perf_counter() - start)
        rows.append({"call": name, "seconds": round(min(took), 3)})
    return rows


def markdown(title: str, table: list[Row]) -> str:
    """A table for the docs."""
    head = list(table[0])
    made = [f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    made += [f"| {' | '.join(str(row[column]) for column in head)} |" for row in table]
    return "\n".join(made) + "\n"


def main() -> None:
    """Print the tables and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of public data")
    parser.add_argument("--studies", type=int, default=500)
    asked = parser.parse_args()
    y, ours, theirs = alpaca(asked.data)
    tables = {
        "Win rates": raw(y),
        "Length-controlled win rates": controlled(y, ours, theirs),
        "How often the intervals hold the truth": coverage(y, ours, theirs, asked.studies),
        "gp-IRT": arithmetic(asked.data),
        "Speed": speed(y, ours, theirs),
    }
    for title, table in tables.items():
        print(markdown(title, table))
    mean, spread = normal_gamma()
    record = {
        "command": "python benchmarks/preference.py DATA_DIR",
        "date": DATE,
        "device": DEVICE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "studies": asked.studies,
        "seed": SEED,
        "gamma, fitted to the published rates": {"mean": round(mean, 3), "sd": round(spread, 3)},
        "tables": tables,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
