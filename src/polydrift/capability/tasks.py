"""lm-evaluation-harness's tasks by name, and their requests, made once for all members.

    >>> tasks = load(["belebele_dan_Latn", "my_facts"], include_path="my_tasks", model="Qwen/…")
    >>> tasks.build(limit=100)
    >>> len(tasks.requests())

A name is that of a task, a group or a tag of lm-eval's, or of a YAML file below `include_path`, or
is the path of one; data beside it may be named by a relative path. lm-eval's own 14,000 are looked
through (10 s, once in a process) only where the names, or what their groups name, are not all in
`include_path`.

Two are defined here (`definitions`): tinyMMLU, with the same prompts, for lm-eval's own aggregates
by a package that unpickles its parameters; and sib200 in the nine languages, of which lm-eval has
two.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import random
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polydrift.capability.lm import KINDS
from polydrift.capability.silence import harness
from polydrift.errors import DataError, MeasureError

DEFINITIONS = Path(__file__).parent / "definitions"

_LOCAL = ("json", "csv", "parquet", "text", "arrow")  # formats, where others name a dataset

Index = dict[str, Any]
"""lm-eval's `Entry` of every name."""


@dataclass(frozen=True)
class Tasks:
    """Tasks that are ready to ask. loaded: lm-eval's own `TaskDict`, {"tasks": …, "groups": …}."""

    loaded: Any

    @property
    def tasks(self) -> dict[str, Any]:
        """Every single task by its name."""
        return dict(self.loaded["tasks"])

    @property
    def groups(self) -> dict[str, Any]:
        """Every group by its name."""
        return dict(self.loaded.get("groups", {}))

    def requests(self) -> list[Any]:
        """Every request (`Instance`), as often as its task repeats it."""
        return [
            one
            for task in self.tasks.values()
            for one in task.instances
            for _ in range(one.repeats or 1)
        ]

    def build(
        self,
        *,
        limit: int | None = None,
        chat: Callable[..., str] | None = None,
        system: str | None = None,
        chat_name: str = "",
    ) -> None:
        """Make the requests. limit: questions of each task. chat: puts turns into one text.
        system: an instruction before everything.
        """
        for name, task in self.tasks.items():
            try:
                task.build_all_requests(
                    limit=limit,
                    rank=0,
                    world_size=1,
                    system_instruction=system,
                    apply_chat_template=chat is not None,
                    fewshot_as_multiturn=chat is not None,
                    chat_template=chat,
                    tokenizer_name=chat_name,
                )
            except (ValueError, TypeError, KeyError, AssertionError, IndexError) as error:
                raise MeasureError(
                    f"the task {name} cannot make its requests ({_short(error)}); look at its data "
                    "and its YAML file, or leave it out."
                ) from error
            for one in task.instances:
                if one.request_type not in KINDS:
                    raise MeasureError(
                        f"the task {name} asks for {one.request_type}, which polydrift does not "
                        f"do; use one with an output_type of {', '.join(KINDS)} or multiple_choice."
                    )

    def forget(self) -> None:
        """Empty the responses, for the next member."""
        for task in self.tasks.values():
            for one in task.instances:
                one.resps, one.filtered_resps = [], {}


def load(
    names: Sequence[str],
    *,
    include_path: str | Path | Sequence[str | Path] | None = None,
    model: str = "",
    fewshot: int | None = None,
    seed: int | None = None,
    generation: Mapping[str, Any] | None = None,
) -> Tasks:
    """Tasks, with their data, from names; MeasureError or DataError says what is wrong with one.

    fewshot: examples before each question, of tasks that do not fix it at 0. seed: of what tasks
    shuffle and of the examples (None: lm-eval's own, 0 and 1234). generation: settings that replace
    those of tasks that have the model write.
    """
    if isinstance(names, str) or not names:
        raise MeasureError("no tasks are named; give a list of lm-eval's task names.")
    manager, index = _manager(include_path, names, model)
    for name in names:
        if name not in index and not Path(name).is_file():
            raise _unknown(name, index, _directories(include_path))
    first, second = (0, 1234) if seed is None else (seed, seed)
    random.seed(first)
    np.random.seed(second % 2**32)  # tasks draw from the global one
    torch.manual_seed(second)
    try:
        with contextlib.chdir(_home(_directories(include_path), index)):
            loaded = manager.load(list(dict.fromkeys(names)))
    except Exception as error:  # whatever a task's own Python, its data or the network raises
        raise _failed(names, error) from error
    for name, task in loaded["tasks"].items():
        _check(name, task)
        if task.get_config("output_type") == "generate_until" and generation:
            task.set_config(key="generation_kwargs", value=dict(generation), update=True)
        fixed = task.get_config("num_fewshot")
        if fewshot is not None and fixed != 0:
            task.set_config(key="num_fewshot", value=fewshot)
        elif fixed is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=second)
    return Tasks(loaded)


def _manager(
    include_path: str | Path | Sequence[str | Path] | None, names: Sequence[str], model: str
) -> tuple[Any, Index]:
    """lm-eval's `TaskManager`, and its index: what is in `include_path` first, ours, lm-eval's."""
    wanted = _directories(include_path)
    for directory in wanted:
        if not directory.is_dir():
            raise MeasureError(f"include_path: {directory} is no directory; mend the path.")
    manager = harness("tasks").TaskManager(
        include_path=[DEFINITIONS, *wanted],
        include_defaults=False,
        metadata={"pretrained": model} if model else None,
    )
    index: Index = manager.task_index
    if any(name not in index for name in _named(names, index) if not Path(name).is_file()):
        for name, entry in _defaults().items():
            index.setdefault(name, entry)
    return manager, index


def _directories(include_path: str | Path | Sequence[str | Path] | None) -> list[Path]:
    if isinstance(include_path, str | Path):
        return [Path(include_path)]
    return [Path(one) for one in include_path or ()]


def _home(where: Sequence[Path], index: Index) -> Path:
    """Where relative paths of data begin: the first directory that holds a file which one of its
    tasks names so, else where the process is.
    """
    for directory in where:
        inside = directory.resolve()
        for entry in index.values():
            file = entry.yaml_path and Path(entry.yaml_path).resolve()
            if not (file and file.is_relative_to(inside)):
                continue
            if any((inside / name).is_file() for name in _data_files(entry.cfg or {})):
                return inside
    return Path.cwd()


def _data_files(settings: Mapping[str, Any]) -> Iterator[str]:
    """The relative paths of data that a task's settings name."""
    named = (settings.get("dataset_kwargs") or {}).get("data_files")
    of_splits = named.values() if isinstance(named, Mapping) else [named]
    for files in of_splits:
        for name in files if isinstance(files, list) else [files]:
            if isinstance(name, str) and not Path(name).is_absolute():
                yield name


@functools.cache
def _defaults() -> Index:
    return dict(harness("tasks").TaskManager().task_index)


def _named(names: Iterable[Any], index: Index) -> Iterator[str]:
    """The names, and those that their groups name."""
    for name in names:
        if isinstance(name, str):
            yield name
            cfg = index[name].cfg if name in index else None
            members = (cfg or {}).get("task")
            if isinstance(members, list):
                yield from _named(members, index)
        elif isinstance(name, dict):  # a member with settings of its own, or a group within a group
            inner = name.get("task")
            yield from _named(inner if isinstance(inner, list) else [inner], index)


def _unknown(name: str, index: Index, where: Sequence[Path]) -> MeasureError:
    for file in (file for directory in where for file in directory.rglob(f"{name}.yaml")):
        try:  # lm-eval passes over files that it cannot read
            harness("tasks._yaml_loader").load_yaml(file, resolve_func=False)
        except Exception as error:  # of the YAML library, or of a file that it includes
            return MeasureError(f"{file} cannot be read ({_short(error)}); mend it.")
    folded = {known.lower(): known for known in index}
    near = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)
    nearest = f"; the nearest: {', '.join(folded[one] for one in near)}" if near else ""
    return MeasureError(
        f"lm-eval has no task, group or tag {name!r}{nearest}. Mend the name, or give the "
        "directory of its YAML file (include_path)."
    )


def _failed(names: Sequence[str], error: Exception) -> MeasureError | DataError:
    """What went wrong while tasks were made: which of them, and how to mend it."""
    task = _making(error)
    name = getattr(getattr(task, "config", None), "task", None) or ", ".join(names)
    if isinstance(error, ImportError):
        return MeasureError(
            f"the task {name} needs a package that is not installed ({_short(error)}); install it, "
            "or leave the task out."
        )
    if isinstance(error, KeyError):
        return MeasureError(
            f"the task {name} names {error}, which its data does not have; mend the split, the "
            "column or the name in its YAML file, or leave it out."
        )
    if "download" in {frame.name for frame in traceback.extract_tb(error.__traceback__)}:
        data = getattr(task, "DATASET_PATH", None) or "its dataset"
        part = getattr(task, "DATASET_NAME", None)
        if data in _LOCAL:
            return DataError(
                f"the task {name} cannot read its file ({_short(error)}); mend data_files in its "
                "YAML file, or the file."
            )
        online = (
            "go online once (it is then kept in the cache of Hugging Face datasets)"
            if isinstance(error, ConnectionError)
            else "mend dataset_path in its YAML file, set HF_TOKEN if it is gated"
        )
        return DataError(
            f"the task {name} cannot have its data, {data}{f' ({part})' if part else ''}: "
            f"{_short(error)}; {online}, or define the task over a local file and give its "
            "directory (include_path)."
        )
    return MeasureError(
        f"the task {name} cannot be made ({_short(error)}); look at its YAML file, or leave it out."
    )


def _making(error: BaseException) -> Any:
    """The task that was being made when the error was raised, or None."""
    base = harness("api.task").Task
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if isinstance(frame.f_locals.get("self"), base):
            found = frame.f_locals["self"]
    return found


def _check(name: str, task: Any) -> None:
    if getattr(task, "MULTIMODAL", False):
        raise MeasureError(
            f"the task {name} shows pictures or plays sounds, and a cohort reads text; leave it "
            "out."
        )
    if getattr(task, "UNSAFE_CODE", False):
        raise MeasureError(
            f"the task {name} runs code that the model writes, which polydrift does not do; leave "
            "it out."
        )


def _short(error: BaseException) -> str:
    """The first line of what an error says, or its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0].rstrip(".:") if lines else f"{type(error).__name__}: is it empty?"
    return text if len(text) <= 200 else f"{text[:197]}..."
