"""Capability, perplexity and comparisons of a study, against the same computed another way."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from lm_eval.models.huggingface import HFLM
from peft import PeftModel
from transformers import AutoModelForCausalLM

from polydrift import specimens
from polydrift.data.suites import read_suite
from polydrift.engine.cohort import Cohort
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.measures.direction import fit_split
from polydrift.run import Ran, run
from polydrift.store import Store
from polydrift.study import check
from tests.capability.conftest import MEAN

LANGUAGES = ("en", "da", "zh")
TEXTS = {
    "en": ["The train leaves at nine.", "Bread is made of flour,\nwater and salt. " * 20],
    "da": ["Toget kører klokken ni.", "Brød laves af mel,\nvand og salt. " * 20],
    "zh": ["火车九点出发。", "面包由面粉、\n水和盐制成。" * 20],
}
FACTS = [
    ("What is the capital of Denmark?", ["Copenhagen", "Athens"], 0),
    ("What is the capital of Greece?", ["Dublin", "Athens"], 1),
    ("Hvad er hovedstaden i Irland?", ["Dublin", "Madrid"], 0),
]
SPECIMEN = specimens.path("specimen:llama-0")


def make_tasks(where: Path) -> Path:
    """A multiple choice task and, over the Danish texts, one that is read for perplexity."""
    where.mkdir()
    rows = [{"question": q, "options": o, "answer": a} for q, o, a in FACTS]
    (where / "facts.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    texts = [{"page": text} for text in TEXTS["da"]]
    (where / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    common = {"dataset_path": "json", "test_split": "test", "metadata": {"version": 1.0}}
    tasks: dict[str, dict[str, Any]] = {
        "facts": {
            "dataset_kwargs": {"data_files": {"test": "facts.jsonl"}},  # beside its YAML file
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}",
            "doc_to_choice": "options",
            "doc_to_target": "answer",
            "metric_list": [{"metric": "acc", **MEAN}],
        },
        "texts": {
            "dataset_kwargs": {"data_files": {"test": "texts.jsonl"}},
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "page",
            "metric_list": [
                {"metric": "word_perplexity", "aggregation": "weighted_perplexity"},
                {"metric": "byte_perplexity", "aggregation": "weighted_perplexity"},
                {"metric": "bits_per_byte", "aggregation": "bits_per_byte"},
            ],
        },
    }
    for name, task in tasks.items():
        text = yaml.safe_dump({"task": name, **common, **task})
        (where / f"{name}.yaml").write_text(text, encoding="utf-8")
    return where


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    folder = tmp_path_factory.mktemp("measures")
    make_tasks(folder / "tasks")
    wide = [{"id": str(i), **{c: TEXTS[c][i] for c in LANGUAGES}} for i in range(2)]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, wide)), encoding="utf-8")
    study = check(
        {
            "name": "measures",
            "bases": [{"name": "llama", "model": "specimen:llama-0"}],
            "tuning": [
                {
                    "name": "t",
                    "data": "specimen:benign",
                    "languages": ["da", "ga"],
                    "rank": 4,
                    "rows": 48,
                    "learning_rate": 5e-3,
                    "targets": "all-linear",
                }
            ],
            "suites": [{"name": "specimen", "data": "specimen:suite"}],
            "evaluation": {"languages": list(LANGUAGES), "max_new_tokens": 6},
            "measures": {"corpus": {"data": "texts.jsonl", "window": 100}},
            "capability": [
                {"name": "own", "tasks": ["facts"], "include": "tasks"},
                {"name": "read", "tasks": {"da": "texts"}, "include": "tasks"},
            ],
        },
        source="test",
        folder=folder,
    )
    done = run(study, folder / "out", workers=1, quiet=True)
    assert not done.problems
    return done, folder / "out"


def rows(ran: tuple[Ran, Path], table: str, **wanted: Any) -> list[dict[str, Any]]:
    found = pq.read_table(ran[1] / "tables" / f"{table}.parquet").to_pylist()
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


def value(ran: tuple[Ran, Path], table: str, **wanted: Any) -> float:
    (row,) = rows(ran, table, **wanted)
    return float(row["value"])


def adapters(ran: tuple[Ran, Path]) -> dict[str, Path]:
    store = Store(ran[1])
    return {step.cell.variant: store.path(step.address) for step in ran[0].plan.of("tune")}


def test_a_corpus_is_read_as_lm_eval_reads_it(ran: tuple[Ran, Path]) -> None:
    """Its own `hf` model with the adapter, windows of 100 tokens, words and bytes as it counts."""
    for variant, adapter in adapters(ran).items():
        lm = HFLM(str(SPECIMEN), peft=str(adapter), device="cpu", dtype="float32", max_length=100)
        for language in ("en", "da"):
            texts = TEXTS[language]
            asked = [type("Request", (), {"args": (text,)})() for text in texts]
            nats = sum(lm.loglikelihood_rolling(asked, disable_tqdm=True))
            words, size = sum(len(t.split(" ")) for t in texts), sum(len(t.encode()) for t in texts)
            # a line end parts words too
            words += sum(t.count("\n") for t in texts)
            here = {"variant": variant, "evaluation_language": language}
            for measure, unit in (("word", words), ("byte", size)):
                assert value(
                    ran, "measures", measure=f"corpus_{measure}_perplexity", **here
                ) == pytest.approx(np.exp(-nats / unit), rel=1e-4)
            assert value(ran, "measures", measure="corpus_bits_per_byte", **here) == pytest.approx(
                -nats / size / np.log(2), rel=1e-5
            )


def test_chinese_has_no_words_between_blanks(ran: tuple[Ran, Path]) -> None:
    for row in rows(ran, "measures", measure="corpus_word_perplexity", evaluation_language="zh"):
        assert np.isnan(row["value"])
        assert row["n"] == 0


def test_capability_is_in_the_tables(ran: tuple[Ran, Path]) -> None:
    found = rows(ran, "capability", benchmark="own", main=True)
    assert len(found) == 3  # the base and two adapters
    for row in found:
        answers = rows(ran, "questions", benchmark="own", variant=row["variant"])
        assert [one["question"] for one in answers] == [0, 1, 2]
        assert row["value"] == pytest.approx(np.mean([one["value"] for one in answers]))
        assert (row["evaluation_language"], row["n"], row["of"]) == (None, 3, 3)
    # the other benchmark is that of a language, and its window is the model's own
    (read,) = rows(ran, "capability", benchmark="read", variant="llama", metric="bits_per_byte")
    assert read["evaluation_language"] == "da"
    assert read["value"] == pytest.approx(
        value(
            ran, "measures", measure="corpus_bits_per_byte", variant="llama",
            evaluation_language="da",
        ), rel=0.2,
    )  # fmt: skip
    changes = rows(ran, "capability_effects", benchmark="own")
    assert {row["variant"] for row in changes} == set(adapters(ran))
    assert all(row["questions"] == 3 for row in changes)


def test_adapters_have_the_size_of_what_they_add(ran: tuple[Ran, Path]) -> None:
    """PEFT merges each into the base; what the weights moved by is ΔW."""
    base = AutoModelForCausalLM.from_pretrained(SPECIMEN, dtype="float32")
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    moved = {}
    for variant, adapter in adapters(ran).items():
        fresh = AutoModelForCausalLM.from_pretrained(SPECIMEN, dtype="float32")
        merged = PeftModel.from_pretrained(fresh, adapter).merge_and_unload().state_dict()
        moved[variant] = {
            name: (merged[name] - before[name]).double().flatten().numpy()
            for name in before
            if (merged[name] != before[name]).any()
        }
    assert all(moved.values())
    for variant, parts in moved.items():
        whole = np.concatenate(list(parts.values()))
        tuned = np.concatenate([before[name].double().flatten().numpy() for name in parts])
        sizes = {"variant": variant, "layer": None}
        assert value(ran, "measures", measure="adapter_norm", **sizes) == pytest.approx(
            np.linalg.norm(whole), rel=1e-4
        )
        assert value(ran, "measures", measure="adapter_relative", **sizes) == pytest.approx(
            np.linalg.norm(whole) / np.linalg.norm(tuned), rel=1e-4
        )
        second = np.concatenate([part for name, part in parts.items() if ".layers.1." in name])
        assert value(
            ran, "measures", measure="adapter_norm", variant=variant, layer=1
        ) == pytest.approx(np.linalg.norm(second), rel=1e-4)
    one, other = moved
    (pair,) = rows(ran, "pairs", measure="adapter_cosine", layer=None)
    assert {pair["variant"], pair["other_variant"]} == {one, other}
    assert pair["tuning_language"] == "da"
    flat = [np.concatenate(list(moved[name].values())) for name in (one, other)]
    expected = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert pair["value"] == pytest.approx(expected, abs=1e-4)


def test_languages_are_compared_by_their_refusal_directions(ran: tuple[Ran, Path]) -> None:
    model = load(Source(str(SPECIMEN), device="cpu"))
    variant, adapter = next(iter(adapters(ran).items()))
    differences: dict[str, dict[str, Any]] = {"llama": {}, variant: {}}
    held: dict[str, dict[str, Any]] = {"llama": {}, variant: {}}
    for language in LANGUAGES:
        prompts = [
            p for p in read_suite(specimens.path("specimen:suite")) if p.language == language
        ]
        unsafe = np.array([prompt.kind == "unsafe" for prompt in prompts])
        fit = fit_split([prompt.prompt_id for prompt in prompts], unsafe, language)
        seen = Cohort(model, [None, adapter]).last_tokens([prompt.text for prompt in prompts])
        for name, (_, found) in zip(differences, seen, strict=True):
            hidden = found.hidden.astype(float)
            differences[name][language] = hidden[:, fit & unsafe].mean(1) - hidden[
                :, fit & ~unsafe
            ].mean(1)
            held[name][language] = [hidden[:, ~fit & kind].mean(1) for kind in (unsafe, ~unsafe)]
    for name, by_language in differences.items():
        for (a, one), (b, other) in itertools.combinations(by_language.items(), 2):
            for layer in (1, len(one) - 1):
                found = [
                    row["value"]
                    for row in rows(
                        ran, "pairs", measure="direction_cosine", variant=name, layer=layer
                    )
                    if {row["evaluation_language"], row["other_language"]} == {a, b}
                ]
                lengths = np.linalg.norm(one[layer]) * np.linalg.norm(other[layer])
                assert found == [pytest.approx(one[layer] @ other[layer] / lengths, abs=1e-5)]
    shared = np.mean(list(differences["llama"].values()), axis=0)[2]
    for language in LANGUAGES:
        unsafe, safe = (part[2] @ shared for part in held["llama"][language])
        moved = held[variant][language][0][2] @ shared
        assert value(
            ran, "measures", measure="refusal_shift_pooled", variant=variant,
            evaluation_language=language, layer=2,
        ) == pytest.approx((moved - unsafe) / (unsafe - safe), abs=1e-4)  # fmt: skip


def test_what_goes_with_compliance_is_in_the_tables(ran: tuple[Ran, Path]) -> None:
    found = {(row["base"], row["predictor"], row["outcome"]): row for row in
             rows(ran, "associations")}  # fmt: skip
    mass = found["llama", "refusal_mass", "compliance"]
    assert (mass["cells"], mass["variants"], mass["languages"]) == (6, 2, 3)
    assert found["llama", "own/facts", "compliance"]["cells"] == 2
    assert np.isnan(found["llama", "own/facts", "compliance"]["rho"])  # two points say nothing
