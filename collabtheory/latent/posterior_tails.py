"""How much posterior mass lies outside the ball on which a bound holds."""

from __future__ import annotations

import math

import torch

from collabtheory.errors import InvalidInput
from collabtheory.latent._kinds import give_back, is_torch, parameters
from collabtheory.models.posterior import Array, DiagonalGaussian


def posterior_mass_outside(p: DiagonalGaussian, radius: float) -> Array:
    r"""Certified upper bound of ``P(||z|| > radius)`` under each posterior.

    Gaussian concentration of the Lipschitz function ``||z||`` around its mean, which is at most
    :math:`m = \sqrt{\|\mu\|^2 + \|\sigma\|^2}`:

    .. math:: P(\|z\| > R) \le \exp\bigl(-(R - m)^2 / (2 \max_j \sigma_j^2)\bigr) \quad (R > m), \qquad 1 \text{ else}

    Parameters
    ----------
    p
        Posteriors.
    radius
        ``R >= 0``, latent units; infinity gives 0.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_users,)`` float64 in [0, 1].

    Raises
    ------
    InvalidInput
        If the radius is negative or NaN.

    Examples
    --------
    >>> posterior_mass_outside(DiagonalGaussian([[0.0]], [[1.0]]), 0.5)
    array([1.])
    """
    if not radius >= 0:
        raise InvalidInput(f"radius must be a number >= 0; it is {radius}")
    mu, sigma = parameters("p", p)
    if math.isinf(radius):
        return give_back(torch.zeros(len(mu), dtype=torch.float64), is_torch(p))
    beyond = (radius - torch.linalg.vector_norm(torch.cat([mu, sigma], 1), dim=1)).clamp(min=0)
    return give_back(torch.exp(-0.5 * (beyond / sigma.amax(1)) ** 2), is_torch(p))
