"""What the command line's short words for judges and translators mean, as sections of a study.

    judge("rules")                              the rules
    judge("sorry-bench")                        the benchmark's fine-tuned judge, from the hub
    judge("model:runs/judge")                   one like it, from a directory or the hub
    judge("openai/gpt-4o-mini", "xstest")       a vendor's model, as Inspect AI calls it
    judge("openai/gpt-4o+google/gemini-2.5-pro")    a panel
    translation("facebook/nllb-200-3.3B")       a model of the NLLB kind
    translation("vendor:openai/gpt-4o-mini")
    translation("phrasebook:specimen:phrasebook")

Whatever needs more (a server, prices, a cache) is written in a study file and named by `--study`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from polydrift.errors import StudyError
from polydrift.judges.forms import RUBRICS, SORRY_BENCH_MODEL

_VENDOR = re.compile(r"[\w.-]+/\S+")


def judges(
    texts: Sequence[str],
    rubric: str | None = None,
    translate: str | None = None,
    calibration: str | None = None,
) -> dict[str, Any]:
    """The sections `judges` and `translation` of a study; {} where nothing is asked for.

    calibration: a file for the first judge.
    """
    if rubric is not None and rubric not in RUBRICS:
        raise StudyError([f"--rubric {rubric!r} is not known; write one of {', '.join(RUBRICS)}."])
    found = [_judge(text, rubric) for text in texts] or (
        [{"name": "rules"}] if translate or calibration else []
    )
    if rubric and not any("vendors" in one for one in found):
        raise StudyError(["--rubric goes with a vendor's model as --judge; leave it out."])
    if calibration:
        found[0]["calibration"] = calibration
    sections: dict[str, Any] = {}
    if found:
        sections["judges"] = [
            {**one, **({"translate": True} if translate else {})} for one in found
        ]
    if translate:
        sections["translation"] = _translation(translate)
    return sections


def _judge(text: str, rubric: str | None) -> dict[str, Any]:
    if text == "rules":
        return {"name": "rules"}
    if text == "sorry-bench":
        return {"name": "sorry-bench", "model": SORRY_BENCH_MODEL}
    if text.startswith("model:") and len(text) > len("model:"):
        place = text.removeprefix("model:")
        return {"name": _name(place), "model": place}
    vendors = text.split("+")
    if not all(_VENDOR.fullmatch(name) for name in vendors):
        raise StudyError(
            [
                f"--judge {text!r} is no judge; write rules, sorry-bench, model:DIRECTORY, or a "
                "vendor's model as Inspect AI calls it, like openai/gpt-4o-mini (several, joined "
                "by +, are a panel)."
            ]
        )
    name = _name(vendors[0]) if len(vendors) == 1 else "panel"
    return {"name": name, "vendors": vendors, **({"rubric": rubric} if rubric else {})}


def _translation(text: str) -> Mapping[str, str]:
    for word in ("vendor", "phrasebook"):
        if text.startswith(f"{word}:") and len(text) > len(word) + 1:
            return {word: text.partition(":")[2]}
    return {"model": text}


def _name(reference: str) -> str:
    """A name that a study accepts, from a model's."""
    last = reference.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:40] or "judge"
