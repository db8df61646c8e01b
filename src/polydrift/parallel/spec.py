"""A build file: what a parallel set is made from, by whom it is translated, and how it is checked.

    name = "benign-mine"
    languages = ["da", "el"]              # into which; all eight if left out

    [[seeds]]                             # of a suite: [suite]
    name = "dolly"
    data = "dolly.jsonl"                  # JSONL, CSV or Parquet; hub:owner/name; builtin:benign
    licence = "cc-by-sa-3.0"
    columns = { input = "context" }

    [[translators]]                       # tried in this order, row by row
    vendor = "openai/gpt-4o-mini"
    [[translators]]
    model = "facebook/nllb-200-3.3B"

`load` checks the whole file and reports every mistake at once with its line, as `study.load` does.
docs/building.md explains every key.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError

from polydrift.errors import StudyError
from polydrift.parallel.spec_checks import cross_checks, price_of_translator
from polydrift.study import ALL, Code, Codes, Name, Section, Seed
from polydrift.study_checks import located, sentences

TARGETS: tuple[Code, ...] = tuple(code for code in ALL if code != "en")
TASKS = (
    *("brainstorming", "classification", "closed_qa", "creative_writing"),
    *("general_qa", "information_extraction", "open_qa", "summarization"),
)
Price = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]


class Asked(Section):
    """A vendor's model and how it is asked: what Inspect AI calls it, and what it costs.

    price: dollars (or any money) for a million tokens read and a million written. settings,
    model_args: more of Inspect's GenerateConfig and `get_model` (base_url and the like).
    """

    vendor: str
    at_once: Annotated[int, Field(gt=0)] = 10
    tries: Annotated[int, Field(gt=0)] = 6
    timeout: Annotated[int, Field(gt=0)] = 600
    price: Price | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    model_args: dict[str, Any] = Field(default_factory=dict)


class Seeds(Section):
    """Examples to start from. columns: id, instruction, input, response, task to the file's names.

    select: {column: value} picks rows. rows: the first so many only. licence: an SPDX id
    ("cc-by-sa-3.0"); without one, nothing made from them can be published.
    """

    name: Name
    data: str
    licence: str = ""
    columns: dict[str, str] = Field(default_factory=dict)
    select: dict[str, str] = Field(default_factory=dict)
    rows: Annotated[int, Field(gt=0)] | None = None


class SuiteSource(Section):
    """The suite that is translated, read as `[[suites]]` of a study are.

    language: that of rows that do not say. gated: rows may not leave this machine; true by itself
    for format "sorry-bench".
    """

    data: str
    licence: str = ""
    format: Literal["sorry-bench", "xstest", "multijail"] | None = None
    styles: tuple[str, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)
    select: dict[str, str] = Field(default_factory=dict)
    kind: Literal["unsafe", "safe-lookalike"] | None = None
    language: Code | None = None
    gated: bool = False


class Write(Asked):
    """New question/answer pairs by a model, in the manner of seeds.

    pairs: how many are wanted, before the filter. examples: seeds shown in each request. batch:
    pairs asked for in each.
    """

    pairs: Annotated[int, Field(gt=0)] = 1000
    examples: Annotated[int, Field(gt=0, le=20)] = 4
    batch: Annotated[int, Field(gt=0, le=20)] = 4
    temperature: Annotated[float, Field(ge=0)] = 1.0
    max_new_tokens: Annotated[int, Field(gt=0)] = 4096


class Second(Asked):
    """A model that is asked, after the rules, whether an example touches safety."""


class Harmless(Section):
    """The benign filter. rules: the word lists and refusals; keep: kinds of theirs that are no
    reason to drop ("conflict", "vices" and "advice" are often innocent); model: a second opinion.
    """

    rules: bool = True
    keep: tuple[str, ...] = ()
    model: Second | None = None


class Balance(Section):
    """How many examples are kept, spread over task types and lengths."""

    examples: Annotated[int, Field(gt=0)] = 1000
    tasks: tuple[str, ...] = ()


class Translator(Section):
    """Who translates: a `vendor`'s model, a `model` of the NLLB kind, a `service` (google, deepl),
    or a `phrasebook` (JSON lines: language, english, text).

    languages: only into these. The others are as in `Asked` and the study's `[translation]`; price
    of a service: money for a million characters.
    """

    vendor: str | None = None
    model: str | None = None
    service: Literal["google", "deepl"] | None = None
    phrasebook: str | None = None
    languages: Codes | None = None
    at_once: Annotated[int, Field(gt=0)] = 10
    tries: Annotated[int, Field(gt=0)] = 6
    timeout: Annotated[int, Field(gt=0)] = 600
    price: Price | Annotated[float, Field(ge=0)] | None = None
    max_new_tokens: Annotated[int, Field(gt=0)] = 4096
    settings: dict[str, Any] = Field(default_factory=dict)
    model_args: dict[str, Any] = Field(default_factory=dict)
    revision: str | None = None
    backend: Literal["ctranslate2", "transformers"] = "ctranslate2"
    device: str = "auto"
    beam: Annotated[int, Field(gt=0)] = 1
    compute_type: str | None = None

    @property
    def reference(self) -> str:
        """Its name in tables and cards."""
        if self.phrasebook:
            return f"phrasebook:{self.phrasebook}"
        return self.vendor or self.service or f"nllb:{self.model}"


class Checks(Section):
    """Checks beside those that need no model.

    round_trip: who puts translations back into English (a translator as above); round_trip_below:
    the chrF, 0 to 100, below which a row goes to review. comet: a COMET-Kiwi model for
    `comet-score`, which is installed apart; comet_below: its score.
    """

    round_trip: Translator | None = None
    round_trip_below: Annotated[float, Field(gt=0, le=100)] = 30.0
    comet: str | None = None
    comet_below: Annotated[float, Field(gt=0, le=1)] = 0.6


class Build(Section):
    """A checked build file; `folder` is where its relative paths start.

    keep: names that no translation changes. similar: share of common character n-grams from which
    two requests are near-duplicates. max_cost: a build that is estimated above it does not start.
    """

    name: Name
    languages: Codes = TARGETS
    seed: Seed = 0
    seeds: tuple[Seeds, ...] = ()
    suite: SuiteSource | None = None
    write: Write | None = None
    harmless: Harmless = Harmless()
    similar: Annotated[float, Field(gt=0, le=1)] = 0.7
    balance: Balance | None = None
    keep: tuple[str, ...] = ()
    translators: tuple[Translator, ...] = ()
    checks: Checks = Checks()
    max_cost: Annotated[float, Field(gt=0)] | None = None

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The directory that relative paths of the file are relative to."""
        return self._folder

    @property
    def targets(self) -> tuple[Code, ...]:
        """The languages that are translated into, in the order of `languages.LANGUAGES`."""
        return tuple(code for code in TARGETS if code in self.languages)


def load(path: Path) -> Build:
    """Read and check a build file; StudyError holds every mistake, each with its line."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise StudyError(
            [f"{path}: there is no such file; give the path of a build file (TOML)."]
        ) from None
    except UnicodeDecodeError as error:
        raise StudyError(
            [f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8."]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise StudyError([f"{path}: not valid TOML: {error}."]) from None
    except OSError as error:
        raise StudyError([f"{path}: cannot be read: {error.strerror}."]) from None
    return check(data, source=str(path), folder=path.parent, text=text)


def check(data: Mapping[str, Any], *, source: str, folder: Path = Path(), text: str = "") -> Build:
    """A build from plain data (what a TOML parser gives); all problems in one StudyError."""
    problems = list(cross_checks(data))
    build = None
    try:
        build = Build.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        problems += [one for one in sentences(error, Build) if not price_of_translator(one[0])]
    if problems or build is None:
        raise StudyError(located(problems, source, text))
    build._folder = folder
    return build
