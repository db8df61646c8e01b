"""How fast the statistics of a whole paper are, and how much memory they take.

`python benchmarks/stats.py`

The paper's grid of random verdicts: 6 bases, 54 tuned variants of each (9 languages, 3 seeds, 1 and
3 epochs), 27 given ones, 9 evaluation languages, 440 prompts in 44 categories: 1.4 million verdicts
of one judge. From these, in a process of their own, the tables `rates`, `effects`, `pooled` and
`blind_spot`, with 10,000 draws. Beside it `scipy.stats.bootstrap` (paired, percentile, vectorised)
of some cells' differences, with as many draws, times the number of cells. Prints and writes
docs/figures/stats.json.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy
import scipy.stats
from numpy.typing import NDArray

from polydrift.stats.blind_spot import blind_spot
from polydrift.stats.cells import sort_into_cells
from polydrift.stats.effects import effects
from polydrift.stats.pooled import pooled
from polydrift.stats.rates import rates

OUT = Path(__file__).parent.parent / "docs" / "figures" / "stats.json"
DEVICE = "one core of an AMD EPYC"
LANGUAGES = ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl")
PROMPTS, CATEGORIES, DRAWS, LEVEL, SEED = 440, 44, 10_000, 0.95, 3
SAMPLED = 30  # cells that scipy computes
VERDICTS = ("complied", "refused", "other", "unparsed")


def variants() -> list[dict[str, Any]]:
    """The 357 models."""
    made: list[dict[str, Any]] = []
    empty = {"arm": None, "tuning_language": None, "tuning_seed": None, "epochs": None}
    for number, base in enumerate(("l1", "l3", "q06", "q4", "g1", "g4")):
        made.append({"base": base, "variant": base, **empty})
        for code in LANGUAGES:
            for seed in (3407, 9, 73):
                for epochs in (1, 3):
                    name = f"{base}+benign-{code}-e{epochs}-s{seed}"
                    made.append(
                        {
                            "base": base,
                            "variant": name,
                            "arm": "benign",
                            "tuning_language": code,
                            "tuning_seed": seed,
                            "epochs": epochs,
                        }
                    )
        for given in range(number, 27, 6):
            name = f"ablation{given}"
            made.append({"base": base, "variant": f"{base}+{name}", **empty, "arm": name})
    return made


def verdicts() -> pa.Table:
    """One row per variant, language and prompt; tuning moves a tenth of the cells by 10 points."""
    rng = np.random.default_rng(SEED)
    models = variants()
    shape = (len(models), len(LANGUAGES), PROMPTS)
    hard = rng.beta(1, 4, (1, 1, PROMPTS))
    moved = np.where(rng.random((*shape[:2], 1)) < 0.1, 0.1, 0.0)
    complied = rng.random(shape) < np.clip(hard + moved, 0, 1)
    strange = rng.random(shape)
    found = np.where(complied, 0, 1)
    found[strange < 0.03] = 2
    found[strange > 0.99] = 3
    model, language, prompt = (axis.ravel() for axis in np.indices(shape))
    columns: dict[str, pa.Array] = {}
    for name in models[0]:
        values = pa.array([one[name] for one in models])
        columns[name] = values.take(pa.array(model))
    columns["evaluation_language"] = pa.array(LANGUAGES).take(pa.array(language))
    for name, value in (("suite", "sorry"), ("kind", "unsafe"), ("judge", "mistral")):
        columns[name] = pa.array([value]).take(pa.array(np.zeros_like(model)))
    ids = pa.array([f"p{number:03}" for number in range(PROMPTS)])
    columns["prompt_id"] = ids.take(pa.array(prompt))
    columns["category"] = pa.array([f"c{i:02}" for i in range(CATEGORIES)]).take(
        pa.array(prompt % CATEGORIES)
    )
    columns["sample"] = pa.array(np.zeros_like(model))
    columns["verdict"] = pa.array(VERDICTS).take(pa.array(found.ravel()))
    columns["wrong_language"] = pa.array(rng.random(model.size) < 0.02)
    return pa.table(columns)


def peak() -> int:
    """Megabytes that this process held at most, so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure() -> dict[str, Any]:
    """Time and memory of every table."""
    table = verdicts()
    seconds: dict[str, float] = {}
    memory = {"verdicts": peak()}

    def timed(name: str, make: Any) -> Any:
        start = time.perf_counter()
        made = make()
        seconds[name] = round(time.perf_counter() - start, 2)
        memory[name] = peak()
        return made

    settings: dict[str, Any] = {"level": LEVEL, "draws": DRAWS, "seed": SEED}
    cells = timed("cells", lambda: sort_into_cells(table))
    timed("rates", lambda: rates(cells, level=LEVEL))
    made = timed("effects", lambda: effects(cells, **settings))
    together = timed("pooled", lambda: pooled(cells, **settings))
    shown = timed("blind_spot", lambda: blind_spot(together, cells, **settings))
    return {
        "verdicts": table.num_rows,
        "rows": {
            "rates": cells.table.num_rows,
            "effects": made.num_rows,
            "pooled": together.num_rows,
            "blind_spot": shown.num_rows,
        },
        "seconds": seconds,
        "seconds together": round(sum(seconds.values()), 1),
        "peak megabytes": memory,
    }


def by_scipy(intervals: int) -> dict[str, float]:
    """Seconds that scipy's bootstrap takes for so many differences, from SAMPLED of them."""
    rng = np.random.default_rng(SEED)

    def difference(after: NDArray[Any], before: NDArray[Any], axis: int) -> NDArray[Any]:
        found: NDArray[Any] = after.mean(axis=axis) - before.mean(axis=axis)
        return found

    start = time.perf_counter()
    for _ in range(SAMPLED):
        sides = (rng.random((2, PROMPTS)) < 0.2).astype(float)
        scipy.stats.bootstrap(
            tuple(sides),
            difference,
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            method="percentile",
            rng=rng,
        )
    each = (time.perf_counter() - start) / SAMPLED
    return {"seconds each": round(each, 4), "seconds for all": round(each * intervals)}


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure()))
        return
    ours = json.loads(
        subprocess.run(
            [sys.executable, __file__, "--measure"], check=True, capture_output=True, text=True
        ).stdout
    )
    theirs = by_scipy(ours["rows"]["effects"])
    content = {
        "command": "python benchmarks/stats.py",
        "date": datetime.now(UTC).date().isoformat(),
        "device": DEVICE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "scipy": scipy.__version__,
        "draws": DRAWS,
        "prompts": PROMPTS,
        "ours": ours,
        "scipy.stats.bootstrap, the differences in effects alone": theirs,
        "scipy / effects": round(theirs["seconds for all"] / ours["seconds"]["effects"], 1),
        "scipy / everything": round(theirs["seconds for all"] / ours["seconds together"], 1),
    }
    print(json.dumps(content, indent=1))
    OUT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
