"""Look inside variants of one base in one language, against the base on the same prompts.

Base activations are kept, those of variants are streamed against them: what is kept of a variant
are sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from polydrift.data.rows import rows_of
from polydrift.data.suites import Prompt, read_suite
from polydrift.engine.activations import Seen, activations
from polydrift.engine.model import Model
from polydrift.errors import MeasureError, PolydriftError
from polydrift.judges.openers import compliances, refusals
from polydrift.measures.direction import Direction, DirectionSums, fit_split, refusal_shift
from polydrift.measures.drift import DriftSums, divergence
from polydrift.measures.margin import refusal_margin, refusal_mass
from polydrift.measures.similarity import SimilaritySums
from polydrift.steps import DIRECTIONS, Job
from polydrift.steps.models import base_model, cohort_of, in_turn

Row = dict[str, Any]
Array = NDArray[np.float32]


def row(name: str, value: float, n: int, layer: int | None = None) -> Row:
    """A row of measures.json; NaN is null there."""
    number = float(value)
    return {
        "measure": name,
        "layer": layer,
        "value": None if np.isnan(number) else number,
        "n": int(n),
    }


def inside(jobs: Sequence[Job]) -> Iterator[tuple[int, list[Row] | PolydriftError]]:
    """(job, its rows): the first token's probabilities of all, and drift of variants, if wanted."""
    places = jobs[0].places
    prompts = rows_of(
        partial(read_suite, **places["how"]),
        Path(places["prompts"]),
        places["language"],
        jobs[0].files["prompts"],
    )
    cohort = cohort_of(jobs)
    suite = _Suite(cohort.model, places["language"], prompts)
    texts = [prompt.text for prompt in prompts]
    found: dict[int, _Looked] = {}
    base: _Base | None = None
    waiting: list[tuple[int, Seen]] = []  # seen of variants before all of their base was
    compared = next((job for job in jobs if _compared(job)), None)
    if compared and not any(map(_is_base, jobs)):  # another batch of jobs has it
        base = _Base(suite)
        for one in activations(base_model(compared), 1, texts):  # before any variant is merged
            base.add(one)

    def taken(i: int, seen: Seen) -> list[Row] | PolydriftError | None:
        """A job's rows, when all is seen."""
        try:
            if i not in found:
                found[i] = _Variant(suite, base) if base and _compared(jobs[i]) else _Looked(suite)
            found[i].add(seen)
            return found[i].rows() if found[i].count == len(prompts) else None
        except PolydriftError as error:
            return error

    for i, seen in cohort.activations(texts, progress=in_turn(jobs)):
        if isinstance(seen, PolydriftError):
            waiting = [pair for pair in waiting if pair[0] != i]
            yield i, seen
            continue
        if _is_base(jobs[i]) and i not in found:
            base = found[i] = _Base(suite)
        ready = [(i, seen)]
        if _compared(jobs[i]) and base is not None and base.count < len(prompts):
            waiting += ready
            continue
        if base is not None and base.count + len(seen.prompts) >= len(prompts):
            ready, waiting = ready + waiting, []
        for member, batch in ready:
            rows = taken(member, batch)
            if rows is not None:
                if member in found and jobs[member].params.get("drift"):
                    found[member].write(jobs[member].out / DIRECTIONS)
                jobs[member].seconds = (jobs[member].seconds or 0.0) + cohort.seconds[member]
                if suite.unsplit and _compared(jobs[member]):
                    jobs[member].notes["refusal_direction"] = suite.unsplit
                found.pop(member, None)
                yield member, rows


def _compared(job: Job) -> bool:
    """Whether a job's variant is to be set against its base."""
    return bool(job.params.get("drift")) and not _is_base(job)


def _is_base(job: Job) -> bool:
    return not (job.inputs or {"adapter", "tuned_model"} & job.places.keys())


class _Suite:
    """The prompts, and what is to be looked for. unsplit: why there is no refusal direction."""

    def __init__(self, model: Model, language: str, prompts: Sequence[Prompt]) -> None:
        self.language = language
        self.ids = [prompt.prompt_id for prompt in prompts]
        self.unsafe = np.array([prompt.kind == "unsafe" for prompt in prompts], dtype=bool)
        self.layers = model.network.config.get_text_config().num_hidden_layers + 1
        openers = [
            model.chat.first_tokens(one) for one in (refusals(language), compliances(language))
        ]
        # columns of the openers among all that are kept
        self.tokens = sorted({token for ids in openers for token in ids})
        self.refusing, self.complying = (
            [self.tokens.index(token) for token in ids] for ids in openers
        )
        self.fit: NDArray[np.bool_] | None = None
        self.unsplit = ""
        try:
            self.fit = fit_split(self.ids, self.unsafe, language)
        except MeasureError as error:
            self.unsplit = str(error)


class _Looked:
    """What is seen at the first token of the answers to unsafe prompts."""

    def __init__(self, suite: _Suite) -> None:
        self.suite, self.count = suite, 0
        self._openers = np.empty((len(suite.ids), len(suite.tokens)), np.float32)

    def add(self, seen: Seen) -> None:
        """Take in some prompts."""
        self.count += len(seen.prompts)
        self._openers[seen.prompts] = seen.logprobs_next[:, self.suite.tokens]

    def write(self, file: Path) -> None:
        """Write what is known of the refusal direction, for languages to be compared: its
        difference of means, and the means of held-out unsafe and safe prompts, [layers, width]
        each.
        """

    def rows(self) -> list[Row]:
        """The figures, all prompts seen."""
        suite = self.suite
        shown = self._openers[suite.unsafe]
        asked = (shown, suite.refusing, suite.complying)
        return [
            row("refusal_margin", refusal_margin(*asked), len(shown)),
            row("refusal_mass", refusal_mass(*asked), len(shown)),
        ]


class _Base(_Looked):
    """A base, kept. Arrays as in `Seen`, all prompts in the suite's order."""

    def __init__(self, suite: _Suite) -> None:
        super().__init__(suite)
        self.last: Array | None = None
        self.mean: Array | None = None
        self.logprobs: Array | None = None
        self._direction: Direction | None = None

    def add(self, seen: Seen) -> None:
        """Keep some prompts."""
        super().add(seen)
        size = len(self.suite.ids)
        if self.last is None or self.mean is None or self.logprobs is None:
            layers, _, width = seen.last.shape
            self.last = np.empty((layers, size, width), np.float32)
            self.mean = np.empty_like(self.last)
            self.logprobs = np.empty((size, seen.logprobs_next.shape[1]), np.float32)
        self.last[:, seen.prompts] = seen.last
        self.mean[:, seen.prompts] = seen.mean
        self.logprobs[seen.prompts] = seen.logprobs_next

    def write(self, file: Path) -> None:
        """As `_Looked.write`."""
        suite = self.suite
        if suite.fit is not None and self.direction is not None and self.last is not None:
            held = np.flatnonzero(~suite.fit)
            sums = DirectionSums(suite.layers, suite.language)
            sums.add(self.last[:, held], suite.unsafe[held], [suite.ids[i] for i in held])
            _save(file, self.direction, sums)

    @property
    def direction(self) -> Direction | None:
        """The refusal direction, if the prompts allow one; all of them have been seen."""
        suite = self.suite
        if self._direction is None and suite.fit is not None and self.last is not None:
            sums = DirectionSums(suite.layers, suite.language)
            fit = np.flatnonzero(suite.fit)
            sums.add(self.last[:, fit], suite.unsafe[fit], [suite.ids[i] for i in fit])
            self._direction = sums.direction()
        return self._direction


class _Variant(_Looked):
    """A variant against its base."""

    def __init__(self, suite: _Suite, base: _Base) -> None:
        super().__init__(suite)
        self._base = base
        self._last, self._mean = DriftSums(suite.layers), DriftSums(suite.layers)
        self._alike = SimilaritySums(suite.layers)
        self._kl, self._js = (np.full(len(suite.ids), np.nan) for _ in range(2))
        self._turned = DirectionSums(suite.layers, suite.language, "variant")
        self._held = DirectionSums(suite.layers, suite.language, "variant")
        self._projected = np.full((suite.layers, len(suite.ids)), np.nan)

    def add(self, seen: Seen) -> None:
        """Compare some prompts."""
        super().add(seen)
        base, suite, here = self._base, self.suite, np.array(seen.prompts)
        assert base.last is not None
        assert base.mean is not None
        assert base.logprobs is not None
        names = [suite.ids[i] for i in here]
        last = base.last[:, here]
        self._last.add(last, seen.last, names)
        self._mean.add(base.mean[:, here], seen.mean, names)
        self._alike.add(last, seen.last, names)
        apart = divergence(base.logprobs[here], seen.logprobs_next, names)
        self._kl[here], self._js[here] = apart.kl, apart.js
        if suite.fit is not None and base.direction is not None:
            fit = suite.fit[here]
            self._turned.add(seen.last[:, fit], suite.unsafe[here][fit])
            self._held.add(seen.last[:, ~fit], suite.unsafe[here][~fit])
            held = base.direction.project(seen.last[:, ~fit], "variant")
            self._projected[:, here[~fit]] = held

    def write(self, file: Path) -> None:
        """As `_Looked.write`."""
        if self.suite.fit is not None:
            _save(file, self._turned.direction(), self._held)

    def rows(self) -> list[Row]:
        """The figures, all prompts seen."""
        n = len(self.suite.ids)
        last, mean, alike = self._last.drift(), self._mean.drift(), self._alike.similarity()
        layered = {
            "drift_cosine": last.cosine,
            "drift_l2": last.relative_l2,
            "drift_mean_cosine": mean.cosine,
            "drift_mean_l2": mean.relative_l2,
            "cka": alike.cka,
            "cka_debiased": alike.cka_debiased,
            "procrustes": alike.procrustes,
        }
        found = [
            row(name, value, n, layer)
            for name, values in layered.items()
            for layer, value in enumerate(values)
        ]
        found += [
            row("next_token_kl", self._kl.mean(), n),
            row("next_token_js", self._js.mean(), n),
        ]
        return super().rows() + found + self._shift()

    def _shift(self) -> list[Row]:
        """How far unsafe and safe prompts moved along the base's refusal direction."""
        suite, base = self.suite, self._base
        if suite.fit is None or base.direction is None or base.last is None:
            return []
        held = ~suite.fit
        before = base.direction.project(base.last[:, held], "base")
        shift = refusal_shift(before, self._projected[:, held], suite.unsafe[held], suite.language)
        unsafe, safe = shift.prompts
        turned = np.sum(base.direction.unit * self._turned.direction().unit, axis=1)
        layered = (
            ("refusal_shift", shift.unsafe, unsafe),
            ("refusal_shift_safe", shift.safe, safe),
            ("refusal_auc", shift.auc, unsafe + safe),
            ("refusal_auc_variant", shift.variant_auc, unsafe + safe),
            ("refusal_direction_cosine", turned, int(suite.fit.sum())),
        )
        found = [
            row(name, value, n, layer)
            for name, values, n in layered
            for layer, value in enumerate(values)
        ]
        if (clearest := shift.clearest) is not None:
            found.append(row("refusal_shift_clearest", shift.unsafe[clearest], unsafe))
        return found


def _save(file: Path, direction: Direction, held: DirectionSums) -> None:
    unsafe, safe = held.means()
    arrays = {"direction": direction.difference, "unsafe": unsafe, "safe": safe}
    save_file({name: array.astype(np.float32) for name, array in arrays.items()}, file)
