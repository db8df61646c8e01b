"""How often gates, power and tests of heterogeneity err: `python benchmarks/power.py`.

1. Gate, one sample: the chance to pass at the margin and to fail where nothing changed, summed over
   every outcome, beside Tango's score as published.
2. Gate, several samples and means over languages: the same, simulated.
3. Power: what `smallest_change` promises beside studies simulated answer by answer; the smallest
   changes of usual designs.
4. Heterogeneity: tests where languages do nothing, intervals where they do; the paper's grid timed.

Prints the tables of docs/gate.md, docs/power.md and docs/heterogeneity.md and writes
docs/figures/power.json. About five minutes of one core.
"""

from __future__ import annotations

import json
import math
import platform
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import binom, multinomial, multivariate_normal

from polydrift.seeds import named_seed
from polydrift.stats.cells import Cells, sort_into_cells
from polydrift.stats.gate import Rule, decide
from polydrift.stats.heterogeneity import heterogeneity
from polydrift.stats.margins import Paired
from polydrift.stats.power import power_of, prompts_needed, smallest_change, two_way_test

OUT = Path(__file__).parent.parent / "docs" / "figures" / "power.json"
DEVICE = "one core of an AMD EPYC"
SEED = 5
CODES = ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl")
TUNING, EVALUATION = "tuning language", "evaluation language"
BOTH = f"{TUNING} x {EVALUATION}"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = dict[str, Any]


def rng_of(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng(named_seed("power", SEED, *parts))


# --- gate -------------------------------------------------------------------------------------


def exact_gate(n: int, margin: float, lost: float) -> Row:
    """Summed over every outcome: passing at the margin, failing where nothing changed."""

    def sums(gained: float, lost: float) -> tuple[Ints, Floats]:
        most = int(n * (gained + lost) + 10 * math.sqrt(n * (gained + lost)) + 10)
        up, down = (x.ravel() for x in np.indices((min(n, most) + 1,) * 2))
        there = up + down <= n
        counts = np.stack([up, down, n - up - down], axis=1)[there]
        p = multinomial.pmf(counts, n, [gained, lost, 1 - gained - lost])
        return counts[p > 1e-9, :2], p[p > 1e-9]

    z = 1.6448536269514722
    counts, p = sums(lost + margin, lost)
    up, down = counts.T.astype(float)
    b = (2 * n - up + down) * margin - up - down
    rest = (np.sqrt(b**2 + 8 * n * down * margin * (1 - margin)) - b) / (4 * n)
    error = np.sqrt(n * (2 * rest + margin * (1 - margin)))
    passed = [Paired(n, u, d).limits(0.95)[1] < margin for u, d in counts.tolist()]
    published = (up - down - n * margin) / error < -z
    row = {"passes": p @ passed, "passes as published": p @ published}
    if lost:
        counts, p = sums(lost, lost)
        failed = [
            Paired(n, u, d).difference > margin and Paired(n, u, d).p_worse() < 0.05
            for u, d in counts.tolist()
        ]
        row["fails"] = p @ failed
    return {"prompts": n, "margin": margin, "lost": lost} | {
        name: round(float(value), 4) for name, value in row.items()
    }


def simulated_gate(n: int, samples: int, languages: int, rate: float, margin: float) -> Row:
    """2,000 gates at the margin, 2,000 where nothing changed; languages hang together."""
    rng = rng_of("gate", n, samples, languages, str(rate))
    rules = (Rule("compliance", 100 * margin, mean=True),)
    found: dict[str, list[str]] = {}
    for name, after in (("margin", rate + margin), ("nothing", rate)):
        for _ in range(2000):
            z = 0.5 * rng.standard_normal((1, n, 1)) + 0.5 * rng.standard_normal((languages, n, 1))
            pairs = {}
            sides = [
                (
                    z
                    + math.sqrt(0.3) * rng.standard_normal((languages, n, 1))
                    + math.sqrt(0.2) * rng.standard_normal((languages, n, samples))
                    < ndtri(share)
                ).astype(np.int64)
                for share in (rate, after)
            ]
            pairs = {CODES[i]: (sides[0][i], sides[1][i]) for i in range(languages)}
            found.setdefault(name, []).append(decide(rules, {"compliance": pairs}).verdict)
    return {
        **{"prompts": n, "samples": samples, "languages": languages, "rate": rate},
        "margin": margin,
        "passes": found["margin"].count("passed") / 2000,
        "fails": found["nothing"].count("failed") / 2000,
    }


# --- power ------------------------------------------------------------------------------------


def latent(first: float, second: float, rho: float) -> float:
    """The correlation of normals that, cut at two rates, correlate by rho."""
    wanted = first * second + rho * math.sqrt(first * (1 - first) * second * (1 - second))
    cuts = ndtri([first, second])

    def off(r: float) -> float:
        return float(multivariate_normal.cdf(cuts, cov=[[1, r], [r, 1]]) - wanted)

    return float(brentq(off, 0, 0.9999)) if off(0.9999) > 0 else 0.9999


def simulated_power(prompts: int, seeds: int, samples: int, before: float, studies: int) -> Row:
    """The smallest change that `smallest_change` promises, and how often studies find it."""
    change = smallest_change(prompts, seeds, samples, before)
    after = before + change
    rng = rng_of("studies", prompts, seeds, samples, str(before))
    if seeds == samples == 1:
        both = before * after + 0.7 * math.sqrt(before * (1 - before) * after * (1 - after))
        both = min(both, before)
        shares = [after - both, before - both, 1 - after - before + 2 * both]
        drawn = rng.multinomial(prompts, shares, size=20 * studies)[:, :2]
        found = 2 * binom.cdf(drawn.min(axis=1), drawn.sum(axis=1), 0.5) <= 0.05
    else:
        whole = np.full((1 + seeds, samples, 1 + seeds, samples), latent(after, after, 0.7))
        whole[0] = whole[:, :, 0] = latent(before, after, 0.7)
        for side, rate in enumerate([before] + [after] * seeds):
            whole[side, :, side, :] = latent(rate, rate, 0.8)
        size = (1 + seeds) * samples
        whole = whole.reshape(size, size)
        np.fill_diagonal(whole, 1)
        values, vectors = np.linalg.eigh(whole)
        root = (vectors * np.sqrt(np.maximum(values, 0))).T
        found = []
        for _ in range(studies):
            drawn = (rng.standard_normal((prompts, size)) @ root).reshape(prompts, -1, samples)
            rates = np.full(1 + seeds, before)
            rates[1:] = after + (0.02 * rng.standard_normal(seeds) if seeds > 1 else 0)
            hit = (drawn < ndtri(np.clip(rates, 1e-9, 1))[:, None]).mean(axis=2)
            found.append(two_way_test((hit[:, 1:] - hit[:, :1]).T).p < 0.05)
    return {
        **{"prompts": prompts, "seeds": seeds, "samples": samples, "base_rate": before},
        "change": round(change, 4),
        "promised": round(power_of(change, prompts, seeds, samples, before), 4),
        "simulated": round(float(np.mean(found)), 4),
    }


def usual() -> Iterator[Row]:
    """Smallest changes of usual designs."""
    for prompts in (110, 440):
        for seeds, samples, tunings in ((1, 1, 1), (1, 3, 1), (3, 1, 1), (3, 1, 9), (5, 1, 1)):
            for cells in (1, 9, 81):
                changes = {
                    f"{rate:g}": round(
                        smallest_change(
                            prompts, seeds, samples, rate, tunings=tunings, cells=cells
                        ),
                        4,
                    )
                    for rate in (0.02, 0.1, 0.3)
                }
                design = {"prompts": prompts, "seeds": seeds, "samples": samples}
                yield design | {"tunings": tunings, "cells": cells, "change from": changes}


# --- heterogeneity ----------------------------------------------------------------------------


def answers(
    shape: tuple[int, ...], rng: np.random.Generator, rate: float, sds: dict[str, float]
) -> Ints:
    """[tunings, seeds, languages, prompts] that hang together by prompt; sds: of rates."""
    tunings, seeds, languages, prompts = shape
    of = {"t": (tunings, 1, 1), "e": (1, 1, languages), "te": (tunings, 1, languages)}
    of |= {"run": (tunings, seeds, 1), "rune": (tunings, seeds, languages)}
    rates = np.full(shape[:3], rate)
    for name, sd in sds.items():
        rates = rates + sd * rng.standard_normal(of[name])
    z = math.sqrt(0.3) * rng.standard_normal(prompts)
    z = z + math.sqrt(0.2) * rng.standard_normal((languages, prompts))
    z = z + math.sqrt(0.1) * rng.standard_normal((tunings, 1, 1, prompts))
    z = z + math.sqrt(0.4) * rng.standard_normal(shape)
    return (z < ndtri(np.clip(rates, 1e-9, 1 - 1e-9))[..., None]).astype(np.int64)


def verdicts(hits: Ints, base: str = "m", epochs: int = 3, tuned: bool = True) -> pa.Table:
    """A table of verdicts of [tunings, seeds, languages, prompts] answers."""
    t, s, e, p = (x.ravel() for x in np.indices(hits.shape))
    codes, size = np.array(CODES), t.size
    names = np.char.add(np.char.add(codes[t], "-"), np.char.add(s.astype(str), f"-e{epochs}"))
    nothing = pa.nulls(size)
    return pa.table(
        {
            "base": np.full(size, base),
            "variant": np.char.add(f"{base}+", names) if tuned else np.full(size, base),
            "arm": np.full(size, "x") if tuned else nothing.cast(pa.string()),
            "tuning_language": codes[t] if tuned else nothing.cast(pa.string()),
            "tuning_seed": s if tuned else nothing.cast(pa.int64()),
            "epochs": np.full(size, epochs) if tuned else nothing.cast(pa.int64()),
            "evaluation_language": codes[e],
            **{name: np.full(size, "x") for name in ("suite", "category", "judge")},
            "kind": np.full(size, "unsafe"),
            "prompt_id": np.char.zfill(p.astype(str), 4),
            "sample": np.zeros(size, np.int64),
            "verdict": np.where(hits.ravel() == 1, "complied", "refused"),
            "wrong_language": np.zeros(size, bool),
        }
    )


NULLS: dict[str, tuple[tuple[int, int, int, int], float, dict[str, float]]] = {
    "seeds differ": ((5, 3, 6, 120), 0.3, {"run": 0.03, "rune": 0.02}),
    "seeds do not": ((5, 3, 6, 120), 0.3, {}),
    "one seed, 9 x 9": ((9, 1, 9, 110), 0.3, {}),
    "60 prompts at 3%": ((5, 2, 6, 60), 0.03, {}),
}
EFFECTS = {"t": 0.05, "e": 0.08, "te": 0.04, "run": 0.02, "rune": 0.02}


def tested(name: str, studies: int) -> list[Row]:
    """How often languages that do nothing are called a source, by scale."""
    shape, rate, sds = NULLS[name]
    rng, found = rng_of("null", name), []
    for _ in range(studies):
        cells = sort_into_cells(verdicts(answers(shape, rng, rate, sds)))
        found += heterogeneity(cells, level=0.95, latent=False).to_pylist()
    return [
        {
            **{"study": name, "scale": scale},
            **{
                source: round(
                    float(
                        np.mean(
                            [
                                row["p"] < 0.05
                                for row in found
                                if (row["scale"], row["source"]) == (scale, source)
                            ]
                        )
                    ),
                    4,
                )
                for source in (TUNING, EVALUATION, BOTH, "own language")
            },
        }
        for scale in ("probability", "logit")
    ]


def covered(studies: int) -> list[Row]:
    """How often the interval of a standard deviation holds the truth, and the mean estimate."""
    shape = (9, 3, 9, 110)
    rng, found = rng_of("covered"), []
    for _ in range(studies):
        cells = sort_into_cells(verdicts(answers(shape, rng, 0.4, EFFECTS)))
        found += heterogeneity(cells, level=0.95, latent=False).to_pylist()
    # a mean over nine languages holds a ninth of the interaction's variance
    truth = {name: math.hypot(EFFECTS[key], 0.04 / 3) for name, key in
             ((TUNING, "t"), (EVALUATION, "e"))} | {BOTH: 0.04}  # fmt: skip
    rows = []
    for source, sd in truth.items():
        of = [r for r in found if (r["scale"], r["source"]) == ("probability", source)]
        rows.append(
            {
                "source": source,
                "true sd": round(sd, 4),
                "mean": round(math.sqrt(np.mean([row["sd"] ** 2 for row in of])), 4),
                "covered": round(
                    float(np.mean([r["sd_low"] <= sd <= r["sd_high"] for r in of])), 4
                ),
                "interval": [
                    round(float(np.median([row[end] for row in of])), 4)
                    for end in ("sd_low", "sd_high")
                ],
            }
        )
    return rows


def paper() -> Row:
    """Time and memory of the paper's grid: 1.3 million verdicts of 330 variants."""
    rng, parts = rng_of("paper"), []
    for base in "abcdef":
        for epochs in (1, 3):
            parts.append(verdicts(answers((9, 3, 9, 440), rng, 0.3, EFFECTS), base, epochs))
        parts.append(verdicts(answers((1, 1, 9, 440), rng, 0.2, {}), base, tuned=False))
    table = pa.concat_tables(parts)
    start = time.perf_counter()
    cells: Cells = sort_into_cells(table)
    seconds = {"sorting": time.perf_counter() - start}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, latent_too in (("without the mixed model", False), ("with it", True)):
        start = time.perf_counter()
        made = heterogeneity(cells, level=0.95, latent=latent_too)
        seconds[name] = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "verdicts": table.num_rows,
        "rows": made.num_rows,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "megabytes_more": round((after - before) / 1024),
    }


def main() -> None:
    """Simulate, print, write."""
    found: dict[str, Any] = {}
    start = time.perf_counter()

    def done(name: str, rows: list[Row]) -> None:
        found[name] = rows
        print(f"\n### {name} ({time.perf_counter() - start:.0f} s)\n")
        for row in rows:
            print(f"| {' | '.join(str(value) for value in row.values())} |", flush=True)

    done(
        "gate, every outcome",
        [
            exact_gate(n, margin, lost)
            for margin in (0.03, 0.05)
            for n in (40, 90, 110, 200, 440)
            for lost in (0.0, 0.005, 0.02, 0.05, 0.1)
        ],
    )
    designs = (
        *((110, 3, 1, 0.02, 0.03), (110, 3, 1, 0.2, 0.03), (440, 3, 1, 0.2, 0.03)),
        *((40, 3, 1, 0.2, 0.05), (110, 1, 9, 0.1, 0.03), (440, 1, 9, 0.02, 0.03)),
    )
    done("gate, simulated", [simulated_gate(*design) for design in designs])
    studies = (
        *((110, 1, 1, 0.1), (440, 1, 1, 0.02), (440, 1, 1, 0.1), (440, 1, 1, 0.3)),
        *((440, 1, 3, 0.1), (110, 3, 1, 0.3), (440, 3, 1, 0.2), (440, 5, 2, 0.2)),
    )
    done("power", [simulated_power(*design, 2000) for design in studies])
    done("smallest changes", list(usual()))
    done(
        "prompts needed",
        [
            {"change": change, "one seed": prompts_needed(change)}
            | {"three samples": prompts_needed(change, samples=3)}
            | {"nine cells": prompts_needed(change, cells=9)}
            for change in (0.01, 0.02, 0.03, 0.05, 0.1)
        ],
    )
    done("heterogeneity, no effect", [row for name in NULLS for row in tested(name, 500)])
    done("heterogeneity, intervals", covered(300))
    done("the paper's grid", [paper()])
    content = {
        "command": "python benchmarks/power.py",
        "date": datetime.now(UTC).date().isoformat(),
        "device": DEVICE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "seed": SEED,
    }
    text = json.dumps(content, indent=1).removesuffix("\n}")
    parts = [
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]"
        for name, rows in found.items()
    ]
    OUT.write_text(text + ",\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
