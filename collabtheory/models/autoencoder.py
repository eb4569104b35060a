"""What the trainer, the evaluator and the checkpoints need of an autoencoder over item sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from collabtheory.errors import InvalidInput
from collabtheory.models.masking import encoder_input
from collabtheory.models.output_loss import Buffers
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.specification import ModelSpec


class SparseLinear(nn.Linear):
    """A linear layer that also takes a sparse input, so that users x items is never dense.

    The weight is ``(out, in)`` as usual, but lies in memory input by input: a user's output is a sum of rows.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.weight = nn.Parameter(torch.empty(inputs, outputs).t())
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(users, in)``, sparse COO (coalesced) or dense, to ``(users, out)``."""
        if x.layout == torch.strided:
            return super().forward(x)
        rows, columns = x.indices()
        starts = torch.searchsorted(rows, torch.arange(x.shape[0], device=x.device))
        # A sum of embeddings is five times as fast as a sparse product, and so is its gradient.
        table = self.weight.t()
        total = functional.embedding_bag(columns, table, starts, mode="sum", per_sample_weights=x.values())
        return total + self.bias


@dataclass(frozen=True)
class Phase:
    """A part of a training epoch: these parameters learn in so many passes over the users, masked or clean."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    passes: int = 1
    masked: bool = True
    divergence: bool = True
    """Whether the KL term (and the PIA loss) is part of the loss; without, only the reconstruction is."""


class Autoencoder(nn.Module, ABC):
    """Encoder ``x -> (mu, sigma)``, decoder ``z -> logits``.

    ``item_anchors`` ``(items, latent)`` exist only where ``spec.alignment_weight > 0``; they are learned with the rest
    and used in training only.
    """

    decoder: nn.Module

    def __init__(self, spec: ModelSpec, n_items: int) -> None:
        super().__init__()
        if n_items < 1:
            raise InvalidInput(f"n_items must be at least 1; it is {n_items}")
        self.spec = spec
        self.n_items = n_items
        self.item_anchors: nn.Parameter | None = None
        self.output_buffers = Buffers()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @abstractmethod
    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map an encoder input ``(users, items)``, sparse or dense, to ``mu`` and log-variance, ``(users, latent)``.

        The log-variance is None where codes are not random.
        """

    @abstractmethod
    def divergence(self, rows: sparse.csr_array, codes: Tensor, mu: Tensor, log_variance: Tensor | None) -> Tensor:
        """Return the term that the KL weight multiplies, ``(users,)`` nats."""

    def phases(self) -> tuple[Phase, ...]:
        """Return the parts of an epoch: all parameters at once, unless a model alternates."""
        return (Phase("all", tuple(self.parameters())),)

    def finish_phase(self, name: str) -> None:
        """Do what the model does between the parts of an epoch: nothing, unless it says otherwise."""

    @torch.no_grad()
    def posterior(
        self, contents: sparse.csr_array, *, rng: np.random.Generator | None = None, block: int = 4096
    ) -> DiagonalGaussian:
        """Return the float64 posteriors of the users in ``contents``; masked if ``rng`` is given, else clean.

        Raises
        ------
        InvalidInput
            If the model's codes are not random.
        """
        means, sigmas = [], []
        for start in range(0, max(contents.shape[0], 1), block):
            mu, log_variance = self.encode(self._inputs(contents[start : start + block], rng))
            if log_variance is None:
                raise InvalidInput(f"a {self.spec.architecture} has no posterior: its codes are not random")
            means.append(mu.double().cpu().numpy())
            sigmas.append(torch.exp(0.5 * log_variance.double()).cpu().numpy())
        return DiagonalGaussian(np.concatenate(means), np.concatenate(sigmas))

    @torch.no_grad()
    def scores(self, contents: sparse.csr_array) -> np.ndarray:
        """Return the logits at the posterior mean (no sampling at test time), ``(users, items)``."""
        mu, _ = self.encode(self._inputs(contents, None))
        logits: np.ndarray = self.decoder(mu).cpu().numpy()
        return logits

    def _inputs(self, rows: sparse.csr_array, rng: np.random.Generator | None) -> Tensor:
        return encoder_input(
            rows,
            self.spec.masking,
            keep_probability=self.spec.keep_probability,
            rng=rng,
            dtype=next(self.parameters()).dtype,
            device=self.device,
        )

    def _check_width(self, inputs: Tensor) -> None:
        if inputs.shape[-1] != self.n_items:
            raise InvalidInput(f"the model knows {self.n_items} items and the contents have {inputs.shape[-1]} columns")

    def _add_anchors(self) -> None:
        if self.spec.alignment_weight > 0:
            self.item_anchors = nn.Parameter(torch.empty(self.n_items, self.spec.latent))


def initialise_as_published(model: Autoencoder, generator: torch.Generator) -> None:
    """Draw Xavier uniform weights and normal biases of standard deviation 0.001, and anchors near 0."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            nn.init.trunc_normal_(module.bias, std=0.001, a=-0.002, b=0.002, generator=generator)


def initialise_anchors(model: Autoencoder, generator: torch.Generator) -> None:
    """Draw the item anchors near 0, where the model has them."""
    if model.item_anchors is not None:
        nn.init.normal_(model.item_anchors, std=0.01, generator=generator)


def tanh_chain(widths: Iterable[int], first: type[nn.Linear] = nn.Linear) -> nn.Sequential:
    """Return linear layers of these widths, each followed by a tanh."""
    layers: list[nn.Module] = []
    for position, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [(first if position == 0 else nn.Linear)(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers)
