"""The engine room: everything that touches a network. Text in; text, numbers and adapters out.

    >>> from polydrift.engine.model import Source
    >>> from polydrift.engine.models import load
    >>> from polydrift.engine.train import Run, TuneSettings, tune
    >>> from polydrift.engine.cohort import Cohort
    >>> from polydrift.engine.interface import Decoding
    >>> model = load(Source("Qwen/Qwen3-0.6B"))                    # hub name or directory
    >>> runs = [Run([("Hej?", "Hej!")], init_seed=1, order_seed=1)]
    >>> for member, tuned in tune(model, runs, TuneSettings()):    # in lockstep
    ...     tuned.save(Path("adapter"))                            # PEFT format
    >>> cohort = Cohort(model, [None, Path("adapter")])            # the base, and its variants
    >>> for member, found in cohort.answer(["Hvad hedder du?"], Decoding(), seeds=[0]):
    ...     print(member, found)                                   # or .score, .activations

From the bottom up; each usable by itself:

    interface    what every engine offers: cohorts, servers, vendors
    hub          a name -> files on this disk, and what can go wrong on the way
    model        what a loaded model is
    models       files -> a frozen network with its tokenizer, `load`
    chat         text -> token ids, in the form the model was trained on
    forward      token ids -> logits, padded and batched, no more of them than wanted
    memory       how much is worked on at once
    adapters     PEFT's files, and what of them a linear layer needs
    layers       K adapters beside one frozen linear layer
    routes       adapters stacked, merged, or beside, for a while; which, by measurement
    recipe       how adapters are tuned: settings, step sizes, order of rows, first weights
    loss         cross-entropy through a frozen head, a few positions at a time
    lockstep     one step of K adapters at once
    checkpoints  how far a training is
    train        pairs -> LoRA adapters
    sampling     logits -> the next token, the same one whatever else is in the batch
    answer       prompts -> answers
    score        text -> log-probabilities
    activations  prompts -> hidden states, as a stream
    cohort       all variants of one base: answers, scores, activations
    asking       many prompts in flight to somebody else's machine
    served       a server such as vLLM
    vendor       any model that Inspect AI knows

What a study is, where its files lie and in which language a text is, is not known here.
"""
