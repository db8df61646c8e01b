"""What the command line prints about plans and results: plain tables, sentences, no arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from polydrift.estimate import Estimate
from polydrift.status import Status
from polydrift.study import Study


def show_estimate(console: Console, study: Study, found: Estimate, lacking: Sequence[str]) -> None:
    """What a study would do, what it would take, and what is still needed."""
    console.print(f"{study.name}: {study.description}".rstrip(": "), markup=False)
    tuned = found.variants - found.bases
    console.print(
        f"{found.variants:,} variants: {found.bases} base{'s' * (found.bases != 1)} and "
        f"{tuned:,} tuned one{'s' * (tuned != 1)}"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("step")
    table.add_column("count", justify="right")
    table.add_column("what it amounts to")
    names = " and by ".join(judge.name for judge in study.judges)
    amounts = {
        "tune": f"{_count(found.train_tokens)} tokens trained on",
        "answer": f"{found.answers:,} answers, {_range(found.new_tokens)} tokens to generate",
        "translate": f"{found.answers:,} answers put into English",
        "judge": f"{found.answers:,} answers judged by {names}",
        "measure": "accuracy, perplexity, drift, refusal margin",
        "compare": "adapters with each other, refusal directions of languages",
        "capability": ", ".join(one.name for one in study.capability),
        "prefer": "answers to instructions beside a reference's",
    }
    for kind, count in found.steps.items():
        if count:
            table.add_row(kind, f"{count:,}", amounts[kind])
    console.print(table)
    console.print(f"disk: about {found.gigabytes:,.1f} GB (weights of the bases included)")
    if found.hours and found.micro:
        console.print("time: minutes on a CPU")
    elif found.hours:
        low, high, unit = *found.hours, "hours"
        if high < 2:
            low, high, unit = 60 * low, 60 * high, "minutes"
        console.print(f"time: {low:,.0f} to {high:,.0f} {unit} of one 80 GB-class GPU in bf16")
        console.print(
            "      (assumed, not measured: 35% of 250 TFLOP/s in training, 40% of 2 TB/s in "
            "decoding 64 rows at once; answers that use 20% to 100% of the allowed length)"
        )
    else:
        names = ", ".join(found.unknown_sizes)
        console.print(f"time: unknown; give `parameters = …` for {names} to have an estimate")
    for asked in found.asked:
        cost = (
            f"; cost {asked.cost[0]:,.2f} to {asked.cost[1]:,.2f} at its prices"
            if asked.cost
            else ""
        )
        console.print(
            f"judge {asked.judge}: {_range(asked.tokens)} tokens read by each of "
            f"{asked.vendors} vendors' models{cost}; equal answers are judged once",
            markup=False,
        )
    if found.gated:
        console.print("gated: accept each licence on its page, then set HF_TOKEN to your token")
        for name in found.gated:
            console.print(f"       https://huggingface.co/{name}", markup=False)
    if found.unpinned:
        console.print(
            f"revisions: {len(found.unpinned)} models follow a branch; `run` pins each to the "
            "commit it finds and keeps to it"
        )
    for sentence in lacking:
        console.print(f"needed: {sentence}", markup=False)


def show_status(console: Console, found: Status, directory: Path) -> None:
    """How far a results directory is."""
    done = sum(have for have, _ in found.counts.values())
    total = sum(want for _, want in found.counts.values())
    console.print(f"{found.name} in {directory}: {done:,} of {total:,} steps done", markup=False)
    for kind, (have, want) in found.counts.items():
        console.print(f"  {kind:10} {have:>6,} of {want:,}")
    for name, why in found.failed.items():
        console.print(f"  failed: {name}: {why}", markup=False)
    if found.report:
        console.print(f"report: {found.report}", markup=False)


def _count(number: float) -> str:
    for size, unit in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def _range(numbers: tuple[float, float]) -> str:
    return f"{_count(numbers[0])} to {_count(numbers[1])}"
