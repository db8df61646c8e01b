"""An audit is a study of variants made elsewhere: built here from options, run like any other.

polydrift audit --answers base.jsonl tuned.jsonl        answers that other tools generated
polydrift audit --base MODEL --tuned ADAPTER --suite prompts.jsonl
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from polydrift.data.foreign import values_of
from polydrift.data.suites import read_suite
from polydrift.engine.hub import fetch_settings
from polydrift.errors import DataError, StudyError
from polydrift.languages import in_order
from polydrift.references import locate
from polydrift.study import Study, check


def of_answers(
    files: Sequence[Path],
    how: Mapping[str, Any],
    *,
    by: str | None = None,
    base: str | None = None,
    judging: Mapping[str, Any] | None = None,
) -> Study:
    """A study of answers: the first file is the base's, the others are its variants'.

    how: columns, select, language, kind, as in `study.AnswersFile`. by: with a single file, the
    column that tells models apart; base: which of its values is the base (default: the first).
    judging: the study's sections `judges` and `translation` (`options.judges`).
    """
    if by:
        if len(files) != 1:
            raise StudyError([f"--by takes one file that holds all models, not {len(files)}."])
        values = values_of(files[0], by)
        first = base or values[0]
        if first not in values:
            raise StudyError(
                [f"{files[0]}: no row has {by} {first!r}; it has {', '.join(values)}."]
            )
        parts = [(v, files[0], {by: v}) for v in (first, *(v for v in values if v != first))]
    else:
        if base:
            raise StudyError(["--base goes with --by here; the first file is the base's."])
        parts = [(path.name.split(".")[0], path, {}) for path in files]
    if len(parts) < 2:
        raise StudyError(
            ["--answers needs a base and at least one variant: give two files, or one with --by."]
        )
    names = _names([name for name, _, _ in parts])
    given = [
        {
            "file": str(path.resolve()),
            **how,
            "select": {**how.get("select", {}), **select},
        }
        for _, path, select in parts
    ]
    return check(
        {
            "name": f"audit-of-{names[0]}"[:40],
            "description": f"Answers of {', '.join(names[1:])} against those of {names[0]}.",
            "bases": [{"name": names[0], "answers": given[0]}],
            "variants": [
                {"name": name, "base": names[0], "answers": answers}
                for name, answers in zip(names[1:], given[1:], strict=True)
            ],
            **(judging or {}),
        },
        source="audit",
    )


def of_models(
    base: str,
    tuned: Sequence[str],
    suite: str,
    settings: Mapping[str, Any],
    *,
    judging: Mapping[str, Any] | None = None,
) -> Study:
    """A study of adapters or whole models, in directories or on the hub.

    settings: the study's `evaluation` section; its languages default to the suite's. judging: its
    sections `judges` and `translation` (`options.judges`).
    """
    names = _names([Path(name).name for name in (base, *tuned)])
    variants = [
        {"name": name, "base": names[0], _kind(reference): _absolute(reference)}
        for name, reference in zip(names[1:], tuned, strict=True)
    ]
    asked = {prompt.language for prompt in read_suite(locate(suite, Path()))}
    return check(
        {
            "name": f"audit-of-{names[0]}"[:40],
            "description": f"{', '.join(names[1:])} against {names[0]}.",
            "bases": [{"name": names[0], "model": _absolute(base)}],
            "variants": variants,
            "suites": [{"name": "suite", "data": _absolute(suite)}],
            "evaluation": {"languages": in_order(asked), **settings},
            "measures": {},
            **(judging or {}),
        },
        source="audit",
    )


def _kind(reference: str) -> Literal["adapter", "model"]:
    """What a tuned thing is, by the file that it has."""
    path = locate(reference, Path())
    directory = path if path.is_dir() else fetch_settings(reference)
    return "adapter" if (directory / "adapter_config.json").exists() else "model"


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """{"name": "value"} from options written name=value."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise DataError(f"{option} {text!r}: write it as name=value.")
        found[name] = value
    return found


def _absolute(reference: str) -> str:
    path = locate(reference, Path())
    return str(path.resolve()) if path.exists() else reference


def _names(texts: Sequence[str]) -> list[str]:
    """Names that a study accepts, one for each text, all different."""
    names: list[str] = []
    for text in texts:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", text.replace(":", "-")).strip("-._")[:36] or "model"
        while name in names:
            name += "2"
        names.append(name)
    return names
