"""Answers into English, for judges that read nothing else. Nothing here loads torch by itself.

    from polydrift.translate.back import to_english
    from polydrift.translate.nllb import Nllb

    translator = Nllb("nllb-200-3.3B-ct2-int8")
    to_english(["Beklager, det kan jeg ikke hjælpe med."], ["da"], translator)
    # [Translation(text="I'm sorry, I can't help with that.", source='da', doubts=(), sentences=1)]

A judge trained on English cannot be shown other languages, and translators fail in ways that look
like answers: they drop sentences, repeat themselves, and stop at 256 tokens (PROTOCOL 3.5 to 3.7).
So an answer is taken apart (layout), cut into sentences (sentences), translated from the language
that it is in and not the one it was asked in, checked (doubts), and put together again.

interface.py   what a translator is
back.py        answers to English, with their doubts
layout.py      an answer as sentences, and what stays: lists, line breaks, code
sentences.py   where sentences end in nine languages
doubts.py      repetition, collapse, what was not translated
nllb.py        NLLB-200 by CTranslate2 or transformers; weights.py fetches and converts
vendor.py      any model that Inspect AI knows
lexicon.py     a phrasebook, for specimens and tests
quality.py     chrF beside references, and of round trips

Sets in nine languages are made the other way, out of English, text by text:

into.py        what such a translator is; vendors' models, NLLB, a phrasebook
replies.py     what a model's reply holds, refusals and cut-off replies told apart
services.py    Google and DeepL; batches.py: what such services share
protect.py     what no translation changes: code, links, placeholders; Markdown's structure
"""
