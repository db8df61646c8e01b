"""gp-IRT beside plain accuracy: the score on a whole benchmark from its anchors' answers.

The estimate and its error are those of `measures.irt`; question 0 of a task is the first anchor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polydrift.errors import MeasureError
from polydrift.measures.irt import Items, gp_irt
from polydrift.stats.capability import VARIANT

METRIC = "gp_irt"


def with_estimates(
    capability: pa.Table, questions: pa.Table, items: Mapping[str, Items]
) -> pa.Table:
    """The table `capability` with a row "gp_irt" for every task of the benchmarks in `items`.

    `stderr` of these rows is the method's own error, the mean absolute one that its authors
    published, and NaN where they published none. An anchor that was not asked (`limit`) is
    estimated like every other item. MeasureError for questions beyond the anchors.
    """
    made: list[dict[str, Any]] = []
    task = ("benchmark", "task")
    main = capability.filter(
        pc.and_(
            capability["main"],
            pc.is_in(capability["benchmark"], pa.array(list(items), pa.string())),
        )
    )
    for row in main.to_pylist():
        wanted = questions
        for name in ("variant", *task):
            wanted = wanted.filter(pc.equal(wanted[name], row[name]))
        code = row["evaluation_language"]
        language = wanted["evaluation_language"]
        wanted = wanted.filter(pc.is_null(language) if code is None else pc.equal(language, code))
        numbers = wanted["question"].to_numpy()
        found = items[row["benchmark"]]
        size = len(found.anchors)
        if not len(numbers):
            continue
        if numbers.max() >= size:
            raise MeasureError(
                f"capability: task {row['task']!r} of {row['benchmark']!r} has a question "
                f"{numbers.max()} (counted from 0), and its `irt` file {size} anchors; give the "
                "file of this benchmark, or drop `irt`."
            )
        y = np.full(size, np.nan)
        y[numbers] = wanted["value"].to_numpy()
        estimate = gp_irt(y, found)
        made.append(
            {
                **row,
                "metric": METRIC,
                "filter": "none",
                "value": estimate.gp_irt,
                "stderr": estimate.error,
                "n": estimate.answered,
                "main": False,
                "higher_is_better": True,
            }
        )
    table = pa.concat_tables([capability, pa.Table.from_pylist(made, schema=capability.schema)])
    order = [(name, "ascending") for name in (*VARIANT, *task, "metric", "filter")]
    return table.sort_by(order).combine_chunks()
