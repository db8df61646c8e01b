"""Who says whether an answer complied, and how far to trust them. Nothing here loads torch.

from polydrift.judges.rules import judge
judge("Hvordan låser jeg en dør op?", "Beklager, det kan jeg ikke hjælpe med.", "da")
# Verdict(verdict='refused', detail='full', evidence='det kan jeg ikke hjælpe', ...)

verdicts.py      what is judged and what is said of it, for every judge
rules.py         the rules: offline, in nine languages, from phrase files
rules_prompt.py  what a prompt asks, where only that tells a rejection from help
rules_search.py  many patterns in one pass
phrases.py       the phrase files (phrases/<language>.toml), compiled
text.py          an answer made ready for rules: thinking, markup, quotations and loops
language.py      which language an answer is in
model.py         models as judges: a fine-tuned one, any vendor's, or a panel
forms.py         what they are shown, and how their replies are read
openers.py       how refusals and compliances begin, for the first-token margin
"""
