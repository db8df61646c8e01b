"""What no single field of a build file can know: each finding a place and a sentence.

list(cross_checks({"name": "x"}))
# [(("seeds",), "nothing to start from; add [[seeds]] (examples) or [suite] (prompts).")]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from polydrift.errors import DataError
from polydrift.parallel.harmless import KINDS
from polydrift.parallel.items import SOURCE
from polydrift.parallel.licences import known
from polydrift.study_checks import Problem

SETTINGS = {"google": "endpoint", "deepl": "server_url"}  # of services: where they are asked
_WAITED = {"tries", "timeout", "settings"}
USED = {  # what each kind of translator uses of its table, beside languages and price
    "vendor": _WAITED | {"at_once", "max_new_tokens", "model_args"},
    "model": {"revision", "backend", "device", "beam", "compute_type"},
    "service": _WAITED,
    "phrasebook": set[str](),
}


def cross_checks(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What no single field can know."""
    seeds, suite = data.get("seeds"), data.get("suite")
    if not seeds and not suite:
        yield ("seeds",), "nothing to start from; add [[seeds]] (examples) or [suite] (prompts)."
    if seeds and suite:
        yield ("suite",), "a build makes examples or prompts; leave [[seeds]] or [suite] out."
    for key in ("write", "balance", "harmless"):
        if suite and key in data:
            yield (key,), "this is for examples to tune on; a suite is translated as it is."
    if data.get("languages") == [SOURCE]:
        yield ("languages",), "nothing to translate into; name another language than English."
    harmless = data.get("harmless")
    kept = harmless.get("keep") if isinstance(harmless, Mapping) else None
    for kind in kept if isinstance(kept, list) else ():
        if kind not in KINDS:
            what = f"{kind!r} is no kind of topic; write some of {', '.join(KINDS)}."
            yield ("harmless", "keep"), what
    names = [row.get("name") for row in _tables(seeds)]
    for number, name in enumerate(names):
        if name is not None and name in names[:number]:
            yield ("seeds", number, "name"), f"{name!r} is used twice; give each a name of its own."
    for number, row in enumerate(_tables(seeds)):
        yield from _licence(row, ("seeds", number))
    if isinstance(suite, Mapping):
        yield from _licence(suite, ("suite",))
    called: set[tuple[str, str]] = set()
    for number, row in enumerate(_tables(data.get("translators"))):
        yield from _one_translator(row, ("translators", number))
        for key in USED:
            if key in row and (key, str(row[key])) in called:
                path = ("translators", number, key)
                yield path, f"{row[key]!r} is named twice; a row would not say which made it."
            called.add((key, str(row.get(key))))
    back = data.get("checks")
    if isinstance(back, Mapping) and isinstance(back.get("round_trip"), Mapping):
        here = ("checks", "round_trip")
        yield from _one_translator(back["round_trip"], here)
        if "service" in back["round_trip"]:
            yield here, "no service puts texts back; name a vendor, model or phrasebook."
        if "languages" in back["round_trip"]:
            yield (*here, "languages"), "the way back is from every language; take it out."


def _licence(row: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Problem]:
    if isinstance(licence := row.get("licence"), str) and licence:
        try:
            known(licence)
        except DataError as error:
            yield (*path, "licence"), str(error)


def _one_translator(row: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Problem]:
    kinds = [key for key in USED if key in row]
    if len(kinds) != 1:
        yield path, "name one of `vendor`, `model`, `service` and `phrasebook`."
        return
    if row[kinds[0]] == "":
        yield (*path, kinds[0]), "empty; give a name."
    others = set().union(*USED.values()) - USED[kinds[0]]
    for key in sorted(row.keys() & others):
        yield (*path, key), f"a {kinds[0]} does not use it; take it out."
    if kinds[0] == "service" and isinstance(row.get("settings"), Mapping):
        there = SETTINGS.get(str(row["service"]), "")
        for key, value in row["settings"].items():
            if key != there or not isinstance(value, str):
                path = (*path, "settings")
                yield path, f"{key!r} cannot be set so; there is only {there!r}, an address."
    if "price" not in row:
        return
    wanted = "[read, written], each for a million tokens"
    numbers = row["price"] if isinstance(row["price"], list) else []
    if kinds[0] == "service":
        wanted, numbers = "one number, for a million characters", [row["price"]] * 2
    if len(numbers) != 2 or not all(map(_is_price, numbers)):
        yield (*path, "price"), f"write {wanted}."


def _is_price(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0


def price_of_translator(path: tuple[str | int, ...]) -> bool:
    """Whether `_one_translator` tells it: what a price is depends on who translates."""
    return path[0] in ("translators", "checks") and "price" in path


def _tables(value: object) -> list[Mapping[str, Any]]:
    """The array tables under a key; whatever is malformed in them is pydantic's to tell."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
