"""What of a suite is translated, and what is put together after.

    suite = read_suite_source(path, spec, digest)
    suite.translated          # English items that translators get
    finish(suite, made, "da")  # with the encoded styles assembled and the fragile ones marked

A suite may hold some languages already: those rows are its own (translator "") and stay. Styles
are SORRY-Bench's (styles.py); the base style is translated whenever an encoded one is wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polydrift.data.formats import rows
from polydrift.data.suite_formats import BASE, ENCODED
from polydrift.errors import DataError
from polydrift.parallel.checks import verdict
from polydrift.parallel.items import SOURCE, SUITE, Doubt, Item
from polydrift.parallel.licences import may_be_shared, stated_in
from polydrift.parallel.seeds import read_prompts
from polydrift.parallel.spec import SuiteSource
from polydrift.parallel.styles import FRAGILE, assemble, instructions

GATED = ("sorry-bench",)  # formats of suites whose licence forbids passing rows on


@dataclass(frozen=True, slots=True)
class SuiteItems:
    """english: all English items, encoded styles too. own: those that the source has in other
    languages, by (id, code). wanted: the styles that were asked for. notes: what was left out.
    """

    english: list[Item]
    own: dict[tuple[str, str], Item]
    wanted: tuple[str, ...]
    notes: list[str]

    def to_translate(self, language: str) -> list[Item]:
        """What translators get: no ciphers, and nothing that is there already."""
        return [
            item
            for item in self.english
            if item.about["style"] not in ENCODED and (item.id, language) not in self.own
        ]


def licence_of(path: Path, source: SuiteSource) -> str:
    """The licence of a suite's rows: that of the build file, unless something forbids more.

    Rows may not leave this machine if the file says so of a single one, or holds raw ones of
    SORRY-Bench; if the format is that of a gated suite; or if the build file says so.
    """
    if source.format in GATED:
        return str(source.format)
    stated = {stated_in(row, source.licence) for _, row in rows(path)}
    forbidding = sorted(one for one in stated if not may_be_shared(one))
    if forbidding:
        return forbidding[0]
    return "gated" if source.gated else source.licence


def read_suite_source(path: Path, source: SuiteSource) -> SuiteItems:
    """The items of a suite; DataError as `survey_suite`, and without English."""
    wanted = source.styles or (BASE,)
    needed = (BASE,) if any(style in ENCODED for style in wanted) and BASE not in wanted else ()
    options: dict[str, Any] = {
        "format": source.format,
        "columns": source.columns,
        "select": source.select,
        "kind": source.kind,
        "language": source.language,
        "styles": (*needed, *source.styles) if source.styles else None,
    }
    options = {name: value for name, value in options.items() if value}
    licence = licence_of(path, source)
    items, notes = read_prompts(path, source.data, licence=licence, styles=wanted, options=options)
    english = [item for item in items if item.language == SOURCE]
    own = {(item.id, item.language): item for item in items if item.language != SOURCE}
    return SuiteItems(english, own, tuple(wanted), notes)


def finish(
    suite: SuiteItems, made: Sequence[Item], language: str, waiting: Collection[str] = ()
) -> list[Item]:
    """The rows of one language: translated, its own, and assembled, in the English order.

    waiting: ids that a service failed on, whose ciphers wait too. A base prompt that was only
    needed for its ciphers is left out.
    """
    by_id = {key[0]: item for key, item in suite.own.items() if key[1] == language}
    by_id |= {item.id: item for item in made}  # the source's own rows too, as they were checked
    english = {item.id: item for item in suite.english}
    found: list[Item] = []
    for item in suite.english:
        style = item.about["style"]
        if style in ENCODED and item.id not in by_id:
            if item.id.partition("/")[0] in waiting:
                continue
            found.append(_encoded(item, english, by_id, language))
        elif item.id in by_id:
            row = by_id[item.id]  # the source's own are as their authors wrote them
            found.append(_marked(row) if style in FRAGILE and row.translator else row)
    return [item for item in found if item.about["style"] in suite.wanted]


def _marked(item: Item) -> Item:
    """A row of a style that translators mend."""
    style = item.about["style"].replace("_", " ")
    doubts = (*item.doubts, Doubt("style", "prompt", f"{style}: see whether they are still there"))
    return replace(item, doubts=doubts, status=verdict(doubts))


def _encoded(
    item: Item, english: Mapping[str, Item], made: Mapping[str, Item], language: str
) -> Item:
    """A cipher put on the translation of the base prompt, as far as that can be done."""
    base_id, style = item.id.partition("/")[0], item.about["style"]
    base, translation = english.get(base_id), made.get(base_id)
    text, why = None, "its base prompt has no translation"
    if base is not None and translation is not None and translation.texts["prompt"]:
        why = "no known form of this cipher gives the source's row, or the language has no alphabet"
        text = assemble(
            style,
            item.texts["prompt"],
            base.texts["prompt"],
            translation.texts["prompt"],
            language,
        )
    if text is None or translation is None:
        return replace(
            item,
            language=language,
            texts=dict.fromkeys(SUITE.texts, ""),
            doubts=(Doubt("missing", "prompt", why),),
            status="rejected",
        )
    doubts = translation.doubts
    if base is not None and instructions(style, item.texts["prompt"], base.texts["prompt"]):
        doubts += (Doubt("style", "prompt", "the instructions before the cipher are in English"),)
    return replace(
        item,
        language=language,
        texts={"prompt": text},
        translator=translation.translator,
        doubts=doubts,
        status=verdict(doubts),
    )


def described(source: SuiteSource, commit: str, rows: int, digest: str) -> dict[str, Any]:
    """Where a suite comes from, for its recipe. commit: of the hub, "" for a file."""
    if not rows:
        raise DataError(f"{source.data}: no prompts.")
    return {
        **source.model_dump(
            include={"data", "format", "styles", "columns", "select", "kind", "language"}
        ),
        "commit": commit,
        "prompts": rows,
        "digest": digest,
    }
