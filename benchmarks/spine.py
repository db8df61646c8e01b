"""How long the spine takes: the demo, running it again, planning, status, start-up.

    python benchmarks/spine.py [--skip-demo]

Prints a table and writes docs/figures/spine.json with versions, device and date. Start-up is given
beside what Python with pydantic and typer takes, in the same run. The median of five is reported,
except for the demo, which is run once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from polydrift.launch.worker import environment
from polydrift.plan import make_plan
from polydrift.run import write_lock
from polydrift.sources import survey
from polydrift.step import VERSIONS
from polydrift.store import Store
from polydrift.study import load

HERE = Path(__file__).resolve().parent
STUDIES = HERE.parent / "studies"
FIGURES = HERE.parent / "docs" / "figures" / "spine.json"
ARTIFACTS = 2000


def seconds(*arguments: object, times: int = 5) -> float:
    """Median wall-clock seconds of a Python command in a process of its own."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def skeleton(root: Path) -> None:
    """A results directory of the paper's study with its first 2,000 artifacts, empty inside."""
    study = load(STUDIES / "paper.toml")
    sources = survey(study)
    plan = make_plan(study, sources)
    store = Store(root)
    for step in plan.steps[:ARTIFACTS]:
        with store.create(
            step.address,
            version=VERSIONS[step.kind],
            params=step.params,
            inputs={name: made.key for name, made in step.inputs.items()},
            files=step.files,
            environment={},
        ) as work:
            (work.dir / "nothing").write_bytes(b"")
    write_lock(study, sources, {}, plan, root)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-demo", action="store_true", help="only what takes seconds")
    skip_demo = parser.parse_args().skip_demo
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        if not skip_demo:
            demo = ("-m", "polydrift", "demo", "--quiet", "--out", f"{scratch}/demo")
            figures["the demo study, first run"] = seconds(*demo, times=1)
            figures["the demo study, second run"] = seconds(*demo)
        skeleton(Path(scratch, "paper"))
        status = ("-m", "polydrift", "status", f"{scratch}/paper")
        figures[f"status, {ARTIFACTS:,} artifacts"] = seconds(*status)
    figures["plan paper.toml"] = seconds("-m", "polydrift", "plan", STUDIES / "paper.toml")
    figures["--help"] = seconds("-m", "polydrift", "--help")
    figures["import polydrift"] = seconds("-c", "import polydrift")
    figures["import pydantic, typer (for comparison)"] = seconds("-c", "import pydantic, typer")
    figures["python alone (for comparison)"] = seconds("-c", "pass")
    for name, value in figures.items():
        print(f"| {name} | {value:.2f} s |")
    FIGURES.write_text(
        json.dumps(
            {
                "command": "python benchmarks/spine.py",
                "date": date.today().isoformat(),
                "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
                "load": os.getloadavg()[0],
                "environment": environment(),
                "seconds": {name: round(value, 3) for name, value in figures.items()},
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
