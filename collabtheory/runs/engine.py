"""Running tasks in dependency order on an engine: whatever calls a function elsewhere.

Each worker computes with one thread, whatever the engine and the number of workers, so that no result depends on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from collabtheory.errors import WorkerDied
from collabtheory.runs.pool import THREAD_VARIABLES, Pool, reporter
from collabtheory.runs.store import Store
from collabtheory.runs.task import Task, Workspace

__all__ = ["THREAD_VARIABLES", "Engine", "Event", "Pool", "execute", "run_task"]

T = TypeVar("T")


class Engine(Protocol):
    """Whatever runs a function elsewhere: an executor of ``concurrent.futures`` will do."""

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have ``function`` called with the arguments, in another process and perhaps on another machine."""


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
    engine: Engine | None = None,
) -> dict[Task, Path]:
    """Run the tasks and all that they need, skipping what the store already holds.

    Parameters
    ----------
    tasks
        What is wanted.
    store
        Where results are looked up and kept; on a file system that every worker of the engine shares.
    jobs
        Worker processes, at least 1.
    on_event
        Called in this process for progress.
    engine
        Where to run them, in place of ``jobs`` new worker processes on this machine.

    Returns
    -------
    dict
        The result folder of every task, needed ones included.

    Raises
    ------
    WorkerDied
        If a worker was lost, and the engine gave up on the task that it ran.
    OutputError
        If a result cannot be written, or was written where this process does not see it.
    """
    order = _in_order(tasks)
    store.sweep()
    missing = [task for task in order if not store.has(task)]
    for task in order:
        if store.has(task):
            on_event(Event(task, 1.0, reused=True))
    if missing and engine is not None:
        _run(missing, store, engine, on_event)
    elif missing:
        with Pool(jobs) as pool:
            _run(missing, store, pool, on_event)
    store.sweep()
    return {task: store.path(task) for task in order}


def run_task(task: Task, root: str) -> float:
    """Run one task in this process and return the seconds it took; the entry point for any engine."""
    store = Store(Path(root))
    started = time.monotonic()
    attempt = store.begin(task)
    inputs = {name: store.await_result(need) for name, need in task.needs}
    task.function(task.spec, Workspace(attempt, store.scratch(task), inputs, reporter(task.key)))
    store.finish(task, attempt)
    return time.monotonic() - started


def _run(missing: list[Task], store: Store, engine: Engine, on_event: Callable[[Event], None]) -> None:
    waiting = dict.fromkeys(missing)
    running: dict[Future[float], Task] = {}
    by_key = {task.key: task for task in missing}
    while waiting or running:
        for task in [task for task in waiting if not any(need in waiting for _, need in task.needs)]:
            if any(need in running.values() for _, need in task.needs):
                continue
            del waiting[task]
            running[engine.submit(run_task, task, str(store.root.absolute()))] = task
        done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for key, share in engine.reported() if isinstance(engine, Pool) else ():
            if key in by_key:
                on_event(Event(by_key[key], min(share, 0.999)))
        for future in [future for future in running if future in done]:
            task = running.pop(future)
            seconds = _outcome(future, task)
            store.await_result(task)
            store.note(task, seconds)
            on_event(Event(task, 1.0, seconds=seconds))


def _outcome(future: Future[float], task: Task) -> float:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise WorkerDied(f"a worker process died while it ran '{task.label}' (out of memory?)") from error
    except CancelledError as error:
        raise WorkerDied(f"the engine dropped '{task.label}': is its scheduler gone?") from error


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
