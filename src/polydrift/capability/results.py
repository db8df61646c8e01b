"""What lm-evaluation-harness found, as plain values.

    >>> task = results.tasks["belebele_dan_Latn"]
    >>> task.main.value, task.main.stderr, task.n
    (0.41, 0.0164, 900)
    >>> task.samples[17]                  # question 17, by the main metric
    1.0

Variants and base answer the same questions, so differences are paired by the questions' numbers in
`samples`. `requests` names exactly what was asked: equal, the same questions in the same words.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_PLACES = ("data_files", "data_dir", "cache_dir")  # where data lies on a disk is not what a task is


@dataclass(frozen=True)
class Figure:
    """One metric of one task. filter: what was cut out of a written answer first, or "none".

    stderr: lm-eval's own, NaN where it has none. higher_is_better: None where it does not say.
    """

    metric: str
    filter: str
    value: float
    stderr: float
    higher_is_better: bool | None


@dataclass(frozen=True)
class TaskResults:
    """Of one task or group. n: questions that were asked, of so many (`of`; a group: their sum).

    main: the metric that `samples` is of: the first that has a number for each question. samples:
    {question: its value}; of a text read for perplexity bits per byte (or per word); empty for a
    group. version: that of the task's YAML file. fewshot: examples before each question (a group's:
    None where they differ). config, requests: digests of what the task is and what was asked.
    truncated: requests that lost their beginning.
    """

    name: str
    figures: tuple[Figure, ...]
    main: Figure | None
    n: int
    of: int
    version: str
    fewshot: int | None
    config: str
    requests: str
    truncated: int
    samples: Mapping[int, float] = field(repr=False)

    def __getitem__(self, metric: str) -> Figure:
        """The figure "acc", or "exact_match,strict-match" where there are several filters."""
        for one in self.figures:
            if metric in (one.metric, f"{one.metric},{one.filter}"):
                return one
        raise KeyError(metric)


@dataclass(frozen=True)
class Results:
    """Of one member. groups: those that sum up their tasks."""

    tasks: dict[str, TaskResults]
    groups: dict[str, TaskResults]


def gather(
    found: Mapping[str, Any], tasks: Mapping[str, Any], truncated: Mapping[str, int]
) -> Results:
    """Plain values from what `lm_eval.evaluator.evaluate` returns.

    tasks: lm-eval's tasks by name, with their requests. truncated: of each, how many requests.
    """
    made = {name: _task(name, found, task, truncated[name]) for name, task in tasks.items()}
    return Results(made, {name: _group(name, found, made) for name in found.get("groups", {})})


def _task(name: str, found: Mapping[str, Any], task: Any, truncated: int) -> TaskResults:
    figures = _figures(found["results"][name], found["higher_is_better"].get(name, {}))
    main, samples = _samples(figures, found["samples"][name])
    sizes = found["n-samples"][name]
    return TaskResults(
        name=name,
        figures=figures,
        main=main,
        n=int(sizes["effective"]),
        of=int(sizes["original"]),
        version=str(found["versions"].get(name)),
        fewshot=int(found["n-shot"][name]),
        config=_digest(_identity(found["configs"][name])),
        requests=_digest([[one.request_type, *one.args] for one in task.instances]),
        truncated=truncated,
        samples=samples,
    )


def _group(name: str, found: Mapping[str, Any], made: Mapping[str, TaskResults]) -> TaskResults:
    figures = _figures(found["groups"][name], found["higher_is_better"].get(name, {}))
    leaves = [made[leaf] for leaf in _leaves(name, found["group_subtasks"], made)]
    shots = found["n-shot"].get(name)
    return TaskResults(
        name=name,
        figures=figures,
        main=figures[0] if figures else None,
        n=sum(leaf.n for leaf in leaves),
        of=sum(leaf.of for leaf in leaves),
        version=str(found["versions"].get(name)),
        fewshot=None if shots is None else int(shots),
        config=_digest([leaf.config for leaf in leaves]),
        requests=_digest([leaf.requests for leaf in leaves]),
        truncated=sum(leaf.truncated for leaf in leaves),
        samples={},
    )


def _leaves(name: str, members: Mapping[str, list[str]], made: Mapping[str, Any]) -> list[str]:
    """The tasks of a group and of the groups in it, each once."""
    found: list[str] = []
    for member in members.get(name, []):
        found += [member] if member in made else _leaves(member, members, made)
    return list(dict.fromkeys(found))


def _figures(row: Mapping[str, Any], better: Mapping[str, Any]) -> tuple[Figure, ...]:
    """From lm-eval's {"acc,none": …, "acc_stderr,none": …}."""
    figures = []
    for key, value in row.items():
        metric, comma, name = key.partition(",")
        if comma and not metric.endswith("_stderr") and _number(value):
            error = row.get(f"{metric}_stderr,{name}")
            figures.append(
                Figure(
                    metric,
                    name,
                    float(value),
                    float(error) if error is not None and _number(error) else math.nan,
                    better.get(metric),
                )
            )
    return tuple(figures)


def _samples(
    figures: tuple[Figure, ...], rows: list[Mapping[str, Any]]
) -> tuple[Figure | None, dict[int, float]]:
    """The main metric, and its value of each question."""
    ordered = sorted(figures, key=lambda one: one.metric != "bits_per_byte")
    for figure in ordered:
        values = {
            int(row["doc_id"]): _value(row[figure.metric])
            for row in rows
            if row["filter"] == figure.filter and figure.metric in row
        }
        if values and not any(math.isnan(value) for value in values.values()):
            return figure, values
    return (figures[0] if figures else None), {}


def _value(value: Any) -> float:
    """A number; bits per unit from (nats, units); NaN for what is neither."""
    if _number(value):
        return float(value)
    if isinstance(value, tuple | list) and len(value) == 2 and all(map(_number, value)):
        nats, units = value
        return -float(nats) / (math.log(2) * float(units)) if units else math.nan
    return math.nan


def _number(value: Any) -> bool:
    return isinstance(value, int | float) or (
        hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0
    )


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """A task's settings without where files lie and which model is measured."""
    kept = dict(config)
    kept["metadata"] = {"version": (config.get("metadata") or {}).get("version")}
    if isinstance(kept.get("dataset_kwargs"), dict):
        kept["dataset_kwargs"] = {
            name: value for name, value in kept["dataset_kwargs"].items() if name not in _PLACES
        }
    return kept


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
