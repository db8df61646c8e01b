"""What a study's references stand for: digests, row counts and sizes, read once before planning.

A plan is pure, so everything it needs to know about files and models is gathered here:

    study = load(Path("studies/smoke.toml"))
    sources = survey(study)              # reads files, loads no model
    plan = make_plan(study, sources)     # no I/O

Data files are digested per language, over the rows and not the bytes, so that adding a language to
a file, or sorting it, moves no other cell. Local models are digested whole (configuration, weights,
tokenizer); models of a hub are identified by name and commit.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from polydrift.data import hub_data
from polydrift.data.benign import read_examples
from polydrift.data.corpora import read_corpus
from polydrift.data.foreign import match, read_answers
from polydrift.data.rows import rows_digest
from polydrift.data.suites import Prompt, survey_suite
from polydrift.errors import StudyError
from polydrift.languages import in_order
from polydrift.records import digest, directory_digest, file_digest
from polydrift.references import (
    answers_reference,
    corpus_options,
    corpus_reference,
    locate,
    model_reference,
    suite_options,
    suite_reference,
)
from polydrift.study import AnswersFile, Corpus, Judge, Study, Suite, Translation

# Names on the Hugging Face hub whose weights or rows are behind a licence that must be accepted.
GATED = ("meta-llama/", "google/gemma-", "sorry-bench/")

Reader = Callable[[Path], Iterable[Any]]
# What makes a model or adapter what it is; a card or a log beside it does not.
_MODEL_FILES = {".json", ".safetensors", ".jinja", ".model", ".txt", ".py"}
_CONVERTED = "model.bin"  # of a translator that CTranslate2 converted
_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True, slots=True)
class RowsOf:
    """The rows of one data file in one language; size: UTF-8 bytes of their texts; unsafe: how many
    are prompts of that kind.
    """

    digest: str
    rows: int
    size: int
    unsafe: int = 0


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data file; `languages` is None when the file does not exist (yet)."""

    reference: str
    path: str
    languages: Mapping[str, RowsOf] | None


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model or adapter. identity: what goes into keys; place: where it is loaded from.

    bytes, parameters: of local weights, else as the study says, else None. pinned: the identity
    cannot come to mean something else (a directory's digest, a commit; not a branch).
    """

    identity: Mapping[str, str]
    place: str
    bytes: int | None = None
    parameters: float | None = None
    gated: bool = False
    pinned: bool = True


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file, or a directory, that is used as it is: a phrasebook, a calibration, tasks."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything a plan needs to know about the world, by the reference used in the study.

    notes: what readers of the results should know about the files.
    """

    data: Mapping[str, DataSource] = field(default_factory=dict)
    models: Mapping[str, ModelSource] = field(default_factory=dict)
    files: Mapping[str, FileSource] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def survey(study: Study, pins: Mapping[str, str] | None = None) -> Sources:
    """Read what the study refers to; `pins` gives the commits that an earlier run resolved.

    A dataset of the hub that has no pin yet counts as a file that is not there. StudyError holds
    every reference to a model that leads nowhere; DataError is a malformed file.
    """
    looked = _Survey(study.folder, pins or {})
    for suite in study.suites:
        looked.suite(suite)
    for arm in study.tuning:
        looked.data(arm.data, read_examples)
    if study.measures:
        if study.measures.heldout:
            looked.data(study.measures.heldout, read_examples)
        looked.corpus(study.measures.corpus)
    for benchmark in study.capability:
        looked.folder(benchmark.include)
        looked.file(benchmark.irt)
    for preference in study.preference:
        looked.suite(preference.instructions)
        looked.answers(preference.reference)
        looked.file(preference.irt)
    for base in study.bases:
        looked.model(base.model, base.revision, base.parameters)
        looked.model(base.tokenizer)
        looked.answers(base.answers)
    for given in study.variants:
        looked.model(given.adapter or given.model, given.revision)
        looked.answers(given.answers)
    looked.judging(study.judges, study.translation)
    return looked.found(_matched(study) if not looked.problems else ())


def survey_judges(
    judges: Sequence[Judge], translation: Translation | None, folder: Path
) -> Sources:
    """What judges and a translation refer to, outside a study."""
    looked = _Survey(folder, {})
    looked.judging(judges, translation)
    return looked.found()


class _Survey:
    """What has been found so far. problems: references that lead nowhere."""

    def __init__(self, folder: Path, pins: Mapping[str, str]) -> None:
        self._folder, self._pins = folder, pins
        self._data: dict[str, DataSource] = {}
        self._models: dict[str, ModelSource] = {}
        self._files: dict[str, FileSource] = {}
        self._notes: list[str] = []
        self.problems: list[str] = []

    def data(self, file: str, reader: Reader, reference: str | None = None) -> None:
        """A file of rows, or a dataset of the hub."""
        name = reference or file
        if name in self._data:
            return
        if not file.startswith(hub_data.PREFIX):
            self._data[name] = _data_source(file, locate(file, self._folder), reader)
        elif commit := self._pins.get(file):
            self._data[name] = _data_source(file, hub_data.dataset_file(file, commit), reader)
        else:
            hub_data.parse(file)
            self._data[name] = DataSource(file, file, None)

    def suite(self, suite: Suite) -> None:
        """A suite; what was left out of it is a note."""

        def read(path: Path) -> Iterable[Any]:
            rows, notes = survey_suite(path, **suite_options(suite))
            self._notes += notes
            return rows

        self.data(suite.data, read, suite_reference(suite))

    def corpus(self, corpus: Corpus | None) -> None:
        """Texts to read."""
        if corpus:
            options = corpus_options(corpus)
            self.data(
                corpus.data, lambda path: read_corpus(path, **options), corpus_reference(corpus)
            )

    def answers(self, answers: AnswersFile | None) -> None:
        """A file of answers, read as it is to be read."""
        if answers:
            self.data(answers.file, _foreign(answers), answers_reference(answers))

    def model(
        self,
        reference: str | None,
        revision: str | None = None,
        parameters: float | None = None,
    ) -> None:
        """A model, adapter or tokenizer."""
        name = model_reference(reference or "", revision)
        if reference and (name not in self._models or parameters):
            try:
                self._models[name] = _model_source(
                    self._folder, reference, revision, parameters, self._pins
                )
            except StudyError as error:
                self.problems.extend(error.problems)

    def file(self, reference: str | None) -> None:
        """A file that is used as it is."""
        if reference:
            path = locate(reference, self._folder)
            if path.is_file():
                self._files[reference] = FileSource(str(path), file_digest(path))
            else:
                self.problems.append(f"{reference}: there is no such file at {path}; mend it.")

    def folder(self, reference: str | None) -> None:
        """A directory whose files are used as they are."""
        if reference:
            path = locate(reference, self._folder)
            if path.is_dir():
                self._files[reference] = FileSource(str(path), directory_digest(path))
            else:
                self.problems.append(f"{reference}: there is no such directory at {path}; mend it.")

    def judging(self, judges: Iterable[Judge], translation: Translation | None) -> None:
        """What judges and translators need."""
        for judge in judges:
            self.file(judge.calibration)
            self.model(judge.model, judge.revision, judge.parameters)
            self.model(judge.tokenizer)
        if translation:
            self.file(translation.phrasebook)
            self.model(translation.model, translation.revision, translation.parameters)

    def found(self, notes: tuple[str, ...] = ()) -> Sources:
        """Everything; StudyError if there are problems."""
        if self.problems:
            raise StudyError(self.problems)
        return Sources(self._data, self._models, self._files, (*self._notes, *notes))


def pin(study: Study, sources: Sources) -> dict[str, str]:
    """The commit of every model and dataset that follows a branch; asks the hub or its cache."""
    wanted = [(b.model, b.revision) for b in study.bases]
    wanted += [(b.tokenizer, None) for b in study.bases]
    wanted += [(v.model or v.adapter, v.revision) for v in study.variants]
    wanted += [(judge.model, judge.revision) for judge in study.judges]
    wanted += [(judge.tokenizer, None) for judge in study.judges]
    if study.translation:
        wanted.append((study.translation.model, study.translation.revision))
    branches = [
        (name, revision)
        for name, revision in wanted
        if name and not sources.models[model_reference(name, revision)].pinned
    ]
    found = {
        suite.data: hub_data.dataset_commit(suite.data)
        for suite in (*study.suites, *(one.instructions for one in study.preference))
        if suite.data.startswith(hub_data.PREFIX)
        and sources.data[suite_reference(suite)].languages is None
    }
    if branches:
        from polydrift.engine.hub import commit_of

        found |= {model_reference(*branch): commit_of(*branch) for branch in branches}
    return found


def as_mapping(sources: Sources) -> dict[str, Any]:
    """The sources as plain JSON data, for the lock file; without the places (they may move)."""
    return {
        "data": {
            name: {code: asdict(rows) for code, rows in (source.languages or {}).items()}
            for name, source in sources.data.items()
        },
        "models": {name: dict(source.identity) for name, source in sources.models.items()},
        "files": {name: source.digest for name, source in sources.files.items()},
    }


def _matched(study: Study) -> tuple[str, ...]:
    """DataError unless files of answers answer the prompts of their base's; what differs."""
    notes: list[str | None] = []
    bases = {base.name: base.answers for base in study.bases}
    for given in study.variants:
        ours, theirs = bases[given.base], given.answers
        if ours and theirs:
            files = [locate(answers.file, study.folder) for answers in (ours, theirs)]
            if all(path.exists() for path in files):
                prompts = [
                    [row for row in _foreign(answers)(path) if isinstance(row, Prompt)]
                    for answers, path in zip((ours, theirs), files, strict=True)
                ]
                notes.append(match(files[0], prompts[0], files[1], prompts[1]))
    return tuple(note for note in notes if note)


def _foreign(answers: AnswersFile) -> Reader:
    def rows(path: Path) -> Iterable[Any]:
        prompts, given = read_answers(path, **answers.model_dump(exclude={"file"}))
        return [*prompts, *given]

    return rows


def _data_source(reference: str, path: Path, reader: Reader) -> DataSource:
    if not path.exists():
        return DataSource(reference, str(path), None)
    rows: dict[str, list[Any]] = {}
    for row in reader(path):
        rows.setdefault(row.language, []).append(row)
    found = {
        code: RowsOf(
            rows_digest(rows[code]),
            len(rows[code]),
            _size(rows[code]),
            sum(getattr(row, "kind", None) == "unsafe" for row in rows[code]),
        )
        for code in in_order(rows)
    }
    return DataSource(reference, str(path), found)


def _size(rows: Iterable[Any]) -> int:
    return sum(
        len(text.encode()) for row in rows for text in asdict(row).values() if isinstance(text, str)
    )


def _model_source(
    folder: Path,
    reference: str,
    revision: str | None,
    parameters: float | None,
    pins: Mapping[str, str],
) -> ModelSource:
    path = locate(reference, folder)
    if path.is_dir():
        if revision:
            raise StudyError(
                [f"{reference}: a directory has no revisions; drop `revision = {revision!r}`."]
            )
        files = sorted(
            p for p in path.iterdir() if p.suffix in _MODEL_FILES or p.name == _CONVERTED
        )
        weights = [p for p in files if p.suffix == ".safetensors"]
        return ModelSource(
            {"digest": digest({p.name: file_digest(p) for p in files})},
            str(path),
            sum(p.stat().st_size for p in weights),
            parameters or sum(_parameters(p) for p in weights),
        )
    if path.is_file() or not _HUB_NAME.match(reference):
        raise StudyError(
            [
                f"{reference}: no such directory at {path}, and not a Hugging Face name "
                "(owner/name); mend the path or the name."
            ]
        )
    wanted = pins.get(model_reference(reference, revision)) or revision or "main"
    return ModelSource(
        {"hub": reference, "revision": wanted},
        reference,
        None,
        parameters,
        gated=reference.startswith(GATED),
        pinned=bool(_COMMIT.match(wanted)),
    )


def _parameters(weights: Path) -> float:
    """Number of values in a safetensors file, from its header; 0 if it has none (an estimate:
    a corrupt file is named by the step that loads it).
    """
    try:
        with weights.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, 100_000_000)))
        return float(
            sum(math.prod(tensor["shape"]) for n, tensor in header.items() if n != "__metadata__")
        )
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError):
        return 0.0
