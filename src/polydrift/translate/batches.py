"""What translation services share: texts in batches, masks, tries, and what becomes of failures.

    class MineInto(Service):
        name, texts, characters, called = "mine", 50, 20_000, {"zh": ("zh-CN",)}
        def _known(self): ...                  # the languages that it translates into
        def _translated(self, texts, code): ...      # one request

Protected spans go as masks (`protect`); a text whose masks do not all come back goes once more as
it is. A request that is refused is taken apart, so that one bad text costs no other. What fails for
a passing reason is tried again, then "failed" and not final; after GIVE_UP requests in a row the
service is left alone, and the texts that it was not sent are absent.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from polydrift.engine.asking import UnansweredError, short
from polydrift.errors import ModelError
from polydrift.languages import LANGUAGES
from polydrift.translate import protect
from polydrift.translate.interface import Progress, silent
from polydrift.translate.into import TARGETS, reachable
from polydrift.translate.replies import Rendering

GIVE_UP = 3  # requests in a row that fail for a passing reason
_LONGEST_PAUSE = 60.0  # seconds

Made = TypeVar("Made")


class Service(ABC):
    """What both have in common: batches, masks, tries, and what becomes of failures."""

    name: ClassVar[str]
    texts: ClassVar[int]  # in a request
    characters: ClassVar[int]  # in a request, unless one text has more
    called: ClassVar[Mapping[str, Sequence[str]]]  # what it may call languages, the best first
    gives_up: ClassVar[bool] = True  # `into` may end before all texts are there

    def __init__(
        self, *, keep: Sequence[str] = (), tries: int = 6, timeout: float = 60.0, pause: float = 1.0
    ) -> None:
        """Nothing is sent before `languages` or `into`.

        keep: names to be left as they are. tries: for each request. timeout: seconds for each.
        pause: seconds before the second try; each further one is twice as long.
        """
        self._keep, self._tries, self._timeout, self._pause = tuple(keep), tries, timeout, pause

    @property
    def identity(self) -> dict[str, Any]:
        """See `IntoLanguage.identity`."""
        return {"service": self.name, "keep": sorted(self._keep), "masks": 1}

    @property
    def languages(self) -> frozenset[str]:
        """See `IntoLanguage.languages`; the service is asked once. ModelError if it cannot be."""
        return frozenset(self._codes)

    @cached_property
    def _codes(self) -> dict[str, str]:
        """What the service calls the languages that it knows."""
        there = {code.lower(): code for code in self._again(self._known)}
        called = {code: self.called.get(code, (code,)) for code in LANGUAGES if code in TARGETS}
        found = {
            code: [there[name.lower()] for name in names if name.lower() in there]
            for code, names in called.items()
        }
        return {code: names[0] for code, names in found.items() if names}

    def into(
        self, texts: Sequence[str], target: str, progress: Progress = silent
    ) -> Generator[tuple[int, Rendering], None, None]:
        """See `IntoLanguage.into`; a request's rows come together, and none after GIVE_UP requests
        that failed in a row.
        """
        code = self._codes[reachable(self, target).code]
        blank = [i for i, text in enumerate(texts) if not text.strip()]
        yield from ((i, Rendering(texts[i])) for i in blank)
        done, failures = len(blank), 0
        for batch in self._batches(texts, set(blank)):
            made = self._made([texts[i] for i in batch], code)
            failures = failures + 1 if all(_passing(one) for one in made) else 0
            done += len(batch)
            progress(done / len(texts), f"{done} of {len(texts)} texts")
            yield from zip(batch, made, strict=True)
            if failures == GIVE_UP:
                return

    def _batches(self, texts: Sequence[str], blank: set[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        size = 0
        for i, text in enumerate(texts):
            if i in blank:
                continue
            if batch and (len(batch) == self.texts or size + len(text) > self.characters):
                yield batch
                batch, size = [], 0
            batch.append(i)
            size += len(text)
        if batch:
            yield batch

    def _made(self, texts: list[str], code: str) -> list[Rendering]:
        """What becomes of the texts of one request."""
        masked = [protect.mask(text, self._keep) for text in texts]
        made = self._sent([text for text, _ in masked], code)
        found: list[Rendering | None] = []
        for one, (_, table) in zip(made, masked, strict=True):
            back = None if one.problem else protect.unmask(one.text, table)
            found.append(one if one.problem else Rendering(back) if back is not None else None)
        again = [i for i, one in enumerate(found) if one is None]
        bare = dict(zip(again, self._sent([texts[i] for i in again], code), strict=True))
        return [bare[i] if one is None else one for i, one in enumerate(found)]

    def _sent(self, texts: list[str], code: str) -> list[Rendering]:
        """Each text's rendering; texts that are refused together are sent one by one."""
        if not texts:
            return []
        try:
            found = self._again(lambda: self._translated(texts, code))
        except UnansweredError as error:
            if error.final and len(texts) > 1:
                return [self._sent([text], code)[0] for text in texts]
            return [Rendering("", "failed", str(error), error.final)] * len(texts)
        nothing = Rendering("", "empty", f"{self.name} gave nothing back")
        return [Rendering(text.strip()) if text.strip() else nothing for text in found]

    def _again(self, call: Callable[[], Made]) -> Made:
        """`call`, repeated while it fails for a passing reason, `tries` times in all."""
        pause = self._pause
        for _ in range(self._tries - 1):
            try:
                return call()
            except UnansweredError as error:
                if error.final:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return call()

    @abstractmethod
    def _known(self) -> list[str]:
        """What the service calls the languages it translates into."""

    @abstractmethod
    def _translated(self, texts: list[str], code: str) -> list[str]:
        """The translations of one request; UnansweredError, or ModelError if nothing helps."""

    def _broken(self, why: str) -> UnansweredError:
        return UnansweredError(
            f"{self.name} answers with what is no translation ({why}), tried {self._tries} times; "
            "try again later.",
            final=False,
        )


def _passing(made: Rendering) -> bool:
    return made.problem == "failed" and not made.final


def by_status(name: str, status: int, said: str, tries: int, variable: str) -> ModelError:
    """What an HTTP status that is no answer means."""
    if status in (401, 403):
        return ModelError(
            f"{name} does not let this key translate (HTTP {status}: {said}); set one that may in "
            f"{variable}, or name another translator."
        )
    if status == 404:
        return ModelError(
            f"{name}: no such service is at that address (HTTP 404: {said}); mend the address."
        )
    if status >= 500 or status in (408, 409, 425, 429):
        many = "has too many requests" if status == 429 else "fails"
        return UnansweredError(
            f"{name} {many} (HTTP {status}: {said}), tried {tries} times; try again later.",
            final=False,
        )
    return UnansweredError(
        f"{name} refuses a text (HTTP {status}: {said}); shorten it, or name another translator.",
        final=True,
    )


def first_cause(error: BaseException) -> str:
    """The first cause of an error."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return short(error)
