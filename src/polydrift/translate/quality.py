"""How good translations are, beside references: chrF, by sacreBLEU.

    >>> chrf(["Mix flour and sugar."], ["Mix the flour and the sugar."])
    59.3…
    >>> by_language(["Mix.", "Wait."], ["Mix.", "Wait!"], ["da", "el"])
    {'da': 100.0, 'el': …}

chrF (Popović 2015) is the F₂ score of character n-grams, n = 1 … 6, from 0 to 100; sacreBLEU 2's
defaults, signature nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no. It needs no words, so it is used
for languages without blanks too. A suite holds its prompts in English and in other languages: the
chrF of the translated prompt beside the English one says how good the translator is, where the
right English is known. `round_trip` says it where there is only English.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from polydrift.errors import MeasureError
from polydrift.languages import in_order
from polydrift.translate.interface import Progress, Translator, silent

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


class BothWays(Translator, Protocol):
    """A translator that can also go from English."""

    def from_english(
        self, sentences: Sequence[str], target: str, progress: Progress = silent
    ) -> list[str]:
        """Like `translate`, into the language of code `target`."""
        ...


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """The chrF of a corpus, 0 to 100: n-gram counts summed over all. NaN if there is nothing.

    hypotheses, references: as many of each, in the same order.
    """
    _aligned(hypotheses, references)
    if not hypotheses:
        return float("nan")
    return float(_metric().corpus_score(list(hypotheses), [list(references)]).score)


def chrf_each(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """The chrF of each sentence, 0 to 100."""
    _aligned(hypotheses, references)
    metric = _metric()
    return [
        float(metric.sentence_score(hypothesis, [reference]).score)
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def by_language(
    hypotheses: Sequence[str], references: Sequence[str], languages: Sequence[str]
) -> dict[str, float]:
    """The chrF of each language's part of a corpus, in the order of `languages.LANGUAGES`."""
    _aligned(hypotheses, references)
    found = {}
    for code in in_order(languages):
        part = [i for i, language in enumerate(languages) if language == code]
        found[code] = chrf([hypotheses[i] for i in part], [references[i] for i in part])
    return found


def round_trip(
    translator: BothWays, english: Sequence[str], through: str, progress: Progress = silent
) -> float:
    """The chrF of English sentences put into the language of code `through` and back.

    It flatters: what one way drops, the other cannot restore, but what both copy counts as right.
    """
    there = translator.from_english(english, through, lambda d, text: progress(d / 2, text))
    back = translator.translate(there, through, lambda d, text: progress(0.5 + d / 2, text))
    return chrf(back, english)


def _metric() -> CHRF:
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise MeasureError(
            'chrF is computed by sacreBLEU; pip install "polydrift[translate]".'
        ) from error
    return CHRF()


def _aligned(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise MeasureError(
            f"{len(hypotheses)} translations cannot be compared with {len(references)} references; "
            "give one reference for each."
        )
