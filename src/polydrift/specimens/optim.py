"""Muon for the hidden matrices, AdamW for everything else, as one optimizer.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) orthogonalises the momentum of
a weight matrix, so that every direction moves at the same speed. In the two minutes that a specimen
is trained, AdamW alone learns less than half as many facts (docs/specimens.md has the figures).
"""

from __future__ import annotations

import torch
from torch import nn


class MuonAdamW:
    """Steps both optimizers; learning rates are given at each step, as a share of the peaks."""

    def __init__(
        self, network: nn.Module, muon_rate: float, adamw_rate: float, weight_decay: float
    ) -> None:
        matrices: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, weights in network.named_parameters():
            hidden = weights.ndim == 2 and "embed" not in name and "lm_head" not in name
            (matrices if hidden else rest).append(weights)
        self._muon = torch.optim.Muon(
            matrices,
            lr=muon_rate,
            weight_decay=weight_decay,
            momentum=0.95,
            ns_steps=4,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(
            rest, lr=adamw_rate, betas=(0.9, 0.98), weight_decay=weight_decay, fused=True
        )
        self._peaks = ((self._muon, muon_rate), (self._adamw, adamw_rate))

    def step(self, share: float) -> None:
        """One step at `share` of the peak rates, then the gradients are dropped."""
        for optimizer, peak in self._peaks:
            for group in optimizer.param_groups:
                group["lr"] = peak * share
            optimizer.step()  # type: ignore[no-untyped-call]
            optimizer.zero_grad(set_to_none=True)
