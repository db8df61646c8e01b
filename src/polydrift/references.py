"""What the parts of a study are called among its sources: one file may be read in several ways.

A reference names a file or model together with how it is read; the options are those that the
readers in `data` take.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from polydrift import specimens
from polydrift.data import shipped
from polydrift.errors import StudyError
from polydrift.study import AnswersFile, Corpus, Suite


def model_reference(name: str, revision: str | None) -> str:
    """What a model is called among the sources and pins: one name may have several revisions."""
    return f"{name}@{revision}" if revision else name


def suite_options(suite: Suite) -> dict[str, Any]:
    """How the file of a suite is read, as `read_suite` wants it; {} for our own form."""
    options = suite.model_dump(
        include={"format", "styles", "columns", "select", "language", "kind"}
    )
    return {name: value for name, value in options.items() if value}


def suite_reference(suite: Suite) -> str:
    """What a suite is called among the sources: one file may be read in several ways."""
    options = suite_options(suite)
    return json.dumps({"data": suite.data, **options}) if options else suite.data


def corpus_options(corpus: Corpus) -> dict[str, Any]:
    """How the file of a corpus is read, as `read_corpus` wants it."""
    return corpus.model_dump(include={"columns", "select", "language"})


def corpus_reference(corpus: Corpus) -> str:
    """What a corpus is called among the sources: one file may be read in several ways."""
    return json.dumps({"corpus": corpus.data, **corpus_options(corpus)})


def answers_reference(answers: AnswersFile) -> str:
    """What a file of answers is called among the sources: one file may be read in several ways."""
    return answers.model_dump_json()


def locate(reference: str, folder: Path) -> Path:
    """The path that a `data`, `model` or `adapter` reference names; relative ones start at folder.

    StudyError for what cannot be a path; whether anything lies there is not looked at.
    """
    if reference.startswith(specimens.PREFIX):
        return specimens.path(reference)
    if reference.startswith(shipped.PREFIX):
        return shipped.path(reference)
    try:
        path = folder / Path(reference).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:  # a name too long, a home that nobody has
        reason = getattr(error, "strerror", None) or error
        raise StudyError([f"{reference[:80]!r} cannot be a path ({reason}); mend it."]) from None
    return path
