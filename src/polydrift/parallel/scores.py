"""What models say of translations: the way back into English, and COMET-Kiwi.

    round_trip(pairs, BENIGN, translator, "nllb:…", journal, below=30)
    comet(pairs, BENIGN, "Unbabel/wmt22-cometkiwi-da", journal, below=0.6)

Each gives the doubts of every row; a doubt sends it to review and never rejects it, for both are
wrong about single rows. The round trip is chrF (sacreBLEU) of the English that comes back, 0 to
100; it flatters what is copied, and blames the way back too. COMET-Kiwi (Rei et al. 2022, arXiv
2209.06243) needs no reference and was trained on scores by people; it says little of Irish and
Tagalog, which were hardly in its training. It is asked through its own command, `comet-score`,
because its package wants other versions of transformers and NumPy than ours: install it apart
(`pipx install unbabel-comet`); it reads the first 512 tokens of a text.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polydrift.errors import ModelError
from polydrift.parallel.checks import Pair
from polydrift.parallel.items import Doubt, Form
from polydrift.parallel.journal import Journal
from polydrift.translate.back import to_english
from polydrift.translate.interface import Progress, Translator, silent
from polydrift.translate.quality import chrf_each

COMMAND = "comet-score"
TOGETHER = 16  # texts between two entries of the journal
Doubts = list[tuple[Doubt, ...]]


def round_trip(
    pairs: Sequence[Pair],
    form: Form,
    translator: Translator,
    identity: Mapping[str, Any],
    journal: Journal,
    *,
    below: float,
    progress: Progress = silent,
) -> Doubts:
    """The doubts of rows of one language whose English, come back, has a chrF below `below`.

    identity: what decides the translator's output. ModelError: one that cannot be asked; what came
    back before stands in the journal.
    """
    texts = _texts(pairs, form)
    keys = {
        text: journal.key("back", {**identity, "language": code, "text": text})
        for text, code in texts.items()
    }
    there = {text: journal.get(key) for text, key in keys.items()}
    english: dict[str, str] = {text: back for text, back in there.items() if back is not None}
    missing = [text for text in texts if text not in english]
    for start in range(0, len(missing), TOGETHER):
        some = missing[start : start + TOGETHER]
        done = start / len(missing)
        share = len(some) / len(missing)
        found = to_english(
            some,
            [texts[text] for text in some],
            translator,
            lambda d, text, done=done, share=share: progress(done + d * share, text),  # type: ignore[misc]  # mypy infers no type for a lambda's defaults
        )
        english |= {text: back.text for text, back in zip(some, found, strict=True)}
        journal.put_all([(keys[text], english[text]) for text in some], "back")
    wanted = [
        (number, name, english[item.texts[name]], source.texts[name])
        for number, (source, item) in enumerate(pairs)
        for name in form.texts
        if item.texts[name].strip()
    ]
    values = chrf_each([one[2] for one in wanted], [one[3] for one in wanted])
    return _low(len(pairs), [(n, name) for n, name, _, _ in wanted], values, below, "round-trip")


def comet(
    pairs: Sequence[Pair],
    form: Form,
    model: str,
    journal: Journal,
    *,
    below: float,
    gpus: int = 0,
) -> Doubts:
    """The doubts of rows whose COMET-Kiwi score is below `below`.

    ModelError: `comet-score` is not installed, or fails (with what it says).
    """
    wanted = [
        (number, name, source.texts[name], item.texts[name])
        for number, (source, item) in enumerate(pairs)
        for name in form.texts
        if item.texts[name].strip() and source.texts[name].strip()
    ]
    keys = [journal.key("comet", {"model": model, "texts": list(one[2:])}) for one in wanted]
    scores: dict[str, float | None] = {key: journal.get(key) for key in keys}
    missing = [n for n, key in enumerate(keys) if scores[key] is None]
    if missing:
        found = _comet_score([wanted[n][2:] for n in missing], model, gpus)
        scores |= {keys[n]: value for n, value in zip(missing, found, strict=True)}
        journal.put_all([(keys[n], scores[keys[n]]) for n in missing], "comet")
    values = [scores[key] or 0.0 for key in keys]
    return _low(len(pairs), [(n, name) for n, name, _, _ in wanted], values, below, "comet")


def command() -> str:
    """The path of `comet-score`; ModelError if it is not installed."""
    found = shutil.which(COMMAND)
    if found is None:
        raise ModelError(
            f"`comet` of [checks] needs the command {COMMAND}, which is not there: install it "
            "apart (pipx install unbabel-comet), or leave `comet` out."
        )
    return found


def _comet_score(texts: Sequence[tuple[str, str]], model: str, gpus: int) -> list[float]:
    """What `comet-score` says of (source, translation), each on one line."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, column in (("src.txt", 0), ("mt.txt", 1)):
            lines = [" ".join(pair[column].split()) for pair in texts]
            (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        ran = subprocess.run(
            [
                *(command(), "-s", "src.txt", "-t", "mt.txt", "--model", model, "--quiet"),
                *("--only_system", "--gpus", str(gpus), "--to_json", "scores.json"),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            table = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
            rows = next(iter(table.values()))
            scores = [] if ran.returncode else [float(row["COMET"]) for row in rows]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
            scores = []
    if len(scores) != len(texts):
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise ModelError(
            f"{COMMAND} gave {len(scores):,} scores by {model} for {len(texts):,} texts "
            f"({said[-1][:200] if said else 'no word why'}); try it by hand, or leave `comet` out "
            "of [checks]."
        )
    return scores


def _texts(pairs: Sequence[Pair], form: Form) -> dict[str, str]:
    """Each distinct translated text with the code of its language."""
    return {
        item.texts[name]: item.language
        for _, item in pairs
        for name in form.texts
        if item.texts[name].strip()
    }


def _low(
    rows: int,
    places: Sequence[tuple[int, str]],
    values: Sequence[float],
    below: float,
    kind: str,
) -> Doubts:
    """A doubt wherever a value is too low."""
    found: list[list[Doubt]] = [[] for _ in range(rows)]
    for (number, name), value in zip(places, values, strict=True):
        if value < below:
            found[number].append(Doubt(kind, name, f"{value:.3g}, below {below:g}"))
    return [tuple(doubts) for doubts in found]
