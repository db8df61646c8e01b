"""A browser of answers: what a base said and what a variant said to the same request.

Per base and evaluation language a few pairs, those whose verdict changed first, of the variant that
changed most there. Everything is escaped by the template and cut to `LONGEST` characters, and the
number of pairs is bounded, so the page stays small whatever the answers hold. Hidden unless
`show_unsafe`: every unsafe request (suites may be licensed), and every answer to one that is not a
full refusal (what follows a partial one may be what it refuses).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from polydrift.report.grid import Change, Row, Tables, in_rank, only
from polydrift.report.words import excerpt

LONGEST = 400  # characters of a text that are shown
PAIRS = 8  # of a base, language and kind; fewer where the page would become long
MOST = 900  # pairs on the page


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. text: None if it is hidden. spoken: the language it is in, None if unknown."""

    model: str
    verdict: str
    spoken: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A request with the answers of a base and (unless nothing was tuned) of a variant.

    prompt: None if it is hidden. change: "now complies", "now refuses", "other change" or "same".
    """

    base: str
    language: str
    kind: str
    category: str
    prompt_id: str
    prompt: str | None
    before: Said
    after: Said | None
    change: str


@dataclass(frozen=True, slots=True)
class Answers:
    """pairs: by base and language. total: how many pairs the tables hold."""

    pairs: tuple[Pair, ...]
    total: int
    bases: tuple[str, ...]
    languages: tuple[str, ...]
    hidden: bool


def answers(tables: Tables, changes: Sequence[Change], *, show_unsafe: bool = False) -> Answers:
    """The pairs that are shown; none if there are no texts.

    changes: of compliance, from which the variants are chosen. show_unsafe: see the docstring.
    """
    verdicts, texts = tables["verdicts"], tables["answers"]
    if not (verdicts.num_rows and texts.num_rows):
        return Answers((), 0, (), (), not show_unsafe)
    bases = list(dict.fromkeys(verdicts["base"].to_pylist()))
    codes = in_rank(pc.unique(verdicts["evaluation_language"]).to_pylist())
    each = max(1, min(PAIRS, MOST // (2 * len(bases) * len(codes))))
    pairs: list[Pair] = []
    for base in bases:
        of_base = only(verdicts, base=base)
        for code in codes:
            variant = _variant(changes, base, code)
            here = only(of_base, evaluation_language=code)
            wanted = _chosen(_rows(here, base), _rows(here, variant) if variant else {}, each)
            pairs += _pairs(base, code, wanted, texts, show_unsafe)
    asked = sum(count for variant, count in _sizes(verdicts) if variant not in bases)
    return Answers(tuple(pairs), asked or verdicts.num_rows, tuple(bases), tuple(codes),
                   not show_unsafe)  # fmt: skip


def _sizes(verdicts: pa.Table) -> Iterable[tuple[str, int]]:
    grouped = verdicts.group_by("variant").aggregate([("sample", "count")])
    return zip(grouped["variant"].to_pylist(), grouped["sample_count"].to_pylist(), strict=True)


def _variant(changes: Sequence[Change], base: str, code: str) -> str | None:
    """The variant of a base that changed most in a language."""
    here = [c for c in changes if (c.panel.base, c.asked_in) == (base, code)]
    known = [c for c in here if c.difference == c.difference] or here
    return max(known, key=lambda c: (abs(c.difference), c.own)).variant if known else None


Key = tuple[str, str, str, int]
Rows = Mapping[Key, Row]


def _rows(verdicts: pa.Table, variant: str) -> Rows:
    """The verdicts of a variant, by what identifies an answer."""
    rows = only(verdicts, variant=variant).to_pylist()
    return {(r["suite"], r["kind"], r["prompt_id"], r["sample"]): r for r in rows}


def _chosen(before: Rows, after: Rows, each: int) -> list[tuple[Row, Row | None, str]]:
    """Pairs of verdicts with what changed: those that changed first, then by prompt id."""
    found = []
    for kind in ("unsafe", "safe-lookalike"):
        keys = sorted(key for key in before if key[1] == kind and (not after or key in after))
        told = [(key, _change(before[key], after.get(key))) for key in keys]
        order = ("now complies", "now refuses", "other change", "same")
        told.sort(key=lambda pair: order.index(pair[1]))
        found += [(before[key], after.get(key), change) for key, change in told[:each]]
    return found


def _change(before: Row, after: Row | None) -> str:
    if after is None or before["verdict"] == after["verdict"]:
        return "same"
    return {"complied": "now complies", "refused": "now refuses"}.get(
        after["verdict"], "other change"
    )


def _pairs(
    base: str,
    code: str,
    chosen: Sequence[tuple[Row, Row | None, str]],
    texts: pa.Table,
    show_unsafe: bool,
) -> list[Pair]:
    ids = pa.array({row["prompt_id"] for row, _, _ in chosen}, pa.string())
    models = {row["variant"] for one, other, _ in chosen for row in (one, other) if row}
    here = only(texts, evaluation_language=code)
    here = here.filter(
        pc.and_(
            pc.is_in(here["prompt_id"], ids),
            pc.is_in(here["variant"], pa.array(models, pa.string())),
        )
    )
    known = {
        (row["variant"], row["suite"], row["kind"], row["prompt_id"], row["sample"]): row
        for row in here.to_pylist()
    }

    def said(row: Row | None) -> Said | None:
        if row is None:
            return None
        text = known.get(_key(row))
        refused = (row["verdict"], row["detail"]) == ("refused", "full")
        harmless = row["kind"] != "unsafe" or refused
        shown = excerpt(text["answer"], LONGEST) if text and (harmless or show_unsafe) else None
        return Said(row["variant"], row["verdict"], row["answer_language"], shown)

    found = []
    for one, other, change in chosen:
        text = known.get(_key(one))
        before = said(one)
        if text is None or before is None:
            continue
        shown = one["kind"] != "unsafe" or show_unsafe
        found.append(
            Pair(
                base=base,
                language=code,
                kind=one["kind"],
                category=one["category"],
                prompt_id=one["prompt_id"],
                prompt=excerpt(text["prompt"], LONGEST) if shown else None,
                before=before,
                after=said(other),
                change=change,
            )
        )
    return found


def _key(row: Row) -> tuple[str, str, str, str, int]:
    return row["variant"], row["suite"], row["kind"], row["prompt_id"], row["sample"]
