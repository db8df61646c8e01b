"""The sentences that a study file's mistakes get: where, what is wrong, what to write instead.

`sentences` turns pydantic's findings into ours, `cross_checks` finds what no single field can know
(a name used twice, a base that nothing bears), `located` puts the line in front of each.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from polydrift.toml_lines import Path, line_numbers, line_of

Problem = tuple[Path, str]


def located(problems: Iterable[Problem], source: str, text: str) -> list[str]:
    """One line each, "source:line: key: sentence.", in the order of the file."""
    lines = line_numbers(text)
    rows = sorted(
        {(line_of(path, lines) or 0, _dotted(path), sentence) for path, sentence in problems}
    )
    return [
        f"{source}{f':{line}' if line else ''}: {key}: {sentence}" for line, key, sentence in rows
    ]


def sentences(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every finding of pydantic, told in our words."""
    found = error.errors()
    inside = {tuple(e["loc"][:depth]) for e in found for depth in range(len(e["loc"]))}
    return [
        (tuple(e["loc"]), _sentence(e, model))
        for e in found
        # a list whose elements are wrong is reported by its elements, not as empty too
        if not (e["type"] == "too_short" and tuple(e["loc"]) in inside)
    ]


def _dotted(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "the study"


def _sentence(error: Any, model: type[BaseModel]) -> str:
    kind, path, value = error["type"], tuple(error["loc"]), error.get("input")
    if kind == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(known)}."
        return f"unknown key; {hint}"
    if kind == "missing":
        return f"missing; add `{path[-1]} = …`."
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        close = difflib.get_close_matches(
            str(value), [c.strip("' ") for c in expected.split(",")], 1
        )
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"{value!r} is not known; write one of {expected}{hint}."
    if kind == "string_pattern_mismatch":
        return (
            f"{value!r} cannot be a name; use letters, digits, '.', '_' and '-' "
            "(at most 40, a letter or digit first)."
        )
    if kind == "too_short":
        return "empty; give at least one."
    message = str(error["msg"]).replace("Input should be", "should be")
    return f"{message[0].lower()}{message[1:]}, not {value!r}."


def _known_keys(model: type[BaseModel], path: Path) -> list[str]:
    here = model
    for part in path:
        if isinstance(part, str):
            here = next(_models_in(here.model_fields[part].annotation))
    return list(here.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


def _tables(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = data.get(key, [])
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def cross_checks(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What no single field can know: names used twice, names that nothing bears, nothing to do."""
    bases = [row.get("name") for row in _tables(data, "bases")]
    for key in ("bases", "tuning", "variants", "suites"):
        seen: set[object] = set()
        for i, row in enumerate(_tables(data, key)):
            if row.get("name") in seen:
                yield (key, i, "name"), f"{row.get('name')!r} is used twice; names are unique."
            seen.add(row.get("name"))
    for i, row in enumerate(_tables(data, "bases")):
        if bool(row.get("model")) == bool(row.get("answers")):
            yield ("bases", i), "give either `model` or `answers` (a file), and not both."
    for i, row in enumerate(_tables(data, "variants")):
        if sum(bool(row.get(key)) for key in ("adapter", "model", "answers")) != 1:
            yield ("variants", i), "give one of `adapter`, `model` and `answers`."
        if "base" in row and row["base"] not in bases:
            yield ("variants", i, "base"), _no_base(row["base"], bases)
    for i, row in enumerate(_tables(data, "tuning")):
        for name in row.get("bases") or ():
            if name not in bases:
                yield ("tuning", i, "bases"), _no_base(name, bases)
        for key in ("languages", "seeds", "epochs"):
            yield from _repeats(("tuning", i, key), row.get(key))
    by_name = {row.get("name"): row for row in _tables(data, "bases")}
    for i, row in enumerate(_tables(data, "tuning")):
        for name in row.get("bases") or bases:
            if by_name.get(name, {}).get("answers"):
                yield ("tuning", i), f"base {name!r} is a file of answers and cannot be tuned."
    for i, row in enumerate(_tables(data, "variants")):
        if row.get("adapter") and by_name.get(row.get("base"), {}).get("answers"):
            yield (
                ("variants", i, "adapter"),
                f"base {row['base']!r} is a file of answers, no model.",
            )
    evaluation = data.get("evaluation")
    if isinstance(evaluation, Mapping):
        yield from _repeats(("evaluation", "languages"), evaluation.get("languages"))
        if evaluation.get("samples", 1) != 1 and not evaluation.get("temperature", 0.0):
            yield (
                ("evaluation", "samples"),
                "greedy answers (temperature 0) are all the same; write 1, or set a temperature.",
            )
    asked = any(row.get("model") for key in ("bases", "variants") for row in _tables(data, key))
    if asked and not _tables(data, "suites"):
        yield ("suites",), "a study that asks models needs at least one `[[suites]]`."


def _repeats(path: Path, values: object) -> Iterator[Problem]:
    if isinstance(values, list):
        twice = sorted({str(v) for v in values if values.count(v) > 1})
        if twice:
            yield path, f"{', '.join(twice)} stands twice; write each once."


def _no_base(name: object, bases: list[Any]) -> str:
    return f"no base is called {name!r}; the bases are {', '.join(map(str, bases)) or 'none'}."
