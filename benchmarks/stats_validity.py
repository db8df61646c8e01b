"""Whether the intervals cover and the tests err as often as they say.

`python benchmarks/stats_validity.py [PART ...]`: rates, changes, seeds, tests, grids, regions,
power; all of them without a name. A minute or two each.

Simulated studies. A prompt has a place of its own on the logit scale, which its answers of base and
variant share in part; a seed of tuning moves all its answers, and each prompt a little on its own.
So the true rates are integrals that quadrature knows. What the tables hold is computed by the
functions that make the tables. Prints the tables of docs/statistics.md and writes
docs/figures/stats_validity.json; parts that were not run are left there as they were.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polydrift.seeds import named_seed
from polydrift.stats.effects import bootstrap_interval, draw_counts
from polydrift.stats.multiplicity import holm
from polydrift.stats.paired import Pairs, exact_p
from polydrift.stats.pooled import Group, figures_of, gathered, p_of, parts_of
from polydrift.stats.rates import macro_rate, micro_interval
from polydrift.stats.tipping import UNCHANGED, region

OUT = Path(__file__).parent.parent / "docs" / "figures" / "stats_validity.json"
DEVICE = "one core of an AMD EPYC"
LEVEL, DRAWS, SEED = 0.95, 1000, 5
STUDIES = 2000
AT_ONCE = 20  # grids
WITHIN, SHARED, OWN = 1.5, 0.7, 0.7  # logits: between prompts, of it shared, of prompt and seed
CHANGES = (
    (0.02, 0.02),
    (0.02, 0.05),
    (0.02, 0.98),
    (0.2, 0.2),
    (0.2, 0.5),
    (0.5, 0.5),
    (0.9, 0.95),
)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rng = np.random.Generator
Row = dict[str, Any]


class Design(NamedTuple):
    """A study: true rates of base and variant; wobble: logits that seeds differ by."""

    prompts: int
    before: float
    after: float
    seeds: int = 1
    samples: int = 1
    wobble: float = 0.0


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def centre(rate: float, spread: float) -> float:
    """The logit m with E sigmoid(m + spread Z) = rate."""
    low, high = -40.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        below = float(WEIGHTS @ sigmoid(middle + spread * NODES)) < rate
        low, high = (middle, high) if below else (low, middle)
    return middle


def of_variant(design: Design) -> tuple[float, float]:
    """(centre, spread by prompt and seed) of the variant's logits; the latter of several seeds."""
    own = OWN if design.seeds > 1 or design.wobble else 0.0
    return centre(design.after, math.hypot(WITHIN, own, design.wobble)), own


def points_between_seeds(design: Design) -> float:
    """The standard deviation of seeds' true rates, in points."""
    middle, own = of_variant(design)
    rates = np.array(
        [
            WEIGHTS @ sigmoid(middle + design.wobble * seed + math.hypot(WITHIN, own) * NODES)
            for seed in NODES
        ]
    )
    mean = WEIGHTS @ rates
    return 100 * math.sqrt(max(WEIGHTS @ rates**2 - mean**2, 0))


def draw_study(design: Design, studies: int, rng: Rng) -> tuple[Bools, Bools]:
    """Answers that comply, of base [studies, 1, prompts, samples] and variant [., seeds, ., .]."""
    places = rng.standard_normal((2, studies, 1, design.prompts, 1))
    base, other = places[0], SHARED * places[0] + math.sqrt(1 - SHARED**2) * places[1]
    middle, own = of_variant(design)
    logits = middle + WITHIN * other
    logits = logits + design.wobble * rng.standard_normal((studies, design.seeds, 1, 1))
    logits = logits + own * rng.standard_normal((studies, design.seeds, design.prompts, 1))
    shape = (studies, design.seeds, design.prompts, design.samples)
    after = rng.random(shape) < sigmoid(logits)
    chances = sigmoid(centre(design.before, WITHIN) + WITHIN * base)
    return rng.random((studies, 1, *shape[2:])) < chances, after


def pairs_of(before: Bools, after: Bools, cells: int = 1) -> tuple[Pairs, list[Group]]:
    """As `stats.effects.pairs_of`, a column per study and seed.

    cells: so many groups are of one base, tunings after evaluation languages; else each of its own.
    """
    studies, seeds, prompts, samples = after.shape
    base = np.broadcast_to(before, after.shape)
    flat = [one.sum(axis=3).reshape(-1, prompts) for one in (after, base)]
    both = (after & base).sum(axis=(2, 3)).ravel()
    pairs = Pairs(flat[0], flat[1], both, np.full_like(flat[0], samples))
    names = [(i // cells, "", 0, i % 9 if cells > 1 else 0, "") for i in range(studies)]
    return pairs, [
        Group(name, np.arange(i * seeds, (i + 1) * seeds)) for i, name in enumerate(names)
    ]


def covered(low: Floats, high: Floats, truth: float) -> float:
    return float(np.mean((low <= truth + 1e-12) & (truth - 1e-12 <= high)))


def rates() -> Iterator[Row]:
    """Coverage of the intervals of micro and macro rates."""
    layouts = {
        "4 categories of 5": [5] * 4,
        "44 of 10": [10] * 44,
        "20 of 1": [1] * 20,
        "2, 4, 8, ... 128": [2**k for k in range(1, 8)],
    }
    for name, sizes in layouts.items():
        categories = np.repeat(np.arange(len(sizes)), sizes)
        for rate in (0.02, 0.2, 0.5, 0.98):
            for samples, between in ((1, 0.0), (1, 1.5), (3, 1.5)):
                rng = np.random.default_rng(
                    named_seed("rates", SEED, name, str((rate, samples, between)))
                )
                place = centre(rate, 1e-9) + between * np.linspace(-1, 1, len(sizes))
                truths = np.array([WEIGHTS @ sigmoid(one + NODES) for one in place])
                prompts = place[categories] + rng.standard_normal((STUDIES, len(categories)))
                hits = rng.binomial(samples, sigmoid(prompts))
                full = np.full_like(hits, samples)
                low, high = micro_interval(hits, full, LEVEL)
                _, macro_low, macro_high = macro_rate(hits, full, categories, LEVEL)
                drawn = stratified(hits[:500], samples, categories, rng)
                yield {
                    "layout": name,
                    "prompts": len(categories),
                    "rate": round(float(truths.mean()), 4),
                    "samples": samples,
                    "categories": "differ" if between else "alike",
                    "micro": covered(low, high, float(truths[categories].mean())),
                    "macro": covered(macro_low, macro_high, float(truths.mean())),
                    "macro, bootstrap": covered(*drawn, float(truths.mean())),
                }


def stratified(
    hits: NDArray[np.int64], samples: int, categories: NDArray[np.int64], rng: Rng
) -> tuple[Floats, Floats]:
    """The percentile bootstrap of macro rates, prompts drawn within categories."""
    sizes = np.bincount(categories)
    counts = np.concatenate([draw_counts(size, DRAWS, rng) for size in sizes], axis=1)
    weights = 1 / (len(sizes) * sizes[categories] * samples)
    drawn = counts @ (hits * weights).T
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def changes() -> Iterator[Row]:
    """Coverage of the intervals of `effects`."""
    for prompts in (20, 110, 440):
        for before, after in CHANGES:
            for samples in (1, 3):
                design = Design(prompts, before, after, samples=samples)
                yield from coverage(design, "changes")


def seeds() -> Iterator[Row]:
    """Coverage of the intervals of `pooled`."""
    for count in (3, 5):
        for prompts in (20, 110, 440):
            for before, after in ((0.02, 0.05), (0.2, 0.2), (0.2, 0.5), (0.5, 0.5)):
                for wobble in (0.0, 0.15, 0.4, 0.8)[:: 1 if count == 3 else 2]:
                    design = Design(prompts, before, after, seeds=count, wobble=wobble)
                    yield from coverage(design, "seeds", studies=1000)


def coverage(design: Design, part: str, studies: int = STUDIES) -> Iterator[Row]:
    """One row: how often each interval holds the truth, and p is below 1 - level."""
    rng = np.random.default_rng(named_seed(part, SEED, str(design)))
    before, after = draw_study(design, studies, rng)
    pairs, groups = pairs_of(before, after)
    counts = draw_counts(design.prompts + 2, DRAWS, rng)
    found = figures_of(pairs, groups, counts, LEVEL)
    change, fold = design.after - design.before, design.after / design.before
    row = {
        **design._asdict(),
        "difference": covered(found["low"], found["high"], change),
        "width": round(float(np.mean(found["high"] - found["low"])), 4),
        "fold": covered(found["fold_low"], found["fold_high"], fold),
        "rejected": float(np.mean(found["p"] < 1 - LEVEL)),
    }
    if design.seeds > 1:
        row["points between seeds"] = round(points_between_seeds(design), 1)
        whole = gathered(pairs, groups)
        sides = whole.changes.T.astype(float), whole.sizes.T.astype(float)
        row["prompts alone"] = covered(
            *bootstrap_interval(*sides, counts[:, :-2], level=LEVEL, imagined=counts[:, -2:]),
            change,
        )
        row["both drawn"] = covered(*pigeonhole(pairs, design.seeds, rng), change)
    yield row


def pigeonhole(pairs: Pairs, seeds: int, rng: Rng) -> tuple[Floats, Floats]:
    """The percentile bootstrap that draws prompts and seeds."""
    columns, prompts = pairs.after.shape
    chosen = draw_counts(prompts, DRAWS, rng)
    sums = (chosen @ pairs.changes.T).reshape(DRAWS, columns // seeds, seeds)
    sizes = (chosen @ pairs.sizes.T).reshape(sums.shape)
    weights = draw_counts(seeds, DRAWS, rng)[:, None, :]
    drawn = (sums * weights).sum(axis=2) / (sizes * weights).sum(axis=2)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def tests() -> Iterator[Row]:
    """How often p is below 0.05 where nothing changed."""
    for prompts in (20, 110, 440):
        for rate in (0.02, 0.2, 0.5):
            for samples, count, wobbles in (
                (1, 1, (0.0,)),
                (3, 1, (0.0,)),
                (1, 3, (0.0, 0.15, 0.4, 0.8)),
            ):
                for wobble in wobbles:
                    design = Design(prompts, rate, rate, count, samples, wobble)
                    rng = np.random.default_rng(named_seed("tests", SEED, str(design)))
                    pairs, groups = pairs_of(*draw_study(design, 4 * STUDIES, rng))
                    p = p_of(gathered(pairs, groups), parts_of(pairs, groups))
                    row = {**design._asdict(), "rejected": float(np.mean(p < 0.05))}
                    if count > 1:
                        row["points between seeds"] = round(points_between_seeds(design), 1)
                        flips = exact_p(gathered(pairs, groups).changes)
                        row["prompts alone"] = float(np.mean(flips < 0.05))
                    yield row


def grids(studies: int = 600) -> Iterator[Row]:
    """How often any of 81 cells, 9 tuning by 9 evaluation languages, is called changed."""
    for prompts, rate, count, wobble, which, uneven in (
        (110, 0.2, 1, 0.0, 9, 0.0),
        (110, 0.02, 1, 0.0, 9, 0.0),
        (440, 0.2, 1, 0.0, 9, 0.0),
        (110, 0.2, 3, 0.0, 9, 0.0),
        (110, 0.2, 3, 0.4, 9, 0.0),
        (440, 0.2, 3, 0.15, 9, 0.0),
        (440, 0.2, 3, 0.4, 9, 0.0),
        (440, 0.2, 3, 0.3, 9, 0.5),
        (440, 0.5, 3, 0.8, 2, 0.0),
    ):
        design = Design(prompts, rate, rate, count, 1, wobble)
        rng = np.random.default_rng(named_seed("grids", SEED, str(design)))
        sways = np.where(np.arange(9) < which, wobble, 0.0) * np.exp(
            uneven * np.linspace(-1.5, 1.5, 9)
        )
        own = of_variant(design)[1]
        middle = np.array([centre(rate, math.hypot(WITHIN, own, sway)) for sway in sways])
        middle, sways = middle[:, None, None], sways[:, None, None]
        raw, adjusted = [], []
        size = (AT_ONCE, 9, 9)  # studies, evaluation and tuning languages
        for _ in range(studies // AT_ONCE):
            place = rng.standard_normal((AT_ONCE, 1, 1, 1, prompts))  # as hard in every language
            before = sigmoid(centre(rate, WITHIN) + WITHIN * place)
            base = rng.random((AT_ONCE, 9, 1, 1, prompts)) < before
            other = SHARED * place + math.sqrt(1 - SHARED**2) * rng.standard_normal(place.shape)
            logits = middle + WITHIN * other
            # a tuning's seeds are what they are in every language
            logits = logits + sways * rng.standard_normal((AT_ONCE, 1, 9, count, 1))
            logits = logits + own * rng.standard_normal((*size, count, prompts))
            after = rng.random((*size, count, prompts)) < sigmoid(logits)
            base = np.broadcast_to(base, (*size, 1, prompts))
            pairs, groups = pairs_of(
                base.reshape(-1, 1, prompts, 1), after.reshape(-1, count, prompts, 1), cells=81
            )
            p = p_of(gathered(pairs, groups), parts_of(pairs, groups)).reshape(AT_ONCE, 81)
            raw += (p < 0.05).mean(axis=1).tolist()
            adjusted += [(holm(one) < 0.05).any() for one in p]
        yield {
            **design._asdict(),
            "tunings whose seeds differ": which if wobble else 0,
            "unevenly": bool(uneven),
            "grids": len(raw),
            "cells below 0.05": float(np.mean(raw)),
            "grids with any, unadjusted": float(np.mean(np.array(raw) > 0)),
            "grids with any, Holm": float(np.mean(adjusted)),
        }


def regions() -> Iterator[Row]:
    """What `tipping` says of true changes x and y; margin 5 points."""
    for prompts in (110, 440):
        for rate, x, y in (
            (0.03, 0.0, 0.0),
            (0.03, 0.05, 0.0),
            (0.2, 0.0, 0.0),
            (0.2, 0.05, 0.0),
            (0.2, 0.05, 0.05),
            (0.2, 0.2, 0.0),
            (0.2, 0.2, -0.1),
            (0.2, 0.2, 0.1),
        ):
            rng = np.random.default_rng(named_seed("regions", SEED, str((prompts, rate, x, y))))
            ends = []
            for before, change in ((rate, x), (rate, y)):
                design = Design(prompts, before, before + change)
                counts = draw_counts(prompts + 2, DRAWS, rng)
                found = figures_of(
                    *pairs_of(*draw_study(design, STUDIES, rng)), counts, (1 + LEVEL) / 2
                )
                ends += [found["low"], found["high"]]
            held = (
                (ends[0] <= x + 1e-12)
                & (x - 1e-12 <= ends[1])
                & (ends[2] <= y + 1e-12)
                & (y - 1e-12 <= ends[3])
            )
            names = [region(*one, margin=0.05) for one in zip(*ends, strict=True)]
            wrong = (
                sum(name == UNCHANGED for name in names) / STUDIES
                if max(abs(x), abs(y)) >= 0.05
                else None
            )
            yield {
                "prompts": prompts,
                "before": rate,
                "x": x,
                "y": y,
                "both hold": float(held.mean()),
                "wrongly unchanged": wrong,
                "said": {name: names.count(name) / STUDIES for name in sorted(set(names))},
            }


def power() -> Iterator[Row]:
    """How often three seeds find a true rise from 20%, and among 81 cells: of one tuning alone, of
    nine tunings in nine languages, and from one seed, of which that is not to be believed.
    """
    for prompts in (110, 440):
        for wobble in (0.0, 0.15, 0.4):
            for rise in (0.05, 0.1, 0.2, 0.3):
                design = Design(prompts, 0.2, 0.2 + rise, 3, 1, wobble)
                rng = np.random.default_rng(named_seed("power", SEED, str(design)))
                answers = draw_study(design, 24 * 81, rng)
                found = {}
                for name, cells in (("one tuning", 1), ("one of nine", 81)):
                    pairs, groups = pairs_of(*answers, cells=cells)
                    found[name] = p_of(gathered(pairs, groups), parts_of(pairs, groups))
                found["one seed"] = exact_p(pairs.changes[::3])
                row: Row = {
                    "prompts": prompts,
                    "points between seeds": round(points_between_seeds(design), 1),
                    "rise": rise,
                }
                for name, p in found.items():
                    row[f"{name}, p below 0.05"] = round(float(np.mean(p < 0.05)), 3)
                    row[f"{name}, below 0.05 / 81"] = round(float(np.mean(p < 0.05 / 81)), 3)
                yield row


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "rates": rates,
    "changes": changes,
    "seeds": seeds,
    "tests": tests,
    "grids": grids,
    "regions": regions,
    "power": power,
}


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    chosen = parser.parse_args().parts or list(PARTS)
    there = json.loads(OUT.read_text())["parts"] if OUT.exists() else {}
    for name in chosen:
        start = time.perf_counter()
        rows = []
        print(f"\n### {name}", flush=True)
        for row in PARTS[name]():
            rows.append(row)
            if len(rows) == 1 or set(row) != set(rows[-2]):
                print("|", " | ".join(row), "|\n|", " --- |" * len(row), sep="")
            print("|", " | ".join(str(value) for value in row.values()), "|", flush=True)
        seconds = round(time.perf_counter() - start)
        there[name] = {
            "date": datetime.now(UTC).date().isoformat(),
            "seconds": seconds,
            "rows": rows,
        }
        print(f"{seconds} s", flush=True)
        write(there)


def write(found: dict[str, Any]) -> None:
    """The file; found: by part, its date, seconds and rows."""
    content = {
        "command": "python benchmarks/stats_validity.py",
        "device": DEVICE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "level": LEVEL,
        "draws": DRAWS,
        "studies": STUDIES,
        "seed": SEED,
    }
    text = json.dumps(content, indent=1).removesuffix("\n}") + ',\n "parts": {\n'
    parts = []
    for name in (name for name in PARTS if name in found):
        head = json.dumps({k: v for k, v in found[name].items() if k != "rows"}).removesuffix("}")
        lines = ",\n".join(f"   {json.dumps(row)}" for row in found[name]["rows"])
        parts.append(f'  "{name}": {head}, "rows": [\n{lines}\n  ]}}')
    OUT.write_text(text + ",\n".join(parts) + "\n }\n}\n")


if __name__ == "__main__":
    main()
