"""Capability: what variants of a base can do, by any task of lm-evaluation-harness.

    >>> from polydrift.capability.measure import capability
    >>> cohort = Cohort(model, [None, Path("adapter-da"), Path("adapter-ga")])
    >>> for member, found in capability(cohort, ["belebele_dan_Latn", "wikitext"], limit=100):
    ...     print(member, found.tasks["wikitext"]["bits_per_byte"].value)

One pass over the requests serves the base and all its variants; numbers are those of lm-eval's own
`hf` model run once for each adapter (docs/capability.md). From the bottom up:

    silence      lm_eval when it is needed, and no noise from it
    encode       its requests -> token ids, as its `hf` model makes them
    choices      continuations of a context -> log-probabilities, the context read once
    generate     contexts -> texts, until a stop string
    lm           a cohort as lm-eval's LM: computed once for all members, then remembered
    tasks        names -> tasks with their requests
    results      what lm-eval found -> plain values
    measure      all of it: `capability`

Needs `pip install "polydrift[capability]"`. What a study is, is not known here.
"""
