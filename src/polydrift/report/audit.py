"""An audit as plain data and as text: per variant and language, what changed, and the gate's word.

The same rows stand in the terminal, in audit.json, in the Markdown summary and in the model card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from polydrift.report.grid import Change, Tables, effect_changes, of_first_judge, row_label
from polydrift.report.words import NONE, interval, name, p_value, percent, points
from polydrift.stats.gate import FAILED, PASSED, Verdict

ROSE, FELL, NOT_SHOWN, NOT_JUDGED = "rose", "fell", "no change shown", "not judged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of an outcome: shares before and after, the change with its interval, p adjusted over the
    languages and variants of the audit (Holm), and what it says. NaN where nothing was judged.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    p_holm: float
    prompts: int
    reading: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A variant in one language. refusal: of safe look-alikes; None if there are none."""

    variant: str
    label: str
    language: str
    compliance: Outcome | None
    refusal: Outcome | None


def audit_rows(tables: Tables, lock: Mapping[str, Any]) -> list[AuditRow]:
    """The rows of a study's first judge, in order."""
    effects = of_first_judge(tables, lock)["effects"]
    level = lock["study"]["statistics"]["level"]
    sides = [
        {(c.variant, c.asked_in): c for c in effect_changes(effects, kind, outcome, level=level)}
        for kind, outcome in (("unsafe", "compliance"), ("safe-lookalike", "refusal"))
    ]
    places = list(dict.fromkeys(place for side in sides for place in side))
    return [
        AuditRow(
            variant,
            row_label(next(side[variant, code].row for side in sides if (variant, code) in side)),
            code,
            *(_outcome(side.get((variant, code))) for side in sides),
        )
        for variant, code in places
    ]


def _outcome(change: Change | None) -> Outcome | None:
    if change is None:
        return None
    reading = {1: ROSE, -1: FELL, 0: NOT_SHOWN}[change.side]
    if math.isnan(change.difference):
        reading = NOT_JUDGED
    return Outcome(
        change.before,
        change.after,
        change.difference,
        change.low,
        change.high,
        change.p_holm,
        change.n or 0,
        reading,
    )


HEADS = ("variant", "language", "before", "after", "change", "interval", "p", "reading")
MORE = ("over-refusal", "interval")


def cells(row: AuditRow) -> tuple[str, ...]:
    """A row in words, as `HEADS` and `MORE` name them."""
    return (row.label, name(row.language), *_words(row.compliance), *_brief(row.refusal))


def _words(found: Outcome | None) -> tuple[str, ...]:
    if found is None:
        return (NONE,) * 6
    return (
        percent(found.before),
        percent(found.after),
        points(found.difference, 1),
        interval(found.low, found.high),
        p_value(found.p_holm),
        found.reading,
    )


def _brief(found: Outcome | None) -> tuple[str, ...]:
    if found is None:
        return NONE, NONE
    return points(found.difference, 1), interval(found.low, found.high)


def as_json(
    rows: Sequence[AuditRow], lock: Mapping[str, Any], gates: Mapping[str, Verdict], rules: str
) -> dict[str, Any]:
    """The content of audit.json: NaN is null; shares, not points."""
    study = lock["study"]
    return {
        "polydrift": lock["polydrift"],
        "name": study["name"],
        "bases": [_model(one) for one in study["bases"]],
        "variants": [_model(one) for one in study["variants"]],
        "judge": study["judges"][0]["name"],
        "level": study["statistics"]["level"],
        "rows": [_plain(asdict(row)) for row in rows],
        "gate": {
            "rules": rules,
            "verdicts": {
                variant: {
                    "verdict": verdict.verdict,
                    "level": verdict.level,
                    "decisions": [
                        _plain({**asdict(one), "where": one.where, "text": str(one)})
                        for one in verdict.decisions
                    ],
                }
                for variant, verdict in gates.items()
            },
        }
        if gates
        else None,
    }


def _model(one: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("name", "base", "model", "adapter", "revision", "vendor", "tuning_language")
    found = {key: one[key] for key in keys if one.get(key)}
    if one.get("answers"):
        found["answers"] = one["answers"]["file"]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def markdown(title: str, rows: Sequence[AuditRow], gates: Mapping[str, Verdict], rules: str) -> str:
    """A summary for a pull request or a job's page."""
    lines = [f"## polydrift: {escaped(title)}", ""]
    for variant, verdict in gates.items():
        sign = {PASSED: "✅", FAILED: "❌"}.get(verdict.verdict, "❔")
        lines += [f"{sign} **{escaped(variant)}**: {escaped(str(verdict))}", ""]
    if gates:
        lines += [f"Gate: `{rules}`", ""]
    lines += [*table(rows), ""]
    lines.append(CAUTION)
    return "\n".join(lines) + "\n"


CAUTION = (
    "Change: compliance with unsafe requests, tuned against base, in points on the same prompts, "
    "95% intervals; p: adjusted over all rows (Holm). “No change shown” is not “no change”."
)


def table(rows: Sequence[AuditRow]) -> list[str]:
    """The rows as a Markdown table."""
    heads = [*HEADS, *MORE]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return lines + [f"| {' | '.join(map(escaped, cells(row)))} |" for row in rows]


def escaped(text: str) -> str:
    """A text that is nothing but text in a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
