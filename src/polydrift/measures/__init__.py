"""Measures: arrays in, numbers out. NumPy only; where the arrays come from is not known here.

    perplexity  how surprised a model is by given text: per token, and per byte
    accuracy    how often it is right
    drift       how far a variant's activations lie from its base's, per layer; and its next token
    similarity  whether the map of all prompts is still the same: CKA, Procrustes
    direction   where unsafe prompts part from safe ones inside, and what tuning does there
    weights     how much an adapter adds to the weights, and whether two add the same
    margin      how much more probable a refusal is than compliance at an answer's first token
    irt         a whole benchmark's score from answers to a hundred of its items
    preference  how often a judge prefers a model's answers to those of a reference

Arrays may come batch by batch: `DriftSums`, `SimilaritySums` and `DirectionSums` keep sums, not
prompts. Formulas and papers: docs/drift.md.

Nothing measured is NaN, never 0.
"""
