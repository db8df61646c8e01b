"""How large the report of the paper's grid is, and how long it takes: `benchmarks/report.py`.

The tables are those of a made-up study of that shape (6 bases, 9 tuning languages, 3 seeds, 1 and 3
epochs, 9 evaluation languages, benchmarks and preferences too) with few prompts: what the page
holds hangs on cells, and on prompts only by the answers that it shows, which are bounded. Writes
docs/figures/report.json.
"""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "figures" / "report.json"


def main() -> None:
    """Make the tables, draw the page, weigh its sections."""
    sys.path.insert(0, str(ROOT))
    from tests.report.synthetic import study

    from polydrift.launch.worker import environment
    from polydrift.report.page import page

    started = time.perf_counter()
    tables, lock = study(
        bases=tuple(f"base-{number}" for number in range(6)),
        seeds=(3407, 9, 73),
        epochs=(1, 3),
        unsafe=12,
        safe=6,
        able=True,
    )
    made = time.perf_counter()
    html = page(tables, lock)
    drawn = time.perf_counter()
    sections = re.findall(r'<section id="([^"]+)">(.*?)</section>', html, re.DOTALL)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "environment": environment(),
        "variants": len(set(tables["rates"]["variant"].to_pylist())),
        "cells": tables["rates"].num_rows // 2,
        "seconds for the tables": round(made - started, 1),
        "seconds for the page": round(drawn - made, 1),
        "megabytes": round(len(html.encode()) / 1e6, 2),
        "megabytes by section": {
            name: round(len(text.encode()) / 1e6, 2) for name, text in sections
        },
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
