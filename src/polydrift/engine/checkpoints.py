"""How far the training of an adapter has come, in a file from which it goes on to the same weights.

A checkpoint is one safetensors file, replaced whole; a kill leaves the old one or the new one. It
belongs to one training (settings, rows, order, first weights: `fingerprint`) and is no use to
another. One that is damaged or of another training counts as none: all that is lost is time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from polydrift.disk import write_atomically


@dataclass(frozen=True)
class Checkpoint:
    """weights, first, second: [P], the adapter and AdamW's two moments, in the training's dtype.
    losses: of the steps done, nats.
    """

    weights: Tensor
    first: Tensor
    second: Tensor
    losses: list[float]

    def save(self, path: Path, fingerprint: str) -> None:
        """Replace what lies at `path`; StoreError if the disk refuses."""
        tensors = {"weights": self.weights, "first": self.first, "second": self.second}
        note = {"fingerprint": fingerprint, "losses": json.dumps(self.losses)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save({k: t.cpu() for k, t in tensors.items()}, metadata=note))


def read(path: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint at `path`, if there is a sound one of this training."""
    try:
        with safe_open(path, "pt") as file:
            note = file.metadata() or {}
            if note.get("fingerprint") != fingerprint:
                return None
            weights, first, second = (file.get_tensor(n) for n in ("weights", "first", "second"))
            return Checkpoint(weights, first, second, json.loads(note["losses"]))
    except (OSError, SafetensorError, ValueError, KeyError):
        return None


def fingerprint(settings: object, order: object, tensors: Iterable[Tensor]) -> str:
    """sha256 of what a training is determined by; settings and order by their printed form."""
    found = hashlib.sha256(f"{settings!r} {order!r} {torch.__version__}".encode())
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
