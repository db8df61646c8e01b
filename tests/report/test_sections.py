"""The parts of the page as plain data, and the terminal."""

from __future__ import annotations

import io
import itertools
import math
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from polydrift.report import audit_rows, print_audit, print_summary
from polydrift.report.answers import Answers, answers
from polydrift.report.association import associations
from polydrift.report.capability import capability
from polydrift.report.categories import categories
from polydrift.report.counts import counts
from polydrift.report.figures import tipping
from polydrift.report.grid import effect_changes, measure_changes, panels, pooled_changes
from polydrift.report.inside import drift
from polydrift.report.matrices import NATS, RISE_IS_WORSE, matrices
from polydrift.report.provenance import provenance
from polydrift.report.spots import blind_spots, regions
from polydrift.report.words import interval, percent, points
from tests.report.synthetic import MISSING, study

SMALL = {"bases": ("llama",), "languages": ("en", "da", "ga"), "tuned": ("da", "ga")}


# --- matrices ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("difference", "colour"),
    [(0.0, "z"), (0.019, "z"), (0.02, "w1"), (-0.02, "b1"), (0.6, "w6"), (-1, "b6")],
)
def test_colours_of_shares(difference: float, colour: str) -> None:
    assert RISE_IS_WORSE.colour(difference) == colour


def test_a_falling_margin_is_worse_and_an_unknown_one_has_no_colour() -> None:
    assert (NATS.colour(-3.0), NATS.colour(3.0), NATS.colour(math.nan)) == ("w4", "b4", "na")
    assert NATS.legend[0] == ("b6", "+8.0")


def test_rows_and_columns_come_from_the_study_and_in_the_papers_order() -> None:
    tables, _ = study(**SMALL, skip=[("benign-ga", code) for code in ("en", "da", "ga")])
    changes = effect_changes(tables["effects"], "unsafe", "compliance")
    (matrix,) = matrices(
        changes, {}, RISE_IS_WORSE, columns=("ga", "zh"), rows={"benign": ("ga", "da")}
    )
    assert matrix.columns == ("en", "zh", "da", "ga")
    assert [row.code for row in matrix.rows] == ["da", "ga"]
    assert {place.text for place in matrix.rows[1].places} == {"–"}
    assert matrix.before == ("–", "–", "–", "–")


def test_a_place_is_framed_where_the_change_is_shown() -> None:
    tables, _ = study(**SMALL, seeds=(1, 2, 3), unsafe=60)
    changes = pooled_changes(tables["pooled"], "unsafe", "compliance")
    (matrix,) = matrices(changes, {}, RISE_IS_WORSE)
    shown = {(change.tuned_on, change.asked_in): change for change in changes}
    for row in matrix.rows:
        for code, place in zip(matrix.columns, row.places, strict=True):
            change = shown[row.code, code]
            assert place.framed == (change.p_holm < 0.05) == (change.side != 0)
            assert place.note.endswith("60 prompts, 3 seeds")
            assert "adjusted p" in place.note
    assert any(place.framed for row in matrix.rows for place in row.places)
    assert not all(place.framed for row in matrix.rows for place in row.places)


def test_suites_and_judges_are_told_apart_only_where_there_are_several() -> None:
    tables, _ = study(**SMALL)
    other = tables["effects"].set_column(
        tables["effects"].schema.get_field_index("suite"),
        "suite",
        pa.array(["second"] * tables["effects"].num_rows),
    )
    one = panels(effect_changes(tables["effects"], "unsafe", "compliance"))
    both = panels(
        effect_changes(pa.concat_tables([tables["effects"], other]), "unsafe", "compliance")
    )
    assert [panel.title(one) for panel in one] == ["llama · benign, 3 epochs"]
    assert [panel.title(both) for panel in both] == [
        "llama · benign, 3 epochs · second",
        "llama · benign, 3 epochs · specimen",
    ]


# --- figures ----------------------------------------------------------------------------------


def test_a_point_lies_where_its_numbers_are() -> None:
    tables, _ = study(**SMALL, unsafe=50, safe=30)
    (figure,) = tipping(tables["effects"])
    found = {
        (row["tuning_language"], row["evaluation_language"], row["kind"]): row["difference"]
        for row in tables["effects"].to_pylist()
        if (row["kind"], row["outcome"])
        in (("unsafe", "compliance"), ("safe-lookalike", "refusal"))
    }
    assert len(figure.points) == 6
    x, y = found["ga", "ga", "unsafe"], found["ga", "ga", "safe-lookalike"]
    (point,) = [p for p in figure.points if p.note.startswith("Irish → Irish")]
    assert point.kind == "own"
    assert (point.x, point.y) == (figure.x.at(100 * x), figure.y.at(100 * y))
    assert (figure.x.at(0), "0") in figure.x.ticks
    assert all(figure.x.start <= at <= figure.x.end for at, _ in figure.x.ticks)
    assert figure.x.at(50) > figure.x.at(0)
    assert figure.y.at(50) < figure.y.at(0)


def test_axes_hold_zero_when_nothing_varies() -> None:
    tables, _ = study(**SMALL, strength=0, unsafe=2, safe=1)
    for figure in tipping(tables["effects"]):
        assert figure.x.start < figure.x.zero < figure.x.end
        assert figure.y.end < figure.y.zero < figure.y.start


def test_no_figure_without_look_alikes() -> None:
    tables, _ = study(**SMALL, safe=0)
    assert tipping(tables["effects"]) == []


def test_drift_has_a_line_for_each_language_and_one_for_the_own() -> None:
    tables, _ = study(**SMALL)
    (figure,) = drift(tables["measures"])
    assert [line.label for line in figure.lines] == ["en", "da", "ga", "own"]
    for line in figure.lines:
        expected = [
            row["value"]
            for row in tables["measures"].to_pylist()
            if row["measure"] == "drift_cosine"
            and row["layer"] == 3
            and (row["tuning_language"] == row["evaluation_language"]) == (line.kind == "own")
            and line.label in ("own", row["evaluation_language"])
        ]
        end = line.path.split("L")[-1].split()
        assert float(end[0]) == figure.x.at(3)
        assert float(end[1]) == pytest.approx(figure.y.at(sum(expected) / len(expected)), abs=0.11)
    assert [label for _, label in figure.x.ticks] == ["0", "1", "2", "3"]


def test_labels_of_lines_keep_apart() -> None:
    tables, _ = study(bases=("llama",), tuned=("da",))
    (figure,) = drift(tables["measures"])
    places = sorted(line.y for line in figure.lines)
    assert len(places) == 9  # Danish is the own language of the only variants
    assert min(b - a for a, b in itertools.pairwise(places)) >= 9.9


ASKED = {"bases": ("llama", "qwen3"), "tuned": ("en", "da", "ga"), "able": True}


def test_benchmarks_are_listed_with_their_changes() -> None:
    tables, _ = study(**ASKED)
    found = capability(
        *(tables[name] for name in (
            "effects", "measures", "capability", "capability_effects", "win_rates"))
    )  # fmt: skip
    assert [what for what, _ in found.figures] == [
        "Held-out harmless questions", "topics", "own: facts",
    ]  # fmt: skip
    (topics,) = [figures for what, figures in found.figures if what == "topics"]
    assert [len(figure.points) for figure in topics] == [27, 27]
    (own,) = [figures for what, figures in found.figures if what == "own: facts"]
    assert [len(figure.points) for figure in own] == [3, 3]  # of each variant, over languages
    row = next(row for row in found.tasks if row[:2] == ("llama", "own: facts"))
    changes = [
        change for change in tables["capability_effects"].to_pylist()
        if (change["base"], change["task"]) == ("llama", "facts")
    ]  # fmt: skip
    mean = sum(change["difference"] for change in changes) / 3
    least = min(changes, key=lambda change: change["difference"])
    assert row[3:7] == ("acc", "40", percent(changes[0]["base_value"], 1), points(mean, 1))
    assert row[7] == points(least["difference"], 1)
    assert row[8].startswith(interval(least["low"], least["high"]))
    (first, second) = found.preferences
    assert first[:4] == ("llama · benign, 3 epochs", "alpaca", "English", "openai/judge")
    wins = [win for win in tables["win_rates"].to_pylist() if win["base"] == "llama"]
    assert first[4] == percent(sum(win["win_rate"] for win in wins) / 3 / 100, 1)
    assert second[0].startswith("qwen3")


def test_a_probe_that_follows_compliance_is_told_to_be_enough() -> None:
    tables, _ = study(unsafe=200)
    changes = effect_changes(tables["effects"], "unsafe", "compliance")
    found = associations(tables["associations"], "rules")
    assert "refusal margin at the first token" in found.warning
    margin = [row for row in found.early if row[0].startswith("refusal margin")]
    assert [row[2] for row in margin] == ["gemma3", "llama", "qwen3", "mean of 3 bases"]
    assert {row[5] for row in margin[:3]} == {str(len(changes) // 3)}
    assert all(row[7] == "related" for row in margin)


def test_a_probe_of_few_cells_tells_nothing() -> None:
    tables, _ = study(bases=("llama",), languages=("en", "da"), tuned=("da",))
    found = associations(tables["associations"], "rules")
    assert found.warning.startswith("Too few cells")
    assert {row[7] for row in found.early} == {"too few cells"}


def test_measures_without_a_base_have_no_change() -> None:
    tables, _ = study(**SMALL)
    rows = [r for r in tables["measures"].to_pylist() if r["variant"] != "llama"]
    tuned = pa.Table.from_pylist(rows, schema=tables["measures"].schema)
    assert measure_changes(tuned, "accuracy") == []


# --- counts -----------------------------------------------------------------------------------


def test_counts_are_those_of_the_verdicts() -> None:
    tables, _ = study(**SMALL, unsafe=200)
    found = counts(tables)
    verdicts = tables["verdicts"].to_pylist()
    for row in found.rows:
        here = [
            v
            for v in verdicts
            if v["evaluation_language"] == row.code and (v["variant"] != "llama") == row.tuned
        ]
        numbers = dict(zip(found.columns, row.numbers, strict=True))
        assert numbers["answers"] == len(here)
        assert numbers["unparsed"] == sum(v["verdict"] == "unparsed" for v in here)
        assert numbers["other: empty"] == sum(v["detail"] == "empty" for v in here)
        assert numbers["in another language"] == sum(v["wrong_language"] is True for v in here)
    sums = dict(zip(found.columns, found.sums, strict=True))
    assert sums["prompt truncated"] == sum(tables["answers"]["prompt_truncated"].to_pylist())
    unparsed = f"{sums['unparsed']} answers of {len(verdicts):,}"
    assert f"{unparsed} have no readable verdict and are in no rate." in found.warnings


def test_a_kind_of_other_that_is_not_known_has_its_own_column() -> None:
    tables, _ = study(**SMALL)
    rows = tables["verdicts"].to_pylist()
    rows[0] |= {"verdict": "other", "detail": "sang"}
    rows[1] |= {"verdict": "refused", "detail": "partial"}
    tables["verdicts"] = pa.Table.from_pylist(rows, schema=tables["verdicts"].schema)
    found = counts(tables)
    sums = dict(zip(found.columns, found.sums, strict=True))
    assert sums["other: sang"] == 1
    assert sums["partly refused"] == 1


def test_a_long_list_of_missing_steps_is_cut() -> None:
    tables, _ = study(**SMALL)
    row = dict.fromkeys(MISSING.names, "x")
    tables["missing"] = pa.Table.from_pylist([row] * 250, schema=MISSING)
    found = counts(tables)
    assert (len(found.missing), found.total) == (100, 250)


def test_regions_and_blind_spots_are_counted() -> None:
    tables, _ = study(bases=("a", "b"), tuned=("da", "ga"), unsafe=80)
    heads, rows = regions(tables["tipping"])
    found = Counter(tables["tipping"]["region"].to_pylist())
    assert found == {
        region: sum(int(row[place]) for row in rows) for place, region in enumerate(heads) if place
    }
    spots = blind_spots(tables["blind_spot"])
    assert [row[0] for row in spots] == ["a", "b", "all"]
    assert [int(row[1]) for row in spots] == [2, 2, 4]
    assert all(int(row[3]) <= int(row[2]) <= int(row[1]) for row in spots)


# --- answers and categories -------------------------------------------------------------------


def shown(**options: Any) -> Answers:
    tables, _ = study(**{**SMALL, "unsafe": 40, **options})
    return answers(tables, effect_changes(tables["effects"], "unsafe", "compliance"))


def test_answers_are_pairs_those_that_changed_first() -> None:
    found = shown()
    assert [pair.language for pair in found.pairs] == sorted(
        (pair.language for pair in found.pairs), key=["en", "da", "ga"].index
    )
    irish = [p for p in found.pairs if p.language == "ga" and p.kind == "unsafe"]
    assert {pair.after.model for pair in irish if pair.after} == {"llama+benign-ga-e3-s3407"}
    assert [pair.change for pair in irish] == ["now complies"] * 8
    for pair in found.pairs:
        assert pair.after
        verdicts = pair.before.verdict, pair.after.verdict
        assert (pair.change == "same") == (verdicts[0] == verdicts[1])
    assert found.total == 2 * 3 * 52


def test_nothing_unsafe_is_shown() -> None:
    for pair in shown().pairs:
        if pair.kind == "unsafe":
            assert pair.prompt is None
            for one in (pair.before, pair.after):
                assert one
                assert (one.text is not None) == (one.verdict == "refused")
        else:
            assert pair.prompt
            assert pair.before.text


def test_partial_refusals_are_not_shown() -> None:
    """Material follows them: they may say what they refuse to say."""
    tables, _ = study(**SMALL)
    rows = tables["verdicts"].to_pylist()
    for row in rows:
        row["detail"] = "partial" if row["verdict"] == "refused" else row["detail"]
    tables["verdicts"] = pa.Table.from_pylist(rows, schema=tables["verdicts"].schema)
    found = answers(tables, effect_changes(tables["effects"], "unsafe", "compliance"))
    assert all(pair.before.text is None for pair in found.pairs if pair.kind == "unsafe")


def test_unsafe_texts_are_there_when_asked_for() -> None:
    tables, _ = study(**SMALL)
    changes = effect_changes(tables["effects"], "unsafe", "compliance")
    found = answers(tables, changes, show_unsafe=True)
    assert all(pair.prompt and pair.before.text for pair in found.pairs)


def test_no_texts_no_answers() -> None:
    assert shown(texts=False).pairs == ()


def test_a_long_answer_is_cut() -> None:
    tables, _ = study(**SMALL)
    rows = [{**row, "answer": "word " * 250_000} for row in tables["answers"].to_pylist()[:40]]
    tables["answers"] = pa.Table.from_pylist(rows, schema=tables["answers"].schema)
    for pair in answers(tables, []).pairs:
        assert pair.before.text is None or len(pair.before.text) <= 402


def test_categories_are_means_over_variants() -> None:
    tables, _ = study(**SMALL, unsafe=60)
    (matrix,) = categories(tables["verdicts"])
    assert [row.label for row in matrix.rows] == ["conduct", "property"]
    rows = [
        row
        for row in tables["verdicts"].to_pylist()
        if row["kind"] == "unsafe" and row["category"] == "conduct"
        and row["evaluation_language"] == "ga" and row["verdict"] != "unparsed"
    ]  # fmt: skip
    rates: dict[str, list[bool]] = {}
    for row in rows:
        rates.setdefault(row["variant"], []).append(row["verdict"] == "complied")
    means = {name: sum(some) / len(some) for name, some in rates.items()}
    base = means.pop("llama")
    change = sum(means.values()) / len(means) - base
    place = matrix.rows[0].places[matrix.columns.index("ga")]
    assert place.text == points(change)


def test_one_category_has_no_matrix() -> None:
    tables, _ = study(**SMALL, unsafe=1)
    assert categories(tables["verdicts"]) == []


# --- provenance and terminal ------------------------------------------------------------------


def test_provenance_names_models_settings_and_versions() -> None:
    _, lock = study(**SMALL)
    lock["study"]["variants"] = [{"name": "v", "model": "org/v", "revision": "dev"}]
    lock["sources"]["models"]["org/v@dev"] = {"hub": "org/v", "revision": "f" * 40}
    found = provenance(lock)
    assert found.models == (
        ("llama", "llama-model", "hub llama-model, revision abc123"),
        ("v", "org/v", f"hub org/v, revision {'f' * 40}"),
    )
    assert found.recipes == (("benign", "data benign.jsonl, languages da ga, rank 8, alpha 16"),)
    facts = dict(found.facts)
    assert facts["answers"] == "greedy, 1 per prompt, up to 24 new tokens, seed 0"
    assert facts["judge"] == "rules, version 1"
    assert facts["suite"].startswith("specimen: suite.jsonl, 32 rows (English), digest ")
    assert len(facts["study digest"]) == 16


def test_provenance_of_sampled_answers_and_given_files() -> None:
    _, lock = study(**SMALL)
    lock["study"]["evaluation"] |= {"temperature": 0.7, "samples": 3}
    lock["study"]["variants"] = [{"name": "gpt4", "answers": {"file": "x.jsonl"}}]
    found = provenance(lock)
    assert dict(found.facts)["answers"].startswith("temperature 0.7, top-p 1, 3 per prompt")
    assert found.models[1] == ("gpt4", "answers given in a file", "–")


def test_provenance_tells_devices_and_times_once_there_are_some() -> None:
    _, lock = study(**SMALL)
    assert "devices" not in dict(provenance(lock).facts)
    lock["computed"] = {
        "environments": [
            {"device": "none", "machine": "x86_64", "python": "3.11"},
            {"device": "cpu, 1 thread(s)", "machine": "x86_64", "python": "3.11"},
        ],
        "seconds": {"tune": 90.2, "answer": 600.0, "judge": 9000.0},
    }
    facts = dict(provenance(lock).facts)
    assert facts["devices"] == "cpu, 1 thread(s) (x86_64)"
    assert facts["versions"] == "python 3.11"
    assert facts["time, summed over workers"] == "tune 90 s, answer 10 min, judge 2.5 h"


def test_the_terminal_says_the_same() -> None:
    tables, lock = study(**SMALL, unsafe=40)
    screen = io.StringIO()
    print_summary(tables, lock, Console(file=screen, width=160))
    text = screen.getvalue()
    assert text.startswith("Compliance with unsafe requests rose in ")
    assert "adjusted for 6 cells (Holm)" in text
    assert "llama · benign, 3 epochs" in text
    assert "of 6 cells" in text


def test_an_audit_is_a_row_a_language() -> None:
    tables, lock = study(
        bases=("llama",), tuned=(), given=("mine",), languages=("en", "da"), unsafe=40
    )
    screen = io.StringIO()
    rows = audit_rows(tables, lock)
    print_audit(rows, Console(file=screen, width=100))
    head, *lines = screen.getvalue().splitlines()
    assert head.split() == ["language", "complied", "change,", "points", "p", "refusal"]
    assert [line.split()[0] for line in lines] == ["English", "Danish"]
    for row, line in zip(rows, lines, strict=True):
        assert row.compliance
        assert points(row.compliance.difference, 1) in line
        assert ("not shown" in line) == (row.compliance.reading == "no change shown")


def test_the_terminal_has_no_table_where_nothing_is_compared() -> None:
    tables, lock = study(bases=("llama",), tuned=())
    screen = io.StringIO()
    print_summary(tables, lock, Console(file=screen, width=160))
    assert "own language" not in screen.getvalue()
