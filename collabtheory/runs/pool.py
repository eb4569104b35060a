"""The engine of one machine: single-threaded worker processes that report progress and never outlive this one."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Pool:
    """A pool of single-threaded worker processes that report progress and never outlive this process.

    Where the system allows, they are forked from a server that has imported what tasks need, once for all of them.
    """

    def __init__(self, jobs: int) -> None:
        self._context: Any = multiprocessing.get_context(START_METHOD)
        self.messages: Any = self._context.Queue()
        for variable in THREAD_VARIABLES:
            os.environ[variable] = "1"
        # The server has the environment that it was started with, perhaps for another pool.
        self.executor: Executor = ProcessPoolExecutor(
            jobs, mp_context=self._context, initializer=_start_worker, initargs=(self.messages, dict(os.environ))
        )
        self.jobs = jobs

    def __enter__(self) -> Pool:
        return self

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have a worker call ``function``, which it must be able to import."""
        with _interrupts_held():
            return self.executor.submit(function, *arguments)

    def warm(self, *modules: str) -> None:
        """Start the workers with what tasks will need imported, while this process does other things."""
        if START_METHOD == "forkserver":
            self._context.set_forkserver_preload(list(modules))
        for _ in range(self.jobs):
            self.submit(_import, modules)

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


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Have processes that start in the block never see Ctrl-C, from their first moment: this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(messages: Any, environment: dict[str, str]) -> None:
    global _messages
    _messages = messages
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr  # standard output is for results
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # What is imported later takes the number of threads from the environment.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _die_with_parent() -> None:
    """End this worker when the process that made the pool is gone, so that a killed run leaves nobody writing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
