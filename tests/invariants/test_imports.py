"""The rooms' order: imports point down, and the rooms at the bottom know nothing of studies."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "polydrift"

# From top to bottom; a module may import from its own line and from lines below it.
ORDER = (
    {"cli", "__main__"},
    {"cli_data", "cli_judge", "cli_review", "cli_suite"},
    {"show_validation"},
    {"validate"},
    {"audit", "audit_files", "builtin", "export", "gating", "options", "show"},
    {"detectable", "estimate", "status"},
    {"run"},
    {"progress", "results"},
    {"report"},
    {"launch"},
    {"plan", "plan_judges", "plan_measures", "plan_variants", "steps", "tables", "needs"},
    {"sources"},
    {"review"},
    {"parallel"},
    {"references"},
    {"step"},
    {"study", "study_checks"},
    {"specimens"},
    {"capability", "data", "engine", "judges", "measures", "stats", "translate"},
    {"store"},
    {"toml_lines", "records", "seeds", "disk", "languages", "errors"},
)
BOTTOM = {"capability", "data", "engine", "judges", "measures", "stats", "translate"}
UNKNOWN_TO_BOTTOM = {"store", "plan", "study", "sources", "run", "launch", "steps", "tables"}


def rooms() -> set[str]:
    return {p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The rooms that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "polydrift":
            yield from (alias.name for alias in node.names if alias.name in rooms())
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("polydrift."):
            yield (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("polydrift."):
                    yield alias.name.split(".")[1]


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def test_every_room_has_its_place() -> None:
    assert rooms() - {"__init__"} == set().union(*ORDER)


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_imports_point_down(path: Path) -> None:
    level = {room: i for i, line in enumerate(ORDER) for room in line}
    here = room_of(path)
    if here == "__init__":
        assert not list(imported(path))
        return
    for other in imported(path):
        if (here, other) == ("specimens", "engine"):
            continue
        assert level[here] <= level[other], f"{here} imports {other}, which stands above it"
        if here in BOTTOM:
            assert other not in UNKNOWN_TO_BOTTOM


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_pipeline_knows_no_specimens() -> None:
    """They are loaded, tuned, asked, judged and reported by the same code as any model."""
    knowing = {room_of(path) for path in modules() if "specimens" in set(imported(path))} - {
        "specimens"
    }
    assert knowing == {"cli", "references"}  # the command to retrain them; their names resolved
