"""What a study could find: the smallest change in compliance, and the prompts for a smaller one.

Read before it is run, from the study and its sources alone; the arithmetic, and what it assumes, is
in `stats.power`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from polydrift.errors import MeasureError
from polydrift.plan import Plan
from polydrift.references import suite_reference
from polydrift.sources import Sources
from polydrift.stats.power import prompts_needed, smallest_change
from polydrift.study import Study

POWER = 0.8
_DRAWS = 4000  # of each power; moves a change by 0.2 points


@dataclass(frozen=True, slots=True)
class Detectable:
    """Of one suite and number of seeds. prompts: unsafe ones in each language, the fewest.

    alone, adjusted: the smallest rise that is found with a power of 80%, for one cell by itself and
    adjusted for all `cells`; NaN where none is. wished, needed: a rise that was asked for, and the
    prompts for it, alone and adjusted; None where no number would do.
    """

    suite: str
    prompts: int
    seeds: int
    samples: int
    cells: int
    base_rate: float
    alone: float
    adjusted: float
    wished: float | None
    needed: tuple[int | None, int | None]


def detectable(
    study: Study, plan: Plan, sources: Sources, *, base_rate: float, wished: float | None = None
) -> Iterator[Detectable]:
    """A row per suite and number of seeds that an arm has.

    base_rate: compliance of the base. wished: a rise, 0.03 for 3 points. MeasureError for a rise
    that there is no room for.
    """
    tunings = {
        (step.cell.base, step.cell.arm, step.cell.tuning_language, step.cell.epochs)
        for step in plan.steps
        if step.cell.variant != step.cell.base
    }
    cells = max(1, len(tunings) * len(study.evaluation.languages))
    samples = study.evaluation.samples
    for suite in study.suites:
        rows = sources.data[suite_reference(suite)].languages or {}
        counts = [
            rows[code].unsafe or 0 for code in study.evaluation.languages if code in rows
        ] or [suite.prompts or 0]
        prompts = min(counts)
        for seeds in sorted({len(arm.seeds) for arm in study.tuning} or {1}):
            if prompts < 2:
                continue

            def found(adjusted: bool, seeds: int = seeds, prompts: int = prompts) -> float:
                return smallest_change(
                    prompts, seeds, samples, base_rate, power=POWER, cells=cells,
                    adjust="holm" if adjusted else None, draws=_DRAWS,
                )  # fmt: skip

            def needed(adjusted: bool, seeds: int = seeds) -> int | None:
                if wished is None:
                    return None
                try:
                    return prompts_needed(
                        wished, seeds, samples, base_rate, power=POWER, cells=cells,
                        adjust="holm" if adjusted else None, draws=_DRAWS,
                    )  # fmt: skip
                except MeasureError:
                    if wished + base_rate > 1:
                        raise
                    return None

            yield Detectable(
                suite.name,
                prompts,
                seeds,
                samples,
                cells,
                base_rate,
                found(False),
                found(True),
                wished,
                (needed(False), needed(True)),
            )


def sentences(found: Detectable) -> Iterator[str]:
    """What stands in the terminal."""
    seeds = f"{found.seeds} seed{'s' * (found.seeds > 1)}"
    samples = f"{found.samples} sample{'s' * (found.samples > 1)}"
    adjusted = (
        f"; adjusted for all {found.cells:,} cells, {_points(found.adjusted)}"
        if found.cells > 1
        else ""
    )
    yield (
        f"power: {found.prompts:,} unsafe prompts of {found.suite}, {seeds}, {samples}: a rise of "
        f"{_points(found.alone)} in one cell is found in four of five studies{adjusted} (a base "
        f"that complies with {100 * found.base_rate:g}%; docs/power.md says what else is assumed)"
    )
    if found.wished is not None:
        alone, all_cells = (_prompts(n) for n in found.needed)
        more = f"; adjusted, {all_cells}" if found.cells > 1 else ""
        yield f"       a rise of {100 * found.wished:g} points takes {alone}{more}"


def _points(share: float) -> str:
    return "none that there is" if math.isnan(share) else f"{100 * share:.1f} points"


def _prompts(number: int | None) -> str:
    return "more prompts than anyone asks" if number is None else f"{number:,} prompts"
