"""How often the intervals of rank correlations cover the truth.

`python benchmarks/association.py [--studies N]`

Simulated studies, 300 for each line (150 for means over bases), 95%. Predictor and outcome are
normal: the sum of an effect of the tuning, of the seed, of the evaluation language and of the cell,
with the same correlation in each, so Spearman's rho of the super-population is known. The shipped
interval stands beside the plain percentile bootstrap over tunings and languages and beside Bonett
and Wright's, which takes cells for independent. Of means over bases: effects of tunings and
languages are each base's own, or in common. Prints the tables of docs/association.md and writes
docs/figures/association.json.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from polydrift.seeds import named_seed
from polydrift.stats.association import Points, associations, correlate, spearman
from polydrift.stats.effects import draw_counts

OUT = Path(__file__).parent.parent / "docs" / "figures" / "association.json"
DEVICE = "one core of an AMD EPYC"
LEVEL, DRAWS, SEED, BOUND = 0.95, 300, 11, 0.3
RHOS = (0.0, 0.3, 0.7)
LANGUAGES = ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl")

Floats = NDArray[np.float64]
Rng = np.random.Generator
Row = dict[str, Any]


class Design(NamedTuple):
    """How many of each, and what share of the variance each effect has."""

    tunings: int
    seeds: int
    languages: int
    shares: tuple[float, float, float, float]  # tuning, seed, language, cell


DESIGNS = {
    "9 tunings, 9 languages": Design(9, 1, 9, (0.33, 0, 0.33, 0.34)),
    "the same, languages weigh most": Design(9, 1, 9, (0.1, 0, 0.6, 0.3)),
    "9 tunings of 3 seeds, 9 languages": Design(9, 3, 9, (0.3, 0.1, 0.3, 0.3)),
    "3 tunings, 9 languages": Design(3, 1, 9, (0.33, 0, 0.33, 0.34)),
    "the same, tunings weigh most": Design(3, 1, 9, (0.8, 0, 0.1, 0.1)),
    "27 tunings, 9 languages": Design(27, 1, 9, (0.33, 0, 0.33, 0.34)),
    "27 tunings, languages weigh most": Design(27, 1, 9, (0.1, 0, 0.6, 0.3)),
    "9 tunings, a task without a language": Design(9, 1, 1, (0, 0, 0, 1)),
    "5 tunings, a task without a language": Design(5, 1, 1, (0, 0, 0, 1)),
}
COMMON = (0.0, 0.5, 1.0)  # of tunings' and languages' effects, by six bases
OF_A_BASE = DESIGNS["9 tunings, 9 languages"]


class Tally:
    """Of each estimator: how often it held the truth, how wide it was, how often within bounds."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[bool, float, bool]]] = {}

    def add(self, name: str, low: float, high: float, truth: float, unrelated: bool) -> None:
        row = (low <= truth <= high, high - low, unrelated)
        self.found.setdefault(name, []).append(row)

    def rows(self, **setting: Any) -> Iterator[Row]:
        for name, found in self.found.items():
            coverage, width, unrelated = np.mean(found, axis=0)
            yield {
                **setting,
                "estimator": name,
                "coverage": round(float(coverage), 4),
                "width": round(float(width), 3),
                "unrelated": round(float(unrelated), 4),
            }


def correlated(shape: tuple[int, ...], share: float, r: float, rng: Rng) -> Floats:
    """[2, *shape] an effect on predictor and outcome."""
    first, second = rng.standard_normal((2, *shape))
    return math.sqrt(share) * np.stack([first, r * first + math.sqrt(1 - r * r) * second])


def points(design: Design, r: float, rng: Rng, common: Floats | float = 0.0) -> Points:
    """A base's cells; common: [2, tunings, seeds, languages], added to its own effects."""
    full = (design.tunings, design.seeds, design.languages)
    shapes = ((full[0], 1, 1), (*full[:2], 1), (1, 1, full[2]), full)
    made = np.zeros((2, *full)) + common
    for shape, share in zip(shapes, design.shares, strict=True):
        made = made + correlated(shape, share, r, rng)
    tunings, languages = zip(*((f"{t:02}", f"{e}") for t, _, e in np.ndindex(full)), strict=True)
    return Points(made[0].ravel(), made[1].ravel(), tunings, languages)


def normal(rho: float) -> float:
    """The correlation of normal variables whose Spearman's rho it is."""
    return 2 * math.sin(math.pi * rho / 6)


def drawn(one: Points, rng: Rng) -> Floats:
    """[draws] the rho of pigeonhole draws."""
    weights = np.ones((len(one.x), DRAWS))
    for labels in (one.tunings, one.languages):
        names, member = np.unique(labels, return_inverse=True)
        weights *= draw_counts(len(names), DRAWS, rng).T[member]
    return spearman(one.x, one.y, weights)


def percentiles(rhos: Floats) -> tuple[float, float]:
    low, high = np.nanquantile(rhos, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def shipped(tally: Tally, name: str, bases: list[Points], truth: float, study: int) -> None:
    found = correlate(bases, level=LEVEL, draws=DRAWS, seed=study, bound=BOUND)
    tally.add(name, found.low, found.high, truth, found.p_equivalent < 1 - LEVEL)


def of_one_base(design: Design, rho: float, studies: int, rng: Rng) -> Tally:
    """Intervals of the rho of one base."""
    tally = Tally()
    for study in range(studies):
        one = points(design, normal(rho), rng)
        shipped(tally, "shipped", [one], rho, study)
        tally.add("percentile", *percentiles(drawn(one, rng)), rho, False)
        whole = spearman(one.x, one.y, np.ones((len(one.x), 1)))[0]
        z = math.atanh(np.clip(whole, -0.9999, 0.9999))
        half = 1.96 * math.sqrt((1 + whole**2 / 2) / (len(one.x) - 3))
        tally.add("cells independent", math.tanh(z - half), math.tanh(z + half), rho, False)
    return tally


def of_epochs(rho: float, studies: int, rng: Rng) -> Tally:
    """Nine tuning languages at two numbers of epochs, four fifths of the tuning's effect shared."""
    tally, r = Tally(), normal(rho)
    design = Design(18, 1, 9, (0.2 * 0.33, 0, 0.33, 0.34))
    for study in range(studies):
        common = np.tile(correlated((9, 1, 1), 0.8 * 0.33, r, rng), (1, 2, 1, 1))
        one = points(design, r, rng, common)
        shipped(tally, "shipped", [one], rho, study)
        joined = [f"{int(tuning) % 9}" for tuning in one.tunings]
        shipped(tally, "both epochs as one", [one._replace(tunings=joined)], rho, study)
    return tally


def of_means(share: float, rho: float, studies: int, rng: Rng) -> Tally:
    """Six bases; share: of the tunings' and languages' effects that they have in common."""
    tally, r = Tally(), normal(rho)
    tuning, seed, language, cell = OF_A_BASE.shares
    own = OF_A_BASE._replace(
        shares=((1 - share) * tuning, seed, (1 - share) * language, cell),
    )
    for study in range(studies):
        common = correlated((own.tunings, 1, 1), share * tuning, r, rng)
        common = common + correlated((1, 1, own.languages), share * language, r, rng)
        bases = [points(own, r, rng, common) for _ in range(6)]
        shipped(tally, "shipped", bases, rho, study)
        alone = np.mean([drawn(one, rng) for one in bases], axis=0)
        tally.add("each base drawn on its own", *percentiles(alone), rho, False)
    return tally


def paper() -> Row:
    """Time and memory of the paper's grid, 6 bases, 57 variants, 9 languages, of random values."""
    rng = np.random.default_rng(SEED)
    effects, measures, scores = [], [], []
    for base in "abcdef":
        tuned = [
            {"variant": f"{base}+{e}-{code}-{s}", "arm": "x", "tuning_language": code, "epochs": e}
            for code in LANGUAGES
            for e in (1, 3)
            for s in (1, 2, 3)
        ]
        given = [{"variant": f"{base}+{i}", "arm": f"{i}"} for i in range(3)]
        for one in [{"variant": base, "arm": None}, *tuned, *given]:
            one = {"tuning_language": None, "epochs": None} | one | {"base": base}
            for code in LANGUAGES:
                cell = one | {"evaluation_language": code}
                for name in ("refusal_mass", "refusal_margin", "refusal_shift_clearest"):
                    measures.append(cell | {"measure": name, "layer": None})
                for name in ("next_token_js", "accuracy", "bits_per_byte"):
                    measures.append(cell | {"measure": name, "layer": None})
                for name in ("drift_cosine", "drift_l2"):
                    measures += [cell | {"measure": name, "layer": i} for i in range(17)]
                if one["variant"] != base:
                    effects.append(cell)
                    scores.append(cell | {"benchmark": "sib200", "task": f"sib200_{code}"})
            if one["variant"] != base:
                whole = one | {"evaluation_language": None}
                scores += [whole | {"benchmark": t, "task": t} for t in ("tinyMMLU", "wikitext")]
    for row in effects:
        row |= {"suite": "s", "kind": "unsafe", "judge": "j", "outcome": "compliance"}
        row["difference"] = int(rng.integers(-20, 60)) / 110
    for row in measures:
        row["value"] = rng.normal()
    for row in scores:
        row["difference"] = rng.normal()
    tables = [pa.Table.from_pylist(rows) for rows in (effects, measures, scores)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    made = associations(*tables, level=LEVEL, draws=2000, seed=SEED)
    return {
        "cells": len(effects),
        "rows": made.num_rows,
        "draws": 2000,
        "seconds": round(time.perf_counter() - start, 1),
        "megabytes_more": round(
            (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        ),
    }


def simulate(studies: int) -> dict[str, list[Row]]:
    """Every setting of every table."""
    made: dict[str, list[Row]] = {"one base": [], "epochs": [], "mean of six bases": []}
    for rho in RHOS:
        for name, design in DESIGNS.items():
            rng = np.random.default_rng(named_seed("one base", SEED, name, str(rho)))
            tally = of_one_base(design, rho, studies, rng)
            made["one base"] += tally.rows(design=name, rho=rho)
        rng = np.random.default_rng(named_seed("epochs", SEED, str(rho)))
        made["epochs"] += of_epochs(rho, studies, rng).rows(design="9 languages, 2 epochs", rho=rho)
        for share in COMMON:
            rng = np.random.default_rng(named_seed("means", SEED, str(share), str(rho)))
            tally = of_means(share, rho, studies // 2, rng)
            made["mean of six bases"] += tally.rows(design=f"{share:.0%} in common", rho=rho)
    return made


def summary(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown: coverage (and width) of each design and estimator at each rho."""
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    yield f"| {' | '.join(['design', 'rho', *names, '“unrelated”'])} |"
    yield f"|{' --- |' * (len(names) + 3)}"
    for design in dict.fromkeys(row["design"] for row in rows):
        for rho in RHOS:
            here = [row for row in rows if (row["design"], row["rho"]) == (design, rho)]
            cells = " | ".join(f"{row['coverage']:.1%} ({row['width']:.2f})" for row in here)
            yield f"| {design} | {rho:g} | {cells} | {here[0]['unrelated']:.1%} |"


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=300)
    studies = parser.parse_args().studies
    grid = paper()
    print(f"the paper's grid: {grid}", flush=True)
    start = time.perf_counter()
    tables = simulate(studies)
    print(f"simulated in {time.perf_counter() - start:.0f} s")
    for name, rows in tables.items():
        print(f"\n### {name}\n", *summary(rows), sep="\n")
    content = {
        "command": "python benchmarks/association.py",
        "date": datetime.now(UTC).date().isoformat(),
        "device": DEVICE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "studies": studies,
        "studies of means": studies // 2,
        "draws": DRAWS,
        "level": LEVEL,
        "bound": BOUND,
        "seed": SEED,
        "grid of the paper": grid,
    }
    text = json.dumps(content, indent=1).removesuffix("\n}")
    parts = [
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]"
        for name, rows in tables.items()
    ]
    OUT.write_text(text + ",\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
