"""Running tasks in dependency order on a pool of processes.

Each worker computes with one thread, whatever the number of workers, so that no result depends on ``jobs``.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collabtheory.errors import WorkerDied
from collabtheory.runs.store import Store
from collabtheory.runs.task import Task, Workspace

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Event:
    """Something to show: a task is ``share`` done (1 = finished; ``reused`` if its result was there already)."""

    task: Task
    share: float
    reused: bool = False
    seconds: float | None = None


def execute(
    tasks: Iterable[Task],
    store: Store,
    *,
    jobs: int = 1,
    on_event: Callable[[Event], None] = lambda event: None,
    pool: Pool | None = None,
) -> dict[Task, Path]:
    """Run the tasks and all that they need, skipping what the store already holds.

    Parameters
    ----------
    tasks
        What is wanted.
    store
        Where results are looked up and kept.
    jobs
        Worker processes, at least 1.
    on_event
        Called in this process for progress.
    pool
        A pool that was started earlier, in place of one with ``jobs`` workers.

    Returns
    -------
    dict
        The result folder of every task, needed ones included.
    """
    order = _in_order(tasks)
    missing = [task for task in order if not store.has(task)]
    for task in order:
        if store.has(task):
            on_event(Event(task, 1.0, reused=True))
    if missing and pool is not None:
        _run(missing, store, pool, on_event)
    elif missing:
        with Pool(jobs) as own:
            _run(missing, store, own, on_event)
    return {task: store.path(task) for task in order}


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

    def warm(self, *modules: str) -> None:
        """Start the workers and let them import what tasks will need, while this process does the same."""
        for _ in range(self.jobs):
            self.executor.submit(_import, modules)

    def __exit__(self, kind: object, *rest: object) -> None:
        # Results are complete or absent, so there is nothing to wait for, neither after an error nor for a late import.
        for process in list(getattr(self.executor, "_processes", {}).values()):
            process.terminate()
        self.executor.shutdown(wait=True, cancel_futures=True)


def _run(missing: list[Task], store: Store, pool: Pool, on_event: Callable[[Event], None]) -> None:
    waiting = dict.fromkeys(missing)
    running: dict[Future[float], Task] = {}
    by_key = {task.key: task for task in missing}
    while waiting or running:
        for task in [task for task in waiting if not any(need in waiting for _, need in task.needs)]:
            if any(need in running.values() for _, need in task.needs):
                continue
            del waiting[task]
            running[pool.executor.submit(run_task, task, str(store.root))] = task
        done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        _forward_progress(pool, by_key, on_event)
        for future in done:
            task = running.pop(future)
            on_event(Event(task, 1.0, seconds=_outcome(future, task)))


def _outcome(future: Future[float], task: Task) -> float:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise WorkerDied(f"a worker process died while it ran '{task.label}' (out of memory?)") from error


def _forward_progress(pool: Pool, by_key: Mapping[str, Task], on_event: Callable[[Event], None]) -> None:
    while True:
        try:
            key, share = pool.messages.get_nowait()
        except queue.Empty:
            return
        if key in by_key:
            on_event(Event(by_key[key], min(share, 0.999)))


def run_task(task: Task, root: str) -> float:
    """Run one task in this process and return the seconds it took; the entry point for any engine."""
    store = Store(Path(root))
    started = time.monotonic()
    output = store.begin(task)
    inputs = {name: store.path(need) for name, need in task.needs}
    task.function(task.spec, Workspace(output, store.scratch(task), inputs, _reporter(task.key)))
    seconds = time.monotonic() - started
    store.finish(task, seconds)
    return seconds


_messages: Any = None


def _reporter(key: str) -> Callable[[float], None]:
    return (lambda share: _messages.put((key, share))) if _messages is not None else (lambda share: None)


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


def _in_order(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks and their needs, needs first, each once."""
    ordered: dict[Task, None] = {}

    def visit(task: Task) -> None:
        for _, need in task.needs:
            visit(need)
        ordered.setdefault(task)

    for task in tasks:
        visit(task)
    return list(ordered)
