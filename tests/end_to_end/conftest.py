from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"
Polydrift = Callable[..., subprocess.CompletedProcess[str]]


def run_polydrift(*arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """The command line as a user runs it; fails the test unless it exits as expected."""
    done = subprocess.run(
        [sys.executable, "-m", "polydrift", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == expect, f"{arguments}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="session")
def polydrift() -> Polydrift:
    return run_polydrift


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of studies/smoke.toml, run once; tests that change them copy them first."""
    out = tmp_path_factory.mktemp("smoke") / "results"
    run_polydrift("run", STUDIES / "smoke.toml", "--out", out, "--workers", 1)
    return out
