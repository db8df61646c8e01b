"""A network that computes with adapters for a while, and is exactly itself again afterwards.

    >>> with stacked(network, [products_of_da, products_of_ga]):   # rows adapter-major
    >>> with merged(network, products_of_da):                      # all rows are of this one
    >>> with beside(network, adapter):                             # whatever PEFT can compute

Three routes to the same numbers:

- *stacked* (`layers`): K adapters at once. Wins where each has few rows, since the weights are
  read, and Python is run, once for all of them.
- *merged*: W + B A in place of W, for a float32 or float64 network. Wins where one adapter's rows
  fill the machine: every step costs what the base costs. The base's weights are put aside, not
  subtracted out again, so they come back to the bit. Never in bfloat16, where adding would round
  small changes away.
- *beside*: PEFT's own layers, for adapters that are not plain.

`abreast` says how many adapters go together; its thresholds were measured (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from peft import inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import cast_adapter_dtype
from torch import nn
from transformers import PreTrainedModel

from polydrift.engine.adapters import Adapter, Product
from polydrift.engine.checks import short
from polydrift.engine.layers import StackedLinear, put, restored
from polydrift.engine.model import Model
from polydrift.engine.quiet import quiet
from polydrift.errors import ModelError

_TRAINED = 256  # tokens in one training pass from which more adapters gain nothing
_ASKED = 128  # prompts of each from which asking more than one at once gains nothing
_ASKED_GPU = 160  # likewise, by arithmetic for an H200: not measured
_READ = 16  # texts of each, likewise
_WIDEST = 16  # adapters that are stacked at most, for the sake of memory

Products = Mapping[str, Product]


@contextmanager
def merged(network: PreTrainedModel, products: Products) -> Iterator[None]:
    """Inside, the network's weights are W + B A; it must be float32 or float64."""
    with restored(network):
        for name, product in products.items():
            linear = network.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            a, b = product.A.to(linear.weight), product.B.to(linear.weight)
            linear.weight = nn.Parameter(torch.addmm(linear.weight, b, a), requires_grad=False)
        yield


@contextmanager
def stacked(network: PreTrainedModel, members: Sequence[Products]) -> Iterator[None]:
    """Inside, row i of a batch of K · b is computed with `members[i // b]`; {} is the base."""
    with restored(network):
        put(network, {name: _stack(network, name, members) for name in _names(members)})
        yield


@contextmanager
def beside(network: PreTrainedModel, adapter: Adapter) -> Iterator[None]:
    """Inside, PEFT's layers are around the network's; ModelError if the adapter does not fit."""
    with restored(network):
        try:
            with quiet():
                inject_adapter_in_model(adapter.config, network)
                cast_adapter_dtype(network, adapter_name="default")
                loaded = set_peft_model_state_dict(network, dict(adapter.tensors))
        except (RuntimeError, ValueError, KeyError, ImportError) as error:
            raise ModelError(
                f"{adapter.name} does not fit its base ({short(error)}); give the base that it was "
                "trained on."
            ) from error
        lost = [key for key in loaded.missing_keys if ".lora_" in key]
        wrong = lost or list(loaded.unexpected_keys)
        if wrong:
            raise ModelError(
                f"{adapter.name} does not fit its base ({wrong[0]} is "
                f"{'missing from the adapter' if lost else 'not in the base'}); give the base that "
                "it was trained on."
            )
        network.requires_grad_(False).eval()
        yield


def mergeable(network: PreTrainedModel) -> bool:
    """Whether adding a product to the weights loses nothing worth speaking of."""
    return network.dtype in (torch.float32, torch.float64)


def abreast(model: Model, tokens: float, members: int) -> int:
    """How many adapters to train side by side when one step of each has so many tokens."""
    return max(1, min(members, round(_TRAINED / max(1.0, tokens))))


def asked_together(model: Model, prompts: int, members: int) -> int:
    """How many members to ask side by side when each has so many prompts."""
    few = prompts <= (_ASKED_GPU if model.device.type == "cuda" else _ASKED)
    return max(1, min(members, _WIDEST)) if few else 1


def read_together(model: Model, texts: int, members: int) -> int:
    """How many members to read with side by side when each has so many texts."""
    return max(1, min(members, _WIDEST)) if texts <= _READ else 1


def _names(members: Sequence[Products]) -> list[str]:
    return list(dict.fromkeys(name for products in members for name in products))


def _stack(network: PreTrainedModel, name: str, members: Sequence[Products]) -> StackedLinear:
    """The products of one layer as two tensors: smaller ranks, and absent ones, filled with 0."""
    linear = network.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    rank = max(len(products[name].A) for products in members if name in products)
    weight = linear.weight
    a = weight.new_zeros(len(members), rank, linear.in_features)
    b = weight.new_zeros(len(members), linear.out_features, rank)
    for k, products in enumerate(members):
        if name in products:
            product: Product = products[name]
            a[k, : len(product.A)] = product.A.to(weight)
            b[k, :, : len(product.A)] = product.B.to(weight)
    return StackedLinear(linear, a, b)
