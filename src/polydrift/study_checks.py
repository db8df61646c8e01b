"""The sentences that a study file's mistakes get: where, what is wrong, what to write instead.

`sentences` turns pydantic's findings into ours, `cross_checks` finds what no single field can know
(a name used twice, a base that nothing bears), `located` puts the line in front of each.
"""

from __future__ import annotations

import difflib
import re
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
    found = [(tuple(part for part in e["loc"] if _is_key(part)), e) for e in error.errors()]
    inside = {path[:depth] for path, _ in found for depth in range(len(path))}
    return [
        (path, _sentence(e, path, model))
        for path, e in found
        # a list whose elements are wrong is reported by its elements, not as empty too
        if not (e["type"] == "too_short" and path in inside)
    ]


def _is_key(part: int | str) -> bool:
    """Whether a part of pydantic's path stands in the file: no name of a type's alternative."""
    return isinstance(part, int) or not re.search(r"[\[\(]", part)


def _dotted(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "the study"


def _sentence(error: Any, path: Path, model: type[BaseModel]) -> str:
    kind, value = error["type"], error.get("input")
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
    if kind == "string_pattern_mismatch" and path[-1] == "cache":
        return (
            f'{value!r} is no span of time; write a number and one of s, m, h, D, W, M, Y ("4W").'
        )
    if kind == "string_pattern_mismatch":
        return (
            f"{value!r} cannot be a name; use letters, digits, '.', '_' and '-' "
            "(at most 40, a letter or digit first)."
        )
    if kind == "model_type" and isinstance(value, list):
        return f"this is one table, not several; write [{path[-1]}] instead of [[{path[-1]}]]."
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


_NAMED = ("bases", "tuning", "variants", "suites", "judges", "capability", "preference")


def _tables(data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The array tables under a key; whatever is malformed in them is pydantic's to tell."""
    value = data.get(key, [])
    return (
        [dict(row) for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
    )


def _strings(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def cross_checks(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What no single field can know: names used twice, names that nothing bears, nothing to do."""
    tables = {key: _tables(data, key) for key in _NAMED}
    for key, rows in tables.items():
        names = [row.get("name") for row in rows]
        for i, name in enumerate(names):
            if isinstance(name, str) and name in names[:i]:
                yield (key, i, "name"), f"{name!r} is used twice; names are unique."
    bases = {row["name"]: row for row in tables["bases"] if isinstance(row.get("name"), str)}
    for i, row in enumerate(tables["bases"]):
        if sum(bool(row.get(key)) for key in ("model", "vendor", "answers")) != 1:
            yield ("bases", i), "give one of `model`, `vendor` and `answers` (a file)."
        if (row.get("server") or row.get("served_as")) and not row.get("model"):
            yield ("bases", i), "`server` goes with a `model`; leave it out, or name the model."
        if row.get("served_as") and not row.get("server"):
            yield ("bases", i, "served_as"), "without `server` this means nothing; add it."
    for i, row in enumerate(tables["tuning"]):
        yield from _tuning(("tuning", i), row, bases)
    for i, row in enumerate(tables["variants"]):
        yield from _variant(("variants", i), row, bases)
    for key in ("capability", "preference"):  # answers are told apart by the suite's name
        for i, row in enumerate(tables[key]):
            if row.get("name") in {suite.get("name") for suite in tables["suites"]}:
                yield (key, i, "name"), f"{row['name']!r} is a suite's name; take another."
    for i, row in enumerate(tables["suites"]):
        if row.get("styles") and row.get("format") != "sorry-bench":
            yield (
                ("suites", i, "styles"),
                'only SORRY-Bench has styles; add format = "sorry-bench".',
            )
    for i, row in enumerate(tables["preference"]):
        yield from _repeats(("preference", i, "vendors"), row.get("vendors"))
    for i, row in enumerate(tables["capability"]):
        yield from _repeats(("capability", i, "tasks"), row.get("tasks"))
    translation = data.get("translation")
    for i, row in enumerate(tables["judges"]):
        yield from _judge(("judges", i), row, isinstance(translation, Mapping))
    if isinstance(translation, Mapping):
        if sum(bool(translation.get(key)) for key in ("model", "vendor", "phrasebook")) != 1:
            yield ("translation",), "give one of `model`, `vendor` and `phrasebook`."
        if not any(row.get("translate") for row in tables["judges"]):
            yield ("translation",), "no judge wants it; add `translate = true` to one, or drop it."
    evaluation = data.get("evaluation")
    if isinstance(evaluation, Mapping):
        yield from _repeats(("evaluation", "languages"), evaluation.get("languages"))
        if evaluation.get("samples", 1) != 1 and not evaluation.get("temperature", 0.0):
            yield (
                ("evaluation", "samples"),
                "greedy answers (temperature 0) are all the same; write 1, or set a temperature.",
            )
    asked = any(
        row.get("model") or row.get("vendor") for row in (*tables["bases"], *tables["variants"])
    )
    if asked and not tables["suites"]:
        yield ("suites",), "a study that asks models needs at least one `[[suites]]`."


def _tuning(path: Path, row: Mapping[str, Any], bases: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("languages", "seeds", "epochs"):
        yield from _repeats((*path, key), row.get(key))
    for name in _strings(row.get("bases")):
        if name not in bases:
            yield (*path, "bases"), _no_base(name, bases)
    for name in _strings(row.get("bases")) or bases:
        if bases.get(name, {}).get("answers"):
            yield path, f"base {name!r} is a file of answers and cannot be tuned."
        if bases.get(name, {}).get("vendor"):
            yield path, f"base {name!r} is a vendor's model and cannot be tuned here."


def _variant(path: Path, row: Mapping[str, Any], bases: Mapping[str, Any]) -> Iterator[Problem]:
    if sum(bool(row.get(key)) for key in ("adapter", "model", "vendor", "answers")) != 1:
        yield path, "give one of `adapter`, `model`, `vendor` and `answers`."
    name = row.get("base")
    if not isinstance(name, str):
        return
    if name not in bases:
        yield (*path, "base"), _no_base(name, bases)
    elif _origin(bases[name]) != _origin(row):
        yield (
            path,
            f"base {name!r} is {_origin(bases[name])}, so this cannot be compared with it; give "
            "answers with answers, a vendor's models with a vendor's, and models or adapters with "
            "models.",
        )
    elif bases[name].get("server") and row.get("model"):
        yield (
            path,
            f"base {name!r} is asked on a server, which computes adapters but no other model; give "
            "an adapter, or leave `server` out.",
        )


def _judge(path: Path, row: Mapping[str, Any], translating: bool) -> Iterator[Problem]:
    if row.get("model") and row.get("vendors"):
        yield (
            path,
            "give `model` or `vendors`, not both; a second judge is a [[judges]] of its own.",
        )
    if row.get("translate") and not translating:
        yield (
            (*path, "translate"),
            "the study has no [translation]; add it, with a `model`, a `vendor` or a `phrasebook`.",
        )
    for key in ("revision", "tokenizer", "server"):
        if row.get(key) and not row.get("model"):
            yield (*path, key), "this goes with a `model`; leave it out, or name the model."
    if row.get("served_as") and not row.get("server"):
        yield (*path, "served_as"), "without `server` this means nothing; add it."
    for key in ("rubric", "cache", "prices"):
        if row.get(key) and not row.get("vendors"):
            yield (*path, key), "this goes with `vendors`; leave it out, or name some."
    vendors = _strings(row.get("vendors"))
    yield from _repeats((*path, "vendors"), vendors)
    prices = row.get("prices")
    for name in prices if isinstance(prices, Mapping) and vendors else ():
        if name not in vendors:
            known = ", ".join(vendors)
            yield (*path, "prices", str(name)), f"no vendor is called so; there are {known}."


def _origin(row: Mapping[str, Any]) -> str:
    """What kind of thing a base or a variant is."""
    if row.get("answers"):
        return "a file of answers"
    return "a vendor's model" if row.get("vendor") else "a model"


def _repeats(path: Path, values: object) -> Iterator[Problem]:
    if isinstance(values, list):
        twice = sorted({str(v) for v in values if values.count(v) > 1})
        if twice:
            yield path, f"{', '.join(twice)} stands twice; write each once."


def _no_base(name: str, bases: Iterable[str]) -> str:
    return f"no base is called {name!r}; the bases are {', '.join(bases) or 'none'}."
