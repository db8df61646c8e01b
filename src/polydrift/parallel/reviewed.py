"""A set with what its reviewers decided: reviews of single languages put back into all rows.

    merged = merge(Path("mine/rows.jsonl"), [Path("da.jsonl"), Path("hi.jsonl")])
    merged.items          # all rows; those of the reviews with their texts and decisions
    merged.about          # of the build, and by how many people it was read, with what κ

A review's export (`polydrift review export`) holds the rows of one language. A row that was
reviewed gives its texts, status and doubts to the same id and language; everything else, its
licence and source among it, stays as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from polydrift.data import lines
from polydrift.errors import DataError
from polydrift.parallel.facts import ABOUT, About, read_about
from polydrift.parallel.items import Form, Item, read_items
from polydrift.stats.agreement import agreement

DECISIONS = ("accepted", "edited", "rejected")


@dataclass(frozen=True, slots=True)
class Merged:
    """items: in the order of the set. read: rows that people decided on, by language. texts: how
    many of these they changed.
    """

    form: Form
    items: list[Item]
    about: About
    read: Mapping[str, int]
    changed: int


def merge(rows: Path, reviews: Sequence[Path]) -> Merged:
    """The rows of a set with the decisions of reviews.

    DataError: a review of another form, or of rows that the set has not; a row in two reviews.
    """
    form, items = read_items(rows)
    there = {(item.id, item.language): item for item in items}
    places: dict[tuple[str, str], Path] = {}
    decided: Counter[str] = Counter()
    people: dict[Path, list[Mapping[str, str]]] = {path: [] for path in reviews}
    changed = 0
    for path in reviews:
        kind, reviewed = read_items(path)
        if kind is not form:
            raise DataError(
                f"{path}: a review of {kind.name} rows, and {rows} has {form.name} rows: give the "
                "rows that the review was begun with."
            )
        decisions = [(row.get("decision"), row.get("decisions")) for _, row in lines.read(path)]
        for item, (decision, by) in zip(reviewed, decisions, strict=True):
            key = (item.id, item.language)
            if key not in there:
                raise DataError(
                    f"{path}: {form.id} {item.id!r} in {item.language} is not in {rows}: give the "
                    "rows that the review was begun with."
                )
            if key in places:
                raise DataError(
                    f"{path}: {form.id} {item.id!r} in {item.language} was reviewed in "
                    f"{places[key]} too: settle differences in one review."
                )
            places[key] = path
            if decision:
                decided[item.language] += 1
                changed += item.texts != there[key].texts
            if isinstance(by, dict):
                people[path].append({str(name): str(said) for name, said in by.items()})
            there[key] = replace(
                there[key], texts=item.texts, status=item.status, doubts=item.doubts
            )
    beside = rows.parent / ABOUT
    about = read_about(beside) if beside.is_file() else About(name=rows.stem)
    about = replace(about, reviewers=_number(people), kappa=_kappa(people.values()))
    ordered = [there[item.id, item.language] for item in items]
    return Merged(form, ordered, about, decided, changed)


def _number(people: Mapping[Path, Sequence[Mapping[str, str]]]) -> int:
    """How many people decided; a letter ("A") stands for somebody else in each review."""
    return len(
        {
            (path if len(name) == 1 else None, name)
            for path, rows in people.items()
            for by in rows
            for name in by
        }
    )


def _kappa(reviews: Iterable[Sequence[Mapping[str, str]]]) -> float | None:
    """Cohen's κ of the two who decided on most rows together in each review, over the rows of all
    reviews; None if no row has two, or κ is undefined.
    """
    both: list[tuple[str, str]] = []
    for rows in reviews:
        together = Counter(pair for by in rows for pair in combinations(sorted(by), 2))
        if together:
            (one, two), _ = together.most_common(1)[0]
            both += [(by[one], by[two]) for by in rows if one in by and two in by]
    if not both:
        return None
    found = agreement(
        [one for one, _ in both], [two for _, two in both], labels=DECISIONS, draws=100
    )
    value = found.kappa.value
    return None if value != value else value
