"""What the checks of parallel sets find and cost: `python benchmarks/parallel_checks.py DATA_DIR`.

DATA_DIR holds public data that is not part of this project (Dolly, Self-Instruct's and Vicuna's
seeds). Prints Markdown tables of aggregate figures, never a row, and writes them with versions and
date to docs/figures/parallel_checks.json.

Near-duplicates are planted in the set that comes along, and counted in real seeds. Speed and memory
are those of 100,000 rows made of real ones, each run in a process of its own, on one core; beside
rensa, which polydrift uses, stands datasketch, asked for the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zlib import crc32

from polydrift.data import lines, shipped
from polydrift.languages import LANGUAGES
from polydrift.parallel import similar
from polydrift.translate.sentences import split

Table = list[dict[str, Any]]

OUT = Path(__file__).parent.parent / "docs" / "figures" / "parallel_checks.json"
THRESHOLD = 0.7
LARGE = 100_000
DOLLY = "dolly/dolly_first6400_no_context.jsonl.gz"
DOLLY_FULL = ("dolly/dolly_similarity_selected_400.jsonl", "dolly/dolly_safety_keyword_387.jsonl")
SELF_INSTRUCT = "instruction_seeds/selfinstruct_seed_tasks_en.jsonl"
VICUNA = "instruction_seeds/vicuna80_en_zh_es_pt_hi.jsonl"
RENSA = {"R-MinHash": "RMinHash", "C-MinHash": "CMinHash"}


@cache
def shipped_texts(code: str) -> tuple[str, ...]:
    rows = [row for _, row in lines.read(shipped.path(shipped.BENIGN)) if row["language"] == code]
    return tuple(f"{row['instruction']}\n{row['response']}" for row in rows)


def mended(text: str, changes: int, draw: random.Random) -> str:
    letters = list(text)
    for at in draw.sample(range(len(letters)), min(changes, len(letters))):
        letters[at] = draw.choice(text)
    return "".join(letters)


def estimates(data: Path) -> dict[str, Table]:
    """How far each library's estimate is from the exact share, beside what theory allows."""
    draw = random.Random(1)
    pairs = [
        (text, mended(text, draw.randrange(1, 60), draw))
        for code in LANGUAGES
        for text in shipped_texts(code)
    ]
    runs = [[similar.shingles(similar.normal(text)) for text in pair] for pair in pairs]
    exact = [similar.similarity(*pair) for pair in pairs]
    theory = statistics.mean(share * (1 - share) / similar.HASHES for share in exact) ** 0.5
    table: Table = []
    for name, estimate in estimators().items():
        errors = []
        for seed in range(5):
            found = [estimate(one, other, seed) for one, other in runs]
            errors += [e - x for e, x in zip(found, exact, strict=True)]
        table.append(
            {
                "library": name,
                "pairs": len(pairs),
                "seeds": 5,
                "hashes": similar.HASHES,
                "mean error": round(statistics.mean(errors), 4),
                "root mean square error": round(statistics.mean(e * e for e in errors) ** 0.5, 4),
                "in theory": round(theory, 4),
            }
        )
    return {"Estimated share of common shingles": table}


def estimators() -> dict[str, Callable[[frozenset[str], frozenset[str], int], float]]:
    import rensa
    from datasketch import MinHash

    def datasketch(one: frozenset[str], other: frozenset[str], seed: int) -> float:
        encoded = [[run.encode() for run in runs] for runs in (one, other)]
        first, second = MinHash.bulk(encoded, num_perm=similar.HASHES, seed=seed, hashfunc=crc32)
        return float(first.jaccard(second))

    def of_rensa(kind: str) -> Callable[[frozenset[str], frozenset[str], int], float]:
        def estimate(one: frozenset[str], other: frozenset[str], seed: int) -> float:
            first, second = (getattr(rensa, kind)(similar.HASHES, seed) for _ in range(2))
            first.update(list(one))
            second.update(list(other))
            return float(first.jaccard(second))

        return estimate

    return {"datasketch": datasketch} | {
        f"rensa, {name}": of_rensa(kind) for name, kind in RENSA.items()
    }


def planted(data: Path) -> dict[str, Table]:
    """Share of the shipped set's examples that are told when they come again, changed."""
    table: Table = []
    for code in LANGUAGES:
        texts = shipped_texts(code)
        entry: dict[str, Any] = {"language": code, "rows": len(texts)}
        for name, change in CHANGES.items():
            draw = random.Random(f"{name} {code}")
            again = [change(text, code, draw) for text in texts]
            found = similar.near_duplicates([*texts, *again], threshold=THRESHOLD)[len(texts) :]
            right = sum(same == number for number, same in enumerate(found))
            entry[f"{name} %"] = round(100 * right / len(texts), 1)
        table.append(entry)
    return {"Changed repetitions planted in the shipped set: told %": table}


def without_punctuation(text: str, code: str, draw: random.Random) -> str:
    return re.sub(r"[^\w\s\u0900-\u097f]", "", text)  # marks of Devanagari are no \w


def other_word(text: str, code: str, draw: random.Random) -> str:
    """One word (two characters in Chinese) replaced by one of another example's."""
    other = draw.choice(shipped_texts(code))
    if code == "zh":
        at, taken = draw.randrange(len(text) - 2), draw.randrange(len(other) - 2)
        return text[:at] + other[taken : taken + 2] + text[at + 2 :]
    words = text.split(" ")
    words[draw.randrange(len(words))] = draw.choice(other.split())
    return " ".join(words)


def other_order(text: str, code: str, draw: random.Random) -> str:
    """The request after the answer, whose sentences stand in another order."""
    request, _, answer = text.partition("\n")
    sentences = split(answer, code)
    return " ".join([*draw.sample(sentences, len(sentences)), request])


CHANGES: dict[str, Callable[[str, str, random.Random], str]] = {
    "capitals": lambda text, code, draw: text.upper(),
    "no punctuation": without_punctuation,
    "another word": other_word,
    "sentences in another order": other_order,
    "last sentence missing": lambda text, code, draw: text[: -len(split(text, code)[-1])],
}


def real(data: Path) -> dict[str, Table]:
    """How many near-duplicates real seeds hold, by the whole example and by the request alone."""
    seeds = {
        "Dolly, no context": dolly(data),
        "Dolly, all three files": dolly(data) + dolly(data, *DOLLY_FULL),
        "Self-Instruct": self_instruct(data),
        "Vicuna": [(row["en"], "") for _, row in lines.read(data / VICUNA)],
    }
    seeds["all of these"] = [
        row for name in ("Dolly, all three files", "Self-Instruct", "Vicuna") for row in seeds[name]
    ]
    table: Table = []
    for name, rows in seeds.items():
        entry: dict[str, Any] = {"seeds": name, "rows": len(rows)}
        for what, texts in (
            ("request", [request for request, _ in rows]),
            ("request and answer", ["\n".join(row) for row in rows]),
        ):
            equal = len(texts) - len({similar.normal(text) for text in texts})
            found = similar.near_duplicates(texts, threshold=THRESHOLD)
            entry[f"{what}: repeated"] = sum(same is not None for same in found)
            entry[f"{what}: equal"] = equal
        table.append(entry)
    return {f"Near-duplicates of real seeds, {THRESHOLD} and more": table}


def dolly(data: Path, *files: str) -> list[tuple[str, str]]:
    """(request with its context, answer) of each row."""
    return [
        (f"{row['instruction']}\n{row.get('context') or ''}", row["response"])
        for file in files or (DOLLY,)
        for _, row in lines.read(data / file)
    ]


def self_instruct(data: Path) -> list[tuple[str, str]]:
    rows = [row for _, row in lines.read(data / SELF_INSTRUCT)]
    return [
        (f"{row['instruction']}\n{row['instances'][0]['input']}", row["instances"][0]["output"])
        for row in rows
    ]


def large_set(data: Path) -> list[str]:
    """100,000 texts: four in five are halves of two of Dolly's rows, the others repeat one of
    those before with one to nine characters changed.
    """
    draw = random.Random(3407)
    rows = ["\n".join(row) for row in dolly(data)]
    texts: list[str] = []
    while len(texts) < LARGE:
        if texts and draw.random() < 0.2:
            texts.append(mended(draw.choice(texts), draw.randrange(1, 10), draw))
        else:
            one, other = draw.sample(rows, 2)
            texts.append(one[: len(one) // 2] + other[len(other) // 2 :])
    return texts


def by_datasketch(texts: Sequence[str]) -> list[int | None]:
    """What `near_duplicates` does, with datasketch in rensa's place."""
    from datasketch import MinHash, MinHashLSH

    count, rows = similar.bands(THRESHOLD)
    index = MinHashLSH(num_perm=count * rows, params=(count, rows))
    empty = MinHash(num_perm=count * rows, seed=0, hashfunc=crc32)
    least = similar.least(THRESHOLD)
    sketches: dict[int, MinHash] = {}
    forms = [similar.normal(text) for text in texts]
    first: dict[str, int | None] = {"": None}
    found: list[int | None] = []
    for number, form in enumerate(forms):
        if form not in first:
            sketch = empty.copy()
            runs = similar._runs(form)
            sketch.update_batch([run.encode() for run in runs])
            proposed = sorted(index.query(sketch))
            proposed = [one for one in proposed if sketch.jaccard(sketches[one]) >= least]
            same = similar._first_alike(runs, proposed, forms, THRESHOLD)
            if same is None:
                index.insert(number, sketch, check_duplication=False)
                sketches[number] = sketch
            first[form] = number if same is None else same
            found.append(same)
        else:
            found.append(first[form])
    return found


LIBRARIES: dict[str, Callable[[Sequence[str]], list[int | None]]] = {
    "rensa (polydrift's)": lambda texts: similar.near_duplicates(texts, threshold=THRESHOLD),
    "datasketch": by_datasketch,
}


def worker(data: Path, library: str) -> None:
    """One library's run, as JSON on standard output."""
    texts = large_set(data)
    LIBRARIES[library](texts[:100])  # loads the library untimed
    start = time.process_time()
    found = LIBRARIES[library](texts)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    repeated = sum(same is not None for same in found)
    print(json.dumps({"seconds": seconds, "peak": peak, "repeated": repeated}))


def large(data: Path) -> dict[str, Table]:
    """Rows per second of processor time, and the most memory of the whole process."""
    table: Table = []
    size = statistics.mean(map(len, large_set(data)))
    for library in LIBRARIES:
        command = [sys.executable, __file__, str(data), "--worker", library]
        alone = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        run = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, **alone}
        )
        found = json.loads(run.stdout)
        table.append(
            {
                "library": library,
                "rows": LARGE,
                "characters each": round(size),
                "repeated": found["repeated"],
                "rows/s": round(LARGE / found["seconds"]),
                "peak MB": round(found["peak"]),
            }
        )
    return {"100,000 rows, one core": table}


def lengths(data: Path) -> dict[str, Table]:
    """The thirds of answers' lengths, on which `balance.length_of` rests."""
    table: Table = []
    for name, rows in (
        ("Dolly, no context", dolly(data)),
        ("Dolly, full rows", dolly(data, *DOLLY_FULL)),
    ):
        low, high = statistics.quantiles([len(answer.strip()) for _, answer in rows], n=3)
        table.append(
            {"seeds": name, "rows": len(rows), "first third": round(low), "second": round(high)}
        )
    return {"Characters of answers": table}


def told_task(row: dict[str, Any]) -> str:
    """Dolly's task type by words, as well as a few rules tell it."""
    request = row["instruction"].lower()
    if row.get("context"):
        if re.search(r"summar|brief|overview|in short|describe|short paragraph", request):
            return "summarization"
        listed = r"extract|list|bullet|comma|separated|mention|from the (passage|text|paragraph)"
        return "information_extraction" if re.search(listed, request) else "closed_qa"
    if re.search(
        r"classify|categori[sz]e|which of (the following|these)|identify (which|each)", request
    ):
        return "classification"
    if re.match(r"(please )?(write|compose|imagine|pretend|create|draft|make up)", request):
        return "creative_writing"
    if re.search(r"\b(list|ideas?|suggest|tips|some|give me|name \w+|best|recommend)", request):
        return "brainstorming"
    return "open_qa"


def tasks(data: Path) -> dict[str, Table]:
    """How often the rules are right; that they are not often enough is why there are none."""
    table: Table = []
    for file in DOLLY_FULL:
        rows = [row for _, row in lines.read(data / file)]
        own = ["open_qa" if (c := row["category"]) == "general_qa" else c for row in rows]
        right = sum(told_task(row) == task for row, task in zip(rows, own, strict=True))
        table.append(
            {
                "rows of": Path(file).stem,
                "rows": len(rows),
                "seven types told %": round(100 * right / len(rows), 1),
                "all open_qa %": round(100 * own.count("open_qa") / len(rows), 1),
            }
        )
    return {"Task types by rules (general_qa counted as open_qa)": table}


# What is measured, in order; the row checks (`parallel.checks.check_rows`) stand last.
PARTS: tuple[Callable[[Path], dict[str, Table]], ...] = (
    *(estimates, planted, real, large),
    *(lengths, tasks),
)


def tables_of(data: Path) -> Iterator[tuple[str, Table]]:
    for part in PARTS:
        for title, table in part(data).items():
            print(markdown(title, table), flush=True)
            yield title, table


def markdown(title: str, table: Table) -> str:
    head = list(table[0])
    rows = [f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    rows += [f"| {' | '.join(str(row[column]) for column in head)} |" for row in table]
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of public data")
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.data, given.worker)
        return
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "datasketch": version("datasketch"),
        "rensa": version("rensa"),
        "device": f"{platform.machine()}, one core",
        "tables": dict(tables_of(given.data)),
    }
    OUT.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
