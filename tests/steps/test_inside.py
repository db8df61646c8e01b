"""What measure steps find inside, against the same from whole arrays, computed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from polydrift import specimens
from polydrift.data.suites import read_suite
from polydrift.engine.activations import last_token
from polydrift.engine.cohort import Cohort
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.launch.worker import work
from polydrift.measures.drift import divergence, drift
from polydrift.measures.similarity import SimilaritySums
from polydrift.plan import Plan, make_plan
from polydrift.sources import survey
from polydrift.store import Store
from polydrift.study import check


def plan(suite: str = "specimen:suite") -> Plan:
    study = check(
        {
            "name": "s",
            "bases": [{"name": "a", "model": "specimen:llama-0"}],
            "tuning": [
                {
                    "name": "t",
                    "data": "specimen:benign",
                    "languages": ["da"],
                    "rank": 4,
                    "rows": 48,
                    "batch_size": 8,
                    "learning_rate": 5e-3,
                    "targets": "all-linear",
                }
            ],
            "suites": [{"name": "x", "data": suite}],
            "evaluation": {"languages": ["da"], "max_new_tokens": 4},
            "measures": {},
        },
        source="test",
    )
    return make_plan(study, survey(study))


def measured(root: Path, made: Plan, *, together: bool) -> dict[str, dict[tuple[str, int], float]]:
    """{variant: {(measure, layer): value}} from steps done together, or one by one."""
    store = Store(root)
    steps = made.of("measure")
    for batch in [made.of("tune"), *([steps] if together else [[step] for step in steps])]:
        for outcome in work(batch, root, lambda *_: None):
            assert outcome.problem is None, outcome.problem
    return {
        step.cell.variant: {
            (row["measure"], -1 if row["layer"] is None else row["layer"]): np.nan
            if row["value"] is None
            else row["value"]
            for row in json.loads((store.path(step.address) / "measures.json").read_text())
        }
        for step in steps
    }


def test_the_figures_are_those_of_whole_arrays(tmp_path: Path) -> None:
    made = plan()
    found = measured(tmp_path, made, together=True)
    (tune,) = made.of("tune")
    adapter = Store(tmp_path).path(tune.address)
    prompts = [p for p in read_suite(specimens.path("specimen:suite")) if p.language == "da"]
    texts = [prompt.text for prompt in prompts]
    model = load(Source(str(specimens.path("specimen:llama-0")), device="cpu"))
    base = last_token(model, texts)
    ((_, variant),) = Cohort(model, [adapter]).last_tokens(texts)
    moved, apart = (
        drift(base.hidden, variant.hidden),
        divergence(base.logprobs_next, variant.logprobs_next),
    )
    alike = SimilaritySums(len(base.hidden))
    alike.add(base.hidden, variant.hidden)
    rows = found[tune.cell.variant]
    for layer in range(len(base.hidden)):
        assert rows["drift_l2", layer] == pytest.approx(moved.relative_l2[layer], abs=1e-6)
        assert rows["drift_cosine", layer] == pytest.approx(moved.cosine[layer], abs=1e-6)
        assert rows["cka_debiased", layer] == pytest.approx(
            alike.similarity().cka_debiased[layer], abs=1e-5, nan_ok=True
        )
    assert rows["next_token_kl", -1] == pytest.approx(apart.kl.mean(), rel=1e-4)
    assert rows["next_token_js", -1] == pytest.approx(apart.js.mean(), rel=1e-4)
    assert 0.8 < rows["refusal_auc", 3] <= 1
    assert rows["refusal_shift_clearest", -1] in [
        rows["refusal_shift", layer] for layer in range(len(base.hidden))
    ]
    assert set(found["a"]) == {("refusal_margin", -1), ("refusal_mass", -1)}


def test_done_together_or_alone_they_are_alike(tmp_path: Path) -> None:
    made = plan()
    one = measured(tmp_path / "together", made, together=True)
    other = measured(tmp_path / "alone", made, together=False)
    assert one.keys() == other.keys()
    for variant, rows in one.items():
        assert rows == pytest.approx(other[variant], abs=1e-6, nan_ok=True)


def test_a_suite_without_safe_prompts_has_no_direction_and_says_why(tmp_path: Path) -> None:
    rows = specimens.path("specimen:suite").read_text(encoding="utf-8").splitlines()
    suite = tmp_path / "unsafe.jsonl"
    suite.write_text("\n".join(row for row in rows if '"unsafe"' in row), encoding="utf-8")
    made = plan(str(suite))
    found = measured(tmp_path / "out", made, together=True)
    (tune,) = made.of("tune")
    assert not any("refusal_shift" in name for name, _ in found[tune.cell.variant])
    step = next(s for s in made.of("measure") if s.cell.variant == tune.cell.variant)
    record = json.loads(
        (Store(tmp_path / "out").path(step.address) / "record.json").read_text(encoding="utf-8")
    )
    assert record["notes"]["refusal_direction"] == (
        "the refusal direction in da needs safe prompts to set unsafe ones against, and there are "
        "none; add prompts of the kind safe-lookalike to the suite."
    )
