from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from polydrift import tables as stored
from polydrift.errors import DataError, StoreError
from polydrift.export import STATISTICS, TEXTS, UNSAFE, export
from polydrift.languages import LANGUAGES
from polydrift.report.words import clean
from polydrift.results import NAMES
from tests.report.synthetic import HOSTILE, study

NAN, INF = math.nan, math.inf
PUNCTUATION = "".join(chr(n) for n in range(33, 127))
NINE = (
    *("The answer.", "这是回答。", "Svaret, på dansk: æøå.", "Η απάντηση, ελληνικά."),
    *("यह उत्तर है।", "An freagra, as Gaeilge: áéíóú.", "A resposta, português: ãõç."),
    *("¿La respuesta? ¡Español: ñ!", "Ang sagot, sa Tagalog."),
)
NASTY = (
    *(HOSTILE, PUNCTUATION, "", " ", "a\nb", "a\r\nb", "\t", "nan", "NaN", "null", "−0.5", "=1+1"),
    *(r"\end{tabular} \input{x}", "[1cm] a", "* a", "--- << >> ,, '' ``", "^^M", "100 % {x} $y$ &"),
    *("a | b", r"\| c", "*a* _b_ snake_case <b> `c`", "[t](http://x) www.x.y", '"', '""', "a;b"),
    *("\ufffd", "\u2028", *NINE, *(one.endonym for one in LANGUAGES.values())),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    write(root, *study(bases=("llama",), languages=("en", "ga"), tuned=("ga", "da"), able=True))
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose names are the texts above, and whose numbers are of every kind."""
    root = tmp_path_factory.mktemp("hostile")
    tables, lock = study(
        bases=(f"llama{HOSTILE}",), languages=("en",), tuned=("ga",), hostile=True, able=True
    )
    values = [NAN, INF, -INF, None, 0.0, -0.0, 0.1 + 0.2, 1e-300, 1e22, 123456.789, -0.5, 1 / 3]
    blank = dict.fromkeys(stored.SCHEMAS["verdicts"].names)
    tables["verdicts"] = pa.Table.from_pylist(
        [
            {
                **blank,
                "variant": text,
                "evidence": f"EVIDENCE {text}",
                "wrong_language": (None, True, False)[n % 3],
                "score": values[n % len(values)],
                "sample": (None, 0, 2**62)[n % 3],
                "votes": (None, [], [text], [text, "a; b"])[n % 4],
            }
            for n, text in enumerate(NASTY)
        ],
        schema=stored.SCHEMAS["verdicts"],
    )
    write(root, tables, lock)
    return root


def write(root: Path, tables: dict[str, pa.Table], lock: dict[str, Any]) -> None:
    for name in NAMES:
        stored.write(root / "tables" / f"{name}.parquet", tables[name])
    lock = {**lock, "pins": {}, "steps": {}}
    (root / "study.lock.json").write_text(json.dumps(lock), encoding="utf-8")


def parquet(root: Path, name: str) -> pa.Table:
    return pq.read_table(root / "tables" / f"{name}.parquet")


def same(one: Any, other: Any) -> bool:
    """Whether two numbers are the same to the last bit, or both NaN."""
    if isinstance(one, float) and isinstance(other, float):
        return repr(one) == repr(other)
    return type(one) is type(other) and bool(one == other)


# --- readers, made another way than the writers -------------------------------------------------


def read_csv(data: bytes) -> list[list[tuple[str, bool]]]:
    """(text, whether it was quoted) of each field, letter by letter as RFC 4180 says."""
    text, rows, row, at = data.decode("utf-8"), [], [], 0
    while at < len(text):
        quoted, field = text[at] == '"', ""
        if quoted:
            at += 1
            while text[at : at + 1] != '"' or text[at : at + 2] == '""':
                at += 2 if text[at] == '"' else 1
                field += text[at - 1]
            at += 1
        else:
            while text[at] not in ",\r":
                assert text[at] not in '"\n'
                field += text[at]
                at += 1
        row.append((field, quoted))
        if text[at] == ",":
            at += 1
        else:
            assert text[at : at + 2] == "\r\n"
            at += 2
            rows.append(row)
            row = []
    return rows


def value(text: str, quoted: bool, kind: pa.DataType) -> Any:
    if text == "" and not quoted:
        return None
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}[text]
    assert quoted
    return text


PIECES = re.compile(
    r"\\([&%$#_{}])|\\([a-z]+0?[a-z]*)(?:\{\}| )"
    r"|(\$-\$)|(\$\\infty\$)|\{([\[\]*])\}|( & )|(.)"
)
ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


def read_latex(text: str) -> Iterator[list[str]]:
    """The cells of each row, as TeX would set them; fails on a command that is none of ours."""
    words = {
        **{"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"},
        **{"textquotedbl": '"', "textquotesingle": "'", "textasciigrave": "`", "kern0pt": ""},
    }
    for line in text.splitlines():
        if line[:1] == "%" or re.fullmatch(
            r"\\(\w+rule|endhead|endfoot|(begin|end)\{(tabular|longtable)\}(\{@\{\}[lr]+@\{\}\})?)",
            line,
        ):
            continue
        assert line.endswith(r" \\")
        assert line[0] not in "[*"
        cells = [""]
        for found in PIECES.finditer(line[:-3]):
            sign, word, minus, infinity, bracket, divide, letter = found.groups()
            assert not letter or letter not in "\\&%$#_{}~^[]*\"'`\ufffd−∞"
            if divide:
                cells.append("")
            else:
                cells[-1] += (
                    sign or bracket or letter or (minus and "−") or (infinity and "∞") or ""
                )
                cells[-1] += words[word] if word else ""
        yield cells


def read_markdown(text: str) -> list[list[str]]:
    """The cells of each row, as GitHub would show them."""
    rows = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |"))
        plain = [re.sub(r"&(lt|gt|amp);", lambda m: ENTITIES[m[0]], cell) for cell in cells]
        rows.append([re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cell) for cell in plain])
    return rows


def shown(text: str) -> str:
    """A text on one line and without what would turn it round."""
    return clean(" ".join(text.split()))


# --- for programs -------------------------------------------------------------------------------


def test_csv_and_json_hold_every_table_but_the_texts(results: Path, tmp_path: Path) -> None:
    written = export(results, tmp_path, formats=("csv", "json"), figures=())
    names = [name for name in NAMES if name not in TEXTS]
    assert [path.name for path in written] == [
        f"{name}.{ending}" for ending in ("csv", "json") for name in names
    ]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    for name in names:
        table = parquet(results, name)
        header, *lines = read_csv((tmp_path / f"{name}.csv").read_bytes())
        assert [text for text, _ in header] == table.column_names
        listed = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        assert len(lines) == len(listed) == table.num_rows
        for line, one, row in zip(lines, listed, table.to_pylist(), strict=True):
            assert list(one) == list(row)
            for (text, quoted), field in zip(line, table.schema, strict=True):
                expected = row[field.name]
                assert same(value(text, quoted, field.type), expected)
                finite = not isinstance(expected, float) or math.isfinite(expected)
                assert same(one[field.name], expected if finite else None)


def test_csv_tells_null_empty_and_nan_apart(hostile: Path, tmp_path: Path) -> None:
    (path,) = export(hostile, tmp_path, tables=["verdicts"], figures=(), show_unsafe=True)
    table = parquet(hostile, "verdicts")
    assert {type(v) for v in table["score"].to_pylist()} == {float, type(None)}
    _, *lines = read_csv(path.read_bytes())
    for line, row in zip(lines, table.to_pylist(), strict=True):
        for (text, quoted), field in zip(line, table.schema, strict=True):
            expected = row[field.name]
            if pa.types.is_list(field.type):
                expected = None if expected is None else "; ".join(expected)
            assert same(value(text, quoted, field.type), expected)


def test_csv_is_read_back_by_arrow_as_the_docs_say(hostile: Path, tmp_path: Path) -> None:
    (path,) = export(hostile, tmp_path, tables=["verdicts"], figures=(), show_unsafe=True)
    table = parquet(hostile, "verdicts").drop_columns(["votes", "doubts"])
    back = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            column_types=table.schema,
            include_columns=table.column_names,
        ),
    )
    assert str(back.to_pylist()) == str(table.to_pylist())


def test_json_keeps_every_script_and_control_character(hostile: Path, tmp_path: Path) -> None:
    (path,) = export(
        hostile, tmp_path, tables=["verdicts"], formats=["json"], figures=(), show_unsafe=True
    )
    text = path.read_text(encoding="utf-8")
    listed = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [row["variant"] for row in listed] == list(NASTY)
    assert [row["votes"] for row in listed] == parquet(hostile, "verdicts")["votes"].to_pylist()
    for one in (*NINE, *(language.endonym for language in LANGUAGES.values())):
        assert one in text


# --- for people ---------------------------------------------------------------------------------


def test_people_get_the_statistics(results: Path, tmp_path: Path) -> None:
    written = export(results, tmp_path, formats=("md", "latex"), figures=())
    assert [path.name for path in written] == [
        f"{name}.{ending}" for ending in ("md", "tex") for name in STATISTICS
    ]
    assert {"rates", "effects", "corrected", "win_rates", "associations"} <= set(STATISTICS)
    assert not {*TEXTS, "measures", "questions", "missing"} & set(STATISTICS)


def test_numbers_are_the_tables_numbers_rounded(results: Path, tmp_path: Path) -> None:
    export(results, tmp_path, tables=["effects"], formats=("md", "latex"), figures=())
    table = parquet(results, "effects")
    heads, rule, *rows = read_markdown((tmp_path / "effects.md").read_text(encoding="utf-8"))
    head, *lines = read_latex((tmp_path / "effects.tex").read_text(encoding="utf-8"))
    assert head == heads
    assert lines == rows
    assert len(rows) == table.num_rows > 20
    for name in ("difference", "low", "high", "base_rate"):
        at = heads.index(name.replace("_", " "))
        assert rule[at] == "---:"
        for row, number in zip(rows, table[name].to_pylist(), strict=True):
            assert row[at] == f"{number + 0.0:.3f}".replace("-", "−").replace("−0.000", "0.000")
    at = heads.index("prompts")
    assert [row[at] for row in rows] == [str(n) for n in table["prompts"].to_pylist()]


def test_columns_that_never_change_stand_above(results: Path, tmp_path: Path) -> None:
    export(results, tmp_path, tables=["effects"], formats=("md", "latex"), figures=())
    table = parquet(results, "effects")
    text = (tmp_path / "effects.md").read_text(encoding="utf-8")
    assert text.startswith("In every row: base llama; ")
    assert "; suite specimen; judge rules" in text.splitlines()[0]
    assert "% In every row: base: llama; " in (tmp_path / "effects.tex").read_text("utf-8")
    heads = read_markdown(text)[0]
    for name in table.column_names:
        varies = len({str(v) for v in table[name].to_pylist()}) > 1
        assert (name.replace("_", " ") in heads) == varies


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.5, 1 / 3, None, NAN], ["0.500", "0.333", "", "–"]),
        ([-0.5, -0.0, 0.00004, -1e-7], ["−0.500", "0.000", "4.0e−05", "−1.0e−07"]),
        ([1.0, 1e-12, -3e-17], ["1.000", "0.000", "0.000"]),
        ([37.5, 100.0, 2.25], ["37.5", "100.0", "2.2"]),
        ([1234.5, -9999.0], ["1,234", "−9,999"]),
        ([0.0421, 0.001], ["0.0421", "0.0010"]),
        ([INF, -INF, 2.0], ["∞", "−∞", "2.000"]),
        ([0.0, NAN], ["0.000", "–"]),
    ],
)
def test_digits_are_those_that_tell(
    results: Path, tmp_path: Path, values: list[float | None], texts: list[str]
) -> None:
    rows = [{"measure": f"m{n}", "value": v, "n": n, "layer": None} for n, v in enumerate(values)]
    schema = stored.SCHEMAS["measures"]
    blank = dict.fromkeys(schema.names)
    made = pa.Table.from_pylist([{**blank, **row} for row in rows], schema=schema)
    stored.write(tmp_path / "tables" / "measures.parquet", made)
    out = tmp_path / "out"
    export(tmp_path, out, tables=["measures"], formats=("md", "latex"), figures=())
    for read in (
        read_markdown((out / "measures.md").read_text("utf-8"))[2:],
        list(read_latex((out / "measures.tex").read_text("utf-8")))[1:],
    ):
        assert read == [[f"m{n}", text, str(n)] for n, text in enumerate(texts)]


def test_any_text_is_shown_as_it_is(hostile: Path, tmp_path: Path) -> None:
    export(
        hostile,
        tmp_path,
        tables=["verdicts"],
        formats=("md", "latex"),
        figures=(),
        show_unsafe=True,
    )
    markdown = (tmp_path / "verdicts.md").read_text(encoding="utf-8")
    latex = (tmp_path / "verdicts.tex").read_text(encoding="utf-8")
    heads, _, *rows = read_markdown(markdown)
    names, *lines = read_latex(latex)
    assert names == heads
    for found, instead in ((rows, "\ufffd"), (lines, "?")):  # LuaTeX refuses the former
        for column, begin in (("variant", ""), ("evidence", "EVIDENCE ")):
            assert [row[heads.index(column)] for row in found] == [
                shown(begin + text).replace("\ufffd", instead) for text in NASTY
            ]
    assert not re.search(r"<\w|&(?!lt;|gt;|amp;)|(?<!\\)\*|(?<!\\)\]\(|[^\\]://|[^\\]\$", markdown)
    assert not set("\u202e\u0007") & set(markdown + latex)


@pytest.mark.skipif(shutil.which("lualatex") is None, reason="needs LuaLaTeX")
def test_latex_compiles(hostile: Path, results: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"formats": ["latex"], "figures": (), "show_unsafe": True}
    export(results, tmp_path, **options)
    export(hostile, tmp_path / "hostile", **options)
    export(hostile, tmp_path / "hostile", tables=["verdicts"], **options)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.tex"))
    (tmp_path / "main.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,longtable}\begin{document}"
        + "\n\n".join(rf"\input{{{path}}}" for path in files)
        + r"\end{document}"
    )
    command = ["lualatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert (tmp_path / "main.pdf").stat().st_size > 10_000


# --- texts of unsafe prompts --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "json", "md", "latex"])
def test_texts_leave_only_by_name_and_on_demand(results: Path, tmp_path: Path, kind: str) -> None:
    def written(**options: Any) -> str:
        paths = export(results, tmp_path / "x", formats=[kind], figures=(), **options)
        return "".join(path.read_text(encoding="utf-8") for path in paths)

    private = {
        text
        for name in TEXTS
        for column in UNSAFE
        if column in (table := parquet(results, name)).column_names
        for text in table[column].to_pylist()
    }
    assert len(private) > 40
    closed = written() + written(tables=TEXTS)
    assert not [text for text in private if text in closed]
    assert "complied" in closed
    unnamed = written(show_unsafe=True)
    assert not [text for text in private if text in unnamed]
    opened = written(tables=TEXTS, show_unsafe=True)
    assert not [text for text in private if text not in opened]


# --- figures ------------------------------------------------------------------------------------


def test_figures_are_those_of_the_report(results: Path, tmp_path: Path) -> None:
    written = export(results, tmp_path, formats=())
    assert [path.name for path in written] == [
        *("tipping.svg", "capability-held-out-harmless-questions.svg", "capability-topics.svg"),
        *("capability-own-facts.svg", "drift.svg", "drift-compliance.svg"),
    ]
    for path in written:
        assert path.read_text(encoding="utf-8").startswith("<svg xmlns=")


def test_png_lies_beside_svg(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="drawn by the extra png")
    written = export(results, tmp_path, formats=(), figures=("svg", "png"))
    assert [path.suffix for path in written] == 6 * [".svg", ".png"]
    assert {path.read_bytes()[:4] for path in written[1::2]} == {b"\x89PNG"}


def test_nothing_is_written_where_png_cannot_be(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(DataError, match=r'pip install "polydrift\[png\]"'):
        export(results, tmp_path / "out", figures=["png"])
    assert not (tmp_path / "out").exists()


# --- what there may be nothing of ---------------------------------------------------------------


def test_empty_tables_are_heads_alone(tmp_path: Path) -> None:
    write(tmp_path, *study(bases=(), tuned=()))
    out = tmp_path / "out"
    written = export(tmp_path, out, formats=("csv", "json", "md", "latex"))
    assert {path.suffix for path in written} == {".csv", ".json", ".md", ".tex"}
    for name in STATISTICS:
        table = parquet(tmp_path, name)
        assert table.num_rows == 0
        (header,) = read_csv((out / f"{name}.csv").read_bytes())
        assert [text for text, _ in header] == table.column_names
        assert json.loads((out / f"{name}.json").read_text()) == []
        heads = [column.replace("_", " ") for column in table.column_names]
        assert read_markdown((out / f"{name}.md").read_text())[0] == heads
        assert list(read_latex((out / f"{name}.tex").read_text())) == [heads]


def test_a_name_is_written_once(results: Path, tmp_path: Path) -> None:
    written = export(results, tmp_path, tables=["rates", "rates"], formats=["md", "md"], figures=())
    assert [path.name for path in written] == ["rates.md"]


def test_equal_results_are_equal_files(results: Path, tmp_path: Path) -> None:
    kinds = ("csv", "json", "md", "latex")
    first = export(results, tmp_path / "a", formats=kinds)
    second = export(results, tmp_path / "b", formats=kinds)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tables": ["efects"]}, "there is no table 'efects': did you mean 'effects'? Choose from"),
        ({"tables": ["rates", "x"]}, "there is no table 'x': Choose from answers, verdicts"),
        (
            {"formats": ["LaTeX"]},
            "there is no table format 'LaTeX': did you mean 'latex'? Choose from csv, json, md,",
        ),
        ({"figures": ["pdf"]}, "there is no figure format 'pdf': Choose from svg, png."),
        ({"tables": ["../verdicts"]}, "there is no table '../verdicts': did you mean 'verdicts'?"),
    ],
)
def test_names_that_are_not_known(
    results: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        export(results, tmp_path / "out", **options)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_a_directory_without_results(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"measures\.parquet is not there; run the study"):
        export(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written(results: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StoreError, match="is a file where a directory is needed"):
        export(results, tmp_path / "out")
