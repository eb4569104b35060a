"""Mult-VAE (arXiv:1802.05814): tanh encoder and decoder around a diagonal Gaussian code."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from collabtheory.errors import InvalidInput
from collabtheory.models.masking import encoder_input
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.specification import ModelSpec


class SparseLinear(nn.Linear):
    """A linear layer that also takes a sparse input, so that users x items is never dense."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(users, in)``, sparse or dense, to ``(users, out)``."""
        if x.layout == torch.strided:
            return super().forward(x)
        product: Tensor = torch.sparse.mm(x, self.weight.t())
        return product + self.bias


class MultVAE(nn.Module):
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
    ``item_anchors`` ``(I, latent)`` exist only where ``spec.alignment_weight > 0``; they are learned with the rest and
    used in training only.
    """

    def __init__(self, spec: ModelSpec, n_items: int, rng: np.random.Generator) -> None:
        super().__init__()
        if n_items < 1:
            raise InvalidInput(f"n_items must be at least 1; it is {n_items}")
        self.spec = spec
        self.n_items = n_items
        self.trunk = _tanh_chain((n_items, *spec.hidden), first=SparseLinear)
        width = spec.hidden[-1] if spec.hidden else n_items
        head = nn.Linear if spec.hidden else SparseLinear
        self.mean_head = head(width, spec.latent)
        self.log_variance_head = head(width, spec.latent)
        widths = (spec.latent, *reversed(spec.hidden))
        self.decoder = nn.Sequential(*_tanh_chain(widths), nn.Linear(widths[-1], n_items))
        self.item_anchors: nn.Parameter | None = None
        if spec.alignment_weight > 0:
            self.item_anchors = nn.Parameter(torch.empty(n_items, spec.latent))
        self._initialise(rng)

    def _initialise(self, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                nn.init.trunc_normal_(module.bias, std=0.001, a=-0.002, b=0.002, generator=generator)
        # The published encoder ends in one layer of width 2 latent; its two halves share that layer's Xavier bound.
        joint = torch.empty(2 * self.spec.latent, self.mean_head.in_features)
        nn.init.xavier_uniform_(joint, generator=generator)
        with torch.no_grad():
            self.mean_head.weight.copy_(joint[: self.spec.latent])
            self.log_variance_head.weight.copy_(joint[self.spec.latent :])
        if self.item_anchors is not None:
            nn.init.normal_(self.item_anchors, std=0.01, generator=generator)

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map an encoder input ``(users, items)``, sparse or dense, to ``mu`` and log-variance, ``(users, latent)``."""
        if inputs.shape[-1] != self.n_items:
            raise InvalidInput(f"the model knows {self.n_items} items and the contents have {inputs.shape[-1]} columns")
        hidden = self.trunk(inputs) if len(self.trunk) else inputs
        return self.mean_head(hidden), self.log_variance_head(hidden)

    @torch.no_grad()
    def posterior(
        self, contents: sparse.csr_array, *, rng: np.random.Generator | None = None, block: int = 4096
    ) -> DiagonalGaussian:
        """Return the float64 posteriors of the users in ``contents``; masked if ``rng`` is given, else clean."""
        means, sigmas = [], []
        for start in range(0, max(contents.shape[0], 1), block):
            rows = contents[start : start + block]
            inputs = encoder_input(
                rows,
                self.spec.masking,
                keep_probability=self.spec.keep_probability,
                rng=rng,
                dtype=self.mean_head.weight.dtype,
            )
            mu, log_variance = self.encode(inputs)
            means.append(mu.double().numpy())
            sigmas.append(torch.exp(0.5 * log_variance.double()).numpy())
        return DiagonalGaussian(np.concatenate(means), np.concatenate(sigmas))

    @torch.no_grad()
    def scores(self, contents: sparse.csr_array) -> np.ndarray:
        """Return the logits at the posterior mean (no sampling at test time), ``(users, items)``."""
        inputs = encoder_input(contents, self.spec.masking, dtype=self.mean_head.weight.dtype)
        mu, _ = self.encode(inputs)
        logits: np.ndarray = self.decoder(mu).numpy()
        return logits


def _tanh_chain(widths: tuple[int, ...], first: type[nn.Linear] = nn.Linear) -> nn.Sequential:
    layers: list[nn.Module] = []
    for position, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [(first if position == 0 else nn.Linear)(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers)
