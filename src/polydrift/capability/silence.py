"""lm-evaluation-harness, imported when it is needed, and quiet while it works.

    >>> evaluator = harness("evaluator")           # lm_eval.evaluator, or how to get it
    >>> with hushed():
    ...     evaluator.evaluate(...)                # no bars, warnings or prints on the terminal

It draws from the global generators of Python, NumPy and torch; `hushed` puts them back.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import torch

from polydrift.engine.quiet import quiet
from polydrift.errors import MeasureError

LOGGERS = ("lm_eval", "datasets", "evaluate", "huggingface_hub")


def harness(module: str = "") -> Any:
    """A module of lm_eval; MeasureError if it, or what it needs, is not installed."""
    try:
        found = importlib.import_module(f"lm_eval.{module}".rstrip("."))
        if not hasattr(importlib.import_module("lm_eval.tasks").TaskManager, "load"):
            raise ImportError("it is older than 0.4.13")
    except ImportError as error:
        raise MeasureError(
            f"capability needs lm-evaluation-harness, which cannot be used ({error}); install it: "
            'pip install "polydrift[capability]".'
        ) from error
    return found


@contextmanager
def hushed(*, show: bool = False) -> Iterator[None]:
    """Inside, the libraries that lm-eval works with say errors only, and bootstraps run in this
    process. Global generators, log levels and the environment are afterwards what they were.

    show: let everything through.
    """
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.callback(_environment, "DISABLE_MULTIPROC", os.environ.get("DISABLE_MULTIPROC"))
        os.environ["DISABLE_MULTIPROC"] = "1"
        if not show:
            for name in LOGGERS:
                logger = logging.getLogger(name)
                stack.callback(logger.setLevel, logger.level)
                logger.setLevel(logging.ERROR)
            stack.enter_context(quiet())
            stack.enter_context(redirect_stdout(io.StringIO()))
            stack.enter_context(redirect_stderr(io.StringIO()))
        yield


def _environment(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
