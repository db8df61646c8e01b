"""Where stacking adapters stops paying: `python benchmarks/routes.py`, about 10 minutes.

How many times as fast nine adapters are side by side as one after the other (merged, or trained
alone), by how much each has to do, on a specimen and on a random Llama of 100 million weights. One
thread; the two ways alternate; medians of three rounds. The thresholds of `engine/routes.py` are
read off this. Writes docs/figures/routes.json.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import torch

from engine import SETTINGS, SPECIMEN, adapters_of, clocked, hundred_million, pairs_of
from polydrift.engine import train
from polydrift.engine.cohort import Cohort
from polydrift.engine.interface import Decoding
from polydrift.engine.model import Model, Source
from polydrift.engine.models import load
from polydrift.engine.recipe import TuneSettings
from polydrift.engine.train import Run, tune
from polydrift.launch.worker import environment

OUT = Path(__file__).parent.parent / "docs" / "figures" / "routes.json"
MEMBERS = 9


def gain(one_by_one: Callable[[], object], together: Callable[[], object], rounds: int) -> float:
    """How many times as fast the second is."""
    ratios = []
    for number in range(rounds + 1):
        slow, fast = clocked(one_by_one), clocked(together)
        if number:
            ratios.append(slow / fast)
    return round(statistics.median(ratios), 2)


def trained(model: Model, tokens: int, rounds: int) -> float:
    """Gain of training side by side when a step of one adapter has so many tokens."""
    rows = max(1, tokens // 32)
    settings = TuneSettings(**{**vars(SETTINGS), "batch_size": rows})
    steps = 2 if tokens > 64 else 4
    runs = [
        Run(pairs_of(model, steps * rows, min(tokens, 32), 0.1, seed=k), k, k)
        for k in range(MEMBERS)
    ]

    def way(abreast: int) -> Callable[[], object]:
        def work() -> None:
            with mock.patch.object(train, "abreast", return_value=abreast):
                assert all(one for _, one in tune(model, runs, settings))

        return work

    return gain(way(1), way(MEMBERS), rounds)


def answered(model: Model, adapters: list[Path], prompts: int, new: int, rounds: int) -> float:
    """Gain of answering side by side when each adapter has so many prompts."""
    texts = [request for _, request in pairs_of(model, prompts, 24, 0.3, seed=1)]

    def way(width: int) -> Callable[[], object]:
        cohort = Cohort(model, [*adapters], side_by_side=width)
        decoding = Decoding(max_new_tokens=new)
        return lambda: list(cohort.answer(texts, decoding, seeds=[0] * len(texts)))

    return gain(way(1), way(MEMBERS), rounds)


def scored(model: Model, adapters: list[Path], texts: int, rounds: int) -> float:
    """Gain of scoring side by side when each adapter has so many texts."""
    pairs = pairs_of(model, texts, 32, 0.3, seed=2)

    def way(width: int) -> Callable[[], object]:
        cohort = Cohort(model, [*adapters], side_by_side=width)
        return lambda: list(cohort.score(pairs))

    return gain(way(1), way(MEMBERS), rounds)


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, dict[int, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        places = {"specimen": SPECIMEN, "100M": hundred_million(Path(scratch) / "large")}
        for name, place in places.items():
            model = load(Source(str(place), device="cpu", dtype="float32"))
            if name == "100M":
                model.chat.stop_ids = frozenset()
            adapters = adapters_of(model, Path(scratch) / f"of {name}", MEMBERS)
            large, rounds = name == "100M", 2 if name == "100M" else 3
            found[name] = {
                "training, by tokens of a step": {
                    n: trained(model, n, rounds)
                    for n in ((16, 64, 256) if large else (16, 32, 64, 128, 256, 512))
                },
                "answering, by prompts": {
                    n: answered(model, adapters, n, 8 if large else 24, rounds)
                    for n in ((1, 4, 16, 32) if large else (1, 4, 8, 16, 32, 64, 128))
                },
                "scoring, by texts": {
                    n: scored(model, adapters, n, rounds)
                    for n in ((1, 2, 8) if large else (1, 2, 4, 8, 16, 32))
                },
            }
            print(json.dumps(found[name], indent=1), flush=True)
    content = {
        "command": "python benchmarks/routes.py",
        "date": datetime.now(UTC).date().isoformat(),
        "environment": environment(),
        "times as fast side by side, nine adapters": found,
    }
    OUT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
