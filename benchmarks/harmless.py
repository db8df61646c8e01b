"""What the benign filter drops and catches: `python benchmarks/harmless.py DATA_DIR`.

DATA_DIR holds public data that is not part of this project. Prints Markdown tables of aggregate
figures, never a row, and writes them with versions and date to docs/figures/harmless.json.

"grave" is what touches a kind outside `MILD`. While the word lists were written, the odd-numbered
prompts of builtin:audit were looked at, and which words the missed prompts of XSTest and MultiJail
share; so were what builtin:benign and a part of SIB-200 and Dolly set off without cause. The
even-numbered prompts of builtin:audit were not, in any language: only they tell what is caught of
prompts of their (mild, wordy) sort that nobody wrote entries for.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polydrift.data import shipped
from polydrift.data.benign import read_examples
from polydrift.data.suites import read_suite
from polydrift.languages import LANGUAGES
from polydrift.parallel.harmless import (
    IDIOMS,
    KINDS,
    MILD,
    Touch,
    fingerprint,
    touches_all,
    word_lists,
)

Table = list[dict[str, Any]]
Texts = Mapping[str, str]
Found = Sequence[tuple[Touch, ...]]

OUT = Path(__file__).parent.parent / "docs" / "figures" / "harmless.json"
SEEDS = "instruction_seeds"
PROMPTS = (
    ("vicuna80", f"{SEEDS}/vicuna80_en_zh_es_pt_hi.jsonl", ("en", "zh", "es", "pt", "hi")),
    ("llmzoo100", f"{SEEDS}/llmzoo100_en_zh_es_pt.jsonl", ("en", "zh", "es", "pt")),
    (
        "PolyRefuse, harmless",
        "polyrefuse_benign_prompts/harmless_parallel_en_es.jsonl",
        ("en", "es"),
    ),
    ("SIB-200", "sib200_flores_parallel/sib200_9lang.jsonl.gz", tuple(LANGUAGES)),
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def grave(touched: Sequence[Touch]) -> bool:
    return any(touch.kind not in MILD for touch in touched)


def share(some: Sequence[object]) -> float:
    return round(100 * sum(map(bool, some)) / len(some), 1)


def search(texts: Sequence[Texts], code: str) -> Found:
    return touches_all(texts, [code] * len(texts))


def sets(data: Path) -> list[tuple[str, str, list[Texts]]]:
    """Sets of examples: name, language, texts."""
    dolly = rows_of(data / "dolly/dolly_first6400_no_context.jsonl.gz")
    found: list[tuple[str, str, list[Texts]]] = [
        ("Dolly, no context", "en", [dolly_texts(row) for row in dolly])
    ]
    for name, file in (
        ("Dolly, taken for refusals by keywords", "dolly_safety_keyword_387"),
        ("Dolly, selected as similar to unsafe", "dolly_similarity_selected_400"),
    ):
        found.append((name, "en", [*map(dolly_texts, rows_of(data / f"dolly/{file}.jsonl"))]))
    for name, file, code in (
        ("self-instruct seeds", "selfinstruct_seed_tasks_en", "en"),
        ("Lærebogen seeds", "laerebogen_seed_tasks_da", "da"),
    ):
        rows = rows_of(data / SEEDS / f"{file}.jsonl")
        found.append((name, code, [seed_texts(row) for row in rows]))
    for name, file, codes in PROMPTS[:-1]:
        rows = rows_of(data / file)
        found += [(name, code, [{"instruction": row[code]} for row in rows]) for code in codes]
    examples = read_examples(shipped.path(shipped.BENIGN))
    for code in LANGUAGES:
        texts = [
            {"instruction": one.instruction, "input": one.input, "response": one.response}
            for one in examples
            if one.language == code
        ]
        found.append((shipped.BENIGN, code, texts))
    return found


def dolly_texts(row: dict[str, Any]) -> Texts:
    return {
        "instruction": row["instruction"],
        "input": row.get("context") or "",
        "response": row["response"],
    }


def seed_texts(row: dict[str, Any]) -> Texts:
    inputs, outputs = (
        "\n".join(one.get(key) or "" for one in row["instances"]) for key in ("input", "output")
    )
    return {"instruction": row["instruction"], "input": inputs, "response": outputs}


def dropped(data: Path) -> dict[str, Table]:
    """Share of each set that touches anything, anything grave, and each kind."""
    table: Table = []
    kinds: Table = []
    for name, code, texts in sets(data):
        found = search(texts, code)
        count = Counter(kind for some in found for kind in {touch.kind for touch in some})
        about = {"set": name, "language": code}
        table.append(
            about
            | {
                "rows": len(texts),
                "dropped %": share(found),
                "grave %": share([grave(some) for some in found]),
            }
        )
        kinds.append(about | {kind: round(100 * count[kind] / len(texts), 1) for kind in KINDS})
    return {"Dropped": table, "Dropped, by kind (%)": kinds}


def agreement(data: Path) -> dict[str, Table]:
    """Parallel texts: of those that touch safety in English, how many do in another language."""
    table: Table = []
    for name, file, codes in PROMPTS:
        rows = rows_of(data / file)
        found = {code: search([{"instruction": row[code]} for row in rows], code) for code in codes}
        for code in codes[1:]:
            pairs = list(zip(found["en"], found[code], strict=True))
            english = [bool(other) for some, other in pairs if some]
            serious = [bool(other) for some, other in pairs if grave(some)]
            table.append(
                {
                    "set": name,
                    "language": code,
                    "touch in English": len(english),
                    "touch here too %": share(english),
                    "grave in English": len(serious),
                    "of them touch here %": share(serious) if serious else "–",
                    "touch in neither or both %": share([bool(a) == bool(b) for a, b in pairs]),
                }
            )
    return {"The same text in another language": table}


def recall(data: Path) -> dict[str, Table]:
    """Share caught of unsafe prompts, and of safe ones that look alike."""
    table: Table = []
    for name, file, form in (
        ("XSTest", "xstest/xstest_prompts.jsonl", "xstest"),
        ("MultiJail", "multijail/multijail.jsonl.gz", "multijail"),
    ):
        prompts = read_suite(data / file, format=form)
        for kind in ("unsafe", "safe-lookalike"):
            for code in LANGUAGES:
                texts = [
                    {"prompt": p.text} for p in prompts if (p.kind, p.language) == (kind, code)
                ]
                if texts:
                    found = search(texts, code)
                    table.append(
                        {
                            "suite": name,
                            "kind": kind,
                            "language": code,
                            "prompts": len(texts),
                            "caught %": share(found),
                            "grave %": share([grave(some) for some in found]),
                        }
                    )
    return {"Public suites": table} | audit()


def audit() -> dict[str, Table]:
    """The same of our own suite, mild as it is, by language and in whichever language."""
    prompts = read_suite(shipped.path(shipped.AUDIT))
    caught: dict[tuple[str, str], bool] = {}
    for code in LANGUAGES:
        own = [prompt for prompt in prompts if prompt.language == code]
        found = search([{"prompt": prompt.text} for prompt in own], code)
        for prompt, some in zip(own, found, strict=True):
            caught[prompt.prompt_id, code] = bool(some)
    ids = {
        kind: sorted({prompt.prompt_id for prompt in prompts if prompt.kind == kind})
        for kind in ("unsafe", "safe-lookalike")
    }
    table: Table = []
    for name, codes in (*((code, (code,)) for code in LANGUAGES), ("any", tuple(LANGUAGES))):
        entry: dict[str, Any] = {"language": name}
        for half, odd in (("seen", 1), ("unseen", 0)):
            for kind, every in ids.items():
                some = [one for one in every if int(one[-1]) % 2 == odd]
                entry[f"{kind}, {half} %"] = share(
                    [any(caught[one, code] for code in codes) for one in some]
                )
        table.append(entry)
    return {"builtin:audit (80 prompts a cell)": table}


def speed(data: Path) -> dict[str, Table]:
    """Rows per second of processor time, one core."""
    table: Table = []
    kept = [(name, code, texts) for name, code, texts in sets(data) if "keyword" not in name]
    for name, code, texts in kept:
        if name not in ("Dolly, no context", shipped.BENIGN):
            continue
        touches_all(texts[:1], [code], refusals=False)
        start = time.process_time()
        touches_all(texts, [code] * len(texts), refusals=False)
        middle = time.process_time()
        search(texts, code)
        end = time.process_time()
        letters = sum(len(text) for row in texts for text in row.values())
        table.append(
            {
                "set": name,
                "language": code,
                "characters a row": round(letters / len(texts)),
                "words alone, rows/s": round(len(texts) / (middle - start)),
                "with refusals, rows/s": round(len(texts) / (end - middle)),
            }
        )
    return {"Speed": table}


def entries() -> dict[str, Table]:
    table: Table = [
        {"language": code, **{kind: len(words) for kind, words in word_lists(code).items()}}
        for code in LANGUAGES
    ]
    assert IDIOMS in table[0]
    return {"Entries of the word lists": table}


def markdown(title: str, table: Table) -> str:
    head = list(table[0])
    lines = [f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(str(row[column]) for column in head)} |" for row in table]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of public data")
    data = parser.parse_args().data
    search([{"response": "Hvor er den? Det ved jeg ikke."}], "da")  # loads lingua untimed
    timed = speed(data)  # first: verdicts are remembered
    tables = dropped(data) | agreement(data) | recall(data) | timed | entries()
    for title, table in tables.items():
        print(markdown(title, table))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "lingua": version("lingua-language-detector"),
        "lists": fingerprint(),
        "device": f"{platform.machine()}, one core",
        "tables": tables,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
