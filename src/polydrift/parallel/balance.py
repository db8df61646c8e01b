"""What a set holds, spread evenly: examples chosen over task types and lengths.

    keys = [("brainstorming", "short"), ("brainstorming", "short"), ("open_qa", "long")]
    balance(keys, 2, 3407, ids=["a", "b", "c"])      # [0, 2] or [1, 2]: one of each cell

A cell is a task type and a length. All cells are filled to the same level; one that has too little
gives all that it has, and the others share what is missing. Within a cell rows stand in an order
that a hash of seed, cell and id decides, so a row added later shifts few others: those before it
stay where they were. Where a seed does not tell its rows' task types, they are "unknown" and only
lengths are balanced: rules by words told Dolly's types too seldom to be used
(`python benchmarks/parallel_checks.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from polydrift.errors import DataError
from polydrift.seeds import named_seed

Length = Literal["short", "medium", "long"]
Cell = tuple[str, str]  # task type, length

# Characters of an English answer. About thirds of Dolly's answers without context are below 106,
# 106 to 329, and above (6,400 rows, `python benchmarks/parallel_checks.py`).
SHORT = 100
LONG = 350


def length_of(text: str) -> Length:
    """How long an English answer is: "short" below 100 characters, "long" from 350, else "medium".

    Blanks at both ends do not count. Lengths are told of the English item and hold in all
    languages, since the same 100 characters say three times as much in Chinese.
    """
    size = len(text.strip())
    if size < SHORT:
        return "short"
    return "long" if size >= LONG else "medium"


def balance(
    keys: Sequence[Cell], wanted: int, seed: int, *, ids: Sequence[str] | None = None
) -> list[int]:
    """The indices of `wanted` rows, ascending, spread over cells as evenly as the supply allows.

    keys: (task type, length) of each row. ids: a lasting name of each row, on which the choice
    within a cell depends; its index if not given. No cell gets two more than another one that
    still has rows. All indices if there are not more than `wanted`: `shortage` says so.
    DataError: `wanted` is negative, or there are not as many ids as rows.
    """
    if wanted < 0:
        raise DataError(f"{wanted} examples cannot be chosen: ask for none or more.")
    names = [str(index) for index in range(len(keys))] if ids is None else ids
    if len(names) != len(keys):
        raise DataError(
            f"{len(keys):,} rows have {len(names):,} ids: give one id for each row, or none at all."
        )
    rows: dict[Cell, list[int]] = {}
    for index, cell in enumerate(keys):
        rows.setdefault(cell, []).append(index)
    shares = _shares({cell: len(inside) for cell, inside in rows.items()}, wanted, seed)
    chosen = []
    for cell, inside in rows.items():
        places = {index: named_seed("balance", seed, *cell, names[index]) for index in inside}
        chosen += sorted(inside, key=places.__getitem__)[: shares[cell]]
    return sorted(chosen)


def shortage(keys: Sequence[Cell], wanted: int) -> str:
    """A sentence for the data card if a choice cannot be even, "" if it can.

    Says how many rows there are if these are too few, else which cells give all they have.
    """
    supply = Counter(keys)
    if len(keys) < wanted:
        return f"Of {wanted:,} examples wanted there are only {len(keys):,}: all are taken."
    level = wanted // max(len(supply), 1)
    short = sorted((cell, size) for cell, size in supply.items() if size < level)
    if not short:
        return ""
    cells = ", ".join(f"{task} {length} {size:,}" for (task, length), size in short)
    return f"Fewer than {level:,} examples of {cells}: all are taken, and more of the others."


def _shares(supply: dict[Cell, int], wanted: int, seed: int) -> dict[Cell, int]:
    """How many rows each cell gives; what does not divide goes to cells in seeded order."""
    shares = dict.fromkeys(supply, 0)
    left = min(wanted, sum(supply.values()))
    order = sorted(supply, key=lambda cell: named_seed("balance cells", seed, *cell))
    while left:
        open_cells = [cell for cell in order if shares[cell] < supply[cell]]
        each = left // len(open_cells)
        if not each:
            for cell in open_cells[:left]:
                shares[cell] += 1
            return shares
        for cell in open_cells:
            more = min(each, supply[cell] - shares[cell])
            shares[cell] += more
            left -= more
    return shares
