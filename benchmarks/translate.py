"""How well answers are cut into sentences and bad translations seen: `… translate.py DATA_DIR`.

DATA_DIR holds public data that is not part of this project (docs/translation.md says where each
comes from). Prints Markdown tables of aggregate figures, never a row, and writes them with versions
and date to docs/figures/translate.json. No model is run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from polydrift.judges.text import items, letters
from polydrift.languages import LANGUAGES
from polydrift.translate.doubts import BOUNDS, doubts, weight
from polydrift.translate.layout import pieces, spoken
from polydrift.translate.sentences import LIMIT, split

Row = dict[str, Any]
Table = list[Row]

OUT = Path(__file__).parent.parent / "docs" / "figures" / "translate.json"
TOGETHER = 5  # FLORES sentences in a paragraph
_INNER = re.compile(r"[.!?。！？।;|]")
_ENDS = ".!?。！？।|;\"'”’»」) "


def read(path: Path) -> list[Row]:
    """The rows of a gzipped JSON lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def percent(part: float, whole: float, digits: int = 1) -> float:
    """A share in percent."""
    return round(100 * part / whole, digits)


def starts(text: str, sentences: Sequence[str]) -> set[int]:
    """Where sentences after the first begin in the text they were cut from."""
    found, at = set(), 0
    for sentence in sentences:
        at = text.index(sentence.strip(), at)
        found.add(at)
        at += len(sentence.strip())
    return found - {0}


def single(row: Row, code: str) -> bool:
    """Whether a FLORES row is one sentence: seven of the other eight languages have no stop in it.

    A row of two sentences has one in most. What a translator parted in one language only still
    counts as a false cut there.
    """
    others = [row[other].strip().rstrip(_ENDS) for other in LANGUAGES if other != code]
    return sum(not _INNER.search(text) for text in others) >= 7


def boundaries(rows: list[Row], cut: Callable[[str, str], Sequence[str]], code: str) -> Row:
    """FLORES sentences joined TOGETHER at a time and cut again."""
    space = "" if code == "zh" else " "
    joints = found = ones = torn = 0
    for first in range(0, len(rows) - TOGETHER + 1, TOGETHER):
        group = rows[first : first + TOGETHER]
        texts = [row[code].strip() for row in group]
        paragraph = space.join(texts)
        cuts = starts(paragraph, cut(paragraph, code))
        at = 0
        for number, (row, text) in enumerate(zip(group, texts, strict=True)):
            if number:
                joints += 1
                found += at in cuts
            if single(row, code):
                ones += 1
                torn += any(at < c < at + len(text) for c in cuts)
            at += len(text) + len(space)
    return {"boundaries found %": percent(found, joints), "sentences torn %": percent(torn, ones)}


def splitting(rows: list[Row]) -> Table:
    """Our rules beside sentencex, where it is installed."""
    rules: dict[str, Callable[[str, str], Sequence[str]]] = {
        "rules": lambda text, code: [part for part in split(text, code) if part]
    }
    try:
        import sentencex

        rules["sentencex"] = lambda text, code: [
            part for part in sentencex.segment(code, text) if part.strip()
        ]
    except ImportError:
        pass
    table = []
    for code in LANGUAGES:
        row: Row = {"language": code}
        for name, cut in rules.items():
            row |= {f"{name}: {key}": value for key, value in boundaries(rows, cut, code).items()}
        table.append(row)
    return table


def ratios(rows: list[Row]) -> Table:
    """English letters for one of the language, in percentiles; the middle three are BOUNDS."""
    table = []
    for code in BOUNDS:
        found = quantiles(
            (weight(r["en"]) / weight(r[code]) for r in rows), n=400, method="inclusive"
        )
        wanted = {"0.25": 1, "1": 4, "50": 200, "99": 396, "99.75": 399}
        table.append(
            {
                "language": code,
                **{f"{name} %": round(found[k - 1], 2) for name, k in wanted.items()},
            }
        )
    return table


def doubting(flores: list[Row], tatoeba: list[Row]) -> Table:
    """How often true pairs are doubted, and halves and copies caught."""
    table = []
    for code in BOUNDS:
        pairs = {
            "FLORES": [(row[code], row["en"]) for row in flores],
            "Tatoeba": [(row["text"], row["en"]) for row in tatoeba if row["lang"] == code],
        }
        for data, rows in pairs.items():
            found = Counter(doubt for here, there in rows for doubt in doubts(here, there, code))
            halves = sum(
                "collapse" in doubts(here, there[: len(there) // 2], code) for here, there in rows
            )
            looped = sum(
                "repetition" in doubts(here, there + 4 * f" {there[-20:]}", code)
                for here, there in rows
            )
            copies = sum("untranslated" in doubts(here, here, code) for here, _ in rows)
            table.append(
                {
                    "language": code,
                    "data": data,
                    "pairs": len(rows),
                    "letters (median)": median(letters(here) for here, _ in rows),
                    "called collapsed %": percent(found["collapse"], len(rows), 2),
                    "called repeated %": percent(found["repetition"], len(rows), 2),
                    "called untranslated %": percent(found["untranslated"], len(rows), 2),
                    "halves caught %": percent(halves, len(rows)),
                    "loops caught %": percent(looped, len(rows)),
                    "copies caught %": percent(copies, len(rows)),
                }
            )
    return table


def answers(rows: list[Row]) -> Table:
    """What becomes of real answers with lists and code: arena-hard's, by GPT-4o."""
    table = []
    for code in ("zh", "es"):
        texts = [spoken(row["answer"]) for row in rows if row["lang"] == code]
        started = time.perf_counter()
        parts = [pieces(text, code) for text in texts]
        taken = time.perf_counter() - started
        sizes = [len(p.text) for found in parts for p in found if p.translated]
        joined = ["".join(p.text for p in found) for found in parts]
        table.append(
            {
                "language": code,
                "answers": len(texts),
                "sentences": len(sizes),
                "an answer (median)": median(sum(p.translated for p in found) for found in parts),
                "characters (median)": median(sizes),
                "longest": max(sizes),
                "at the limit": sum(
                    size > 0.9 * LIMIT * (0.4 if code == "zh" else 1) for size in sizes
                ),
                "answers with letters lost": sum(
                    letters(a) != letters(b) for a, b in zip(texts, joined, strict=True)
                ),
                "answers with list items changed": sum(
                    items(a.replace("*", "")) != items(b.replace("*", ""))
                    for a, b in zip(texts, joined, strict=True)
                ),
                "answers a second": round(len(texts) / taken),
            }
        )
    return table


def markdown(name: str, table: Table) -> str:
    """A table as Markdown."""
    head = list(table[0])
    lines = [f"### {name}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(str(row[key]) for key in head)} |" for row in table]
    return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    found = {}
    for name in ("polydrift", "lingua-language-detector", "sentencex"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    """All tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="directory with the public data")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    flores = read(chosen.data / "sib200_flores_parallel" / "sib200_9lang.jsonl.gz")
    tatoeba = read(chosen.data / "tatoeba" / "tatoeba_8lang_en.jsonl.gz")
    arena = read(chosen.data / "arena_hard_answers" / "gpt4o_answers_en_es_zh.jsonl.gz")
    tables = {
        "Sentences": splitting(flores),
        "Length of English for one letter": ratios(flores),
        "Doubts": doubting(flores, tatoeba),
        "Real answers": answers(arena),
    }
    for name, table in tables.items():
        print(markdown(name, table))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "device": "one core",
        "python": platform.python_version(),
        "versions": versions(),
        "tables": tables,
    }
    chosen.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
