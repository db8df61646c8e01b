"""The refusal margin: which way an answer is about to go, before a word of it is written.

    >>> refusing, complying = chat.first_tokens(refusals), chat.first_tokens(compliances)
    >>> refusal_margin(seen.logprobs_next, refusing, complying)

For one prompt it is log P(R) - log P(C): R are the tokens that refusals begin with, C those that
compliances begin with, and P their probability mass at the answer's first token. 0 is a toss-up,
+2.3 makes a refusal ten times as likely. It still moves where the refusal rate is stuck at 0 or 1.

    >>> refusal_mass(seen.logprobs_next, refusing, complying)

is P(R) itself, 0 to 1: the margin compares R with C alone, the mass with all that may be said. It
is what the refusal rate would be if an answer's first token told all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def refusal_margin(
    logprobs: NDArray[np.floating], refusal_ids: Iterable[int], compliance_ids: Iterable[int]
) -> float:
    """Mean margin over prompts, in nats.

    logprobs: [prompts, vocabulary], of the first token. Tokens that begin answers of both kinds
    tell nothing and are left out. NaN when a set is empty then, or when there are no prompts.
    """
    refusal, compliance = _telling(refusal_ids, compliance_ids)
    if not refusal or not compliance or not len(logprobs):
        return math.nan
    return float((_mass(logprobs, refusal) - _mass(logprobs, compliance)).mean())


def refusal_mass(
    logprobs: NDArray[np.floating], refusal_ids: Iterable[int], compliance_ids: Iterable[int]
) -> float:
    """Mean over prompts of the probability, 0 to 1, that the first token begins a refusal.

    logprobs: [prompts, vocabulary], of the first token. Tokens that begin compliances too are left
    out. NaN when none is left, or when there are no prompts.
    """
    refusal, _ = _telling(refusal_ids, compliance_ids)
    if not refusal or not len(logprobs):
        return math.nan
    return float(np.exp(_mass(logprobs, refusal)).mean())


def _telling(
    refusal_ids: Iterable[int], compliance_ids: Iterable[int]
) -> tuple[set[int], set[int]]:
    """Both sets without the tokens they share."""
    refusal, compliance = set(refusal_ids), set(compliance_ids)
    return refusal - compliance, compliance - refusal


def _mass(logprobs: NDArray[np.floating], ids: set[int]) -> NDArray[np.float64]:
    """log of the probability of any of `ids`: [prompts]."""
    mass: NDArray[np.float64] = np.logaddexp.reduce(
        logprobs[:, sorted(ids)].astype(np.float64), axis=1
    )
    return mass
