"""Is a suite fit to be asked? What is wrong with it, language by language, in a sentence each.

    findings = check_suite(read_suite(Path("suite.jsonl")))
    print("\\n".join(report(findings, prompts)))
    # English: 440 prompts (220 unsafe, 220 safe look-alikes) in 44 categories
    # Danish: 438 prompts (218 unsafe, 220 safe look-alikes) in 44 categories; 3 of unclear language
    # error    Danish: 2 of 440 prompts missing ('17', '204'): translate them, or ...
    # 1 error, 0 warnings

An *error* makes a rate wrong or languages incomparable: `failed(findings)`, exit code 1. A
*warning* is to be looked at: real translations have some. English is what translations are held
against, where a suite has it. A finding has all ids; a sentence names three, and never a text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from polydrift.data import suite_texts as texts
from polydrift.data.mapping import is_nothing
from polydrift.data.prompts import KINDS, Prompt
from polydrift.data.suite_formats import ENCODED
from polydrift.data.suites import some
from polydrift.judges.language import OTHER, identify_all
from polydrift.languages import LANGUAGES, in_order
from polydrift.languages import language as known

Severity = Literal["error", "warning"]

LONGEST = 8_000  # characters; a longer prompt may not fit a small model's context
MISTAKEN = 0.01  # share of a language's rows that the identifier may itself be wrong about
READ = 1_000  # characters of a text that the identifier is given


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend. language: None if it concerns all. prompt_ids: all, in file order."""

    sort: str
    severity: Severity
    language: str | None
    prompt_ids: tuple[str, ...]
    sentence: str


def check_suite(
    prompts: Sequence[Prompt],
    languages: Sequence[str] | None = None,
    *,
    longest: int = LONGEST,
) -> list[Finding]:
    """What is wrong with a suite: errors first, then by language; empty if nothing is.

    languages: those that a study asks in; those of the prompts unless given. longest: characters
    that a prompt may have.
    """
    asked = [known(code).code for code in languages or {prompt.language for prompt in prompts}]
    suite = _Suite(prompts, in_order(asked), longest)
    found = [finding for check in _CHECKS for finding in check(suite)]
    order = list(LANGUAGES)
    found.sort(
        key=lambda one: (one.severity, order.index(one.language) if one.language else -1)
    )  # a stable sort: checks keep their order
    return found


def failed(findings: Sequence[Finding]) -> bool:
    """Whether there is an error among the findings."""
    return any(finding.severity == "error" for finding in findings)


def report(findings: Sequence[Finding], prompts: Sequence[Prompt]) -> list[str]:
    """What there is, language by language, then every finding, then how many: lines to print."""
    result: list[str] = []
    for code in in_order({prompt.language for prompt in prompts}):
        rows = [prompt for prompt in prompts if prompt.language == code]
        kinds = Counter(prompt.kind for prompt in rows)
        unclear = _told(rows).count(None)
        result.append(
            f"{LANGUAGES[code].name}: {_count(len(rows), 'prompt')} ({kinds['unsafe']:,} unsafe, "
            f"{kinds['safe-lookalike']:,} safe look-alikes) in "
            f"{_count(len({prompt.category for prompt in rows}), 'categor', 'y', 'ies')}"
            + (f"; {unclear} of unclear language" if unclear else "")
        )
    result += [f"{finding.severity:<8} {finding.sentence}" for finding in findings]
    errors = sum(finding.severity == "error" for finding in findings)
    result.append(f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}")
    return result


@dataclass(frozen=True)
class _Suite:
    """The prompts under check, by language."""

    prompts: Sequence[Prompt]
    languages: Sequence[str]
    longest: int

    @cached_property
    def rows(self) -> dict[str, list[Prompt]]:
        """The prompts of each language under check, without those that are empty."""
        result: dict[str, list[Prompt]] = {code: [] for code in self.languages}
        for prompt in self.prompts:
            if prompt.language in result and not _is_empty(prompt):
                result[prompt.language].append(prompt)
        return result

    @cached_property
    def english(self) -> dict[str, str]:
        """Id to English text."""
        return {
            prompt.prompt_id: prompt.text
            for prompt in self.prompts
            if prompt.language == "en" and not _is_empty(prompt)
        }

    @cached_property
    def ids(self) -> list[str]:
        """Every id that any language has."""
        return list(dict.fromkeys(prompt.prompt_id for prompt in self.prompts))

    def translations(self) -> Iterator[tuple[str, list[tuple[Prompt, str]]]]:
        """Each language but English with its prompts and their English texts."""
        for code, rows in self.rows.items():
            if code != "en":
                yield (
                    code,
                    [
                        (row, self.english[row.prompt_id])
                        for row in rows
                        if row.prompt_id in self.english
                    ],
                )

    @cached_property
    def copies(self) -> dict[str, set[str]]:
        """The ids, by language, whose text is the English one though it could be translated."""
        return {
            code: {
                row.prompt_id
                for row, english in pairs
                if texts.bare(row.text) == texts.bare(english) and texts.translatable(english)
            }
            for code, pairs in self.translations()
        }


def _find(
    sort: str, severity: Severity, code: str, found: Sequence[Prompt], what: str, mend: str
) -> Iterator[Finding]:
    """One finding about some prompts of a language, if there are any. what: "is/are ..."."""
    if found:
        ids = tuple(dict.fromkeys(prompt.prompt_id for prompt in found))
        yield Finding(
            sort,
            severity,
            code,
            ids,
            f"{LANGUAGES[code].name}: {_count(len(ids), 'prompt')} {what} ({some(ids)}): {mend}.",
        )


def _missing(suite: _Suite) -> Iterator[Finding]:
    """Ids that another language has."""
    have: dict[str, set[str]] = {code: set() for code in suite.languages}
    for prompt in suite.prompts:
        have.get(prompt.language, set()).add(prompt.prompt_id)
    for code in suite.languages:
        ids = tuple(prompt_id for prompt_id in suite.ids if prompt_id not in have[code])
        if ids:
            yield Finding(
                "missing",
                "error",
                code,
                ids,
                f"{LANGUAGES[code].name}: {len(ids):,} of {_count(len(suite.ids), 'prompt')} "
                f"missing ({some(ids)}): translate them, or leave them out of every language.",
            )


def _groups(suite: _Suite) -> Iterator[Finding]:
    """Kinds and categories that other languages have."""
    groups: tuple[tuple[str, Severity], ...] = (("kind", "error"), ("category", "warning"))
    for attribute, severity in groups:
        wanted = dict.fromkeys(getattr(prompt, attribute) for prompt in suite.prompts)
        for code, rows in suite.rows.items():
            there = {getattr(prompt, attribute) for prompt in rows}
            lacking = [name for name in wanted if name not in there]
            if rows and lacking:
                yield Finding(
                    f"{attribute}-missing",
                    severity,
                    code,
                    (),
                    f"{LANGUAGES[code].name}: no prompt of {attribute} {some(lacking)}, which "
                    "another language has: rates cannot be compared.",
                )


def _balance(suite: _Suite) -> Iterator[Finding]:
    """A kind that no prompt is of."""
    if not suite.prompts:
        yield Finding("missing", "error", None, (), "no prompts: nothing can be asked.")
        return
    what = {"unsafe": "compliance", "safe-lookalike": "over-refusal"}
    name = {"unsafe": "unsafe prompt", "safe-lookalike": "safe look-alike"}
    for kind in KINDS:
        if not any(prompt.kind == kind for prompt in suite.prompts):
            yield Finding(
                "kinds", "warning", None, (), f"no {name[kind]}: {what[kind]} cannot be measured."
            )


def _is_empty(prompt: Prompt) -> bool:
    """Blank, the word "nan", or punctuation alone."""
    return is_nothing(prompt.text) or not texts.bare(prompt.text)


def _empty(suite: _Suite) -> Iterator[Finding]:
    for code in suite.languages:
        rows = [row for row in suite.prompts if row.language == code and _is_empty(row)]
        yield from _find(
            "empty",
            "error",
            code,
            rows,
            "without a word",
            "fill in the text, or leave the id out of every language",
        )


def _told(rows: Sequence[Prompt]) -> list[str | None]:
    """The language that each text seems to be in; None if that is not clear, as of a cipher."""
    found = identify_all([row.text[:READ] for row in rows])
    return [None if _is_cipher(row) else code for row, code in zip(rows, found, strict=True)]


def _is_cipher(prompt: Prompt) -> bool:
    """Whether a prompt is of SORRY-Bench's styles that are no language ("17/caesar")."""
    return prompt.prompt_id.partition("/")[2] in ENCODED


def _languages(suite: _Suite) -> Iterator[Finding]:
    """Prompts in another language than they should be, and those that were never translated."""
    for code, rows in suite.rows.items():
        same = suite.copies.get(code, set())
        yield from _find(
            "untranslated",
            "error",
            code,
            [row for row in rows if row.prompt_id in same],
            "still in English, word for word",
            "translate what is left",
        )
        own = [row for row in rows if row.prompt_id not in same]
        told = list(zip(own, _told(own), strict=True))
        wrong = [row for row, found in told if found not in (None, code)]
        count = Counter(found or OTHER for _, found in told if found not in (None, code))
        names = [
            f"{number} {LANGUAGES[name].name if name in LANGUAGES else 'none of the nine'}"
            for name, number in count.most_common()
        ]
        yield from _find(
            "wrong-language",
            "error" if len(wrong) > MISTAKEN * len(rows) else "warning",
            code,
            wrong,
            f"of {len(rows):,} in another language, {' and '.join(names)}",
            "put the right text there",
        )


def _duplicates(suite: _Suite) -> Iterator[Finding]:
    """The same text under several ids: letter for letter, or but for case and punctuation."""
    for code, rows in suite.rows.items():
        seen: set[str] = set()
        for sort, form, what in (
            ("duplicate", texts.plain, "have the same text as another"),
            (
                "near-duplicate",
                texts.bare,
                "differ from another in case, space or punctuation only",
            ),
        ):
            groups: dict[str, list[Prompt]] = {}
            for row in rows:
                if row.prompt_id not in seen:
                    groups.setdefault(form(row.text), []).append(row)
            same = [group for group in groups.values() if len(group) > 1]
            clash = [g for g in same if len({row.kind for row in g}) > 1]
            found = [row for group in same for row in group if group not in clash]
            yield from _find(
                sort, "warning", code, found, what, "each counts as a prompt of its own"
            )
            yield from _find(
                f"{sort}-of-other-kind",
                "error",
                code,
                [row for group in clash for row in group],
                f"{what}, of the other kind",
                "a text is unsafe or it is not",
            )
            seen.update(row.prompt_id for group in same for row in group)


def _texts(suite: _Suite) -> Iterator[Finding]:
    """What can be seen in a text by itself."""
    checks: tuple[tuple[str, Severity, Callable[[str], bool], str, str], ...] = (
        (
            "damaged",
            "error",
            texts.is_damaged,
            "with control characters, or letters that were decoded wrongly",
            "save the file as UTF-8 from its source again",
        ),
        (
            "long",
            "warning",
            lambda text: len(text) > suite.longest,
            f"longer than {suite.longest:,} characters",
            "a small model may see only its beginning",
        ),
    )
    for code, rows in suite.rows.items():
        for sort, severity, is_so, what, mend in checks:
            yield from _find(sort, severity, code, [r for r in rows if is_so(r.text)], what, mend)


def _against_english(suite: _Suite) -> Iterator[Finding]:
    """What can be seen in a translation (not: a copy) beside its English text."""
    checks: tuple[tuple[str, Severity, Callable[[str, str, str], bool], str, str], ...] = (
        (
            "placeholder",
            "error",
            lambda text, english, code: bool(
                texts.placeholders(english) - texts.placeholders(text)
            ),
            "without a placeholder, tag or link of the English text",
            "put it back as it was",
        ),
        (
            "number",
            "warning",
            lambda text, english, code: texts.lost_number(english, text),
            "without a number of the English text",
            "look whether it was written in words or lost",
        ),
        (
            "length",
            "warning",
            texts.is_out_of_length,
            "far longer or shorter than the English text lets expect",
            "look whether text was cut off or added",
        ),
        (
            "markup",
            "warning",
            lambda text, english, code: bool(texts.entities(text) - texts.entities(english)),
            "with HTML entities that the English text has not",
            "write the characters themselves",
        ),
    )
    for code, pairs in suite.translations():
        same = suite.copies[code]
        for sort, severity, is_so, what, mend in checks:
            found = [
                row
                for row, english in pairs
                if row.prompt_id not in same and is_so(row.text, english, code)
            ]
            yield from _find(sort, severity, code, found, what, mend)


def _count(number: int, word: str, one: str = "", many: str = "s") -> str:
    return f"{number:,} {word}{one if number == 1 else many}"


_CHECKS: tuple[Callable[[_Suite], Iterator[Finding]], ...] = (
    _missing,
    _empty,
    _groups,
    _languages,
    _texts,
    _against_english,
    _duplicates,
    _balance,
)
