"""A parallel set from its build file: gathered, translated, checked, written down.

    built = build(load(Path("benign.toml")), Path("benign"), board)
    built.items           # one for each id and language
    built.waiting         # what a service did not do: run the same command again

Everything that is asked of a model is in OUT/work.sqlite as soon as it comes, so a build that is
killed goes on where it was, and one that changes a check asks nothing again. The files appear when
all rows have been through (`outputs.py`); rows that wait are missing from them, and said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from polydrift.data import hub_data
from polydrift.data.suite_formats import ENCODED
from polydrift.data.suites import some
from polydrift.disk import exclusively
from polydrift.errors import ModelError, StudyError
from polydrift.parallel.benign import Dropped, gather
from polydrift.parallel.checks import Pair, check_rows, verdict
from polydrift.parallel.cost import Line, asking, total, translating
from polydrift.parallel.items import BENIGN, SOURCE, SUITE, Form, Item
from polydrift.parallel.journal import Journal
from polydrift.parallel.scores import Doubts, comet, command, round_trip
from polydrift.parallel.spec import Build
from polydrift.parallel.suite import SuiteItems, finish, read_suite_source
from polydrift.parallel.translators import opened, way_back
from polydrift.parallel.turn import Attempt, turn
from polydrift.references import locate
from polydrift.translate.interface import Translator
from polydrift.translate.into import IntoLanguage
from polydrift.translate.sentences import split
from polydrift.translate.vendor import REQUEST

JOURNAL = "work.sqlite"


class Board(Protocol):
    """What a build reports to."""

    def update(self, stage: str, done: float, text: str) -> None:
        """A stage has come to `done` (0 to 1)."""
        ...

    def say(self, sentence: str) -> None:
        """Something the user should know."""
        ...


@dataclass
class Built:
    """items: one for each id and language that does not wait, English first. dropped: examples
    that were not translated. attempts: who tried which row. waiting: sentences. not_run: checks
    that were asked for and did not run, to why. lines: what was estimated. planned: a dry run.
    """

    form: Form
    items: list[Item] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    translators: list[IntoLanguage] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    commit: str = ""
    planned: bool = False


def build(
    spec: Build,
    out: Path,
    board: Board,
    *,
    dry: bool = False,
    write: Callable[[Built], object] | None = None,
) -> Built:
    """Make the set, or with `dry` say only what that would take: nothing is sent.

    Another build of the same directory is waited for. write: given what was made while the
    directory is still this build's alone, unless `dry`. StudyError: a cost above `max_cost`;
    DataError, ModelError: as the stages say.
    """
    with exclusively(out / ".lock", wait=board.say), Journal(out / JOURNAL) as journal:
        built = _Maker(spec, journal, board, dry).make()
        if write is not None and not dry:
            write(built)
        return built


class _Maker:
    """One build on its way."""

    def __init__(self, spec: Build, journal: Journal, board: Board, dry: bool) -> None:
        self._spec = spec
        self._journal = journal
        self._board = board
        self._dry = dry
        self._planned = False  # whether examples stand in for pairs that are not written yet
        self._built = Built(BENIGN if spec.suite is None else SUITE, planned=dry)
        self._built.translators = opened(spec, "example" if spec.suite is None else "prompt")

    def make(self) -> Built:
        built = self._built
        suite: SuiteItems | None = None
        if self._spec.suite is None:
            sources = self._examples()
        else:
            suite = self._prompts()
            sources = suite.english
        if self._spec.checks.comet is not None:
            command()
        if self._spec.checks.round_trip is not None and not self._dry:
            self._back  # noqa: B018  # what is wrong with it is told before anything is spent
        lacking = [code for code in self._spec.targets if not self._able(code, suite)]
        if lacking:
            raise StudyError(
                [f"no translator for {', '.join(lacking)}: add one under [[translators]]."]
            )
        self._estimate(sources, suite)
        if self._dry:
            return built
        built.items += [
            item for item in sources if not suite or item.about["style"] in suite.wanted
        ]
        for code in self._spec.targets:
            built.items += self._language(code, sources, suite)
        return built

    def _examples(self) -> list[Item]:
        files = [(one, self._file(one.data)) for one in self._spec.seeds]
        found = gather(
            self._spec,
            files,
            self._journal,
            spend=self._spend,
            dry=self._dry,
            progress=lambda done, text: self._board.update("English", done, text),
        )
        self._planned = found.planned
        self._built.dropped = found.dropped
        self._built.notes += found.notes
        self._built.waiting += found.waiting
        return found.items

    def _prompts(self) -> SuiteItems:
        assert self._spec.suite is not None
        suite = read_suite_source(self._file(self._spec.suite.data), self._spec.suite)
        self._built.notes += suite.notes
        return suite

    def _file(self, reference: str) -> Path:
        if not reference.startswith(hub_data.PREFIX):
            return locate(reference, self._spec.folder)
        self._built.commit = hub_data.dataset_commit(reference)
        self._built.notes.append(f"{reference} at commit {self._built.commit}.")
        return hub_data.dataset_file(reference, self._built.commit)

    def _able(self, code: str, suite: SuiteItems | None) -> bool:
        there = suite is not None and not suite.to_translate(code)
        return there or any(code in one.languages for one in self._built.translators)

    def _spend(self, line: Line) -> None:
        """Tell what is about to be asked; StudyError if it may cost too much."""
        self._built.lines.append(line)
        self._board.say(f"estimate: {line.sentence()}")
        money, limit = total(self._built.lines), self._spec.max_cost
        if money and limit is not None and money[1] > limit:
            raise StudyError(
                [
                    f"this may cost up to {money[1]:,.2f}, and max_cost is {limit:,.2f}: raise it, "
                    "take fewer rows or languages, or a cheaper model. Nothing was sent for it."
                ]
            )

    def _estimate(self, sources: Sequence[Item], suite: SuiteItems | None) -> None:
        """What is left to translate, reckoned with the first translator of each language."""
        for named, translator in zip(self._spec.translators, self._built.translators, strict=True):
            texts: dict[str, list[str]] = {}
            for code in self._spec.targets:
                able = [one for one in self._built.translators if code in one.languages]
                if not able or able[0] is not translator:
                    continue
                items = suite.to_translate(code) if suite else sources
                names = self._built.form.texts
                every = [
                    text for item in items for name in names if (text := item.texts[name]).strip()
                ]
                texts[code] = every if self._planned else self._new(every, code, translator)
            price = named.price
            if line := translating(translator.name, texts, price, bool(named.vendor)):
                self._spend(line)
        if len(self._built.translators) > 1 and self._built.lines:
            self._board.say("Rows that a translator fails on cost the next one too.")
        self._estimate_back(sources)

    def _estimate_back(self, sources: Sequence[Item]) -> None:
        """What a vendor's model would be asked on the way back, as long as the English is."""
        named = self._spec.checks.round_trip
        if named is None or named.vendor is None:
            return
        languages = len(self._spec.targets)
        sentences = [
            sentence
            for item in sources
            for name in self._built.form.texts
            for sentence in split(item.texts[name], SOURCE)
        ]
        size = sum(map(len, sentences))
        price = named.price if isinstance(named.price, tuple) else None
        asked, around = len(sentences) * languages, len(REQUEST)
        each = size / max(1, len(sentences))
        characters = (size + around * len(sentences)) * languages
        what = "for the way back"
        self._spend(asking(named.vendor, what, asked, characters, each, price))

    def _new(self, texts: Sequence[str], code: str, translator: IntoLanguage) -> list[str]:
        """The distinct texts that a translator was never asked for."""
        identity = {**translator.identity, "target": code}
        keys = {text: Journal.key("translate", {**identity, "text": text}) for text in texts}
        return [text for text, key in keys.items() if self._journal.get(key) is None]

    def _language(self, code: str, sources: Sequence[Item], suite: SuiteItems | None) -> list[Item]:
        """All rows of one language, with every check."""
        spec, built = self._spec, self._built
        items = suite.to_translate(code) if suite else sources

        def tell(done: float, text: str) -> None:
            self._board.update(code, 0.9 * done, text)

        made = turn(
            items,
            built.form,
            code,
            built.translators,
            self._journal,
            keep=spec.keep,
            progress=tell,
        )
        built.attempts += made.attempts
        built.waiting += [
            f"{code}: {number:,} row{'s' * (number != 1)}: {why}"
            for why, number in made.waiting.items()
        ]
        rows = made.items
        if suite:
            waiting = {item.id for item in items} - {item.id for item in rows}
            rows = finish(suite, self._own(suite, code) + rows, code, waiting)
            ciphers = sum(
                item.about["style"] in ENCODED and item.id.partition("/")[0] in waiting
                for item in suite.english
            )
            if ciphers:
                what = f"{ciphers:,} cipher{'s' * (ciphers != 1)} of prompts that wait"
                built.waiting.append(f"{code}: {what}")
        rows = self._scored(code, rows, {item.id: item for item in sources})
        self._board.update(code, 1.0, f"{len(rows):,} rows")
        return rows

    def _own(self, suite: SuiteItems, code: str) -> list[Item]:
        """What the source has in this language, checked like any translation."""
        own = [item for (_, language), item in suite.own.items() if language == code]
        english = {item.id: item for item in suite.english}
        if lost := [item.id for item in own if item.id not in english]:
            number = f"{len(lost):,} prompt{'s' * (len(lost) != 1)}"
            self._built.notes.append(f"{code}: left out {number} without English ({some(lost)}).")
        own = [item for item in own if item.id in english]
        checked = check_rows([(english[i.id], i) for i in own], SUITE, keep=self._spec.keep)
        return [
            item
            if item.about["style"] in ENCODED  # nothing can be told of a cipher
            else replace(item, doubts=doubts, status=verdict(doubts))
            for item, doubts in zip(own, checked, strict=True)
        ]

    def _scored(self, code: str, rows: list[Item], english: dict[str, Item]) -> list[Item]:
        """The rows with what models say of them; not of rejected ones and ciphers."""
        places = [
            n
            for n, row in enumerate(rows)
            if row.status != "rejected" and row.about.get("style") not in ENCODED
        ]
        pairs = [(english[rows[n].id], rows[n]) for n in places]
        for name, score in self._scores(code, pairs) if pairs else ():
            try:
                doubts = score()
            except ModelError as error:
                self._built.not_run[f"{name} ({code})"] = str(error)
                self._built.waiting.append(f"{code}: the check {name} did not run: {error}")
                continue
            for number, more in zip(places, doubts, strict=True):
                every = (*rows[number].doubts, *more)
                rows[number] = replace(rows[number], doubts=every, status=verdict(every))
        return rows

    def _scores(
        self, code: str, pairs: Sequence[Pair]
    ) -> Iterator[tuple[str, Callable[[], Doubts]]]:
        """The checks by models that were asked for."""
        checks, form = self._spec.checks, self._built.form
        if checks.round_trip is not None:
            back, identity = self._back
            yield (
                "round-trip",
                lambda: round_trip(
                    pairs,
                    form,
                    back,
                    identity,
                    self._journal,
                    below=checks.round_trip_below,
                    progress=lambda done, text: self._board.update(code, 0.9 + done / 10, text),
                ),
            )
        if checks.comet is not None:
            here = locate(checks.comet, self._spec.folder)
            model = str(here.absolute()) if here.is_file() else checks.comet
            yield (
                "comet",
                lambda: comet(pairs, form, model, self._journal, below=checks.comet_below),
            )

    @cached_property
    def _back(self) -> tuple[Translator, dict[str, Any]]:
        """Who puts translations back into English, loaded once for all languages."""
        return way_back(self._spec)
