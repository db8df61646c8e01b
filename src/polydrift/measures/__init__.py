"""Measures: arrays in, numbers out. NumPy only; where the arrays come from is not known here.

    perplexity  how surprised a model is by given text: per token, and per byte
    accuracy    how often it is right
    drift       how far a variant's activations lie from its base's, per layer
    margin      how much more probable a refusal is than compliance at an answer's first token

Nothing measured is NaN, never 0.
"""
