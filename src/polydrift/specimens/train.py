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
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from polydrift.languages import LANGUAGES
from polydrift.seeds import named_seed
from polydrift.specimens import corpus, networks, tokenizer
from polydrift.specimens.optim import MuonAdamW

Item = tuple[list[int], int]  # token ids, and where the answer begins
Progress = Callable[[str, int, int, float], None]  # stage, step, steps, loss (nats per token)


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

    languages: codes it is raised in, two or more. tokenizer_pairs: pairs its tokenizer is made from.
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


def run_stage(
    network: PreTrainedModel,
    items: Sequence[Item],
    stage: Stage,
    name: str,
    seed: int,
    progress: Progress | None = None,
) -> list[float]:
    """Train on every item once, in place; the loss of each step."""
    parameters = [weights for weights in network.parameters() if weights.requires_grad]
    step_all = _optimizer(network, stage)
    batches = list(_batches(items, stage.batch, Random(named_seed("specimen-order", name, seed))))
    masking = Random(named_seed("specimen-masking", name, seed))
    losses: list[float] = []
    network.train()
    for number, batch in enumerate(batches):
        whole = [masking.random() >= stage.answers_only for _ in batch]
        loss = _loss(network, [items[i] for i in batch], whole)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, stage.clip, foreach=True)
        step_all(_share(number, len(batches), stage.warmup))
        losses.append(loss.item())
        if progress:
            progress(name, number + 1, len(batches), losses[-1])
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
    progress: Progress | None = None,
) -> tuple[PreTrainedModel, dict[str, list[float]]]:
    """A trained and aligned network, in float32, and the losses of each stage."""
    losses = {}
    with _one_thread():
        network = networks.build(family, len(words), recipe.size, seed)
        for name, stage, text in (
            ("pretraining", recipe.pretraining, corpus.pretraining),
            ("alignment", recipe.alignment, corpus.alignment),
        ):
            items = tokenizer.encode(words, text(stage.pairs, seed, recipe.languages))
            losses[name] = run_stage(network, items, stage, name, seed, progress)
    return network, losses


def train(
    out_dir: Path,
    families: Sequence[str],
    seeds: Sequence[int],
    size: str = "full",
    progress: Progress | None = None,
) -> list[Path]:
    """Raise specimens and save each as a Hugging Face directory out_dir/FAMILY-SEED (fp16).

    Existing files of these names are overwritten.
    """
    recipe = RECIPES[size]
    words = tokenizer.train(recipe.vocabulary, recipe.tokenizer_pairs, recipe.languages)
    directories = []
    for family in families:
        for seed in seeds:
            directory = out_dir / f"{family}-{seed}"
            network, _ = raise_specimen(recipe, family, seed, words, progress)
            save(network, words, directory)
            directories.append(directory)
    return directories


def save(network: PreTrainedModel, words: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write a model directory: configuration, weights in fp16, tokenizer; readable by all."""
    network.half().save_pretrained(directory)
    tokenizer.save(words, directory)
    for file in directory.iterdir():
        file.chmod(0o644)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch inside, as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
