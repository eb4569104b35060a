r"""How strongly a user's loss bends in the posterior mean: extreme eigenvalues of its Hessian, by Lanczos steps.

The loss is :math:`E_\epsilon\, l(f_\theta(\mu + \sigma \epsilon); x) + \beta ||\mu||^2 / 2` (of the KL term the part
that depends on the mean), with the expectation over a few fixed ``epsilon``. No Hessian is formed: one product with it
is one more backward pass, for all users at once. Plain power iteration needs three runs, since it ends at whichever end
of the spectrum is larger in absolute value, and as many products for each as one Lanczos run needs for both ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from collabtheory.errors import InvalidInput
from collabtheory.models.likelihoods import get_likelihood
from collabtheory.models.posterior import DiagonalGaussian

EXHAUSTED = 1e-10
"""Share of a vector below which what is left outside the Krylov space is rounding."""


@dataclass(frozen=True)
class CurvatureRange:
    """Extreme eigenvalues of each user's Hessian as far as they were seen, ``(users,)``; nats per squared unit.

    Both are Ritz values, hence estimates from inside: the true largest eigenvalue is at least ``largest``, the
    true smallest at most ``smallest``. A negative ``smallest`` is therefore certain up to rounding.
    """

    smallest: np.ndarray
    largest: np.ndarray


def loss_curvature(
    decoder: torch.nn.Module,
    likelihood: str,
    posterior: DiagonalGaussian,
    contents: np.ndarray,
    *,
    kl_weight: float,
    n_samples: int = 2,
    iterations: int = 20,
    rng: np.random.Generator,
) -> CurvatureRange:
    r"""Return the extreme curvatures of each user's loss in the posterior mean, at its posterior.

    Parameters
    ----------
    decoder, likelihood
        Logits of codes ``(..., d)``, and the name of the reconstruction loss.
    posterior
        Of the users, in float64.
    contents
        What is to be reconstructed, dense binary ``(users, items)``.
    kl_weight
        ``beta``: it adds exactly ``beta`` to every eigenvalue.
    n_samples
        Codes per user that stand for the expectation, with common noise.
    iterations
        Products with the Hessian; from ``d`` on both ends are exact up to rounding.
    rng
        Source of the noise and of the starting vectors, in this order.

    Raises
    ------
    InvalidInput
        If the contents have another number of users, or ``n_samples`` or ``iterations`` is below 1.

    Examples
    --------
    >>> linear = torch.nn.Linear(2, 3, dtype=torch.float64)
    >>> _ = linear.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    >>> q = DiagonalGaussian(np.zeros((1, 2)), np.ones((1, 2)))
    >>> r = loss_curvature(linear, "gaussian", q, np.ones((1, 3)), kl_weight=0.5, rng=np.random.default_rng(0))
    >>> r.largest.round(6).tolist(), r.smallest.round(6).tolist()
    ([9.5], [1.5])
    """
    if len(contents) != posterior.n_users:
        raise InvalidInput(f"contents must have {posterior.n_users} rows, one a user; they have {len(contents)}")
    if n_samples < 1 or iterations < 1:
        raise InvalidInput(f"n_samples and iterations must be at least 1; they are {n_samples} and {iterations}")
    mu, sigma = (torch.from_numpy(part) for part in posterior.numpy())
    noise = torch.from_numpy(rng.standard_normal((n_samples, 1, posterior.n_dimensions)))
    product = _HessianProduct.at(decoder, likelihood, mu, sigma, noise, torch.from_numpy(contents).double())
    start = torch.from_numpy(rng.standard_normal((min(iterations, posterior.n_dimensions), *mu.shape)))
    values = _ritz_values(product, start)
    return CurvatureRange(values[:, 0].numpy() + kl_weight, values[:, -1].numpy() + kl_weight)


@dataclass(frozen=True)
class _HessianProduct:
    """Products of all users' Hessians with one vector each."""

    gradient: Tensor
    mu: Tensor

    @classmethod
    def at(
        cls, decoder: torch.nn.Module, likelihood: str, mu: Tensor, sigma: Tensor, noise: Tensor, contents: Tensor
    ) -> _HessianProduct:
        mu = mu.clone().requires_grad_(True)
        logits = decoder(mu + sigma * noise)
        # A user's loss depends on its own mean alone, so the gradient of the sum holds each user's gradient.
        loss = get_likelihood(likelihood).loss(logits, contents.expand(logits.shape)).mean(0).sum()
        (gradient,) = torch.autograd.grad(loss, mu, create_graph=True)
        return cls(gradient, mu)

    def __call__(self, vectors: Tensor) -> Tensor:
        if not self.gradient.requires_grad:
            return torch.zeros_like(vectors)
        (product,) = torch.autograd.grad((self.gradient * vectors).sum(), self.mu, retain_graph=True)
        return product


def _ritz_values(product: _HessianProduct, start: Tensor) -> Tensor:
    """Return the eigenvalues of the Hessians on Krylov spaces of ``len(start)`` dimensions, ascending, (users, k)."""
    basis, images, following = torch.empty(0), torch.empty(0), start[0]
    for fresh in start:
        vector = _orthonormal(following, fresh, basis)
        following = product(vector)
        basis = torch.cat([basis, vector[:, None]], 1) if len(basis) else vector[:, None]
        images = torch.cat([images, following[:, None]], 1) if len(images) else following[:, None]
    projected = images @ basis.mT
    values: Tensor = torch.linalg.eigvalsh((projected + projected.mT) / 2)
    return values


def _orthonormal(vectors: Tensor, fresh: Tensor, basis: Tensor) -> Tensor:
    """Return the vectors less their part in the basis, or fresh ones where nothing is left of them, as unit vectors."""
    left = _rest(vectors, basis)
    exhausted = left.norm(dim=1, keepdim=True) <= EXHAUSTED * vectors.norm(dim=1, keepdim=True)
    left = torch.where(exhausted, _rest(fresh, basis), left)
    # Once more: after a large part was taken away the rest is orthogonal to few digits only.
    return _unit(_rest(_unit(left), basis))


def _rest(vectors: Tensor, basis: Tensor) -> Tensor:
    if not len(basis):
        return vectors
    return vectors - ((basis @ vectors[:, :, None]) * basis).sum(1)


def _unit(vectors: Tensor) -> Tensor:
    unit: Tensor = vectors / vectors.norm(dim=1, keepdim=True)
    return unit
