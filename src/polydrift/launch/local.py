"""Run batches of steps in processes of this machine.

One thread per process and several processes beat several threads wherever models are small, and a
single thread is reproducible to the last bit. Workers are spawned fresh (a forked torch is unsafe),
keep their base model between batches, and end when their parent does, however it ended.

A worker that dies (out of memory, usually) takes all batches in flight with it: what they had not
finished is then tried again step by step, alone, and the step that kills its worker again is
reported as failed.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from polydrift.launch.worker import Outcome, Report, work
from polydrift.step import Step

Batch = tuple[Step, ...]


class LocalLauncher:
    """Worker processes on this machine; a context manager that leaves none behind."""

    def __init__(
        self,
        root: Path,
        *,
        workers: int,
        threads: int,
        report: Report,
        memory: float | None = None,
    ) -> None:
        self.workers = workers
        self._root, self._threads, self._report, self._memory = root, threads, report, memory
        self._context = multiprocessing.get_context("spawn")
        self._news: Any = None
        self._running: dict[Future[list[Outcome]], Batch] = {}
        self._suspects: list[Batch] = []
        self._alone: Batch | None = None
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if kind is not None and self._pool:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def free(self) -> int:
        """How many more batches can be submitted now without waiting in line."""
        if self._suspects or self._alone:
            return 0
        return self.workers - len(self._running)

    @property
    def busy(self) -> bool:
        """Whether anything is running or to be tried again."""
        return bool(self._running or self._suspects)

    def submit(self, batch: Sequence[Step]) -> None:
        """Hand a batch to a worker."""
        assert self._pool is not None
        steps = tuple(batch)
        try:
            self._running[self._pool.submit(_work, steps, self._root, self._memory)] = steps
        except BrokenProcessPool:  # a worker died since we last looked
            self._broke([steps])

    def results(self) -> list[tuple[Batch, list[Outcome]]]:
        """Wait a moment and return the batches that ended; progress is reported meanwhile."""
        if not self._running and self._suspects:
            self._alone = self._suspects.pop(0)
            self.submit(self._alone)
        done, _ = wait(self._running, timeout=0.1, return_when=FIRST_COMPLETED)
        self._pass_on_news()
        ended: list[tuple[Batch, list[Outcome]]] = []
        lost: list[Batch] = []
        broke = False
        for future in done:
            batch = self._running.pop(future)
            try:
                ended.append((batch, future.result()))
            except BrokenProcessPool:
                broke = True
                if batch == self._alone:
                    ended.append((batch, [_died(step) for step in batch]))
                else:
                    lost.append(batch)
            if batch == self._alone:
                self._alone = None
        if broke:
            self._broke(lost)
        return ended

    def _broke(self, lost: Sequence[Batch]) -> None:
        """Start anew after a worker died; what was in flight is suspect, step by step."""
        assert self._pool is not None
        for batch in (*lost, *self._running.values()):
            self._suspects += [(step,) for step in batch]
        self._running.clear()
        self._alone = None
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._start()

    def _pass_on_news(self) -> None:
        with_news = True
        while with_news:
            try:
                self._report(*self._news.get_nowait())
            except queue.Empty:
                with_news = False

    def _start(self) -> None:
        # A queue of its own for each pool: a killed worker may have left the old one locked.
        self._news = self._context.Queue()
        with _environment(self._threads), _no_interrupts():
            self._pool = ProcessPoolExecutor(
                self.workers,
                mp_context=self._context,
                initializer=_begin,
                initargs=(self._news, os.getpid()),
            )
            # Start the processes now, while the variables are set.
            wait([self._pool.submit(_ready) for _ in range(self.workers)], timeout=0)


def _died(step: Step) -> Outcome:
    return Outcome(
        step.name,
        0.0,
        "its worker process died (killed, often for want of memory); run again with fewer "
        "--workers, or on a machine with more memory.",
    )


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Variables that must be set before a worker starts, and only for workers."""
    ours = {
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl-C waits until the workers are started, and they never hear of it: it is ours to handle.

    A process that is started while a signal is blocked goes on blocking it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


# ---- in the worker process -------------------------------------------------------------------

_news: Any = None


def _begin(news: Any, parent: int) -> None:
    global _news
    _news = news
    news.cancel_join_thread()
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End this worker when its parent has ended, even by SIGKILL."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _ready() -> None:
    """Nothing; its being run means that the worker has started."""


def _work(steps: Batch, root: Path, memory: float | None) -> list[Outcome]:
    last = 0.0

    def report(name: str, done: float, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if done >= 1.0 or now - last > 0.2:
            last = now
            _news.put((name, done, text))

    return work(steps, root, report, memory=memory)
