"""Put side by side what steps found one by one: adapters of a base, languages of a variant."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from polydrift.errors import MeasureError, PolydriftError
from polydrift.measures.direction import Direction, cosines, pooled
from polydrift.measures.weights import (
    Update,
    by_layer,
    inner_products,
    layer_of,
    sizes,
    together,
)
from polydrift.measures.weights import cosines as weight_cosines
from polydrift.steps import DIRECTIONS, PAIRS, Done, Job

Row = dict[str, Any]


def compare(jobs: Sequence[Job]) -> Done:
    """File: pairs.json, a list of {of, measure, one, other (null: of one alone), layer, value, n}.

    of "adapters", one and other are their names; of "languages", codes.
    """
    kinds: Mapping[str, Callable[[Job], list[Row]]] = {
        "adapters": _adapters,
        "directions": _directions,
    }
    for job in jobs:
        try:
            rows = kinds[job.params["what"]](job)
        except PolydriftError as error:
            yield job, error
            continue
        text = json.dumps(rows, indent=1) + "\n"
        (job.out / PAIRS).write_text(text, encoding="utf-8")
        yield job, None


def _adapters(job: Job) -> list[Row]:
    """Sizes of adapters, relative to the weights they are added to, and cosines between them."""
    from polydrift.engine.adapters import fitted, plain_lora, read_adapter
    from polydrift.engine.hub import fetch
    from polydrift.steps.models import base_model

    network = base_model(job).network
    adapters: dict[str, dict[str, Update]] = {}
    there = {
        name: (place["adapter"], place["adapter_revision"])
        for name, place in job.places["adapters"].items()
    }
    for name in sorted({*job.inputs, *there}):
        directory = job.inputs[name] if name in job.inputs else fetch(*there[name])
        products = plain_lora(fitted(read_adapter(directory), network), network)
        if isinstance(products, str):
            job.notes.setdefault("not_compared", {})[name] = f"no plain LoRA: {products}"
            continue
        adapters[name] = {
            module: Update(one.A.float().numpy(), one.B.float().numpy())
            for module, one in products.items()
        }
    norms = {
        module: float(network.get_submodule(module).weight.double().norm())
        for module in sorted({module for adapter in adapters.values() for module in adapter})
    }
    rows: list[Row] = []
    for name, adapter in adapters.items():
        found = sizes(adapter, norms)
        whole = together(found.values())
        for layer, values in [(None, whole), *_in_order(by_layer(found))]:
            for measure, value in zip(("adapter_norm", "adapter_relative"), values, strict=True):
                rows.append(_row("adapters", measure, name, None, layer, value, len(found)))
    if len(adapters) > 1:
        try:
            rows += _cosines(adapters)
        except MeasureError as error:  # of unlike modules: each has its size all the same
            job.notes["no_cosines"] = str(error)
    return rows


def _cosines(adapters: Mapping[str, Mapping[str, Update]]) -> list[Row]:
    """Cosines of all pairs, of the whole adapters and layer by layer."""
    products = inner_products(adapters)
    layers: dict[int | None, list[NDArray[np.float64]]] = {}
    for module, product in products.items():
        layers.setdefault(layer_of(module), []).append(product)
    parts = [(None, list(products.values())), *_in_order(layers)]
    rows = []
    for layer, some in parts:
        found = weight_cosines(some)
        for i, j, one, other in _pairs(list(adapters)):
            rows.append(
                _row("adapters", "adapter_cosine", one, other, layer, found[i, j], len(some))
            )
    return rows


def _directions(job: Job) -> list[Row]:
    """Cosines between the refusal directions of languages; shifts along the languages' mean one."""
    found = {
        name: load_file(directory / DIRECTIONS)
        for name, directory in job.inputs.items()
        if (directory / DIRECTIONS).exists()
    }
    own = {code: arrays for code, arrays in found.items() if not code.startswith("base.")}
    base = {
        code.removeprefix("base."): arrays
        for code, arrays in found.items()
        if code.startswith("base.")
    }
    absent = sorted({name.removeprefix("base.") for name in job.inputs.keys() - found.keys()})
    if absent:
        job.notes["no_refusal_direction"] = absent
    if len(own) < 2:
        job.notes["not_compared"] = (
            "cosines between languages need two or more with a refusal direction; evaluate in "
            "more languages."
        )
        return []
    rows = []
    directions = [Direction(code, arrays["direction"]) for code, arrays in own.items()]
    alike = cosines(directions)  # [layers, k, k]
    for layer in range(len(alike)):
        for i, j, one, other in _pairs(list(own)):
            rows.append(
                _row("languages", "direction_cosine", one, other, layer, alike[layer, i, j], 2)
            )
    shared = [code for code in own if code in base]
    if shared:
        unit = pooled([Direction(code, base[code]["direction"]) for code in base]).unit
        for code in shared:
            for layer, value in enumerate(_shift(base[code], own[code], unit)):
                rows.append(
                    _row("languages", "refusal_shift_pooled", code, None, layer, value, len(base))
                )
    return rows


def _shift(
    base: Mapping[str, NDArray[Any]], variant: Mapping[str, NDArray[Any]], unit: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far held-out unsafe prompts moved along a direction, in gaps of the base between unsafe
    and safe ones: [layers]. NaN where that gap is not above 0.
    """
    unsafe, safe, moved = (
        np.sum(array.astype(np.float64) * unit, axis=1)
        for array in (base["unsafe"], base["safe"], variant["unsafe"])
    )
    gap = unsafe - safe
    shift: NDArray[np.float64] = (moved - unsafe) / np.where(gap > 0, gap, np.nan)
    return shift


def _pairs(names: Sequence[str]) -> list[tuple[int, int, str, str]]:
    return [
        (i, j, one, other) for i, one in enumerate(names) for j, other in enumerate(names) if i < j
    ]


def _in_order(layers: Mapping[int | None, Any]) -> list[tuple[int, Any]]:
    """The numbered layers; modules outside all layers count in the whole only."""
    return sorted((layer, value) for layer, value in layers.items() if layer is not None)


def _row(
    of: str, measure: str, one: str, other: str | None, layer: int | None, value: float, n: int
) -> Row:
    number = float(value)
    return {
        "of": of,
        "measure": measure,
        "one": one,
        "other": other,
        "layer": layer,
        "value": None if np.isnan(number) else number,
        "n": int(n),
    }
