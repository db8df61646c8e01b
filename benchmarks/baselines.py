"""What our engine is compared with: the stock stack, as somebody uses it who knows it well.

    peft_tune       a plain PEFT loop; also the reference that our adapters must be equal to
    trl_tune        TRL's SFTTrainer with PEFT: `trl_default`, and `trl_best` of what helps on a CPU
    generate_each   transformers' generate, one adapter at a time, beside the weights or merged
    generate_mixed  PEFT's mixed batches: every row names its adapter
    generate_best   generate_each in the fastest of sixteen ways
    lm_eval_scores  lm-eval's HFLM

Nothing of our engine computes here; recipes and step sizes are its own, and whoever compares hands
over the same token ids. A row is (ids, labels), with -100 where nothing is learned.

    >>> tuned = trl_best(directory, rows, TuneSettings())
    >>> with using(tuned.network, "default", merged=True):
    ...     answers = generate_each(tuned.network, prompts, 64, 24, [3], sort=True)
"""

from __future__ import annotations

import itertools
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft import get_peft_model_state_dict as adapter_of
from peft import set_peft_model_state_dict as set_adapter
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel

from polydrift.engine.recipe import TuneSettings, step_size

Prompts = Sequence[Sequence[int]]
Rows = Sequence[tuple[Sequence[int], Sequence[int]]]
Stops = Collection[int]
Answers = list[list[int]]
Way = tuple[int, bool, bool]  # batch, sort, merged


def load(directory: Path | str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The frozen network of a model directory; float32 unless told, whatever the files hold."""
    network = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype)
    return network.requires_grad_(False).eval()


def lora(settings: TuneSettings) -> LoraConfig:
    """The recipe in PEFT's words ("all-linear" is one of them: all but the head)."""
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.targets
        if settings.targets == "all-linear"
        else [*settings.targets],
        task_type="CAUSAL_LM",
    )


def peft_tune(
    network: PreTrainedModel,
    rows: Rows,
    order: Sequence[Sequence[int]],
    settings: TuneSettings,
    init_seed: int,
    *,
    first: dict[str, Tensor] | None = None,
    bf16: bool = False,
    mask: bool = True,
) -> dict[str, Tensor]:
    """The adapter, by the names of PEFT's files, after one step for each batch of row numbers in
    `order`; the loss is the mean over the batch's learned tokens. The network is left as it was.

    first: the adapter to begin with (PEFT draws one). bf16: forward under autocast. mask: say which
    ids are padding. (Behind everything that is learned it changes nothing under causal attention.)
    """
    device = network.device
    with torch.random.fork_rng():
        torch.manual_seed(init_seed)
        tuned = get_peft_model(network, lora(settings)).train()
        if first is not None:
            set_adapter(tuned, first)
        learned = [p for p in tuned.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(learned, weight_decay=settings.weight_decay, fused=True)
        for step, batch in enumerate(order):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * step_size(settings, step, len(order))
            ids = padded([rows[i][0] for i in batch], 0).to(device)
            labels = padded([rows[i][1] for i in batch], -100).to(device)
            real = padded([[1] * len(rows[i][0]) for i in batch], 0).to(device) if mask else None
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                out = tuned(input_ids=ids, attention_mask=real, labels=labels, use_cache=False)
            out.loss.backward()
            nn.utils.clip_grad_norm_(learned, settings.max_grad_norm)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
    adapter = {name: tensor.detach().cpu().clone() for name, tensor in adapter_of(tuned).items()}
    tuned.unload().eval()
    return adapter


class Trained(NamedTuple):
    """What SFTTrainer made. seconds: of `train()`; setup: of constructing the trainer."""

    network: PeftModel
    seconds: float
    setup: float


def trl_tune(
    directory: Path | str,
    rows: Rows,
    settings: TuneSettings,
    *,
    grouped: bool,
    bf16: bool,
    lean: bool = True,
    fused_head: bool = True,
    network: PreTrainedModel | None = None,
    **options: Any,
) -> Trained:
    """TRL's SFTTrainer on rows that are tokens already.

    grouped: rows of similar length in a batch (sorted within 50 batches, or a quarter of the rows
    if that is less). bf16: autocast. lean: nothing computed twice, saved, shown, or prepared again.
    fused_head: TRL's own loss, in tiles, with entropy and accuracy, at every place and again for
    the gradient; False: transformers' loss, whose gradient is the same to 5e-5. network: that of
    `directory`, if it is loaded; it gets the adapter. options: more of SFTConfig, such as `seed`.
    """
    from datasets import Dataset
    from transformers import PrinterCallback, Trainer
    from trl import SFTConfig, SFTTrainer

    class PlainHead(SFTTrainer):
        compute_loss = Trainer.compute_loss

    network = network or load(directory)
    savings = dict[str, Any](
        gradient_checkpointing=False,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = dict[str, Any](
            output_dir=scratch,
            use_cpu=network.device.type == "cpu",
            learning_rate=settings.learning_rate,
            lr_scheduler_type=settings.schedule.replace("constant", "constant_with_warmup"),
            warmup_steps=settings.warmup_steps,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            max_length=settings.max_length,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            train_sampling_strategy="group_by_length" if grouped else "random",
            bf16=bf16,
        )
        data = Dataset.from_list([{"input_ids": [*i], "labels": [*t]} for i, t in rows])
        started = time.perf_counter()
        trainer = (SFTTrainer if fused_head else PlainHead)(
            model=network,
            args=SFTConfig(**config | (savings if lean else {}) | options),
            train_dataset=data,
            processing_class=AutoTokenizer.from_pretrained(directory),
            peft_config=lora(settings),
        )
        setup = time.perf_counter() - started
        if lean:
            trainer.remove_callback(PrinterCallback)
        seconds = _seconds(trainer.train)
    return Trained(trainer.model.eval(), seconds, setup)


trl_default = partial(trl_tune, grouped=False, bf16=True, lean=False)
"""SFTTrainer as it comes: the recipe is given, and every other setting is TRL's."""

trl_best = partial(trl_tune, grouped=True, bf16=False, fused_head=False)
"""SFTTrainer with what was fastest on a CPU in float32. With 100 million parameters and rows of
very different lengths, `grouped=False, padding_free=True` took 7% less; it attends over the whole
batch, so long rows make it slower."""


@contextmanager
def using(network: PeftModel, adapter: str, *, merged: bool) -> Iterator[None]:
    """Inside, the network computes with this adapter. (Merging in and out rounds the weights.)"""
    network.set_adapter(adapter)
    if merged:
        network.merge_adapter([adapter])
    yield
    if merged:
        network.unmerge_adapter()


def generate_each(
    network: PeftModel, prompts: Prompts, batch: int, new_tokens: int, stops: Stops, *, sort: bool
) -> Answers:
    """Greedy answers of the network as it is (a plain one will do), in the prompts' order, each
    without its stop. batch: rows at a time. sort: prompts of similar length together.
    """
    return generate_mixed(network, [None], prompts, batch, new_tokens, stops, sort=sort)[0]


@torch.inference_mode()
def generate_mixed(
    network: PeftModel,
    adapters: Sequence[str | None],
    prompts: Prompts,
    batch: int,
    new_tokens: int,
    stops: Stops,
    *,
    sort: bool,
) -> list[Answers]:
    """Greedy answers of every adapter to every prompt, `batch` rows at a time: each batch asks all
    adapters the same prompts, so nothing is padded for an adapter's sake. None: no naming.
    """
    answers: list[Answers] = [[[] for _ in prompts] for _ in adapters]
    config = GenerationConfig(
        max_new_tokens=new_tokens, do_sample=False, eos_token_id=sorted(stops), pad_token_id=0
    )
    places = sorted(range(len(prompts)), key=lambda i: len(prompts[i]) if sort else 0)
    size = max(1, batch // len(adapters))
    for start in range(0, len(places), size):
        rows = [(k, i) for k in range(len(adapters)) for i in places[start : start + size]]
        ids = padded([prompts[i] for _, i in rows], 0, left=True).to(network.device)
        real = padded([[1] * len(prompts[i]) for _, i in rows], 0, left=True).to(network.device)
        names = {} if None in adapters else {"adapter_names": [adapters[k] for k, _ in rows]}
        out = network.generate(ids, attention_mask=real, generation_config=config, **names)
        for (k, i), row in zip(rows, out[:, ids.shape[1] :].tolist(), strict=True):
            answers[k][i] = list(itertools.takewhile(lambda token: token not in stops, row))
    return answers


def generate_best(
    network: PeftModel,
    adapters: Sequence[str],
    prompts: Prompts,
    new_tokens: int,
    stops: Stops,
    trial: int = 192,
) -> tuple[list[Answers], float, dict[Way, float]]:
    """Best-tuned generate: of batches of 8, 32, 64 or the whole trial, sorted or not, merged or
    beside, what is fastest (the better of two) with the first adapter on `trial` prompts or fewer.
    Answers of each adapter, their seconds, and the seconds of all that was tried.
    """
    some = prompts[:: -(-len(prompts) // trial)]

    def run(name: str, asked: Prompts, way: Way) -> Answers:
        with using(network, name, merged=way[2]):
            return generate_each(network, asked, way[0], new_tokens, stops, sort=way[1])

    sizes = {min(size, len(some)) for size in (8, 32, 64, trial)}
    ways = list(itertools.product(sizes, (True, False), (True, False)))
    found = sorted((_seconds(partial(run, adapters[0], some, way)), way) for way in 2 * ways)
    tried = {way: took for took, way in reversed(found)}  # of two equal ways, the faster stays
    started = time.perf_counter()
    answers = [run(name, prompts, found[0][1]) for name in adapters]
    return answers, time.perf_counter() - started, tried


def lm_eval_scores(
    directory: Path | str,
    pairs: Sequence[tuple[str, str]],
    network: PreTrainedModel | None = None,
    batch: int = 32,
) -> list[tuple[float, bool]]:
    """HFLM's log-likelihood of each continuation after its context, in nats, and whether greedy
    decoding would write it. (lm-eval counts white space that ends a context to the continuation.)
    """
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = HFLM(network or load(directory), tokenizer=tokenizer, batch_size=batch)
    requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]
    return [(float(nats), bool(greedy)) for nats, greedy in model.loglikelihood(requests, True)]


def padded(rows: Prompts, filler: int, *, left: bool = False) -> Tensor:
    """[rows, longest row], filled up on the right unless told."""
    width = max(map(len, rows))
    both = [(row, [filler] * (width - len(row))) for row in rows]
    return torch.tensor([[*gap, *row] if left else [*row, *gap] for row, gap in both])


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
