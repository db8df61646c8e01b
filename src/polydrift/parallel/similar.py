"""Near-duplicates: texts that say almost the same, within a seed set and across several.

    >>> near_duplicates(["How do I bake rye bread?", "Do snails sleep?", "HOW DO I BAKE RYE-BREAD"])
    [None, None, 0]

Two texts are alike by the share of common shingles (Jaccard): runs of five letters or digits, three
where the first is a Chinese character, of the text without case, accents, blanks and punctuation.
No words are looked for, so it works in all nine languages. MinHash with locality-sensitive hashing
only proposes pairs; each is counted exactly, so none is dropped by an accident of hashing. A pair
may be missed: 0.4% are, of those just at a threshold of 0.7 (20 bands of 4 hashes), and of those at
0.8 fewer than one in 30,000 (`chance_found`).

The hashing is rensa's (in Rust, MIT): it estimates as well as datasketch, is more than twice as
fast in half the memory, and brings no other package along, where datasketch needs SciPy
(`python benchmarks/parallel_checks.py` measures both). It is young, and what it hashes may change
from version to version; that changes at most which few pairs are missed, since no sketch is kept.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from polydrift.data.suite_texts import bare
from polydrift.errors import DataError

RUN = 5  # characters of a shingle
HAN_RUN = 3  # of one that begins with a Chinese character
MISSED = 0.005  # share of the pairs just at the threshold that may be missed
HASHES = 128  # at most; as few of them are used as MISSED allows
CLEAR = 5  # standard errors: fewer than one true pair in a million is estimated so much too low

_ACCENTS = re.compile(r"[\u0300-\u036f]+")  # of Latin and Greek; signs of other scripts are letters
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def near_duplicates(
    texts: Sequence[str], *, threshold: float = 0.7, seed: int = 0
) -> list[int | None]:
    """For each text the index of the first earlier one that it repeats; None: it stays.

    A text is compared with those that stay, so nothing is left in the end that repeats another, and
    no chain of small changes drops a text unlike the one kept for it. Texts without a shingle
    ("Why?", "为何") repeat only what is equal to them; texts without a letter or digit repeat
    nothing. The result depends on texts, threshold and seed alone; texts added at the end change
    nothing before them. DataError: threshold is not above 0 and at most 1; rensa is not installed.
    """
    count, rows = bands(threshold)
    try:
        from rensa import RMinHash, RMinHashLSH
    except ImportError as error:
        raise DataError(
            'Near-duplicates are found with rensa; pip install "polydrift[data]".'
        ) from error
    hashes, low = count * rows, least(threshold)
    index, sketches = RMinHashLSH(threshold, hashes, count), dict[int, RMinHash]()
    forms = [normal(text) for text in texts]
    first: dict[str, int | None] = {"": None}
    found: list[int | None] = []
    for number, form in enumerate(forms):
        if form not in first:
            sketch = RMinHash(hashes, seed)
            sketch.update(runs := _runs(form))
            proposed = sorted(index.query(sketch)) if runs else []
            proposed = [one for one in proposed if sketch.jaccard(sketches[one]) >= low]
            same = _first_alike(runs, proposed, forms, threshold) if proposed else None
            if runs and same is None:
                index.insert(number, sketch)
                sketches[number] = sketch
            first[form] = number if same is None else same
            found.append(same)
        else:
            found.append(first[form])
    return found


def chance_found(similarity: float, threshold: float) -> float:
    """The probability that a pair of texts is counted at all, when `threshold` is asked for.

    similarity: the pair's share of common shingles, 0 to 1. At the threshold at least 0.995, unless
    that is below 0.05. DataError: threshold is not above 0 and at most 1.
    """
    count, rows = bands(threshold)
    return 1 - (1 - similarity**rows) ** count


def similarity(one: str, other: str) -> float:
    """The share of common shingles of two texts, 0 to 1; if either has none, whether they are
    equal (1) or not (0), where texts without a letter or digit equal nothing.
    """
    forms = normal(one), normal(other)
    runs = [shingles(form) for form in forms]
    if not all(runs):
        return float(forms[0] == forms[1] != "")
    return _jaccard(*runs)


@lru_cache(maxsize=1 << 11)
def shingles(form: str) -> frozenset[str]:
    """The runs of characters of a text in normal form, each once."""
    return frozenset(_runs(form))


def _runs(form: str) -> list[str]:
    end = len(form)
    if not _HAN.search(form):
        return [form[at : at + RUN] for at in range(end - RUN + 1)]
    sizes = (HAN_RUN if _HAN.match(letter) else RUN for letter in form)
    return [form[at : at + size] for at, size in enumerate(sizes) if at + size <= end]


def normal(text: str) -> str:
    """The text without case, accents, blanks, punctuation and symbols.

    Accents go because Greek capitals have none, and because many people write without.
    """
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return bare(text)


def bands(threshold: float) -> tuple[int, int]:
    """Bands, and hashes in each, by which few pairs below the threshold are proposed and, of those
    just at it, no more than MISSED are not. DataError: threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise DataError(
            f"Texts cannot be alike by {threshold}: write a share of common shingles above 0 and "
            "at most 1, such as 0.7."
        )
    for rows in range(HASHES // 2, 0, -1):
        for count in range(2, HASHES // rows + 1):
            if (1 - threshold**rows) ** count <= MISSED:
                return count, rows
    return HASHES, 1


def least(threshold: float) -> float:
    """The estimate from which a proposed pair is worth a count: CLEAR standard errors below."""
    count, rows = bands(threshold)
    return threshold - CLEAR * math.sqrt(threshold * (1 - threshold) / (count * rows))


def _first_alike(
    runs: list[str], proposed: Iterable[int], forms: Sequence[str], threshold: float
) -> int | None:
    """The first of the proposed texts that is alike enough to one that consists of `runs`."""
    own = frozenset(runs)
    for number in proposed:
        if _jaccard(own, shingles(forms[number])) >= threshold:
            return number
    return None


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)
