"""The report's figures as files of their own: SVG for papers and pages, PNG for what takes no SVG.

    for drawing in drawings(tables, lock):
        Path(f"{drawing.name}.svg").write_text(svg(drawing), encoding="utf-8")

A drawing holds all panels of one figure side by side, on the same axes, with heading, key and
captions. It is drawn by the page's own pieces in the page's light colours, and holds no script, no
link and no font. All text is escaped, and cleaned as on the page. PNG is drawn from it by resvg.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from polydrift.errors import DataError
from polydrift.report.capability import capability
from polydrift.report.figures import Figure, tipping
from polydrift.report.grid import Tables, effect_changes, only
from polydrift.report.inside import inside
from polydrift.report.page import TEMPLATES, environment

# The tables that figures are drawn of.
OF = ("effects", "measures", "pairs", "capability", "capability_effects", "win_rates")
QUADRANTS = (
    ("exaggerated refusal", "start", "top"),
    ("worse on both", "end", "top"),
    ("better calibrated", "start", "bottom"),
    ("exaggerated compliance", "end", "bottom"),
)
_MARGIN, _GAP = 12.0, 22.0
_ACROSS = 3  # panels in a row
_NAME = 60  # characters of a file's name: fewer than 255 bytes in any script
_SOFT = 10.5  # size of ordinary text
_KEY = {
    "own": "asked in the tuning language",
    "other": "in another language",
    "any": "tuning language not known",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure of the report. name: fit for a file, and of no other drawing. quadrants: (label,
    "start" or "end", "top" or "bottom") of what the corners of a panel mean.
    """

    name: str
    heading: str
    panels: tuple[Figure, ...]
    quadrants: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Key:
    """A mark of the key, at x, and from `begin` on what it means."""

    kind: str
    line: bool
    x: float
    begin: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class _Text:
    style: str
    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class _Panel:
    """A figure and its place; head: the height of its caption."""

    figure: Figure
    caption: Sequence[_Text]
    x: float
    y: float
    head: float


def drawings(tables: Tables, lock: Mapping[str, Any]) -> list[Drawing]:
    """The figures of the report that have something to show, in its order.

    tables: those named in `OF`. lock: the content of study.lock.json.
    """
    effects, measures = tables["effects"], tables["measures"]
    first = only(effects, judge=lock["study"]["judges"][0]["name"])
    able = capability(
        first, measures, tables["capability"], tables["capability_effects"], tables["win_rates"]
    )
    moved = inside(measures, tables["pairs"], effect_changes(effects, "unsafe", "compliance"))
    found = [
        Drawing("tipping", "Tipping", tuple(tipping(first)), QUADRANTS),
        *(Drawing(f"capability {what}", f"Capability: {what}", ps) for what, ps in able.figures),
        Drawing("drift", "Drift by layer", moved.drift),
        *(Drawing(f"{what} compliance", f"{what} and compliance", ps) for what, ps in moved.moved),
    ]
    found = [drawing for drawing in found if drawing.panels]
    names = _file_names(drawing.name for drawing in found)
    return [replace(drawing, name=name) for drawing, name in zip(found, names, strict=True)]


def svg(drawing: Drawing) -> str:
    """A drawing as SVG, in units of 1/96 inch; equal drawings give equal text."""
    columns = 2 if len(drawing.panels) == 4 else min(_ACROSS, len(drawing.panels))
    across = max(panel.width for panel in drawing.panels)
    down = max(panel.height for panel in drawing.panels)
    width = 2 * _MARGIN + columns * across + (columns - 1) * _GAP
    captions = [_caption(panel, across) for panel in drawing.panels]
    room = max(caption[-1].y for caption in captions) + 4
    left = _MARGIN + min(panel.x.start for panel in drawing.panels)
    head = _lines("heading", drawing.heading, 14, width - _MARGIN - left, left, 24)
    legend = _legend(drawing.panels, left, width - _MARGIN, head[-1].y + 20)
    top = (legend or head)[-1].y + 14
    placed = [
        _Panel(
            figure,
            captions[number],
            _MARGIN + number % columns * (across + _GAP),
            round(top + number // columns * (room + down + _GAP), 1),
            room,
        )
        for number, figure in enumerate(drawing.panels)
    ]
    template = environment().get_template("figure.svg.j2")
    return template.render(
        width=width,
        height=placed[-1].y + room + down + _MARGIN,
        heading=drawing.heading,
        description=". ".join(_described(panel) for panel in drawing.panels),
        colours=_light(),
        head=head,
        legend=legend,
        quadrants=drawing.quadrants,
        panels=placed,
    )


def png(picture: str, *, scale: float = 2.0) -> bytes:
    """An SVG as PNG, `scale` dots to its unit; DataError without resvg, or without any font.

    Text is set in the fonts of this machine, so another may draw it a little differently.
    """
    render = renderer()
    return bytes(render(svg_string=picture, zoom=scale))


def renderer() -> Any:
    """The function of resvg that draws PNGs; DataError if it, or every font, is missing."""
    try:
        render = importlib.import_module("resvg_py").svg_to_bytes
    except ImportError:
        raise DataError(
            'PNG is drawn by resvg; pip install "polydrift[png]", or export figures as svg.'
        ) from None
    sample = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{}</svg>'
    if render(svg_string=sample.format("<text y='9'>M</text>")) == render(
        svg_string=sample.format("")
    ):
        raise DataError(
            "PNG needs a font and this machine has none: install one, such as fonts-dejavu-core, "
            "or export figures as svg."
        )
    return render


def _file_names(titles: Iterable[str]) -> list[str]:
    """A name for a file of each: letters and digits of any script, and hyphens; all different."""
    names: list[str] = []
    for title in titles:
        plain = "-".join(re.findall(r"\w+", title.lower()))[:_NAME] or "figure"
        same = (f"{plain}-{number}" for number in range(2, len(names) + 3))
        names.append(next(name for name in chain([plain], same) if name not in names))
    return names


def _caption(panel: Figure, across: float) -> list[_Text]:
    """Title and summary of a panel, above the left end of its axis."""
    x = panel.x.start
    title = _lines("title", panel.title, 12, across - x, x, 12)
    return title + _lines("summary", panel.summary, _SOFT, across - x, x, title[-1].y + 14)


def _legend(panels: Sequence[Figure], left: float, right: float, y: float) -> list[_Key]:
    """The key, as many parts of it side by side as there is room; a single kind needs none."""
    line = any(panel.lines for panel in panels)
    there = {point.kind for panel in panels for point in panel.points}
    there |= {one.kind for panel in panels for one in panel.lines}
    kinds = [kind for kind in _KEY if kind in there] if len(there) > 1 else []
    placed: list[_Key] = []
    x = left
    for kind in kinds:
        text = _KEY[kind] if kind != "other" or "own" in there else "tuning language known"
        begin = 22 if line else 13
        room = begin + _width(text, _SOFT)
        if placed and x + room > right:
            x, y = left, y + 16
        placed.append(_Key(kind, line, round(x, 1), round(x + begin, 1), y, text))
        x += room + 14
    return placed


def _lines(style: str, text: str, size: float, width: float, x: float, y: float) -> list[_Text]:
    """A text in lines of at most `width`, broken after blanks and hyphens, elsewhere if it must."""
    lines = [""]
    for part in re.findall(r"[^\s/+-]*[\s/+-]*", text):
        if lines[-1] and _width(lines[-1] + part.rstrip(), size) > width:
            lines.append("")
        for letter in part:
            if _width(lines[-1] + letter.rstrip(), size) > width:
                lines.append("")
            lines[-1] += letter
    return [
        _Text(style, x, y + number * (size + 3), line.rstrip()) for number, line in enumerate(lines)
    ]


def _width(text: str, size: float) -> float:
    """About how wide a text is: fonts differ, so on the wide side."""
    return size * sum(
        0.0  # marks stand on the letter before
        if unicodedata.category(letter)[0] == "M"
        else 1.0
        if unicodedata.east_asian_width(letter) in "WF"
        else 0.72
        if letter.isupper()
        else 0.52
        for letter in text
    )


def _described(panel: Figure) -> str:
    shown = f"{panel.y.label} against {panel.x.label}"
    return f"{panel.title}: {shown}; {panel.summary}"


def _light() -> dict[str, str]:
    """The colours of the page's light theme, by name."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([\w-]+): (#\w+)", style[: style.index("}")]))
