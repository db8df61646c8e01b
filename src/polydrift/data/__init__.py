"""What goes into a study and what models said: plain rows, read and checked line by line.

    suites.py   Prompt    a question, the same id in every language: what models are asked
    benign.py   Example   a harmless request with its answer: what models are tuned on
    answers.py  Answer    what a model said to a prompt
    foreign.py            prompts and answers from files that other tools wrote
    lines.py              JSON lines on disk, and the sentence said when they are not

Every reader either returns all rows of a file or raises one DataError that names file, line and
mend; none skips a row. Nothing here loads torch.
"""
