"""The translators that a build file names, opened: out of English, and back for round trips.

    translators = opened(build, "example")          # IntoLanguage, in the order of the file
    back, identity = way_back(build)                 # Translator into English, and what decides it

Nothing is loaded or sent before the first text is translated, but a model of the hub is resolved to
its commit and a directory to its digest, so that the journal never takes another model's texts for
this one's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from polydrift.engine.hub import commit_of
from polydrift.parallel.spec import Build
from polydrift.parallel.spec import Translator as Named
from polydrift.records import directory_digest
from polydrift.references import locate
from polydrift.translate import weights
from polydrift.translate.interface import Progress, Translator, silent
from polydrift.translate.into import (
    IntoLanguage,
    Kind,
    LexiconInto,
    NllbInto,
    VendorInto,
    plain,
)
from polydrift.translate.replies import Rendering


class Only:
    """A translator for some languages alone."""

    def __init__(self, inner: IntoLanguage, languages: Sequence[str]) -> None:
        self._inner = inner
        self.name = inner.name
        self.identity = inner.identity
        self.gives_up = getattr(inner, "gives_up", False)
        self._languages = frozenset(languages)

    @property
    def languages(self) -> frozenset[str]:
        """See `IntoLanguage.languages`."""
        return self._languages & self._inner.languages

    def into(
        self, texts: Sequence[str], target: str, progress: Progress = silent
    ) -> Generator[tuple[int, Rendering], None, None]:
        """See `IntoLanguage.into`."""
        return self._inner.into(texts, target, progress)


def opened(build: Build, kind: Kind) -> list[IntoLanguage]:
    """The translators of a build, in its order. kind: what the texts are."""
    return [_opened(build, named, kind) for named in build.translators]


def _opened(build: Build, named: Named, kind: Kind) -> IntoLanguage:
    found: IntoLanguage
    if named.vendor:
        found = VendorInto(
            named.vendor,
            kind=kind,
            keep=build.keep,
            max_new_tokens=named.max_new_tokens,
            at_once=named.at_once,
            tries=named.tries,
            timeout=named.timeout,
            settings=named.settings,
            model_args=named.model_args,
        )
    elif named.model:
        place, revision, identity = _model(build, named)
        found = NllbInto(
            place,
            revision=revision,
            backend=named.backend,
            device=named.device,
            beam=named.beam,
            compute_type=named.compute_type or "auto",
            converted=weights.conversions(),
            keep=build.keep,
        )
        found.name = named.reference
        found.identity |= identity
    elif named.phrasebook:
        found = LexiconInto(locate(named.phrasebook, build.folder))
        found.name = named.reference
    else:
        found = _service(build, named)
    return Only(found, named.languages) if named.languages else found


def _service(build: Build, named: Named) -> IntoLanguage:
    from polydrift.translate.services import DeeplInto, GoogleInto

    service = {"google": GoogleInto, "deepl": DeeplInto}[named.service or ""]
    return service(keep=build.keep, tries=named.tries, timeout=named.timeout, **named.settings)


def _model(build: Build, named: Named) -> tuple[str, str | None, dict[str, Any]]:
    """Where a model lies, its revision, and what else decides its texts."""
    assert named.model is not None
    directory = locate(named.model, build.folder)
    if directory.is_dir():
        return str(directory), None, {"nllb": directory_digest(directory)}
    commit = commit_of(named.model, named.revision)
    return named.model, commit, {"nllb": named.model, "revision": commit}


def way_back(build: Build) -> tuple[Translator, dict[str, Any]]:
    """Who puts translations back into English (`round_trip` of [checks]), and what decides it."""
    named = build.checks.round_trip
    assert named is not None
    if named.vendor:
        from polydrift.translate.vendor import REQUEST, VendorTranslator

        vendor = VendorTranslator(
            named.vendor,
            max_new_tokens=named.max_new_tokens,
            at_once=named.at_once,
            tries=named.tries,
            timeout=named.timeout,
            settings=named.settings,
            model_args=named.model_args,
        )
        identity = {
            "vendor": named.vendor,
            "request": REQUEST,
            "max_new_tokens": named.max_new_tokens,
            "settings": plain(named.settings),
            "model_args": plain(named.model_args),
        }
        return vendor, identity
    if named.phrasebook:
        from polydrift.translate.lexicon import Lexicon

        path = locate(named.phrasebook, build.folder)
        return Lexicon(path), {"phrasebook": path.read_text(encoding="utf-8")}
    from polydrift.translate.nllb import Nllb

    place, revision, identity = _model(build, named)
    model = Nllb(
        Path(place) if Path(place).is_dir() else place,
        revision=revision,
        backend=named.backend,
        device=named.device,
        beam=named.beam,
        compute_type=named.compute_type or "auto",
        converted=weights.conversions(),
    )
    return model, {**identity, **model.settings}
