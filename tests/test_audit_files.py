"""What an audit writes: read back, replaced, harmless whatever the names hold."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pyarrow as pa
import pytest

from polydrift.audit_files import BEGIN, END, junit, model_card, write_files, write_model_card
from polydrift.errors import MeasureError, StoreError
from polydrift.gating import gate, outcomes
from polydrift.report.audit import audit_rows
from tests.report.synthetic import study

AUDITED = {
    "bases": ("llama",), "tuned": (), "given": ("mine", "timid"), "languages": ("en", "da"),
    "unsafe": 40, "safe": 40,
}  # fmt: skip


def test_answers_are_joined_by_prompt_and_sample_and_unparsed_is_absent() -> None:
    def row(
        variant: str, code: str, prompt: str, verdict: str, sample: int = 0
    ) -> dict[str, object]:
        return {
            "variant": variant, "evaluation_language": code, "suite": "s", "kind": "unsafe",
            "prompt_id": prompt, "sample": sample, "verdict": verdict,
        }  # fmt: skip

    table = pa.Table.from_pylist(
        [
            row("v", "da", "2", "complied"),
            row("b", "da", "1", "refused"),
            row("b", "da", "2", "unparsed"),
            row("v", "da", "1", "other", sample=1),
            row("v", "en", "3", "complied"),
            row("b", "en", "3", "refused"),
            row("v", "el", "3", "complied"),  # the base was not asked
            row("w", "da", "1", "complied"),
        ]
    )
    found = outcomes(table, "b", "v")["compliance"]
    assert sorted(found) == ["da", "en"]
    base, variant = found["da"]
    assert base.tolist() == [[0, -1], [-1, -1], [-1, -1]]
    assert variant.tolist() == [[-1, 0], [1, -1], [-1, -1]]
    assert found["en"][1].tolist() == [[-1, -1], [-1, -1], [1, -1]]


def test_the_files_hold_the_rows_and_the_gates_word(tmp_path: Path) -> None:
    tables, lock = study(**AUDITED, strength=1.5)
    rows = audit_rows(tables, lock)
    rules = "compliance +20pp"
    gates = gate(rules, tables, lock)
    assert list(gates) == ["llama+mine", "llama+timid"]
    write_files(tmp_path, rows, lock, gates, rules)
    found = json.loads((tmp_path / "audit.json").read_text())
    assert [row["language"] for row in found["rows"]] == ["en", "da"] * 2
    decisions = found["gate"]["verdicts"]["llama+mine"]["decisions"]
    assert [one["where"] for one in decisions] == ["English", "Danish"]
    for row, one in zip(found["rows"][:2], decisions, strict=True):
        assert one["difference"] == pytest.approx(100 * row["compliance"]["difference"])
    cases = ET.parse(tmp_path / "junit.xml").getroot()
    assert [suite.get("tests") for suite in cases] == ["2", "2"]
    summary = (tmp_path / "summary.md").read_text()
    assert "| mine | Danish |" in summary
    assert rules in summary


def test_hostile_names_do_no_harm_in_xml_and_markdown() -> None:
    tables, lock = study(**{**AUDITED, "given": ('x|y<script>&"\u0007',)})
    gates = gate("compliance +90pp", tables, lock)
    root = ET.fromstring(junit(gates))
    assert root[0].get("name") == 'llama+x|y<script>&"\ufffd'
    card = model_card(audit_rows(tables, lock), lock, gates, "compliance +90pp")
    assert "<script" not in card
    assert "x\\|y" in card


def test_a_section_replaces_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Mine\n\nText.\n")
    write_model_card(path, f"{BEGIN}\none\n{END}\n")
    write_model_card(path, f"{BEGIN}\ntwo\n{END}\n")
    assert path.read_text() == f"# Mine\n\nText.\n\n{BEGIN}\ntwo\n{END}\n"
    path.write_text(path.read_text() + "\nMore.\n")
    write_model_card(path, f"{BEGIN}\nthree\n{END}\n")
    assert path.read_text() == f"# Mine\n\nText.\n\n{BEGIN}\nthree\n{END}\n\nMore.\n"
    write_model_card(tmp_path / "new.md", f"{BEGIN}\none\n{END}\n")
    assert (tmp_path / "new.md").read_text() == f"{BEGIN}\none\n{END}\n"


def test_half_a_section_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"# Mine\n{BEGIN}\n")
    with pytest.raises(StoreError, match="do not enclose one section; delete them"):
        write_model_card(path, "x")
    assert path.read_text() == f"# Mine\n{BEGIN}\n"


def test_what_failed_is_no_language_that_passed(tmp_path: Path) -> None:
    """One variant was not asked in Danish, and the base not in English."""
    tables, lock = study(**AUDITED, skip=[("mine", "da")])
    rules = "compliance +60pp, over-refusal +60pp"
    gates = gate(rules, tables, lock)
    assert [gates[name].code for name in ("llama+mine", "llama+timid")] == [2, 0]
    assert "Danish: compliance was not judged: cannot tell" in str(gates["llama+mine"])
    assert gate("compliance +60pp in en", tables, lock)["llama+mine"].code == 0
    rows = audit_rows(tables, lock)
    write_files(tmp_path, rows, lock, gates, rules)
    cases = ET.parse(tmp_path / "junit.xml").getroot()
    assert cases[0].get("errors") == "2"

    tables, lock = study(**AUDITED, skip=[("llama", "en")])  # the base and what is made of it
    assert {verdict.code for verdict in gate(rules, tables, lock).values()} == {2}


def test_a_variant_of_which_nothing_is_there_has_not_passed() -> None:
    tables, lock = study(**AUDITED, skip=[("mine", "da"), ("mine", "en")])
    gates = gate("compliance +60pp", tables, lock)
    assert gates["llama+mine"].code == 2
    assert [one.where for one in gates["llama+mine"].decisions] == ["English", "Danish"]


def test_a_gate_of_nothing_is_no_gate() -> None:
    tables, lock = study(**{**AUDITED, "given": ()})
    with pytest.raises(MeasureError, match="no variant was judged"):
        gate("compliance +3pp", tables, lock)
