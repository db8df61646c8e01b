"""Texts that a task has the model write, until one of its stop strings.

    >>> how = settings({"until": ["\\n"], "max_gen_toks": 64, "do_sample": False}, model)
    >>> write(model, 1, encoder, [(5, 9, 2)], how, [0])
    [['Copenhagen']]

Settings mean what they mean to lm-eval's `hf` model: greedy unless the task has a temperature and
does not forbid sampling; 256 tokens unless it says otherwise; the end-of-sequence token's text is a
stop string too; the text is cut before the first stop string. What our engine cannot do is refused,
not ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from polydrift.capability.encode import Encoder
from polydrift.capability.silence import harness
from polydrift.engine.answer import answer_ids
from polydrift.engine.interface import Decoding, Progress, silent
from polydrift.engine.model import Model
from polydrift.errors import MeasureError, ModelError

_NEUTRAL: dict[str, Any] = {  # settings that change nothing when they have this value
    "num_beams": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "length_penalty": 1.0,
    "top_k": 0,
    "use_cache": True,
}
_SAMPLING = ("top_k", "top_p", "min_p", "typical_p")  # without effect on greedy decoding


@dataclass(frozen=True)
class Asked:
    """How texts are written. new: tokens at most. until: stop strings."""

    new: int
    temperature: float
    top_p: float
    until: tuple[str, ...]


def settings(wanted: Mapping[str, Any], model: Model, task: str | None = None) -> Asked:
    """A task's `generation_kwargs` as our engine's; MeasureError for what it cannot do."""
    utils = harness("models.utils")
    named = dict(utils.normalize_gen_kwargs(dict(wanted)))
    end = model.tokenizer.eos_token_id
    eos = None if end is None else str(model.tokenizer.decode(end, skip_special_tokens=False))
    until = utils.handle_stop_sequences(named.pop("until"), eos=eos)
    new = int(named.pop("max_gen_toks"))
    sampled = named.pop("do_sample") is not False
    temperature = float(named.pop("temperature", 0.0)) * sampled
    top_p = float(named.pop("top_p", 1.0)) if temperature else 1.0
    for name, value in named.items():
        harmless = value is None or value == _NEUTRAL.get(name, ...)
        if not harmless and not (temperature == 0 and name in _SAMPLING):
            raise MeasureError(
                f"the task {task} asks for texts with {name} = {value!r}, which polydrift does not "
                f"do; leave the task out, or switch it off (generation={{{name!r}: None}})."
            )
    return Asked(new, temperature, top_p, tuple(text for text in until if text))


def write(
    model: Model,
    lanes: int,
    encoder: Encoder,
    prompts: Sequence[Sequence[int]],
    how: Asked,
    seeds: Sequence[int],
    progress: Progress = silent,
) -> list[list[str] | ModelError]:
    """Texts after each prompt, by each adapter that the network computes side by side."""
    decoding = Decoding(temperature=how.temperature, top_p=how.top_p, max_new_tokens=how.new)
    found = answer_ids(
        model,
        lanes,
        prompts,
        decoding,
        seeds=seeds,
        stop_ids=_stops(model),
        until=_Until(model.tokenizer, how.until),
        progress=progress,
    )
    cut = harness("models.utils").postprocess_generated_text
    stops = list(how.until)
    return [
        lane
        if isinstance(lane, ModelError)
        else [str(cut(encoder.decode(ids), stops, None)) for ids, _ in lane]
        for lane in found
    ]


class _Until:
    """Ends rows whose last tokens hold a stop string.

    Looked at are as many tokens as the longest stop string takes, and two more, for a model may
    spell it otherwise.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str]) -> None:
        self._tokenizer, self._stops = tokenizer, stops
        sizes = [len(tokenizer.encode(text, add_special_tokens=False)) for text in stops]
        self._back = 2 + max(sizes, default=0)

    def __call__(self, written: NDArray[np.int64]) -> NDArray[np.bool_]:
        texts = self._tokenizer.batch_decode(written[:, -self._back :])
        return np.array([any(stop in text for stop in self._stops) for text in texts], dtype=bool)


def _stops(model: Model) -> set[int]:
    """Tokens that end a text: the tokenizer's, and those of the model's generation settings."""
    config = model.network.generation_config
    named = None if config is None else config.eos_token_id
    more = named if isinstance(named, list) else [named]
    return {int(i) for i in (model.tokenizer.eos_token_id, *more) if i is not None}
