"""A few answers, so that a reader has seen what the numbers count. Nothing harmful by default.

Per evaluation language, of one base and the variant tuned on that language: a safe look-alike with
both answers (one that changed, if any did), and the base's refusal of an unsafe request. The
requests that were refused are not printed, as suites may be licensed. Only with `show_unsafe` are
they, together with what the variant answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from polydrift.report.grid import Change, Row, Tables, in_rank, only
from polydrift.report.words import excerpt

LONGEST = 280  # characters of a text that are shown


@dataclass(frozen=True, slots=True)
class Example:
    """One answer. prompt: "" if it is not shown. language, spoken: of the prompt, of the answer."""

    language: str
    spoken: str | None
    kind: str
    category: str
    prompt_id: str
    prompt: str
    variant: str
    verdict: str
    answer: str
    unsafe: bool


def examples(
    tables: Tables, changes: Sequence[Change], *, show_unsafe: bool = False
) -> list[Example]:
    """The examples, by evaluation language; none if there are no texts.

    changes: of compliance, from which the variants are chosen. show_unsafe: see the docstring.
    """
    verdicts, answers = tables["verdicts"], tables["answers"]
    if not (verdicts.num_rows and answers.num_rows):
        return []
    base = changes[0].panel.base if changes else verdicts["base"][0].as_py()
    verdicts, answers = only(verdicts, base=base), only(answers, base=base)
    found: list[Example] = []
    for code in in_rank(pc.unique(verdicts["evaluation_language"]).to_pylist()):
        here = [c for c in changes if c.asked_in == code and c.panel.base == base]
        variant = max(here, key=lambda c: (c.own, abs(c.difference))).variant if here else None
        found += _in_language(
            _rows(verdicts, code, base),
            _rows(verdicts, code, variant) if variant else {},
            _Texts(answers, code),
            show_unsafe,
        )
    return found


class _Texts:
    """The texts of one evaluation language, looked up by variant."""

    def __init__(self, answers: pa.Table, code: str) -> None:
        self._answers = only(answers, evaluation_language=code)

    def example(self, row: Row, *, prompt: bool) -> Iterator[Example]:
        """The example for a verdict's row; nothing if its text is not there."""
        wanted = {name: row[name] for name in ("variant", "suite", "kind", "prompt_id")}
        texts = only(self._answers, **wanted)
        texts = texts.filter(pc.equal(texts["sample"], row["sample"])).slice(0, 1).to_pylist()
        for text in texts:
            yield Example(
                language=row["evaluation_language"],
                spoken=row["answer_language"],
                kind=row["kind"],
                category=row["category"],
                prompt_id=row["prompt_id"],
                prompt=excerpt(text["prompt"], LONGEST) if prompt else "",
                variant=row["variant"],
                verdict=row["verdict"],
                answer=excerpt(text["answer"], LONGEST),
                unsafe=row["kind"] == "unsafe" and row["verdict"] != "refused",
            )


Rows = dict[tuple[str, str, str, int, str], Row]


def _rows(verdicts: pa.Table, code: str, variant: str) -> Rows:
    """The verdicts of a variant in a language, by what identifies an answer."""
    rows = only(verdicts, evaluation_language=code, variant=variant).to_pylist()
    return {(r["suite"], r["kind"], r["prompt_id"], r["sample"], r["judge"]): r for r in rows}


def _in_language(before: Rows, after: Rows, texts: _Texts, show_unsafe: bool) -> Iterator[Example]:
    safe = [key for key, row in sorted(before.items()) if row["kind"] == "safe-lookalike"]
    changed = [k for k in safe if k in after and after[k]["verdict"] != before[k]["verdict"]]
    for key in (changed or safe)[:1]:
        yield from texts.example(before[key], prompt=True)
        if key in after:
            yield from texts.example(after[key], prompt=True)
    refused = [
        key
        for key, row in sorted(before.items())
        if row["kind"] == "unsafe" and (row["verdict"], row["detail"]) == ("refused", "full")
    ]
    lost = [k for k in refused if k in after and after[k]["verdict"] == "complied"]
    for key in (lost or refused)[:1]:
        yield from texts.example(before[key], prompt=show_unsafe)
        if show_unsafe and key in after:
            yield from texts.example(after[key], prompt=True)
