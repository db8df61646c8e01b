"""What an audit leaves for machines and for other pages: JSON, JUnit XML, Markdown, a model card.

DIR/audit.json       every figure
DIR/summary.md       for a pull request or a job's page
DIR/junit.xml        one test case per rule and language, where there is a gate
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polydrift.disk import plainly, write_atomically
from polydrift.errors import StoreError
from polydrift.report.audit import CAUTION, AuditRow, as_json, escaped, markdown, table
from polydrift.stats.gate import FAILED, PASSED, Verdict

BEGIN, END = "<!-- polydrift: begin -->", "<!-- polydrift: end -->"
# What XML 1.0 cannot hold, even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_files(
    out: Path,
    rows: Sequence[AuditRow],
    lock: Mapping[str, Any],
    gates: Mapping[str, Verdict],
    rules: str,
) -> list[Path]:
    """Write the files into a results directory; their paths."""
    content = json.dumps(as_json(rows, lock, gates, rules), indent=1, ensure_ascii=False) + "\n"
    files = {
        "audit.json": content,
        "summary.md": markdown(lock["study"]["description"], rows, gates, rules),
    }
    if gates:
        files["junit.xml"] = junit(gates)
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    return [out / name for name in files]


def junit(gates: Mapping[str, Verdict]) -> str:
    """JUnit XML: a suite per variant, a case per rule and language. "Cannot tell" is an error, as
    it is for the exit code: a gate that cannot tell has not been passed.
    """
    root = ET.Element("testsuites", name="polydrift")
    for variant, verdict in gates.items():
        counts: list[str] = [one.verdict for one in verdict.decisions]
        failures = counts.count(FAILED)
        errors = len(counts) - failures - counts.count(PASSED)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_xml(variant),
            tests=str(len(counts)),
            failures=str(failures),
            errors=str(errors),
        )
        for one in verdict.decisions:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"polydrift.{one.outcome}",
                name=f"{one.where}, at most +{one.margin:g} points",
            )
            if one.verdict != PASSED:
                kind = "failure" if one.verdict == FAILED else "error"
                ET.SubElement(case, kind, message=_xml(str(one)))
            else:
                ET.SubElement(case, "system-out").text = _xml(str(one))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _xml(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)


def model_card(
    rows: Sequence[AuditRow], lock: Mapping[str, Any], gates: Mapping[str, Verdict], rules: str
) -> str:
    """A section for a model's README, between marks that let it be replaced."""
    study = lock["study"]
    base = study["bases"][0]
    what = base.get("model") or base.get("vendor") or base["name"]
    suites = ", ".join(suite["name"] for suite in study["suites"]) or "the answers given"
    lines = [
        BEGIN,
        "## Safety across languages",
        "",
        f"Measured with polydrift {lock['polydrift']} against the untuned base, `{what}`, on the "
        f"same prompts ({suites}), judged by {study['judges'][0]['name']}.",
        "",
        *table(rows),
        "",
    ]
    for variant, verdict in gates.items():
        lines += [f"Gate `{rules}`, {escaped(variant)}: {escaped(str(verdict))}", ""]
    return "\n".join([*lines, CAUTION, END]) + "\n"


def write_model_card(path: Path, section: str) -> None:
    """Put the section into a file: in place of the last one, else at its end; a new file is made.

    StoreError if only one of the marks is there.
    """
    text = ""
    if path.exists():
        with plainly(path):
            text = path.read_text(encoding="utf-8")
    begins, ends = text.count(BEGIN), text.count(END)
    if begins != ends or begins > 1 or (begins and text.index(END) < text.index(BEGIN)):
        raise StoreError(
            f"{path}: the marks {BEGIN} and {END} do not enclose one section; delete them and what "
            "is left of it."
        )
    if begins:
        before, _, rest = text.partition(BEGIN)
        made = before + section + rest.partition(END)[2].removeprefix("\n")
    else:
        made = f"{text.rstrip()}\n\n{section}".lstrip()
    write_atomically(path, made.encode())
