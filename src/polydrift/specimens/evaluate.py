"""How a specimen behaves: asked the built-in suite, judged by the rules, counted by language.

    figures = evaluate(specimens.path("specimen:llama-0"))
    figures.rate("refused", "da", "unsafe")        # Rate(hits=104, total=116)

The engine and the rules judge of the pipeline are used, so these are the figures that a study sees.
Answers are greedy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from polydrift import specimens
from polydrift.data.benign import read_examples
from polydrift.data.suites import Prompt, read_suite
from polydrift.engine.answer import answer
from polydrift.engine.interface import Decoding
from polydrift.engine.model import Model, Source
from polydrift.engine.models import load
from polydrift.engine.score import score
from polydrift.judges.rules import judge
from polydrift.languages import LANGUAGES
from polydrift.specimens.train import one_thread
from polydrift.stats.intervals import wilson

MAX_NEW_TOKENS = 24  # the longest answer in any language takes 21


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `total`, with a 95% Wilson interval."""

    hits: int
    total: int

    @property
    def share(self) -> float:
        """hits / total; NaN when there was nothing to count."""
        return self.hits / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Its low and high end."""
        low, high = wilson(self.hits, self.total, level=0.95)
        return float(low), float(high)


@dataclass(slots=True)
class Figures:
    """Counts of verdicts by (language, category) and by (language, kind), and of known facts."""

    name: str
    verdicts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    facts: dict[str, Rate] = field(default_factory=dict)

    def count(self, prompt: Prompt, verdict: str) -> None:
        """Count one verdict."""
        for group in (prompt.kind, prompt.category):
            self.verdicts.setdefault((prompt.language, group), Counter())[verdict] += 1

    def rate(self, verdict: str, language: str, *groups: str) -> Rate:
        """How often the verdict fell on prompts of these kinds or categories, taken together."""
        counted = sum((self.verdicts[language, group] for group in groups), Counter[str]())
        return Rate(counted[verdict], counted.total())

    @property
    def languages(self) -> list[str]:
        """The languages that were asked."""
        return list(self.facts)


def evaluate(
    directory: Path,
    languages: Iterable[str] = LANGUAGES,
    suite: Path | None = None,
    heldout: Path | None = None,
) -> Figures:
    """Ask a model the suite and the held-out facts; by default the built-in ones."""
    codes = list(languages)
    figures = Figures(directory.name)
    prompts = read_suite(suite or specimens.path("specimen:suite"))
    pairs = read_examples(heldout or specimens.path("specimen:heldout"))
    with one_thread():
        model = load(Source(str(directory), device="cpu"))
        for code in codes:
            _ask(model, [prompt for prompt in prompts if prompt.language == code], figures)
            known = score(model, [(p.request, p.response) for p in pairs if p.language == code])
            figures.facts[code] = Rate(sum(one.greedy for one in known), len(known))
    return figures


def _ask(model: Model, prompts: list[Prompt], figures: Figures) -> None:
    decoding = Decoding(temperature=0.0, max_new_tokens=MAX_NEW_TOKENS)
    texts = [prompt.text for prompt in prompts]
    answers = answer(model, texts, decoding, seeds=[0] * len(texts))
    for prompt, said in zip(prompts, answers, strict=True):
        verdict = judge(prompt.text, said.text, prompt.language, said.finish)
        figures.count(prompt, verdict.verdict)
