"""RecVAE (arXiv:1912.11160): densely connected encoder, linear decoder, composite prior, alternating updates."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from collabtheory.models.autoencoder import (
    Autoencoder,
    Phase,
    SparseLinear,
    initialise_anchors,
)
from collabtheory.models.specification import ModelSpec

DEPTH = 5
PRIOR_WEIGHTS = (0.15, 0.75, 0.10)
"""Of the standard normal, of the encoder as it was at the end of its last phase, and of a very wide normal."""
WIDE_LOG_VARIANCE = 10.0
ENCODER_PASSES = 3


class DenseEncoder(nn.Module):
    r"""Five layers :math:`h_k = LN(swish(W_k h_{k-1} + \sum_{j<k} h_j))` (the first without the sum), and two heads."""

    def __init__(self, n_items: int, width: int, latent: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            SparseLinear(n_items, width) if k == 0 else nn.Linear(width, width) for k in range(DEPTH)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=0.1) for _ in range(DEPTH))
        self.mean_head = nn.Linear(width, latent)
        self.log_variance_head = nn.Linear(width, latent)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map an encoder input to ``mu`` and log-variance, ``(users, latent)``."""
        hidden = inputs
        total: Tensor | None = None
        for layer, norm in zip(self.layers, self.norms, strict=True):
            before = layer(hidden)
            hidden = norm(functional.silu(before if total is None else before + total))
            total = hidden if total is None else total + hidden
        return self.mean_head(hidden), self.log_variance_head(hidden)


class RecVAE(Autoencoder):
    """Encoder ``x -> (mu, sigma)``, linear decoder ``z -> logits``.

    Parameters
    ----------
    spec
        ``hidden`` must be one width (600 published), ``latent`` 200, ``keep_probability`` 0.5.
    n_items
        Width ``I`` of input and output.
    rng
        Source of the initial weights.

    Notes
    -----
    An epoch is three passes that train the encoder on masked inputs, then one pass that trains the decoder on clean
    inputs and the reconstruction alone. The KL term is estimated at the sampled code against the composite prior, whose
    second component is the encoder of the end of the last encoder phase, on the user's clean input. The published
    weight of a user's KL term is ``gamma n_u``: ``kl_weighting="by_size"`` with ``beta`` = gamma.

    Initial weights and biases are uniform within one over the root of the layer's inputs, as in the published code.
    Item anchors, which that has not, learn with the encoder.
    """

    def __init__(self, spec: ModelSpec, n_items: int, rng: np.random.Generator) -> None:
        super().__init__(spec, n_items)
        (width,) = spec.hidden
        self.encoder = DenseEncoder(n_items, width, spec.latent)
        self.decoder = nn.Sequential(nn.Linear(spec.latent, n_items))
        self._add_anchors()
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        _initialise(self, generator)
        initialise_anchors(self, generator)
        self.old_encoder = copy.deepcopy(self.encoder).requires_grad_(False)

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map an encoder input ``(users, items)``, sparse or dense, to ``mu`` and log-variance, ``(users, latent)``."""
        self._check_width(inputs)
        mu, log_variance = self.encoder(inputs)
        return mu, log_variance

    def divergence(self, rows: sparse.csr_array, codes: Tensor, mu: Tensor, log_variance: Tensor | None) -> Tensor:
        r"""Return :math:`\log q(z|x_h) - \log p(z)` at the sampled codes, ``(users,)`` nats: unbiased for the KL."""
        if log_variance is None:
            raise TypeError("a RecVAE always has a log-variance")
        with torch.no_grad():
            old_mu, old_log_variance = self.old_encoder(self._inputs(rows, None))
        posterior = log_density(codes, mu, log_variance)
        return (posterior - composite_log_prior(codes, old_mu, old_log_variance)).sum(-1)

    def phases(self) -> tuple[Phase, ...]:
        """Return the encoder's three masked passes and the decoder's one clean pass."""
        anchors = () if self.item_anchors is None else (self.item_anchors,)
        return (
            Phase("encoder", (*self.encoder.parameters(), *anchors), passes=ENCODER_PASSES),
            Phase("decoder", tuple(self.decoder.parameters()), masked=False, divergence=False),
        )

    def finish_phase(self, name: str) -> None:
        """Keep the encoder as it is now, for the prior."""
        if name == "encoder":
            self.old_encoder.load_state_dict(self.encoder.state_dict())


def _initialise(model: nn.Module, generator: torch.Generator) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)


def log_density(z: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log-density of ``N(mu, exp(log_variance))`` at ``z``, elementwise."""
    return -0.5 * (log_variance + math.log(2 * math.pi) + (z - mu).square() / log_variance.exp())


def composite_log_prior(z: Tensor, old_mu: Tensor, old_log_variance: Tensor) -> Tensor:
    """Return the elementwise log-density of the mixture of ``N(0, 1)``, the old posterior and ``N(0, e^10)``."""
    zero = z.new_zeros(())
    parts = (
        log_density(z, zero, zero),
        log_density(z, old_mu, old_log_variance),
        log_density(z, zero, zero + WIDE_LOG_VARIANCE),
    )
    weighted = [part + math.log(weight) for part, weight in zip(parts, PRIOR_WEIGHTS, strict=True)]
    return torch.logsumexp(torch.stack(weighted), 0)
