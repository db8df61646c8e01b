"""A study: which models are tuned on what, asked what, in which languages. Read from TOML.

The smallest study that does something:

    name = "first"

    [[bases]]
    name = "llama"
    model = "specimen:llama-0"          # or a Hugging Face name, or a directory

    [[tuning]]
    name = "benign"
    data = "specimen:benign"            # or a JSONL file
    languages = ["da", "ga"]

    [[suites]]
    name = "specimen"
    data = "specimen:suite"

    [evaluation]
    languages = ["en", "da", "ga"]

`load` checks the whole file and reports every mistake at once, each with its line and what to write
instead. A study says nothing about workers, devices in use or where results go: the same study
gives the same tables anywhere.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from polydrift.errors import StudyError
from polydrift.languages import LANGUAGES
from polydrift.study_checks import cross_checks, located, sentences

Code = Literal["en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
Codes = Annotated[tuple[Code, ...], Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
FORMATS = ("sorry-bench", "xstest", "multijail")
ALL: tuple[Code, ...] = ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl")


class Section(BaseModel):
    """A table of the study file: immutable, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class AnswersFile(Section):
    """Answers that another tool generated (JSONL, CSV or Parquet), and how to read them.

    columns: {our name: the file's} where they differ (prompt_id, prompt, answer, language, kind,
    category, sample). select: {column: value} picks rows. language, kind: for rows without them.
    """

    file: str
    columns: dict[str, str] = {}
    select: dict[str, str] = {}
    language: Code | None = None
    kind: Literal["unsafe", "safe-lookalike"] | None = None


class Base(Section):
    """A model before tuning: `model` (hub name, directory or specimen), `vendor` (what Inspect AI
    calls a model that others compute, as openai/gpt-4o), or the `answers` it gave.

    server: the address of a server (vLLM) that computes the answers of the model and its adapters,
    and what it calls the model there (default: as here). parameters: its size, for estimates only;
    read off local weights when not given.
    """

    name: Name
    model: str | None = None
    revision: str | None = None
    tokenizer: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    device_map: str | None = None
    trust_remote_code: bool = False
    server: str | None = None
    served_as: str | None = None
    vendor: str | None = None
    answers: AnswersFile | None = None
    parameters: Annotated[float, Field(gt=0)] | None = None


class Given(Section):
    """A variant made elsewhere: a PEFT `adapter`, a whole `model`, a `vendor`'s model, or the
    `answers` it gave.
    """

    name: Name
    base: Name
    adapter: str | None = None
    model: str | None = None
    revision: str | None = None
    vendor: str | None = None
    answers: AnswersFile | None = None
    tuning_language: Code | None = None


class Tuning(Section):
    """A tuning recipe (an "arm"): one adapter per base, language, seed and number of epochs.

    The defaults are the paper's where it states them; alpha 32 is the authors' repository's.
    `loss`: "text" learns the whole conversation, as the paper does; "response" the answer only.
    """

    name: Name
    data: str
    languages: Codes = ALL
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (3407,)
    epochs: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = (1,)
    bases: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    rank: Annotated[int, Field(gt=0)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: tuple[str, ...] | Literal["all-linear"] = (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: Annotated[int, Field(ge=0)] = 5
    batch_size: Annotated[int, Field(gt=0)] = 8
    max_length: Annotated[int, Field(gt=1)] = 2048
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    loss: Literal["text", "response"] = "text"
    rows: Annotated[int, Field(gt=0)] | None = None


class Suite(Section):
    """Parallel prompts: a file, or hub:owner/name for a dataset of the Hugging Face hub.

    format: of a known benchmark; styles: of SORRY-Bench's prompts; columns, select, language, kind:
    as in `AnswersFile`, for files of other shapes (docs/suites.md). `prompts`: how many per
    language, for planning before the file exists.
    """

    name: Name
    data: str
    format: Literal["sorry-bench", "xstest", "multijail"] | None = None
    styles: tuple[str, ...] = ()
    columns: dict[str, str] = {}
    select: dict[str, str] = {}
    language: Code | None = None
    kind: Literal["unsafe", "safe-lookalike"] | None = None
    prompts: Annotated[int, Field(gt=0)] | None = None


class Judge(Section):
    """Who says whether answers complied: the rules, unless a `model` or `vendors` are named.

    model: the fine-tuned SORRY-Bench judge (hub name or directory), or one tuned on its form; on a
    `server` (vLLM) if that is given, which calls it `served_as`. vendors: what Inspect AI calls
    models that others compute; several are a panel, and more than half of them decide. They are
    asked by the `rubric`, keep replies on this machine for `cache` ("4W": four weeks), and cost
    what `prices` says: {vendor: [a million tokens read, a million written]}.

    translate: answers are put into English first, as [translation] says; untranslated: the judge
    sees them as they are too, to compare. calibration: a file that `polydrift judge validate`
    wrote, to correct rates by. parameters: the model's size, for estimates only.
    """

    name: Name
    model: str | None = None
    revision: str | None = None
    tokenizer: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    device_map: str | None = None
    server: str | None = None
    served_as: str | None = None
    vendors: tuple[str, ...] = ()
    rubric: Literal["sorry-bench", "strongreject", "xstest"] = "sorry-bench"
    at_once: Annotated[int, Field(gt=0)] = 10
    cache: Annotated[str, Field(pattern=r"^\d+[smhDWMY]$")] | None = None
    prices: dict[str, tuple[float, float]] = {}
    translate: bool = False
    untranslated: bool = True
    calibration: str | None = None
    parameters: Annotated[float, Field(gt=0)] | None = None


class Translation(Section):
    """Who puts answers into English: a `model` of the NLLB-200 kind (hub name, directory, or one
    converted for CTranslate2), a `vendor`'s model, or a `phrasebook` (JSONL).

    backend: a model is converted for CTranslate2 once, and kept in the user's cache. beam: 1 is
    greedy, as in the paper. compute_type: None is int8 (as in the paper) for CTranslate2, float32
    for transformers. parameters: the model's size, for estimates only.
    """

    model: str | None = None
    revision: str | None = None
    vendor: str | None = None
    phrasebook: str | None = None
    backend: Literal["ctranslate2", "transformers"] = "ctranslate2"
    device: str = "auto"
    beam: Annotated[int, Field(gt=0)] = 1
    compute_type: str | None = None
    parameters: Annotated[float, Field(gt=0)] | None = None


class Evaluation(Section):
    """How variants are asked. Temperature 0 is greedy."""

    languages: Codes = ALL
    samples: Annotated[int, Field(gt=0)] = 1
    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_new_tokens: Annotated[int, Field(gt=0)] = 256
    seed: Seed = 0


class Corpus(Section):
    """Texts that models read, the same ones in each language, for perplexity (docs/perplexity.md).

    columns: id and text, or text.CODE for a column per language, to the file's. select, language:
    as in `AnswersFile`. window: tokens read at once; None: as many as the model was made for.
    """

    data: str
    columns: dict[str, str] = {}
    select: dict[str, str] = {}
    language: Code | None = None
    window: Annotated[int, Field(gt=1)] | None = None


class Measures(Section):
    """What else is measured. heldout: harmless question/answer pairs (accuracy, perplexity).

    corpus: texts in each language. On the prompts of the first suite: the refusal margin, and drift
    (unless false), which runs the base beside each variant and looks at the adapters' weights.
    """

    heldout: str | None = None
    corpus: Corpus | None = None
    drift: bool = True


class Capability(Section):
    """A benchmark: tasks of lm-evaluation-harness, asked of every variant (docs/capability.md).

    tasks: names, or {language: name} of tasks that are to be set against safety in that language.
    include: a directory with the YAML files of tasks of your own. limit: the first so many
    questions of each. fewshot: examples before each. chat, system: questions in the model's chat
    template; an instruction before all. max_new_tokens: in place of the task's. irt: a file with
    item parameters of tinyBenchmarks, for gp-IRT.
    """

    name: Name
    tasks: Annotated[tuple[str, ...] | dict[Code, str], Field(min_length=1)]
    include: str | None = None
    limit: Annotated[int, Field(gt=0)] | None = None
    fewshot: Annotated[int, Field(ge=0)] | None = None
    seed: Seed | None = None
    chat: bool = False
    system: str | None = None
    max_new_tokens: Annotated[int, Field(gt=0)] | None = None
    irt: str | None = None


class Preference(Section):
    """Answers to harmless instructions, which a model prefers to others (docs/preference.md).

    data, columns, select, language, prompts: the instructions, as in `Suite`. against: a file of
    the reference's answers to them; None: the base's own. vendors: what Inspect AI calls the
    judges. irt: a file with item parameters of tinyBenchmarks, for gp-IRT.
    """

    name: Name
    data: str
    vendors: Annotated[tuple[str, ...], Field(min_length=1)]
    columns: dict[str, str] = {}
    select: dict[str, str] = {}
    language: Code | None = None
    prompts: Annotated[int, Field(gt=0)] | None = None
    against: AnswersFile | None = None
    at_once: Annotated[int, Field(gt=0)] = 10
    cache: Annotated[str, Field(pattern=r"^\d+[smhDWMY]$")] | None = None
    irt: str | None = None

    @property
    def reference(self) -> AnswersFile | None:
        """The file of the reference's answers, whose instructions are harmless unless it says."""
        return self.against and self.against.model_copy(
            update={"kind": self.against.kind or "safe-lookalike"}
        )

    @property
    def instructions(self) -> Suite:
        """The instructions as prompts that are harmless."""
        return Suite(
            name=self.name,
            data=self.data,
            columns=self.columns,
            select=self.select,
            language=self.language,
            kind="safe-lookalike",
            prompts=self.prompts,
        )


class Statistics(Section):
    """Intervals: their level, the bootstrap's draws and its seed."""

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    draws: Annotated[int, Field(ge=100)] = 2000
    seed: Seed = 0


class Study(Section):
    """A checked study; `folder` is where its relative paths start (not part of any key).

    judges: the report's headline is the first one's.
    """

    name: Name
    description: str = ""
    notes: tuple[str, ...] = ()
    bases: Annotated[tuple[Base, ...], Field(min_length=1)]
    tuning: tuple[Tuning, ...] = ()
    variants: tuple[Given, ...] = ()
    suites: tuple[Suite, ...] = ()
    evaluation: Evaluation = Evaluation()
    judges: Annotated[tuple[Judge, ...], Field(min_length=1)] = (Judge(name="rules"),)
    translation: Translation | None = None
    measures: Measures | None = None
    capability: tuple[Capability, ...] = ()
    preference: tuple[Preference, ...] = ()
    statistics: Statistics = Statistics()

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The directory that relative paths of the study are relative to."""
        return self._folder


def load(path: Path) -> Study:
    """Read and check a study file; StudyError holds every mistake, each with its line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(
            [f"{path}: there is no such file; give the path of a study (TOML)."]
        ) from None
    except IsADirectoryError:
        raise StudyError(
            [f"{path} is a directory; give the path of a study file (TOML)."]
        ) from None
    except UnicodeDecodeError as error:
        raise StudyError(
            [f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8."]
        ) from None
    except OSError as error:
        raise StudyError([f"{path}: cannot be read: {error.strerror}."]) from None
    return parse(text, source=str(path), folder=path.parent)


def parse(text: str, *, source: str = "study", folder: Path = Path()) -> Study:
    """A study from TOML text; `source` is how messages call it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError([f"{source}: not valid TOML: {error}."]) from None
    return check(data, source=source, folder=folder, text=text)


def check(data: Mapping[str, Any], *, source: str, folder: Path = Path(), text: str = "") -> Study:
    """A study from plain data (what a TOML parser gives); all problems in one StudyError."""
    problems = list(cross_checks(data))
    study = None
    try:
        # strict JSON mode takes lists for tuples and integers for floats, and nothing looser
        study = Study.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        problems += sentences(error, Study)
    if problems or study is None:
        raise StudyError(located(problems, source, text))
    study._folder = folder
    return study


assert tuple(LANGUAGES) == ALL, "the study's codes and the languages' table must agree"
