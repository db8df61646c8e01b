"""Verdicts in, rates and effects out: the numbers of the study, each with its interval.

    made = analyse(verdicts, level=0.95, draws=2000, seed=0)
    made["rates"]      per variant, evaluation language, suite and kind: how many complied, refused
    made["effects"]    variant - base, paired by prompt, with a bootstrap interval
    made["pooled"]     the same over seeds
    made["blind_spot"] what an evaluation in English alone would have passed
    made["tipping"]    which way each tuning tipped a model
    made["heterogeneity"]  how much languages, seeds and prompts matter

    made |= further(made, items, level=0.95, draws=2000, seed=0)
    made["capability_effects"]   what tasks' scores changed, paired by question
    made["win_rates"]            how often judges prefer a variant's answers to a reference's
    made["associations"]         what goes with the change of compliance, and how closely

Tables and arrays in, tables and arrays out: nothing here knows where a verdict came from. Equal
verdicts and an equal seed give equal tables, whatever the order of the rows. docs/tables.md
documents the columns, docs/report.md what the intervals mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from polydrift.measures.irt import Items
from polydrift.stats.blind_spot import blind_spot
from polydrift.stats.capability import capability_effects
from polydrift.stats.cells import sort_into_cells
from polydrift.stats.effects import effects
from polydrift.stats.estimates import with_estimates
from polydrift.stats.heterogeneity import heterogeneity
from polydrift.stats.pooled import pooled
from polydrift.stats.rates import rates
from polydrift.stats.tipping import tipping

__all__ = ["analyse", "effects", "further", "rates"]


def analyse(verdicts: pa.Table, *, level: float, draws: int, seed: int) -> dict[str, pa.Table]:
    """The tables `rates`, `effects`, `pooled`, `blind_spot`, `tipping`, `heterogeneity`.

    level: of every interval, such as 0.95. draws: of the bootstrap. seed: of the bootstrap, and of
    nothing else. MeasureError for a verdict that is not known or an answer judged twice.
    """
    cells = sort_into_cells(verdicts)
    over_seeds = pooled(cells, level=level, draws=draws, seed=seed)
    return {
        "rates": rates(cells, level=level),
        "effects": effects(cells, level=level, draws=draws, seed=seed),
        "pooled": over_seeds,
        "blind_spot": blind_spot(over_seeds, cells, level=level, draws=draws, seed=seed),
        "tipping": tipping(cells, level=level, draws=draws, seed=seed),
        "heterogeneity": heterogeneity(cells, level=level),
    }


def further(
    made: Mapping[str, pa.Table],
    items: Mapping[str, Items],
    *,
    level: float,
    draws: int,
    seed: int,
) -> dict[str, pa.Table]:
    """The tables `capability_effects`, `win_rates`, `associations`; `capability` with gp-IRT.

    made: the tables `effects`, `measures`, `capability`, `questions` and `preferences`. items: the
    parameters of tinyBenchmarks' items, by benchmark; gp-IRT is estimated for those.
    """
    from polydrift.stats.association import associations
    from polydrift.stats.preferences import win_rates

    changes = capability_effects(
        made["capability"], made["questions"], level=level, draws=draws, seed=seed
    )
    return {
        "capability": with_estimates(made["capability"], made["questions"], items),
        "capability_effects": changes,
        "win_rates": win_rates(made["preferences"], items, level=level, draws=draws, seed=seed),
        "associations": associations(
            made["effects"], made["measures"], changes, level=level, draws=draws, seed=seed
        ),
    }
