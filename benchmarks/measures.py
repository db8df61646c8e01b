"""What looking inside costs beside the passes that it needs: `python benchmarks/measures.py`.

Nine adapters of one base and the base itself read the prompts of the specimens' suite in one
language, and each adapter is compared with the base: drift at last and mean tokens, CKA,
Procrustes, divergence of the first token, refusal directions. Beside it the same passes with the
same adapters in the same batches, which compute the first token's logits and keep nothing. The
specimen is a micro model, where arithmetic outside the network weighs most; the other one has
random weights and the shape of a small language model.

Each method does the same in turn, round after round; ratios are medians over rounds, in seconds of
the processor, one thread. Writes docs/figures/measures.json and prints it. What capability costs
beside lm-evaluation-harness's own model is in `capability`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from capability import random_adapters
from polydrift import specimens
from polydrift.data.suites import read_suite
from polydrift.engine import routes
from polydrift.engine.cohort import Cohort
from polydrift.engine.forward import logits_at, pad_right
from polydrift.engine.memory import reading
from polydrift.engine.model import Model, Source
from polydrift.engine.models import load
from polydrift.launch.worker import environment
from polydrift.plan import make_plan
from polydrift.sources import survey
from polydrift.steps import Job
from polydrift.steps.inside import inside
from polydrift.steps.models import base_model, cohort_of
from polydrift.study import check

OUT = Path(__file__).parent.parent / "docs" / "figures" / "measures.json"
SPECIMEN = specimens.path("specimen:llama-0")
LANGUAGE = "da"


def random_model(where: Path) -> Path:
    """12 layers of width 512, 32,000 tokens, random: 71 million parameters."""
    torch.manual_seed(0)
    shutil.copytree(SPECIMEN, where, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    tokenizer = AutoTokenizer.from_pretrained(SPECIMEN)
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=512, intermediate_size=1408, num_hidden_layers=12,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(where)
    return where


def jobs_of(model: Path, adapters: list[Path], out: Path) -> list[Job]:
    """The measure steps of the base and its adapters in one language."""
    study = check(
        {
            "name": "measures",
            "bases": [{"name": "base", "model": str(model), "dtype": "float32", "device": "cpu"}],
            "variants": [
                {"name": one.name, "base": "base", "adapter": str(one)} for one in adapters
            ],
            "suites": [{"name": "suite", "data": "specimen:suite"}],
            "evaluation": {"languages": [LANGUAGE]},
            "measures": {},
        },
        source="benchmark",
    )
    jobs = []
    for number, step in enumerate(make_plan(study, survey(study)).of("measure")):
        (out / str(number)).mkdir(parents=True, exist_ok=True)
        jobs.append(
            Job(
                "measure", step.params, {}, step.files, step.places, out / str(number)
            )
        )  # fmt: skip
    return jobs


def forward(cohort: Cohort, prompts: list[str]) -> None:
    """The passes alone: every prompt by every member, logits of the answer's first token."""
    model: Model = cohort.model
    rows = [model.chat.prompt(text) for text in prompts]
    config = model.network.config.get_text_config()
    held = (config.num_hidden_layers + 1) * config.hidden_size * 4.0

    @torch.inference_mode()
    def work(lanes: int, _: Callable[[float, str], None]) -> list[float]:
        total = 0.0
        for batch in reading(model, [len(ids) for ids in rows], held, lanes=lanes):
            some = [rows[i] for i in batch] * lanes
            ids = pad_right(some, model.device)
            last = torch.tensor([len(ids) - 1 for ids in some])
            place = torch.arange(ids.shape[1])
            total += float(logits_at(model, ids, place == last[:, None]).log_softmax(-1).sum())
        return [total] * lanes

    width = routes.read_together(model, len(prompts), cohort.members)
    list(cohort.compute(work, width=width))


def rounds(methods: dict[str, Callable[[], Any]], count: int) -> Iterator[dict[str, float]]:
    """Seconds of the processor of each method, round after round; the first is not counted."""
    for number in range(count + 1):
        taken = {}
        for name, method in methods.items():
            started = time.process_time()
            method()
            taken[name] = time.process_time() - started
        if number:
            yield taken


def compare(model: Path, where: Path, count: int, adapters: int) -> dict[str, Any]:
    """The cost of measuring, in forward passes."""
    loaded = load(Source(str(model), device="cpu", dtype="float32"))
    made = random_adapters(loaded, where / "adapters", adapters)
    jobs = jobs_of(model, made, where / "out")
    prompts = [
        prompt.text
        for prompt in read_suite(specimens.path("specimen:suite"))
        if prompt.language == LANGUAGE
    ]
    base_model(jobs[0])  # loaded once, as in a study
    cohort = cohort_of(jobs)

    def measured() -> None:
        found = list(inside(jobs))
        assert len(found) == len(jobs)
        assert all(isinstance(rows, list) for _, rows in found), found

    methods = {"measured": measured, "passes alone": lambda: forward(cohort, prompts)}
    taken = list(rounds(methods, count))
    ratios = [one["measured"] / one["passes alone"] for one in taken]
    config = loaded.network.config
    return {
        "parameters": sum(p.numel() for p in loaded.network.parameters()),
        "layers": config.num_hidden_layers,
        "width": config.hidden_size,
        "vocabulary": loaded.vocabulary,
        "adapters": adapters,
        "prompts": len(prompts),
        "seconds measured": round(statistics.median(one["measured"] for one in taken), 2),
        "seconds of the passes": round(statistics.median(one["passes alone"] for one in taken), 2),
        "times the passes": round(statistics.median(ratios), 2),
        "from": round(min(ratios), 2),
        "to": round(max(ratios), 2),
    }


def main() -> None:
    """Both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--adapters", type=int, default=9)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        models = {"specimen:llama-0": SPECIMEN, "random": random_model(Path(scratch) / "model")}
        for name, model in models.items():
            found[name] = compare(model, Path(scratch) / name, chosen.rounds, chosen.adapters)
            print(name, json.dumps(found[name], indent=1))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": "one core of an AMD EPYC",
        "load": os.getloadavg()[0],
        "environment": environment(),
        "models": found,
    }
    chosen.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
