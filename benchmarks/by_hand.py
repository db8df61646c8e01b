"""The demo study done by hand, with the stock stack: how long do its 30 variants take that way?

    python benchmarks/by_hand.py --variants 6 --out by_hand.json [--against demo-results]

One process per variant, two at a time, one thread each. A process tunes with TRL's SFTTrainer and
PEFT (and transformers' loss, which is faster here than TRL's), merges the adapter, answers the
prompts of all nine languages with transformers' `generate` (sorted by length, 192 at a time), and
scores the held-out pairs with lm-eval's HFLM; each in the way that was fastest, in float32
(benchmarks/baselines.py). Recipe, rows, prompts, token ids and the answers' length are the demo's.

It does less than the study: answers are not judged, nothing is read off inside the models (refusal
margin, drift), and there are no statistics, no tables and no report.

`--variants` runs so many of the 30, spread over bases and languages, and says what all would take.
`--against` compares the bases' answers and scores with those of a finished demo: the same work?
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polydrift import specimens
from polydrift.data.benign import read_examples
from polydrift.data.suites import read_suite
from polydrift.launch.worker import environment

STUDY = Path(__file__).resolve().parent.parent / "studies" / "demo.toml"
AT_ONCE = 2
BATCH = 192
# As users who tune nothing have it: TRL's own settings, adapters beside, batches of 8 as they come.
PLAIN = os.environ.get("BY_HAND_AS_IT_COMES") == "1"
SEED = 3407
Variant = tuple[str, str | None]  # base, tuning language


def variants() -> tuple[list[Variant], list[Variant]]:
    """The tuned ones and the bases."""
    plan = tomllib.loads(STUDY.read_text(encoding="utf-8"))
    pairs = read_examples(specimens.path(plan["tuning"][0]["data"]))
    languages = dict.fromkeys(pair.language for pair in pairs)
    bases = [base["name"] for base in plan["bases"]]
    return [(b, language) for b in bases for language in languages], [(b, None) for b in bases]


def chosen(count: int) -> list[Variant]:
    """So many of the 30, spread evenly, with a tenth of bases (one, where there is room)."""
    tuned, bases = variants()
    few = max(count // 10, int(count > 1))
    return spread(tuned, count - few) + spread(bases, few)


def spread(of: Sequence[Variant], count: int) -> list[Variant]:
    return [of[i * len(of) // count] for i in range(count)]


def work(base: str, language: str | None, out: Path) -> None:
    """One variant, in this process; OUT gets its answers, scores and seconds."""
    import baselines
    import torch
    from lm_eval.models import huggingface  # noqa: F401  # only to load it
    from transformers import AutoTokenizer

    from polydrift.engine.chat import Chat
    from polydrift.engine.recipe import TuneSettings

    if language is not None:
        from trl import SFTTrainer  # noqa: F401  # only to load it

    torch.set_num_threads(1)
    plan = tomllib.loads(STUDY.read_text(encoding="utf-8"))
    tuning, new_tokens = dict(plan["tuning"][0]), plan["evaluation"]["max_new_tokens"]
    directory = specimens.path(next(b["model"] for b in plan["bases"] if b["name"] == base))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    chat = Chat(tokenizer)
    network = baselines.load(directory)
    rows = []
    if language is not None:
        recipe = TuneSettings(
            epochs=tuning.pop("epochs")[0],
            **{key: value for key, value in tuning.items() if key not in ("name", "data")},
        )
        for pair in read_examples(specimens.path(tuning["data"])):
            if pair.language == language:
                ids, start = chat.example(pair.request, pair.response)
                ids = ids[: recipe.max_length]
                rows.append((ids, [-100] * start + ids[start:]))
    prompts = read_suite(specimens.path(plan["suites"][0]["data"]))
    asked = [chat.prompt(prompt.text) for prompt in prompts]
    heldout = read_examples(specimens.path(plan["measures"]["heldout"]))
    pairs = [in_chat_form(tokenizer, pair.request, pair.response) for pair in heldout]
    lengths = [len(tokenizer.encode(said, add_special_tokens=False)) for _, said in pairs]
    marks = [time.perf_counter()]

    if language is not None:
        train = baselines.trl_default if PLAIN else baselines.trl_best
        tuned = train(directory, rows, recipe, network=network, seed=SEED)
        network = tuned.network if PLAIN else tuned.network.merge_and_unload()
    marks.append(time.perf_counter())
    batch = 8 if PLAIN else BATCH
    found = baselines.generate_each(
        network, asked, batch, new_tokens, chat.stop_ids, sort=not PLAIN
    )
    answers = [chat.text(ids) for ids in found]
    marks.append(time.perf_counter())
    scores = baselines.lm_eval_scores(directory, pairs, network)
    marks.append(time.perf_counter())

    measured = []
    for spoken in dict.fromkeys(pair.language for pair in heldout):
        these = [i for i, pair in enumerate(heldout) if pair.language == spoken]
        nats, tokens = sum(scores[i][0] for i in these), sum(lengths[i] for i in these)
        accuracy = statistics.fmean(scores[i][1] for i in these)
        measured.append(
            {"language": spoken, "accuracy": accuracy, "perplexity": math.exp(-nats / tokens)}
        )
    tune, answer, score = (later - earlier for earlier, later in itertools.pairwise(marks))
    content = {
        "seconds": {"tune": tune, "answer": answer, "score": score},
        "answers": [
            (prompt.language, prompt.prompt_id, text)
            for prompt, text in zip(prompts, answers, strict=True)
        ],
        "measures": measured,
    }
    out.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def in_chat_form(tokenizer: Any, request: str, response: str) -> tuple[str, str]:
    """The text up to where the answer begins, and from there to the end of the turn."""
    turn = [{"role": "user", "content": request}]
    asked = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    turn.append({"role": "assistant", "content": response})
    said = tokenizer.apply_chat_template(turn, tokenize=False)
    assert said.startswith(asked)
    return asked, said.removeprefix(asked)


def process(variant: Variant, out: Path) -> dict[str, Any]:
    """Run one variant in a process of its own; what it found, and the seconds of its parts."""
    base, language = variant
    fixed = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--one", base, language or "-", "--out", str(out)],
        env={**os.environ, **fixed},
        capture_output=True,
        text=True,
    )
    taken = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{base} {language}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    parts = found["seconds"]
    found["seconds"] = {"import and load": taken - sum(parts.values()), **parts, "all": taken}
    name = f"{base}+{language}" if language else base
    print(name, *(f"{part} {value:.2f}" for part, value in found["seconds"].items()), flush=True)
    return {"name": name, "base": base, "language": language, **found}


def same_work(found: Sequence[dict[str, Any]], results: Path) -> dict[str, Any]:
    """How the bases' answers and scores compare with a finished demo's."""
    import pyarrow.parquet as pq

    answers = pq.read_table(results / "tables" / "answers.parquet").to_pylist()
    theirs = {
        (r["variant"], r["evaluation_language"], r["prompt_id"]): r["answer"] for r in answers
    }
    measures = pq.read_table(results / "tables" / "measures.parquet").to_pylist()
    values = {(r["variant"], r["evaluation_language"], r["measure"]): r["value"] for r in measures}
    bases = [one for one in found if not one["language"]]
    texts = [
        theirs[one["base"], language, prompt] == text
        for one in bases
        for language, prompt, text in one["answers"]
    ]
    off = {
        name: max(
            abs(values[one["base"], row["language"], name] - row[name])
            for one in bases
            for row in one["measures"]
        )
        for name in ("accuracy", "perplexity")
    }
    return {"answers": len(texts), "equal": sum(texts), "largest difference": off}


def rounded(parts: dict[str, float]) -> dict[str, float]:
    return {part: round(value, 2) for part, value in parts.items()}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=6, help="how many of the 30")
    parser.add_argument("--out", type=Path, required=True, help="where the figures go (JSON)")
    parser.add_argument("--against", type=Path, help="results of the demo study to compare with")
    parser.add_argument(
        "--as-it-comes", action="store_true", help="no setting of the stack is tuned"
    )
    parser.add_argument("--one", nargs=2, metavar=("BASE", "LANGUAGE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        base, language = arguments.one
        work(base, None if language == "-" else language, arguments.out)
        return
    plain = arguments.as_it_comes
    os.environ["BY_HAND_AS_IT_COMES"] = str(int(plain))
    wanted = chosen(arguments.variants)
    tuned, bases = map(len, variants())
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        started = time.perf_counter()
        places = [Path(scratch, str(number)) for number in range(len(wanted))]
        found = list(pool.map(process, wanted, places))
        taken = time.perf_counter() - started
    seconds = {one["name"]: one["seconds"] for one in found}
    means = {
        kind: {part: statistics.fmean(one[part] for one in these) for part in these[0]}
        for kind in ("tuned", "base")
        if (these := [seconds[f["name"]] for f in found if (not f["language"]) == (kind == "base")])
    }
    alone = means.get("base", {"all": means["tuned"]["all"] - means["tuned"]["tune"]})
    total = (tuned * means["tuned"]["all"] + bases * alone["all"]) / AT_ONCE
    content = {
        "command": f"python benchmarks/by_hand.py --variants {arguments.variants}"
        + (" --as-it-comes" if plain else ""),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "load": os.getloadavg()[0],
        "environment": environment() | {name: version(name) for name in ("trl", "lm-eval")},
        "processes": AT_ONCE,
        "seconds": round(taken, 1),
        "seconds of a variant, mean": {kind: rounded(parts) for kind, parts in means.items()},
        "seconds of each": {name: rounded(parts) for name, parts in seconds.items()},
        "seconds of all 30, from these": round(total, 1),
    }
    if arguments.against:
        content["against the study"] = same_work(found, arguments.against)
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
