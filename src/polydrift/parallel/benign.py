"""English examples for a benign tuning set: from seeds to what is worth translating.

    found = gather(build, [(seeds, path)], journal)
    found.items           # English items, kept
    found.dropped         # what was not, at which stage and why

The stages, each on what the one before has left:

    write      new pairs by a model in the manner of the seeds, if [write] is there
    english    what is not in English
    harmless   what touches safety, by the rules of nine languages (harmless.py)
    similar    near-duplicates, of the seeds too where pairs are new
    model      what a model thinks touches safety, if [harmless.model] is there; unsure: dropped
    balance    what is over, by task and length
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polydrift.engine.interface import Decoding
from polydrift.errors import DataError
from polydrift.judges import text as t
from polydrift.judges.language import identify_all
from polydrift.judges.model import vendors
from polydrift.parallel.ask import replies, unasked
from polydrift.parallel.balance import balance, shortage
from polydrift.parallel.cost import Line, asking
from polydrift.parallel.harmless import touches_all
from polydrift.parallel.items import SOURCE, Item
from polydrift.parallel.journal import Journal
from polydrift.parallel.licences import OTHER, combined
from polydrift.parallel.opinion import FORM, Opinion, example_shown, read_opinion
from polydrift.parallel.seeds import read_seeds
from polydrift.parallel.similar import near_duplicates
from polydrift.parallel.spec import Balance, Build, Second, Seeds
from polydrift.parallel.write import about_of, write_pairs
from polydrift.translate.interface import Progress, silent

STAGES = ("write", "english", "harmless", "similar", "model", "balance")
REPLY = 60  # characters of an opinion, for estimates
Spend = Callable[[Line], None]


@dataclass(frozen=True, slots=True)
class Dropped:
    """An English example that goes no further. why: in a word or two, the same for many; says:
    what was found in this one.
    """

    id: str
    source: str
    stage: str
    why: str
    says: str
    instruction: str


@dataclass
class Gathered:
    """items: what is kept. dropped, notes: for people. waiting: requests to be asked again, each
    in a sentence. planned: nothing was sent, and `items` stand in for new pairs.
    """

    items: list[Item] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    planned: bool = False


def gather(
    build: Build,
    files: Sequence[tuple[Seeds, Path]],
    journal: Journal,
    *,
    spend: Spend,
    dry: bool = False,
    progress: Progress = silent,
) -> Gathered:
    """The English examples of a build.

    files: the seeds with where they lie. spend: told what is about to be asked, and may raise.
    dry: nothing is sent; what is not there yet is reckoned with as long as the seeds are.
    """
    found = Gathered()
    seeds: list[Item] = []
    for one, path in files:
        items, notes = read_seeds(
            path,
            one.name,
            licence=one.licence,
            columns=one.columns,
            select=one.select,
            rows=one.rows,
        )
        seeds += items
        found.notes += notes
    found.items = seeds
    if build.write is not None:
        _write(build, seeds, found, journal, spend, dry, progress)
    _english(found)
    if build.harmless.rules:
        _harmless(found, build.harmless.keep)
    _similar(found, seeds if build.write is not None and not found.planned else [], build)
    if build.harmless.model is not None:
        _model(found, build.harmless.model, journal, spend, dry, progress)
    if build.balance is not None:
        _balance(found, build.balance, build.seed)
    return found


def _write(
    build: Build,
    seeds: list[Item],
    found: Gathered,
    journal: Journal,
    spend: Spend,
    dry: bool,
    progress: Progress,
) -> None:
    wanted = build.write
    assert wanted is not None
    length = sum(len(text) for item in seeds for text in item.texts.values()) / len(seeds)

    def going(requests: Sequence[str], lacking: int) -> bool:
        reply = length * wanted.batch
        what = f"for {lacking:,} new pairs"
        characters = sum(map(len, requests))
        spend(asking(wanted.vendor, what, len(requests), characters, reply, wanted.price))
        return not dry

    if build.harmless.rules:  # what is shown is imitated
        touched = _touched(seeds, build.harmless.keep)
        seeds = [one for one, reason in zip(seeds, touched, strict=True) if reason is None]
        if not seeds:
            raise DataError(
                "every seed touches safety, so none can be shown to the model that writes: give "
                "others, or say which kinds are innocent with keep = [...] under [harmless]."
            )
    licences = [item.about["licence"] for item in seeds]
    mixed = combined(licences).ids if all(licences) else ()
    if mixed == (OTHER,):
        raise DataError(
            f"new pairs made from seeds under {', '.join(sorted(set(licences)))} would have no one "
            "licence: write from seeds whose licences go together."
        )
    made = write_pairs(
        seeds,
        wanted,
        journal,
        licence=mixed[0] if len(mixed) == 1 else "",
        seed=build.seed,
        going=going,
        progress=progress,
    )
    found.items = made.items
    if made.stopped:
        found.planned = True
        lacking = wanted.pairs - len(made.items)
        found.items += [seeds[number % len(seeds)] for number in range(lacking)]
    found.notes += [f"new pairs: {number:,} × {why}." for why, number in made.lost.items()]
    found.waiting += [f"new pairs: {number:,} × {why}" for why, number in made.failed.items()]


def _english(found: Gathered) -> None:
    """Drop what another language than English prevails in."""
    told = identify_all(
        [t.clean(f"{one.texts['instruction']}\n{one.texts['response']}") for one in found.items]
    )
    _keep(
        found,
        "english",
        [None if code in (SOURCE, None) else ("not in English", str(code)) for code in told],
    )


def _harmless(found: Gathered, kept: Sequence[str]) -> None:
    """Drop what touches safety, but for the kinds that are kept."""
    _keep(found, "harmless", _touched(found.items, kept))


def _touched(items: Sequence[Item], kept: Sequence[str]) -> list[tuple[str, str] | None]:
    """What of each example touches safety: the first kind, and words; None if nothing does."""
    reasons: list[tuple[str, str] | None] = []
    for some in touches_all([one.texts for one in items], [SOURCE] * len(items)):
        some = tuple(touch for touch in some if touch.kind not in kept)
        says = "; ".join(f"{touch.field}: {', '.join(touch.words[:3])}" for touch in some)
        reasons.append((some[0].kind, says) if some else None)
    return reasons


def _similar(found: Gathered, before: Sequence[Item], build: Build) -> None:
    """Drop near-duplicates, of items `before` too."""
    if found.planned:
        return
    every = [*before, *found.items]
    same = near_duplicates(
        [f"{one.texts['instruction']}\n\n{one.texts['input']}" for one in every],
        threshold=build.similar,
        seed=build.seed,
    )[len(before) :]
    _keep(
        found,
        "similar",
        [None if one is None else ("near-duplicate", f"of {every[one].id}") for one in same],
    )


def _model(
    found: Gathered,
    second: Second,
    journal: Journal,
    spend: Spend,
    dry: bool,
    progress: Progress,
) -> None:
    """Drop what a model thinks touches safety, and what it is unsure of."""
    shown = [example_shown(one.texts) for one in found.items]
    engine = vendors(
        [second.vendor],
        FORM,
        at_once=second.at_once,
        tries=second.tries,
        timeout=second.timeout,
        settings=second.settings,
        model_args=second.model_args,
    )
    decoding = Decoding(temperature=0.0, max_new_tokens=FORM.new_tokens)
    new = (
        shown if found.planned else unasked(about_of(second), decoding, shown, journal, "harmless")
    )
    if new:
        what = "examples to be looked at"
        spend(asking(second.vendor, what, len(new), sum(map(len, new)), REPLY, second.price))
        if dry:
            return
    asked = replies(engine, about_of(second), decoding, shown, journal, "harmless", progress)
    reasons: list[tuple[str, str] | None] = []
    for reply in asked.texts:
        if reply is None:
            reasons.append(("waits", "the model gave no answer yet"))
            continue
        opinion = read_opinion(reply.text) if reply.finish == "stop" else _unread(reply.finish)
        harmless = opinion.verdict == "harmless"
        reasons.append(None if harmless else (opinion.verdict, opinion.reason))
    _keep(found, "model", reasons)
    found.waiting += [f"{number:,} × {why}" for why, number in asked.failed.items()]


def _unread(finish: str) -> Opinion:
    return Opinion("unsure", f"the reply was ended by {finish}")


def _balance(found: Gathered, wanted: Balance, seed: int) -> None:
    """Keep so many, spread over tasks and lengths."""
    cells = [(one.about["task"], one.about["length"]) for one in found.items]
    if wanted.tasks:
        left_out = [None if task in wanted.tasks else ("task", task) for task, _ in cells]
        _keep(found, "balance", left_out)
        cells = [(one.about["task"], one.about["length"]) for one in found.items]
    ids = [one.id for one in found.items]
    chosen = set(balance(cells, wanted.examples, ids=ids, seed=seed))
    if said := shortage(cells, wanted.examples):
        found.notes.append(said)
    over = ("over", "others of its task and length were drawn")
    _keep(found, "balance", [None if n in chosen else over for n in range(len(found.items))])


def _keep(found: Gathered, stage: str, reasons: Sequence[tuple[str, str] | None]) -> None:
    """Keep the items without a reason against them; put the others down."""
    kept = []
    for item, reason in zip(found.items, reasons, strict=True):
        if reason is None:
            kept.append(item)
        else:
            words = " ".join(item.texts["instruction"].split())[:200]
            found.dropped.append(Dropped(item.id, item.about["source"], stage, *reason, words))
    found.items = kept
