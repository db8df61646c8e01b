"""NLLB-200 as a translator: CTranslate2, or transformers where that is not there.

    >>> translator = Nllb("nllb-200-3.3B-ct2-int8")           # a directory, or owner/name on a hub
    >>> translator.translate(["Bland mel og sukker."], "da")
    ['Mix flour and sugar.']
    >>> translator.settings
    {'backend': 'ctranslate2', 'compute_type': 'int8', 'beam': 1}

A sentence goes in as NLLB was trained (Costa-jussà et al. 2022, arXiv 2207.04672): the code of its
language, its tokens, </s>; and the English comes after </s> and eng_Latn. The order with the code
last ("legacy") that old tokenizers have is never used. Nothing is cut off: CTranslate2's limits of
1,024 tokens in and 256 out are lifted, a translation may have `_cap` tokens, and a sentence that
does not fit the model's positions is an error, not a loss.

A translation does not depend on the batch, and with beam 1 in float32 both backends write the same
tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from polydrift.errors import ModelError
from polydrift.languages import language as known
from polydrift.translate import weights
from polydrift.translate.interface import Progress, silent

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BACKENDS = ("auto", "ctranslate2", "transformers")
_END = "</s>"
_POSITIONS = 1024  # of every NLLB-200 model, where the files do not say
_PER_TOKEN = 1e6  # bytes that a token in flight takes in NLLB-200-3.3B: cache, logits
_MEMORY = {"cpu": 1e9, "cuda": 8e9, "mps": 1e9}

Rows = list[list[int]]


class Nllb:
    """A model of the NLLB-200 kind."""

    def __init__(
        self,
        place: str | Path,
        *,
        revision: str | None = None,
        backend: str = "auto",
        device: str = "auto",
        beam: int = 1,
        compute_type: str = "auto",
        converted: Path | None = None,
        memory: float | None = None,
    ) -> None:
        """Loads the model. ModelError: one that is not there, no translator, or cannot be used so.

        place: a directory in transformers' or CTranslate2's format, or the name of either on the
        Hugging Face hub. backend: "auto" is "ctranslate2" where the place is in that format or
        `converted` is given, else "transformers". device: "auto" (a GPU if there is one), "cpu",
        "cuda", "cuda:N" or, with transformers, "mps". beam: 1 is greedy. compute_type: "auto" is
        "int8" for CTranslate2 and "float32" for transformers. converted: the directory where
        conversions to CTranslate2 are kept. memory: bytes that a batch may take beside the weights
        (None: 1 GB, on a GPU 8 GB).
        """
        self._name = str(place)
        if backend not in BACKENDS:
            raise ModelError(f"unknown backend {backend!r}: use one of {', '.join(BACKENDS)}.")
        if beam < 1:
            raise ModelError(f"a beam of {beam} finds nothing: use 1 (greedy) or more.")
        directory = weights.fetch_translator(place, revision)
        ready = weights.is_converted(directory)
        if backend == "auto":
            backend = "ctranslate2" if ready or converted is not None else "transformers"
        if ready and backend == "transformers":
            raise ModelError(
                f'{place} is in CTranslate2\'s format; leave `backend = "transformers"` out, or '
                "give the model that it was converted from."
            )
        config = {} if ready else weights.check(directory, self._name)
        self._positions = int(config.get("max_position_embeddings", _POSITIONS))
        self._tokenizer: Tokenizer = weights.tokenizer(directory, self._name)
        kind = compute_type if compute_type != "auto" else None
        self._engine: _Engine
        if backend == "ctranslate2":
            kind = kind or "int8"
            opened = _ctranslate2(self._name)
            where = _place(device, opened.get_cuda_device_count(), self._name)
            _supports(kind, opened.get_supported_compute_types(where[0]), where[0], self._name)
            if not ready:
                if converted is None:
                    raise ModelError(
                        f"{place} is not in CTranslate2's format; say where to keep a conversion "
                        "(converted=…)."
                    )
                directory = weights.conversion(directory, self._name, converted, kind)
            self._engine = _CTranslate2(directory, self._name, where, kind, self._tokenizer)
        else:
            kind = kind or "float32"
            self._engine = _Transformers(directory, self._name, device, kind)
        self._budget = (memory or _MEMORY[self._engine.device]) / _PER_TOKEN / beam
        self._beam = beam
        self.settings = {"backend": backend, "compute_type": kind, "beam": beam}

    def translate(
        self, sentences: Sequence[str], source: str, progress: Progress = silent
    ) -> list[str]:
        """See `Translator.translate`."""
        return self._turn(sentences, known(source).nllb, weights.TARGET, progress)

    def from_english(
        self, sentences: Sequence[str], target: str, progress: Progress = silent
    ) -> list[str]:
        """The other way, into the language of code `target`: for round trips."""
        return self._turn(sentences, weights.TARGET, known(target).nllb, progress)

    def _turn(
        self, sentences: Sequence[str], source: str, target: str, progress: Progress
    ) -> list[str]:
        from polydrift.engine.memory import by_length

        first, last, into = (self._id(token) for token in (source, _END, target))
        found = [""] * len(sentences)
        asked = [i for i, sentence in enumerate(sentences) if sentence.strip()]
        read = self._tokenizer.encode_batch([sentences[i] for i in asked], add_special_tokens=False)
        rows = [[first, *encoding.ids, last] for encoding in read]
        for i, row in zip(asked, rows, strict=True):
            if len(row) > self._positions:
                raise ModelError(
                    f"sentence {i + 1} of {len(sentences)} has {len(row)} tokens and {self._name} "
                    f"reads at most {self._positions}; cut it (polydrift.translate.sentences.cut)."
                )
        done = 0
        for batch in by_length([len(row) for row in rows], int(self._budget), len(rows)):
            caps = [self._cap(len(rows[k])) for k in batch]
            made = self._engine.run([rows[k] for k in batch], into, max(caps), self._beam)
            for k, cap, ids in zip(batch, caps, made, strict=True):
                found[asked[k]] = self._tokenizer.decode(ids[:cap], skip_special_tokens=True)
            done += len(batch)
            progress(done / len(rows), f"{done} of {len(rows)} sentences")
        return found

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ModelError(
                f"{self._name} has no token {token}, so it does not know that language; use a "
                "model that does."
            )
        return int(found)

    def _cap(self, tokens: int) -> int:
        """How many tokens the translation of so many may have: a true one never needs them."""
        return min(3 * tokens + 32, self._positions - 4)


class _Engine(Protocol):
    """Rows of token ids to the ids that follow the language's code, ends apart."""

    device: str

    def run(self, rows: Rows, target: int, cap: int, beam: int) -> Rows:
        """Translate one batch, at most `cap` tokens a row."""
        ...


class _CTranslate2:
    def __init__(
        self,
        directory: Path,
        name: str,
        where: tuple[str, int],
        compute_type: str,
        tokenizer: Tokenizer,
    ) -> None:
        import ctranslate2

        self.device, index = where
        self._name, self._tokenizer = name, tokenizer
        try:
            self._translator = ctranslate2.Translator(
                str(directory), device=self.device, device_index=index, compute_type=compute_type
            )
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{name}: CTranslate2 cannot use it as a translator ({weights._short(error)}); "
                "convert the model anew."
            ) from error

    def run(self, rows: Rows, target: int, cap: int, beam: int) -> Rows:
        token, number = self._tokenizer.id_to_token, self._tokenizer.token_to_id
        try:
            found = self._translator.translate_batch(
                [[token(i) for i in row] for row in rows],
                target_prefix=[[token(target)]] * len(rows),
                beam_size=beam,
                max_input_length=0,
                max_decoding_length=cap + 2,  # the code and </s> may be counted
            )
        except (RuntimeError, ValueError) as error:
            raise _failed(self._name, error) from error
        made = ([number(word) for word in one.hypotheses[0][1:]] for one in found)
        return [[i for i in ids if i is not None] for ids in made]  # None: a made-up word


class _Transformers:
    def __init__(self, directory: Path, name: str, device: str, compute_type: str) -> None:
        import torch

        types = {"float32", "bfloat16", "float16"}
        cards = torch.cuda.device_count()
        mps = device == "mps" and torch.backends.mps.is_available()
        self.device, index = ("mps", 0) if mps else _place(device, cards, name)
        _supports(compute_type, types, "transformers", name)
        self._name = name
        self._where = f"cuda:{index}" if self.device == "cuda" else self.device
        dtype = getattr(torch, compute_type)
        self._network: Any = weights.network(directory, name, dtype=dtype).to(self._where)

    def run(self, rows: Rows, target: int, cap: int, beam: int) -> Rows:
        import torch

        from polydrift.engine.quiet import quiet

        pad, end = self._network.config.pad_token_id, self._network.config.eos_token_id
        longest = max(map(len, rows))
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        lengths = torch.tensor([len(row) for row in rows])[:, None]
        mask = (torch.arange(longest)[None, :] < lengths).long()
        try:
            with torch.inference_mode(), quiet():
                found = self._network.generate(
                    ids.to(self._where),
                    attention_mask=mask.to(self._where),
                    forced_bos_token_id=target,
                    num_beams=beam,
                    do_sample=False,
                    max_new_tokens=cap + 1,  # with the code
                )
        except RuntimeError as error:
            raise _failed(self._name, error) from error
        return [_until(row[2:], end) for row in found.tolist()]


def _until(ids: Iterable[int], end: int) -> list[int]:
    found = []
    for i in ids:
        if i == end:
            break
        found.append(i)
    return found


def _ctranslate2(name: str) -> Any:
    try:
        import ctranslate2
    except ImportError as error:
        raise ModelError(f"{name} is translated by CTranslate2; {weights.INSTALL}.") from error
    return ctranslate2


def _place(device: str, cards: int, name: str) -> tuple[str, int]:
    """The kind of device and its number."""
    kind, _, number = device.partition(":")
    if device == "auto":
        return ("cuda" if cards else "cpu"), 0
    if device == "cpu":
        return "cpu", 0
    if kind != "cuda" or (number and not number.isdigit()):
        raise ModelError(f"{name}: cannot translate on {device!r}; use auto, cpu, cuda or cuda:N.")
    if int(number or 0) >= cards:
        raise ModelError(
            f"{name}: there is no CUDA device {device!r} here ({cards} found); use another one, "
            "cpu or auto."
        )
    return "cuda", int(number or 0)


def _supports(compute_type: str, known_types: Iterable[str], where: str, name: str) -> None:
    if compute_type not in known_types:
        raise ModelError(
            f"{name}: {compute_type!r} cannot be computed here ({where}); use one of "
            f"{', '.join(sorted(known_types))}."
        )


def _failed(name: str, error: BaseException) -> ModelError:
    return ModelError(
        f"{name} failed while translating ({weights._short(error)}); if memory ran out, give it "
        "less (memory=…)."
    )
