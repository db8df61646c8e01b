"""How often the intervals of judge error and agreement hold the truth.

`python benchmarks/judge_error.py [--studies N]`

Simulated studies, 4,000 for each line (of agreement 2,000), 95%. The truth is known: answers are
positive at a rate, a judge sees them with a sensitivity and clears the others with a specificity,
people label some. The shipped estimators stand beside the naive ones and the plain forms of the
literature. Prints the tables of docs/judge_error.md and writes every setting to
docs/figures/judge_error.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polydrift.seeds import named_seed
from polydrift.stats.agreement import agreement, alpha, kappa
from polydrift.stats.intervals import wilson
from polydrift.stats.judge_error import corrected_change, paired_change, rogan_gladen
from polydrift.stats.ppi import Sample, ppi_change, ppi_rate

OUT = Path(__file__).parent.parent / "docs" / "figures" / "judge_error.json"
DATE, DEVICE = "2026-11-24", "one core of an AMD EPYC"
LEVEL, DRAWS, SEED, AT_ONCE = 0.95, 1000, 24, 250
RATES = (0.02, 0.05, 0.2, 0.5, 0.9)
JUDGES = ((0.95, 0.95), (0.8, 0.9), (0.6, 0.95))
LABELS = (50, 200, 1000)
UNLABELLED = (440, 2000)
AFTER = {0.02: 0.05, 0.05: 0.2, 0.2: 0.5, 0.5: 0.5, 0.9: 0.5}  # a variant's rate by its base's
KEPT = 0.5  # how often a variant's answer to a prompt, or a second answer to it, goes the same way

Floats = NDArray[np.float64]
Rng = np.random.Generator
Row = dict[str, Any]


class Tally:
    """Coverage and width of each estimator, over studies that come in batches."""

    def __init__(self) -> None:
        self.held: dict[str, list[Floats]] = {}
        self.widths: dict[str, list[Floats]] = {}

    def add(self, name: str, low: Any, high: Any, truth: float) -> None:
        low, high = np.atleast_1d(low), np.atleast_1d(high)
        known = ~np.isnan(low)
        inside = (low <= truth + 1e-9) & (truth - 1e-9 <= high)
        self.held.setdefault(name, []).append(np.where(known, inside, np.nan))
        self.widths.setdefault(name, []).append(np.where(known, high - low, np.nan))

    def rows(self, **setting: Any) -> Iterator[Row]:
        for name, parts in self.held.items():
            held = np.concatenate(parts)
            known = ~np.isnan(held)
            yield {
                **setting,
                "estimator": name,
                "coverage": round(float(held[known].mean()), 4),
                "width": round(float(np.nanmean(np.concatenate(self.widths[name]))), 4),
                "nan": round(float(1 - known.mean()), 4),
            }


def judged(labels: Floats, se: float, sp: float, rng: Rng) -> Floats:
    """A judge's verdicts of labelled answers."""
    heard = rng.random(labels.shape) < np.where(labels == 1, se, 1 - sp)
    return heard.astype(float)


def batches(studies: int) -> Iterable[int]:
    return [min(AT_ONCE, studies - start) for start in range(0, studies, AT_ONCE)]


def of_rates(rate: float, se: float, sp: float, n: int, size: int, studies: int) -> Tally:
    """Intervals of one rate: `n` labelled answers, `size` unlabelled ones."""
    rng = np.random.default_rng(named_seed("rates", SEED, str(rate), str((se, sp)), n, size))
    tally = Tally()
    for count in batches(studies):
        labels, others = ((rng.random((count, m)) < rate).astype(float) for m in (n, size))
        heard, heard_others = (judged(part, se, sp, rng) for part in (labels, others))
        positive = heard_others.sum(axis=1)
        tally.add("naive", *wilson(positive, size, LEVEL), rate)
        tally.add("labels alone (Wilson)", *wilson(labels.sum(axis=1), n, LEVEL), rate)
        half = n // 2
        even = {
            "sensitivity": (rng.binomial(half, se, count), half),
            "specificity": (rng.binomial(half, sp, count), half),
        }
        found = rogan_gladen(positive, size, **even, level=LEVEL)
        tally.add("rogan_gladen, half positive", *found[1:], rate)
        drawn = {
            "sensitivity": ((labels * heard).sum(axis=1), labels.sum(axis=1)),
            "specificity": (((1 - labels) * (1 - heard)).sum(axis=1), (1 - labels).sum(axis=1)),
        }
        found = rogan_gladen(positive, size, **drawn, level=LEVEL)
        tally.add("rogan_gladen, drawn alike", *found[1:], rate)
        parts = (labels, heard, heard_others, LEVEL)
        plain, tuned = (ppi_rate(*parts, power=power, imagined=False) for power in (1.0, None))
        tally.add("PPI, plain", plain.low, plain.high, rate)
        tally.add("PPI++, plain", tuned.low, tuned.high, rate)
        ours = ppi_rate(*parts)
        tally.add("ppi_rate", ours.low, ours.high, rate)
    return tally


def of_changes(rate: float, se: float, sp: float, n: int, size: int, studies: int) -> Tally:
    """Intervals of variant - base on the same prompts."""
    rng = np.random.default_rng(named_seed("changes", SEED, str(rate), str((se, sp)), n, size))
    tally, truth = Tally(), AFTER[rate] - rate
    ids = (np.arange(n), np.arange(n, n + size))
    half = n // 2
    for count in batches(studies):
        first = rng.random((count, n + size))
        kept = rng.random(first.shape) < KEPT
        second = np.where(kept, first, rng.random(first.shape))
        labels = [(first < rate).astype(float), (second < AFTER[rate]).astype(float)]
        heard = [judged(part, se, sp, rng) for part in labels]
        base, variant = (part[:, n:] for part in heard)
        gained, lost = ((variant > base).sum(axis=1), (variant < base).sum(axis=1))
        difference, error = paired_change(gained, lost, size)
        tally.add("naive", difference - 1.96 * error, difference + 1.96 * error, truth)
        found = corrected_change(
            difference,
            error,
            sensitivity=(rng.binomial(half, se, count), half),
            specificity=(rng.binomial(half, sp, count), half),
            level=LEVEL,
        )
        tally.add("corrected_change", *found[1:], truth)
        before, after = (
            Sample(one[:, :n], two[:, :n], two[:, n:], ids)
            for one, two in zip(labels, heard, strict=True)
        )
        ours = ppi_change(after, before, LEVEL)
        tally.add("ppi_change", ours.low, ours.high, truth)
    return tally


def in_clusters(rate: float, se: float, sp: float, n: int, size: int, studies: int) -> Tally:
    """Intervals of a rate where each prompt has two labelled and two unlabelled answers, alike."""
    rng = np.random.default_rng(named_seed("clusters", SEED, str(rate), str((se, sp)), n, size))
    tally = Tally()
    labelled, prompts = n // 2, size // 2
    ids = (np.repeat(np.arange(labelled), 2), np.repeat(np.arange(prompts), 2))
    for count in batches(studies):
        own = rng.random((count, max(prompts, labelled), 1))
        draws = np.where(
            rng.random((count, own.shape[1], 4)) < KEPT,
            own,
            rng.random((count, own.shape[1], 4)),
        )
        truth = (draws < rate).astype(float)
        heard = judged(truth, se, sp, rng)
        parts = (
            truth[:, :labelled, :2].reshape(count, -1),
            heard[:, :labelled, :2].reshape(count, -1),
            heard[:, :prompts, 2:].reshape(count, -1),
            LEVEL,
        )
        alone, together = ppi_rate(*parts), ppi_rate(*parts, clusters=ids)
        tally.add("ppi_rate without clusters", alone.low, alone.high, rate)
        tally.add("ppi_rate with clusters", together.low, together.high, rate)
    return tally


def of_agreement(rate: float, se: float, sp: float, n: int, together: int, studies: int) -> Tally:
    """Accuracy, kappa and alpha of `n` labels, `together` answers to a prompt."""
    rng = np.random.default_rng(named_seed("agreement", SEED, str(rate), str((se, sp)), n))
    shares = np.array([[(1 - rate) * sp, (1 - rate) * (1 - sp)], [rate * (1 - se), rate * se]])
    truths = {
        "accuracy": float(np.trace(shares)),
        "kappa": float(kappa(shares)),
        "alpha": float(alpha(1e9 * (shares + shares.T))),
    }
    tally, edges = Tally(), shares.ravel().cumsum()[:-1]
    clusters = [number // together for number in range(n)]
    for study in range(studies):
        draws = rng.random(n)
        if together > 1:
            draws = np.where(
                rng.random(n) < KEPT, draws[np.arange(n) // together * together], draws
            )
        cells = np.searchsorted(edges, draws)
        ours, theirs = (cells % 2).tolist(), (cells // 2).tolist()
        found = agreement(
            ours, theirs, labels=(0, 1), clusters=clusters, draws=DRAWS, seed=study, level=LEVEL
        )
        for name, truth in truths.items():
            one = getattr(found, name)
            tally.add(name, one.low, one.high, truth)
    return tally


def simulate(studies: int) -> dict[str, list[Row]]:
    """Every setting of every table."""
    made: dict[str, list[Row]] = {}
    tables = {
        "rates": (of_rates, "unlabelled", UNLABELLED),
        "changes": (of_changes, "unlabelled", UNLABELLED),
        "clusters": (in_clusters, "unlabelled", UNLABELLED),
        "agreement": (of_agreement, "answers_per_prompt", (1, 2)),
    }
    for table, (tally, name, sizes) in tables.items():
        start = time.perf_counter()
        for n, size, (se, sp), rate in product(LABELS, sizes, JUDGES, RATES):
            setting = {"rate": rate, "sensitivity": se, "specificity": sp, "labels": n, name: size}
            found = tally(rate, se, sp, n, size, studies // 2 if table == "agreement" else studies)
            made.setdefault(table, []).extend(found.rows(**setting))
        print(f"<!-- {table}: {time.perf_counter() - start:.0f} s -->", flush=True)
    return made


def summary(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown: coverage over all settings, by estimator and number of labels."""
    yield "| estimator | labels | lowest | at rate, se/sp | median | mean width | NaN |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, n in product(dict.fromkeys(row["estimator"] for row in rows), LABELS):
        here = [row for row in rows if (row["estimator"], row["labels"]) == (name, n)]
        worst = min(here, key=lambda row: row["coverage"])
        middle, width, unknown = (
            function([row[column] for row in here])
            for function, column in ((np.median, "coverage"), (np.mean, "width"), (np.mean, "nan"))
        )
        yield (
            f"| {name} | {n} | {worst['coverage']:.1%} | {worst['rate']:g}, "
            f"{worst['sensitivity']:g}/{worst['specificity']:g} | {middle:.1%} | {width:.3f} | "
            f"{unknown:.1%} |"
        )


def detail(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown: coverage and width at one judge and 440 unlabelled answers."""
    here = [row for row in rows if row["unlabelled"] == 440 and row["sensitivity"] == 0.8]
    names = list(dict.fromkeys(row["estimator"] for row in here))
    yield f"| rate | labels | {' | '.join(names)} |"
    yield f"| --- | --- |{' --- |' * len(names)}"
    for n, rate in product(LABELS, RATES):
        cells = [row for row in here if (row["labels"], row["rate"]) == (n, rate)]
        found = " | ".join(f"{row['coverage']:.1%} ({row['width']:.2f})" for row in cells)
        yield f"| {rate:g} | {n} | {found} |"


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=4000)
    studies = parser.parse_args().studies
    tables = simulate(studies)
    for name, rows in tables.items():
        print(f"\n### {name}\n", *summary(rows), sep="\n")
    print("\n### rates, se/sp 0.8/0.9, 440 unlabelled\n", *detail(tables["rates"]), sep="\n")
    content = {
        "command": "python benchmarks/judge_error.py",
        "date": DATE,
        "device": DEVICE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "studies": studies,
        "studies of agreement": studies // 2,
        "draws": DRAWS,
        "level": LEVEL,
        "seed": SEED,
    }
    text = json.dumps(content, indent=1).removesuffix("\n}")
    parts = [
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]"
        for name, rows in tables.items()
    ]
    OUT.write_text(text + ",\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
