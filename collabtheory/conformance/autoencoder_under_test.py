"""The models of this package, for the conformance check: what is checked is the code that trains and ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from collabtheory.conformance.under_test import VaeUnderTest, random_contents
from collabtheory.data.interactions import Interactions
from collabtheory.data.split import FoldIn, strong_generalisation
from collabtheory.errors import InvalidInput
from collabtheory.models.autoencoder import Autoencoder
from collabtheory.models.batch_loss import Draws, Losses, batch_losses, combined
from collabtheory.models.checkpoints import load_model
from collabtheory.models.kl import scheduled_beta
from collabtheory.models.mult_vae import MultVAE
from collabtheory.models.specification import TrainingSpec
from collabtheory.models.trainer import train
from collabtheory.ranking.evaluation import evaluate
from collabtheory.ranking.metrics import rank_unseen

METRICS = ("recall@20", "recall@50", "ndcg@100")
L2_ITEMS, L2_USERS = 40, 60


def from_mult_vae(model: MultVAE, training: TrainingSpec | None = None) -> VaeUnderTest:
    """Return a Mult-VAE with all callables; see :func:`from_autoencoder`."""
    return from_autoencoder(model, training)


def from_autoencoder(model: Autoencoder, training: TrainingSpec | None = None) -> VaeUnderTest:
    """Return a model of this package with all callables, made of the functions that train and evaluate it.

    Parameters
    ----------
    model
        A Mult-VAE or RecVAE.
    training
        How it was trained; the default specification if None.

    Raises
    ------
    InvalidInput
        If the model's codes are not random: it is no VAE.
    """
    spec, settings = model.spec, training or TrainingSpec()
    if spec.architecture == "mult_dae":
        raise InvalidInput("a mult_dae is no VAE: its codes are not random")
    parts = _Parts(model.eval(), settings)
    plain = settings.objective == "likelihood" and spec.confidence == 1.0
    return VaeUnderTest(
        encode=lambda contents: model.posterior(contents).numpy(),
        decoder=model.decoder,
        likelihood=spec.likelihood,
        n_items=model.n_items,
        latent=spec.latent,
        masking=spec.masking,
        keep_probability=spec.keep_probability,
        beta_cap=settings.beta,
        standard_prior=spec.architecture == "mult_vae",
        scores=model.scores,
        sample=parts.sample,
        kl=lambda contents: parts.losses(contents, np.random.default_rng(0)).divergence,
        # Ranking losses and confidence weights are no likelihood of the four.
        reconstruction=parts.reconstruction if plain else None,
        loss=parts.loss if plain else None,
        beta=lambda step, total_steps: scheduled_beta(settings, step, total_steps),
        rank=lambda contents, k: rank_unseen(model.scores(contents), contents, k),
        encode_masked=lambda contents, rng: model.posterior(contents, rng=rng).numpy(),
        train_with_l2=lambda l2: _weights_after_training(model, settings, l2),
        evaluate=_evaluate,
    )


def from_checkpoint(path: Path) -> VaeUnderTest:
    """Return the model of a checkpoint, with the training specification that it was made with."""
    checkpoint = load_model(path)
    about = checkpoint.about.get("training")
    return from_autoencoder(checkpoint.model, None if about is None else TrainingSpec.model_validate(about))


class _Parts:
    """The training loss of a model, and what passes through its decoder meanwhile."""

    def __init__(self, model: Autoencoder, settings: TrainingSpec) -> None:
        self.model, self.settings = model, settings

    @torch.no_grad()
    def losses(self, contents: sparse.csr_array, rng: np.random.Generator) -> Losses:
        noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
        draws = Draws(order=rng, masks=rng, noise=noise, partners=0)
        return batch_losses(self.model, self.settings, contents, np.arange(contents.shape[0]), draws, masked=False)

    def sample(self, contents: sparse.csr_array, rng: np.random.Generator) -> np.ndarray:
        return captured_codes(self.model.decoder, lambda: self.losses(contents, rng))

    def reconstruction(self, contents: sparse.csr_array, codes: np.ndarray) -> Tensor:
        with _codes_replaced(self.model.decoder, codes):
            return self.losses(contents, np.random.default_rng(0)).reconstruction

    def loss(self, contents: sparse.csr_array, beta: float, rng: np.random.Generator) -> float:
        losses = self.losses(contents, rng)
        return float(combined(losses, torch.full_like(losses.divergence, beta), 0.0).mean())


def captured_codes(decoder: nn.Module, step: Callable[[], Any]) -> np.ndarray:
    """Run a training step and return the codes that the decoder was given, ``(users, d)``, float64.

    For models whose sampling is not a function of its own: the codes are read at the decoder's door.

    Parameters
    ----------
    decoder
        The module that the step calls with codes as its first argument.
    step
        Called once; several calls of the decoder give codes one after another.

    Raises
    ------
    InvalidInput
        If the step does not call the decoder.

    Examples
    --------
    >>> decoder = nn.Linear(2, 3)
    >>> captured_codes(decoder, lambda: decoder(torch.ones(1, 2))).tolist()
    [[1.0, 1.0]]
    """
    seen: list[np.ndarray] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].detach().cpu().double().numpy())

    handle = decoder.register_forward_pre_hook(keep)
    try:
        step()
    finally:
        handle.remove()
    if not seen:
        raise InvalidInput("the step does not call the decoder as a module, so that no codes can be read")
    return np.concatenate(seen)


@contextmanager
def _codes_replaced(decoder: nn.Module, codes: np.ndarray) -> Iterator[None]:
    def replace(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (torch.as_tensor(codes, dtype=inputs[0].dtype),)

    handle = decoder.register_forward_pre_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def _weights_after_training(model: Autoencoder, settings: TrainingSpec, l2: float) -> np.ndarray:
    """Train a new model of the same specification for one epoch on a few made-up users, by the project's trainer."""
    contents = random_contents(L2_ITEMS, L2_USERS, np.random.default_rng(0))
    users, items = contents.nonzero()
    data = Interactions.from_pairs(users, items, name="made-up users")
    split = strong_generalisation(data, rng=np.random.default_rng(0))
    changes = {"epochs": 1, "weight_decay": l2, "kl_schedule": "constant", "snapshots": ()}
    trained = train(model.spec, settings.model_copy(update=changes), split, seed=0)
    return np.concatenate([weight.detach().numpy().ravel() for weight in trained.model.parameters()])


def _evaluate(scores: np.ndarray, seen: sparse.csr_array, held_out: sparse.csr_array) -> Mapping[str, np.ndarray]:
    users = FoldIn(np.arange(len(scores)), seen, held_out, np.array([], dtype=np.int64))
    # One block, since the scores are those of all users at once.
    return evaluate(lambda contents: scores, users, metrics=METRICS, block=len(scores)).values
