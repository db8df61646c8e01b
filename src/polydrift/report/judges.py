"""The judges: what each said, how far they agree, what translation did, and corrected rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polydrift.report.grid import Row, Tables, average, in_rank, only
from polydrift.report.words import count, interval, name, number, percent, points
from polydrift.stats.agreement import kappa

_OUTCOMES = ("complied", "refused", "other")
_ANSWER = ("variant", "evaluation_language", "suite", "kind", "prompt_id", "sample")


@dataclass(frozen=True, slots=True)
class Judges:
    """rows: (judge, answers, complied, refused, other, unparsed). agreement: (who, answers, equal,
    kappa, first complied only, second complied only). translation: (language, chrF, answers,
    doubtful, most frequent doubts). corrected: (base, what, language, its rate, mean rate of its
    variants, largest change, its interval, its variant, calibrated on). notes: sentences.
    """

    rows: tuple[tuple[str, ...], ...]
    agreement: tuple[tuple[str, ...], ...]
    translation: tuple[tuple[str, ...], ...]
    corrected: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def judges(tables: Tables, lock: Mapping[str, Any]) -> Judges:
    """What the tables say of the study's judges, in the study's order."""
    verdicts = tables["verdicts"]
    names = [judge["name"] for judge in lock["study"]["judges"]]
    there = set(verdicts["judge"].to_pylist())
    names = [one for one in names if one in there]
    return Judges(
        rows=tuple(_counts(only(verdicts, judge=one), one) for one in names),
        agreement=tuple(_agreements(verdicts, names)),
        translation=tuple(_translation(verdicts, tables["measures"])),
        corrected=tuple(_corrected(tables["corrected"])),
        notes=tuple(_panels(verdicts, names)),
    )


def _counts(verdicts: pa.Table, judge: str) -> tuple[str, ...]:
    found = [int(pc.sum(pc.equal(verdicts["verdict"], one)).as_py() or 0) for one in _WORDS]
    return (judge, f"{verdicts.num_rows:,}", *(f"{n:,}" for n in found))


_WORDS = (*_OUTCOMES, "unparsed")


def _agreements(verdicts: pa.Table, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every two judges, and each translating judge with what it says of answers untranslated."""
    found: list[tuple[str, ...]] = []
    for one, other in combinations(names, 2):
        columns = [*_ANSWER, "verdict"]
        both = (
            only(verdicts, judge=one)
            .select(columns)
            .join(
                only(verdicts, judge=other).select(columns),
                keys=list(_ANSWER),
                right_suffix="_other",
                join_type="inner",
            )
        )
        found.append(_agreement(f"{one} · {other}", both["verdict"], both["verdict_other"]))
    for one in names:
        rows = only(verdicts, judge=one)
        rows = rows.filter(pc.is_valid(rows["untranslated"]))
        if rows.num_rows:
            label = f"{one}: translated · as given"
            found.append(_agreement(label, rows["verdict"], rows["untranslated"]))
    return [row for row in found if row]


def _agreement(label: str, ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> tuple[str, ...]:
    """One row; answers that either could not judge are left out."""
    codes = [
        pc.index_in(side, value_set=pa.array(_OUTCOMES)).fill_null(-1).to_numpy()
        for side in (ours, theirs)
    ]
    known = (codes[0] >= 0) & (codes[1] >= 0)
    table = np.bincount(codes[0][known] * 3 + codes[1][known], minlength=9).reshape(3, 3)
    n = int(table.sum())
    return (
        label,
        f"{n:,}",
        percent(float(np.trace(table) / n) if n else None, 1),
        number(float(kappa(table[None].astype(float))[0]), 2),
        f"{int(table[0, 1:].sum()):,}",
        f"{int(table[1:, 0].sum()):,}",
    )


def _panels(verdicts: pa.Table, names: Sequence[str]) -> list[str]:
    """How often panels were of one mind."""
    notes = []
    for one in names:
        votes = [row for row in only(verdicts, judge=one)["votes"].to_pylist() if row]
        if votes:
            said = [{vote.partition(": ")[2].split(" ")[0] for vote in row} for row in votes]
            agreed = sum(len(heard - {"unparsed"}) == 1 for heard in said)
            ties = int(pc.sum(pc.equal(only(verdicts, judge=one)["detail"], "tie")).as_py() or 0)
            notes.append(
                f"The panel {one} was of one mind on {percent(agreed / len(votes))} of "
                f"{count(len(votes), 'answer')}; {ties:,} had no majority and are unparsed."
            )
    return notes


def _translation(verdicts: pa.Table, measures: pa.Table) -> list[tuple[str, ...]]:
    """How well answers came into English, by evaluation language; each answer once."""
    rows = verdicts.filter(pc.is_valid(verdicts["translated_from"]))
    if rows.num_rows:
        rows = only(rows, judge=rows["judge"][0].as_py())
    quality = only(measures, measure="back_translation_chrf").to_pylist()
    found: list[tuple[str, ...]] = []
    for code in in_rank(rows["evaluation_language"].to_pylist()):
        doubts = only(rows, evaluation_language=code)["doubts"].to_pylist()
        kinds: dict[str, int] = {}
        for one in (doubt for row in doubts for doubt in row or ()):
            kinds[one] = kinds.get(one, 0) + 1
        most = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:3]
        scores = [row["value"] for row in quality if row["evaluation_language"] == code]
        found.append(
            (
                name(code),
                number(average(scores), 1),
                f"{len(doubts):,}",
                f"{sum(bool(row) for row in doubts):,}",
                ", ".join(f"{kind} {n:,}" for kind, n in most),
            )
        )
    return found


def _corrected(table: pa.Table) -> list[tuple[str, ...]]:
    """Corrected compliance with unsafe requests and refusal of safe look-alikes: the base beside
    the mean of its variants, and the largest rise.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in table.to_pylist():
        if _WANTED.get(row["kind"]) != row["outcome"]:
            continue
        key: tuple[str, ...] = (
            row["judge"],
            row["base"],
            row["evaluation_language"],
            row["kind"],
            row["suite"],
        )
        groups.setdefault(key, []).append(row)
    codes = in_rank(key[2] for key in groups)
    found: list[tuple[str, ...]] = []
    for key in sorted(
        groups, key=lambda k: (k[0], k[1], k[4], k[3] != "unsafe", codes.index(k[2]))
    ):
        base = next((row for row in groups[key] if row["variant"] == row["base"]), None)
        tuned = [row for row in groups[key] if row["variant"] != row["base"]]
        largest = max(tuned, key=lambda row: row["change"], default=None)
        found.append(
            (
                key[1],
                "compliance" if key[3] == "unsafe" else "over-refusal",
                name(key[2]),
                _rate(base),
                percent(average(row["rate"] for row in tuned), 1),
                "–" if largest is None else f"{points(largest['change'], 1)}",
                "–" if largest is None else interval(largest["change_low"], largest["change_high"]),
                "–" if largest is None else largest["variant"],
                (base or largest or {}).get("calibrated_on") or "too few labels",
            )
        )
    return found


_WANTED = {"unsafe": "compliance", "safe-lookalike": "refusal"}


def _rate(row: Row | None) -> str:
    if row is None:
        return "–"
    shown = percent(row["rate"], 1)
    if row["rate"] != row["rate"]:
        return shown
    return f"{shown} ({percent(row['low'])} to {percent(row['high'])})"
