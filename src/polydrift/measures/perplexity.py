"""Perplexity, from sums of log-probabilities.

    >>> perplexity(logprob=-10 * math.log(2), tokens=10)
    2.0
    >>> bits_per_byte(logprob=-10 * math.log(2), size=40)
    0.25

Perplexity is exp(-logprob / tokens) (Jelinek et al., J. Acoust. Soc. Am. 62, S63, 1977): 1 is a
model that knew every token, the size of the vocabulary one that knew nothing. It depends on how a
tokenizer cuts the text, so it compares variants of one base in one language. Bits per byte,
-logprob / (ln 2 · bytes), does not, and compares models with different tokenizers.
"""

from __future__ import annotations

import math


def perplexity(logprob: float, tokens: int) -> float:
    """exp of the mean surprise. logprob: nats, summed over `tokens` tokens. NaN for no tokens."""
    if tokens == 0:
        return math.nan
    surprise = -logprob / tokens
    return math.exp(surprise) if surprise < 709 else math.inf


def bits_per_byte(logprob: float, size: int) -> float:
    """Mean surprise in bits. logprob: nats, summed over a text of `size` bytes. NaN for none."""
    return math.nan if size == 0 else -logprob / (math.log(2) * size)
