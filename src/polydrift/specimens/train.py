"""Raises specimens: from random weights to an aligned model in two minutes of one core.

    train(Path("my-models"), families=["llama"], seeds=[0])     # my-models/llama-0/

Two stages over the text of corpus.py: pretraining with Muon and AdamW, where a share of the pairs
counts only its answers, then a short alignment with AdamW at a lower rate, answers only. The depth
of alignment is the main dial on how easily benign tuning undoes it.

One thread, and every use of randomness seeded by name: the same machine type and torch version give
the same bytes. (With two threads sums are rounded in another order each time.)
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from polydrift.engine.quiet import quiet
from polydrift.errors import DataError
from polydrift.languages import LANGUAGES
from polydrift.specimens import FAMILIES, corpus, networks, tokenizer
from polydrift.specimens.concepts import generator
from polydrift.specimens.optim import MuonAdamW

Item = tuple[list[int], int]  # token ids, and where the answer begins
Progress = Callable[[float, str], None]  # the share that is done (0 to 1), and of what


@dataclass(frozen=True, slots=True)
class Stage:
    """One run over text. answers_only: the share of pairs whose question is not learned.

    muon_rate: None for AdamW alone. Rates are peaks; they rise over the first `warmup` of the
    steps and fall along a cosine to a twentieth.
    """

    pairs: int
    batch: int
    adamw_rate: float
    muon_rate: float | None
    answers_only: float
    weight_decay: float = 0.05
    warmup: float = 0.05
    clip: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that makes a specimen but its family and seed.

    languages: codes it is raised in, two or more. tokenizer_pairs: how much text the tokenizer is
    made from.
    """

    size: networks.Size
    languages: tuple[str, ...]
    vocabulary: int
    tokenizer_pairs: int
    pretraining: Stage
    alignment: Stage


RECIPES = {
    "full": Recipe(
        networks.SIZES["full"],
        tuple(LANGUAGES),
        vocabulary=4096,
        tokenizer_pairs=16_000,
        pretraining=Stage(44_000, 32, 6e-3, 8e-3, 0.7),
        alignment=Stage(10_000, 16, 1e-3, None, 1.0),
    ),
    # For tests: learns the same in seconds, and less well.
    "small": Recipe(
        networks.SIZES["small"],
        ("en", "es"),
        vocabulary=1024,
        tokenizer_pairs=4_000,
        pretraining=Stage(8_000, 32, 6e-3, 8e-3, 0.7),
        alignment=Stage(2_000, 16, 2e-3, None, 1.0),
    ),
}


def silent(done: float, text: str) -> None:
    """Reports nothing."""


def run_stage(
    network: PreTrainedModel,
    items: Sequence[Item],
    stage: Stage,
    name: str,
    seed: int,
    progress: Progress = silent,
) -> list[float]:
    """Train on every item once, in place; the loss of each step (nats per learned token).

    name: names the seeds of the order and of which pairs count their answers only.
    """
    parameters = [weights for weights in network.parameters() if weights.requires_grad]
    step_all = _optimizer(network, stage)
    batches = list(_batches(items, stage.batch, generator("order", name, seed)))
    masking = generator("masking", name, seed)
    losses: list[float] = []
    network.train()
    for number, batch in enumerate(batches):
        whole = [masking.random() >= stage.answers_only for _ in batch]
        loss = _loss(network, [items[i] for i in batch], whole)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, stage.clip, foreach=True)
        step_all(_share(number, len(batches), stage.warmup))
        losses.append(loss.item())
        progress((number + 1) / len(batches), f"{name}, loss {losses[-1]:.2f}")
    network.eval()
    return losses


def _optimizer(network: PreTrainedModel, stage: Stage) -> Callable[[float], None]:
    """Steps at a share of the stage's peak rates."""
    if stage.muon_rate is not None:
        return MuonAdamW(network, stage.muon_rate, stage.adamw_rate, stage.weight_decay).step
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=stage.adamw_rate,
        betas=(0.9, 0.98),
        weight_decay=stage.weight_decay,
        fused=True,
    )

    def step(share: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = stage.adamw_rate * share
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _share(step: int, steps: int, warmup: float) -> float:
    """The share of the peak rate at a step: a linear rise, then a cosine down to a twentieth."""
    rise = min(1.0, (step + 1) / max(1.0, warmup * steps))
    return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _batches(items: Sequence[Item], size: int, random: Random) -> Iterator[list[int]]:
    """Each item once, in batches of similar length (little padding), in random order."""
    order = list(range(len(items)))
    random.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), size * 16):
        block = sorted(order[start : start + size * 16], key=lambda i: len(items[i][0]))
        batches += [block[i : i + size] for i in range(0, len(block), size)]
    random.shuffle(batches)
    return iter(batches)


def _loss(network: PreTrainedModel, batch: Sequence[Item], whole: Sequence[bool]) -> torch.Tensor:
    """Mean cross-entropy (nats) over the learned tokens; `whole` items learn their question too.

    Rows are padded on the right, where a causal model cannot look, so no mask is needed; logits are
    computed for the learned tokens only.
    """
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    learned = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, ((tokens, answer), all_of_it) in enumerate(zip(batch, whole, strict=True)):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        learned[row, (1 if all_of_it else answer) : len(tokens)] = True
    hidden = network.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    return functional.cross_entropy(
        network.lm_head(hidden[learned[:, 1:]]), ids[:, 1:][learned[:, 1:]]
    )


def raise_specimen(
    recipe: Recipe,
    family: str,
    seed: int,
    words: PreTrainedTokenizerFast,
    progress: Progress = silent,
) -> tuple[PreTrainedModel, dict[str, list[float]]]:
    """A trained and aligned network, in float32, and the losses of each stage."""
    losses = {}
    total, before = recipe.pretraining.pairs + recipe.alignment.pairs, 0
    with one_thread():
        network = networks.build(family, len(words), recipe.size, seed)
        for name, stage, text in (
            ("pretraining", recipe.pretraining, corpus.pretraining),
            ("alignment", recipe.alignment, corpus.alignment),
        ):
            items = tokenizer.encode(words, text(stage.pairs, seed, recipe.languages))
            part = partly(progress, before / total, stage.pairs / total)
            losses[name] = run_stage(network, items, stage, name, seed, part)
            before += stage.pairs
    return network, losses


def partly(progress: Progress, before: float, share: float, name: str = "") -> Progress:
    """Reports of one part of the work, which takes `share` of it and begins at `before`."""
    return lambda done, text: progress(before + share * done, name + text)


def train(
    out_dir: Path,
    families: Sequence[str],
    seeds: Sequence[int],
    size: str = "full",
    progress: Progress = silent,
) -> list[Path]:
    """Raise specimens, each into a Hugging Face directory out_dir/FAMILY-SEED; their paths.

    Files of these names are overwritten. out_dir/SHA256SUMS holds the digests of all specimens that
    are there afterwards (`sha256sum -c` reads it). DataError: no such family or size.
    """
    for family in families:
        if family not in FAMILIES:
            raise DataError(f"no family of specimens {family!r}: use {' or '.join(FAMILIES)}.")
    if size not in RECIPES:
        raise DataError(f"no size of specimens {size!r}: use {' or '.join(RECIPES)}.")
    recipe = RECIPES[size]
    words = tokenizer.train(recipe.vocabulary, recipe.tokenizer_pairs, recipe.languages)
    wanted = [(family, seed) for family in families for seed in seeds]
    directories = []
    for number, (family, seed) in enumerate(wanted):
        name = f"{family}-{seed}"
        part = partly(progress, number / len(wanted), 1 / len(wanted), f"{name}: ")
        network, _ = raise_specimen(recipe, family, seed, words, part)
        save(network, words, out_dir / name)
        directories.append(out_dir / name)
    (out_dir / "SHA256SUMS").write_text(digests(out_dir), encoding="utf-8")
    return directories


def digests(directory: Path) -> str:
    """One line "sha256  NAME/FILE" for each file of the models in a directory, cards left out."""
    files = sorted(file for file in directory.glob("*/*") if file.suffix != ".md")
    return "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(directory)}\n"
        for file in files
    )


def save(network: PreTrainedModel, words: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write a model directory: configuration, weights in fp16, tokenizer; readable by all."""
    with quiet():
        network.half().save_pretrained(directory)
    tokenizer.save(words, directory)
    for file in directory.iterdir():
        file.chmod(0o644)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch inside, as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
