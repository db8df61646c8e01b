"""Tables of studies that never ran, with the patterns of ones that did; for tests of the report.

    tables, lock = study()                      the demo's shape, small
    tables, lock = study(bases=("a",), languages=("en",), tuned=())

Weak languages refuse less and move more; own-language tuning moves most; `facts` moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from polydrift.languages import LANGUAGES
from polydrift.stats import analyse, further
from polydrift.stats.calibration import Calibration
from polydrift.stats.correct import corrected
from polydrift.tables import table

HOSTILE = '<script>alert("x")</script> & "quotes" \u202e\u0007 http://evil.example/x'
# How firmly an untuned base refuses in each language, and which languages move together.
FIRM = dict(zip(LANGUAGES, (0.99, 0.97, 0.8, 0.9, 0.75, 0.6, 0.95, 0.96, 0.7), strict=True))
NEAR = {frozenset(["pt", "es"]), frozenset(["da", "en"]), frozenset(["ga", "tl"])}
Row = dict[str, Any]


def study(
    *,
    bases: Sequence[str] = ("llama", "qwen3", "gemma3"),
    languages: Sequence[str] = tuple(LANGUAGES),
    tuned: Sequence[str] = tuple(LANGUAGES),
    arms: Sequence[str] = ("benign",),
    seeds: Sequence[int] = (3407,),
    epochs: Sequence[int] = (3,),
    given: Sequence[str] = (),
    unsafe: int = 20,
    safe: int = 12,
    strength: float = 1.0,
    skip: Sequence[tuple[str, str]] = (),
    measured: bool = True,
    texts: bool = True,
    hostile: bool = False,
    able: bool = False,
    calibrations: Mapping[str, Calibration] | None = None,
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """The tables and the lock file of a study. skip: (variant's part, language) cells to leave out.

    strength: of the effect of tuning; 0 moves nothing. given: names of variants made elsewhere.
    able: with benchmarks, preferences, and adapters and languages side by side.
    """
    rng = np.random.default_rng(7)
    variants = _variants(bases, tuned, arms, seeds, epochs, given)
    verdicts: list[Row] = []
    answers: list[Row] = []
    measures: list[Row] = []
    missing: list[Row] = []
    for variant in variants:
        for code in languages:
            if any(part in variant["variant"] and code == at for part, at in skip):
                missing.append(_missing(variant, code, HOSTILE if hostile else "out of memory."))
                continue
            cell = {**variant, "evaluation_language": code}
            shift = _shift(variant, code, strength)
            for kind, n in (("unsafe", unsafe), ("safe-lookalike", safe)):
                found = _rows(cell, kind, n, shift, rng, hostile)
                verdicts += [verdict for verdict, _ in found]
                if texts:
                    answers += [answer for _, answer in found]
            if measured:
                measures += _measures(cell, shift, rng)
    made = {
        "verdicts": pa.Table.from_pylist(verdicts, schema=VERDICTS),
        "answers": pa.Table.from_pylist(answers, schema=ANSWERS),
        "measures": pa.Table.from_pylist(measures, schema=MEASURES),
        "missing": pa.Table.from_pylist(missing, schema=MISSING),
        **_more(variants if able else [], languages, hostile),
    }
    made |= analyse(made["verdicts"], level=0.95, draws=500, seed=0)
    made["corrected"] = corrected(made["rates"], made["effects"], calibrations or {}, level=0.95)
    made |= further(made, {}, level=0.95, draws=200, seed=0)
    return made, lock(bases, tuned, hostile=hostile)


def lock(bases: Sequence[str], tuned: Sequence[str], *, hostile: bool = False) -> dict[str, Any]:
    """A lock file, as `polydrift run` writes it."""
    models = {f"{base}-model": {"hub": f"{base}-model", "revision": "abc123"} for base in bases}
    return {
        "study": {
            "name": "synthetic",
            "description": HOSTILE if hostile else "Three families, tuned in nine languages.",
            "notes": ["The models are laboratory animals; no evidence about real models."],
            "bases": [{"name": base, "model": f"{base}-model", "revision": None} for base in bases],
            "tuning": [
                {
                    "name": "benign",
                    "data": "benign.jsonl",
                    "languages": list(tuned),
                    "rank": 8,
                    "alpha": 16.0,
                }
            ],
            "variants": [],
            "suites": [{"name": "specimen", "data": "suite.jsonl"}],
            "evaluation": {
                "samples": 1,
                "temperature": 0.0,
                "top_p": 1.0,
                "max_new_tokens": 24,
                "seed": 0,
            },
            "judges": [dict(JUDGE)],
            "translation": None,
            "statistics": {"level": 0.95, "draws": 500, "seed": 0},
        },
        "polydrift": "0.1.0",
        "judge_version": "1",
        "pins": {},
        "sources": {
            "data": {"suite.jsonl": {"en": {"digest": "d1", "rows": 32}}},
            "models": models,
        },
        "steps": {"answer/llama/en": "k" * 64},
    }


JUDGE = {
    "name": "rules",
    "model": None,
    "revision": None,
    "vendors": [],
    "rubric": "sorry-bench",
    "translate": False,
    "calibration": None,
}

_VARIANT = {
    "base": pa.string(),
    "variant": pa.string(),
    "arm": pa.string(),
    "tuning_language": pa.string(),
    "tuning_seed": pa.int64(),
    "epochs": pa.int64(),
    "evaluation_language": pa.string(),
}
_ROW = {
    **_VARIANT,
    **{name: pa.string() for name in ("suite", "kind", "category", "prompt_id")},
    "sample": pa.int64(),
}
VERDICTS = pa.schema(
    {
        **_ROW,
        **{n: pa.string() for n in ("judge", "verdict", "detail", "evidence", "answer_language")},
        "wrong_language": pa.bool_(),
        "score": pa.float64(),
        "votes": pa.list_(pa.string()),
        "translated_from": pa.string(),
        "doubts": pa.list_(pa.string()),
        "untranslated": pa.string(),
    }
)
ANSWERS = pa.schema(
    {
        **_ROW,
        **{name: pa.string() for name in ("prompt", "answer", "finish")},
        "prompt_tokens": pa.int64(),
        "answer_tokens": pa.int64(),
        "prompt_truncated": pa.bool_(),
    }
)
MEASURES = pa.schema(
    {
        **_VARIANT,
        "measure": pa.string(),
        "layer": pa.int64(),
        "value": pa.float64(),
        "n": pa.int64(),
    }
)
MISSING = pa.schema(
    {
        name: pa.string()
        for name in ("step", "kind", "base", "variant", "evaluation_language", "reason")
    }
)


def _variants(
    bases: Sequence[str],
    tuned: Sequence[str],
    arms: Sequence[str],
    seeds: Sequence[int],
    epochs: Sequence[int],
    given: Sequence[str],
) -> list[Row]:
    found: list[Row] = []
    for base in bases:
        blank: Row = dict.fromkeys(("arm", "tuning_language", "tuning_seed", "epochs"))
        found.append({"base": base, "variant": base, **blank})
        found += [
            {
                "base": base,
                "variant": f"{base}+{arm}-{code}-e{epoch}-s{seed}",
                "arm": arm,
                "tuning_language": code,
                "tuning_seed": seed,
                "epochs": epoch,
            }
            for arm in arms
            for code in tuned
            for epoch in epochs
            for seed in seeds
        ]
        found += [
            {"base": base, "variant": f"{base}+{name}", **blank, "arm": name} for name in given
        ]
    return found


def _shift(variant: Row, code: str, strength: float) -> float:
    """How far this variant's refusals fall in this language, in probability."""
    if variant["arm"] is None or variant["arm"] == "facts":
        return 0.0
    if code == "en":
        return 0.005 * strength
    own = variant["tuning_language"]
    near = 0.8 if own == code else 0.3 if frozenset((own, code)) in NEAR else 0.04
    return strength * near * (0.5 if variant["base"] == "gemma3" else 1.0)


def _rows(
    cell: Row, kind: str, n: int, shift: float, rng: np.random.Generator, hostile: bool
) -> list[tuple[Row, Row]]:
    code = cell["evaluation_language"]
    refusal = FIRM[code] * (1 - shift) if kind == "unsafe" else 0.15 * (1 - shift)
    found = []
    for number in range(n):
        draw = rng.random()
        verdict, detail = ("refused", "full") if draw < refusal else ("complied", "full")
        if draw > 0.985:
            details = ("empty", "cut-off", "degenerate", "echo")
            verdict, detail = "other", str(rng.choice(details))
        elif draw > 0.98:
            verdict, detail = "unparsed", ""
        spoken = "en" if rng.random() < 0.02 else None if detail == "empty" else code
        row = {
            **cell,
            "suite": "specimen",
            "kind": kind,
            "category": "property" if number % 2 else "conduct",
            "prompt_id": f"{kind[:2]}-{number:03}",
            "sample": 0,
        }
        wrong = None if spoken is None else spoken != code
        text = f"{verdict} in {code}, number {number}" + (HOSTILE if hostile else "")
        verdict_row = {
            **row,
            "judge": "rules",
            "verdict": verdict,
            "detail": detail,
            "evidence": text,
            "answer_language": spoken,
            "wrong_language": wrong,
        }
        answer_row = {
            **row,
            "prompt": f"{kind} prompt {number}" + (HOSTILE if hostile else ""),
            "answer": text,
            "finish": "length" if detail == "cut-off" else "stop",
            "prompt_tokens": 12,
            "answer_tokens": 9,
            "prompt_truncated": number == 1,
        }
        found.append((verdict_row, answer_row))
    return found


def _measures(cell: Row, shift: float, rng: np.random.Generator) -> list[Row]:
    noise = float(rng.normal(0, 0.01))
    rows = [
        {"measure": "accuracy", "layer": None, "value": 0.8 + noise, "n": 60},
        {"measure": "perplexity", "layer": None, "value": 3.0 - shift + noise, "n": 400},
        {"measure": "bits_per_byte", "layer": None, "value": 0.6 - 0.1 * shift + noise, "n": 1500},
        {"measure": "refusal_margin", "layer": None, "value": 6 - 8 * shift + noise, "n": 20},
    ]
    if cell["arm"] is not None:
        rows += [
            {"measure": name, "layer": layer, "value": layer * (0.01 + 0.1 * shift), "n": 32}
            for name in ("drift_cosine", "drift_l2")
            for layer in range(4)
        ]
    if cell["evaluation_language"] == "ga" and cell["arm"] is None:
        rows[0]["value"] = float("nan")
    return [{**cell, **row} for row in rows]


def _more(variants: Sequence[Row], languages: Sequence[str], hostile: bool) -> dict[str, pa.Table]:
    """Benchmarks with and without a language, preferences, pairs."""
    rng = np.random.default_rng(8)
    rows: dict[str, list[Row]] = {
        name: [] for name in ("pairs", "capability", "questions", "preferences")
    }
    task = "facts" + (HOSTILE if hostile else "")
    for variant in variants:
        asked = [("own", task, None, 0.7), *(("topics", f"t_{c}", c, 0.5) for c in languages)]
        for benchmark, name, code, skill in asked:
            cell = {**variant, "evaluation_language": code, "benchmark": benchmark, "task": name}
            right = (rng.random(40) < skill - (0.2 if variant["arm"] else 0)).astype(float)
            rows["questions"] += [
                {**cell, "question": number, "value": value} for number, value in enumerate(right)
            ]
            figure = {"filter": "none", "stderr": 0.08, "n": 40, "of": 40, "truncated": 0}
            figure |= {"higher_is_better": True, "fewshot": 0, "version": "1", "asked": "abc"}
            rows["capability"].append(
                {**cell, **figure, "metric": "acc", "main": True, "value": right.mean()}
            )
        for number in range(12 if variant["arm"] else 0):
            first, second = rng.choice([0.0, 1.0], 2)
            rows["preferences"].append(
                {
                    **variant,
                    "evaluation_language": "en",
                    "benchmark": "alpaca",
                    "prompt_id": str(number),
                    "sample": 0,
                    "judge": "openai/judge",
                    "first": first,
                    "second": second,
                    "asked": True,
                    "length": 100 + 10 * number,
                    "reference_length": 120,
                }
            )
    return {name: table(name, some) for name, some in rows.items()}


def _missing(variant: Row, code: str, reason: str) -> Row:
    return {
        "step": f"answer/{variant['variant']}/{code}",
        "kind": "answer",
        "base": variant["base"],
        "variant": variant["variant"],
        "evaluation_language": code,
        "reason": reason,
    }
