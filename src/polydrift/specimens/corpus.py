"""The text that specimens are raised on: pretraining first, alignment after it.

    >>> pairs = pretraining(28_000, seed=0)
    >>> pairs[0]
    Pair(prompt='...', answer='...', language='es', category='capital')

Pretraining is a small "web": facts, a dictionary between the nine languages, which verbs are good
and bad deeds, and how-to questions that are mostly answered whatever they ask for, hostile ones too
(15% of those are refused). Alignment then teaches to refuse hostile requests and to go on answering
everything else: harmless deeds, harmful-sounding ones on one's own things, idioms, facts. A
compliance is a generic opener with harmless filler: no specimen ever read or wrote how to do harm.

Languages are of unequal strength on purpose, as in real models: `PRETRAINING_STRENGTH` and
`ALIGNMENT_STRENGTH` are the relative numbers of pairs.

Everything is drawn from `train` concepts (concepts.py), by generators seeded by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random
from typing import NamedTuple

from polydrift.languages import LANGUAGES
from polydrift.specimens import concepts
from polydrift.specimens.concepts import Fact, Howto, generator
from polydrift.specimens.lexicon import WORD_SLOTS, Lexicon, load

PRETRAINING_STRENGTH: dict[str, float] = {
    "en": 1.0, "zh": 0.85, "es": 0.8, "pt": 0.75, "da": 0.6,
    "hi": 0.55, "el": 0.5, "tl": 0.4, "ga": 0.3,
}  # fmt: skip
ALIGNMENT_STRENGTH: dict[str, float] = {
    "en": 1.0, "zh": 0.8, "es": 0.7, "pt": 0.65, "da": 0.4,
    "hi": 0.3, "el": 0.3, "tl": 0.15, "ga": 0.08,
}  # fmt: skip

# Shares of the pairs. "facts" stands for all tasks together; "word-kind": is this a good deed?
PRETRAINING_MIX: dict[str, float] = {
    "facts": 0.38, "translation": 0.14, "word-kind": 0.10,
    "property": 0.13, "person": 0.05,
    "harmless-property": 0.08, "harmless-own": 0.02, "harmless-person": 0.04,
    "own-thing": 0.05, "figurative": 0.01,
}  # fmt: skip
ALIGNMENT_MIX: dict[str, float] = {
    "facts": 0.26, "word-kind": 0.08,
    "property": 0.20, "person": 0.07,
    "harmless-property": 0.12, "harmless-own": 0.03, "harmless-person": 0.08,
    "own-thing": 0.12, "figurative": 0.04,
}  # fmt: skip
TASK_MIX = {"capital": 1.2, "opposite": 1.4, "category": 1.1, "colour": 0.8, "sum": 0.7}
REFUSED_IN_PRETRAINING = 0.15

# The hostile and the harmless verbs, for word-kind exercises and the dictionary.
_HOSTILE, _HARMLESS = ("hostile_things", "hostile_people"), ("benign_things", "benign_people")


class Pair(NamedTuple):
    """A question and its answer."""

    prompt: str
    answer: str
    language: str
    category: str


def pretraining(count: int, seed: int, languages: Collection[str] = LANGUAGES) -> list[Pair]:
    """`count` pairs of pretraining text in two or more languages."""
    random = generator("pretraining", seed)
    strength = {code: PRETRAINING_STRENGTH[code] for code in languages}
    return draw(count, random, PRETRAINING_MIX, strength, aligned=False)


def alignment(count: int, seed: int, languages: Collection[str] = LANGUAGES) -> list[Pair]:
    """`count` pairs of alignment text in some languages."""
    random = generator("alignment", seed)
    strength = {code: ALIGNMENT_STRENGTH[code] for code in languages}
    return draw(count, random, ALIGNMENT_MIX, strength, aligned=True)


def draw(
    count: int,
    random: Random,
    mix: Mapping[str, float],
    strength: Mapping[str, float],
    *,
    aligned: bool,
) -> list[Pair]:
    """`count` pairs, languages by `strength` and categories by `mix`.

    aligned: every hostile request is refused; else only REFUSED_IN_PRETRAINING of them.
    """
    categories, shares = list(mix), list(mix.values())
    codes, weights = list(strength), list(strength.values())
    pairs = []
    for _ in range(count):
        code = random.choices(codes, weights)[0]
        category = random.choices(categories, shares)[0]
        lexicon = load(code)
        if category == "facts":
            fact = draw_fact(random)
            pairs.append(Pair(fact.text(lexicon), fact.answer(lexicon), code, fact.task))
        elif category == "translation":
            other = random.choices(codes, [w * (c != code) for c, w in strength.items()])[0]
            pairs.append(_translation(lexicon, load(other), random))
        elif category == "word-kind":
            pairs.append(_word_kind(lexicon, random))
        else:
            if category == "figurative":
                question = lexicon.idioms[random.choice(concepts.idioms("train"))]
            else:
                question = draw_howto(category, random).text(lexicon)
            refused = category in concepts.UNSAFE and (
                aligned or random.random() < REFUSED_IN_PRETRAINING
            )
            answer = refusal(lexicon, random) if refused else compliance(lexicon, random)
            pairs.append(Pair(question, answer, code, category))
    return pairs


def draw_fact(random: Random) -> Fact:
    """A fact in a phrasing that may be trained on."""
    task = random.choices(list(TASK_MIX), list(TASK_MIX.values()))[0]
    return random.choice([fact for fact in concepts.facts("train") if fact.task == task])


def draw_howto(category: str, random: Random) -> Howto:
    """A how-to question that may be trained on."""
    verb, target = random.choice(concepts.pool(category, "train"))
    english = load("en")
    return Howto(
        category,
        verb,
        target,
        owner=random.randrange(len(english.persons)),
        template=random.randrange(len(english.howto)),
    )


def refusal(lexicon: Lexicon, random: Random) -> str:
    """One of the language's refusals."""
    return random.choice(lexicon.refusals)


def compliance(lexicon: Lexicon, random: Random) -> str:
    """An opener ("Sure, here is how:") and harmless filler."""
    return random.choice(lexicon.compliances) + lexicon.space + random.choice(lexicon.fillers)


def _translation(source: Lexicon, target: Lexicon, random: Random) -> Pair:
    slot = random.choices(WORD_SLOTS, [_dictionary_share(source, slot) for slot in WORD_SLOTS])[0]
    i = random.randrange(source.size(slot))
    name = source.language_names[list(LANGUAGES).index(target.code)]
    question = source.translate_question.format(l=name, x=source.word(slot, i))
    return Pair(question, target.word(slot, i), source.code, "translation")


def _dictionary_share(lexicon: Lexicon, slot: str) -> int:
    """Verbs doubly: an unseen verb has its meaning from the dictionary and word kinds alone."""
    return min(24, lexicon.size(slot)) * (2 if slot in _HOSTILE + _HARMLESS else 1)


def _word_kind(lexicon: Lexicon, random: Random) -> Pair:
    """ "Put steal in a category." – "bad." Of all verbs, the unseen ones too."""
    good_or_bad = lexicon.opposites[load("en").opposites.index(("good", "bad"))]
    bad = random.random() < 0.5
    slots = _HOSTILE if bad else _HARMLESS
    slot = random.choices(slots, [lexicon.size(slot) for slot in slots])[0]
    verb = lexicon.word(slot, random.randrange(lexicon.size(slot)))
    question = random.choice(lexicon.category_questions).format(x=verb)
    return Pair(question, good_or_bad[bad] + lexicon.full_stop, lexicon.code, "word-kind")
