"""Seeds by name: each use of randomness has its own, so that none disturbs another.

    >>> named_seed("order", 3407) != named_seed("init", 3407)
    True

Adding a language, a prompt or a variant to a study changes the seed of nothing else.
"""

from __future__ import annotations

import hashlib


def named_seed(use: str, *parts: int | str) -> int:
    """A seed in [0, 2**63) from the name of its use and what it belongs to."""
    text = "\x1f".join([use, *(str(part) for part in parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
