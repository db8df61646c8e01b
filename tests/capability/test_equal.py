"""Every number against lm-eval's own `hf` model with the same adapter, loaded anew for each."""

from __future__ import annotations

import pytest

from polydrift.capability.lm import CohortLM
from polydrift.capability.measure import capability
from polydrift.capability.silence import hushed
from polydrift.engine.cohort import Cohort
from tests.capability.conftest import TASKS

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def theirs(model, adapter, include, tasks=tuple(TASKS), *, batch=1, hf=None, **options):
    """What lm_eval.simple_evaluate finds with its `hf` model."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    with hushed():
        lm = HFLM(
            model.source.model,
            peft=None if adapter is None else str(adapter),
            device="cpu",
            batch_size=batch,
            **(hf or {}),
        )
        return simple_evaluate(
            lm,
            tasks=list(tasks),
            task_manager=TaskManager(include_path=str(include), include_defaults=False),
            bootstrap_iters=1000,
            **options,
        )


def compare(ours, wanted, model, tasks=TASKS):
    """Every metric, and every question's value, of one member."""
    for name in tasks:
        row = {k: v for k, v in wanted["results"][name].items() if "," in k and "stderr" not in k}
        got = {f"{one.metric},{one.filter}": one for one in ours.tasks[name].figures}
        assert set(got) == set(row)
        for key, value in row.items():
            assert got[key].value == pytest.approx(value, rel=1e-4), (name, key)
            metric, _, kind = key.partition(",")
            error = wanted["results"][name][f"{metric}_stderr,{kind}"]
            if error != "N/A":
                assert got[key].stderr == pytest.approx(error, rel=1e-3, abs=1e-9), (name, key)
        main = ours.tasks[name].main
        if main.metric != "bits_per_byte":
            for sample in wanted["samples"][name]:
                value = sample[main.metric]
                assert ours.tasks[name].samples[sample["doc_id"]] == pytest.approx(value, abs=1e-4)


def responses(results):
    return {name: [[one["resps"], one["arguments"]] for one in rows]
            for name, rows in results["samples"].items()}  # fmt: skip


@pytest.mark.parametrize("width", [1, 9])
def test_numbers_are_those_of_lm_eval_s_own_model(base, include, width):
    model, directories = base
    found = dict(
        capability(
            Cohort(model, directories, side_by_side=width), list(TASKS), include_path=include
        )
    )
    assert sorted(found) == list(range(len(directories)))
    for member, adapter in enumerate(directories):
        compare(found[member], theirs(model, adapter, include), model)
    values = [found[k].tasks["facts_text"]["bits_per_byte"].value for k in found]
    assert len({round(value, 3) for value in values}) == len(values)  # the adapters do something


def test_every_response_is_that_of_lm_eval_s_own_model(base, include):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    model, directories = base
    lm = CohortLM(Cohort(model, directories))
    texts = set()
    for member, adapter in enumerate(directories):
        with hushed():
            ours = simple_evaluate(
                lm.member(member),
                tasks=list(TASKS),
                task_manager=TaskManager(include_path=str(include), include_defaults=False),
                bootstrap_iters=0,
            )
        wanted = responses(theirs(model, adapter, include))
        for name, rows in responses(ours).items():
            for (got, asked), (want, their_asked) in zip(rows, wanted[name], strict=True):
                assert asked == their_asked
                for (a,), (b,) in zip(got, want, strict=True):
                    if name == "facts_write":
                        assert a == b
                        texts.add(a)
                    elif name == "facts_text":
                        assert a == pytest.approx(b, abs=1e-4, rel=1e-6)
                    else:
                        assert a[0] == pytest.approx(b[0], abs=1e-4)
                        assert a[1] == b[1]
    assert len(texts) > 10
