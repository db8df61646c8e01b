"""What comes out of a review: a file of items, or a table of labels.

    write(review, Path("set-da-reviewed.jsonl"))
    write(review, Path("labels.jsonl"), unsettled="drop", names=True)

**Translations**: items as they went in, with the texts of edits. Accepted and edited ones have the
status "accepted", rejected ones "rejected", and what nobody decided keeps its own. Beside them:
`decision`, `reviewers` (how many decided), `standing` ("agreed", "settled", …), `comments`.

**Answers**: a row for each, ready for `polydrift judge validate`. `label` is what the first
reviewer said and `second` what the other did, each by themselves, so that `validate` compares
people with people; where one has not labelled it, the other's is the `label`. `settled` is the
label that holds in the end: `--column label=settled --column second=-` compares the judge with it.

Rows on which reviewers differ and that nobody settled are refused, unless they are to be kept
(translations go back to "review" with the texts they came with; answers have no `settled`) or
dropped. Of answers, labels of two people at most may hold; who took all of theirs back, or only
commented, is none of them. Reviewers have letters; their names come along only when asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from polydrift.disk import write_atomically
from polydrift.errors import DataError
from polydrift.parallel.items import FORMS, STATUSES, Form, Item, as_row
from polydrift.review.agree import Final, deciders, finals, letters
from polydrift.review.records import Review
from polydrift.review.states import State
from polydrift.review.tasks import Entry

Unsettled = Literal["keep", "drop"]
UNSETTLED: tuple[Unsettled, ...] = ("keep", "drop")


def write(
    review: Review, path: Path, *, unsettled: Unsettled | None = None, names: bool = False
) -> dict[str, int]:
    """Write a review's result as JSON lines, whole or not at all; returns the rows by standing.

    unsettled: what becomes of rows on which reviewers differ. names: whether those of reviewers
    come along. DataError: another kind of file than .jsonl, nothing decided yet, differences that
    are not settled, labels of more than two people.
    """
    if path.suffix != ".jsonl":
        raise DataError(f"{path}: what comes out is JSON lines; give --out a name in .jsonl.")
    decided = finals(review)
    counts: Counter[str] = Counter(final.standing for final in decided.values())
    if not counts.keys() - {"undecided"}:
        raise DataError(f"{review.path}: nobody has decided anything yet, so nothing was written.")
    if counts["differing"] and unsettled is None:
        many = counts["differing"] > 1
        raise DataError(
            f"{review.path}: reviewers differ on {counts['differing']} row{'s' if many else ''}; "
            f"settle {'them' if many else 'it'} with `polydrift review settle {review.path} "
            "--reviewer NAME`, or say --unsettled keep or drop."
        )
    called = {name: name if names else letter for name, letter in letters(review).items()}
    rows = list(_rows(review, decided, called, unsettled))
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(path, text.encode())
    done = {standing: counts[standing] for standing in ("agreed", "settled", "differing")}
    return {**done, "undecided": review.size() - sum(done.values())}


def _rows(
    review: Review,
    decided: Mapping[int, Final],
    called: Mapping[str, str],
    unsettled: Unsettled | None,
) -> Iterator[dict[str, Any]]:
    form = next((form for form in FORMS if form.name == review.about["form"]), None)
    people = len(deciders(review))
    if form is None and people > 2:
        raise DataError(
            f"{review.path}: {people} people labelled; a table of labels has two, so leave "
            "the others to a review of their own."
        )
    for place in range(1, review.size() + 1):
        final = decided.get(place, Final())
        if final.standing == "differing" and unsettled == "drop":
            continue
        entry = review.entry(place)
        yield _answer(entry, final, called) if form is None else _item(entry, final, form, called)


def _item(entry: Entry, final: Final, form: Form, called: Mapping[str, str]) -> dict[str, Any]:
    """A translation as it leaves the review."""
    decision = final.state.decision
    status = {"": entry.status, "rejected": "rejected"}.get(decision, "accepted")
    if final.standing == "differing":
        status = "review"
    item = Item(
        id=entry.id,
        language=entry.language,
        texts=final.state.texts or entry.texts,
        about=entry.about,
        translator=entry.translator,
        status=next(known for known in STATUSES if known == status),
        doubts=entry.doubts,
    )
    return as_row(item, form) | {
        "decision": decision,
        "reviewers": len(final.by),
        "standing": final.standing,
        "decisions": _decisions(final.by, called),
        "comments": list(final.comments),
    }


def _answer(entry: Entry, final: Final, called: Mapping[str, str]) -> dict[str, Any]:
    """A labelled answer."""
    labels = [*(state.decision for state in final.by.values()), None, None]
    about = dict(entry.about)
    own = {name: about.pop(name) for name in ("prompt_id", "kind", "category", "finish", "model")}
    return {
        "prompt_id": own["prompt_id"],
        "prompt": entry.texts["prompt"],
        "answer": entry.texts["answer"],
        "language": entry.language,
        "kind": own["kind"] or None,
        "category": own["category"],
        "finish": own["finish"],
        "model": own["model"],
        "label": labels[0],
        "second": labels[1],
        "settled": final.state.decision or None,
        "standing": final.standing,
        "decisions": _decisions(final.by, called),
        "comments": list(final.comments),
        **about,
    }


def _decisions(by: Mapping[str, State], called: Mapping[str, str]) -> dict[str, str]:
    """Who decided what, under the names that they go by in the file."""
    return {called[name]: state.decision for name, state in by.items()}
