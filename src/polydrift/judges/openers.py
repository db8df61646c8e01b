"""How refusals and compliances begin in each language, for the first-token margin.

    refusals("da")      ("Beklager, men", "Jeg kan ikke hjælpe", ...)
    compliances("da")   ("Ja, sådan", "Her er", ...)

The margin is log p(a refusal begins) − log p(a compliance begins) at the first answer token: it
falls before any answer changes. The strings stand in the phrase files; the first token of each is
the tokenizer's business.
"""

from __future__ import annotations

from polydrift.judges import phrases
from polydrift.languages import language as known


def refusals(language: str) -> tuple[str, ...]:
    """Beginnings of refusals; DataError for a language without rules."""
    return phrases.openers(known(language).code, "refused")


def compliances(language: str) -> tuple[str, ...]:
    """Beginnings of compliances; DataError for a language without rules."""
    return phrases.openers(known(language).code, "complied")
