"""Verdicts sorted into cells: the one place where rows become arrays.

A *cell* is a variant asked a suite's prompts of one kind in one language, as judged by one judge;
its rows are prompts times samples. A *block* is what can be compared: all cells of one suite, kind
and judge as a cube of verdicts

    block.verdicts[cell, prompt, sample]      int8: an index into VERDICTS, or ABSENT
    block.elsewhere[cell, prompt, sample]     int8: 1 in another language than asked, 0 in that one

so that pairing by prompt and sample is subtraction, and a row is found by its id and never by its
position in a file. What is counted is an *outcome*, and `block.outcome` says of which answers it is
known and which had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from polydrift.errors import MeasureError

VERDICTS = ("complied", "refused", "other", "unparsed")
UNPARSED = VERDICTS.index("unparsed")
ABSENT = -1
# Outcomes and the verdict that each is; being in another language is not one of the verdicts.
WRONG_LANGUAGE = "wrong_language"
OUTCOMES = {
    "compliance": "complied",
    "refusal": "refused",
    "other": "other",
    WRONG_LANGUAGE: None,
}
# What identifies a cell; `_KEY` is enough to tell two apart, the rest describes the variant.
CELL = (
    *("base", "variant", "arm", "tuning_language", "tuning_seed", "epochs"),
    *("evaluation_language", "suite", "kind", "judge"),
)
_KEY = ("base", "variant", "evaluation_language", "suite", "kind", "judge")

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """The cells of one suite, kind and judge.

    cells: [c] their numbers in `Cells.table`. verdicts, elsewhere: [c, prompts, samples], ABSENT
    where there is no answer, and of `elsewhere` where its language cannot be told. categories:
    [prompts] a number for the category of each prompt.
    """

    suite: str
    kind: str
    judge: str
    cells: Ints
    verdicts: NDArray[np.int8]
    elsewhere: NDArray[np.int8]
    categories: Ints

    def outcome(self, name: str) -> tuple[Bools, Bools]:
        """(which answers had it, of which it is known), [c, prompts, samples] each.

        name: one of OUTCOMES. Of a verdict it is known where the answer was judged: complied,
        refused or other. Of the language: where it could be told.
        """
        verdict = OUTCOMES[name]
        if verdict is None:
            return self.elsewhere == 1, self.elsewhere != ABSENT
        known = (self.verdicts != ABSENT) & (self.verdicts != UNPARSED)
        return self.verdicts == VERDICTS.index(verdict), known


@dataclass(frozen=True)
class Cells:
    """Every cell of a table of verdicts.

    table: one row per cell, columns CELL, sorted by them. counts: [cells, len(VERDICTS)] rows of
    each verdict. wrong_language: [cells] rows answered in another language. language_known: [cells]
    rows whose language could be told. blocks: the cubes.
    """

    table: pa.Table
    counts: Ints
    wrong_language: Ints
    language_known: Ints
    blocks: tuple[Block, ...]


def sort_into_cells(verdicts: pa.Table) -> Cells:
    """Sort the rows of `verdicts` into cells; they may come in any order.

    MeasureError for a verdict that is not one of VERDICTS, for two rows of one answer, and for a
    prompt in two categories.
    """
    cell, firsts = _number(verdicts, _KEY)
    table = verdicts.select(CELL).take(pa.array(firsts))
    order = _order(table, CELL)
    table = table.take(pa.array(order)).combine_chunks()
    cell = np.argsort(order)[cell]  # numbered as sorted
    found = pc.index_in(verdicts["verdict"], value_set=pa.array(VERDICTS))
    if found.null_count:
        strange = verdicts["verdict"].filter(pc.is_null(found))[0].as_py()
        raise MeasureError(
            f"verdicts: {strange!r} is no verdict; it must be one of {', '.join(VERDICTS)}."
        )
    outcome = found.to_numpy().astype(np.int64)
    size = len(VERDICTS)
    counts = np.bincount(cell * size + outcome, minlength=table.num_rows * size)
    wrong = verdicts["wrong_language"].cast(pa.int8()).fill_null(ABSENT).to_numpy()
    return Cells(
        table=table,
        counts=counts.reshape(-1, size),
        wrong_language=np.bincount(cell[wrong == 1], minlength=table.num_rows),
        language_known=np.bincount(cell[wrong != ABSENT], minlength=table.num_rows),
        blocks=tuple(_blocks(verdicts, table, cell, outcome, wrong)),
    )


def _blocks(
    verdicts: pa.Table, table: pa.Table, cell: Ints, outcome: Ints, wrong: NDArray[np.int8]
) -> list[Block]:
    """The cubes, sorted by suite, kind and judge."""
    comparable = ("suite", "kind", "judge")
    block_of, firsts = _number(table, comparable)
    blocks = []
    for number in _order(table.take(pa.array(firsts)), comparable):
        cells = np.flatnonzero(block_of == number)
        rows = np.flatnonzero(block_of[cell] == number)
        here = verdicts.select(("prompt_id", "sample", "category")).take(pa.array(rows))
        prompts, samples = _ranks(here["prompt_id"]), _ranks(here["sample"])
        shape = (len(cells), prompts.max() + 1, samples.max() + 1)
        cube = np.full(shape, ABSENT, np.int8)
        place = (np.searchsorted(cells, cell[rows]), prompts, samples)
        cube[place] = outcome[rows]
        if np.count_nonzero(cube != ABSENT) != len(rows):
            raise MeasureError(_twice(verdicts, rows, np.ravel_multi_index(place, shape)))
        elsewhere = np.full(shape, ABSENT, np.int8)
        elsewhere[place] = wrong[rows]
        first = table.slice(int(cells[0]), 1)
        suite, kind, judge = (first[name][0].as_py() for name in comparable)
        categories = _categories(here, prompts, suite)
        blocks.append(Block(suite, kind, judge, cells, cube, elsewhere, categories))
    return blocks


def _categories(rows: pa.Table, prompts: Ints, suite: str) -> Ints:
    """[prompts] the rank of each prompt's category."""
    codes = _ranks(rows["category"])
    found = np.zeros(prompts.max() + 1, np.int64)
    found[prompts] = codes
    if (other := np.flatnonzero(found[prompts] != codes)).size:
        raise MeasureError(
            f"verdicts: prompt {rows['prompt_id'][int(other[0])].as_py()!r} of {suite} stands in "
            "two categories; give it one."
        )
    return found


def _number(table: pa.Table, columns: Sequence[str]) -> tuple[Ints, Ints]:
    """Number the different rows in some columns: ([rows] numbers, [numbers] first row of each)."""
    key = np.zeros(table.num_rows, np.int64)
    for name in columns:
        codes = _ranks(table[name])
        key = key * (codes.max(initial=0) + 1) + codes
    _, firsts, numbers = np.unique(key, return_index=True, return_inverse=True)
    return numbers.astype(np.int64), firsts.astype(np.int64)


def _ranks(column: pa.ChunkedArray) -> Ints:
    """[rows] the rank of each value among the different ones, in order; null comes last."""
    coded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    ranks = np.argsort(pc.sort_indices(coded.dictionary).to_numpy())
    found: Ints = ranks[coded.indices.to_numpy()].astype(np.int64)
    return found


def _order(table: pa.Table, columns: Sequence[str]) -> Ints:
    """[rows] the numbers of the rows, sorted by some columns (nulls last)."""
    found: Ints = pc.sort_indices(table, [(name, "ascending") for name in columns]).to_numpy()
    return found.astype(np.int64)


def _twice(verdicts: pa.Table, rows: Ints, places: Ints) -> str:
    """The sentence for the first answer that was judged twice."""
    seen, counts = np.unique(places, return_counts=True)
    row = rows[np.flatnonzero(places == seen[counts > 1][0])[1]]
    one = verdicts.slice(int(row), 1).to_pylist()[0]
    return (
        f"verdicts: two rows for prompt {one['prompt_id']!r}, sample {one['sample']}, of "
        f"{one['variant']} in {one['evaluation_language']}; each answer is judged once by a judge."
    )
