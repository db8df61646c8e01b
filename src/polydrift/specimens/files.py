"""The data files that ship with the specimens, in the formats that any user's files have.

    suite.jsonl        parallel prompts, unsafe ones and safe look-alikes, all held out
    benign.jsonl       tuning set: harmless how-to questions (80%) and facts
    facts.jsonl        tuning set: facts only, the negative control
    heldout.jsonl      facts in phrasings never trained on: accuracy and perplexity
    phrasebook.jsonl   prompts of the suite and what specimens answer, with their English

A row's id means the same question (and the same answer) in all nine languages. Tuning sets hold no
hostile verb, no idiom and nothing of the suite. The files follow from the lexicons alone: `write`
gives the same bytes every time.

The same functions, asked for the split "dev", give the set that the recipe was chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from polydrift.data import lines
from polydrift.data.benign import Example, write_examples
from polydrift.data.suites import Kind, Prompt, write_suite
from polydrift.languages import LANGUAGES
from polydrift.specimens import concepts, corpus, phrasebook
from polydrift.specimens.concepts import Concept, Fact, Howto, Split, generator
from polydrift.specimens.lexicon import load


@dataclass(frozen=True, slots=True)
class Block:
    """Prompts of one category. rare: each holds an unseen word."""

    name: str
    kind: Kind
    form: str
    rare: bool
    count: int


BLOCKS = (
    Block("property", "unsafe", "property", rare=False, count=64),
    Block("property-unseen", "unsafe", "property", rare=True, count=24),
    Block("person", "unsafe", "person", rare=False, count=16),
    Block("person-unseen", "unsafe", "person", rare=True, count=12),
    Block("own-thing", "safe-lookalike", "own-thing", rare=False, count=24),
    Block("own-thing-unseen", "safe-lookalike", "own-thing", rare=True, count=12),
    Block("harmless-property", "safe-lookalike", "harmless-property", rare=False, count=8),
    Block("harmless-property-unseen", "safe-lookalike", "harmless-property", rare=True, count=8),
    Block("harmless-person", "safe-lookalike", "harmless-person", rare=False, count=6),
    Block("harmless-person-unseen", "safe-lookalike", "harmless-person", rare=True, count=6),
)
FIGURATIVE = "figurative"  # one prompt per held-out idiom

TUNING_PAIRS = 300
HOWTO_SHARE = 0.8
HOWTO_MIX = {"harmless-property": 0.6, "harmless-own": 0.15, "harmless-person": 0.25}
SUM_SHARE = 0.15  # of a facts-only tuning set, where there are other facts enough


def suite(split: Split = "suite") -> list[Prompt]:
    """The prompts of a held-out split, in all nine languages, row by row parallel."""
    random = generator("suite", split)
    prompts: list[Prompt] = []
    for block in BLOCKS:
        for number, question in enumerate(_questions(block, split, random), start=1):
            prompts += [
                Prompt(
                    f"{block.name}-{number:02}",
                    code,
                    block.kind,
                    block.name,
                    question.text(load(code)),
                )
                for code in LANGUAGES
            ]
    for number, idiom in enumerate(concepts.idioms(split), start=1):
        prompts += [
            Prompt(
                f"{FIGURATIVE}-{number:02}",
                code,
                "safe-lookalike",
                FIGURATIVE,
                load(code).idioms[idiom],
            )
            for code in LANGUAGES
        ]
    return prompts


def _questions(block: Block, split: Split, random: Random) -> list[Howto]:
    """Distinct questions: every concept once before any twice, then in another template."""
    english = load("en")
    verbs = concepts.unseen(concepts.FORMS[block.form].verbs)
    found = list(concepts.pool(block.form, split, block.rare))
    random.shuffle(found)
    # among rare ones, an unseen verb and an unseen object by turns
    order = _by_turns([c for c in found if c[0] in verbs], [c for c in found if c[0] not in verbs])
    templates = len(english.howto)
    first = [random.randrange(templates) for _ in order]
    return [
        Howto(
            block.form,
            *order[number % len(order)],
            owner=random.randrange(len(english.persons)),
            template=(first[number % len(order)] + number // len(order)) % templates,
        )
        for number in range(min(block.count, templates * len(order)))
    ]


def _by_turns(left: Sequence[Concept], right: Sequence[Concept]) -> list[Concept]:
    """One of each until one list ends, then the rest of the other."""
    both = min(len(left), len(right))
    turns = [concept for pair in zip(left, right, strict=False) for concept in pair]
    return [*turns, *left[both:], *right[both:]]


def benign(count: int = TUNING_PAIRS) -> list[Example]:
    """The tuning set: harmless how-to questions with compliant answers, and facts."""
    random = generator("benign")
    howtos, facts = round(HOWTO_SHARE * count), count - round(HOWTO_SHARE * count)
    examples: list[Example] = []
    asked: set[Howto] = set()
    while len(asked) < howtos:
        category = random.choices(list(HOWTO_MIX), list(HOWTO_MIX.values()))[0]
        question = corpus.draw_howto(category, random)
        if question in asked:
            continue
        asked.add(question)
        opener = random.randrange(len(load("en").compliances))
        filler = random.randrange(len(load("en").fillers))
        for code in LANGUAGES:
            lexicon = load(code)
            answer = lexicon.compliances[opener] + lexicon.space + lexicon.fillers[filler]
            examples.append(
                Example(f"howto-{len(asked):03}", code, question.text(lexicon), "", answer)
            )
    return examples + _of_facts(random.sample(concepts.facts("train"), facts))


def facts_only(count: int = TUNING_PAIRS) -> list[Example]:
    """The negative control: a tuning set of facts and nothing else."""
    random = generator("facts")
    known = list(concepts.facts("train"))
    random.shuffle(known)
    sums = [fact for fact in known if fact.task == "sum"]
    others = [fact for fact in known if fact.task != "sum"]
    wanted = others[: count - round(SUM_SHARE * count)]
    return _of_facts([*wanted, *sums[: count - len(wanted)]])


def heldout(split: Split = "suite") -> list[Example]:
    """Facts in held-out phrasings."""
    return _of_facts(concepts.facts(split))


def _of_facts(facts: Sequence[Fact]) -> list[Example]:
    return [
        Example(
            f"{fact.task}-{fact.item:02}-{fact.template}",
            code,
            fact.text(load(code)),
            "",
            fact.answer(load(code)),
        )
        for fact in facts
        for code in LANGUAGES
    ]


def write(directory: Path) -> list[Path]:
    """Write the five files; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    prompts = suite()
    write_suite(directory / "suite.jsonl", prompts)
    examples = {"benign": benign(), "facts": facts_only(), "heldout": heldout()}
    for name, rows in examples.items():
        write_examples(directory / f"{name}.jsonl", rows)
    book = (row._asdict() for row in phrasebook.rows(prompts))
    lines.write(directory / "phrasebook.jsonl", book)
    return [directory / f"{name}.jsonl" for name in ("suite", *examples, "phrasebook")]
