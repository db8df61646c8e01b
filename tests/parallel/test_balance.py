from __future__ import annotations

import random
from collections import Counter

import pytest

from polydrift.errors import DataError
from polydrift.parallel.balance import LONG, SHORT, balance, length_of, shortage

TASKS = ("brainstorming", "open_qa", "summarization")
LENGTHS = ("short", "medium", "long")
EVEN = [(task, length) for task in TASKS for length in LENGTHS for _ in range(20)]


def supply(seed: int, rows: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    weights = [draw.random() ** 3 for _ in range(9)]
    cells = [(task, length) for task in TASKS for length in LENGTHS]
    return draw.choices(cells, weights, k=rows)


def given(keys: list[tuple[str, str]], chosen: list[int]) -> Counter[tuple[str, str]]:
    return Counter(keys[index] for index in chosen)


@pytest.mark.parametrize(
    ("characters", "length"),
    [(0, "short"), (SHORT - 1, "short"), (SHORT, "medium"), (LONG - 1, "medium"), (LONG, "long")],
)
def test_lengths_change_at_fixed_numbers_of_characters(characters: int, length: str) -> None:
    assert length_of("a" * characters) == length
    assert length_of(f"\n {'a' * characters}  ") == length


def test_enough_of_everything_is_chosen_evenly() -> None:
    assert set(given(EVEN, balance(EVEN, 90, 1)).values()) == {10}


def test_what_does_not_divide_differs_by_one() -> None:
    counts = given(EVEN, balance(EVEN, 94, 1))
    assert sorted(counts.values()) == [10] * 5 + [11] * 4


@pytest.mark.parametrize("seed", range(40))
def test_no_cell_gets_two_more_than_one_that_still_has_rows(seed: int) -> None:
    keys = supply(seed, 30 + 7 * seed)
    wanted = random.Random(seed).randrange(len(keys) + 1)
    chosen = balance(keys, wanted, seed)
    counts, there = given(keys, chosen), Counter(keys)
    assert len(chosen) == wanted == len(set(chosen))
    assert chosen == sorted(chosen)
    still = [counts[cell] for cell in there if counts[cell] < there[cell]]
    assert not still or max(counts.values()) - min(still) <= 1


def test_a_scarce_cell_gives_all_and_the_others_share_the_rest() -> None:
    keys = [("open_qa", "long")] * 3 + [("open_qa", "short")] * 50 + [("open_qa", "medium")] * 50
    counts = given(keys, balance(keys, 43, 7))
    assert counts == {keys[0]: 3, keys[3]: 20, keys[53]: 20}
    assert shortage(keys, 43) == (
        "Fewer than 14 examples of open_qa long 3: all are taken, and more of the others."
    )


def test_all_are_taken_when_there_are_too_few() -> None:
    assert balance(EVEN, 1_000, 1) == list(range(180))
    assert shortage(EVEN, 1_000) == ("Of 1,000 examples wanted there are only 180: all are taken.")
    assert shortage(EVEN, 90) == ""


def test_nothing_is_chosen_from_nothing() -> None:
    assert balance([], 10, 1) == []
    assert balance(EVEN, 0, 1) == []
    assert shortage([], 0) == ""


def test_the_choice_depends_on_the_seed_and_on_nothing_else() -> None:
    assert balance(EVEN, 40, 1) == balance(EVEN, 40, 1)
    assert balance(EVEN, 40, 1) != balance(EVEN, 40, 2)


def test_the_order_of_rows_does_not_matter_to_rows_with_ids() -> None:
    ids = [f"row-{index}" for index in range(len(EVEN))]
    order = random.Random(3).sample(range(len(EVEN)), len(EVEN))
    shuffled = balance([EVEN[i] for i in order], 50, 5, ids=[ids[i] for i in order])
    assert {order[i] for i in shuffled} == set(balance(EVEN, 50, 5, ids=ids))


def test_rows_added_later_displace_few() -> None:
    keys = supply(1, 600)
    ids = [f"row-{index}" for index in range(len(keys))]
    before = set(balance(keys[:540], 200, 1, ids=ids[:540]))
    after = set(balance(keys, 200, 1, ids=ids))
    kept = {index for index in after if index < 540}
    for cell in set(keys):
        old, still = ({i for i in some if keys[i] == cell} for some in (before, kept))
        assert old <= still or still <= old
    assert 0 < len(before - kept) < 30


def test_a_larger_choice_holds_the_smaller_one_where_cells_are_alike() -> None:
    assert set(balance(EVEN, 45, 1)) < set(balance(EVEN, 90, 1))


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        balance(EVEN, -1, 1)
    assert str(caught.value) == "-1 examples cannot be chosen: ask for none or more."


def test_ids_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        balance(EVEN, 9, 1, ids=["a", "b"])
    assert str(caught.value) == ("180 rows have 2 ids: give one id for each row, or none at all.")
