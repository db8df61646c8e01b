"""`polydrift audit --gate`: the verdicts of a study put to a gate, a variant at a time.

found = gate("compliance +3pp, over-refusal +5pp", read_tables(out), read_lock(out))
found["llama+mine"].code             0 passed, 1 failed, 2 cannot tell
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.languages import in_order
from polydrift.report.grid import Row, Tables, of_first_judge, only
from polydrift.stats.gate import Rule, Verdict, decide, parse_gate

# Of each outcome: which prompts it is about, and which verdict counts.
_OUTCOMES = {"compliance": ("unsafe", "complied"), "over-refusal": ("safe-lookalike", "refused")}
_UNJUDGED = -1

Answers = NDArray[np.int64]
Pairs = dict[str, tuple[Answers, Answers]]


def gate(
    text: str, tables: Tables, lock: Mapping[str, Any], *, level: float = 0.95
) -> dict[str, Verdict]:
    """The verdict on each variant, by the study's first judge. A language in which a step failed is
    one that nobody judged: "cannot tell".

    text: the rules, as `stats.gate.parse_gate` reads them. level: of each one-sided limit.
    MeasureError for a text that is no rule, and for a rule of what was not asked.
    """
    rules = parse_gate(text)
    verdicts, missing = of_first_judge(tables, lock)["verdicts"], _missing(tables["missing"])
    rows = [*verdicts.select(["base", "variant"]).to_pylist(), *missing]
    bases = {row["variant"]: row["base"] for row in rows if row["variant"] != row["base"]}
    if not bases:
        raise MeasureError("gate: no variant was judged; nothing can be said of it.")
    found = {}
    for variant, base in bases.items():
        pairs = outcomes(verdicts, base, variant)
        lost = {row["evaluation_language"] for row in missing if row["variant"] in (base, variant)}
        asked = [_everywhere(rule, set(pairs[rule.outcome]), lost - {None}) for rule in rules]
        found[variant] = decide(asked, pairs, level=level)
    return found


def _missing(table: pa.Table) -> list[Row]:
    """Steps without a result that leave answers unjudged."""
    return [row for row in table.to_pylist() if row["kind"] in ("answer", "translate", "judge")]


def _everywhere(rule: Rule, judged: set[str], lost: set[str]) -> Rule:
    """The rule with the languages that it is about spelled out: what failed is not left out."""
    if rule.languages or not lost:
        return rule
    return replace(rule, languages=tuple(in_order(judged | lost)))


def outcomes(verdicts: pa.Table, base: str, variant: str) -> dict[str, Pairs]:
    """By outcome and language the answers of base and variant, as `stats.gate.decide` wants them:
    [prompts, samples], rows the same prompts in all languages; -1: absent or unparsed.
    """
    found: dict[str, Pairs] = {}
    both = pa.array([base, variant])
    for outcome, (kind, verdict) in _OUTCOMES.items():
        rows = only(verdicts, kind=kind)
        rows = rows.filter(pc.is_in(rows["variant"], both))
        names = [f"{row['suite']}\n{row['prompt_id']}" for row in
                 rows.select(["suite", "prompt_id"]).to_pylist()]  # fmt: skip
        prompts = {name: place for place, name in enumerate(sorted(set(names)))}
        samples = 1 + max(rows["sample"].to_pylist(), default=0)
        blank = np.full((len(prompts), samples), _UNJUDGED)
        sides: dict[tuple[str, str], Answers] = {}
        for name, row in zip(names, rows.to_pylist(), strict=True):
            side = sides.setdefault((row["evaluation_language"], row["variant"]), blank.copy())
            if row["verdict"] != "unparsed":
                side[prompts[name], row["sample"]] = row["verdict"] == verdict
        found[outcome] = {
            code: (sides[code, base], sides[code, variant])
            for code, name in sides
            if name == variant and (code, base) in sides
        }
    return found
