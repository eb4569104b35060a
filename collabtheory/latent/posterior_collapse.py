"""Posterior collapse: latent units that say nothing about the user."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.latent.kl_decomposition import kl_per_unit
from collabtheory.models.posterior import DiagonalGaussian

ACTIVE_ABOVE = 0.01
"""Variance over users of a unit's posterior mean above which the unit counts as active."""


@dataclass(frozen=True, eq=False)
class Collapse:
    """How much each latent unit is used.

    Parameters
    ----------
    mean_variance
        Variance over users of the posterior mean, ``(d,)``; the prior's variance is 1.
    kl
        Mean KL divergence to the prior over users, ``(d,)`` nats. A unit can have some and still be inactive: the same
        posterior for everybody, but not the prior.
    active
        ``(d,)`` bool.
    """

    mean_variance: np.ndarray
    kl: np.ndarray
    active: np.ndarray

    @property
    def n_active(self) -> int:
        """Number of active units."""
        return int(self.active.sum())

    @property
    def share_active(self) -> float:
        """Active units as a share of all."""
        return float(self.active.mean())

    @property
    def is_collapsed(self) -> bool:
        """Whether no unit is active: all users get next to the same posterior mean."""
        return self.n_active == 0


def collapse(posterior: DiagonalGaussian, *, threshold: float = ACTIVE_ABOVE) -> Collapse:
    r"""Count the active units of some users' posteriors, :math:`\mathrm{Var}_u(\mu_{uj}) > 0.01`.

    Parameters
    ----------
    posterior
        Of at least two users, clean inputs.
    threshold
        Smallest variance of an active unit, finite and not negative.

    Returns
    -------
    Collapse

    Raises
    ------
    InvalidInput
        If there are fewer than two users, or the threshold is negative or not finite.

    Notes
    -----
    Burda et al., arXiv:1509.00519, with their threshold.

    Examples
    --------
    >>> found = collapse(DiagonalGaussian([[-1.0, 0.3], [1.0, 0.3]], [[0.5, 1.0], [0.5, 1.0]]))
    >>> found.active.tolist(), found.is_collapsed
    ([True, False], False)
    """
    if posterior.n_users < 2:
        raise InvalidInput(f"posterior must have at least 2 users to vary over; it has {posterior.n_users}")
    if not (math.isfinite(threshold) and threshold >= 0):
        raise InvalidInput(f"threshold must be finite and not negative; it is {threshold}")
    variance = posterior.numpy()[0].var(axis=0)
    return Collapse(variance, kl_per_unit(posterior).mean(0), variance > threshold)
