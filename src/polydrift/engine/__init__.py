"""The engine room: everything that touches a network. Text in; text, numbers and adapters out.

    >>> from polydrift.engine.model import Source
    >>> from polydrift.engine.models import load
    >>> from polydrift.engine.train import TuneSettings, tune
    >>> from polydrift.engine.adapters import adapted
    >>> from polydrift.engine.answer import Decoding, answer
    >>> model = load(Source("Qwen/Qwen3-0.6B"))                    # hub name or directory
    >>> tuned = tune(model, [("Hej?", "Hej!")], TuneSettings(), init_seed=1, order_seed=1)
    >>> tuned.save(Path("adapter"))                                # PEFT format
    >>> with adapted(model, Path("adapter")):                      # the base is itself again after
    ...     answers = answer(model, ["Hvad hedder du?"], Decoding(max_new_tokens=64), seeds=[0])

Modules, each usable by itself:

    hub          a name -> files on this disk, and what can go wrong on the way
    model        what a loaded model is
    models       files -> a frozen network with its tokenizer, `load`
    chat         text -> token ids, in the form the model was trained on
    forward      token ids -> logits, padded and batched, no more of them than wanted
    train        pairs -> a LoRA adapter
    adapters     a network that computes with an adapter for a while
    sampling     logits -> the next token, the same one whatever else is in the batch
    answer       prompts -> answers
    score        pairs -> log-probabilities
    activations  prompts -> hidden states at their last token

What a study is, where its files lie and in which language a text is, is not known here.
"""
