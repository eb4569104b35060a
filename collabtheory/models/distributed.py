"""Training one model in several processes, on one machine or many: each takes a share of every batch.

The processes start alike, add up their gradients after each batch (``torch.distributed``, launched by Lightning Fabric)
and take the same step. A user's mask and noise are those of training in one process, whichever process has the user, so
the loss curve is the same up to the order in which float32 sums are taken.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from collabtheory.data.split import StrongSplit
from collabtheory.errors import CollabTheoryError, InvalidInput
from collabtheory.models.batch_loss import Draws
from collabtheory.models.devices import find_device
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.models.trainer import Sharing, Trained, train

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train_distributed(
    model_spec: ModelSpec,
    spec: TrainingSpec,
    split: StrongSplit,
    *,
    seed: int,
    processes: int = 2,
    nodes: int = 1,
    threads: int = 1,
    resume_from: Path | None = None,
    device: str = "cpu",
) -> Trained:
    """Train an autoencoder as :func:`collabtheory.models.trainer.train` does, in several processes.

    Parameters
    ----------
    model_spec, spec, split, seed
        As there. The weights must not depend on what another process knows: no learned KL weights, no BPR.
    processes
        On each machine, at least 1. They are started here, unless ``torchrun`` has started this one among them.
    nodes
        Machines; more than 1 only under ``torchrun``.
    threads
        Of each process.
    resume_from
        As there; written by the first process, and read by all, so on a file system that they share.
    device
        ``cpu``, ``cuda`` (a GPU for each process of a machine) or ``auto``.

    Returns
    -------
    Trained
        Under ``torchrun`` in every process, the same in each.

    Raises
    ------
    InvalidInput
        If Lightning Fabric is not installed, or a number is out of range, or the training cannot be shared out.
    Further
        What training in one process raises.

    Notes
    -----
    Every process evaluates all validation users, so their number bounds what further processes gain.
    """
    _check(spec, processes, nodes, threads)
    fabric = _fabric(processes, nodes, _kind(device, processes))
    # As bytes, there and back: Fabric takes arguments and results apart to look for tensors, and frozen ones break it.
    call = pickle.dumps((model_spec, spec, split, seed, threads, resume_from))
    outcome: Trained | CollabTheoryError = pickle.loads(fabric.launch(_train_share, call))
    if isinstance(outcome, CollabTheoryError):
        raise outcome
    return outcome


class BatchShares(Sharing):
    """The part of every batch that one of ``count`` processes has: the ``rank``-th of nearly equal parts."""

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        self.first = rank == 0

    def share(self, matrix: sparse.csr_array, users: np.ndarray, draws: Draws) -> tuple[np.ndarray, Draws]:
        """Return this process's users of a batch, and draws that give them what they have in the whole batch."""
        start, end = (len(users) * part // self.count for part in (self.rank, self.rank + 1))
        sizes = np.diff(matrix.indptr)[users]
        masks = _PartOfStream(draws.masks, int(sizes[:start].sum()), int(sizes[end:].sum()))
        common = {one.name: getattr(draws, one.name) for one in fields(Draws)} | {"masks": masks}
        return users[start:end], _PartOfDraws(**common, batch=len(users), start=start)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes: each loss is a part of the mean over the batch, which is their sum."""
        for parameter in parameters:
            if parameter.grad is not None:
                gradient = parameter.grad
                # The first layer lies in memory input by input; its transpose is what can be sent as it lies.
                _add_up(gradient if gradient.is_contiguous() else gradient.t())

    def add(self, values: Tensor) -> Tensor:
        """Return the sums over the processes."""
        total = values.clone()
        _add_up(total)
        return total


def _add_up(values: Tensor) -> None:
    torch.distributed.all_reduce(values, op=torch.distributed.ReduceOp.SUM)


class _PartOfStream(np.random.Generator):
    """A stream of which others draw the numbers before and after ours, as if all were drawn at once."""

    def __init__(self, whole: np.random.Generator, before: int, after: int) -> None:
        super().__init__(whole.bit_generator)
        self._before, self._after = before, after

    def random(self, size: Any = None, *rest: Any, **named: Any) -> Any:
        """Draw float64 numbers, each of which takes one step of the stream."""
        stream: Any = self.bit_generator
        stream.advance(self._before)
        values = super().random(size, *rest, **named)
        stream.advance(self._after)
        return values


@dataclass(frozen=True)
class _PartOfDraws(Draws):
    """The draws of some users of a batch: those from ``start`` on."""

    batch: int
    start: int

    def normal(self, shape: torch.Size) -> Tensor:
        """Draw for the whole batch, since torch's stream cannot be advanced, and return the rows of our users."""
        return super().normal(torch.Size((self.batch, *shape[1:])))[self.start : self.start + shape[0]]


def _train_share(fabric: Fabric, call: bytes) -> bytes:
    """Train in one of the processes; an error of ours is the same in all of them, since all see the same sums."""
    model_spec, spec, split, seed, threads, resume_from = pickle.loads(call)
    torch.set_num_threads(threads)
    sharing = BatchShares(fabric.global_rank, fabric.world_size) if fabric.world_size > 1 else Sharing()
    try:
        trained = train(
            model_spec, spec, split, seed=seed, resume_from=resume_from, sharing=sharing, device=fabric.device
        )
    except CollabTheoryError as error:
        return pickle.dumps(error)
    return pickle.dumps(trained)


def _kind(device: str, processes: int) -> str:
    """Return ``cpu`` or ``cuda``; a GPU's number is for Fabric to choose, one for each process."""
    kind = find_device(device).type
    if ":" in device:
        raise InvalidInput(f"device is cpu, cuda or auto where several processes train; it is {device!r}")
    if kind == "cuda" and processes > torch.cuda.device_count():
        raise InvalidInput(f"{processes} processes need as many GPUs; torch finds {torch.cuda.device_count()}")
    return kind


def _fabric(processes: int, nodes: int, accelerator: str) -> Fabric:
    from lightning_fabric import Fabric

    started = torch.distributed.is_torchelastic_launched()
    if nodes > 1 and not started:
        raise InvalidInput(f"training on {nodes} machines must be started by torchrun on each of them")
    several = "ddp" if started else "ddp_spawn"
    strategy = several if processes * nodes > 1 else "auto"
    return Fabric(accelerator=accelerator, devices=processes, num_nodes=nodes, strategy=strategy)


def _check(spec: TrainingSpec, processes: int, nodes: int, threads: int) -> None:
    if importlib.util.find_spec("lightning_fabric") is None:
        raise InvalidInput(
            "training in several processes needs Lightning Fabric: pip install 'collabtheory[distributed]'"
        )
    for name, number in {"processes": processes, "nodes": nodes, "threads": threads}.items():
        if number < 1:
            raise InvalidInput(f"{name} must be at least 1; it is {number}")
    if spec.kl_weighting == "learned":
        raise InvalidInput("learned KL weights follow the users of a whole batch; train such a model in one process")
    if spec.objective == "bpr":
        raise InvalidInput("BPR draws negatives for a whole batch; train such a model in one process")
