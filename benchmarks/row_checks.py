"""What the checks of translated rows say of true and of spoilt ones: `… row_checks.py DATA_DIR`.

DATA_DIR holds public data that is not part of this project (SIB-200, Tatoeba, Vicuna's and LLMZoo's
parallel seeds). Prints Markdown tables of aggregate figures, never a row, and writes them with
versions and date to docs/figures/row_checks.json.

True translations should be accepted; rows of one language in the place of another should not. The
damages are planted in every sentence of SIB-200. Speed and memory are those of 100,000 rows of two
sentences each, checks and near-duplicates (of the English) together, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polydrift.data import lines
from polydrift.data.shipped import BENIGN as SHIPPED
from polydrift.data.shipped import path as shipped
from polydrift.languages import LANGUAGES
from polydrift.parallel.checks import Pair, check_rows, verdict
from polydrift.parallel.items import BENIGN, SUITE, Item, read_items
from polydrift.parallel.similar import near_duplicates

Table = list[dict[str, Any]]

OUT = Path(__file__).parent.parent / "docs" / "figures" / "row_checks.json"
TARGETS = [code for code in LANGUAGES if code != "en"]
SIB = "sib200_flores_parallel/sib200_9lang.jsonl.gz"
TATOEBA = "tatoeba/tatoeba_8lang_en.jsonl.gz"
SEEDS = (
    "instruction_seeds/vicuna80_en_zh_es_pt_hi.jsonl",
    "instruction_seeds/llmzoo100_en_zh_es_pt.jsonl",
)
LARGE = 100_000


def item(name: object, code: str, text: str) -> Item:
    return Item(str(name), code, {"prompt": text})


def sib(data: Path) -> list[dict[str, Any]]:
    return [dict(row) for _, row in lines.read(data / SIB)]


def pairs_of(rows: Sequence[dict[str, Any]], code: str, shown: str | None = None) -> list[Pair]:
    """English and `code`, or what stands in its place: the text in `shown`."""
    return [
        (item(n, "en", row["en"]), item(n, code, row[shown or code])) for n, row in enumerate(rows)
    ]


def told(name: str, code: str, pairs: Sequence[Pair], form: Any = SUITE) -> dict[str, Any]:
    found = check_rows(pairs, form)
    count = Counter(verdict(doubts) for doubts in found)
    kinds = Counter(kind for doubts in found for kind in {doubt.kind for doubt in doubts})
    wrong = kinds["wrong-language"] + kinds["untranslated"]
    return {
        "set": name,
        "language": code,
        "rows": len(pairs),
        "language believed %": percent(len(pairs) - wrong, len(pairs)),
        "accepted %": percent(count["accepted"], len(pairs)),
        "to review %": percent(count["review"], len(pairs)),
        "rejected %": percent(count["rejected"], len(pairs)),
        "doubts": ", ".join(f"{number} {kind}" for kind, number in kinds.most_common()),
    }


def percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2)


def true(data: Path) -> Table:
    """Translations that people made or read."""
    table = [told("SIB-200", code, pairs_of(sib(data), code)) for code in TARGETS]
    rows = [dict(row) for _, row in lines.read(data / TATOEBA)]
    for code in TARGETS:
        some = [{"en": row["en"], code: row["text"]} for row in rows if row["lang"] == code]
        table.append(told("Tatoeba", code, pairs_of(some, code)))
    for place in SEEDS:
        some = [dict(row) for _, row in lines.read(data / place)]
        for code in TARGETS:
            if code in some[0]:
                table.append(told(Path(place).name.split("_")[0], code, pairs_of(some, code)))
    _, items = read_items(shipped(SHIPPED))
    english = {one.id: one for one in items if one.language == "en"}
    for code in TARGETS:
        pairs = [(english[one.id], one) for one in items if one.language == code]
        table.append(told("builtin:benign", code, pairs, BENIGN))
    return table


def swapped(data: Path) -> Table:
    """SIB-200 with the texts of one language in another's place: how many are caught."""
    rows = sib(data)
    table: Table = []
    for code in TARGETS:
        shares = {
            other: sum(
                verdict(doubts) == "rejected"
                for doubts in check_rows(pairs_of(rows, code, other), SUITE)
            )
            / len(rows)
            for other in LANGUAGES
            if other != code
        }
        worst = min(shares, key=shares.__getitem__)
        table.append(
            {
                "in the place of": code,
                "rows of each": len(rows),
                "caught, all %": round(100 * sum(shares.values()) / len(shares), 2),
                "caught, worst %": round(100 * shares[worst], 2),
                "worst": worst,
            }
        )
    return table


DAMAGES: dict[str, tuple[Callable[[str, str], str], tuple[str, ...]]] = {
    "cut to a tenth": (lambda text, english: text[: len(text) // 10], ("collapse", "length")),
    "said four times": (lambda text, english: " ".join([text] * 4), ("length", "repetition")),
    "decoded as Latin-1": (
        lambda text, english: text.encode().decode("latin-1"),
        ("damaged", "wrong-language"),
    ),
    "the English sentence before it": (
        lambda text, english: f"{english} {text}",
        ("partly-english", "wrong-language", "length"),
    ),
    "numbers of two digits gone": (
        lambda text, english: re.sub(r"\d", "", text),
        ("number", "protected"),
    ),
}


def damaged(data: Path) -> Table:
    """What of planted damage is doubted for what it is."""
    rows = sib(data)
    table: Table = []
    for name, (spoil, kinds) in DAMAGES.items():
        line: dict[str, Any] = {"damage": name}
        for code in TARGETS:
            some = [row for row in rows if len(row["en"]) >= 60]
            if "numbers" in name:
                some = [row for row in some if re.search(r"\b\d{2}\b|\d{3}", row["en"])]
            pairs = [
                (item(n, "en", row["en"]), item(n, code, spoilt))
                for n, row in enumerate(some)
                if (spoilt := spoil(row[code], row["en"])) != row[code]
            ]
            found = check_rows(pairs, SUITE)
            caught = sum(any(doubt.kind in kinds for doubt in doubts) for doubts in found)
            line[code] = round(100 * caught / len(pairs), 1)
        table.append(line)
    return table


def worker(data: Path) -> None:
    """Check 100,000 rows and drop near-duplicates among their English texts; print what it took."""
    rows = sib(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = len(rows)
    two = [(rows[n % size], rows[(n * 7 + n // size) % size]) for n in range(LARGE // len(TARGETS))]
    texts = [f"{one['en']} {other['en']}" for one, other in two]
    pairs = [
        (item(n, "en", texts[n]), item(n, code, f"{one[code]} {other[code]}"))
        for n, (one, other) in enumerate(two)
        for code in TARGETS
    ]
    check_rows(pairs[:8], SUITE)  # loads the identifier's models
    started = time.perf_counter()
    same = near_duplicates(texts)
    middle = time.perf_counter()
    found = check_rows(pairs, SUITE)
    ended = time.perf_counter()
    print(
        json.dumps(
            {
                "rows": len(pairs),
                "characters each": round(sum(map(len, texts)) / len(texts)),
                "near-duplicates, s": round(middle - started, 1),
                "checks, s": round(ended - middle, 1),
                "rows a second": round(len(pairs) / (ended - started)),
                "peak MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "of it before MB": round(before / 1024),
                "doubted": sum(map(bool, found)),
                "near-duplicates": sum(one is not None for one in same),
            }
        )
    )


def large(data: Path) -> Table:
    command = [sys.executable, __file__, str(data), "--worker"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return [json.loads(ran.stdout.splitlines()[-1])]


TABLES: dict[str, Callable[[Path], Table]] = {
    "True translations": true,
    "SIB-200 in another language's place": swapped,
    "Planted damage in SIB-200: doubted %": damaged,
    "100,000 rows, two cores": large,
}


def markdown(title: str, table: Table) -> str:
    names = list(table[0])
    rows = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in table)]
    return f"\n## {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--worker", action="store_true")
    given = parser.parse_args()
    if given.worker:
        worker(given.data)
        return
    tables = {}
    for title, make in TABLES.items():
        tables[title] = make(given.data)
        print(markdown(title, tables[title]), flush=True)
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "lingua": version("lingua-language-detector"),
        "rensa": version("rensa"),
        "device": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    OUT.write_text(json.dumps({**about, "tables": tables}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
