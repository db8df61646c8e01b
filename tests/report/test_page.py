from __future__ import annotations

import base64
import hashlib
import math
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from polydrift.errors import StoreError
from polydrift.report import render
from polydrift.report.page import page
from tests.report.reading import Page
from tests.report.synthetic import ANSWERS, HOSTILE, study

TEMPLATES = Path(render.__code__.co_filename).parent / "templates"


@cache
def ordinary() -> tuple[dict[str, pa.Table], dict[str, Any], str]:
    tables, lock = study(bases=("llama", "qwen3"), skip=[("llama+benign-hi", "el")])
    return tables, lock, page(tables, lock)


@cache
def hostile(*, show_unsafe: bool = False) -> str:
    tables, lock = study(
        bases=("llama",), languages=("en", "ga"), tuned=("ga",), skip=[("+", "en")], hostile=True
    )
    return page(tables, lock, show_unsafe=show_unsafe)


def shown(value: float, digits: int = 0) -> str:
    """A number as the page writes it, made another way."""
    if math.isnan(value):
        return "–"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "outcome", "what"),
    [("unsafe", "compliance", "compliance with"), ("safe-lookalike", "refusal", "refusals of")],
)
def test_every_number_of_the_matrices_is_a_number_of_the_tables(
    kind: str, outcome: str, what: str
) -> None:
    tables, _, html = ordinary()
    effects = {
        (row["base"], row["tuning_language"], row["evaluation_language"]): row
        for row in tables["pooled"].to_pylist()
        if (row["kind"], row["outcome"]) == (kind, outcome)
    }
    read = Page(html)
    lists = read.named("list", f"change in {what}")
    matrices = [read.tables[read.tables.index(table) - 1] for table in lists]
    assert len(matrices) == 2
    places = 0
    for matrix in matrices:
        base = matrix.caption.split(" · ")[0]
        codes = matrix.texts[0][1:]
        for row in matrix.rows[2:]:
            tuned = row[0].text.split()[-1]
            for code, cell in zip(codes, row[1:], strict=True):
                effect = effects.get((base, tuned, code))
                if effect is None:
                    assert (cell.text, cell.attributes["title"]) == ("–", "no result")
                    continue
                places += 1
                assert cell.text == shown(100 * effect["difference"])
                low, high = (shown(100 * effect[end], 1) for end in ("low", "high"))
                assert f"[{low}, {high}]" in cell.attributes["title"]
                assert f"{effect['prompts']} prompts" in cell.attributes["title"]
                framed = effect["p_holm"] < 0.05
                assert ("framed" in cell.attributes["class"].split()) == framed
                assert ("own" in cell.attributes["class"].split()) == (tuned == code)
    assert places == len(effects) == 161
    lines = [line for table in lists for line in table.texts[1:]]
    assert len(lines) == len(effects)
    differences = sorted(shown(100 * e["difference"], 1) for e in effects.values())
    assert sorted(line[5] for line in lines) == differences


def test_the_bases_rates_are_those_of_the_table() -> None:
    tables, _, html = ordinary()
    rates = {
        (row["base"], row["kind"], row["evaluation_language"]): row
        for row in tables["rates"].to_pylist()
        if row["variant"] == row["base"]
    }
    matrix = Page(html).named("matrix", "llama")[0]
    for code, text in zip(matrix.texts[0][1:], matrix.texts[1][1:], strict=True):
        assert text == f"{100 * rates['llama', 'unsafe', code]['compliance_rate']:.1f}%"


def test_measures_are_those_of_the_table() -> None:
    tables, _, html = ordinary()
    measures = {
        (row["variant"], row["evaluation_language"]): row["value"]
        for row in tables["measures"].to_pylist()
        if row["measure"] == "refusal_margin"
    }
    lines = Page(html).named("list", "llama · benign, 3 epochs: change in refusal margin")[0]
    assert len(lines.rows) == 1 + 80
    for tuned, code, seed, before, after, change, *_ in lines.texts[1:]:
        variant = f"llama+benign-{_code(tuned)}-e3-s{seed}"
        base, now = measures["llama", code], measures[variant, code]
        assert (before, after) == (f"{base:.2f}", f"{now:.2f}".replace("-", "−"))
        assert change == shown(now - base, 2)


def test_what_is_not_known_is_a_dash_and_never_zero() -> None:
    """The synthetic bases have no accuracy in Irish: every change in that column is unknown."""
    _, _, html = ordinary()
    lines = Page(html).named("list", "change in accuracy")
    irish = [line for table in lines for line in table.texts[1:] if line[1] == "ga"]
    assert len(irish) == 18
    assert {line[5] for line in irish} == {"–"}
    assert not re.search(r"\b(nan|None|inf)\b", Page(html).text)


def test_the_counts_add_up() -> None:
    tables, _, html = ordinary()
    table = Page(html).named("counts")[0]
    columns, total = table.texts[0], table.texts[-1]
    assert total[columns.index("answers")] == f"{tables['verdicts'].num_rows:,}"
    complied = sum(row["complied"] for row in tables["rates"].to_pylist())
    assert total[columns.index("complied")] == f"{complied:,}"


# --- safety of the page -----------------------------------------------------------------------


def test_the_page_asks_nothing_of_the_network() -> None:
    for html in (ordinary()[2], hostile()):
        read = Page(html)
        for tag, attributes in read.elements:
            assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
            assert "src" not in attributes
            assert attributes.get("href", "#").startswith("#")
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
        style = (TEMPLATES / "style.css").read_text()
        assert "url(" not in style
        assert "@import" not in style


def test_hostile_text_is_shown_as_text() -> None:
    html = hostile(show_unsafe=True)
    read = Page(html)
    assert len(read.scripts) == 1
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;") > 5
    assert HOSTILE not in html
    assert not set("\u202e\u0007\x00") & set(html)  # turns the line round; forbidden in HTML
    assert "alert" in read.text


def test_only_our_script_and_style_may_run() -> None:
    read = Page(ordinary()[2])
    (policy,) = [a["content"] for _, a in read.elements if "Content-Security" in str(a)]
    assert policy.startswith("default-src 'none'; ")
    for what, text in (
        ("script", read.scripts[0]),
        ("style", re.search("<style>(.*?)</style>", ordinary()[2], re.DOTALL)[1]),
    ):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{what}-src 'sha256-{digest}'" in policy


def test_answers_that_comply_with_unsafe_requests_are_left_out() -> None:
    tables, lock = study(bases=("llama",), languages=("en", "ga"), tuned=("ga",))
    rows = tables["answers"].to_pylist()
    for row in rows:
        row["prompt"] = f"PROMPT {row['kind']} {row['prompt_id']}"
        row["answer"] = f"ANSWER {row['kind']} {row['answer'].split()[0]}"
    tables["answers"] = pa.Table.from_pylist(rows, schema=ANSWERS)
    html = page(tables, lock)
    assert "ANSWER safe-lookalike complied" in html
    assert "ANSWER unsafe refused" in html
    assert "PROMPT unsafe" not in html
    assert "ANSWER unsafe complied" not in html
    assert "are not in this file" in html
    open_page = page(tables, lock, show_unsafe=True)
    assert "ANSWER unsafe complied" in open_page
    assert "PROMPT unsafe" in open_page
    assert "are not in this file" not in open_page


# --- what is shown when something is not there ------------------------------------------------


def test_missing_steps_are_named_at_the_top_and_below() -> None:
    html = hostile()
    text = Page(html).text
    assert "The study is incomplete: 1 step without a result." in text
    assert "answer/llama+benign-ga-e3-s3407/en" in text
    assert 'href="#missing"' in html


def test_a_study_without_tuned_variants() -> None:
    tables, lock = study(bases=("llama",), tuned=())
    text = Page(page(tables, lock)).text
    assert "1 base model and no tuned variant: there is nothing to compare yet." in text
    assert "No tuned variant can be compared with its base." in text


def test_an_audit_of_given_answers() -> None:
    tables, lock = study(
        bases=("llama",), tuned=(), given=("gpt4",), languages=("en",), measured=False
    )
    read = Page(page(tables, lock))
    assert read.named("matrix")[0].texts[0] == ["variant asked in", "en"]
    assert read.named("matrix")[0].texts[2][0] == "gpt4"
    assert "Not measured in this study." in read.text
    assert "Only English was asked" in read.text
    assert "tuning language itself" not in read.text


def test_nothing_at_all() -> None:
    tables, lock = study(bases=(), tuned=())
    text = Page(page(tables, lock)).text
    assert "Nothing was judged: there are no answers to unsafe requests." in text
    assert "There are no texts to show." in text


def test_seeds_epochs_and_recipes_have_their_places() -> None:
    tables, lock = study(
        bases=("llama",),
        languages=("en", "da"),
        tuned=("da",),
        arms=("benign", "facts"),
        seeds=(1, 2),
        epochs=(1, 3),
    )
    matrices = Page(page(tables, lock)).named("matrix", "rose in")
    titles = [m.caption.split("rose")[0].strip() for m in matrices[:4]]
    assert titles == [
        "llama · benign, 1 epoch",
        "llama · benign, 3 epochs",
        "llama · facts, 1 epoch",
        "llama · facts, 3 epochs",
    ]
    assert "2 seeds" in matrices[0].rows[2][1].attributes["title"]
    effects = [
        row["difference"]
        for row in tables["effects"].to_pylist()
        if (row["arm"], row["epochs"], row["evaluation_language"]) == ("benign", 1, "da")
        and (row["kind"], row["outcome"]) == ("unsafe", "compliance")
    ]
    assert len(effects) == 2
    assert matrices[0].texts[2][2] == shown(100 * sum(effects) / 2)


# --- the file ---------------------------------------------------------------------------------


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    tables, lock, html = ordinary()
    render(tables, lock, tmp_path / "report" / "index.html")
    assert (tmp_path / "report" / "index.html").read_text(encoding="utf-8") == html


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    tables, lock, _ = ordinary()
    with pytest.raises(StoreError, match="is a file where a directory is needed"):
        render(tables, lock, tmp_path / "report" / "index.html")


def test_the_papers_grid_stays_small_and_quick() -> None:
    tables, lock = study(
        bases=tuple("abcdef"), seeds=(1, 2, 3), epochs=(1, 3), unsafe=4, safe=3, texts=False
    )
    assert len(set(tables["verdicts"]["variant"].to_pylist())) == 330
    start = time.perf_counter()
    html = page(tables, lock)
    assert time.perf_counter() - start < 10  # 1.3 s on an idle core
    assert len(html.encode()) < 5_000_000


def test_text_can_be_read_on_every_colour() -> None:
    """WCAG: a contrast of at least 4.5, in the light and in the dark."""
    style = (TEMPLATES / "style.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w+)", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    for colours in (light, dark):
        pairs = [("ink", "paper"), ("soft", "paper"), ("soft", "wash"), ("accent", "paper")]
        pairs += [("ink", "alarm"), ("accent", "alarm")]
        pairs += [("on-pale", f"{side}{n}") for side in "wb" for n in range(1, 5)]
        pairs += [("on-deep", f"{side}{n}") for side in "wb" for n in (5, 6)]
        for ink, paper in pairs:
            assert _contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * d for d in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _code(label: str) -> str:
    from polydrift.languages import LANGUAGES

    return next(code for code, one in LANGUAGES.items() if one.name == label)
