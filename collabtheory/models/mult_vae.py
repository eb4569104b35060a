"""Mult-VAE (arXiv:1802.05814): tanh encoder and decoder around a diagonal Gaussian code."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from collabtheory.models.autoencoder import (
    Autoencoder,
    SparseLinear,
    initialise_anchors,
    initialise_as_published,
    tanh_chain,
)
from collabtheory.models.kl import kl_to_prior
from collabtheory.models.specification import ModelSpec


class MultVAE(Autoencoder):
    """Encoder ``x -> (mu, sigma)``, decoder ``z -> logits``.

    Parameters
    ----------
    spec
        Architecture, likelihood and masking.
    n_items
        Width ``I`` of input and output.
    rng
        Source of the initial weights: Xavier uniform weights and normal biases of standard deviation 0.001, as in the
        published code.

    Notes
    -----
    Layer sizes are ``I - hidden - 2 latent`` and, mirrored, ``latent - hidden - I``; every hidden layer is a tanh.
    """

    def __init__(self, spec: ModelSpec, n_items: int, rng: np.random.Generator) -> None:
        super().__init__(spec, n_items)
        self.trunk = tanh_chain((n_items, *spec.hidden), first=SparseLinear)
        width = spec.hidden[-1] if spec.hidden else n_items
        head = nn.Linear if spec.hidden else SparseLinear
        self.mean_head = head(width, spec.latent)
        self.log_variance_head = head(width, spec.latent)
        widths = (spec.latent, *reversed(spec.hidden))
        self.decoder = nn.Sequential(*tanh_chain(widths), nn.Linear(widths[-1], n_items))
        self._add_anchors()
        self._initialise(rng)

    def _initialise(self, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        initialise_as_published(self, generator)
        # The published encoder ends in one layer of width 2 latent; its two halves share that layer's Xavier bound.
        joint = torch.empty(2 * self.spec.latent, self.mean_head.in_features)
        nn.init.xavier_uniform_(joint, generator=generator)
        with torch.no_grad():
            self.mean_head.weight.copy_(joint[: self.spec.latent])
            self.log_variance_head.weight.copy_(joint[self.spec.latent :])
        initialise_anchors(self, generator)

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map an encoder input ``(users, items)``, sparse or dense, to ``mu`` and log-variance, ``(users, latent)``."""
        self._check_width(inputs)
        hidden = self.trunk(inputs) if len(self.trunk) else inputs
        return self.mean_head(hidden), self.log_variance_head(hidden)

    def divergence(self, rows: sparse.csr_array, codes: Tensor, mu: Tensor, log_variance: Tensor | None) -> Tensor:
        """Return the KL divergence to the standard normal prior in closed form, ``(users,)`` nats."""
        return kl_to_prior(mu, _random(log_variance))


def _random(log_variance: Tensor | None) -> Tensor:
    if log_variance is None:
        raise TypeError("a Mult-VAE always has a log-variance")
    return log_variance
