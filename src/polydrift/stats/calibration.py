"""The calibration of a judge: what people said of answers it judged, and rates corrected by it.

    made = calibrate(
        human, judged, language, kind,            # one entry per labelled answer
        judge="rules 3", judge_key={"judge": "rules", "version": "3"},
        made_of={"labels": "two native speakers each", "models": ["specimen-chat"]},
    )
    made.write(Path("judge.calibration.json"))

    read(path).correct(complied=[88], refused=[340], other=[12], language=["da"], kind=["unsafe"])
    # {"compliance": Corrected(value=[0.14], low=[0.04], high=[0.23], group=["da/unsafe"]),
    #  "refusal": ...}

The labels are counted per evaluation language and kind of prompt, as a table of human verdicts
(rows) by the judge's (columns, "unparsed" among them). A cell's rate is corrected by the smallest
group that has labels enough, and the result says which: its language and kind, its language, or all
languages. That the judge errs on a cell's answers as it did on the labelled ones is assumed, not
known; the further the group is from the cell, the bolder the assumption. docs/judge_error.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.data.suites import KINDS
from polydrift.disk import write_atomically
from polydrift.errors import DataError, MeasureError
from polydrift.languages import LANGUAGES
from polydrift.stats.judge_error import corrected_change, rogan_gladen

HUMAN = ("complied", "refused", "other")
JUDGED = (*HUMAN, "unparsed")
OUTCOMES = {"compliance": "complied", "refusal": "refused"}
ENOUGH = 30  # labels that people called positive, and as many negative
EVERYWHERE = "all"  # the group of all languages
NOWHERE = ""  # no group has enough labels

_FORMAT, _VERSION = "polydrift calibration", 1
_FIELDS: dict[str, type] = {"judge": str, "judge_key": dict, "made_of": dict, "groups": dict}

Table = tuple[tuple[int, ...], ...]  # [3, 4]: rows HUMAN, columns JUDGED
Floats = NDArray[np.float64]


class Corrected(NamedTuple):
    """Numbers as people would have given them, [cells] each.

    group: [cells] whose labels told: "da/unsafe", "da", "all", or "" where no group had enough and
    the rest is NaN. It is NaN also where that group's judge is not surely better than chance.
    """

    value: Floats
    low: Floats
    high: Floats
    group: NDArray[np.str_]


@dataclass(frozen=True)
class Calibration:
    """How a judge's verdicts relate to people's.

    judge: in words. judge_key: what identifies it, as in artifacts. made_of: where the labels come
    from, in JSON. tables: by (language, kind), counts [3, 4] of human verdicts by the judge's.
    """

    judge: str
    judge_key: dict[str, Any]
    made_of: dict[str, Any]
    tables: dict[tuple[str, str], Table]

    @property
    def groups(self) -> dict[str, Table]:
        """The tables by name, with those pooled over kinds ("da") and over all ("all")."""
        found: dict[str, Table] = {}
        for (language, kind), table in self.tables.items():
            for name in (f"{language}/{kind}", language, EVERYWHERE):
                sums = np.add(found.get(name, np.zeros((3, 4), int)), table)
                found[name] = tuple(tuple(row) for row in sums.tolist())
        return found

    def correct(
        self,
        *,
        complied: ArrayLike,
        refused: ArrayLike,
        other: ArrayLike,
        language: Sequence[str],
        kind: Sequence[str],
        level: float = 0.95,
    ) -> dict[str, Corrected]:
        """Compliance and refusal of cells as people would have judged them, with intervals.

        All: [cells]; complied, refused, other: counts of verdicts (unparsed ones are left out).
        level: of the intervals. See `rogan_gladen` for how. MeasureError for an unknown language
        or kind, for columns of different lengths, and as there.
        """
        counts = {"complied": complied, "refused": refused, "other": other}
        arrays = {name: np.asarray(values, float) for name, values in counts.items()}
        judged = _of_one_length({**arrays, "language": language, "kind": kind}, arrays)
        made = {}
        for outcome, verdict in OUTCOMES.items():
            group, shares = self._errors(outcome, language, kind)
            found = rogan_gladen(arrays[verdict], judged, **shares, level=level)
            made[outcome] = Corrected(*found, group)
        return made

    def correct_changes(
        self,
        outcome: str,
        difference: ArrayLike,
        standard_error: ArrayLike,
        *,
        language: Sequence[str],
        kind: Sequence[str],
        level: float = 0.95,
    ) -> Corrected:
        """Differences variant - base of `outcome`, as people would have judged them; [cells] each.

        outcome: "compliance" or "refusal". See `corrected_change`; MeasureError as in `correct`.
        """
        if outcome not in OUTCOMES:
            raise MeasureError(f"outcome: {outcome!r} is none; use {' or '.join(OUTCOMES)}.")
        change = np.asarray(difference, float)
        error = np.asarray(standard_error, float)
        columns = {"difference": change, "standard_error": error}
        _of_one_length({**columns, "language": language, "kind": kind}, {})
        group, shares = self._errors(outcome, language, kind)
        return Corrected(*corrected_change(change, error, **shares, level=level), group)

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all; StoreError if the disk refuses."""
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "judge": self.judge,
            "judge_key": self.judge_key,
            "made_of": self.made_of,
            "rows (people)": HUMAN,
            "columns (judge)": JUDGED,
            "groups": self.groups,
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(path, f"{text}\n".encode())

    def _errors(
        self, outcome: str, language: Sequence[str], kind: Sequence[str]
    ) -> tuple[NDArray[np.str_], dict[str, Any]]:
        """[cells] the group of each, and its sensitivity and specificity as (hits, size)."""
        for name, values, known in (("language", language, LANGUAGES), ("kind", kind, KINDS)):
            for value in values:
                if value not in known:
                    raise MeasureError(f"{name}: {value!r} is unknown; use {', '.join(known)}.")
        positive = HUMAN.index(OUTCOMES[outcome])
        shares = {}
        for name, table in self.groups.items():
            parsed = np.array(table)[:, : len(HUMAN)]
            of_positive, of_negative = parsed[positive], np.delete(parsed, positive, axis=0)
            size = of_negative.sum()
            hits = of_positive[positive]
            if min(of_positive.sum(), size) >= ENOUGH:
                cleared = size - of_negative[:, positive].sum()
                shares[name] = (hits, of_positive.sum(), cleared, size)
        group = [
            next((name for name in (f"{code}/{one}", code, EVERYWHERE) if name in shares), NOWHERE)
            for code, one in zip(language, kind, strict=True)
        ]
        found = np.array([shares.get(name, (0, 0, 0, 0)) for name in group]).reshape(-1, 4).T
        return np.array(group, str), {"sensitivity": found[:2], "specificity": found[2:]}


def calibrate(
    human: Sequence[str],
    judged: Sequence[str],
    language: Sequence[str],
    kind: Sequence[str],
    *,
    judge: str,
    judge_key: Mapping[str, Any],
    made_of: Mapping[str, Any],
) -> Calibration:
    """A calibration from labelled answers, [n] each.

    human: complied, refused or other; judged: one of those or unparsed; language: code of one of
    the nine; kind: of the prompt. judge, judge_key, made_of: as in `Calibration`. DataError for
    columns of different lengths and for words that are none of these.
    """
    columns = {"human": human, "judged": judged, "language": language, "kind": kind}
    known = {"human": HUMAN, "judged": JUDGED, "language": tuple(LANGUAGES), "kind": KINDS}
    if len({len(values) for values in columns.values()}) != 1:
        raise DataError(f"labels: {_lengths(columns)}; give one entry of each per answer.")
    for name, values in columns.items():
        for row, value in enumerate(values, start=1):
            if value not in known[name]:
                raise DataError(
                    f"labels: {name} {value!r} of answer {row} is unknown; use "
                    f"{', '.join(known[name])}."
                )
    tables: dict[tuple[str, str], Any] = {}
    for said, heard, code, one in zip(human, judged, language, kind, strict=True):
        table = tables.setdefault((code, one), np.zeros((len(HUMAN), len(JUDGED)), int))
        table[HUMAN.index(said), JUDGED.index(heard)] += 1
    in_order: dict[tuple[str, str], Table] = {
        (code, one): tuple(tuple(row) for row in tables[code, one].tolist())
        for code in LANGUAGES
        for one in KINDS
        if (code, one) in tables
    }
    return Calibration(judge, dict(judge_key), dict(made_of), in_order)


def read(path: Path) -> Calibration:
    """The calibration in a file that `Calibration.write` wrote.

    DataError for a file that cannot be read, is none, is of another version, or is damaged: the
    pooled tables must be the sums of the others.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}): check the path and its permissions."
        ) from error
    except (ValueError, RecursionError):
        raise DataError(
            f"{path} is no complete JSON: give a calibration file, or make it anew."
        ) from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise DataError(
            f'{path} is no calibration file (it lacks "format": "{_FORMAT}"): give one that '
            "polydrift wrote."
        )
    if content.get("version") != _VERSION:
        raise DataError(
            f"{path} is a calibration file of version {content.get('version')}, and this polydrift "
            f"reads version {_VERSION}: make the file anew."
        )
    problem = next(
        (name for name, kind in _FIELDS.items() if not isinstance(content.get(name), kind)), None
    )
    if problem is not None:
        raise _damaged(path, f'"{problem}" is missing or of the wrong type')
    tables = {}
    for name, table in content["groups"].items():
        code, slash, kind = name.partition("/")
        if slash and (code not in LANGUAGES or kind not in KINDS):
            raise _damaged(path, f'the group "{name}" is of no known language and kind')
        if not _is_table(table):
            raise _damaged(path, f'the group "{name}" is no table of 3 by 4 counts')
        if slash:
            tables[code, kind] = tuple(tuple(row) for row in table)
    made = Calibration(content["judge"], content["judge_key"], content["made_of"], tables)
    given = {name: tuple(map(tuple, table)) for name, table in content["groups"].items()}
    for name in sorted(given.keys() | made.groups.keys()):
        if given.get(name) != made.groups.get(name):
            raise _damaged(path, f'the group "{name}" is not the sum of its parts')
    return made


def _is_table(value: Any) -> bool:
    """Whether JSON holds 3 rows of 4 counts."""
    return (
        isinstance(value, list)
        and [len(row) if isinstance(row, list) else 0 for row in value] == [4, 4, 4]
        and all(type(count) is int and count >= 0 for row in value for count in row)
    )


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} is damaged: {what}; make the file anew.")


def _lengths(columns: Mapping[str, Any]) -> str:
    return ", ".join(f"{len(values)} of {name}" for name, values in columns.items())


def _of_one_length(columns: Mapping[str, Any], counts: Mapping[str, Floats]) -> Floats:
    """The sum of `counts`; MeasureError if the columns are not all [cells]."""
    flat = all(np.ndim(values) == 1 for values in columns.values())
    if not flat or len({len(values) for values in columns.values()}) != 1:
        raise MeasureError(
            f"cells: {', '.join(columns)} are not lists of one length; give an entry of each per "
            "cell."
        )
    total: Floats = np.sum(list(counts.values()), axis=0)
    return total
