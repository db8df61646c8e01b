"""What cannot be compared is left out, and the record says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from polydrift import specimens
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.steps import DIRECTIONS, PAIRS, Job
from polydrift.steps.compare import compare
from tests.engine.test_adapters import peft_adapter

SPECIMEN = specimens.path("specimen:llama-0")


def job(out: Path, what: str, inputs: dict[str, Path]) -> Job:
    out.mkdir()
    return Job(
        "compare",
        {"what": what, "dtype": "float32"},
        inputs,
        {},
        {
            **{"model": str(SPECIMEN), "revision": None, "device": "cpu", "device_map": None},
            **{"trust_remote_code": False, "adapters": {}},
        },
        out,
    )


def done(one: Job) -> list[dict[str, Any]]:
    ((_, problem),) = compare([one])
    assert problem is None
    return list(json.loads((one.out / PAIRS).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    where = tmp_path_factory.mktemp("adapters")
    network = load(Source(str(SPECIMEN), device="cpu")).network
    kinds: dict[str, dict[str, Any]] = {
        "one": {"target_modules": ["q_proj", "v_proj"]},
        "two": {"target_modules": ["q_proj", "v_proj"], "r": 3},
        "other": {"target_modules": ["q_proj"]},
        "dora": {"target_modules": ["q_proj", "v_proj"], "use_dora": True},
    }
    for number, (name, changes) in enumerate(kinds.items()):
        peft_adapter(network, where / name, seed=number, **changes)
    return {name: where / name for name in kinds}


def test_adapters_of_unlike_rank_are_compared_and_dora_is_not(
    adapters: dict[str, Path], tmp_path: Path
) -> None:
    made = job(tmp_path / "out", "adapters", {n: adapters[n] for n in ("one", "two", "dora")})
    rows = done(made)
    assert {row["one"] for row in rows} == {"one", "two"}
    (whole,) = [r for r in rows if r["measure"] == "adapter_cosine" and r["layer"] is None]
    assert abs(whole["value"]) < 0.5  # begun at random, not tuned
    assert made.notes["not_compared"] == {
        "dora": "no plain LoRA: it sets use_dora = True",
    }


def test_adapters_of_other_modules_have_sizes_and_no_cosines(
    adapters: dict[str, Path], tmp_path: Path
) -> None:
    made = job(tmp_path / "out", "adapters", {n: adapters[n] for n in ("one", "other")})
    rows = done(made)
    assert {row["measure"] for row in rows} == {"adapter_norm", "adapter_relative"}
    assert {row["one"] for row in rows} == {"one", "other"}
    assert "compare adapters that were tuned on the same modules" in made.notes["no_cosines"]


def written(where: Path, *, direction: bool = True) -> Path:
    where.mkdir()
    if direction:
        rng = np.random.default_rng(len(where.name))
        arrays = {n: rng.normal(size=(3, 4)) for n in ("direction", "unsafe", "safe")}
        save_file({n: a.astype(np.float32) for n, a in arrays.items()}, where / DIRECTIONS)
    return where


def test_one_language_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    made = job(tmp_path / "out", "directions", {"da": written(tmp_path / "da")})
    assert done(made) == []
    assert made.notes["not_compared"] == (
        "cosines between languages need two or more with a refusal direction; evaluate in more "
        "languages."
    )


def test_a_language_without_a_direction_is_left_out(tmp_path: Path) -> None:
    made = job(
        tmp_path / "out",
        "directions",
        {
            "da": written(tmp_path / "da"),
            "ga": written(tmp_path / "irish"),
            "zh": written(tmp_path / "zh", direction=False),
        },
    )
    rows = done(made)
    assert {(row["one"], row["other"]) for row in rows} == {("da", "ga")}
    assert made.notes["no_refusal_direction"] == ["zh"]
