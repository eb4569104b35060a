"""Mult-DAE (arXiv:1802.05814): the denoising autoencoder beside Mult-VAE; its code is a point, not a distribution."""

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
from collabtheory.models.specification import ModelSpec


class MultDAE(Autoencoder):
    """Encoder ``x -> z``, decoder ``z -> logits``; the published one is ``I - 200 - I`` with a tanh at the code.

    Parameters
    ----------
    spec
        Architecture, likelihood and masking; ``hidden=()`` and ``latent=200`` is the published model.
    n_items
        Width ``I`` of input and output.
    rng
        Source of the initial weights, drawn as for Mult-VAE.

    Notes
    -----
    There is no KL term, whatever its weight. The published model has an L2 penalty of weight 0.01 on its weights; here
    that is the optimiser's ``weight_decay``.
    """

    def __init__(self, spec: ModelSpec, n_items: int, rng: np.random.Generator) -> None:
        super().__init__(spec, n_items)
        self.encoder = tanh_chain((n_items, *spec.hidden, spec.latent), first=SparseLinear)
        widths = (spec.latent, *reversed(spec.hidden))
        self.decoder = nn.Sequential(*tanh_chain(widths), nn.Linear(widths[-1], n_items))
        self._add_anchors()
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        initialise_as_published(self, generator)
        initialise_anchors(self, generator)

    def encode(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Map an encoder input ``(users, items)``, sparse or dense, to the code ``(users, latent)``."""
        self._check_width(inputs)
        return self.encoder(inputs), None

    def divergence(self, rows: sparse.csr_array, codes: Tensor, mu: Tensor, log_variance: Tensor | None) -> Tensor:
        """Return 0 for every user."""
        return mu.new_zeros(rows.shape[0])
