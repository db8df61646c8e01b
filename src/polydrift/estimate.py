"""What a study will take, before any of it is run: honest about what is an assumption.

Work is counted exactly where it can be (steps, variants, answers, rows); tokens come from bytes of
text, and hours from one assumed GPU, whose numbers stand below and in what is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polydrift.plan import Plan
from polydrift.references import model_reference
from polydrift.sources import Sources
from polydrift.step import KINDS
from polydrift.study import Study

# One data-centre GPU of the 80 GB class, in bf16, as software of today uses it: assumed.
TRAIN_FLOPS = 250e12 * 0.35
READ_FLOPS = 250e12 * 0.5
# Generation in batches of 64 rows reads all weights once per step.
BANDWIDTH = 2e12 * 0.4
ROWS = 64
# How much of the allowed length answers use: between a fifth and all of it.
SHARE_LOW, SHARE_HIGH = 0.2, 1.0
# Tokens of a judge's question around the request and the answer, and of its reply: assumed.
QUESTION, REPLY = 300, 12
# Loading weights and adapters, writing, per step; nothing worth counting for micro models.
PER_STEP_SECONDS = 5.0
MICRO = 50e6


@dataclass(frozen=True, slots=True)
class Asked:
    """What judges that are vendors' models are asked. tokens: (low, high) that each reads; cost:
    (low, high) of all that have prices, None if none has.
    """

    judge: str
    vendors: int
    tokens: tuple[float, float]
    cost: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Totals of a plan. hours: (low, high) on one assumed GPU, None if a size is unknown.

    micro: all bases are so small that a GPU would not help.
    """

    steps: dict[str, int]
    bases: int
    variants: int
    answers: int
    train_tokens: float
    new_tokens: tuple[float, float]
    gigabytes: float
    hours: tuple[float, float] | None
    micro: bool
    asked: tuple[Asked, ...]
    unknown_sizes: list[str]
    gated: list[str]
    unpinned: list[str]


def estimate(study: Study, plan: Plan, sources: Sources) -> Estimate:
    """Count a plan's work and estimate what it takes."""
    bases = {base.name: _size(base.model, base.revision, sources) for base in study.bases}
    others = {
        f"judge {judge.name}": _size(judge.model, judge.revision, sources) for judge in study.judges
    }
    if translation := study.translation:
        others["translation"] = _size(translation.model, translation.revision, sources)
    sizes = bases | others
    unknown = [name for name, size in sizes.items() if size is None]
    hours = None
    if not unknown:
        hours = (
            sum(_seconds(plan, sizes, SHARE_LOW)) / 3600,
            sum(_seconds(plan, sizes, SHARE_HIGH)) / 3600,
        )
    new = sum(step.cost.new_tokens for step in plan.of("answer"))
    weights = sum(2 * size for size in sizes.values() if size)
    return Estimate(
        steps={kind: len(plan.of(kind)) for kind in KINDS},
        bases=len(bases),
        variants=len(plan.variants),
        answers=sum(step.cost.answers for step in plan.of("answer")),
        train_tokens=sum(step.cost.train_tokens for step in plan.steps),
        new_tokens=(SHARE_LOW * new, SHARE_HIGH * new),
        gigabytes=(weights + sum(step.cost.bytes for step in plan.steps)) / 1e9,
        hours=hours,
        micro=all(size is not None and size <= MICRO for size in sizes.values()),
        asked=tuple(_asked(study, plan)),
        unknown_sizes=unknown,
        gated=[name for name, model in sources.models.items() if model.gated],
        unpinned=[name for name, model in sources.models.items() if not model.pinned],
    )


def _size(model: str | None, revision: str | None, sources: Sources) -> float | None:
    """Parameters of what is computed here; 0 for rules, vendors and files."""
    return sources.models[model_reference(model, revision)].parameters if model else 0.0


def _asked(study: Study, plan: Plan) -> Iterator[Asked]:
    """What vendors' models are asked; equal answers, which are judged once, count each."""
    answers = sum(step.cost.answers for step in plan.of("answer"))
    new = sum(step.cost.new_tokens for step in plan.of("answer"))
    for judge in study.judges:
        if judge.vendors:
            times = 2 if judge.translate and judge.untranslated else 1
            tokens = [
                times * (answers * QUESTION + share * new) for share in (SHARE_LOW, SHARE_HIGH)
            ]
            prices = list(judge.prices.values())
            costs = [
                sum(read * one + times * answers * REPLY * write for one, write in prices) / 1e6
                for read in tokens
            ]
            yield Asked(
                judge.name,
                len(judge.vendors),
                (tokens[0], tokens[1]),
                (costs[0], costs[1]) if prices else None,
            )


def _seconds(plan: Plan, sizes: dict[str, float | None], share: float) -> list[float]:
    """Each step on the assumed GPU: 4 FLOPs per parameter and trained token (LoRA needs no
    gradient of the frozen weights: 2 forward, 2 backward), 2 per token read, one reading of all
    weights (2 bytes each) per generated token and 64 rows.
    """
    seconds = []
    for step in plan.steps:
        cost, read = step.cost, step.cost.read_tokens
        if step.kind == "judge":  # what it reads are answers
            size, read = sizes[f"judge {step.cell.judge}"] or 0.0, share * read
        else:
            size = sizes["translation" if step.kind == "translate" else step.cell.base] or 0.0
        seconds.append(
            (PER_STEP_SECONDS if size > MICRO else 0.0)
            + 4 * size * cost.train_tokens / TRAIN_FLOPS
            + 2 * size * read / READ_FLOPS
            + share * cost.new_tokens / ROWS * 2 * size / BANDWIDTH
        )
    return seconds
