"""How often the interval of a change covers the truth: `python benchmarks/coverage.py`.

Simulated studies, 2,000 for each line, 1,000 draws, 95%: the interval that the tables hold, beside
the plain percentile bootstrap without the two imagined prompts. A prompt's two answers hang
together with probability 0.5, except where all answers change. Prints the table of docs/report.md
and writes docs/figures/coverage.json.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from polydrift.stats.effects import bootstrap_interval, draw_counts

OUT = Path(__file__).parent.parent / "docs" / "figures" / "coverage.json"
CASES = (
    (110, 0.02, 0.05),
    (110, 0.2, 0.2),
    (110, 0.3, 0.5),
    (110, 0.02, 1.0),
    (20, 0.02, 0.05),
    (20, 0.3, 0.5),
    (20, 0.02, 1.0),
)
STUDIES, DRAWS, SEED = 2000, 1000, 8


def coverage(prompts: int, before: float, after: float) -> tuple[float, float]:
    """Share of studies whose interval holds the true change: (plain, with imagined prompts)."""
    rng = np.random.default_rng(SEED)
    first = rng.random((prompts, STUDIES))
    kept = rng.random((prompts, STUDIES)) < 0.5
    second = np.where(kept, first, rng.random((prompts, STUDIES)))
    differences = (second < after).astype(float) - (first < before)
    counts = draw_counts(prompts + 2, DRAWS, rng)
    paired = np.ones_like(differences)
    imagined = bootstrap_interval(
        differences, paired, counts[:, :-2], level=0.95, imagined=counts[:, -2:]
    )
    plain = bootstrap_interval(differences, paired, draw_counts(prompts, DRAWS, rng), level=0.95)
    truth = after - before
    shares = [
        float(np.mean((low <= truth + 1e-9) & (truth - 1e-9 <= high)))
        for low, high in (plain, imagined)
    ]
    return shares[0], shares[1]


def main() -> None:
    """Simulate, print, write."""
    rows = []
    for prompts, before, after in CASES:
        plain, imagined = coverage(prompts, before, after)
        rows.append(
            {
                "prompts": prompts,
                "before": before,
                "after": after,
                "plain": plain,
                "imagined": imagined,
            }
        )
        print(
            f"| {prompts} | {before:.0%} → {after:.0%} | {100 * plain:.1f}% | "
            f"{100 * imagined:.1f}% |",
            flush=True,
        )
    content = {
        "command": "python benchmarks/coverage.py",
        "date": datetime.now(UTC).date().isoformat(),
        "numpy": np.__version__,
        "studies": STUDIES,
        "draws": DRAWS,
        "seed": SEED,
        "coverage": rows,
    }
    OUT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
