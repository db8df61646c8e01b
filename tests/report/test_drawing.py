from __future__ import annotations

import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.report import drawing, render
from polydrift.report.drawing import Drawing, drawings, png, svg
from polydrift.report.page import page
from polydrift.report.words import clean
from tests.report.synthetic import HOSTILE, study

XML = "{http://www.w3.org/2000/svg}"
STYLE = Path(render.__code__.co_filename).parent / "templates" / "style.css"
PNG = b"\x89PNG\r\n\x1a\n"


@cache
def ordinary() -> tuple[dict[str, pa.Table], dict[str, Any], list[Drawing]]:
    tables, lock = study(bases=("llama", "qwen3"), able=True)
    return tables, lock, drawings(tables, lock)


@cache
def hostile() -> list[Drawing]:
    tables, lock = study(
        bases=(f"llama{HOSTILE}",), languages=("en", "ga"), tuned=("ga",), hostile=True, able=True
    )
    return drawings(tables, lock)


def read(drawing: Drawing) -> ET.Element:
    return ET.fromstring(svg(drawing))


def texts(root: ET.Element, style: str) -> list[str]:
    return [str(one.text) for one in root.iter(f"{XML}text") if one.get("class") == style]


def panels(root: ET.Element) -> list[tuple[float, float]]:
    """Where each panel's caption begins."""
    places = [
        re.findall(r"[\d.]+", str(group.get("transform")))
        for group in root.iter(f"{XML}g")
        if group.get("transform")
    ]
    return [(float(x), float(y)) for x, y in places[::2]]


def numbered(one: Drawing, n: int) -> Drawing:
    return replace(one, panels=tuple(replace(one.panels[0], title=f"p{i}") for i in range(n)))


# --- what is drawn ----------------------------------------------------------------------------


def test_every_figure_of_the_report_is_drawn_and_no_other() -> None:
    tables, lock, made = ordinary()
    assert [one.name for one in made] == [
        "tipping",
        "capability-held-out-harmless-questions",
        "capability-topics",
        "capability-own-facts",
        "drift",
        "drift-compliance",
    ]
    shown = re.findall(r"<(?:circle|path) [^>]*><title>([^<]*)</title>", page(tables, lock))
    drawn = [
        str(title.text)
        for one in made
        for mark in read(one).iter()
        if mark.tag in (f"{XML}circle", f"{XML}path")
        for title in mark
    ]
    assert len(drawn) > 500
    assert sorted(drawn) == sorted(shown)


def test_points_and_lines_lie_where_the_report_has_them() -> None:
    _, _, made = ordinary()
    for one in made:
        root = read(one)
        circles = [c for c in root.iter(f"{XML}circle") if c.find(f"{XML}title") is not None]
        points = [point for panel in one.panels for point in panel.points]
        assert [(c.get("cx"), c.get("cy"), c.get("class")) for c in circles] == [
            (str(p.x), str(p.y), p.kind) for p in points
        ]
        paths = [p.get("d") for p in root.iter(f"{XML}path") if p.find(f"{XML}title") is not None]
        assert paths == [line.path for panel in one.panels for line in panel.lines]


def test_titles_axes_and_summaries_are_there_as_text_and_described() -> None:
    _, _, made = ordinary()
    for one in made:
        root = read(one)
        assert [child.tag for child in root[:2]] == [f"{XML}title", f"{XML}desc"]
        assert root[0].text == one.heading
        assert texts(root, "title") == [panel.title for panel in one.panels]
        for panel in one.panels:
            assert panel.x.label in texts(root, "label")
            assert panel.y.label in texts(root, "label")
            assert panel.summary in " ".join(texts(root, "summary"))
            assert f"{panel.title}: {panel.y.label} against" in str(root[1].text)


def test_the_corners_have_names_where_they_mean_something() -> None:
    _, _, made = ordinary()
    assert texts(read(made[0]), "quadrant") == 2 * [label for label, _, _ in drawing.QUADRANTS]
    html = page(*ordinary()[:2])
    for label, _, _ in drawing.QUADRANTS:
        assert f">{label}</text>" in html
    assert not [one for one in made[1:] if texts(read(one), "quadrant")]


def test_figures_are_the_first_judges() -> None:
    tables, lock, made = ordinary()
    effects = tables["effects"]
    again = effects.set_column(
        effects.schema.get_field_index("judge"), "judge", pa.array(["other"] * effects.num_rows)
    )
    both = {**tables, "effects": pa.concat_tables([again, effects])}
    assert [svg(one) for one in drawings(both, lock)[:4]] == [svg(one) for one in made[:4]]


def test_a_study_without_tuned_variants_has_no_figures() -> None:
    assert drawings(*study(bases=("llama",), tuned=())) == []
    assert drawings(*study(bases=(), tuned=())) == []


# --- how it is laid out -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (9, 3), (10, 3)]
)
def test_panels_stand_in_rows_and_do_not_touch(n: int, columns: int) -> None:
    one = numbered(ordinary()[2][0], n)
    root = read(one)
    places = panels(root)
    assert len(places) == n
    assert len({x for x, _ in places}) == columns
    figure = one.panels[0]
    for i, (x, y) in enumerate(places):
        assert x + figure.width < float(root.get("width", "0"))
        assert y + figure.height < float(root.get("height", "0"))
        for u, v in places[:i]:
            assert abs(x - u) > figure.width or abs(y - v) > figure.height


def test_long_titles_are_broken_and_nothing_is_lost() -> None:
    _, _, made = ordinary()
    endonyms = "".join(one.endonym for one in LANGUAGES.values())
    for title in ("one-two/three " * 9, 90 * "x", 90 * "模", 9 * endonyms, 30 * "MW"):
        one = replace(made[0], heading=title, panels=(replace(made[0].panels[0], title=title),))
        root = read(one)
        for style, size in (("heading", 14), ("title", 12)):
            lines = texts(root, style)
            assert len(lines) > 1
            assert "".join(lines).replace(" ", "") == title.replace(" ", "")
            room = (float(root.get("width", "0")) - 70) / size
            for line in lines:  # capitals of Arial are 0.72 of the size wide, Chinese signs 1
                assert len(line) * (1.0 if "模" in line else 0.5) <= room
                assert not re.match(r"\s|[\u093e-\u094d]", line)  # no sign without its letter
        (caption,) = [
            group for group in root.iter(f"{XML}g") if group.find(f"{XML}text") is not None
            and group[0].get("class") == "title"
        ]  # fmt: skip
        ends = max(float(text.get("y", "0")) for text in caption)
        top, plot = (
            float(re.findall(r"[\d.]+", str(group.get("transform")))[1])
            for group in root.findall(f"{XML}g")
        )
        assert top + ends < plot


def test_the_key_explains_the_kinds_that_are_there() -> None:
    tables, lock = study(bases=("llama",), tuned=("da",), given=("gpt4",))
    made = {one.name: read(one) for one in drawings(tables, lock)}
    words = ["asked in the tuning language", "in another language", "tuning language not known"]
    plain = [str(text.text) for text in made["tipping"] if text.tag == f"{XML}text"]
    assert plain == ["Tipping", *words]
    plain = [str(text.text) for text in made["drift"] if text.tag == f"{XML}text"]
    assert plain == ["Drift by layer", *words[:2]]
    root = read(next(one for one in ordinary()[2] if one.name == "capability-own-facts"))
    assert [text.text for text in root.findall(f"{XML}text")] == ["Capability: own: facts"]


def test_colours_are_those_of_the_light_page() -> None:
    light = STYLE.read_text(encoding="utf-8").split("}")[0]
    for one in ordinary()[2]:
        text = svg(one)
        used = set(re.findall(r"#[0-9a-f]{3,8}\b", text))
        assert {"#fff", "#b5530f", "#2767a8"} <= used
        assert all(f": {colour};" in light for colour in used)
        assert "var(" not in text


# --- safety -----------------------------------------------------------------------------------


def test_hostile_text_is_text() -> None:
    made = hostile()
    assert len(made) == 6
    seen = ""
    for one in made:
        text = svg(one)
        assert not set("\u202e\u0007\x00") & set(text)
        root = ET.fromstring(text)
        for element in root.iter():
            assert element.tag.removeprefix(XML) in {
                *("svg", "title", "desc", "style", "rect", "g", "text", "line", "circle", "path")
            }
            assert not [name for name in element.attrib if "href" in name or name[:2] == "on"]
        style = root.find(f"{XML}style")
        assert style is not None
        assert "url(" not in str(style.text)
        assert "@import" not in str(style.text)
        seen += "".join(texts(root, "title")).replace(" ", "")
    assert clean(HOSTILE).replace(" ", "") in seen


def test_names_of_files_are_harmless_and_differ() -> None:
    titles = [
        "../../etc/passwd",
        "a b",
        "A/B",
        "a:b",
        "…",
        "中文 模型",
        "x" * 999,
        "-rf .",
        "",
        "…",
    ]
    assert drawing._file_names(titles) == [
        *("etc-passwd", "a-b", "a-b-2", "a-b-3", "figure", "中文-模型", "x" * 60, "rf"),
        *("figure-2", "figure-3"),
    ]
    assert max(len(one.name.encode()) for one in hostile()) < 100


def test_equal_drawings_are_equal_text() -> None:
    tables, lock, made = ordinary()
    assert [svg(one) for one in drawings(tables, lock)] == [svg(one) for one in made]


# --- PNG --------------------------------------------------------------------------------------


def test_png_is_the_svg_at_twice_its_size() -> None:
    pytest.importorskip("resvg_py", reason="drawn by the extra png")
    for one in ordinary()[2][:2]:
        picture = svg(one)
        root = ET.fromstring(picture)
        made = png(picture)
        assert made.startswith(PNG)
        size = struct.unpack(">II", made[16:24])
        assert size == tuple(round(2 * float(root.get(end, "0"))) for end in ("width", "height"))
        assert png(re.sub(r"<text.*?</text>", "", picture)) != made  # its text is drawn
        assert struct.unpack(">II", png(picture, scale=1)[16:24]) == (size[0] // 2, size[1] // 2)


def test_without_resvg_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(
        DataError, match=r'pip install "polydrift\[png\]", or export figures as svg'
    ):
        png("<svg/>")


def test_without_any_font_it_draws_no_wordless_picture(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="drawn by the extra png")
    (tmp_path / "fonts.conf").write_text(
        f"<?xml version='1.0'?><fontconfig><dir>{tmp_path}</dir></fontconfig>"
    )
    code = "from polydrift.report.drawing import png; png('<svg/>')"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"FONTCONFIG_FILE": str(tmp_path / "fonts.conf"), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DataError: PNG needs a font and this machine has none: install one" in ran.stderr
