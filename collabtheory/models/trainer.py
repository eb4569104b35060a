"""Training an autoencoder: epochs of gradient steps, early stopping on validation nDCG@100, exact resume.

Every random draw of epoch ``e`` derives from ``(seed, e)``, so a run that was killed and one that was not end with the
same bytes. Draws are made on the CPU and are the same on every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from collabtheory.data.split import FoldIn, StrongSplit
from collabtheory.errors import DataError, InvalidInput, NumericalFailure
from collabtheory.models.adam import Adam
from collabtheory.models.architectures import build
from collabtheory.models.autoencoder import Autoencoder, Phase
from collabtheory.models.batch_loss import Draws, batch_losses, combined
from collabtheory.models.checkpoints import load_tensors, save_tensors
from collabtheory.models.devices import CPU, describe_device, find_device, send
from collabtheory.models.kl import UserWeights, scheduled_beta
from collabtheory.models.output_loss import Buffers
from collabtheory.models.saving import SeldomSaver
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.ranking.metrics import ndcg_at_k
from collabtheory.runs.seeds import derive

RANKING_DEPTH = 100
RISING_WINDOW = 0.2
RISING_GAIN = 0.002
"""A run that used all its epochs is still rising if the last fifth of them brought the best validation nDCG@100 up by
more than this: comparisons with such a model say little."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training looked like; losses are in nats per user."""

    epoch: int
    train_loss: float
    reconstruction: float
    kl: float
    alignment: float
    beta: float
    validation_ndcg: float


@dataclass(frozen=True)
class Trained:
    """The outcome of training: the weights of the best epoch, the snapshots asked for, and the history.

    Wherever training ran, all tensors are on the CPU; ``device`` says where it was.
    """

    model: Autoencoder
    best_epoch: int
    snapshots: dict[int, dict[str, Tensor]]
    history: tuple[Epoch, ...]
    stopped_early: bool
    device: str = "cpu"

    @property
    def still_rising(self) -> bool:
        """Whether training ended by its number of epochs while the validation nDCG@100 was still going up."""
        ndcg = [epoch.validation_ndcg for epoch in self.history]
        window = math.ceil(RISING_WINDOW * len(ndcg))
        if self.stopped_early or len(ndcg) <= window:
            return False
        return max(ndcg[-window:]) > max(ndcg[:-window]) + RISING_GAIN


class Sharing:
    """How the users of a batch are dealt out to processes that train one model; here one process has them all."""

    first = True
    """Whether this process keeps the training state."""

    def share(self, matrix: sparse.csr_array, users: np.ndarray, draws: Draws) -> tuple[np.ndarray, Draws]:
        """Return this process's users of a batch (rows of ``matrix``, ascending) and the draws for them."""
        return users, draws

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients, in place, by their sums over the processes."""

    def add(self, values: Tensor) -> Tensor:
        """Return the sums over the processes."""
        return values


@dataclass
class _State:
    """All that changes while training."""

    model: Autoencoder
    optimisers: dict[str, Adam]
    user_weights: UserWeights
    sharing: Sharing
    device: torch.device
    best: dict[str, Tensor]
    best_epoch: int = 0
    best_ndcg: float = -1.0
    history: list[Epoch] = field(default_factory=list)
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)


def train(
    model_spec: ModelSpec,
    spec: TrainingSpec,
    split: StrongSplit,
    *,
    seed: int,
    resume_from: Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    sharing: Sharing | None = None,
    device: str | torch.device = CPU,
) -> Trained:
    """Train an autoencoder on the split's training users.

    Parameters
    ----------
    model_spec, spec
        What to train and how.
    split
        Strong-generalisation split; the validation users decide when to stop.
    seed
        Root of every draw.
    resume_from
        A file that holds the training state, written after epochs and when training ends, by whatever; where it exists
        training goes on from it. The result is the same as without interruption.
    on_epoch
        Called after each epoch.
    sharing
        How several processes share each batch, see :func:`collabtheory.models.distributed.train_distributed`.
    device
        Where model and optimiser live, see :func:`collabtheory.models.devices.find_device`. Weights, masks, noise and
        order of users are drawn alike for all; on a GPU sums are taken in another order, so the last digits differ.

    Raises
    ------
    InvalidInput
        If there are no validation users, or the KL weights shall be learned from a loss that is not multinomial, or the
        device is not there.
    NumericalFailure
        If the loss stops being finite; the message names the epoch.
    DataError
        If ``resume_from`` belongs to another specification, or to training on another kind of device.
    """
    place = find_device(device)
    _check(model_spec, spec, split)
    state = _initial_state(model_spec, spec, split, seed, sharing or Sharing(), place)
    identity = {
        "model": model_spec.model_dump(mode="json"),
        "training": spec.model_dump(mode="json"),
        "seed": seed,
        "data": split.train.fingerprint,
        "device": place.type,
    }
    if resume_from is not None and resume_from.exists():
        _restore(state, resume_from, identity)

    def keep() -> None:
        if resume_from is not None and state.sharing.first:
            _store(state, resume_from, identity)

    saver = SeldomSaver(keep)
    while (epoch := len(state.history) + 1) <= spec.epochs and not _out_of_patience(state, spec, epoch):
        record = _run_epoch(state, spec, split, seed, epoch)
        _absorb(state, record, spec)
        with saver.after_epoch():
            on_epoch(record)
    saver.now()
    return Trained(
        model=_brought_back(state.model, state.best),
        best_epoch=state.best_epoch,
        snapshots=state.snapshots,
        history=tuple(state.history),
        stopped_early=len(state.history) < spec.epochs,
        device=describe_device(place),
    )


def validation_ndcg(model: Autoencoder, users: FoldIn, block: int = 1024) -> float:
    """Return the mean nDCG@100 of fold-in users."""
    values = [
        ndcg_at_k(
            model.scores(users.fold_in[start : start + block]),
            users.fold_in[start : start + block],
            users.held_out[start : start + block],
            RANKING_DEPTH,
        )
        for start in range(0, users.fold_in.shape[0], block)
    ]
    return float(np.concatenate(values).mean())


def _check(model_spec: ModelSpec, spec: TrainingSpec, split: StrongSplit) -> None:
    if split.validation.n_users == 0:
        raise InvalidInput("the split has no validation users, and they decide which epoch is the result")
    loss = model_spec.likelihood if spec.objective == "likelihood" else spec.objective
    if spec.kl_weighting == "learned" and loss not in ("multinomial", "sampled_softmax"):
        raise InvalidInput(f"KL weights are learned from a multinomial loss or its sampled form; this one is {loss}")


def _initial_state(
    model_spec: ModelSpec, spec: TrainingSpec, split: StrongSplit, seed: int, sharing: Sharing, device: torch.device
) -> _State:
    model = build(model_spec, split.train.n_items, derive(seed, "weights")).to(device)
    optimisers = {phase.name: _optimiser(phase, spec) for phase in model.phases()}
    weights = _copy(model)
    snapshots = {0: weights} if 0 in spec.snapshots else {}
    user_weights = UserWeights(spec.kl_weighting, split.train.sizes, device)
    return _State(model, optimisers, user_weights, sharing, device, best=weights, snapshots=snapshots)


def _optimiser(phase: Phase, spec: TrainingSpec) -> Adam:
    decoupled = spec.optimiser == "adamw"
    return Adam(phase.parameters, spec.learning_rate, weight_decay=spec.weight_decay, decoupled=decoupled)


def _run_epoch(state: _State, spec: TrainingSpec, split: StrongSplit, seed: int, epoch: int) -> Epoch:
    draws = Draws.of_epoch(seed, epoch)
    state.model.train()
    for phase in state.model.phases():
        for parameter in state.model.parameters():
            parameter.requires_grad_(False)
        for parameter in phase.parameters:
            parameter.requires_grad_(True)
        sums = np.zeros(4)
        for turn in range(phase.passes):
            sums, beta = _run_pass(state, phase, spec, split, draws, epoch - 1 + turn / phase.passes)
            if not np.isfinite(sums).all():
                raise NumericalFailure(
                    f"training diverged in epoch {epoch}: the loss is {sums[0]}; lower the learning rate"
                )
        if phase.divergence:
            reported, reported_beta = sums, beta
        state.model.finish_phase(phase.name)
    loss_mean, reconstruction, kl, alignment = (reported / max(split.train.n_users, 1)).tolist()
    ndcg = validation_ndcg(state.model.eval(), split.validation)
    return Epoch(epoch, loss_mean, reconstruction, kl, alignment, reported_beta, ndcg)


def _run_pass(
    state: _State, phase: Phase, spec: TrainingSpec, split: StrongSplit, draws: Draws, epochs_done: float
) -> tuple[np.ndarray, float]:
    """Go over all users once; return the sums of loss, reconstruction, KL and alignment, and the last KL weight."""
    model, matrix, optimiser = state.model, split.train.matrix, state.optimisers[phase.name]
    order = draws.order.permutation(matrix.shape[0])
    batches = [order[start : start + spec.batch_size] for start in range(0, len(order), spec.batch_size)]
    total_steps = spec.epochs * len(batches)
    # Added up where they are: reading a number off a GPU waits for all that it has to do.
    sums = torch.zeros(4, dtype=torch.float64, device=state.device)
    beta = 0.0
    for number, chosen in enumerate(batches):
        step = int(epochs_done * len(batches)) + number // phase.passes
        beta = scheduled_beta(spec, step, total_steps)
        optimiser.learning_rate = _learning_rate(spec, step / total_steps)
        users = np.sort(chosen)
        here, drawn = state.sharing.share(matrix, users, draws)
        losses = batch_losses(model, spec, matrix, here, drawn, masked=phase.masked, full=phase.divergence)
        positions = send(torch.from_numpy(here), state.device)
        kl_factors = state.user_weights.of(positions)
        loss = combined(losses, beta * kl_factors, _alignment_weight(model, spec, beta)).sum() / len(users)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        state.sharing.add_gradients(phase.parameters)
        optimiser.step()
        state.user_weights.learn(positions, losses.reconstruction)
        if len(here):
            sums[0] += len(users) * loss.detach().double()
            sums[1:] += len(here) * losses.means().double()
    return state.sharing.add(sums).cpu().numpy(), beta


def _alignment_weight(model: Autoencoder, spec: TrainingSpec, beta: float) -> float:
    if spec.alignment_schedule == "constant" or spec.beta == 0:
        return model.spec.alignment_weight
    return model.spec.alignment_weight * beta / spec.beta


def _learning_rate(spec: TrainingSpec, share: float) -> float:
    factor = 0.5 * (1.0 + math.cos(math.pi * share)) if spec.learning_rate_schedule == "cosine" else 1.0
    return spec.learning_rate * factor


def at_full_weight(spec: TrainingSpec, epoch: int) -> bool:
    """Return whether the KL weight is at its cap at the end of ``epoch``."""
    # Schedules count steps from 0, so the last step of an epoch is just short of its end.
    return spec.beta == 0 or scheduled_beta(spec, 1000 * epoch - 1, 1000 * spec.epochs) >= 0.998 * spec.beta


def _out_of_patience(state: _State, spec: TrainingSpec, epoch: int) -> bool:
    waited = sum(at_full_weight(spec, past) for past in range(state.best_epoch + 1, epoch))
    return state.best_epoch > 0 and waited >= spec.patience


def _absorb(state: _State, record: Epoch, spec: TrainingSpec) -> None:
    state.history.append(record)
    # Only weights trained at the full KL weight can be the result; the best of the climb would be another model.
    if at_full_weight(spec, record.epoch) and record.validation_ndcg > state.best_ndcg:
        state.best_ndcg, state.best_epoch, state.best = record.validation_ndcg, record.epoch, _copy(state.model)
    if record.epoch in spec.snapshots:
        state.snapshots[record.epoch] = _copy(state.model)


def _brought_back(model: Autoencoder, weights: dict[str, Tensor]) -> Autoencoder:
    model.to(CPU).load_state_dict(weights)
    model.output_buffers = Buffers()  # which no module moves; those of training stay behind
    return model.eval()


def _copy(model: Autoencoder) -> dict[str, Tensor]:
    return {name: tensor.detach().to(CPU, copy=True) for name, tensor in model.state_dict().items()}


def _store(state: _State, path: Path, identity: dict[str, object]) -> None:
    tensors = {f"model/{name}": tensor for name, tensor in state.model.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best.items()}
    tensors["user_weights/logarithms"] = state.user_weights.logarithms
    for epoch, weights in state.snapshots.items():
        tensors |= {f"snapshot/{epoch}/{name}": tensor for name, tensor in weights.items()}
    for phase, optimiser in state.optimisers.items():
        for index, moments in optimiser.moments.items():
            tensors |= {f"moments/{phase}/{index}/{name}": tensor for name, tensor in moments.items()}
    about = {
        "identity": identity,
        "best_epoch": state.best_epoch,
        "best_ndcg": state.best_ndcg,
        "history": [asdict(epoch) for epoch in state.history],
    }
    save_tensors(path, {name: tensor.to(CPU, copy=True) for name, tensor in tensors.items()}, about)


def _restore(state: _State, path: Path, identity: dict[str, object]) -> None:
    tensors, about = load_tensors(path)
    if about.get("identity") != identity:
        raise DataError(
            f"{path}: the training state of another specification, data set, seed or device; remove it to start anew"
        )
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.rpartition("/") if name.startswith(("snapshot/", "moments/")) else name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    state.model.load_state_dict(groups["model"])
    state.best = groups["best"]
    state.user_weights.logarithms = groups["user_weights"]["logarithms"].to(state.device)
    state.best_epoch, state.best_ndcg = int(str(about["best_epoch"])), float(str(about["best_ndcg"]))
    state.history = [Epoch(**epoch) for epoch in about["history"]]  # type: ignore[attr-defined]
    state.snapshots = {
        int(group.split("/")[1]): weights for group, weights in groups.items() if group.startswith("snapshot/")
    }
    for phase, optimiser in state.optimisers.items():
        prefix = f"moments/{phase}/"
        optimiser.restore(
            {int(group.rsplit("/")[-1]): values for group, values in groups.items() if group.startswith(prefix)}
        )
