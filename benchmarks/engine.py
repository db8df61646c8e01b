"""The cohort engine beside the stock stack, in one run: `python benchmarks/engine.py`.

Each piece of work is done by every method in turn, round after round, so that a busy moment of the
machine hits all alike; ratios are medians over rounds of (theirs / ours) in the same round. One
thread. Writes docs/figures/engine.json with versions, device and date, and prints its tables.

    python benchmarks/engine.py                     everything, about 25 minutes
    python benchmarks/engine.py train-short --rounds 3 --out /tmp/engine.json

What the others are, and how they were tuned, stands in `baselines`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import baselines
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from polydrift import specimens
from polydrift.data.benign import read_examples
from polydrift.data.suites import read_suite
from polydrift.engine.adapters import save_adapter
from polydrift.engine.cohort import Cohort
from polydrift.engine.interface import Decoding
from polydrift.engine.model import Model, Source
from polydrift.engine.models import load
from polydrift.engine.recipe import (
    TuneSettings,
    adapter_json,
    batches,
    initial,
    peft_names,
    targeted,
)
from polydrift.engine.train import Run, Tuned, tune
from polydrift.launch.worker import environment

OUT = Path(__file__).parent.parent / "docs" / "figures" / "engine.json"
SPECIMEN = specimens.path("specimen:llama-0")
LANGUAGES = ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl")
SETTINGS = TuneSettings(rank=8, alpha=16, targets="all-linear", learning_rate=1e-3, batch_size=8)
Methods = Mapping[str, Callable[[], float]]


def side_by_side(methods: Methods, rounds: int) -> dict[str, Any]:
    """Seconds of each method and how many times the first one's. A method returns its seconds."""
    taken: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(rounds + 1):  # the first round warms up and is not counted
        for name, method in methods.items():
            seconds = method()
            if number:
                taken[name].append(seconds)
    ours = next(iter(methods))
    return {
        name: {
            "seconds": round(statistics.median(times), 4),
            "times ours": round(
                statistics.median(t / o for t, o in zip(times, taken[ours], strict=True)), 2
            ),
            "from": round(min(t / o for t, o in zip(times, taken[ours], strict=True)), 2),
            "to": round(max(t / o for t, o in zip(times, taken[ours], strict=True)), 2),
        }
        for name, times in taken.items()
    }


def clocked(work: Callable[[], object], share: float = 1.0) -> float:
    """Seconds of the work, or of a share of it."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * share


def hundred_million(directory: Path) -> Path:
    """A random Llama of 75 million weights in its layers, with a specimen's tokenizer."""
    config = LlamaConfig(
        hidden_size=768, num_hidden_layers=12, intermediate_size=2048, num_attention_heads=12,
        num_key_value_heads=4, vocab_size=4096, max_position_embeddings=2048,
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    network = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() == 2 and "embed" not in name:
                parameter.mul_(2.0)  # sharper than the default, so that the likeliest is clear
    network.save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(SPECIMEN / name, directory / name)
    return directory


def pairs_of(model: Model, rows: int, median: float, spread: float, seed: int) -> list[Any]:
    """(request, response) of harmless text in nine languages, lengths lognormal in tokens."""
    words = random.Random(seed)
    texts = [
        f"{row.request} {row.response}" for row in read_examples(specimens.path("specimen:benign"))
    ]
    pairs = []
    for _ in range(rows):
        wanted = min(512, max(10, round(math.exp(words.gauss(math.log(median), spread)))))
        text = ""
        while len(model.chat.example("?", text)[0]) < wanted:
            text += " " + words.choice(texts)
        while len(model.chat.example("?", text)[0]) > wanted and len(text) > 1:
            text = text[:-1]
        pairs.append(("?", text.strip()))
    return pairs


def training(
    name: str, model: Model, settings: TuneSettings, rows: int, length: tuple[float, float],
    members: int, rounds: int, dtype: torch.dtype,
) -> dict[str, Any]:  # fmt: skip
    """Seconds to tune one adapter, of `members` parallel ones."""
    runs = [Run(pairs_of(model, rows, *length, seed=k), k, 100 + k) for k in range(members)]
    wide = copy.copy(model)
    if dtype != model.network.dtype:
        wide.network = copy.deepcopy(model.network).to(dtype)
    found: dict[str, Any] = {}

    def ours() -> None:
        for member, one in tune(wide, runs, settings):
            assert isinstance(one, Tuned), one
            found[str(member)] = one

    rows_of = [model.chat.example(*pair)[0] for pair in runs[0].examples]
    learned = [(ids, [-100, *ids[1:]]) for ids in rows_of]
    order = list(batches([len(ids) for ids in rows_of], settings, runs[0].order_seed))
    half = dtype == torch.bfloat16
    networks = {key: copy.deepcopy(model.network) for key in ("peft", "default", "best")}

    def trl(how: Any, key: str) -> float:
        network = copy.deepcopy(networks[key])
        return float(how(SPECIMEN, learned, settings, network=network).seconds)

    def peft(bf16: bool) -> None:
        baselines.peft_tune(networks["peft"], learned, order, settings, 1, bf16=bf16)

    methods: dict[str, Callable[[], float]] = {
        "polydrift": lambda: clocked(ours, 1 / members),
        "PEFT, plain loop, grouped by length": lambda: clocked(lambda: peft(False)),
        "TRL SFTTrainer as it comes": lambda: trl(baselines.trl_default, "default"),
        "TRL SFTTrainer, float32": lambda: trl(
            partial(baselines.trl_default, bf16=False), "default"
        ),
        "TRL SFTTrainer, best settings": lambda: trl(baselines.trl_best, "best"),
    }
    if half:
        methods["PEFT, the same in bfloat16"] = lambda: clocked(lambda: peft(True))
        methods["TRL, best settings, bfloat16"] = lambda: trl(
            partial(baselines.trl_best, bf16=True), "best"
        )
    result = side_by_side(methods, rounds)
    tokens = settings.epochs * sum(map(len, rows_of))
    body = sum(p.numel() for n, p in model.network.named_parameters() if "embed" not in n)
    head = model.vocabulary * model.network.config.hidden_size
    work = 4.0 * tokens * (body + head)  # forward and backward, nothing for frozen weights
    return {
        "work": name,
        "tokens of a step": round(tokens / len(order) / 1, 1),
        "adapters side by side": found["0"].abreast,
        "rounds": rounds,
        "methods": result,
        "share of the peak of matrix products": round(
            work / result["polydrift"]["seconds"] / peak(dtype), 2
        ),
    }


def answering(
    name: str, model: Model, adapters: list[Path], prompts: list[str], new: int, rounds: int,
    dtype: torch.dtype, share: int,
) -> dict[str, Any]:  # fmt: skip
    """Seconds to have all prompts answered by all adapters (of `share`, for the slow baselines)."""
    from peft import PeftModel

    stops = sorted(model.chat.stop_ids)
    ids = [model.chat.prompt(text) for text in prompts]
    wide = copy.copy(model)
    wide.network = copy.deepcopy(model.network).to(dtype)
    decoding = Decoding(max_new_tokens=new)
    texts: dict[int, list[str]] = {}
    cohort = Cohort(wide, [*adapters])

    def ours() -> None:
        for member, found in cohort.answer(prompts, decoding, seeds=[0] * len(prompts)):
            assert isinstance(found, list), found
            texts[member] = [one.text for one in found]

    networks = {}
    for kind in {torch.float32, dtype}:
        network = copy.deepcopy(model.network).to(kind)
        networks[kind] = PeftModel.from_pretrained(network, adapters[0], adapter_name="0").eval()
        for k, directory in enumerate(adapters[1:], 1):
            networks[kind].load_adapter(directory, adapter_name=str(k))
    names = [str(k) for k in range(len(adapters))]
    scale = len(adapters) / share

    def each(kind: torch.dtype, batch: int, sort: bool, merged: bool) -> list[Any]:
        found = []
        for one in names[:share]:
            with baselines.using(networks[kind], one, merged=merged):
                found.append(
                    baselines.generate_each(networks[kind], ids, batch, new, stops, sort=sort)
                )
        return found

    _, _, tried = baselines.generate_best(networks[dtype], names[:1], ids, new, stops)
    best = min(tried, key=lambda way: tried[way])
    best_beside = min((way for way in tried if not way[2]), key=lambda way: tried[way])

    def mixed(batch: int) -> list[Any]:
        return baselines.generate_mixed(networks[dtype], names, ids, batch, new, stops, sort=True)

    mixes = {size: clocked(lambda size=size: mixed(size)) for size in (72, 9 * len(prompts) // 2)}
    size = min(mixes, key=lambda s: mixes[s])
    methods: dict[str, Callable[[], float]] = {
        "polydrift": lambda: clocked(ours),
        "generate, batch 8, adapter beside": lambda: clocked(
            lambda: each(torch.float32, 8, False, False), scale
        ),
        f"generate, best: {_way(best)}": lambda: clocked(lambda: each(dtype, *best), scale),
        f"PEFT mixed batches of {size}": lambda: clocked(lambda: mixed(size)),
    }
    if best[2]:
        methods[f"generate, best beside: {_way(best_beside)}"] = lambda: clocked(
            lambda: each(dtype, *best_beside), scale
        )
    result = side_by_side(methods, rounds)
    theirs = each(dtype, *best_beside)
    same = [
        model.chat.text(b) == a
        for k in range(share)
        for a, b in zip(texts[k], theirs[k], strict=True)
    ]
    lengths = [len(row) for row in theirs[0]]
    return {
        "work": name,
        "route": cohort.routes[0],
        "rounds": rounds,
        "answer tokens": {"mean": statistics.mean(lengths), "most": max(lengths)},
        "answers equal to those of generate": f"{sum(same)} of {len(same)}",
        "methods": result,
    }


def _way(way: tuple[int, bool, bool]) -> str:
    batch, sort, merged = way
    return f"batch {batch}, {'sorted' if sort else 'unsorted'}, {'merged' if merged else 'beside'}"


def peak(dtype: torch.dtype) -> float:
    """FLOP/s of a large square matrix product on this thread."""
    a = torch.randn(1024, 1024).to(dtype)
    seconds = min(clocked(lambda: a @ a) for _ in range(20))
    return 2 * 1024**3 / seconds


def adapters_of(model: Model, where: Path, count: int) -> list[Path]:
    """Adapters far from zero: tuned for a specimen, random for a random model."""
    names = targeted(model, SETTINGS)
    places = []
    for k in range(count):
        pairs = {
            name: (a, 0.02 * torch.randn(b.shape, generator=torch.Generator().manual_seed(k)))
            for name, (a, b) in initial(model, names, SETTINGS, k).items()
        }
        save_adapter(peft_names(pairs), adapter_json(model, names, SETTINGS), where / str(k))
        places.append(where / str(k))
    return places


def tuned_adapters(model: Model, where: Path) -> list[Path]:
    """The demo's recipe in nine languages."""
    recipe = TuneSettings(
        rank=8, alpha=16, targets="all-linear", learning_rate=5e-3, warmup_steps=0, epochs=3,
        batch_size=16, weight_decay=0.0, loss="response",
    )  # fmt: skip
    examples = read_examples(specimens.path("specimen:benign"))
    runs = [
        Run([(row.request, row.response) for row in examples if row.language == code], 1, 2)
        for code in LANGUAGES
    ]
    for member, one in tune(model, runs, recipe):
        assert isinstance(one, Tuned), one
        one.save(where / str(member))
    return [where / str(member) for member in range(len(runs))]


def suite_prompts(count: int) -> list[str]:
    """Prompts of the specimens' suite, in turn from all nine languages."""
    rows = read_suite(specimens.path("specimen:suite"))
    by_language = [[row.text for row in rows if row.language == code] for code in LANGUAGES]
    return [by_language[i % 9][i // 9] for i in range(count)]


def with_stops(model: Model, share: float) -> Model:
    """A random model never ends its turn: some tokens of its vocabulary shall, so that rows do."""
    step = round(1 / share)
    model.chat.stop_ids = frozenset(range(5, model.vocabulary, step))
    return model


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("works", nargs="*", help="which (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    half, full = torch.bfloat16, torch.float32
    with tempfile.TemporaryDirectory() as scratch:
        micro = load(Source(str(SPECIMEN), device="cpu", dtype="float32"))
        large = load(Source(str(hundred_million(Path(scratch) / "large")), device="cpu"))
        small_steps = TuneSettings(**{**vars(SETTINGS), "batch_size": 2})
        works: dict[str, Callable[[], dict[str, Any]]] = {
            "train-micro": lambda: training(
                "training, specimen, 8 rows of about 96 tokens", micro, SETTINGS, 64, (80, 0.6), 9,
                given.rounds, full),
            "train-short": lambda: training(
                "training, specimen, 2 rows of about 14 tokens", micro, small_steps, 48, (13, 0.15),
                9, given.rounds, full),
            "train-100m": lambda: training(
                "training, 100M, 8 rows of about 96 tokens, float32", large, SETTINGS, 16,
                (80, 0.6), 1, given.rounds, full),
            "train-100m-bf16": lambda: training(
                "training, 100M, 8 rows of about 96 tokens, bfloat16", large, SETTINGS, 16,
                (80, 0.6), 1, given.rounds, half),
            "answer-micro": lambda: answering(
                "answers, specimen, 9 adapters, 100 prompts each", micro,
                tuned_adapters(micro, Path(scratch) / "micro"), suite_prompts(100), 24,
                given.rounds, full, 9),
            "answer-few": lambda: answering(
                "answers, specimen, 9 adapters, 8 prompts each", micro,
                tuned_adapters(micro, Path(scratch) / "micro"), suite_prompts(8), 24,
                given.rounds, full, 9),
            "answer-100m": lambda: answering(
                "answers, 100M, 9 adapters, 16 prompts each, float32", with_stops(large, 1 / 24),
                adapters_of(large, Path(scratch) / "many", 9), suite_prompts(16), 24,
                given.rounds, full, 2),
            "answer-100m-bf16": lambda: answering(
                "answers, 100M, 9 adapters, 16 prompts each, bfloat16", with_stops(large, 1 / 24),
                adapters_of(large, Path(scratch) / "many", 9), suite_prompts(16), 24,
                given.rounds, half, 2),
        }  # fmt: skip
        before = json.loads(given.out.read_text())["works"] if given.out.exists() else {}
        for key in given.works or works:
            found = {
                **works[key](),
                "date": datetime.now(UTC).date().isoformat(),
                "load": os.getloadavg()[0],
                "environment": {**environment(), "trl": _version("trl")},
            }
            before[key] = found
            print(json.dumps(found, indent=1), flush=True)
            content = {"command": "python benchmarks/engine.py", "works": before}
            given.out.write_text(json.dumps(content, indent=1) + "\n")


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
