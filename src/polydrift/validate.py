"""A judge compared with people: how often they agree, where they do not, what that does to rates.

    rows = read([Path("labels.jsonl")], language="en")
    verdicts, usage = judged(rows, Judge(name="rules"))
    validate(rows, verdicts).lines[0].agreement.kappa   # of all rows: Estimate(value, low, high)
    calibrate(rows, verdicts, Judge(name="rules")).write(Path("calibration.json"))

Rows without a label are judged too: with the labelled ones they give a rate that neither trusts the
judge blindly nor throws its verdicts away (prediction-powered inference).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polydrift.audit import pairs
from polydrift.data.labels import Labelled, read_labels
from polydrift.data.suites import Kind, read_suite
from polydrift.errors import DataError
from polydrift.judges.model import ModelJudge, Usage, settled
from polydrift.judges.rules import Rules
from polydrift.judges.verdicts import Case, Label, Progress, Verdict, silent
from polydrift.plan_judges import judge_key, translator, who
from polydrift.sources import survey_judges
from polydrift.stats.agreement import Agreement, Estimate, agreement, krippendorff
from polydrift.stats.calibration import Calibration
from polydrift.stats.calibration import calibrate as of_labels
from polydrift.stats.intervals import wilson
from polydrift.stats.ppi import Powered, ppi_rate
from polydrift.steps import Job
from polydrift.steps.judges import judge_of
from polydrift.steps.translate import translator_of
from polydrift.study import Judge, Translation
from polydrift.translate.back import to_english

VERDICTS = ("complied", "refused", "other")
FEW = 20  # labelled rows below which a category has no line of its own


@dataclass(frozen=True)
class Line:
    """Two sides compared on some of the rows. who: "judge", "judge, second person" or "people".

    what: "all", or the language, kind or category that the rows are of. missed: refusals by people
    that the judge calls otherwise; false: what the judge calls a refusal and people do not.
    """

    who: str
    what: str
    agreement: Agreement
    missed: int
    false: int


@dataclass(frozen=True)
class Corrected:
    """A rate of all rows of one language and kind, labelled or not.

    judged: the judge's rate with Wilson's interval. powered: corrected by the labels.
    """

    outcome: str
    language: str
    kind: str
    labelled: int
    unlabelled: int
    judged: Estimate
    powered: Powered


@dataclass(frozen=True)
class Validation:
    """What `validate` found. three: the confusion of details (full and partial refusals), if any
    label tells them apart. alpha: Krippendorff's, of the judge and both people, if there are two.
    """

    lines: tuple[Line, ...]
    three: Agreement | None
    alpha: Estimate | None
    corrected: tuple[Corrected, ...]


def read(
    files: Sequence[Path],
    *,
    columns: Sequence[str] = (),
    select: Sequence[str] = (),
    words: Sequence[str] = (),
    language: str | None = None,
    kind: Kind | None = None,
    suite: Path | None = None,
) -> list[Labelled]:
    """The labelled answers of files, by options written name=value; see `read_labels`.

    suite: where the prompts are, for files that hold their ids only. DataError: a prompt that is
    not there.
    """
    rows: list[Labelled] = []
    for path in files:
        rows += read_labels(
            path,
            columns=pairs(columns, "--column"),
            select=pairs(select, "--select"),
            words=pairs(words, "--label"),
            language=language,
            kind=kind,
        )
    if suite is None:
        return rows
    prompts = {(p.prompt_id, p.language): p for p in read_suite(suite)}
    for row in rows:
        if (row.prompt_id, row.language) not in prompts:
            raise DataError(
                f"{row.where}: {suite} has no prompt {row.prompt_id!r} in {row.language}; mend the "
                "ids, or name the column with --column prompt_id=NAME."
            )
    found = [(row, prompts[row.prompt_id, row.language]) for row in rows]
    return [
        replace(row, prompt=p.text, kind=row.kind or p.kind, category=p.category)
        for row, p in found
    ]


def judged(
    rows: Sequence[Labelled],
    judge: Judge,
    translation: Translation | None = None,
    *,
    folder: Path = Path(),
    progress: Progress = silent,
) -> tuple[list[Verdict], dict[str, Usage]]:
    """The judge's verdicts on the rows, and what its models were asked.

    The judge is made as a study makes it; references start at `folder`. Answers are translated
    first if it says so; a prompt in another language is translated too.
    """
    sources = survey_judges([judge], translation, folder)
    cases = [Case(row.prompt, row.answer, row.language, row.finish) for row in rows]
    shown = cases
    if judge.translate and translation:
        made = translator_of(_job("translate", translator(translation, sources)))
        texts = [text for case in cases for text in (case.prompt, case.answer)]
        asked = [case.language for case in cases for _ in range(2)]
        english = [one.text for one in to_english(texts, asked, made, progress)]
        shown = [
            Case(prompt, answer, "en", case.finish)
            for case, prompt, answer in zip(cases, english[::2], english[1::2], strict=True)
        ]
    asks = judge_of(_job("judge", who(judge, sources)))
    verdicts = asks.judge(shown, progress)
    if shown is not cases or not isinstance(asks, Rules):
        verdicts = [settled(one, case) for one, case in zip(verdicts, cases, strict=True)]
    return verdicts, asks.usage if isinstance(asks, ModelJudge) else {}


def _job(kind: str, made: tuple[dict[str, Any], dict[str, Any]]) -> Job:
    params, places = made
    return Job(kind, params, {}, {}, places, Path())


def validate(
    rows: Sequence[Labelled],
    verdicts: Sequence[Verdict],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Validation:
    """Compare verdicts with the labels of the same rows; see `Validation`."""
    both = list(zip(rows, verdicts, strict=True))
    told = [(row, verdict) for row, verdict in both if row.label]
    options: dict[str, Any] = {"level": level, "draws": draws, "seed": seed}

    def line(name: str, what: str, pairs: Sequence[tuple[str, str, str]]) -> Line:
        ours, theirs, clusters = zip(*pairs, strict=True)
        found = agreement(ours, theirs, labels=VERDICTS, clusters=clusters, **options)
        return Line(
            name,
            what,
            found,
            sum(t == "refused" and o not in ("refused", "unparsed") for o, t, _ in pairs),
            sum(o == "refused" and t != "refused" for o, t, _ in pairs),
        )

    lines = []
    for what, group in _groups(told):
        lines.append(line("judge", what, [_pair(v.verdict, row.label, row) for row, v in group]))
        second = [(row, v) for row, v in group if row.second]
        if second and what == "all":
            lines.append(
                line(
                    "judge, second person",
                    what,
                    [_pair(v.verdict, row.second, row) for row, v in second],
                )
            )
        if second and not what.startswith("category"):
            people = [_pair(_of(row.label), row.second, row) for row, _ in second]
            lines.append(line("people", what, people))
    return Validation(
        lines=tuple(lines),
        three=_three(told, options),
        alpha=_alpha(told, options),
        corrected=tuple(_corrected(both, level)),
    )


def _of(label: Label | None) -> str:
    assert label
    return label.verdict


def _pair(ours: str, label: Label | None, row: Labelled) -> tuple[str, str, str]:
    """(ours, theirs, the prompt: answers to one prompt are not independent)."""
    return ours, _of(label), f"{row.prompt_id} {row.language}"


Told = Sequence[tuple[Labelled, Verdict]]


def _groups(told: Told) -> Iterator[tuple[str, Told]]:
    """All rows; then by language, kind and model, where there are several; by category if large."""
    yield "all", told
    keys: tuple[Callable[[Labelled], str], ...] = (
        lambda row: row.language,
        lambda row: row.kind or "",
        lambda row: row.model,
    )
    for key in keys:
        values = list(dict.fromkeys(key(row) for row, _ in told))
        if len(values) > 1:
            for value in values:
                yield value or "not said", [pair for pair in told if key(pair[0]) == value]
    for category in sorted({row.category for row, _ in told}):
        group = [pair for pair in told if pair[0].category == category]
        if FEW <= len(group) < len(told):
            yield f"category {category}", group


def _three(told: Told, options: dict[str, Any]) -> Agreement | None:
    """Full and partial refusals told apart, if people did."""
    if not any(row.label and row.label.detail == "partial" for row, _ in told):
        return None

    def named(verdict: str, detail: str) -> str:
        return f"{detail} refusal" if verdict == "refused" else verdict

    return agreement(
        [named(v.verdict, v.detail) for _, v in told],
        [named(row.label.verdict, row.label.detail) for row, _ in told if row.label],
        labels=("complied", "full refusal", "partial refusal", "other"),
        clusters=[f"{row.prompt_id} {row.language}" for row, _ in told],
        **options,
    )


def _alpha(told: Told, options: dict[str, Any]) -> Estimate | None:
    if not any(row.second for row, _ in told):
        return None
    return krippendorff(
        [
            [v.verdict for _, v in told],
            [_of(row.label) for row, _ in told],
            [_of(row.second) if row.second else "unparsed" for row, _ in told],
        ],
        labels=VERDICTS,
        clusters=[f"{row.prompt_id} {row.language}" for row, _ in told],
        **options,
    )


def _corrected(both: Told, level: float) -> Iterator[Corrected]:
    """Rates of languages and kinds where some rows are labelled and others not."""
    for language in dict.fromkeys(row.language for row, _ in both):
        for kind in dict.fromkeys(row.kind for row, _ in both):
            group = [p for p in both if (p[0].language, p[0].kind) == (language, kind)]
            parsed = [(row, v) for row, v in group if v.verdict != "unparsed"]
            labelled = [(row, v) for row, v in parsed if row.label]
            others = [(row, v) for row, v in parsed if not row.label]
            if not labelled or not others:
                continue
            for outcome in ("complied", "refused"):
                hits = sum(v.verdict == outcome for _, v in parsed)
                low, high = wilson(hits, len(parsed), level)
                yield Corrected(
                    outcome,
                    language,
                    kind or "not said",
                    len(labelled),
                    len(others),
                    Estimate(hits / len(parsed), float(low), float(high)),
                    ppi_rate(
                        np.array([_of(row.label) == outcome for row, _ in labelled], float),
                        _hits(labelled, outcome),
                        _hits(others, outcome),
                        level,
                        clusters=(_prompts(labelled), _prompts(others)),
                    ),
                )


def _hits(pairs: Told, outcome: str) -> np.ndarray:
    return np.array([v.verdict == outcome for _, v in pairs], float)


def _prompts(pairs: Iterable[tuple[Labelled, Verdict]]) -> np.ndarray:
    return np.array([row.prompt_id for row, _ in pairs])


def calibrate(
    rows: Sequence[Labelled],
    verdicts: Sequence[Verdict],
    judge: Judge,
    translation: Translation | None = None,
    folder: Path = Path(),
) -> Calibration:
    """The calibration of a judge from labelled rows; DataError if a row has no kind of prompt."""
    told = [(row, verdict) for row, verdict in zip(rows, verdicts, strict=True) if row.label]
    for row, _ in told:
        if row.kind is None:
            raise DataError(
                f"{row.where}: a calibration needs to know whether the prompt is unsafe: name the "
                "column with --column kind=NAME, or say --kind unsafe or --kind safe-lookalike."
            )
    sources = survey_judges([judge], translation, folder)
    files = Counter(row.where.rpartition(":")[0].rpartition("/")[2] for row, _ in told)
    return of_labels(
        [_of(row.label) for row, _ in told],
        [verdict.verdict for _, verdict in told],
        [row.language for row, _ in told],
        [row.kind or "" for row, _ in told],
        judge=judge.name,
        judge_key=judge_key(judge, translation, sources),
        made_of={
            "labels": dict(sorted(files.items())),
            "models": sorted({row.model for row, _ in told if row.model}),
            "prompts": len({(row.prompt_id, row.language) for row, _ in told}),
        },
    )
