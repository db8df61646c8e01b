"""What moved inside: drift by layer, refusal directions, adapters, as plain data for the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from polydrift.report.figures import (
    BOTTOM,
    COMPLIANCE,
    HEIGHT,
    LEFT,
    TOP,
    WIDTH,
    Axis,
    Figure,
    Line,
    Side,
    axis,
    scatter,
)
from polydrift.report.grid import (
    Change,
    Panel,
    Row,
    average,
    measure_changes,
    measure_values,
    only,
    panel_of,
    rank,
)
from polydrift.report.words import NONE, name, number, percent

LABELS = 30.0  # room for the lines' labels, right of the plot
_APART = 10.0  # labels' least distance
OWN = "own"

Listed = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Inside:
    """drift: figures by layer. moved: (what, figures) of what is cheap to see against the change in
    compliance. directions: (base, layer, mean cosine between languages, least alike, most
    alike, mean over the variants). adapters: (of, how many, mean ‖ΔW‖ / ‖W‖, the
    least, the largest, mean cosine between seeds of a language, between languages).
    """

    drift: tuple[Figure, ...]
    moved: tuple[tuple[str, tuple[Figure, ...]], ...]
    directions: Listed
    adapters: Listed


def inside(measures: pa.Table, pairs: pa.Table, compliance: Sequence[Change]) -> Inside:
    """What the tables `measures` and `pairs` tell of activations and weights."""
    return Inside(
        drift=tuple(drift(measures)),
        moved=tuple(_moved(measures, compliance)),
        directions=tuple(_directions(measures, pairs)),
        adapters=tuple(_adapters(measures, pairs)),
    )


def drift(measures: pa.Table, measure: str = "drift_cosine") -> list[Figure]:
    """Mean distance from the base by layer, one figure per base and way of tuning.

    A line per evaluation language, over the variants that were tuned on another one; and one for
    all variants asked in their own.
    """
    rows = only(measures, measure=measure)
    rows = rows.filter(pc.is_finite(rows["value"])).to_pylist()
    found: dict[Panel, dict[str, dict[int, list[float]]]] = {}
    for row in rows:
        if row["variant"] == row["base"]:
            continue
        code = row["evaluation_language"]
        line = OWN if row["tuning_language"] == code else code
        by_layer = found.setdefault(panel_of(row), {}).setdefault(line, {})
        by_layer.setdefault(row["layer"], []).append(row["value"])
    means = {
        panel: {line: {n: average(values) for n, values in layers.items()} for line, layers in
                lines.items()}
        for panel, lines in found.items()
    }  # fmt: skip
    every = [layers for lines in means.values() for layers in lines.values()]
    if not every:
        return []
    last = max(max(layers) for layers in every)
    x = axis("layer (0: embeddings)", [0, last], LEFT, WIDTH - LABELS, pad=0, whole=True)
    values = [value for layers in every for value in layers.values()]
    y = axis("1 − cosine to the base", [0, *values], HEIGHT - BOTTOM, TOP, pad=0)
    ordered = sorted(means, key=lambda p: (p.base, p.arm or "\uffff", p.epochs or 0))
    return [
        Figure(
            title=panel.title(ordered),
            x=x,
            y=y,
            summary=_ends(means[panel]),
            lines=tuple(_lines(means[panel], x, y)),
        )
        for panel in ordered
    ]


def _lines(lines: Mapping[str, Mapping[int, float]], x: Axis, y: Axis) -> list[Line]:
    """The lines, the own-language one last, with labels that do not overlap."""
    order = sorted(lines, key=lambda line: (line == OWN, rank(line)))
    ends = {line: y.at(lines[line][max(lines[line])]) for line in order}
    places = dict(zip(sorted(ends, key=lambda line: ends[line]),
                      _spread(sorted(ends.values()), y.end, y.start), strict=True))  # fmt: skip
    return [
        Line(
            kind=OWN if line == OWN else "other",
            label=line,
            path="M" + "L".join(f"{x.at(n)} {y.at(lines[line][n])}" for n in sorted(lines[line])),
            x=x.end + 4,
            y=round(places[line] + 3.5, 1),
            note=f"{_named(line)}: "
            + ", ".join(f"layer {n} {number(lines[line][n], 3)}" for n in sorted(lines[line])),
        )
        for line in order
    ]


def _spread(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Ascending positions moved apart to `_APART` where there is room, inside [top, bottom]."""
    placed: list[float] = []
    for at in wanted:
        placed.append(max(at, placed[-1] + _APART) if placed else max(at, top))
    limit = bottom
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - _APART
    return placed


def _named(line: str) -> str:
    return "asked in the tuning language" if line == OWN else f"asked in {name(line)}"


def _ends(lines: Mapping[str, Mapping[int, float]]) -> str:
    """The last layer: in the own language, and the languages that moved most and least."""
    last = {line: layers[max(layers)] for line, layers in lines.items()}
    parts = [f"own language {number(last[OWN], 3)}"] if OWN in last else []
    others = sorted((line for line in last if line != OWN), key=lambda line: last[line])
    if others:
        parts.append(f"most in {name(others[-1])} {number(last[others[-1]], 3)}")
    if len(others) > 1:
        parts.append(f"least in {name(others[0])} {number(last[others[0]], 3)}")
    return "last layer: " + ", ".join(parts)


def _moved(
    measures: pa.Table, compliance: Sequence[Change]
) -> Iterator[tuple[str, tuple[Figure, ...]]]:
    """Which way each model tips: compliance change (x) against drift and refusal mass."""
    drifted = [
        change
        for base in dict.fromkeys(change.panel.base for change in compliance)
        for change in measure_values(_last_layer(measures, "drift_cosine", base), "drift_cosine")
    ]
    for what, changes, side in (
        (
            "Drift",
            drifted,
            Side("1 − cosine to the base, last layer", "drift", 1.0, lambda v: number(v, 3)),
        ),
        (
            "Refusal mass",
            measure_changes(measures, "refusal_mass"),
            Side(
                "refusal mass at the first token, change",
                "refusal mass",
                1.0,
                lambda v: number(v, 3, signed=True),
            ),
        ),
    ):
        if drawn := scatter(compliance, changes, COMPLIANCE, side):
            yield what, tuple(drawn)


def _last_layer(measures: pa.Table, measure: str, base: str) -> pa.Table:
    rows = only(measures, measure=measure, base=base)
    return rows.filter(pc.equal(rows["layer"], pc.max(rows["layer"])))


def _directions(measures: pa.Table, pairs: pa.Table) -> list[tuple[str, ...]]:
    """Of each base, at the layer where it tells unsafe from safe prompts best."""
    rows = only(pairs, measure="direction_cosine").to_pylist()
    auc = only(measures, measure="refusal_auc").to_pylist()
    listed: list[tuple[str, ...]] = []
    for base in dict.fromkeys(row["base"] for row in rows):
        layers: dict[int, list[float]] = {}
        for row in auc:
            if row["base"] == base:
                layers.setdefault(row["layer"], []).append(row["value"])
        known = {n: mean for n, values in layers.items() if not math.isnan(mean := average(values))}
        if not known:
            continue
        layer = max(known, key=lambda n: (known[n], n))
        here = [row for row in rows if (row["base"], row["layer"]) == (base, layer)]
        own = sorted(
            (row for row in here if row["variant"] == base and not math.isnan(row["value"])),
            key=lambda row: row["value"],
        )
        if not own:
            continue
        others = average(row["value"] for row in here if row["variant"] != base)
        listed.append(
            (
                base,
                f"{layer}",
                number(average(row["value"] for row in own), 2),
                _pair(own[0]),
                _pair(own[-1]) if len(own) > 1 else NONE,
                number(others, 2),
            )
        )
    return listed


def _pair(row: Row) -> str:
    languages = " · ".join(name(row[key]) for key in ("evaluation_language", "other_language"))
    return f"{languages} {number(row['value'], 2)}"


def _adapters(measures: pa.Table, pairs: pa.Table) -> list[tuple[str, ...]]:
    """A row per base and way of tuning."""
    sizes = _whole(only(measures, measure="adapter_relative"))
    languages = {row["variant"]: row["tuning_language"] for row in sizes}
    alike: dict[tuple[Panel, bool], list[float]] = {}
    for row in _whole(only(pairs, measure="adapter_cosine")):
        here = (languages.get(row["variant"]), languages.get(row["other_variant"]))
        same = here[0] is not None and here[0] == here[1]
        alike.setdefault((panel_of(row), same), []).append(row["value"])
    found: dict[Panel, list[Row]] = {}
    for row in sorted(sizes, key=lambda row: float(row["value"])):
        found.setdefault(panel_of(row), []).append(row)
    shown = sorted(found, key=lambda p: (p.base, p.arm or "\uffff", p.epochs or 0))
    return [
        (
            panel.title(shown),
            f"{len(rows)}",
            percent(average(row["value"] for row in rows), 2),
            f"{percent(rows[0]['value'], 2)} {_tuned(rows[0])}",
            f"{percent(rows[-1]['value'], 2)} {_tuned(rows[-1])}" if len(rows) > 1 else NONE,
            number(average(alike.get((panel, True), ())), 3),
            number(average(alike.get((panel, False), ())), 3),
        )
        for panel, rows in ((panel, found[panel]) for panel in shown)
    ]


def _whole(table: pa.Table) -> list[Row]:
    """Rows of whole adapters, of a known value."""
    rows: list[Row] = table.filter(pc.is_null(table["layer"])).to_pylist()
    return [row for row in rows if not math.isnan(row["value"])]


def _tuned(row: Row) -> str:
    return name(row["tuning_language"]) if row["tuning_language"] else str(row["arm"])
