from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polydrift.errors import DataError, MeasureError
from polydrift.stats.calibration import Calibration, calibrate, read
from polydrift.stats.judge_error import corrected_change, rogan_gladen

# [human][judged]; unparsed comes last
GOOD = ((45, 3, 2, 1), (4, 50, 1, 0), (2, 0, 8, 0))
FEW = ((20, 4, 0, 0), (2, 40, 0, 0), (0, 0, 0, 0))
BLIND = ((20, 20, 0, 0), (20, 20, 0, 0), (0, 0, 0, 0))


def calibration(**tables: Any) -> Calibration:
    named = {
        (name[:2], "unsafe" if name[3:] == "unsafe" else "safe-lookalike"): table
        for name, table in tables.items()
    }
    return Calibration("rules, version 3", {"judge": "rules"}, {"labels": "two people"}, named)


def test_labels_are_counted_by_language_and_kind() -> None:
    rows = [
        ("refused", "complied", "da", "unsafe"),
        ("refused", "refused", "da", "unsafe"),
        ("other", "unparsed", "da", "safe-lookalike"),
        ("complied", "complied", "en", "unsafe"),
        ("refused", "refused", "da", "unsafe"),
    ]
    columns = zip(*rows, strict=True)
    made = calibrate(*columns, judge="rules", judge_key={"version": "3"}, made_of={"answers": 5})
    assert list(made.tables) == [("en", "unsafe"), ("da", "unsafe"), ("da", "safe-lookalike")]
    assert made.tables["da", "unsafe"] == ((0, 0, 0, 0), (1, 2, 0, 0), (0, 0, 0, 0))
    assert made.groups["da"] == ((0, 0, 0, 0), (1, 2, 0, 0), (0, 0, 0, 1))
    assert made.groups["all"] == ((1, 0, 0, 0), (1, 2, 0, 0), (0, 0, 0, 1))
    assert set(made.groups) == {"en", "da", "all", "en/unsafe", "da/unsafe", "da/safe-lookalike"}


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "judge.calibration.json"
    made = calibration(da_unsafe=GOOD, da_safe=FEW, el_unsafe=FEW)
    made.write(path)
    assert read(path) == made
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["version"] == 1
    assert content["groups"]["da/unsafe"] == [list(row) for row in GOOD]
    nothing = Calibration("", {}, {}, {})
    nothing.write(path)
    assert read(path) == nothing


def test_a_cell_is_corrected_by_the_errors_of_its_group() -> None:
    made = calibration(da_unsafe=GOOD)
    found = made.correct(
        complied=[88, 0], refused=[340, 0], other=[12, 0], language=["da"] * 2, kind=["unsafe"] * 2
    )
    compliance = rogan_gladen(88, 440, sensitivity=(45, 50), specificity=(59, 65), level=0.95)
    refusal = rogan_gladen(340, 440, sensitivity=(50, 55), specificity=(57, 60), level=0.95)
    for name, expected in (("compliance", compliance), ("refusal", refusal)):
        for got, number in zip(found[name][:3], expected, strict=True):
            assert got[0] == pytest.approx(float(number), abs=1e-12)
            assert np.isnan(got[1])  # nothing judged
        assert found[name].group.tolist() == ["da/unsafe"] * 2


def test_the_group_is_the_smallest_with_labels_enough() -> None:
    made = calibration(da_unsafe=GOOD, da_safe=FEW, el_unsafe=FEW, el_safe=FEW, hi_unsafe=FEW)
    language = ["da", "da", "el", "el", "hi", "pt"]
    kind = ["unsafe", "safe-lookalike", "unsafe", "safe-lookalike", "unsafe", "unsafe"]
    found = made.correct(
        complied=[100] * 6, refused=[300] * 6, other=[0] * 6, language=language, kind=kind
    )["compliance"]
    assert found.group.tolist() == ["da/unsafe", "da", "el", "el", "all", "all"]
    assert not np.isnan(found.value).any()
    pooled = np.array(GOOD) + 4 * np.array(FEW)
    hits, negatives = pooled[0, 0], pooled[1:, :3].sum()
    expected = rogan_gladen(
        100,
        400,
        sensitivity=(hits, pooled[0, :3].sum()),
        specificity=(negatives - pooled[1:, 0].sum(), negatives),
        level=0.95,
    )
    assert found.value[4] == pytest.approx(float(expected[0]))


def test_the_group_may_differ_between_outcomes() -> None:
    made = calibration(
        da_unsafe=((20, 0, 0, 0), (5, 25, 0, 0), (5, 0, 5, 0)), el_unsafe=GOOD, el_safe=GOOD
    )
    found = made.correct(complied=[9], refused=[9], other=[9], language=["da"], kind=["unsafe"])
    assert found["compliance"].group.tolist() == ["all"]
    assert found["refusal"].group.tolist() == ["da/unsafe"]


def test_too_few_labels_anywhere_are_nan_and_told() -> None:
    cells: dict[str, Any] = {"language": ["da"], "kind": ["unsafe"]}
    for made in (calibration(da_unsafe=FEW), calibration()):
        found = made.correct(complied=[9], refused=[9], other=[9], **cells)["compliance"]
        change = made.correct_changes("compliance", [0.1], [0.02], **cells)
        for one in (found, change):
            assert one.group.tolist() == [""]
            assert np.isnan([one.value, one.low, one.high]).all()


def test_a_judge_that_guesses_is_nan_though_another_group_is_better() -> None:
    made = calibration(da_unsafe=BLIND, el_unsafe=GOOD)
    found = made.correct(complied=[9], refused=[9], other=[9], language=["da"], kind=["unsafe"])
    assert found["compliance"].group.tolist() == ["da/unsafe"]
    assert np.isnan(found["compliance"].value).all()


def test_unparsed_labels_are_left_out_of_the_errors() -> None:
    unparsed = tuple((*row[:3], 90) for row in GOOD)
    cells: dict[str, Any] = {"language": ["da"], "kind": ["unsafe"]}
    found = [
        calibration(da_unsafe=table).correct(complied=[80], refused=[300], other=[20], **cells)
        for table in (GOOD, unparsed)
    ]
    assert found[0] == found[1]


def test_changes_are_corrected_too() -> None:
    found = calibration(da_unsafe=GOOD).correct_changes(
        "refusal", [-0.1, 0.2], [0.02, 0.03], language=["da"] * 2, kind=["unsafe"] * 2, level=0.9
    )
    expected = corrected_change(
        [-0.1, 0.2], [0.02, 0.03], sensitivity=(50, 55), specificity=(57, 60), level=0.9
    )
    np.testing.assert_allclose(found[:3], expected)
    assert found.group.tolist() == ["da/unsafe"] * 2


def test_no_cells_are_no_cells() -> None:
    found = calibration(da_unsafe=GOOD).correct(
        complied=[], refused=[], other=[], language=[], kind=[]
    )
    assert [len(part) for part in found["refusal"]] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"human": ["refused", "refused"]},
            "labels: 2 of human, 1 of judged, 1 of language, 1 of kind; give one entry of each per "
            "answer.",
        ),
        (
            {"human": ["unparsed"]},
            "labels: human 'unparsed' of answer 1 is unknown; use complied, refused, other.",
        ),
        (
            {"judged": ["1"]},
            "labels: judged '1' of answer 1 is unknown; use complied, refused, other, unparsed.",
        ),
        (
            {"language": ["fr"]},
            "labels: language 'fr' of answer 1 is unknown; use en, zh, da, el, hi, ga, pt, es, tl.",
        ),
        (
            {"kind": ["safe"]},
            "labels: kind 'safe' of answer 1 is unknown; use unsafe, safe-lookalike.",
        ),
    ],
)
def test_bad_labels_are_named(change: dict[str, Any], sentence: str) -> None:
    good = {"human": ["refused"], "judged": ["other"], "language": ["da"], "kind": ["unsafe"]}
    with pytest.raises(DataError) as error:
        calibrate(**{**good, **change}, judge="", judge_key={}, made_of={})
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"kind": ["unsafe", "unsafe"]},
            "cells: complied, refused, other, language, kind are not lists of one length; give an "
            "entry of each per cell.",
        ),
        (
            {"complied": 9},
            "cells: complied, refused, other, language, kind are not lists of one length; give an "
            "entry of each per cell.",
        ),
        ({"kind": ["safe"]}, "kind: 'safe' is unknown; use unsafe, safe-lookalike."),
        (
            {"language": ["fr"]},
            "language: 'fr' is unknown; use en, zh, da, el, hi, ga, pt, es, tl.",
        ),
        (
            {"complied": [0.5]},
            "rate: 0.5 of 18.5 is no share; give whole numbers with 0 <= hits <= size.",
        ),
        ({"level": 2}, "level: 2 is no confidence level; give one such as 0.95."),
    ],
)
def test_bad_cells_are_named(change: dict[str, Any], sentence: str) -> None:
    good = {
        "complied": [9],
        "refused": [9],
        "other": [9],
        "language": ["da"],
        "kind": ["unsafe"],
    }
    with pytest.raises(MeasureError) as error:
        calibration(da_unsafe=GOOD).correct(**{**good, **change})
    assert str(error.value) == sentence


def test_bad_changes_are_named() -> None:
    made = calibration(da_unsafe=GOOD)
    with pytest.raises(MeasureError) as error:
        made.correct_changes("other", [0.1], [0.1], language=["da"], kind=["unsafe"])
    assert str(error.value) == "outcome: 'other' is none; use compliance or refusal."
    with pytest.raises(MeasureError) as error:
        made.correct_changes("refusal", [0.1], [0.1, 0.2], language=["da"], kind=["unsafe"])
    assert str(error.value) == (
        "cells: difference, standard_error, language, kind are not lists of one length; give an "
        "entry of each per cell."
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path / "no.json")
    assert str(error.value) == (
        f"{tmp_path}/no.json cannot be read (No such file or directory): check the path and its "
        "permissions."
    )


@pytest.mark.parametrize("data", [b'{"format": "poly', b"\xff\xfe\x00", b"[" * 100_000])
def test_a_file_that_is_no_json_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value) == (
        f"{path} is no complete JSON: give a calibration file, or make it anew."
    )


@pytest.mark.parametrize("content", [[], 3, {}, {"format": "other"}])
def test_a_foreign_file_is_named(tmp_path: Path, content: object) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value) == (
        f'{path} is no calibration file (it lacks "format": "polydrift calibration"): give one '
        "that polydrift wrote."
    )


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of one place in a file's content."""

    def change(content: dict[str, Any]) -> None:
        for name in path[:-1]:
            content = content[name]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            put("version", value=2),
            "{path} is a calibration file of version 2, and this polydrift reads version 1: make "
            "the file anew.",
        ),
        (
            lambda content: content.pop("judge"),
            '{path} is damaged: "judge" is missing or of the wrong type; make the file anew.',
        ),
        (
            put("groups", value=[1]),
            '{path} is damaged: "groups" is missing or of the wrong type; make the file anew.',
        ),
        (
            put("groups", "fr/unsafe", value=GOOD),
            '{path} is damaged: the group "fr/unsafe" is of no known language and kind; make the '
            "file anew.",
        ),
        (
            put("groups", "da/unsafe", value=[[1, 2, 3]] * 3),
            '{path} is damaged: the group "da/unsafe" is no table of 3 by 4 counts; make the file '
            "anew.",
        ),
        (
            put("groups", "da", value=[[1, 2, 3, -4]] * 3),
            '{path} is damaged: the group "da" is no table of 3 by 4 counts; make the file anew.',
        ),
        (
            put("groups", "da", value=[[1, 2, 3, 4.5]] * 3),
            '{path} is damaged: the group "da" is no table of 3 by 4 counts; make the file anew.',
        ),
        (
            put("groups", "da", value=FEW),
            '{path} is damaged: the group "da" is not the sum of its parts; make the file anew.',
        ),
        (
            lambda content: content["groups"].pop("all"),
            '{path} is damaged: the group "all" is not the sum of its parts; make the file anew.',
        ),
        (
            put("groups", "el", value=FEW),
            '{path} is damaged: the group "el" is not the sum of its parts; make the file anew.',
        ),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    path = tmp_path / "c.json"
    calibration(da_unsafe=GOOD, da_safe=GOOD).write(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value) == sentence.format(path=path)
