"""How long the engine room takes on a micro model, one thread: `python benchmarks/engine_room.py`.

Median of five, llama-0. Prints the table of docs/models.md and writes docs/figures/engine_room.json
with versions, device and date.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch

from polydrift import specimens
from polydrift.data.benign import read_examples
from polydrift.data.suites import read_suite
from polydrift.engine.activations import last_token
from polydrift.engine.adapters import _inject, adapted, read_adapter, restored
from polydrift.engine.answer import answer
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.engine.sampling import Decoding
from polydrift.engine.score import score
from polydrift.engine.train import TuneSettings, tune
from polydrift.launch.worker import environment

OUT = Path(__file__).parent.parent / "docs" / "figures" / "engine_room.json"
RECIPE = TuneSettings(
    rank=8,
    alpha=16,
    targets="all-linear",
    learning_rate=5e-3,
    warmup_steps=0,
    epochs=3,
    batch_size=16,
    weight_decay=0.0,
    loss="response",
)


def seconds(work: Callable[[], object]) -> float:
    """Median of five runs, after one that is not counted."""
    work()
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    source = Source(str(specimens.path("specimen:llama-0")))
    model = load(source)
    examples = [
        (row.request, row.response)
        for row in read_examples(specimens.path("specimen:benign"))
        if row.language == "da"
    ]
    asked = [row.text for row in read_suite(specimens.path("specimen:suite"))][:1500]
    greedy, sampled = Decoding(0.0, 1.0, 24), Decoding(0.7, 1.0, 24)
    seeds = list(range(len(asked)))
    found: dict[str, float] = {}

    def tuning() -> None:
        tuned = tune(model, examples, RECIPE, init_seed=1, order_seed=2)
        tuned.save(adapter)

    with tempfile.TemporaryDirectory() as scratch:
        adapter = Path(scratch)
        found["tuning, 300 pairs, 3 epochs of batches of 16"] = seconds(tuning)
        with adapted(model, adapter):
            found["1,500 greedy answers, adapter added to the weights"] = seconds(
                lambda: answer(model, asked, greedy, seeds=seeds)
            )
        config, tensors = read_adapter(adapter)
        with restored(model.network):
            _inject(model.network, config, tensors, adapter)
            found["the same, adapter beside the weights"] = seconds(
                lambda: answer(model, asked, greedy, seeds=seeds)
            )
    found["1,500 sampled answers of the base (0.7, top-p 1)"] = seconds(
        lambda: answer(model, asked, sampled, seeds=seeds)
    )
    found["scoring 300 pairs"] = seconds(lambda: score(model, examples))
    found["activations of 160 prompts"] = seconds(lambda: last_token(model, asked[:160]))
    found["loading a model"] = seconds(lambda: load(source))
    for name, value in found.items():
        print(f"| {name} | {value:.2f} |")
    content = {
        "command": "python benchmarks/engine_room.py",
        "date": datetime.now(UTC).date().isoformat(),
        "load": os.getloadavg()[0],
        "environment": environment(),
        "seconds": {name: round(value, 3) for name, value in found.items()},
    }
    OUT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
