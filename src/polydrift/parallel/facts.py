"""What a data card says of a parallel set, before it is put into words.

    about = About(name="My set", checks=("length", "number"), dropped={"near-duplicate": 12})
    write_about(folder / "about.json", about)   # beside the items, when a set is made
    facts = facts_of(items, BENIGN, read_about(folder / "about.json"))
    facts.counts["da"]                          # {"accepted": 940, "review": 40, "rejected": 20}

What can be counted is counted from the items: how many of each language are accepted, of which
kinds they are, what the checks doubted, who translated how much. What they cannot tell is an
`About`: which checks ran, what was dropped before, how translators fared, who reviewed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from polydrift.disk import write_atomically
from polydrift.errors import DataError
from polydrift.languages import in_order
from polydrift.parallel.items import BENIGN, STATUSES, Form, Item, Status

ABOUT = "about.json"  # the file in which what rows cannot tell stands beside them
GROUPS = {"benign": ("task", "length"), "suite": ("kind", "category")}


@dataclass(frozen=True, slots=True)
class Worker:
    """A translator. identity: what decides its output (model, revision, settings; no secrets).

    refusals: texts that it refused or failed. fallbacks: of these, how many another one made.
    None: not recorded.
    """

    name: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    refusals: int | None = None
    fallbacks: int | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What the items of a set cannot tell of it; every part may be left out.

    checks: kinds of doubts that were looked for. not_run: checks that did not run, to why.
    dropped: reason to the number of examples that were dropped before translation. kappa: Cohen's,
    of two reviewers. waiting: what a service did not do yet, in sentences. polydrift, made (ISO
    date), command: how the set was made.
    """

    name: str = ""
    checks: tuple[str, ...] | None = None
    not_run: Mapping[str, str] = field(default_factory=dict)
    translators: tuple[Worker, ...] = ()
    dropped: Mapping[str, int] | None = None
    reviewers: int | None = None
    kappa: float | None = None
    waiting: tuple[str, ...] = ()
    polydrift: str = ""
    made: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """All that a card says.

    of: ids of the set. counts: language to status to items. groups: column to value to ids.
    doubts: kind to items that a check of it doubted. translated: translator to language to items.
    sources: (source, licence) to rows published. published: language to rows. files: path to
    {"bytes": size, "sha256": hex}. partial: languages need not have the same ids. examples: rows to
    show, of benign sets only.
    """

    form: Form
    about: About
    of: int
    counts: Mapping[str, Mapping[Status, int]]
    groups: Mapping[str, Mapping[str, int]]
    doubts: Mapping[str, int]
    translated: Mapping[str, Mapping[str, int]]
    sources: Mapping[tuple[str, str], int]
    published: Mapping[str, int]
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    partial: bool = False
    examples: tuple[Item, ...] = ()

    @property
    def split(self) -> str:
        """The one split: examples are to tune on, prompts to test with."""
        return "train" if self.form is BENIGN else "test"


def published(items: Sequence[Item], *, partial: bool = False) -> list[Item]:
    """The items that are published, by language: those whose id is accepted in every language of
    the set; partial: all that are accepted.
    """
    codes = in_order(item.language for item in items)
    accepted = [item for item in items if item.status == "accepted"]
    times = Counter(item.id for item in accepted)
    rows: dict[str, list[Item]] = {code: [] for code in codes}
    for item in accepted:
        if partial or times[item.id] == len(codes):
            rows[item.language].append(item)
    return [item for code in codes for item in rows[code]]


def facts_of(
    items: Sequence[Item],
    form: Form,
    about: About | None = None,
    *,
    files: Mapping[str, Mapping[str, Any]] | None = None,
    partial: bool = False,
) -> CardFacts:
    """What a card says of a set; partial: as of `published`."""
    chosen = published(items, partial=partial)
    codes = in_order(item.language for item in items)
    counts = {code: dict.fromkeys(STATUSES, 0) for code in codes}
    translated: dict[str, Counter[str]] = {}
    for item in items:
        counts[item.language][item.status] += 1
        if item.translator:
            translated.setdefault(item.translator, Counter())[item.language] += 1
    first = {item.id: item for item in reversed(chosen)}
    return CardFacts(
        form=form,
        about=about or About(),
        of=len({item.id for item in items}),
        counts=counts,
        groups={
            name: Counter(item.about.get(name, "") for item in first.values())
            for name in GROUPS[form.name]
        },
        doubts=Counter(kind for item in items for kind in {doubt.kind for doubt in item.doubts}),
        translated=translated,
        sources=Counter(
            (item.about.get("source", ""), item.about.get("licence", "")) for item in chosen
        ),
        published=Counter(item.language for item in chosen),
        files=files or {},
        partial=partial,
        examples=_examples(chosen) if form is BENIGN else (),
    )


def _examples(chosen: Sequence[Item]) -> tuple[Item, ...]:
    """The first id, in its first two languages."""
    return tuple(item for item in chosen if item.id == chosen[0].id)[:2]


def read_about(path: Path) -> About:
    """An `About` that `write_about` wrote; DataError if the file is not one."""
    from pydantic import TypeAdapter, ValidationError

    try:
        told = json.loads(path.read_bytes())
        unknown = set(told) - {one.name for one in fields(About)}
        if unknown:
            raise DataError(f"{path}: unknown part {min(unknown)!r}: take it out.")
        return TypeAdapter(About).validate_python(told)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(f"{path}: {place} is wrong ({first['msg']}): mend it.") from None
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: not a JSON object ({error}): make the file again.") from None


def write_about(path: Path, about: About) -> None:
    """Write what a build knows of a set beside it, for `publish`."""
    text = json.dumps(asdict(about), ensure_ascii=False, indent=2) + "\n"
    write_atomically(path, text.encode("utf-8"))
