from __future__ import annotations

import enum
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from polydrift.errors import DataError, StoreError
from polydrift.records import Record, canonical, digest, file_digest, step_key


class Colour(enum.StrEnum):
    RED = "red"


@dataclass
class Settings:
    rank: int


# --- canonical --------------------------------------------------------------------------------


def test_canonical_has_one_spelling() -> None:
    value = {"b": [1, 2.0, True, None], "a": {"é": "γεια", "z": 1e-05}, "中": 0.1}
    expected = '{"a":{"z":1e-05,"é":"γεια"},"b":[1,2.0,true,null],"中":0.1}'
    assert canonical(value) == expected.encode()
    assert digest(value) == hashlib.sha256(expected.encode()).hexdigest()


@pytest.mark.parametrize("number", [0.1, 1e300, 5e-324, 1 / 3, -0.0, 2**70, 123456789.123])
def test_numbers_come_back_as_they_were(number: float) -> None:
    assert canonical(number).decode() == repr(number)
    assert json.loads(canonical(number)) == number


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1, 2], (1, 2)),
        ({"a": 1}, MappingProxyType({"a": 1})),
        (0.1, 0.1000000000000000055),
    ],
)
def test_same_meaning_same_bytes(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0, False), (None, "null"), ("1", 1), ([1, 2], [2, 1]), ([], {})],
)
def test_different_meaning_different_bytes(one: Any, other: Any) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"train": {"lr": float("nan")}}, "train.lr is nan: write None, or leave it out"),
        ([1.0, float("-inf")], "[1] is -inf: write None, or leave it out"),
        ({"seeds": [{1, 2}]}, "seeds[0] is a set: write a sorted list"),
        ({"a": {1: "x"}}, "a has the key 1: write keys that are strings"),
        ({None: 1}, "the value has the key None: write keys that are strings"),
        (
            {"suite": Path("x.jsonl")},
            "suite is a PosixPath: write the digest of what lies there (file_digest); a "
            "path is no content",
        ),
        (b"x", "the value is a bytes: write its SHA-256 in hex"),
        ({"c": Colour.RED}, "c is a Colour: write its .value"),
        ({"lr": np.float64(0.1)}, "lr is a float64: write a plain one, float(…)"),
        ({"x": np.zeros(2)}, "x is a ndarray: write its .tolist()"),
        ({"x": np.int64(2)}, "x is a int64: write its .tolist()"),
        (Settings(8), "the value is a Settings: write dataclasses.asdict(…) of it"),
        (
            {"f": len},
            "f is a builtin_function_or_method: write strings, numbers, booleans, None, and "
            "lists and dicts of these",
        ),
        ({"t": "\ud83d"}, "t is text with half a surrogate pair: write valid Unicode text"),
    ],
)
def test_what_has_no_one_spelling_is_refused(value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        canonical(value)
    assert str(caught.value) == message


# --- digests of files -------------------------------------------------------------------------


def test_file_digest_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    assert file_digest(path) == hashlib.sha256(b"abc").hexdigest()


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        file_digest(tmp_path / "gone")
    assert str(caught.value) == (
        f"{tmp_path}/gone cannot be read (No such file or directory): check the path and its "
        "permissions"
    )


# --- keys -------------------------------------------------------------------------------------

BASE: dict[str, Any] = {
    "kind": "answer",
    "version": "1",
    "params": {"temperature": 0.0, "languages": ["da", "ga"], "limits": {"a": 1, "b": 2}},
    "inputs": {"tune": "aa", "base": "bb"},
    "files": {"suite": "cc"},
}


def test_a_key_is_pinned_for_all_time() -> None:
    # If this fails, every results directory in the world would be computed anew.
    text = (
        '{"files":{"suite":"cc"},"inputs":{"base":"bb","tune":"aa"},"kind":"answer",'
        '"params":{"languages":["da","ga"],"limits":{"a":1,"b":2},"temperature":0.0},'
        '"version":"1"}'
    )
    assert step_key(**BASE) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"limits": {"b": 2, "a": 1}, "languages": ["da", "ga"], "temperature": 0.0}},
        {"params": {**BASE["params"], "languages": ("da", "ga")}},
        {"inputs": {"base": "bb", "tune": "aa"}},
        {"files": MappingProxyType({"suite": "cc"})},
    ],
    ids=["order of parameters", "tuple for list", "order of inputs", "type of mapping"],
)
def test_must_not_move_a_key(change: dict[str, Any]) -> None:
    assert step_key(**{**BASE, **change}) == step_key(**BASE)


def test_label_place_and_process_do_not_move_a_key(tmp_path: Path) -> None:
    code = (
        "import json,sys; from polydrift.records import step_key;"
        "print(step_key(**json.loads(sys.argv[1])))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code, json.dumps(BASE)],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert keys == {step_key(**BASE)}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "judge"},
        {"version": "2"},
        {"params": {**BASE["params"], "temperature": 0}},
        {"params": {**BASE["params"], "temperature": 1e-9}},
        {"params": {**BASE["params"], "languages": ["ga", "da"]}},
        {"params": {**BASE["params"], "extra": None}},
        {"params": {**BASE["params"], "limits": {"a": 1, "b": 3}}},
        {"inputs": {"tune": "aa"}},
        {"inputs": {"tune": "bb", "base": "aa"}},
        {"files": {"suite": "cd"}},
        {"files": {"heldout": "cc"}},
        {"files": {}, "inputs": {**BASE["inputs"], "suite": "cc"}},
    ],
)
def test_must_move_a_key(change: dict[str, Any]) -> None:
    assert step_key(**{**BASE, **change}) != step_key(**BASE)


def test_a_key_names_the_parameter_it_refuses() -> None:
    with pytest.raises(TypeError, match=r"params\.suite is a PosixPath"):
        step_key("answer", "1", {"suite": Path("x")}, {}, {})


# --- records ----------------------------------------------------------------------------------

RECORD = Record(
    kind="answer",
    label="llama-0+benign-da · γεια",
    key=step_key(**BASE),
    version="1",
    params=BASE["params"],
    inputs=BASE["inputs"],
    files=BASE["files"],
    outputs={"answers.parquet": {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}},
    environment={"python": "3.11"},
    started="2026-01-01T00:00:00+00:00",
    seconds=1.5,
    notes={"losses": [2.0, 1.0], "cut": None},
)


def test_record_comes_back_as_it_was() -> None:
    again = Record.from_json(RECORD.to_json(), "record.json")
    assert again == RECORD
    assert again.expected_key() == again.key
    assert Record.from_json(again.to_json(), "x").to_json() == RECORD.to_json()


def test_record_refuses_notes_that_are_no_json() -> None:
    with pytest.raises(TypeError, match=r"^notes\.loss is nan: write None, or leave it out$"):
        replace(RECORD, notes={"loss": float("nan")}).to_json()


def _edited(**change: Any) -> bytes:
    return json.dumps({**json.loads(RECORD.to_json()), **change}).encode()


def _without(name: str) -> bytes:
    fields = json.loads(RECORD.to_json())
    del fields[name]
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (RECORD.to_json()[:100], "it is no complete JSON ("),
        (b"", "it is no complete JSON ("),
        (b"\xff\xfe", "it is no complete JSON ("),
        (b"[]", "it is no JSON object"),
        (_without("outputs"), 'the field "outputs" is missing'),
        (_edited(seconds="1"), 'the field "seconds" holds "1"'),
        (_edited(seconds=True), 'the field "seconds" holds true'),
        (_edited(kind=None), 'the field "kind" holds null'),
        (_edited(mood="x"), 'the field "mood" is unknown'),
        (_edited(inputs={"tune": 3}), '"tune" in "inputs" is no string'),
        (_edited(outputs={"a": {"bytes": 1}}), 'the output "a" has no proper size and digest'),
        (
            _edited(outputs={"a": {"bytes": 1.5, "sha256": "x"}}),
            'the output "a" has no proper size and digest',
        ),
        (_edited(seconds=float("nan")), "it is no complete JSON (NaN is no JSON number)"),
    ],
)
def test_damaged_record_is_named(data: bytes, message: str) -> None:
    with pytest.raises(StoreError) as caught:
        Record.from_json(data, "here/record.json")
    assert str(caught.value).startswith(f"here/record.json is damaged: {message}")


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, polydrift.store;"
        "print([m for m in ('torch','numpy','pyarrow','pydantic') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
