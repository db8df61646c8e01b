"""Specimens: micro models that ship with polydrift, for trying its instruments without a download.

    >>> from polydrift import specimens
    >>> specimens.path("specimen:llama-0").name          # a Hugging Face model directory
    'llama-0'
    >>> specimens.path("specimen:suite").name            # a data file like any user's
    'suite.jsonl'

Six models (three architectures, two seeds each) of about 1.1 million parameters, trained from
nothing on text that the project writes itself. They are laboratory animals: what happens to them
says that an instrument works, and nothing about real models. docs/specimens.md tells how they were
raised; each model's README.md holds its figures.

This file is the only place that knows what a name "specimen:..." stands for. Everything else in
polydrift sees a directory or a file. Importing it loads no torch.

    lexicon.py, lexicons/   the words of the nine languages
    concepts.py             what can be asked, and which of it is held out
    corpus.py               what specimens are trained on
    files.py                the suite, tuning sets and held-out pairs, as files in data/
    phrasebook.py           their prompts and answers in English, for judges that read only that
    tokenizer.py            one byte-level tokenizer for all
    networks.py             the three architectures
    train.py, optim.py      training, deterministic
    evaluate.py, cards.py   their figures, and the model cards that show them
    cli.py                  `polydrift specimens ...`
"""

from __future__ import annotations

from pathlib import Path

from polydrift.errors import DataError

PREFIX = "specimen:"
FAMILIES = ("llama", "qwen3", "gemma3")
SEEDS = (0, 1)
DATA = ("suite", "benign", "facts", "heldout", "phrasebook")

_HERE = Path(__file__).parent
MODELS_DIR = _HERE / "models"
DATA_DIR = _HERE / "data"


def models() -> list[str]:
    """The names of the shipped models, without the prefix: "llama-0", …"""
    return [f"{family}-{seed}" for family in FAMILIES for seed in SEEDS]


def names() -> list[str]:
    """Every name that `path` knows: models first, then data files."""
    return [PREFIX + name for name in (*models(), *DATA)]


def path(name: str) -> Path:
    """The model directory or JSONL file that a name stands for; DataError lists the known names."""
    if name not in names():
        raise DataError(f"unknown specimen {name!r}: use one of {', '.join(names())}.")
    short = name.removeprefix(PREFIX)
    return DATA_DIR / f"{short}.jsonl" if short in DATA else MODELS_DIR / short
