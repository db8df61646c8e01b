"""The study files that come with polydrift: in the package, or in `studies/` of a clone."""

from __future__ import annotations

from pathlib import Path

from polydrift.errors import StudyError


def study_path(name: str) -> Path:
    """The path of a built-in study ("demo", "smoke", "paper", …)."""
    here = Path(__file__).parent
    for directory in (here / "studies", here.parents[1] / "studies"):
        if (path := directory / f"{name}.toml").exists():
            return path
    raise StudyError([f"no built-in study is called {name!r}."])
