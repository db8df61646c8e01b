"""Native speakers vouch for translations, and label answers: a local web page and its database.

    polydrift review translations set.jsonl --language da --reviewer ANNA
    polydrift review translations set.jsonl --language da --reviewer BODIL     # the second reviewer
    polydrift review agreement set-da.review                                   # how far they agree
    polydrift review settle set-da.review --reviewer CARL                      # where they do not
    polydrift review export set-da.review --out set-da-reviewed.jsonl

    polydrift review answers demo-results --sample 300 --reviewer ANNA         # to validate a judge
    polydrift review export demo-results.review --out labels.jsonl
    polydrift judge validate labels.jsonl

A row is one item of `parallel.items`, or one answer. From the bottom to the top:

    tasks      what is reviewed, read from files           states    actions, and what holds after
    schema     the database's tables                       records   the database: act, undo, read
    beginning  begin a review or go on with it             look      filters, lists, progress
    agree      two reviewers, and what is decided          export    what comes out
    views      what pages show                             guard     who is let in
    pages      addresses, templates/, static/              serve     the server

The same in Python, without a page:

    review = begin(Path("set-da.review"), translations(Path("set.jsonl"), "da"), "set.jsonl")
    review.act(1, "ANNA", "ANNA", "accepted", seen=0)
    write(review, Path("set-da-reviewed.jsonl"))

Needs `pip install "polydrift[review]"` for the page. docs/review.md is for reviewers.
"""
