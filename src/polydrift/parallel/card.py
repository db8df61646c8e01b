"""The data card of a parallel set: a README.md as the Hugging Face hub reads it.

    facts = facts_of(items, BENIGN, About(name="My set", checks=("length", "number")))
    card(facts)          # "---\\nlanguage:\\n- en\\n- da\\n...\\n---\\n\\n# My set\\n..."

All numbers are those of `facts`, and what nobody told is said to be not recorded. No text of a
suite is ever in its card; a benign set shows one example in two languages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from polydrift.errors import DataError
from polydrift.parallel.facts import About, CardFacts, Worker
from polydrift.parallel.items import BENIGN, STATUSES
from polydrift.parallel.licences import OTHER, Mix, combined, known, may_be_shared

ALL = "all"  # the configuration of all languages
TERMS = "LICENSE.md"  # the file that lists the licences of rows
SHOWN = 60  # values of a column that a table lists
UNKNOWN = "unknown"  # the hub's licence id of a set that not everybody may have
_SIZES = (
    *((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")),
    (10**7, "1M<n<10M"),
)
_UNRECORDED = "not recorded"


def data_file(language: str, split: str) -> str:
    """The path of a language's rows in the repository."""
    return f"data/{language}/{split}.parquet"


def card(facts: CardFacts) -> str:
    """The whole README.md; of a set that may not be shared too, which it then says."""
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(**front_matter(facts))
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_body(facts)) + "\n"


def front_matter(facts: CardFacts) -> dict[str, Any]:
    """What the hub reads of a card."""
    mix = _mix(facts)
    machine = bool(facts.translated)
    creators = ["machine-generated"] if machine else []
    creators += ["expert-generated"] if facts.about.reviewers else []
    creators = creators or ["other"]
    rows = sum(facts.published.values())
    paths = {code: data_file(code, facts.split) for code in facts.published}
    named = {source for source, _ in facts.sources if source}
    return {
        "language": list(facts.published),
        "license": mix.ids[0] if len(mix.ids) == 1 else list(mix.ids),
        **({"license_name": "mixed", "license_link": TERMS} if mix.ids == (OTHER,) else {}),
        "annotations_creators": creators,
        "language_creators": list(creators),  # another list, or YAML refers to the first
        "multilinguality": ["translation" if machine else "multilingual"],
        "size_categories": [next((name for size, name in _SIZES if rows < size), "10M<n<100M")],
        "task_categories": ["text-generation"],
        "pretty_name": _name(facts),
        "tags": ["polydrift", "parallel", "safety" if facts.form is not BENIGN else "instructions"],
        **({"source_datasets": sorted(named)} if named else {}),
        "configs": [
            _config(ALL, list(paths.values()), facts.split, default=True),
            *(_config(code, path, facts.split) for code, path in paths.items()),
        ],
    }


def _config(name: str, path: str | list[str], split: str, **more: bool) -> dict[str, Any]:
    return {"config_name": name, **more, "data_files": [{"split": split, "path": path}]}


def _name(facts: CardFacts) -> str:
    return facts.about.name or f"A parallel {facts.form.name} set"


def terms(facts: CardFacts) -> str:
    """LICENSE.md: which rows are under which licence; it is a section of the card too."""
    return "\n".join(["# Licences", "", *_licences(facts)]) + "\n"


def _body(facts: CardFacts) -> Iterator[str]:
    """The lines below the front matter."""
    about, prompts = facts.about, facts.form is not BENIGN
    what = "prompts to test models with" if prompts else "harmless examples to tune on"
    codes = ", ".join(facts.published)
    yield from (f"# {_cell(_name(facts))}", "")
    yield from (f"Parallel {what}: one id, {len(facts.published)} languages ({codes}).", "")
    yield from (*_use(facts), "")
    yield from ("## Rows", "", *_rows(facts), "")
    for name, values in facts.groups.items():
        if set(values) - {""}:
            listed = sorted(values.items(), key=lambda one: (-one[1], one[0]))
            yield from (f"Ids by {name}:", "", *_table([name, "ids"], listed), "")
    yield from ("## Checks", "", *_checks(facts), "")
    yield from ("## Translators", "", *_translators(facts), "")
    yield from ("## Dropped before translation", "")
    if about.dropped is None:
        yield from ("What was dropped is not recorded.", "")
    elif about.dropped:
        yield from (*_table(["why", "examples"], sorted(about.dropped.items())), "")
    else:
        yield from ("Nothing.", "")
    yield from ("## Reviewers", "", _reviewers(about), "")
    yield from ("## Licences and sources", "", *_licences(facts), "")
    yield from ("## Files", "", *_files(facts), "")
    yield from ("## How it was made", "", *_made(about), "")
    yield from ("## Limits", "", *_limits(facts))
    if facts.examples:
        yield from ("", "## Example", "", "```json")
        yield from (json.dumps(item.texts, ensure_ascii=False) for item in facts.examples)
        yield "```"


def _use(facts: CardFacts) -> list[str]:
    """How the rows are loaded, where they may be passed on; else that they may not."""
    if not all(may_be_shared(licence) for _, licence in facts.sources):
        return ["**These rows may not be passed on.** A recipe of the set may: it holds no text."]
    if facts.files and not any(path.startswith("data/") for path in facts.files):
        return ["`polydrift data publish rows.jsonl --out FOLDER` lays it out for `datasets`."]
    return ["```python", 'load_dataset("OWNER/NAME", "LANGUAGE")  # or "all"', "```"]


def _rows(facts: CardFacts) -> Iterator[str]:
    header = ["language", "accepted", "to review", "rejected", "of", "published"]
    yield from _table(
        header,
        (
            (code, *(counts[status] for status in STATUSES), facts.of, facts.published.get(code, 0))
            for code, counts in facts.counts.items()
        ),
    )
    which = "in that language" if facts.partial else "in every language"
    yield from ("", f"Published are the rows whose id is accepted {which}.")
    if facts.about.waiting:
        yield from ("", "**Not complete.** Rows wait for a service that failed:", "")
        yield from (f"- {_cell(why)}" for why in facts.about.waiting)


def _checks(facts: CardFacts) -> Iterator[str]:
    """Which checks ran, and how many rows each doubted."""
    about, ran = facts.about, facts.about.checks
    if ran is None:
        yield "Which checks ran is not recorded; doubts that stand in the set are listed."
        yield ""
    found = dict.fromkeys(ran or (), 0) | dict(sorted(facts.doubts.items()))
    if found:
        yield from _table(["check", "rows doubted"], found.items())
    else:
        yield "No check ran." if ran is not None else "There are none."
    if about.not_run:
        yield from ("", "Not run:", "")
        yield from (f"- {_cell(kind)}: {_cell(why)}" for kind, why in about.not_run.items())


def _translators(facts: CardFacts) -> Iterator[str]:
    """Who translated how many rows of each language."""
    told = {one.name: one for one in facts.about.translators}
    names = list(dict.fromkeys((*told, *sorted(facts.translated))))
    if not names:
        yield "None is recorded: texts of all languages came as they are."
        return
    codes = [code for code in facts.counts if any(code in n for n in facts.translated.values())]
    rows = []
    for name in names:
        made, one = facts.translated.get(name, {}), told.get(name, Worker(name))
        failed = [_UNRECORDED if n is None else n for n in (one.refusals, one.fallbacks)]
        rows.append([name, *(made.get(code, 0) for code in codes), *failed])
    yield from _table(["translator", *codes, "refused or failed", "made by another instead"], rows)
    yield ""
    for name in names:
        identity = told[name].identity if name in told else {}
        text = json.dumps(identity, ensure_ascii=False, sort_keys=True, default=str)
        yield f"- {_cell(name)}: {_code(text) if identity else f'settings {_UNRECORDED}'}"


def _reviewers(about: About) -> str:
    if about.reviewers is None:
        return "Whether people read the rows is not recorded."
    if not about.reviewers:
        return "Nobody has read the rows."
    count = "1 person" if about.reviewers == 1 else f"{about.reviewers} people"
    agreed = (
        "" if about.kappa is None else f"; two of them agreed with Cohen's κ = {about.kappa:.2f}"
    )
    return f"Read by {count}{agreed}."


def _mix(facts: CardFacts) -> Mix:
    """What the licences of all rows make together."""
    try:
        return combined(licence for _, licence in facts.sources)
    except DataError:
        return Mix(
            (UNKNOWN,), False, True, "Not all rows may be shared: keep this set to yourself."
        )


def _licence(id: str) -> str:
    """A licence's name with its link; an id that is none as it stands."""
    try:
        licence = known(id)
    except DataError:
        return id or "none stated"
    return f"[{licence.name}]({licence.url})" if licence.url else licence.name


def _licences(facts: CardFacts) -> Iterator[str]:
    """Rows by source and licence, and what that makes of the whole."""
    mix = _mix(facts)
    rows = [
        (source or _UNRECORDED, _licence(id), count)
        for (source, id), count in sorted(facts.sources.items())
    ]
    yield from _table(["source", "licence", "rows"], rows)
    yield ""
    notes = [mix.says] if mix.says else []
    notes += [] if mix.commercial else ["Some rows are not for commercial use."]
    notes += ["Changed copies go under the same licence."] if mix.share_alike else []
    yield " ".join([*notes, "This is a summary by a program, not legal advice."])


def _files(facts: CardFacts) -> list[str]:
    return _table(
        ["file", "bytes", "sha256"],
        ((path, one["bytes"], _code(one["sha256"])) for path, one in facts.files.items()),
    )


def _made(about: About) -> list[str]:
    return [
        f"- polydrift: {_cell(about.polydrift) or _UNRECORDED}",
        f"- date: {_cell(about.made) or _UNRECORDED}",
        f"- command: {_code(about.command) if about.command else _UNRECORDED}",
    ]


def _limits(facts: CardFacts) -> Iterator[str]:
    """What a user should not believe of the set, in plain words."""
    by_machine = [
        code for code in facts.published if any(code in n for n in facts.translated.values())
    ]
    if by_machine:
        yield (
            f"- The rows in {', '.join(by_machine)} are translations by a program: fluent text can "
            "still mean something else than its source."
        )
    else:
        yield "- Who wrote the texts of each language is not recorded in the rows."
    if not facts.about.reviewers:
        yield "- As far as is recorded, no speaker of these languages has read them."
    yield "- Checks find losses that can be counted. They do not tell whether a text is right."
    if facts.form is not BENIGN:
        yield (
            "- Some prompts ask for what a model should refuse. They are for testing; tuning a "
            "model on them, or on answers to them, defeats their purpose."
        )
    else:
        yield "- Examples are meant to be harmless; no filter finds all that are not."


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table; beyond `SHOWN` rows, it says how many more there are."""
    listed = list(rows)
    made = [header, ["---"] * len(header), *listed[:SHOWN]]
    text = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in made]
    left = len(listed) - SHOWN
    return [*text, "", f"and {left} more"] if left > 0 else text


def _cell(value: object) -> str:
    """A value where Markdown's table, code and HTML signs would do harm."""
    text = f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
    return text.replace("|", "\\|").replace("<", "&lt;") or _UNRECORDED


def _code(text: str) -> str:
    return "`" + _cell(text.replace("`", "'")).replace("&lt;", "<") + "`"
