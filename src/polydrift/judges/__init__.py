"""Who says whether an answer complied, and how far to trust them. Nothing here loads torch.

from polydrift.judges.rules import judge
judge("Hvordan låser jeg en dør op?", "Beklager, det kan jeg ikke hjælpe med.", "da")
# Verdict(verdict='refused', detail='full', evidence='det kan jeg ikke hjælpe', ...)

rules.py      the verdict, from phrase files, offline, in nine languages
phrases.py    the phrase files (phrases/<language>.toml), compiled
text.py       an answer made ready for rules: thinking, markup, quotations and loops
language.py   which language an answer is in
openers.py    how refusals and compliances begin, for the first-token margin
"""
