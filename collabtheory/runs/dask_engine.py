"""Tasks on an existing Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from collabtheory.errors import InvalidInput, WorkerDied
from collabtheory.runs.remote import code_identity, run_as_locally

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

CONNECT_SECONDS = 10.0


class DaskEngine:
    """The workers of a Dask scheduler; what a lost worker ran is run again by another.

    Parameters
    ----------
    address
        Of the scheduler, such as ``tcp://head-node:8786``.

    Raises
    ------
    InvalidInput
        If no scheduler answers there, or a worker has several threads.
    """

    def __init__(self, address: str) -> None:
        from distributed import Client

        self.address = address
        try:
            self.client: Client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"no Dask scheduler answers at {address}: {error}") from error
        try:
            _refuse_threads(address, self.client)
        except InvalidInput:
            self.client.close()
            raise
        self.executor = self.client.get_executor(pure=False)
        self.code = code_identity()

    def __enter__(self) -> DaskEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.executor.shutdown(wait=False)
        self.client.close()

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Have a worker call ``function``, which it must be able to import."""
        told: Future[T] = Future()
        # Dask settles the future itself, so it must not be one that can be cancelled meanwhile.
        told.set_running_or_notify_cancel()
        asked = self.executor.submit(run_as_locally, self.code, function, *arguments)
        asked.add_done_callback(lambda future: self._tell(future, told))
        return told

    def _tell(self, asked: Future[T], told: Future[T]) -> None:
        """Pass an outcome on; Dask's own errors become ours."""
        from distributed import KilledWorker

        if asked.cancelled():
            told.set_exception(WorkerDied(f"the Dask scheduler at {self.address} dropped a task: is it gone?"))
        elif isinstance(error := asked.exception(), KilledWorker):
            told.set_exception(WorkerDied(f"a task was given up by Dask: {error}"))
        elif error is not None:
            told.set_exception(error)
        else:
            told.set_result(asked.result())


def _refuse_threads(address: str, client: Client) -> None:
    """Raise if a worker has several threads: a task has its process for itself, so they would take tasks and wait."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    several = [name for name, worker in workers.items() if worker["nthreads"] != 1]
    if several:
        raise InvalidInput(
            f"{len(several)} of {len(workers)} workers of {address} have several threads (the first is {several[0]}); "
            "start them as `dask worker --nthreads 1 --nworkers N`"
        )
