r"""Assumption A1 fails on the whole latent space: a ray along which the gradient's Lipschitz constant grows for ever.

The first layer's gradient is ``delta_1 z'``. Along a direction orthogonal to one row of the first weight, that unit's
pre-activation stays where it is, so ``delta_1`` keeps depending on ``z`` while ``z`` grows: the local constant of
``z -> G(x, z)`` grows like ``||z||``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from collabtheory.errors import InvalidInput
from collabtheory.latent._kinds import Contents, content_rows, dense_rows, matrix
from collabtheory.latent.gradient_jacobian import local_gradient_lipschitz
from collabtheory.models.layers import linear_chain
from collabtheory.models.likelihoods import Likelihood

MOST_UNITS = 64
"""Hidden units whose quiet directions are tried; one that grows is enough."""
DEFAULT_LENGTHS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)


@dataclass(frozen=True, eq=False)
class GradientGrowth:
    """Exact local Lipschitz constants of ``z -> G(x, z)`` along the ray ``t * direction``.

    Parameters
    ----------
    direction
        Unit vector, ``(d,)``: the steepest of those tried.
    lengths
        ``t``, ``(n,)``, increasing.
    constants
        The local constant at each, ``(n,)``.
    exponent
        Least-squares slope of log constant against log length over the longer half: 1 for linear growth, 0 or less
        where the constant stays bounded along the ray.
    unit
        Hidden unit whose pre-activation the direction leaves alone; None for a direction that was given.
    """

    direction: np.ndarray
    lengths: np.ndarray
    constants: np.ndarray
    exponent: float
    unit: int | None


def gradient_growth(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    directions: ArrayLike | Tensor | None = None,
    lengths: ArrayLike = DEFAULT_LENGTHS,
) -> GradientGrowth:
    """Find how fast the local Lipschitz constant of ``z -> G(x, z)`` grows along rays from the origin.

    Parameters
    ----------
    decoder, likelihood
        As in :func:`~collabtheory.latent.gradient_jacobian.local_gradient_lipschitz`.
    x
        One content, ``(1, n_items)``.
    directions
        Rays to try, ``(n, d)``; default: for each unit of the first hidden layer (for 64 of them, evenly spread, where
        there are more) one direction that leaves its pre-activation alone and drives the others hardest (with one
        dimension, or no hidden layer, the axes).
    lengths
        At least 2 positive, increasing distances from the origin.

    Returns
    -------
    GradientGrowth
        Of the direction with the largest constant at the largest length.

    Raises
    ------
    PremiseNotMet
        If the decoder has no closed form.
    InvalidInput
        If there is more than one content, a direction is zero, or the lengths do not increase.

    Notes
    -----
    An exponent near 1 is evidence at finite length; the reason is in the module's docstring. Lengths at which other
    units are still saturating can show more than 1 for a while. With only the last layer in theta the constant stays
    bounded.

    Examples
    --------
    >>> generator = torch.manual_seed(0)
    >>> decoder = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))
    >>> round(gradient_growth(decoder, "multinomial", [[1.0, 0.0, 1.0, 0.0]]).exponent, 1)
    1.0
    """
    steps = np.asarray(lengths, dtype=np.float64)
    positive = steps.ndim == 1 and len(steps) > 1 and bool(np.isfinite(steps).all()) and steps[0] > 0
    if not positive or (np.diff(steps) <= 0).any():
        raise InvalidInput("lengths must be at least 2 positive, finite, increasing numbers")
    layers = linear_chain(decoder)
    content = dense_rows(content_rows(x, 1, layers[-1].n_outputs), 0, 1)
    weight = layers[0].weight.to(torch.float64)
    units: list[int] | None = None
    if directions is None:
        rays, units = _quiet_directions(weight, len(layers))
    else:
        rays = _unit(matrix("directions", directions, weight.shape[1]))
    ends = np.asarray(
        local_gradient_lipschitz(decoder, likelihood, content.expand(len(rays), -1).numpy(), (rays * steps[-1]).numpy())
    )
    best = int(ends.argmax())
    codes = steps[:, None] * rays[best].numpy()
    constants = np.asarray(local_gradient_lipschitz(decoder, likelihood, content.expand(len(codes), -1).numpy(), codes))
    far = slice(min(len(steps) // 2, len(steps) - 2), None)
    tiny = np.finfo(np.float64).tiny
    exponent = float(np.polyfit(np.log(steps[far]), np.log(np.maximum(constants[far], tiny)), 1)[0])
    return GradientGrowth(rays[best].numpy(), steps, constants, exponent, None if units is None else units[best])


def _quiet_directions(weight: Tensor, n_layers: int) -> tuple[Tensor, list[int] | None]:
    """Return for each row of the weight the unit vector orthogonal to it that the other rows feel most."""
    if n_layers == 1 or weight.shape[1] == 1:
        return torch.eye(weight.shape[1], dtype=torch.float64), None
    rays, units = [], []
    for unit in np.unique(np.linspace(0, len(weight) - 1, MOST_UNITS).astype(int)).tolist():
        row = weight[unit]
        normal = row / row.norm() if row.norm() > 0 else row
        quiet = weight - (weight @ normal)[:, None] * normal
        ray = torch.linalg.eigh(quiet.T @ quiet).eigenvectors[:, -1]
        ray = ray - (ray @ normal) * normal
        if ray.norm() > 0:
            rays.append(ray / ray.norm())
            units.append(unit)
    return torch.stack(rays), units


def _unit(directions: Tensor) -> Tensor:
    norms = directions.norm(dim=1, keepdim=True)
    if not len(directions) or (norms == 0).any():
        raise InvalidInput("directions must hold at least one row and no row of zeros")
    unit: Tensor = directions / norms
    return unit
