r"""Reconstruction losses as natural exponential families of the logits.

Each loss of one user at one code is ``l(eta; x) = A(eta; n_x) - <eta, x>`` up to a term without ``eta``, so that its
gradient in the logits, the *output sensitivity*, is ``delta = mean(eta; n_x) - x`` with ``mean = dA / d eta``. All that
the transfer kernels need to know of a likelihood is ``mean`` and the Bregman remainder of ``A``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from collabtheory.errors import InvalidInput

_LARGE_CHANGE = 30.0


class Likelihood(ABC):
    """One reconstruction loss, in nats per user. Stateless: use the instances in :data:`LIKELIHOODS`."""

    name: str

    @abstractmethod
    def log_partition(self, logits: Tensor, n: Tensor) -> Tensor:
        """Return ``A(eta; n)``: ``(..., I)`` logits and ``(...)`` sizes ``n_x`` to ``(...)``."""

    @abstractmethod
    def mean(self, logits: Tensor, n: Tensor) -> Tensor:
        """Return ``dA / d eta``, ``(..., I)``; the output sensitivity of a user is ``mean - x``."""

    @abstractmethod
    def bregman(self, logits: Tensor, change: Tensor, n: Tensor) -> Tensor:
        """Return ``A(eta + change) - A(eta) - <mean, change>`` without cancellation, ``(...)``, never negative."""

    def mean_along(self, logits: Tensor, direction: Tensor, n: Tensor) -> Tensor:
        """Return the derivative of ``mean`` along ``direction``, the Hessian of ``A`` times it, ``(..., I)``."""
        _, tangent = torch.func.jvp(lambda eta: self.mean(eta, n), (logits,), (direction,))  # type: ignore[misc]
        result: Tensor = tangent
        return result

    def loss(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return the loss of dense contents ``x`` ``(..., I)`` at ``logits`` ``(..., I)``: ``(...)`` nats per user."""
        return self.log_partition(logits, x.sum(-1)) - (logits * x).sum(-1)


class Multinomial(Likelihood):
    """``n_x logsumexp(eta) - <eta, x>`` (arXiv:1802.05814)."""

    name = "multinomial"

    def log_partition(self, logits: Tensor, n: Tensor) -> Tensor:
        return n * torch.logsumexp(logits, -1)

    def mean(self, logits: Tensor, n: Tensor) -> Tensor:
        return n[..., None] * torch.softmax(logits, -1)

    def mean_along(self, logits: Tensor, direction: Tensor, n: Tensor) -> Tensor:
        # Closed forms here and below: forward-mode differentiation loads a compiler that takes seconds to start.
        probabilities = torch.softmax(logits, -1)
        return n[..., None] * probabilities * (direction - (probabilities * direction).sum(-1, keepdim=True))

    def bregman(self, logits: Tensor, change: Tensor, n: Tensor) -> Tensor:
        probabilities = torch.softmax(logits, -1)
        # Centring first makes the first-order terms vanish exactly instead of cancelling.
        mean = (probabilities * change).sum(-1, keepdim=True)
        centred = change - mean
        small = torch.log1p((probabilities * (torch.expm1(centred) - centred)).sum(-1))
        # Where exp would overflow nothing cancels, and the plain difference is right.
        large = torch.logsumexp(logits + change, -1) - torch.logsumexp(logits, -1) - mean.squeeze(-1)
        return n * torch.where(centred.amax(-1) < _LARGE_CHANGE, small, large)


class Bernoulli(Likelihood):
    """``sum_i log(1 + exp(eta_i)) - <eta, x>`` (logistic)."""

    name = "bernoulli"

    def log_partition(self, logits: Tensor, n: Tensor) -> Tensor:
        return functional.softplus(logits).sum(-1)

    def mean(self, logits: Tensor, n: Tensor) -> Tensor:
        return torch.sigmoid(logits)

    def mean_along(self, logits: Tensor, direction: Tensor, n: Tensor) -> Tensor:
        p = torch.sigmoid(logits)
        return p * (1 - p) * direction

    def bregman(self, logits: Tensor, change: Tensor, n: Tensor) -> Tensor:
        p = torch.sigmoid(logits)
        centred = torch.log1p(p * torch.expm1(change)) - p * change
        return centred.sum(-1)


class Gaussian(Likelihood):
    """``1/2 ||eta - x||^2``, written without the constant ``1/2 ||x||^2``."""

    name = "gaussian"

    def log_partition(self, logits: Tensor, n: Tensor) -> Tensor:
        return 0.5 * (logits * logits).sum(-1)

    def mean(self, logits: Tensor, n: Tensor) -> Tensor:
        return logits

    def mean_along(self, logits: Tensor, direction: Tensor, n: Tensor) -> Tensor:
        return direction

    def bregman(self, logits: Tensor, change: Tensor, n: Tensor) -> Tensor:
        return 0.5 * (change * change).sum(-1)


class Poisson(Likelihood):
    """``sum_i exp(eta_i) - <eta, x>``."""

    name = "poisson"

    def log_partition(self, logits: Tensor, n: Tensor) -> Tensor:
        return torch.exp(logits).sum(-1)

    def mean(self, logits: Tensor, n: Tensor) -> Tensor:
        return torch.exp(logits)

    def mean_along(self, logits: Tensor, direction: Tensor, n: Tensor) -> Tensor:
        return torch.exp(logits) * direction

    def bregman(self, logits: Tensor, change: Tensor, n: Tensor) -> Tensor:
        return (torch.exp(logits) * (torch.expm1(change) - change)).sum(-1)


LIKELIHOODS: dict[str, Likelihood] = {
    likelihood.name: likelihood for likelihood in (Multinomial(), Bernoulli(), Gaussian(), Poisson())
}


def get_likelihood(likelihood: str | Likelihood) -> Likelihood:
    """Return the likelihood of that name (or the object itself).

    Raises
    ------
    InvalidInput
        If no likelihood has that name; the message lists those that exist.
    """
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood not in LIKELIHOODS:
        raise InvalidInput(f"unknown likelihood {likelihood!r}; choose one of {', '.join(LIKELIHOODS)}")
    return LIKELIHOODS[likelihood]
