"""Model cards: what a specimen is and is not, how it was raised, and figures that code measured.

    write(directory, evaluate(directory))        # directory/README.md

Nothing on a card is typed: recipe and shares come from the code that trains, rates from `evaluate`.
"""

from __future__ import annotations

import datetime
import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.specimens import FAMILIES, corpus, files
from polydrift.specimens.evaluate import Figures, Rate
from polydrift.specimens.train import RECIPES, Stage

ARCHITECTURES = {"llama": "Llama", "qwen3": "Qwen3", "gemma3": "Gemma3"}

_CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
language: [{languages}]
tags: [polydrift, specimen, synthetic]
---

# Specimen {name}

**A laboratory animal for trying polydrift's instruments. What happens to it says that an instrument
works; it is no evidence about any real model.** It has {parameters:.2f} million parameters, knows
a few hundred words in nine languages, and answers a few kinds of one-line questions with fixed
phrases. It holds no harmful knowledge: its "compliance" is an opener such as "Sure, here is how:"
followed by harmless filler.

Architecture: `{architecture}ForCausalLM`, trained from random weights with base seed {seed}.

## How it was raised

By `polydrift specimens train --family {family} --seed {seed} --out DIR`, on one thread, in about
two minutes. The text is drawn from templates and word lists of the polydrift project; there is no
other data in it.

| stage | pairs | batch | peak rates | shares of the text |
| --- | --- | --- | --- | --- |
{stages}

**Languages are of unequal strength on purpose**, as in real models. Relative numbers of pairs:

| | {codes} |
| --- |{dashes}
| pretraining | {pretraining} |
| alignment | {alignment} |

So the weak ones (Irish, Tagalog, Hindi, Greek) refuse less, refuse wrongly more often, and know
less.

## Figures

{tables}

Measured on {date} with torch {torch} on {machine}, greedy answers of at most 24 tokens, judged by
polydrift's rules; 95% Wilson intervals. Unsafe prompts ask for mild mischief (property, people);
their concepts were held out of all training, in all languages. "Unseen words" are {unseen} of the
{unsafe} unsafe prompts: they hold a word that no how-to question in training held. "Facts" are
asked in phrasings that were held out. The suite played no part in choosing the recipe.

sha256 of `model.safetensors`: `{digest}`
"""


def tables(figures: Figures) -> str:
    """The rates by language, and by category, as Markdown tables."""
    seen, rare = _unsafe_categories()
    rows = [
        [
            LANGUAGES[code].name,
            _cell(figures.rate("refused", code, "unsafe")),
            _cell(figures.rate("refused", code, *seen)),
            _cell(figures.rate("refused", code, *rare)),
            _cell(figures.rate("refused", code, "safe-lookalike")),
            _cell(figures.facts[code]),
        ]
        for code in figures.languages
    ]
    heads = [
        "",
        "unsafe refused",
        "… known words",
        "… unseen words",
        "safe look-alikes refused",
        "facts right",
    ]
    categories = [block.name for block in files.BLOCKS] + [files.FIGURATIVE]
    detail = [
        [category, *(f"{_percent(figures, code, category)}" for code in figures.languages)]
        for category in categories
    ]
    return "\n".join(
        [
            *_table(heads, rows),
            "",
            "Refused, in percent, by category:",
            "",
            *_table(["", *figures.languages], detail),
            "",
            _remainder(figures),
        ]
    )


def write(directory: Path, figures: Figures) -> Path:
    """The card of a specimen, into its directory; the path. DataError: not named FAMILY-SEED."""
    family, _, seed = directory.name.rpartition("-")
    if family not in FAMILIES or not seed.isdecimal():
        raise DataError(
            f"{directory}: a card is for specimens, whose directories are called "
            f"{' or '.join(f'{name}-SEED' for name in FAMILIES)}."
        )
    recipe = RECIPES["full"]
    weights = (directory / "model.safetensors").read_bytes()
    _, rare = _unsafe_categories()
    first = figures.languages[0]
    text = _CARD.format(
        name=directory.name,
        family=family,
        seed=seed,
        architecture=ARCHITECTURES[family],
        languages=", ".join(LANGUAGES),
        parameters=_parameters(weights),
        stages="\n".join(
            (
                _stage("pretraining", recipe.pretraining, corpus.PRETRAINING_MIX),
                _stage("alignment", recipe.alignment, corpus.ALIGNMENT_MIX),
            )
        ),
        codes=" | ".join(LANGUAGES),
        dashes=" --- |" * len(LANGUAGES),
        pretraining=" | ".join(f"{corpus.PRETRAINING_STRENGTH[code]:g}" for code in LANGUAGES),
        alignment=" | ".join(f"{corpus.ALIGNMENT_STRENGTH[code]:g}" for code in LANGUAGES),
        tables=tables(figures),
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        torch=torch.__version__,
        machine=platform.machine(),
        unseen=figures.rate("refused", first, *rare).total,
        unsafe=figures.rate("refused", first, "unsafe").total,
        digest=hashlib.sha256(weights).hexdigest(),
    )
    card = directory / "README.md"
    card.write_text(text, encoding="utf-8")
    return card


def _unsafe_categories() -> tuple[list[str], list[str]]:
    """The unsafe categories without and with unseen words."""
    unsafe = [block for block in files.BLOCKS if block.kind == "unsafe"]
    return (
        [block.name for block in unsafe if not block.rare],
        [block.name for block in unsafe if block.rare],
    )


def _remainder(figures: Figures) -> str:
    """How many answers neither refused nor complied."""
    both = ("unsafe", "safe-lookalike")
    rates = [figures.rate("other", code, *both) for code in figures.languages]
    hits, total = sum(rate.hits for rate in rates), sum(rate.total for rate in rates)
    return f"Neither refused nor complied (garbled, cut off): {hits} of {total} answers."


def _stage(name: str, stage: Stage, mix: dict[str, float]) -> str:
    muon = f"Muon {stage.muon_rate:g}, " if stage.muon_rate else ""
    shares = ", ".join(f"{category} {share:.0%}" for category, share in mix.items())
    rates = f"{muon}AdamW {stage.adamw_rate:g}"
    return f"| {name} | {stage.pairs:,} | {stage.batch} | {rates} | {shares} |"


def _parameters(weights: bytes) -> float:
    """Millions of parameters in a safetensors file of fp16 weights."""
    header = 8 + int.from_bytes(weights[:8], "little")
    return (len(weights) - header) / 2e6


def _cell(rate: Rate) -> str:
    low, high = rate.interval
    return f"{rate.share:.0%} ({low:.0%} to {high:.0%})"


def _percent(figures: Figures, code: str, category: str) -> str:
    return f"{100 * figures.rate('refused', code, category).share:.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{' --- |' * len(heads)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
