from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from polydrift.toml_lines import line_numbers, line_of


def test_keys_tables_and_array_tables_are_found() -> None:
    text = 'a = 1\n[t]\n"b c" = 2 # [x]\n[[r]]\nk = [\n  1,\n]\n[[r]]\nk = 3\n[t.u]\nd.e = 1\n'
    tomllib.loads(text)
    assert line_numbers(text) == {
        ("a",): 1,
        ("t",): 2,
        ("t", "b c"): 3,
        ("r", 0): 4,
        ("r", 0, "k"): 5,
        ("r", 1): 8,
        ("r", 1, "k"): 9,
        ("t", "u"): 10,
        ("t", "u", "d", "e"): 11,
    }


def test_the_nearest_ancestor_gives_the_line() -> None:
    lines = line_numbers("[[r]]\nk = [1, 2]\n")
    assert line_of(("r", 0, "k", 1), lines) == 2
    assert line_of(("r", 0, "absent"), lines) == 1
    assert line_of(("s",), lines) is None


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[1] / "studies").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_key_of_a_real_study_has_its_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines, rows = line_numbers(text), text.splitlines()

    def check(value: object, at: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                check(inner, (*at, key))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for i, inner in enumerate(value):
                check(inner, (*at, i))
        else:
            assert rows[lines[at] - 1].lstrip().startswith(str(at[-1]))

    check(tomllib.loads(text), ())
