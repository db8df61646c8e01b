"""docs/suites.md: its examples run, in order, and print what stands there."""

from __future__ import annotations

import re
from pathlib import Path

from polydrift.data.mapping import ALIASES, SUITE_FIELDS
from polydrift.data.suite_formats import FORMATS
from polydrift.data.suites import read_suite

PAGE = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    examples = blocks("python")
    assert len(examples) == 5
    for example in examples:
        exec(example, names)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 5
    assert "".join(f"    {line}\n" for line in printed) in PAGE


def test_our_own_form_is_read(tmp_path):
    (tmp_path / "suite.jsonl").write_text(blocks("json")[0], encoding="utf-8")
    assert [prompt.language for prompt in read_suite(tmp_path / "suite.jsonl")] == ["en", "da"]


def test_the_tables_name_every_field_and_format():
    for field in SUITE_FIELDS:
        assert f"| `{field}` | {', '.join(ALIASES[field])} |" in PAGE
    for name in FORMATS:
        assert f"| `{name}` |" in PAGE
