"""The terms of the loss of a batch of users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from collabtheory.models.autoencoder import Autoencoder
from collabtheory.models.devices import send
from collabtheory.models.item_anchors import alignment_loss
from collabtheory.models.masking import encoder_input
from collabtheory.models.objectives import Observed, bpr_loss, likelihood_loss, sampled_softmax_loss
from collabtheory.models.output_loss import decoder_parts, output_loss
from collabtheory.models.specification import TrainingSpec
from collabtheory.runs.seeds import derive


@dataclass(frozen=True)
class Draws:
    """The random streams of one epoch."""

    order: np.random.Generator
    masks: np.random.Generator
    noise: torch.Generator
    partners: int
    """Seed of the fixed permutation of users that the shuffled PIA loss needs."""

    @classmethod
    def of_epoch(cls, seed: int, epoch: int) -> Draws:
        """Return the streams of an epoch, the same however training got there."""
        noise = torch.Generator().manual_seed(int(derive(seed, "noise", epoch).integers(2**63)))
        return cls(derive(seed, "order", epoch), derive(seed, "masks", epoch), noise, seed)

    def normal(self, shape: torch.Size) -> Tensor:
        """Return standard normal noise, float32: a row for each user of the batch."""
        return torch.randn(shape, generator=self.noise)


@dataclass(frozen=True)
class Losses:
    """One value a user of each term, ``(users,)``: reconstruction and KL in nats, alignment in squared latent units."""

    reconstruction: Tensor
    divergence: Tensor
    alignment: Tensor

    def means(self) -> Tensor:
        """Return the means over users, ``(3,)``, detached."""
        return torch.stack([term.detach().mean() for term in (self.reconstruction, self.divergence, self.alignment)])


def combined(losses: Losses, kl_weights: Tensor, alignment_weight: float) -> Tensor:
    """Return reconstruction + weighted KL + weighted alignment, ``(users,)``."""
    return losses.reconstruction + kl_weights * losses.divergence + alignment_weight * losses.alignment


def batch_losses(
    model: Autoencoder,
    spec: TrainingSpec,
    matrix: sparse.csr_array,
    users: np.ndarray,
    draws: Draws,
    *,
    masked: bool = True,
    full: bool = True,
) -> Losses:
    """Return the terms of the loss of the given users (rows of ``matrix``, ascending).

    ``masked=False`` shows the encoder clean inputs; ``full=False`` leaves out KL and alignment (they are 0).
    """
    rows = matrix[users]
    inputs = encoder_input(
        rows,
        model.spec.masking,
        keep_probability=model.spec.keep_probability,
        rng=draws.masks if masked else None,
        device=model.device,
    )
    mu, log_variance = model.encode(inputs)
    codes, sigma = mu, torch.zeros_like(mu)
    if log_variance is not None:
        sigma = torch.exp(0.5 * log_variance)
        codes = mu + sigma * send(draws.normal(mu.shape), model.device)
    reconstruction = _reconstruction(model, spec, codes, Observed.at(inputs.indices(), rows), draws)
    nothing = torch.zeros_like(reconstruction)
    if not full:
        return Losses(reconstruction, nothing, nothing)
    alignment = nothing
    if model.item_anchors is not None:
        contents = encoder_input(_aligned_items(matrix, users, spec, draws), "mask_only", device=model.device)
        alignment = _alignment(spec, mu, sigma, contents, model.item_anchors)
    return Losses(reconstruction, model.divergence(rows, codes, mu, log_variance), alignment)


def _reconstruction(model: Autoencoder, spec: TrainingSpec, codes: Tensor, observed: Observed, draws: Draws) -> Tensor:
    if spec.objective == "likelihood" and not model.decoder._forward_pre_hooks and not model.decoder._forward_hooks:
        before, last = decoder_parts(model.decoder)
        return output_loss(
            before(codes), last, observed, model.spec.likelihood, model.spec.confidence, model.output_buffers
        )
    logits = model.decoder(codes)  # as a module, so that hooks of whoever watches it see the codes
    if spec.objective == "likelihood":
        return likelihood_loss(logits, observed, model.spec.likelihood, model.spec.confidence)
    if spec.objective == "sampled_softmax":
        return sampled_softmax_loss(logits, observed, spec.negatives)
    return bpr_loss(logits, observed, spec.negatives, draws.noise)


def _aligned_items(matrix: sparse.csr_array, users: np.ndarray, spec: TrainingSpec, draws: Draws) -> sparse.csr_array:
    if spec.alignment_items == "own":
        return matrix[users]
    # A cyclic shift of a random order: nobody is their own partner.
    order = derive(draws.partners, "partners").permutation(matrix.shape[0])
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)
    return matrix[partner[users]]


def _alignment(spec: TrainingSpec, mu: Tensor, sigma: Tensor, contents: Tensor, anchors: Tensor) -> Tensor:
    if spec.alignment_terms == "mean":
        return alignment_loss(mu, torch.zeros_like(sigma), contents, anchors)
    if spec.alignment_terms == "variance":
        return alignment_loss(torch.zeros_like(mu), sigma, contents, torch.zeros_like(anchors))
    return alignment_loss(mu, sigma, contents, anchors)
