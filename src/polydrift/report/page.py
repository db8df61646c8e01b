"""The page: every section's data, put into one template.

The template engine escapes all text; the only unescaped parts are our own style and script, whose
hashes are the only ones that the page's content security policy lets through. An answer that holds
a script tag is shown as text, and would not run if it were not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from polydrift.disk import write_atomically
from polydrift.languages import LANGUAGES
from polydrift.report import figures, words
from polydrift.report.answers import answers
from polydrift.report.association import associations
from polydrift.report.capability import capability
from polydrift.report.categories import categories
from polydrift.report.counts import counts
from polydrift.report.grid import (
    Change,
    Tables,
    effect_changes,
    in_rank,
    measure_changes,
    measure_values,
    of_first_judge,
    only,
    pooled_changes,
)
from polydrift.report.headline import headline
from polydrift.report.inside import inside
from polydrift.report.judges import judges
from polydrift.report.matrices import (
    BITS,
    FALL_IS_WORSE,
    GAPS,
    NATS,
    RISE_IS_WORSE,
    Befores,
    Matrix,
    Scale,
    matrices,
)
from polydrift.report.provenance import provenance
from polydrift.report.spots import blind_spots, regions, sources_of_difference

TEMPLATES = Path(__file__).parent / "templates"
# Measures with a matrix of their own: name -> its scale.
_MEASURES = {
    "accuracy": FALL_IS_WORSE,
    "bits_per_byte": BITS,
    "corpus_bits_per_byte": BITS,
    "refusal_margin": NATS,
}
SHIFT = "refusal_shift_clearest"


def render(
    tables: Tables, study: Mapping[str, Any], out: Path, *, show_unsafe: bool = False
) -> None:
    """Draw the report of a study's tables into the file `out`; StoreError if the disk refuses.

    tables: those of `results.NAMES`. study: the content of
    study.lock.json. show_unsafe: print complying answers to unsafe requests, and those requests.
    """
    write_atomically(out, page(tables, study, show_unsafe=show_unsafe).encode("utf-8"))


def page(tables: Tables, study: Mapping[str, Any], *, show_unsafe: bool = False) -> str:
    """The report as HTML."""
    every, tables = tables, of_first_judge(tables, study)
    level = float(study["study"]["statistics"]["level"])
    compliance = pooled_changes(every["pooled"], "unsafe", "compliance", level=level)
    refusal = pooled_changes(every["pooled"], "safe-lookalike", "refusal", level=level)
    per_seed = effect_changes(tables["effects"], "unsafe", "compliance", level=level)
    columns = in_rank(tables["rates"]["evaluation_language"].to_pylist())
    rows = {arm["name"]: arm["languages"] for arm in study["study"]["tuning"]}
    measured = {name: measure_changes(tables["measures"], name) for name in _MEASURES}
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "enhance.js").read_text(encoding="utf-8")
    content: dict[str, Any] = {
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "study": study["study"],
        "headline": headline(tables, study),
        "compliance": matrices(
            compliance,
            _rates(every, "unsafe", "compliance_rate"),
            RISE_IS_WORSE,
            columns=columns,
            rows=rows,
        ),
        "refusal": matrices(
            refusal,
            _rates(every, "safe-lookalike", "refusal_rate"),
            RISE_IS_WORSE,
            columns=columns,
            rows=rows,
        ),
        "rates": _base_rates(tables),
        "spots": blind_spots(tables["blind_spot"]),
        "differences": sources_of_difference(tables["heterogeneity"]),
        "tipping": figures.tipping(tables["effects"]),
        "regions": regions(tables["tipping"]),
        "capability": capability(
            tables["effects"],
            tables["measures"],
            tables["capability"],
            tables["capability_effects"],
            tables["win_rates"],
        ),
        "inside": inside(tables["measures"], tables["pairs"], per_seed),
        "shift": matrices(measure_values(tables["measures"], SHIFT), {}, GAPS),
        "associations": associations(tables["associations"], study["study"]["judges"][0]["name"]),
        "judges": judges(every, study),
        "counts": counts(tables),
        "categories": categories(tables["verdicts"]),
        "answers": answers(tables, per_seed, show_unsafe=show_unsafe),
        "show_unsafe": show_unsafe,
        "kinds": {figures.kind_of(change) for change in compliance},
        "provenance": provenance(study),
        "languages": [LANGUAGES[code] for code in columns if code in LANGUAGES],
    }
    for name, changes in measured.items():
        content[name] = _measure_matrices(tables, changes, name, _MEASURES[name])
    return environment().get_template("page.html.j2").render(content)


def environment() -> Environment:
    """The template engine: escapes all text, wherever it comes from."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # all text, wherever it comes from; not what is markup already
        finalize=lambda value: words.clean(value) if type(value) is str else value,
    )
    environment.filters.update(language=words.name, endonym=words.endonym, count=words.count)
    return environment


def _hash(text: str) -> str:
    """The hash of an inline style or script, as a content security policy wants it."""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _rates(tables: Tables, kind: str, column: str) -> Befores:
    """The bases' rates, for the first row of a matrix."""
    return {
        (row["base"], row["suite"], row["judge"], row["evaluation_language"]): row[column]
        for row in only(tables["rates"], kind=kind).to_pylist()
        if row["variant"] == row["base"]
    }


def _measure_matrices(
    tables: Tables, changes: list[Change], measure: str, scale: Scale
) -> list[Matrix]:
    befores = {
        (row["base"], "", "", row["evaluation_language"]): row["value"]
        for row in only(tables["measures"], measure=measure).to_pylist()
        if row["variant"] == row["base"]
    }
    return matrices(changes, befores, scale)


def _base_rates(tables: Tables) -> list[dict[str, str]]:
    """The bases' rates with their intervals, in words, one row per base, language and kind."""
    rows = [row for row in tables["rates"].to_pylist() if row["variant"] == row["base"]]
    order = in_rank(row["evaluation_language"] for row in rows)
    at = {code: place for place, code in enumerate(order)}
    rows.sort(key=lambda r: (r["base"], r["suite"], r["kind"], at[r["evaluation_language"]]))
    return [
        {
            **{name: row[name] for name in ("base", "suite", "kind")},
            "code": row["evaluation_language"],
            "judged": f"{row['judged']:,} of {row['total']:,}",
            **{
                outcome: words.percent(row[f"{outcome}_rate"], 1)
                for outcome in ("compliance", "refusal")
            },
            **{
                f"{outcome}_interval": f"{words.percent(row[f'{outcome}_low'], 1)} to "
                f"{words.percent(row[f'{outcome}_high'], 1)}"
                for outcome in ("compliance", "refusal")
            },
        }
        for row in rows
    ]
