"""Peak memory of a training step, ours beside PEFT's: `python benchmarks/memory.py`, a minute.

A random Llama of 100 million weights (docs/performance.md), 8 rows of 96 tokens, float32; one
process for each way, as the system counts its peak, less what it held before the step. Also what
`engine/memory.py` reckons with. Writes docs/figures/memory.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

OUT = Path(__file__).parent.parent / "docs" / "figures" / "memory.json"
ROWS, LENGTH = 8, 96
WAYS = ("PEFT", "polydrift", "polydrift, 3 adapters side by side", "polydrift, recomputing")


def held(field: str) -> float:
    """Megabytes of this process: VmRSS now, or VmHWM at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(field)


def measure(way: str, directory: str) -> None:
    """Print the megabytes that a step takes, and what the engine reckons with."""
    import baselines
    import torch

    from engine import SETTINGS, pairs_of
    from polydrift.engine import train
    from polydrift.engine.memory import training_per_token
    from polydrift.engine.model import Source
    from polydrift.engine.models import load
    from polydrift.engine.train import Run, tune

    torch.set_num_threads(1)
    model = load(Source(directory, device="cpu", dtype="float32", memory=1e12))
    runs = [Run(pairs_of(model, ROWS, LENGTH, 0.0, seed=k), k, k) for k in range(3)]
    rows = [(ids, [-100, *ids[1:]]) for ids in
            (model.chat.example(*pair)[0] for pair in runs[0].examples)]  # fmt: skip
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = held("VmRSS")
    if way == "PEFT":
        baselines.peft_tune(model.network, rows, [list(range(ROWS))], SETTINGS, 1)
    else:
        count = 3 if "3" in way else 1
        train.abreast = lambda *_: count  # type: ignore[assignment]  # to force it
        if "recomputing" in way:
            train._shape = lambda *_: (1, ROWS, True)  # type: ignore[assignment]  # to force it
        assert all(one for _, one in tune(model, runs[:count], SETTINGS))
    tokens = ROWS * LENGTH
    print(
        json.dumps(
            {
                "megabytes": round(held("VmHWM") - before),
                "reckoned": round(
                    (3 if "3" in way else 1)
                    * tokens
                    * training_per_token(model, recompute="recomputing" in way)
                    / 2**20
                ),
            }
        )
    )


def main() -> None:
    """Measure, print, write."""
    if len(sys.argv) == 3:
        measure(sys.argv[1], sys.argv[2])
        return
    from engine import hundred_million
    from polydrift.launch.worker import environment

    with tempfile.TemporaryDirectory() as scratch:
        directory = hundred_million(Path(scratch) / "large")
        found = {}
        for way in WAYS:
            command = [sys.executable, __file__, way, str(directory)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[way] = json.loads(done.stdout.splitlines()[-1])
            print(way, found[way], flush=True)
    content = {
        "command": "python benchmarks/memory.py",
        "date": datetime.now(UTC).date().isoformat(),
        "environment": environment(),
        "a step of 8 rows of 96 tokens": found,
    }
    OUT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
