"""How far the rule-based judge agrees with people: `python benchmarks/judges.py DATA_DIR`.

DATA_DIR holds public data that is not part of this project (docs/judges.md says where each comes
from). Prints Markdown tables of aggregate figures, never a row, and writes them with versions and
date to docs/figures/judges.json.

The rules were developed on one half of the rows of XSTest, MSTS and PolyRefuse, chosen by a hash of
the row's id; figures are given for the other half ("held out") and for all rows.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polydrift.judges import language as languages_of
from polydrift.judges import rules, text
from polydrift.judges.language import identify, identify_all
from polydrift.judges.rules_prompt import asks
from polydrift.judges.rules_search import Alternation
from polydrift.judges.verdicts import Case, Verdict
from polydrift.languages import LANGUAGES

Row = dict[str, Any]
Pairs = Sequence[tuple[bool, bool]]
Table = list[dict[str, Any]]

OUT = Path(__file__).parent.parent / "docs" / "figures" / "judges.json"
LABELLED = Path(__file__).parent.parent / "tests" / "judges" / "labelled"
XSTEST_MODELS = ("gpt4", "llama2new", "mistralinstruct")
MSTS_REFUSED, MSTS_ANSWERED = ("1.1", "1.2"), ("1.3", "2.1", "2.2", "2.Z")


def read(path: Path) -> list[Row]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def developed_on(row_id: object) -> bool:
    """Whether the rules' author could look at this row."""
    return hashlib.sha256(str(row_id).encode()).digest()[0] % 2 == 0


def accuracy(pairs: Pairs) -> float:
    return sum(a == b for a, b in pairs) / len(pairs)


def kappa(pairs: Sequence[tuple[object, object]]) -> float:
    """Cohen's κ: 1 is perfect, 0 is chance, NaN if both sides are constant and alike."""
    n = len(pairs)
    ours, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(ours[k] * theirs[k] for k in ours) / n / n
    agreed = sum(a == b for a, b in pairs) / n
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")


def verdict(row: Row, answer: str, language: str, prompt: str | None = None) -> Verdict:
    return rules.judge((row.get(prompt) or "") if prompt else "", row[answer], language)


def agreement(name: str, rows: str, pairs: Pairs) -> Row:
    hits = Counter(pairs)
    return {
        "labels": name,
        "rows": rows,
        "n": len(pairs),
        "accuracy": round(accuracy(pairs), 3),
        "kappa": round(kappa(pairs), 3),
        "missed refusals": hits[False, True],
        "false refusals": hits[True, False],
    }


def xstest(data: Path) -> dict[str, Table]:
    """Refused (fully or partly) against complied, and all three; people's final label is truth."""
    two: Table = []
    three: Table = []
    names = {"1": "complied", "2": "full", "3": "partial"}
    for model in XSTEST_MODELS:
        table = read(data / "xstest" / f"completions_{model}.jsonl")
        held = [row for row in table if not developed_on(row["id"])]
        for part, rows in (("held out", held), ("all", table)):

            def against(
                judged: Callable[[Row], bool],
                truth: str,
                name: str,
                rows: list[Row] = rows,
                part: str = part,
                model: str = model,
            ) -> None:
                pairs = [(judged(row), not row[truth].startswith("1")) for row in rows]
                two.append({"model": model, **agreement(name, part, pairs)})

            def ours(row: Row) -> bool:
                return verdict(row, "completion", "en", "prompt").verdict == "refused"

            def theirs(column: str) -> Callable[[Row], bool]:
                return lambda labelled: not labelled[column].startswith("1")

            against(ours, "final_label", "rules")
            against(theirs("strmatch_label"), "final_label", "published string match")
            against(theirs("gpt4_label"), "final_label", "published GPT-4")
            against(theirs("annotation_1"), "annotation_2", "one person, by the other")
        pairs3 = []
        for row in held:
            found = verdict(row, "completion", "en", "prompt")
            mine = found.detail if found.verdict == "refused" else found.verdict
            pairs3.append((mine, names[row["final_label"][0]]))
        counts = Counter(pairs3)
        for mine in ("complied", "full", "partial", "other"):
            three.append(
                {
                    "model": model,
                    "rules \\ people": mine,
                    **{label: counts[mine, label] for label in names.values()},
                    "kappa": round(kappa(pairs3), 3),
                }
            )
    return {"XSTest, refused or not": two, "XSTest, three ways (held out)": three}


def msts(data: Path) -> dict[str, Table]:
    """1.1 and 1.2 are refusals, 1.3 and 2.x are not; the rest is neither and only counted."""
    table: Table = []
    left: Table = []
    for name, language in (("msts_es", "es"), ("msts_zh", "zh"), ("msts_en_textonly", "en")):
        rows = read(data / "msts_refusal" / f"{name}.jsonl.gz")
        answers = [("response", language)]
        answers += [("response_translated_en", "en")] if language != "en" else []
        for column, spoken in answers:
            label = f"{language}, translated" if column != "response" else language
            for part in ("held out", "all"):
                pairs = [
                    (
                        verdict(row, column, spoken, "prompt_text").verdict == "refused",
                        row["human_taxonomy"][:3] in MSTS_REFUSED,
                    )
                    for row in rows
                    if row["human_taxonomy"][:3] in MSTS_REFUSED + MSTS_ANSWERED
                    and (part == "all" or not developed_on(row["id"]))
                ]
                table.append({"answers": label, **agreement("rules", part, pairs)})
        others = [r for r in rows if r["human_taxonomy"][:3] not in MSTS_REFUSED + MSTS_ANSWERED]
        counts = Counter(verdict(r, "response", language, "prompt_text").verdict for r in others)
        left.append({"answers": language, "neither": len(others), **_outcomes(counts)})
    return {"MSTS": table, "MSTS, answers that people call neither": left}


def polyrefuse(data: Path) -> dict[str, Table]:
    table: Table = []
    for language in ("en", "es"):
        rows = read(data / "polyrefuse_outputs" / f"baseline_outputs_{language}.jsonl.gz")
        held = [row for row in rows if not developed_on(row["id"])]
        for part, some in (("held out", held), ("all", rows)):
            judged = [verdict(row, "response", language).verdict == "refused" for row in some]
            theirs = [row["wildguard_refusal"] == 1 for row in some]
            match = [row["substring_nonrefusal"] == 0 for row in some]
            for name, mine in (("rules", judged), ("published string match", match)):
                pairs = list(zip(mine, theirs, strict=True))
                table.append({"answers": language, **agreement(name, part, pairs)})
    return {"PolyRefuse, by WildGuard (a model's label)": table}


def ordinary(data: Path) -> dict[str, Table]:
    """Answers to harmless requests: all but a handful of refusals are false ones."""
    table: Table = []

    def add(
        name: str, rows: Iterable[Row], column: str, language: str, prompt: str | None = None
    ) -> None:
        judged = [verdict(row, column, language, prompt) for row in rows]
        counts = Counter(found.verdict for found in judged)
        table.append(
            {
                "answers": name,
                "n": len(judged),
                **_outcomes(counts),
                "of these partial": sum(found.detail == "partial" for found in judged),
                "refused %": round(100 * counts["refused"] / len(judged), 2),
            }
        )

    arena = read(data / "arena_hard_answers" / "gpt4o_answers_en_es_zh.jsonl.gz")
    for language in ("en", "es", "zh"):
        rows = [row for row in arena if row["lang"] == language]
        add(f"arena-hard {language}", rows, "answer", language)
    dolly = data / "dolly"
    for name, file in (
        ("Dolly, keyword hits", "dolly_safety_keyword_387.jsonl"),
        ("Dolly, first rows", "dolly_first6400_no_context.jsonl.gz"),
    ):
        add(name, read(dolly / file), "response", "en", "instruction")
    outputs = read(data / "refusal_direction_outputs" / "outputs_5models.jsonl.gz")
    for condition, name in (
        ("harmless_baseline", "harmless, five models"),
        ("harmless_actadd", "harmless, refusal induced (refused is right)"),
    ):
        some = [row for row in outputs if row["condition"] == condition]
        add(name, some, "response", "en", "prompt")
    flores = read(data / "sib200_flores_parallel" / "sib200_9lang.jsonl.gz")
    for code in LANGUAGES:
        add(f"FLORES sentences, {code}", flores, code, code)
    return {"Harmless requests": table}


def labelled(data: Path) -> dict[str, Table]:
    """Answers written blind for six languages, by what two annotators agree on (tests/judges/)."""
    table: Table = []
    for name in ("seen", "unseen"):
        for path in sorted((LABELLED / name).glob("*.jsonl")):
            rows = read(path)
            people = [tuple(row[who] != "complied" for who in ("label", "second")) for row in rows]
            ours = [
                verdict(row, "answer", path.stem, "prompt").verdict == "refused" for row in rows
            ]
            agreed = [
                (one, first)
                for one, (first, second) in zip(ours, people, strict=True)
                if first == second
            ]
            table.append(
                {
                    "answers": path.stem,
                    **agreement("rules", name, agreed),
                    "kappa of the two people": round(kappa(people), 3),
                }
            )
    return {"Six languages, refused or not": table}


def languages(data: Path) -> dict[str, Table]:
    """Which language: FLORES sentences and, shorter and harder, Tatoeba's."""
    table: Table = []
    flores = read(data / "sib200_flores_parallel" / "sib200_9lang.jsonl.gz")
    tatoeba = read(data / "tatoeba" / "tatoeba_8lang_en.jsonl.gz")
    for code in ("en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl"):
        entry: Row = {"language": code}
        for name, texts in (
            ("FLORES", [row[code] for row in flores]),
            (
                "Tatoeba",
                [r["en"] for r in tatoeba[::8]]
                if code == "en"
                else [r["text"] for r in tatoeba if r["lang"] == code],
            ),
        ):
            found = Counter(identify(text) for text in texts)
            entry[f"{name} right %"] = round(100 * found[code] / len(texts), 1)
            entry[f"{name} undetermined %"] = round(100 * found[None] / len(texts), 1)
            wrong = len(texts) - found[code] - found[None]
            entry[f"{name} wrong %"] = round(100 * wrong / len(texts), 1)
        table.append(entry)
    other: Table = []
    jail = read(next((data / "multijail").glob("*.jsonl*")))
    for code in ("it", "vi", "ar", "ko", "th", "bn", "sw", "jv"):
        found = Counter(identify(row[code]) for row in jail)
        other.append(
            {
                "language": code,
                "called another %": round(100 * found["other"] / len(jail), 1),
                "undetermined %": round(100 * found[None] / len(jail), 1),
                "taken for one of the nine %": round(
                    100 * (1 - (found["other"] + found[None]) / len(jail)), 1
                ),
            }
        )
    return {"Language identification": table, "Languages without rules (MultiJail)": other}


def speed(data: Path) -> dict[str, Table]:
    """Answers per second on one core, every answer new."""
    table: Table = []
    arena = read(data / "arena_hard_answers" / "gpt4o_answers_en_es_zh.jsonl.gz")
    poly = read(data / "polyrefuse_outputs" / "baseline_outputs_es.jsonl.gz")
    for name, rows in (
        ("about 60 characters", [row["response"][:60] for row in poly]),
        ("about 500 characters", [row["response"] for row in poly]),
        ("ordinary ones, first 500", [row["answer"][:500] for row in arena if row["lang"] != "zh"]),
        ("about 1,400 characters", [row["answer"] for row in arena]),
    ):
        fresh = [f"{number} {answer}" for number, answer in enumerate(rows)]
        languages_of._KNOWN.clear()
        start = time.process_time()
        for answer in fresh:
            rules.judge("a prompt", answer, "es")
        whole = time.process_time() - start
        alone = []
        for _ in range(5):
            start = time.process_time()
            for answer in fresh:
                rules._judge(answer, "es", "stop", "")  # the language is remembered: rules alone
            alone.append(time.process_time() - start)
        table.append(
            {
                "answers": name,
                "mean characters": round(sum(map(len, fresh)) / len(fresh)),
                "per second": round(len(fresh) / whole),
                "without language identification": round(len(fresh) / min(alone)),
            }
        )
    return {"Speed": table, "Languages together (both cores, wall clock)": together(poly)}


def together(rows: Sequence[Row]) -> Table:
    """Identification one by one and all at once, of new texts; then the whole judge likewise."""
    texts = [f"{number} {row['response']}" for number, row in enumerate(rows)]
    cases = [Case("a prompt", answer, "es") for answer in texts]
    table: Table = []
    ways: tuple[tuple[str, Callable[[], object], Callable[[], object]], ...] = (
        ("languages", lambda: [identify(one) for one in texts], lambda: identify_all(texts)),
        (
            "verdicts",
            lambda: [rules.judge("a prompt", one, "es") for one in texts],
            lambda: rules.Rules().judge(cases),
        ),
    )
    for what, singly, at_once in ways:
        found, seconds = [], []
        for way in (singly, at_once):
            languages_of._KNOWN.clear()
            rules._remembered.cache_clear()
            start = time.perf_counter()
            found.append(way())
            seconds.append(time.perf_counter() - start)
        table.append(
            {
                "what": what,
                "n": len(texts),
                "one by one, per second": round(len(texts) / seconds[0]),
                "together, per second": round(len(texts) / seconds[1]),
                "same": found[0] == found[1],
            }
        )
    return table


def shortcuts(data: Path) -> dict[str, Table]:
    """How many verdicts change if every pattern is tried everywhere: none may."""
    cases: list[tuple[str, str, str]] = []
    for model in XSTEST_MODELS:
        rows = read(data / "xstest" / f"completions_{model}.jsonl")
        cases += [(row["prompt"], row["completion"], "en") for row in rows]
    for name, language in (("msts_es", "es"), ("msts_zh", "zh"), ("msts_en_textonly", "en")):
        rows = read(data / "msts_refusal" / f"{name}.jsonl.gz")
        cases += [(row["prompt_text"] or "", row["response"], language) for row in rows]
    for language in ("en", "es"):
        rows = read(data / "polyrefuse_outputs" / f"baseline_outputs_{language}.jsonl.gz")
        cases += [("", row["response"], language) for row in rows]
    arena = read(data / "arena_hard_answers" / "gpt4o_answers_en_es_zh.jsonl.gz")
    cases += [("", row["answer"], row["lang"]) for row in arena]
    rows = read(data / "dolly" / "dolly_first6400_no_context.jsonl.gz")
    cases += [(row["instruction"], row["response"], "en") for row in rows]
    flores = read(data / "sib200_flores_parallel" / "sib200_9lang.jsonl.gz")
    for prompt in ("", "Should I?", "Why is it best?"):
        cases += [(prompt, row[code], code) for row in flores for code in LANGUAGES]
    tatoeba = read(data / "tatoeba" / "tatoeba_8lang_en.jsonl.gz")
    cases += [(row["en"], row["text"], row["lang"]) for row in tatoeba]

    def judged() -> list[Verdict]:
        return [rules._judge(answer, code, "stop", asks(prompt)) for prompt, answer, code in cases]

    quick = judged()
    kept = Alternation.search, text._varied
    try:
        Alternation.search = lambda self, text, end=None, seen=None: self.whole.search(  # type: ignore[method-assign]  # to compare
            text, 0, len(text) if end is None else end
        )
        text._varied = lambda said: False
        slow = judged()
    finally:
        Alternation.search, text._varied = kept  # type: ignore[method-assign]  # to compare
    changed = sum(one != other for one, other in zip(quick, slow, strict=True))
    return {"Shortcuts": [{"answers": len(cases), "verdicts changed": changed}]}


def _outcomes(counts: Mapping[Any, int]) -> Row:
    return {name: counts[name] for name in ("complied", "refused", "other")}


def markdown(title: str, table: Table) -> str:
    head = list(table[0])
    lines = [f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(str(row[column]) for column in head)} |" for row in table]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of public data")
    data = parser.parse_args().data
    tables: dict[str, Table] = {}
    for part in (xstest, msts, polyrefuse, ordinary, labelled, languages, speed, shortcuts):
        tables |= part(data)
    for title, table in tables.items():
        print(markdown(title, table))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "rules": rules.VERSION,
        "python": platform.python_version(),
        "lingua": version("lingua-language-detector"),
        "device": f"{platform.machine()}, one core",
        "tables": tables,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
