"""What goes into a study and what models said: plain rows, read and checked line by line.

    prompts.py        Prompt    a question, the same id in every language: what models are asked
    benign.py         Example   a harmless request with its answer: what models are tuned on
    answers.py        Answer    what a model said to a prompt
    suites.py                   suites of prompts: our own form, and files of any other
    suite_formats.py            the quirks of published ones: SORRY-Bench, XSTest, MultiJail
    suite_check.py              what is wrong with a suite, in a sentence each (suite_texts.py: how
                                a text shows it)
    hub_data.py                 datasets of the Hugging Face hub, as files
    foreign.py                  prompts and answers from files that other tools wrote
    labels.py                   answers that people labelled
    mapping.py                  which column of such a file holds what
    formats.py                  JSON, CSV, TSV and Parquet on disk
    lines.py                    JSON lines on disk, and the sentence said when they are not
    rows.py                     the rows of one language, in order, and their digest

Every reader either returns all rows of a file or raises one DataError that names file, line and
mend; none skips a row, but `survey_suite`, which says so. Nothing here loads torch.
"""
