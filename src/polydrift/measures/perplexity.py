"""Perplexity, from sums of log-probabilities.

    >>> perplexity(logprob=-10 * math.log(2), units=10)
    2.0
    >>> bits_per_byte(logprob=-10 * math.log(2), size=40)
    0.25

Perplexity is exp(-logprob / units) (Jelinek et al., J. Acoust. Soc. Am. 62, S63, 1977). The unit is
a token, a word or a byte: 1 is a model that knew every one. By tokens it depends on how a tokenizer
cuts the text, so it compares variants of one base in one language. By bytes it does not, and nor
does it by words; bits per byte, -logprob / (ln 2 · bytes), is the former as a logarithm. All three
are those of lm-evaluation-harness's `wikitext`, which counts as words what blanks part.
"""

from __future__ import annotations

import math
import re

_BLANKS = re.compile(r"\s+")
UNSPACED = ("zh",)  # languages whose words no blanks part


def perplexity(logprob: float, units: int) -> float:
    """exp of the mean surprise. logprob: nats, summed over `units` units. NaN for none."""
    if units == 0:
        return math.nan
    surprise = -logprob / units
    return math.exp(surprise) if surprise < 709 else math.inf


def bits_per_byte(logprob: float, size: int) -> float:
    """Mean surprise in bits. logprob: nats, summed over a text of `size` bytes. NaN for none."""
    return math.nan if size == 0 else -logprob / (math.log(2) * size)


def words(text: str, language: str) -> int:
    """How many words a text has, as lm-eval counts (parts between blanks, an empty one at an end
    among them); 0 in languages that do not part words by blanks.
    """
    return 0 if language in UNSPACED else len(_BLANKS.split(text))
