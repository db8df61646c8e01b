"""Capability of nine adapters: one pass beside lm-eval's `hf` model run once for each.

    python benchmarks/capability.py DATA_DIR

DATA_DIR holds public data that is not part of this project (docs/capability.md says where it comes
from). Local tasks are written over it into a temporary directory: Global-MMLU-Lite (four languages,
letters as choices), SIB-200 (nine languages, words as choices) and MGSM (three languages, written
answers). The model is a specimen with nine random adapters.

Each method does the same questions in turn, round after round; ratios are medians over rounds of
(theirs / ours) in the same round. Seconds are those of the processor, one thread, so that other
work on the machine counts less. lm-eval's model is loaded with each adapter in turn and handed
tasks that are loaded already (by `evaluate`: its `simple_evaluate` takes some seconds more to list
all tasks and describe the machine); its best batch is the fastest of 8, 16, 32 and 64. Ours loads
tasks and adapters within its time. All numbers are compared. Writes
docs/figures/capability.json and prints the same. The figures in the docs are of

    python benchmarks/capability.py DATA_DIR --kinds Global-MMLU-Lite MGSM
    python benchmarks/capability.py DATA_DIR --kinds SIB-200 --limit 20
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, get_peft_model

from polydrift import specimens
from polydrift.capability.measure import capability
from polydrift.capability.results import Results
from polydrift.capability.silence import hushed
from polydrift.engine.cohort import Cohort
from polydrift.engine.model import Model, Source
from polydrift.engine.models import load
from polydrift.launch.worker import environment

OUT = Path(__file__).parent.parent / "docs" / "figures" / "capability.json"
SPECIMEN = specimens.path("specimen:llama-0")
BATCHES = (8, 16, 32, 64)
MEAN = {"aggregation": "mean", "higher_is_better": True}
TOPICS = [
    "science/technology", "travel", "politics", "sports", "health", "entertainment", "geography",
]  # fmt: skip
LETTERS = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{question.strip()}}\nA. {{A}}\nB. {{B}}\nC. {{C}}\nD. {{D}}\nAnswer:",
    "doc_to_choice": ["A", "B", "C", "D"],
    "doc_to_target": "answer",
    "metric_list": [{"metric": "acc", **MEAN}],
}
TOPIC = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{text}}\nTopic:",
    "doc_to_choice": TOPICS,
    "doc_to_target": "topic",
    "metric_list": [{"metric": "acc", **MEAN}, {"metric": "acc_norm", **MEAN}],
}
NUMBER = {
    "output_type": "generate_until",
    "doc_to_text": "{{question}}\nAnswer:",
    "doc_to_target": "answer",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 32, "do_sample": False},
    "metric_list": [{"metric": "exact_match", **MEAN}],
}


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file, gzipped or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def write_tasks(data: Path, where: Path) -> dict[str, list[str]]:
    """YAML tasks over the data; {kind: names}."""
    kinds: dict[str, list[str]] = {"Global-MMLU-Lite": [], "SIB-200": [], "MGSM": []}

    def add(kind: str, code: str, task: Mapping[str, Any], rows: Iterable[Any]) -> None:
        name = f"{kind.lower().replace('-', '_')}_{code}"
        file = where / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        whole = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {
                "data_files": {"test": str(file)},
                "cache_dir": str(where / "cache"),
            },
            "test_split": "test",
            "metadata": {"version": 1.0},
            **task,
        }
        (where / f"{name}.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
        kinds[kind].append(name)

    mmlu = read(data / "global_mmlu_lite" / "global_mmlu_lite_en_tl_zh_hi.jsonl.gz")
    for code in ("en", "tl", "zh", "hi"):
        rows = ({**row[code], "answer": "ABCD".index(row["answer"])} for row in mmlu if code in row)
        add("Global-MMLU-Lite", code, LETTERS, rows)
    sib = [
        row
        for row in read(data / "sib200_flores_parallel" / "sib200_9lang.jsonl.gz")
        if row["split"] == "test"
    ]
    for code in ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl"):
        rows = ({"text": row[code], "topic": TOPICS.index(row["category"])} for row in sib)
        add("SIB-200", code, TOPIC, rows)
    for code in ("en", "es", "zh"):
        rows = (
            {"question": row[code], "answer": row["answer"]}
            for row in read(data / "mgsm" / "mgsm_en_es_zh.jsonl")
        )
        add("MGSM", code, NUMBER, rows)
    return kinds


def random_adapters(model: Model, where: Path, count: int) -> list[Path]:
    """Rank-8 adapters of all linear layers of a model, as PEFT saves them."""
    found = []
    for number in range(count):
        torch.manual_seed(number)
        settings = LoraConfig(
            r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM",
            init_lora_weights=False,
        )  # fmt: skip
        tuned = get_peft_model(load(model.source).network, settings)
        with torch.no_grad():
            for name, parameter in tuned.named_parameters():
                if "lora_B" in name:
                    parameter.mul_(0.1)
        tuned.save_pretrained(where / f"adapter-{number}")
        found.append(where / f"adapter-{number}")
    return found


def ours(
    model: Model, adapters: list[Path], names: list[str], include: Path, limit: int | None
) -> list[Results]:
    """Results of each adapter."""
    cohort = Cohort(model, [*adapters])
    found = dict(capability(cohort, names, include_path=include, limit=limit, bootstrap=100))
    results = [found[member] for member in range(len(adapters))]
    assert all(isinstance(one, Results) for one in results), results
    return [one for one in results if isinstance(one, Results)]


def theirs(
    adapters: list[Path], tasks: dict[str, Any], batch: int, limit: int | None
) -> list[dict[str, Any]]:
    """What lm_eval's evaluator finds for each adapter, its `hf` model loaded anew."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    found = []
    with hushed():
        for adapter in adapters:
            for task in tasks["tasks"].values():
                task.set_config(key="num_fewshot", value=0)
            lm = HFLM(
                str(SPECIMEN), peft=str(adapter), device="cpu", dtype="float32", batch_size=batch
            )
            found.append(evaluate(lm, tasks, limit=limit, bootstrap_iters=100))
    return found


def ready(names: list[str], include: Path) -> dict[str, Any]:
    """lm-eval's tasks, loaded."""
    from lm_eval.tasks import TaskManager

    with hushed():
        manager = TaskManager(include_path=str(include), include_defaults=False)
        return dict(manager.load(names))


def differing(mine: list[Results], wanted: list[dict[str, Any]]) -> int:
    """How many figures are not the same to 1e-9."""
    count = 0
    for one, other in zip(mine, wanted, strict=True):
        for name, task in one.tasks.items():
            for figure in task.figures:
                value = other["results"][name][f"{figure.metric},{figure.filter}"]
                count += int(abs(value - figure.value) > 1e-9)
    return count


def clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, and what the work gave."""
    started = time.process_time()
    found = work()
    return time.process_time() - started, found


def compare(
    model: Model, adapters: list[Path], names: list[str], include: Path, limit: int | None,
    rounds: int,
) -> dict[str, Any]:  # fmt: skip
    """Seconds of each method for all adapters, and how many times ours."""
    tasks = ready(names, include)
    theirs(adapters[:1], tasks, 8, 4)  # warms up
    swept = {b: clocked(lambda b=b: theirs(adapters[:1], tasks, b, limit))[0] for b in BATCHES}
    best = min(swept, key=lambda batch: swept[batch])
    taken: dict[str, list[float]] = {"polydrift": [], "hf, batch 1": [], "hf, best batch": []}
    wrong = figures = 0
    for _ in range(rounds):
        seconds, mine = clocked(lambda: ours(model, adapters, names, include, limit))
        taken["polydrift"].append(seconds)
        for name, batch in (("hf, batch 1", 1), ("hf, best batch", best)):
            seconds, wanted = clocked(lambda batch=batch: theirs(adapters, tasks, batch, limit))
            taken[name].append(seconds)
            wrong += differing(mine, wanted)
            figures += sum(len(task.figures) for one in mine for task in one.tasks.values())
    first = taken["polydrift"]
    return {
        "questions of each adapter": sum(task.n for task in mine[0].tasks.values()),
        "requests of each that lost their beginning": sum(
            task.truncated for task in mine[0].tasks.values()
        ),
        "tasks": len(names),
        "adapters": len(adapters),
        "rounds": rounds,
        "best batch": best,
        "seconds of one adapter by batch": {str(k): round(v, 2) for k, v in swept.items()},
        "figures compared": figures,
        "figures that differ": wrong,
        "methods": {
            name: {
                "seconds": round(statistics.median(times), 2),
                "times ours": round(
                    statistics.median(t / o for t, o in zip(times, first, strict=True)), 2
                ),
                "from": round(min(t / o for t, o in zip(times, first, strict=True)), 2),
                "to": round(max(t / o for t, o in zip(times, first, strict=True)), 2),
            }
            for name, times in taken.items()
        },
    }


def main() -> None:
    """Every kind of task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="directory with the public data")
    parser.add_argument("--kinds", nargs="*", help="only these; others stay as they are in OUT")
    parser.add_argument("--limit", type=int, default=40, help="questions of each task")
    parser.add_argument("--adapters", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    if chosen.kinds and chosen.out.exists():
        found = json.loads(chosen.out.read_text(encoding="utf-8"))["kinds"]
    with tempfile.TemporaryDirectory() as scratch:
        include = Path(scratch)
        kinds = write_tasks(chosen.data, include)
        model = load(Source(str(SPECIMEN), device="cpu", dtype="float32"))
        adapters = random_adapters(model, include, chosen.adapters)
        for kind in chosen.kinds or kinds:
            found[kind] = compare(
                model, adapters, kinds[kind], include, chosen.limit, chosen.rounds
            )
            print(kind, json.dumps(found[kind], indent=1))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": "one core of an AMD EPYC",
        "load": os.getloadavg()[0],
        "model": "specimen:llama-0, float32",
        "environment": environment() | {name: version(name) for name in ("lm_eval", "datasets")},
        "kinds": found,
    }
    chosen.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
