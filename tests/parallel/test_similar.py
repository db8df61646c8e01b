from __future__ import annotations

import json
import random
import sys
from functools import cache
from itertools import combinations

import pytest

from polydrift.data import shipped
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.parallel.similar import chance_found, near_duplicates, shingles, similarity

ALIKE = 0.7


@cache
def examples(code: str) -> tuple[str, ...]:
    path = shipped.path(shipped.BENIGN)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return tuple(
        f"{row['instruction']}\n{row['response']}" for row in rows if row["language"] == code
    )


def cut(text: str, share: float) -> str:
    return text[: round(len(text) * share)]


def mended(text: str, changes: int, draw: random.Random) -> str:
    letters = list(text)
    for at in draw.sample(range(len(letters)), min(changes, len(letters))):
        letters[at] = draw.choice(text)
    return "".join(letters)


def spoiled(code: str) -> list[str]:
    draw = random.Random(f"spoiled {code}")
    texts = []
    for text in examples(code)[:40]:
        texts += [text, mended(text, draw.randrange(1, 12), draw), cut(text, draw.uniform(0.6, 1))]
    draw.shuffle(texts)
    return texts


def by_brute_force(texts: list[str], threshold: float) -> list[int | None]:
    found: list[int | None] = []
    for number, text in enumerate(texts):
        stay = (other for other in range(number) if found[other] is None)
        found.append(
            next((other for other in stay if similarity(text, texts[other]) >= threshold), None)
        )
    return found


@pytest.mark.parametrize("code", LANGUAGES)
def test_it_finds_what_comparing_all_pairs_finds(code: str) -> None:
    texts = spoiled(code)
    found = near_duplicates(texts)
    assert found == by_brute_force(texts, ALIKE)
    assert 20 < sum(same is not None for same in found) < 81


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_shipped_set_repeats_nothing(code: str) -> None:
    assert near_duplicates(examples(code)) == [None] * len(examples(code))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9, 1.0])
def test_other_thresholds_find_the_same_as_all_pairs(threshold: float) -> None:
    texts = spoiled("en") + spoiled("zh")
    assert near_duplicates(texts, threshold=threshold) == by_brute_force(texts, threshold)


def test_pairs_just_at_the_threshold_are_missed_as_seldom_as_is_said() -> None:
    pairs = close_pairs()
    assert len(pairs) > 300
    missed = sum(near_duplicates(list(pair)) == [None, None] for pair in pairs)
    expected = sum(1 - chance_found(similarity(*pair), ALIKE) for pair in pairs)
    assert expected < 0.0042 * len(pairs)
    assert missed <= expected + 4 * expected**0.5


def close_pairs() -> list[tuple[str, str]]:
    draw = random.Random(11)
    pairs = []
    for code in LANGUAGES:
        for text in examples(code):
            for _ in range(4):
                other = mended(text, draw.randrange(5, 25), draw)
                if ALIKE <= similarity(text, other) < ALIKE + 0.03:
                    pairs.append((text, other))
    return pairs


@pytest.mark.parametrize(
    ("threshold", "alike", "low", "high"),
    [
        (0.7, 0.7, 0.9958, 0.9960),
        (0.7, 0.8, 1 - 1 / 30_000, 1),
        (0.7, 0.2, 0, 0.04),
        (1.0, 1.0, 1, 1),
        (0.05, 0.05, 0.995, 1),
        (0.01, 0.01, 0.72, 0.73),
    ],
)
def test_the_chance_to_be_found(threshold: float, alike: float, low: float, high: float) -> None:
    assert low <= chance_found(alike, threshold) <= high


def test_every_threshold_from_a_twentieth_on_finds_995_of_1000_pairs_at_it() -> None:
    assert all(chance_found(at / 100, at / 100) >= 0.995 for at in range(5, 101))


@pytest.mark.parametrize("code", LANGUAGES)
def test_case_accents_blanks_and_punctuation_tell_no_texts_apart(code: str) -> None:
    text = examples(code)[0]
    loud = text.upper().replace(" ", "  ").replace(".", " !").replace("。", "！") + "…"
    assert near_duplicates([text, examples(code)[1], loud]) == [None, None, 0]
    assert similarity(text, loud) == 1


def test_greek_capitals_have_no_accents() -> None:
    assert similarity("Ποια είναι η πρωτεύουσα;", "ΠΟΙΑ ΕΙΝΑΙ Η ΠΡΩΤΕΥΟΥΣΑ;") == 1


def test_vowel_signs_of_hindi_are_letters() -> None:
    assert similarity("दाल और चावल कैसे पकाते हैं?", "दिल और चावल कैसे पकाते हैं?") < 1


@pytest.mark.parametrize("code", LANGUAGES)
def test_texts_on_other_things_are_unlike(code: str) -> None:
    pairs = combinations(examples(code)[:60], 2)
    assert max(similarity(one, other) for one, other in pairs) < 0.5


def test_a_shingle_is_shorter_where_it_begins_with_a_chinese_character() -> None:
    assert shingles("abcdef") == {"abcde", "bcdef"}
    assert shingles("黑麦面包") == {"黑麦面", "麦面包"}
    assert shingles("用python写代码") == {
        *("用py", "pytho", "ython", "thon写", "hon写代", "on写代码", "写代码"),
    }


def test_texts_without_a_shingle_repeat_what_is_equal() -> None:
    texts = ["Why?", "为何", "Who?", "why", "为何？", "为什么", "wh y!"]
    assert near_duplicates(texts) == [None, None, None, 0, 1, None, 0]
    assert similarity("Why?", "why") == 1
    assert similarity("Why?", "Whey") == 0


def test_texts_without_a_letter_or_digit_repeat_nothing() -> None:
    assert near_duplicates(["", "", " ", "?!", "?!"]) == [None] * 5
    assert similarity("?!", "?!") == 0


def test_nothing_gives_nothing() -> None:
    assert near_duplicates([]) == []


def test_a_text_repeats_the_first_that_stays_of_its_group() -> None:
    text = examples("en")[0]
    nearly, other = cut(text, 0.95), examples("en")[1]
    assert near_duplicates([other, text, nearly, text, nearly, other]) == [
        *(None, None, 1, 1, 1, 0),
    ]


def test_small_changes_do_not_chain_unlike_texts_together() -> None:
    text = "".join(examples("da")[:3])
    chain = [cut(text, share) for share in (1, 0.85, 0.7, 0.55)]
    assert similarity(chain[0], chain[1]) >= ALIKE > similarity(chain[0], chain[2])
    assert similarity(chain[1], chain[2]) >= ALIKE
    assert near_duplicates(chain) == [None, 0, None, 2]


def test_texts_added_at_the_end_change_nothing_before() -> None:
    texts = spoiled("pt")
    assert near_duplicates(texts)[:70] == near_duplicates(texts[:70])


def test_equal_texts_and_seeds_give_equal_results() -> None:
    texts = spoiled("ga")
    assert near_duplicates(texts, seed=2**63 - 1) == near_duplicates(texts, seed=2**63 - 1)


def test_half_a_surrogate_pair_is_passed_over() -> None:
    assert near_duplicates(["a broken \ud83d letter", "A broken \ud83d letter!"]) == [None, 0]


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold: float) -> None:
    with pytest.raises(DataError) as caught:
        near_duplicates(["a"], threshold=threshold)
    assert str(caught.value) == (
        f"Texts cannot be alike by {threshold}: write a share of common shingles above 0 and at "
        "most 1, such as 0.7."
    )


def test_the_package_that_is_lacking_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(DataError) as caught:
        near_duplicates(["a"])
    assert str(caught.value) == (
        'Near-duplicates are found with rensa; pip install "polydrift[data]".'
    )
