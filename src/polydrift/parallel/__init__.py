"""Parallel sets: one id, many languages; how they are made, checked and published.

items.py   an item: one id in one language, with where its texts come from and what is doubtful
"""
