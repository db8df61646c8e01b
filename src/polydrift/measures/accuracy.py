"""Accuracy: the share of questions that were answered exactly as expected."""

from __future__ import annotations

import math
from collections.abc import Sequence


def accuracy(right: Sequence[bool]) -> float:
    """Share of true values, 0 to 1; NaN when there are none to judge."""
    return sum(map(bool, right)) / len(right) if len(right) else math.nan
