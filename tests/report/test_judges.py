"""The report's section on judges."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from polydrift.report.headline import CALIBRATED, MODELS, RULES, headline
from polydrift.report.judges import judges
from polydrift.report.page import page
from polydrift.stats import analyse
from polydrift.stats.calibration import Calibration
from polydrift.stats.correct import corrected
from tests.report.synthetic import JUDGE, MEASURES, study

CALIBRATION = Calibration(
    "rules", {}, {}, {("en", "unsafe"): ((200, 0, 0, 0), (0, 200, 0, 0), (0, 0, 0, 0))}
)


def made(calibrations: dict[str, Calibration] | None = None) -> tuple[dict[str, Any], Any]:
    """A study of two judges: the second is a panel that sees translations, and says other things
    of every tenth answer.
    """
    tables, lock = study(
        bases=("llama",), tuned=("da",), languages=("en", "da"), unsafe=20, safe=10
    )
    first = tables["verdicts"].to_pylist()
    second = []
    for i, row in enumerate(first):
        flipped = {"complied": "refused", "refused": "complied"}.get(row["verdict"], "other")
        said = flipped if i % 10 == 0 else row["verdict"]
        second.append(
            {
                **row,
                "judge": "panel",
                "verdict": said,
                "votes": [f"a: {said} full", f"b: {row['verdict']} full"],
                "translated_from": row["evaluation_language"],
                "doubts": ["repetition"] if i % 20 == 0 else [],
                "untranslated": row["verdict"],
            }
        )
    schema = tables["verdicts"].schema
    tables["verdicts"] = pa.Table.from_pylist([*first, *second], schema=schema)
    quality = dict.fromkeys(MEASURES.names) | {
        "base": "llama",
        "variant": "llama",
        "evaluation_language": "da",
        "measure": "back_translation_chrf",
        "value": 61.25,
        "n": 30,
    }
    tables["measures"] = pa.concat_tables(
        [tables["measures"], pa.Table.from_pylist([quality], schema=MEASURES)]
    )
    tables |= analyse(tables["verdicts"], level=0.95, draws=200, seed=0)
    tables["corrected"] = corrected(
        tables["rates"], tables["effects"], calibrations or {}, level=0.95
    )
    lock["study"]["judges"].append(JUDGE | {"name": "panel", "vendors": ["a/a", "b/b"]})
    return tables, lock


def test_the_headline_and_the_figures_are_the_first_judges() -> None:
    alone, lock = study(bases=("llama",), tuned=("da",), languages=("en", "da"), unsafe=20, safe=10)
    alone["effects"] = analyse(alone["verdicts"], level=0.95, draws=200, seed=0)["effects"]
    tables, both = made()
    assert headline(tables, both).title == headline(alone, lock).title
    assert headline(tables, both).cautions[-1] == RULES


def test_verdicts_agreement_and_panels() -> None:
    tables, lock = made()
    found = judges(tables, lock)
    rows = tables["verdicts"].to_pylist()
    for row in found.rows:
        mine = [r["verdict"] for r in rows if r["judge"] == row[0]]
        counts = [mine.count(w) for w in ("complied", "refused", "other", "unparsed")]
        assert row[1:] == tuple(f"{n:,}" for n in (len(mine), *counts))
    (between, within) = found.agreement
    assert between[0] == "rules · panel"
    assert within[0] == "panel: translated · as given"
    assert 85 < float(between[2].rstrip("%")) < 95
    # what it said untranslated is what the rules said
    assert between[2:] == (*within[2:4], within[5], within[4])
    (note,) = found.notes
    assert note.startswith("The panel panel was of one mind on 9")


def test_translation_by_language() -> None:
    tables, lock = made()
    english, danish = judges(tables, lock).translation
    assert (english[0], english[1]) == ("English", "–")
    assert (danish[0], danish[1]) == ("Danish", "61.2")
    assert danish[4].startswith("repetition ")
    assert int(danish[3]) == int(danish[4].split()[1]) > 0


def test_corrected_rates_stand_with_whose_labels_told() -> None:
    tables, lock = made({"rules": CALIBRATION})
    lock["study"]["judges"][0]["calibration"] = "c.json"
    assert headline(tables, lock).cautions[-1] == CALIBRATED
    rows = judges(tables, lock).corrected
    assert [row[1:3] for row in rows] == [
        ("compliance", "English"),
        ("compliance", "Danish"),
        ("over-refusal", "English"),
        ("over-refusal", "Danish"),
    ]
    assert [row[8] for row in rows] == ["en/unsafe", "all", "en", "all"]


def test_a_models_verdicts_are_not_called_the_rules() -> None:
    tables, lock = made()
    lock["study"]["judges"].reverse()
    assert headline(tables, lock).cautions[-1] == MODELS
    assert "The judge is rule-based" not in page(tables, lock)


def test_the_page_has_the_section() -> None:
    text = page(*made({"rules": CALIBRATION}))
    for words in (
        "Verdicts of each judge",
        "Agreement between judges",
        "Translation into English",
        "Corrected rates",
        "61.2",
    ):
        assert words in text
