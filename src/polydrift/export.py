"""Tables and figures of a results directory in other formats: for notebooks, spreadsheets, papers.

    export(Path("demo-results"), Path("paper"), formats=["latex"], figures=["svg", "png"])

csv and json hold every number in full, for programs; md and latex are for people: rounded, and
without the columns that are the same in every row, which stand above the table. docs/export.md says
how each writes what is not known. Texts of unsafe prompts and of answers leave only when asked for.
"""

from __future__ import annotations

import difflib
import html
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from polydrift import tables as stored
from polydrift.disk import write_atomically
from polydrift.errors import DataError
from polydrift.report import drawing
from polydrift.report.words import NONE, clean, number
from polydrift.results import NAMES
from polydrift.run import read_lock

# The tables that were computed and not gathered; md and latex show these unless told otherwise.
STATISTICS = tuple(name for name in NAMES if name not in stored.SCHEMAS)
# Tables of texts, exported only by name; and their columns that only show_unsafe lets out.
TEXTS = ("answers", "verdicts")
UNSAFE = ("prompt", "answer", "evidence")
PICTURES = ("svg", "png")

_BATCH = 10_000  # rows that are Python objects at one time
_PAGE = 40  # rows of the longest LaTeX table that is not broken over pages
_NOISE = 1e-9  # beside a column's largest number, this is a rounding error of zero


def export(
    root: Path,
    out: Path,
    *,
    tables: Sequence[str] = (),
    formats: Sequence[str] = ("csv",),
    figures: Sequence[str] = ("svg",),
    show_unsafe: bool = False,
) -> list[Path]:
    """Write tables and figures of the results directory `root` into `out`; returns the files.

    tables: names of `results.NAMES`; by default all but those of `TEXTS`, and for md and latex
    those of `STATISTICS`. formats: csv, json, md, latex. figures: svg, png. show_unsafe: write the
    columns of `UNSAFE` too. DataError for a name that is not known, or what PNG lacks; StoreError
    for a table that is not there, or if the disk refuses. Nothing is written before all is read.
    """
    _check("table", tables, NAMES)
    _check("table format", formats, tuple(_FORMATS))
    _check("figure format", figures, PICTURES)
    if "png" in figures:
        drawing.renderer()
    chosen = {kind: _chosen(kind, tables) for kind in dict.fromkeys(formats)}
    names = [*(name for some in chosen.values() for name in some), *(drawing.OF if figures else ())]
    found = {
        name: stored.read(root / "tables" / f"{name}.parquet") for name in dict.fromkeys(names)
    }
    drawn = drawing.drawings(found, read_lock(root)) if figures else []
    written = []
    for path, data in _files(found, chosen, drawn, figures, show_unsafe):
        write_atomically(out / path, data)
        written.append(out / path)
    return written


def _files(
    found: Mapping[str, pa.Table],
    chosen: Mapping[str, Sequence[str]],
    drawn: Sequence[drawing.Drawing],
    figures: Sequence[str],
    show_unsafe: bool,
) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each file, one at a time."""
    for kind, names in chosen.items():
        ending, make = _FORMATS[kind]
        for name in names:
            hidden = [] if show_unsafe else [c for c in UNSAFE if c in found[name].column_names]
            yield f"{name}.{ending}", make(name, found[name].drop_columns(hidden))
    for one in drawn:
        picture = drawing.svg(one)
        if "svg" in figures:
            yield f"{one.name}.svg", picture.encode("utf-8")
        if "png" in figures:
            yield f"{one.name}.png", drawing.png(picture)


def _check(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name.lower(), known, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise DataError(f"there is no {what} {name!r}: {meant}Choose from {', '.join(known)}.")


def _chosen(kind: str, named: Sequence[str]) -> tuple[str, ...]:
    """The tables that are written in a format, each once."""
    if named:
        return tuple(dict.fromkeys(named))
    if kind in ("md", "latex"):
        return STATISTICS
    return tuple(name for name in NAMES if name not in TEXTS)


# --- for programs -----------------------------------------------------------------------------


def _csv(name: str, table: pa.Table) -> bytes:
    """RFC 4180. Null is an empty field, an empty text is "", and NaN is nan."""
    columns = [
        pa.array([None if items is None else _joined(items) for items in column.to_pylist()])
        if pa.types.is_list(column.type)
        else column
        for column in table.columns
    ]
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(columns, names=table.column_names), buffer)
    # Line ends as the RFC has them, but for those inside quotes.
    return re.sub(rb'("[^"]*")|\n', lambda found: found[1] or b"\r\n", buffer.getvalue())


def _json(name: str, table: pa.Table) -> bytes:
    """A list of objects, one a line; JSON knows no NaN, so that is null."""
    rows = [
        json.dumps({column: _known(value) for column, value in row.items()}, ensure_ascii=False)
        for batch in table.to_batches(max_chunksize=_BATCH)
        for row in batch.to_pylist()
    ]
    return ("[\n" + ",\n".join(rows) + "\n]\n" if rows else "[]\n").encode("utf-8")


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _joined(items: Sequence[Any]) -> str:
    return "; ".join(str(item) for item in items)


# --- for people -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shown:
    """A table in words. right: whether a column holds numbers. same: (column, text) of columns that
    are the same in every row, and not in the others.
    """

    heads: tuple[str, ...]
    right: tuple[bool, ...]
    rows: list[tuple[str, ...]]
    same: tuple[tuple[str, str], ...]


def _shown(table: pa.Table) -> _Shown:
    columns: dict[str, list[str]] = {}
    same = []
    for column in table.column_names:
        texts = _texts(table[column].to_pylist())
        if table.num_rows > 1 and len(set(texts)) == 1:
            same.append((column.replace("_", " "), texts[0] or NONE))
        else:
            columns[column] = texts
    return _Shown(
        heads=tuple(column.replace("_", " ") for column in columns),
        right=tuple(table[column].type in (pa.int64(), pa.float64()) for column in columns),
        rows=list(zip(*columns.values(), strict=True)),
        same=tuple(same),
    )


def _texts(values: Sequence[Any]) -> list[str]:
    """A column in words: numbers with as many digits as the largest needs; null is nothing."""
    finite = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v)]
    largest = max(finite, default=0.0)
    return [_text(value, _digits(largest), largest * _NOISE) for value in values]


def _text(value: Any, digits: int, noise: float) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        case float():
            rounded = number(value, digits)
            if abs(value) <= noise or re.search("[1-9]|[^0-9.]", rounded):
                return rounded
            return f"{value:.1e}".replace("-", "−")  # small, and not nothing
        case list():
            return _one_line(_joined(value))
        case _:
            return _one_line(str(value))


def _digits(largest: float) -> int:
    """Three decimals from 0.1 to 10; fewer above, more below, so that three digits tell."""
    if not largest:
        return 3
    power = math.floor(math.log10(largest))
    return min(8, 2 - power) if power < -1 else max(0, 3 - max(0, power))


def _one_line(text: str) -> str:
    return clean(" ".join(text.split()))


def _markdown(name: str, table: pa.Table) -> bytes:
    """A table as GitHub's Markdown has them."""
    shown = _shown(table)
    same = "; ".join(f"{column} {_in_markdown(text)}" for column, text in shown.same)
    lines = [f"In every row: {same}.", ""] if same else []
    lines += [
        _bars(shown.heads),
        _bars(["---:" if right else "---" for right in shown.right]),
        *(_bars([_in_markdown(text) for text in row]) for row in shown.rows),
    ]
    return "\n".join([*lines, ""]).encode("utf-8")


def _bars(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_markdown(text: str) -> str:
    """A text that Markdown shows as it is: no HTML, link, emphasis or mathematics of it."""
    plain = re.sub(r"([\\`*\[\]|~$]|\b_|_\b|:(?=//)|(?<=www)\.)", r"\\\1", text)
    return html.escape(plain, quote=False)


def _latex(name: str, table: pa.Table) -> bytes:
    r"""A table for \input, with the lines of booktabs; broken over pages where it is long."""
    shown = _shown(table)
    long = len(shown.rows) > _PAGE
    environment = "longtable" if long else "tabular"
    packages = r"\usepackage{booktabs,longtable}" if long else r"\usepackage{booktabs}"
    same = "; ".join(f"{column}: {text}" for column, text in shown.same)
    lines = [
        f"% polydrift: {name}. Needs {packages}, and XeLaTeX or LuaLaTeX: cells are Unicode.",
        r"% For scripts that the font lacks: \usepackage{fontspec}\setmainfont{...}.",
        *([f"% In every row: {same}."] if same else []),
        rf"\begin{{{environment}}}{{@{{}}{''.join('lr'[right] for right in shown.right)}@{{}}}}",
        r"\toprule",
        _ampersands(shown.heads),
        r"\midrule",
        *([r"\endhead", r"\bottomrule", r"\endfoot"] if long else []),
        *(_ampersands(row) for row in shown.rows),
        *([] if long else [r"\bottomrule"]),
        rf"\end{{{environment}}}",
    ]
    return "\n".join([*lines, ""]).encode("utf-8")


def _ampersands(cells: Sequence[str]) -> str:
    return " & ".join(_in_latex(cell) for cell in cells) + r" \\"


def _in_latex(text: str) -> str:
    """A text that TeX sets as it is; signs that it would join (--, <<) are kept apart."""
    return re.sub(r"([-<>,])(?=\1)", r"\1\\kern0pt ", text.translate(_TEX))


# What TeX reads as commands, what \\ would take for its arguments, and quotes, which it curls.
_TEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        **{letter: f"{{{letter}}}" for letter in "[]*"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        '"': r"\textquotedbl{}",
        "'": r"\textquotesingle{}",
        "`": r"\textasciigrave{}",
        "−": "$-$",
        "∞": r"$\infty$",
        "\ufffd": "?",  # LuaTeX takes it for a fault of the file
    }
)

_FORMATS: Mapping[str, tuple[str, Callable[[str, pa.Table], bytes]]] = {
    "csv": ("csv", _csv),
    "json": ("json", _json),
    "md": ("md", _markdown),
    "latex": ("tex", _latex),
}
