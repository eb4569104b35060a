"""Training a Mult-VAE: epochs of Adam steps, early stopping on validation nDCG@100, exact resume.

Every random draw of epoch ``e`` derives from ``(seed, e)``, so a run that was killed and one that was not end with the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from collabtheory.data.split import FoldIn, StrongSplit
from collabtheory.errors import DataError, NumericalFailure
from collabtheory.models.checkpoints import load_tensors, save_tensors
from collabtheory.models.item_anchors import alignment_loss
from collabtheory.models.kl import kl_to_prior, linear_beta
from collabtheory.models.likelihoods import get_likelihood
from collabtheory.models.masking import encoder_input
from collabtheory.models.mult_vae import MultVAE
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.ranking.metrics import ndcg_at_k
from collabtheory.runs.seeds import derive

RANKING_DEPTH = 100


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
    """The outcome of training: the weights of the best epoch, the snapshots asked for, and the history."""

    model: MultVAE
    best_epoch: int
    snapshots: dict[int, dict[str, Tensor]]
    history: tuple[Epoch, ...]
    stopped_early: bool


@dataclass
class _State:
    """All that changes while training."""

    model: MultVAE
    optimiser: torch.optim.Adam
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
) -> Trained:
    """Train a Mult-VAE on the split's training users.

    Parameters
    ----------
    model_spec, spec
        What to train and how.
    split
        Strong-generalisation split; the validation users decide when to stop.
    seed
        Root of every draw.
    resume_from
        A file that holds the training state after each epoch; where it exists training goes on from it. The result is
        the same as without interruption.
    on_epoch
        Called after each epoch.

    Raises
    ------
    NumericalFailure
        If the loss stops being finite; the message names the epoch.
    DataError
        If ``resume_from`` belongs to another specification.
    """
    state = _initial_state(model_spec, spec, split, seed)
    identity = {
        "model": model_spec.model_dump(mode="json"),
        "training": spec.model_dump(mode="json"),
        "seed": seed,
        "data": split.train.fingerprint,
    }
    if resume_from is not None and resume_from.exists():
        _restore(state, resume_from, identity)
    while (epoch := len(state.history) + 1) <= spec.epochs and not _out_of_patience(state, spec, epoch):
        record = _run_epoch(state, spec, split, seed, epoch)
        _absorb(state, record, spec)
        if resume_from is not None:
            _store(state, resume_from, identity)
        on_epoch(record)
    state.model.load_state_dict(state.best)
    return Trained(
        model=state.model.eval(),
        best_epoch=state.best_epoch,
        snapshots=state.snapshots,
        history=tuple(state.history),
        stopped_early=len(state.history) < spec.epochs,
    )


def validation_ndcg(model: MultVAE, users: FoldIn, block: int = 1024) -> float:
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


def _initial_state(model_spec: ModelSpec, spec: TrainingSpec, split: StrongSplit, seed: int) -> _State:
    model = MultVAE(model_spec, split.train.n_items, derive(seed, "weights"))
    optimiser = torch.optim.Adam(model.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)
    weights = _copy(model)
    snapshots = {0: weights} if 0 in spec.snapshots else {}
    return _State(model, optimiser, best=weights, snapshots=snapshots)


def _run_epoch(state: _State, spec: TrainingSpec, split: StrongSplit, seed: int, epoch: int) -> Epoch:
    model, matrix = state.model.train(), split.train.matrix
    order = derive(seed, "order", epoch).permutation(matrix.shape[0])
    masks = derive(seed, "masks", epoch)
    noise = torch.Generator().manual_seed(int(derive(seed, "noise", epoch).integers(2**63)))
    batches = [order[start : start + spec.batch_size] for start in range(0, len(order), spec.batch_size)]
    sums = np.zeros(4)
    beta = 0.0
    for number, users in enumerate(batches):
        step = (epoch - 1) * len(batches) + number
        beta = linear_beta(step, spec.epochs * len(batches), spec.beta, spec.annealing)
        rows = matrix[np.sort(users)]
        terms = _losses(model, rows, masks, noise)
        loss = (terms[0] + beta * terms[1] + model.spec.alignment_weight * terms[2]).mean()
        state.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimiser.step()
        sums += len(users) * np.array([loss.item(), *(term.mean().item() for term in terms)])
    if not np.isfinite(sums).all():
        raise NumericalFailure(f"training diverged in epoch {epoch}: the loss is {sums[0]}; lower the learning rate")
    loss_mean, reconstruction, kl, alignment = (sums / max(matrix.shape[0], 1)).tolist()
    ndcg = validation_ndcg(model.eval(), split.validation)
    return Epoch(epoch, loss_mean, reconstruction, kl, alignment, beta, ndcg)


def _losses(
    model: MultVAE, rows: sparse.csr_array, masks: np.random.Generator, noise: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return reconstruction, KL and alignment of each user of a batch."""
    spec = model.spec
    inputs = encoder_input(rows, spec.masking, keep_probability=spec.keep_probability, rng=masks)
    mu, log_variance = model.encode(inputs)
    sigma = torch.exp(0.5 * log_variance)
    codes = mu + sigma * torch.randn(mu.shape, generator=noise)
    logits = model.decoder(codes)
    owners = torch.from_numpy(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)))
    observed = logits[owners, torch.from_numpy(rows.indices.astype(np.int64))]
    fit = torch.zeros(rows.shape[0]).index_add(0, owners, observed)
    size = torch.from_numpy(np.diff(rows.indptr)).to(logits.dtype)
    reconstruction = get_likelihood(spec.likelihood).log_partition(logits, size) - fit
    alignment = torch.zeros_like(reconstruction)
    if model.item_anchors is not None:
        contents = encoder_input(rows, "mask_only")
        alignment = alignment_loss(mu, sigma, contents, model.item_anchors)
    return reconstruction, kl_to_prior(mu, log_variance), alignment


def at_full_weight(spec: TrainingSpec, epoch: int) -> bool:
    """Return whether the KL weight is at its cap at the end of ``epoch``."""
    return epoch >= spec.annealing * spec.epochs


def _out_of_patience(state: _State, spec: TrainingSpec, epoch: int) -> bool:
    return state.best_epoch > 0 and epoch - state.best_epoch > spec.patience


def _absorb(state: _State, record: Epoch, spec: TrainingSpec) -> None:
    state.history.append(record)
    # Only weights trained at the full KL weight can be the result; the best of the climb would be another model.
    if at_full_weight(spec, record.epoch) and record.validation_ndcg > state.best_ndcg:
        state.best_ndcg, state.best_epoch, state.best = record.validation_ndcg, record.epoch, _copy(state.model)
    if record.epoch in spec.snapshots:
        state.snapshots[record.epoch] = _copy(state.model)


def _copy(model: MultVAE) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _store(state: _State, path: Path, identity: dict[str, object]) -> None:
    tensors = {f"model/{name}": tensor for name, tensor in state.model.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best.items()}
    for epoch, weights in state.snapshots.items():
        tensors |= {f"snapshot/{epoch}/{name}": tensor for name, tensor in weights.items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"adam/{index}/{name}": tensor for name, tensor in moments.items()}
    about = {
        "identity": identity,
        "best_epoch": state.best_epoch,
        "best_ndcg": state.best_ndcg,
        "history": [asdict(epoch) for epoch in state.history],
    }
    save_tensors(path, {name: tensor.clone() for name, tensor in tensors.items()}, about)


def _restore(state: _State, path: Path, identity: dict[str, object]) -> None:
    tensors, about = load_tensors(path)
    if about.get("identity") != identity:
        raise DataError(
            f"{path}: the training state of another specification, data set or seed; remove it to start anew"
        )
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.rpartition("/") if name.startswith(("snapshot/", "adam/")) else name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    state.model.load_state_dict(groups["model"])
    state.best = groups["best"]
    state.best_epoch, state.best_ndcg = int(str(about["best_epoch"])), float(str(about["best_ndcg"]))
    state.history = [Epoch(**epoch) for epoch in about["history"]]  # type: ignore[attr-defined]
    state.snapshots = {
        int(group.split("/")[1]): weights for group, weights in groups.items() if group.startswith("snapshot/")
    }
    moments = {int(group.split("/")[1]): values for group, values in groups.items() if group.startswith("adam/")}
    state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": moments})
