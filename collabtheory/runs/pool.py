"""The engine of one machine: single-threaded worker processes that report progress and never outlive this one."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Pool:
    """A pool of single-threaded worker processes that report progress and never outlive this process."""

    def __init__(self, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.messages: Any = context.Queue()
        for variable in THREAD_VARIABLES:
            os.environ[variable] = "1"
        self.executor: Executor = ProcessPoolExecutor(
            jobs, mp_context=context, initializer=_start_worker, initargs=(self.messages, os.getpid())
        )
        self.jobs = jobs

    def __enter__(self) -> Pool:
        return self

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have a worker call ``function``, which it must be able to import."""
        return self.executor.submit(function, *arguments)

    def warm(self, *modules: str) -> None:
        """Start the workers and let them import what tasks will need, while this process does the same."""
        for _ in range(self.jobs):
            self.executor.submit(_import, modules)

    def reported(self) -> Iterator[tuple[str, float]]:
        """Yield what :func:`reporter` has been told in the workers since the last call: task key and share done."""
        while True:
            try:
                yield self.messages.get_nowait()
            except queue.Empty:
                return

    def __exit__(self, kind: object, *rest: object) -> None:
        # Results are complete or absent, so there is nothing to wait for, neither after an error nor for a late import.
        for process in list(getattr(self.executor, "_processes", {}).values()):
            process.terminate()
        self.executor.shutdown(wait=True, cancel_futures=True)


def reporter(key: str) -> Callable[[float], None]:
    """Return what a task calls with the share done; in a process that is no worker of a pool nobody listens."""
    return (lambda share: _messages.put((key, share))) if _messages is not None else (lambda share: None)


_messages: Any = None


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        importlib.import_module(module)


def _start_worker(messages: Any, parent: int) -> None:
    global _messages
    _messages = messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr  # standard output is for results
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _die_with(parent: int) -> None:
    """End this worker when its parent is gone, so that a killed run leaves nobody writing."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
