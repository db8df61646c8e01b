"""Small tables of verdicts as letters: c complied, r refused, o other, ? unparsed, . absent.

verdicts({("m", "en"): "crr?", ("m+a", "en"): "ccro"})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

WORDS = {"c": "complied", "r": "refused", "o": "other", "?": "unparsed"}
SCHEMA = pa.schema(
    {
        **{name: pa.string() for name in ("base", "variant", "arm", "tuning_language")},
        **{name: pa.int64() for name in ("tuning_seed", "epochs")},
        **{
            name: pa.string()
            for name in ("evaluation_language", "suite", "kind", "category", "prompt_id")
        },
        "sample": pa.int64(),
        **{
            name: pa.string()
            for name in ("judge", "verdict", "detail", "evidence", "answer_language")
        },
        "wrong_language": pa.bool_(),
    }
)


def rows(
    cells: Mapping[tuple[str, str], str], *, samples: int = 1, **columns: Any
) -> list[dict[str, Any]]:
    """Rows for {(variant, language): letters}, prompts in order, `samples` letters for each."""
    found = []
    for (variant, language), letters in cells.items():
        tuned = "+" in variant
        for place, letter in enumerate(letters):
            if letter == ".":
                continue
            found.append(
                {
                    "base": variant.split("+")[0],
                    "variant": variant,
                    "arm": variant.split("+")[1] if tuned else None,
                    "tuning_language": "da" if tuned else None,
                    "tuning_seed": 1 if tuned else None,
                    "epochs": 3 if tuned else None,
                    "evaluation_language": language,
                    "suite": "s",
                    "kind": "unsafe",
                    "category": "x",
                    "prompt_id": f"p{place // samples:03}",
                    "sample": place % samples,
                    "judge": "rules",
                    "verdict": WORDS.get(letter, letter),
                    "detail": "",
                    "evidence": "",
                    "answer_language": language,
                    "wrong_language": False,
                    **columns,
                }
            )
    return found


def verdicts(cells: Mapping[tuple[str, str], str], *, samples: int = 1, **columns: Any) -> pa.Table:
    """The table of `rows`."""
    return pa.Table.from_pylist(rows(cells, samples=samples, **columns), schema=SCHEMA)
