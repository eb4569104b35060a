"""Tasks as Slurm jobs, through submitit."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from collabtheory.errors import InvalidInput, WorkerDied
from collabtheory.runs.pool import THREAD_VARIABLES
from collabtheory.runs.remote import code_identity, run_as_locally

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

T = TypeVar("T")

DEFAULTS: Mapping[str, object] = {
    "cluster": "slurm",
    "name": "collabtheory",
    "timeout_min": 240,
    "mem_gb": 8,
    "cpus_per_task": 1,
    "slurm_setup": [f"export {variable}=1" for variable in THREAD_VARIABLES],
}
JOBS = 100
"""Jobs in the queue at a time unless told otherwise."""
ATTEMPTS = 3
"""A job that ends without a result (its node was lost, its time was up) is handed in so often."""
POLL_SECONDS = 0.5


class SlurmEngine:
    """One Slurm job a task; at most ``jobs`` of them are in the queue at a time.

    Parameters
    ----------
    folder
        For job files and logs, on a file system that the nodes share; made when the first task is handed in. Files of
        jobs that went well are removed.
    jobs
        Most jobs in the queue, at least 1.
    options
        Parameters of submitit: ``timeout_min``, ``mem_gb``, ``slurm_partition``, ``slurm_account``, ... (over
        :data:`DEFAULTS`), and ``cluster`` (``slurm``, or ``local`` for processes on this machine).
    """

    def __init__(self, folder: Path, *, jobs: int = JOBS, options: Mapping[str, object] | None = None) -> None:
        self.folder = folder
        self.jobs = jobs
        self.options = {**DEFAULTS, **(options or {})}
        self.code = code_identity()
        self._waiting: deque[_Work] = deque()
        self._queued: list[_Work] = []
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> SlurmEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        for work in self._queued:
            work.cancel()

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have a job call ``function``, which it must be able to import.

        Raises
        ------
        InvalidInput
            If there is no Slurm here, or submitit does not know an option.
        """
        work = _Work((self.code, function, *arguments), Future())
        self._waiting.append(work)
        if self._thread is None:
            executor = _executor(self.folder, self.options)
            self._thread = threading.Thread(target=self._attend, args=(executor,), daemon=True)
            self._thread.start()
        return work.future

    def _attend(self, executor: AutoExecutor) -> None:
        """Hand in jobs and collect outcomes until closed; nobody else talks to Slurm meanwhile."""
        while not self._closing.wait(POLL_SECONDS):
            try:
                self._hand_in(executor)
                self._collect()
            except Exception as error:
                # This thread has no caller: whoever waits for a job must hear of it.
                for work in (*self._queued, *self._waiting):
                    work.future.set_exception(WorkerDied(f"Slurm does not answer: {type(error).__name__}: {error}"))
                return

    def _hand_in(self, executor: AutoExecutor) -> None:
        while self._waiting and len(self._queued) < self.jobs:
            work = self._waiting.popleft()
            if work.hand_in(executor):
                self._queued.append(work)

    def _collect(self) -> None:
        for work in [work for work in self._queued if work.over]:
            settled = work.collect()
            self._queued.remove(work)
            if not settled:
                self._waiting.appendleft(work)


@dataclass
class _Work:
    """A call, and the job that is at it."""

    call: tuple[Any, ...]
    future: Future[Any]
    attempts: int = 0
    job: Job[tuple[Any, Exception | None]] | None = None

    @property
    def over(self) -> bool:
        return self.job is not None and self.job.done()

    def hand_in(self, executor: AutoExecutor) -> bool:
        """Submit the job; if Slurm refuses it, that is the outcome."""
        self.attempts += 1
        try:
            self.job = executor.submit(_outcome_of, *self.call)
        except Exception as error:
            self.future.set_exception(InvalidInput(f"Slurm refused a job: {error}"))
            return False
        return True

    def collect(self) -> bool:
        """Settle the future, or return False if the job was lost and shall be handed in again."""
        from submitit.core.utils import UncompletedJobError

        assert self.job is not None
        try:
            found, error = self.job.result()
        except UncompletedJobError as lost:
            if self.attempts < ATTEMPTS:
                return False
            logs = self.job.paths.stderr
            self.future.set_exception(
                WorkerDied(f"a job ended {ATTEMPTS} times without a result (time or memory?), see {logs}: {lost}")
            )
            return True
        if error is not None:
            self.future.set_exception(error)
            return True
        for path in self.job.paths.folder.glob(f"{self.job.job_id}_*"):
            path.unlink(missing_ok=True)
        self.future.set_result(found)
        return True

    def cancel(self) -> None:
        if self.job is not None:
            self.job.cancel(check=False)


def _executor(folder: Path, options: Mapping[str, object]) -> AutoExecutor:
    from submitit import AutoExecutor

    parameters = {name: value for name, value in options.items() if name != "cluster"}
    try:
        executor = AutoExecutor(folder, cluster=str(options["cluster"]))
        executor.update_parameters(**parameters)
    except (AssertionError, NameError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidInput(f"--engine slurm: {' '.join(str(error).split())}") from error
    return executor


def _outcome_of(
    code: Mapping[str, str], function: Callable[..., T], /, *arguments: Any
) -> tuple[T | None, Exception | None]:
    """Return what was computed, or the error as it is: submitit would keep its text alone."""
    try:
        return run_as_locally(code, function, *arguments), None
    except Exception as error:
        error.add_note(traceback.format_exc())
        return None, error
