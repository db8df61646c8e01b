"""What suites of other origin cost to read and check: `python benchmarks/suites.py DATA_DIR`.

DATA_DIR holds public data that is not part of this project (docs/suites.md says where each comes
from). Prints Markdown tables of aggregate figures, never a row, and writes them with versions and
date to docs/figures/suites.json.

Real suites are read and checked as they are. SIB-200's sentences, parallel in all nine languages,
then serve as a suite in which mistakes are planted: in 5% of its rows, chosen by a hash of the id.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

from polydrift.data import suite_texts
from polydrift.data.suite_check import check_suite
from polydrift.data.suites import Prompt, survey_suite
from polydrift.judges.language import identify_all
from polydrift.languages import LANGUAGES

Table = list[dict[str, Any]]

OUT = Path(__file__).parent.parent / "docs" / "figures" / "suites.json"
PLANTED = 0.05
PARALLEL = "sib200_flores_parallel/sib200_9lang.jsonl.gz"
SUITES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("XSTest", "xstest/xstest_prompts.jsonl", {"format": "xstest"}),
    ("MultiJail", "multijail/multijail.jsonl.gz", {"format": "multijail"}),
    (
        "PolyRefuse, harmless",
        "polyrefuse_benign_prompts/harmless_parallel_en_es.jsonl",
        {"kind": "safe-lookalike"},
    ),
    ("SIB-200 (FLORES)", PARALLEL, {"kind": "safe-lookalike"}),
)


def read_and_check(data: Path) -> dict[str, Table]:
    """Each suite: rows, what was found, rows per second of processor time, no text seen before."""
    table: Table = []
    for name, file, how in SUITES:
        start = time.process_time()
        prompts, notes = survey_suite(data / file, **how)
        read = time.process_time()
        findings = check_suite(prompts)
        checked = time.process_time()
        sorts = Counter({finding.sort: 0 for finding in findings})
        for finding in findings:
            sorts[finding.sort] += len(finding.prompt_ids)
        count = Counter(prompt.language for prompt in prompts)
        table.append(
            {
                "suite": name,
                "prompts": len(prompts),
                "languages": " ".join(f"{code} {count[code]}" for code in count),
                "notes": len(notes),
                "errors": sum(finding.severity == "error" for finding in findings),
                "found (prompts)": ", ".join(
                    f"{sort} {n or ''}".strip() for sort, n in sorts.items()
                )
                or "nothing",
                "read/s": round(len(prompts) / (read - start)),
                "check/s": round(len(prompts) / (checked - read)),
            }
        )
    return {"Suites as they are": table}


def accepted(prompts: Sequence[Prompt]) -> dict[str, Table]:
    """What the checks say of good translations, in per cent of the rows; lengths beside English."""
    english = {prompt.prompt_id: prompt.text for prompt in prompts if prompt.language == "en"}
    findings = check_suite(prompts)
    table: Table = []
    for code in LANGUAGES:
        rows = [prompt for prompt in prompts if prompt.language == code]
        found = Counter[str]()
        for finding in findings:
            if finding.language == code:
                found[finding.sort] += len(finding.prompt_ids)
        wrong = found["wrong-language"] + found["untranslated"]
        ratios = [len(row.text) / len(english[row.prompt_id]) for row in rows]
        table.append(
            {
                "language": code,
                "rows": len(rows),
                "language accepted %": round(100 * (1 - wrong / len(rows)), 2),
                "number warned %": round(100 * found["number"] / len(rows), 2),
                "length warned %": round(100 * found["length"] / len(rows), 2),
                "damaged %": round(100 * found["damaged"] / len(rows), 2),
                "characters per English one": round(statistics.median(ratios), 2),
            }
        )
    return {"Good translations (SIB-200)": table}


def chosen(prompts: Sequence[Prompt]) -> set[str]:
    """The ids of 5% of the rows."""
    ids = {prompt.prompt_id for prompt in prompts}
    order = sorted(ids, key=lambda one: hashlib.sha256(one.encode()).digest())
    return set(order[: round(PLANTED * len(order))])


def swapped(prompts: Sequence[Prompt]) -> dict[str, Table]:
    """Two languages' texts put in each other's place, for each pair: share of the rows told."""
    ids = chosen(prompts)
    caught: dict[frozenset[str], float] = {}
    rows = 0
    for pair in combinations(LANGUAGES, 2):
        texts = {(p.prompt_id, p.language): p.text for p in prompts if p.language in pair}
        other = dict(zip(pair, pair[::-1], strict=True))
        suite = [
            replace(p, text=texts[p.prompt_id, other[p.language]]) if p.prompt_id in ids else p
            for p in prompts
            if p.language in pair
        ]
        found = {
            (prompt_id, finding.language)
            for finding in check_suite(suite)
            if finding.sort in ("wrong-language", "untranslated")
            for prompt_id in finding.prompt_ids
        }
        caught[frozenset(pair)] = sum(
            (prompt_id, code) in found for prompt_id in ids for code in pair
        ) / (2 * len(ids))
        rows += 2 * len(ids)
    table: Table = [
        {
            "language": code,
            **{
                other: "–" if other == code else round(100 * caught[frozenset((code, other))], 1)
                for other in LANGUAGES
            },
        }
        for code in LANGUAGES
    ]
    total = {
        "pairs": len(caught),
        "rows": rows,
        "caught %": round(100 * statistics.mean(caught.values()), 2),
        "worst pair %": round(100 * min(caught.values()), 2),
    }
    return {"Two languages swapped in 5% of rows: caught %": table, "All pairs": [total]}


def planted(prompts: Sequence[Prompt]) -> dict[str, Table]:
    """Other mistakes put into 5% of a language's rows: share told under the right name."""
    ids = chosen(prompts)
    english = {prompt.prompt_id: prompt.text for prompt in prompts if prompt.language == "en"}
    mistakes: tuple[tuple[str, str, Callable[[Prompt], str]], ...] = (
        ("English left in", "untranslated", lambda row: english[row.prompt_id]),
        ("cut to a third", "length", lambda row: row.text[: len(row.text) // 3]),
        ("emptied", "empty", lambda row: " "),
        ("another row's text", "duplicate", lambda row: ""),
        ("digits removed", "number", lambda row: "".join(c for c in row.text if not c.isdecimal())),
    )
    table: Table = []
    for code in LANGUAGES:
        if code == "en":
            continue
        entry: dict[str, Any] = {"language": code, "rows": len(ids)}
        own = [prompt for prompt in prompts if prompt.language == code]
        good = [prompt for prompt in own if prompt.prompt_id not in ids]
        neighbour = dict(zip(sorted(ids), good, strict=False))
        for name, sort, spoil in mistakes:
            hit = ids
            if sort == "number":
                hit = {
                    one for one in hit if any(len(n) > 1 for n in suite_texts.numbers(english[one]))
                }
            texts = {
                p.prompt_id: neighbour[p.prompt_id].text if sort == "duplicate" else spoil(p)
                for p in own
                if p.prompt_id in hit
            }
            suite = [
                replace(p, text=texts[p.prompt_id]) if p.prompt_id in texts else p for p in own
            ] + [p for p in prompts if p.language == "en"]
            found = {
                prompt_id
                for finding in check_suite(suite)
                if finding.language == code and finding.sort == sort
                for prompt_id in finding.prompt_ids
            }
            entry["with numbers"] = len(hit)  # the last mistake's rows
            entry[f"{name} %"] = round(100 * len(hit & found) / len(hit), 1)
        table.append(entry)
    return {"Other mistakes planted in 5% of rows: caught %": table}


def markdown(title: str, table: Table) -> str:
    head = list(table[0])
    lines = [f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(str(row[column]) for column in head)} |" for row in table]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of public data")
    data = parser.parse_args().data
    identify_all(["Where is it?", "Hvor er den? " * 9])  # loads lingua untimed
    suite_texts.bare("")
    parallel, _ = survey_suite(data / PARALLEL, kind="safe-lookalike")
    tables = read_and_check(data) | accepted(parallel) | swapped(parallel) | planted(parallel)
    for title, table in tables.items():
        print(markdown(title, table))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "lingua": version("lingua-language-detector"),
        "pyarrow": version("pyarrow"),
        "device": f"{platform.machine()}, one core",
        "tables": tables,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
