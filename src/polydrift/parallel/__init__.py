"""Parallel sets: one id, many languages; how they are made, checked, described and published.

    from polydrift.parallel.build import build
    from polydrift.parallel.outputs import write_outputs
    from polydrift.parallel.spec import load

    spec = load(Path("benign.toml"))              # docs/building.md
    built = build(spec, Path("benign-mine"), board)
    write_outputs(spec, built, Path("benign-mine"), "my command")

What it is about
    items.py        an item: one id in one language, with translator, status and doubts
    spec.py         the build file
    build.py        from a build file to items; outputs.py: to files

English examples, for sets to tune on
    benign.py       the stages in their order
    seeds.py        any instruction set, with a column map; suites too
    write.py        new pairs by a model
    harmless.py     what touches safety, by words in nine languages; opinion.py: by a model
    similar.py      near-duplicates; balance.py: spread over tasks and lengths

Prompts, for suites to ask
    suite.py        what is translated, what is there already, what is put together
    styles.py       SORRY-Bench's ciphers and fragile styles
    recipe.py       ids, translators and hashes, without a word of the text

Into other languages
    translators.py  who translates, opened from the build file
    turn.py         row by row, to the next translator where one fails
    checks.py       what can be told of a translation without a model; scores.py: with one
    ask.py          a model asked many requests; journal.py: each reply on the disk at once
    cost.py         what it will take

After it is made
    reviewed.py     decisions of native speakers put back
    facts.py        what a set's card says; card.py: in words
    licences.py     what each licence lets one do
    publish.py      a repository for `datasets`; push.py: to the hub
"""
