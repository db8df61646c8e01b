"""Adapters trained side by side against PEFT training each alone; the claims of `engine.train`."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from polydrift.engine import checkpoints, memory, routes, train
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.engine.recipe import TuneSettings
from polydrift.engine.train import Run, tune
from polydrift.errors import ModelError
from tests.engine.conftest import PAIRS
from tests.engine.test_train import assert_same_network, plain_loop, state

# raised by PEFT inside transformers, in the tests' own loop
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

SETTINGS = TuneSettings(
    rank=4,
    alpha=8.0,
    learning_rate=2e-3,
    warmup_steps=3,
    epochs=10,
    batch_size=3,
    max_grad_norm=0.6,
    loss="response",
)


def runs(count, **more):
    """Rows of very different lengths, in an order and with first weights of each run's own."""
    return [
        Run(PAIRS[k % 4 :] + PAIRS[: k % 4], 100 + k, 200 + k, f"run {k}", **more)
        for k in range(count)
    ]


def together(model, wanted, settings=SETTINGS, **more):
    found = dict(tune(model, wanted, settings, **more))
    assert sorted(found) == list(range(len(wanted)))
    return [found[k] for k in range(len(wanted))]


@pytest.fixture
def abreast(monkeypatch):
    """Whatever the steps' size, this many side by side."""

    def choose(count):
        monkeypatch.setattr(train, "abreast", lambda model, tokens, members: min(count, members))

    return choose


@pytest.fixture
def wide(model):
    wide = copy.deepcopy(model)
    wide.network = wide.network.double()
    return wide


def assert_equals_peft(model, wanted, tuned, error, settings=SETTINGS):
    clipped = 0
    for run, found in zip(wanted, tuned, strict=True):
        theirs, losses, cut = plain_loop(
            model, run.examples, settings, init_seed=run.init_seed, order_seed=run.order_seed
        )
        assert found.steps == len(losses) >= 30
        assert found.losses == pytest.approx(losses, rel=10 * error)
        assert set(found.tensors) == set(theirs)
        for name, tensor in theirs.items():
            ours, tensor = found.tensors[name].double(), tensor.double()
            assert (ours - tensor).norm() <= error * tensor.norm(), (run.name, name)
        clipped += cut
    assert clipped >= 3 * len(wanted)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_adapters_side_by_side_equal_separate_peft_runs(model, abreast, count):
    abreast(count)
    before = state(model.network)
    wanted = runs(count)
    tuned = together(model, wanted)
    assert [found.abreast for found in tuned] == [count] * count
    assert_same_network(model.network, before)
    assert_equals_peft(model, wanted, tuned, 2e-4)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_and_to_the_last_digits_in_float64(wide, abreast, count):
    abreast(count)
    wanted = runs(count)
    assert_equals_peft(wide, wanted, together(wide, wanted), 1e-6)


@pytest.mark.parametrize(("rows", "fits"), [(0.5, 0), (2.5, 2), (7.5, 6)])
def test_small_passes_and_recomputing_change_nothing(wide, abreast, rows, fits):
    """A budget for so many rows: insides computed again, a step in two passes, two adapters."""
    abreast(3)
    longest = max(len(wide.chat.example(*pair)[0]) for pair in PAIRS)
    budget = rows * longest * memory.training_per_token(wide, recompute=False)
    tight = dataclasses.replace(wide, source=dataclasses.replace(wide.source, memory=budget))
    wanted = runs(3)
    tuned = together(tight, wanted)
    assert [found.abreast for found in tuned] == ([2, 2, 1] if fits == 6 else [1, 1, 1])
    assert_equals_peft(wide, wanted, tuned, 1e-6)


def test_passes_of_few_rows_of_each_adapter(wide, abreast, monkeypatch):
    abreast(3)
    shape = train._shape
    monkeypatch.setattr(train, "_shape", lambda *what: (shape(*what)[0], 2, False))
    wanted = runs(3)
    assert_equals_peft(wide, wanted, together(wide, wanted), 1e-6)


def test_recomputing_is_undone(llama, abreast):
    tight = dataclasses.replace(llama, source=dataclasses.replace(llama.source, memory=1.0))
    before = state(llama.network)
    hooks = [len(m._forward_hooks) for m in llama.network.modules()]
    together(tight, runs(1), dataclasses.replace(SETTINGS, epochs=1))
    assert [len(m._forward_hooks) for m in llama.network.modules()] == hooks
    assert not any(getattr(m, "gradient_checkpointing", False) for m in llama.network.modules())
    assert_same_network(llama.network, before)


def test_an_adapter_more_changes_nothing_for_the_others(model, abreast):
    """With one thread, not even the last bit (rows of a matrix product are rounded alike)."""
    abreast(9)
    many, few = together(model, runs(5)), together(model, runs(3))
    for one, other in zip(many[:3], few, strict=True):
        for name, tensor in one.tensors.items():
            torch.testing.assert_close(other.tensors[name], tensor, rtol=1e-4, atol=1e-6)


def test_runs_of_different_lengths_end_at_their_own_steps(wide, abreast):
    """One that is done stays as it is while the others go on: AdamW would move it without them."""
    abreast(3)
    wanted = [dataclasses.replace(r, examples=r.examples[: 9 - 2 * k]) for k, r in
              enumerate(runs(3))]  # fmt: skip
    settings = dataclasses.replace(SETTINGS, epochs=15)
    tuned = together(wide, wanted, settings)
    assert [found.steps for found in tuned] == [45, 45, 30]
    assert_equals_peft(wide, wanted, tuned, 1e-6, settings)


def test_a_run_that_breaks_is_named_and_the_others_go_on(llama, abreast, monkeypatch):
    abreast(3)
    before = state(llama.network)
    alone = together(llama, runs(3))
    first = train.initial

    def with_a_bad_one(model, names, settings, seed):
        found = first(model, names, settings, seed)
        if seed == 101:
            for a, b in found.values():
                a.fill_(1e30), b.fill_(1e30)
        return found

    monkeypatch.setattr(train, "initial", with_a_bad_one)
    good, bad, last = together(llama, runs(3))
    assert isinstance(bad, ModelError)
    assert str(bad) == (
        f"tuning {llama.source.model} broke at step 1 of 30 of run 1: the loss is nan and its "
        "gradient nan; lower the learning rate, or use a wider dtype."
    )
    for found, wanted in ((good, alone[0]), (last, alone[2])):
        assert found.losses == pytest.approx(wanted.losses, rel=1e-4)
        for name, tensor in wanted.tensors.items():
            torch.testing.assert_close(found.tensors[name], tensor, rtol=1e-3, atol=1e-6)
    assert_same_network(llama.network, before)


def test_a_run_with_nothing_to_learn_is_named_and_the_others_go_on(llama):
    nothing = dataclasses.replace(runs(1)[0], examples=[])
    good, bad = together(llama, [runs(2)[0], dataclasses.replace(nothing, name="run 1")])
    assert str(bad) == f"nothing to tune {llama.source.model} on for run 1: there are no examples."
    assert good.steps == 30


class Killed(BaseException):
    """What a power cut is to a training."""


@pytest.mark.parametrize("count", [1, 3])
def test_a_killed_training_goes_on_to_the_same_weights(model, abreast, tmp_path, count):
    abreast(count)

    def wanted():
        return [dataclasses.replace(r, checkpoint=tmp_path / f"{r.name}.safetensors") for r in
                runs(count)]  # fmt: skip

    whole = together(model, wanted(), checkpoint_seconds=1e9)
    assert not list(tmp_path.iterdir())

    def kill(member, done, text):
        if text.startswith("step 17 of 30"):
            raise Killed

    before = state(model.network)
    with pytest.raises(Killed):
        together(model, wanted(), checkpoint_seconds=0, progress=kill)
    assert_same_network(model.network, before)
    resumed = together(model, wanted(), checkpoint_seconds=1e9)
    assert [found.resumed for found in resumed] == [16] * count
    for one, other in zip(whole, resumed, strict=True):
        assert one.losses == other.losses
        assert one.tensors.keys() == other.tensors.keys()
        assert all(torch.equal(one.tensors[n], other.tensors[n]) for n in one.tensors)


@pytest.mark.parametrize("harm", ["damaged", "of other rows", "of other settings"])
def test_a_checkpoint_of_no_use_counts_as_none(llama, tmp_path, harm):
    (run,) = runs(1, checkpoint=tmp_path / "run.safetensors")
    settings = dataclasses.replace(SETTINGS, epochs=2)
    together(llama, [run], settings, checkpoint_seconds=0)
    assert together(llama, [run], settings)[0].resumed == 6
    if harm == "damaged":
        run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:-7])
    elif harm == "of other rows":
        run = dataclasses.replace(run, examples=run.examples[::-1])
    else:
        settings = dataclasses.replace(settings, learning_rate=1e-3)
    found = together(llama, [run], settings)[0]
    assert found.resumed == 0
    clean = together(llama, [dataclasses.replace(run, checkpoint=None)], settings)[0]
    assert all(torch.equal(found.tensors[n], t) for n, t in clean.tensors.items())


def test_dropout_is_resumed_too(llama, tmp_path):
    settings = dataclasses.replace(SETTINGS, dropout=0.3, epochs=4)
    (run,) = runs(1, checkpoint=tmp_path / "run.safetensors")
    whole = together(llama, runs(1), settings)[0]

    def kill(member, done, text):
        if text.startswith("step 6 of"):
            raise Killed

    with pytest.raises(Killed):
        together(llama, [run], settings, checkpoint_seconds=0, progress=kill)
    resumed = together(llama, [run], settings)[0]
    assert resumed.resumed == 5
    assert all(torch.equal(resumed.tensors[n], t) for n, t in whole.tensors.items())


def test_how_many_go_abreast_depends_on_the_size_of_their_steps(llama):
    assert routes.abreast(llama, 16, 9) == 9
    assert routes.abreast(llama, 100_000, 9) == 1
    assert routes.abreast(llama, 16, 2) == 2


def test_a_bfloat16_base_has_float32_masters_side_by_side(directories, abreast):
    base = load(Source(str(directories["gemma3"]), dtype="bfloat16", device="cpu"))
    settings = dataclasses.replace(SETTINGS, learning_rate=1e-6, warmup_steps=0, epochs=2)
    abreast(3)
    for found in together(base, runs(3), settings):
        moved = [t for n, t in found.tensors.items() if "lora_B" in n]
        # steps so small that bfloat16 would hold none of the sums
        assert all(t.dtype == torch.float32 and (t != 0).any() for t in moved)
        assert any(not torch.equal(t, t.bfloat16().float()) for t in moved)


def test_a_checkpoint_reads_back_as_written(tmp_path):
    one = checkpoints.Checkpoint(torch.rand(5), torch.rand(5), torch.rand(5), [1.5, 0.1 + 0.2])
    one.save(tmp_path / "deep" / "one", "mark")
    back = checkpoints.read(tmp_path / "deep" / "one", "mark")
    assert back.losses == one.losses
    for name in ("weights", "first", "second"):
        assert torch.equal(getattr(back, name), getattr(one, name))
    assert checkpoints.read(tmp_path / "deep" / "one", "other mark") is None
    assert checkpoints.read(tmp_path / "nowhere", "mark") is None
