r"""How much codes tell about users: :math:`I(x; z)` with a bound where the estimate saturates, and active units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.latent.kl_decomposition import MonteCarlo, decompose_kl
from collabtheory.latent.posterior_collapse import collapse
from collabtheory.models.posterior import DiagonalGaussian

SATURATED = 0.95
"""Share of ``log(n_users)`` from which the estimate says little but how many users there are."""


@dataclass(frozen=True)
class MutualInformation:
    """Information about the user in a code, nats.

    Parameters
    ----------
    information
        ``I(X; Z)`` for X one of the users at hand, with the standard error of its draws. A lower bound, in
        expectation, for users drawn from a larger population; never above ``log(n_users)``.
    upper
        Upper bound in closed form that does not saturate: :func:`gaussian_information_bound`, or ``rate`` if smaller.
    rate
        Mean KL divergence to the prior.
    aggregate
        ``KL(q_bar || p)``, from draws independent of those behind ``information``.
    n_users, n_active
        Users, and active units.
    """

    information: MonteCarlo
    upper: float
    rate: float
    aggregate: MonteCarlo
    n_users: int
    n_active: int

    @property
    def is_saturated(self) -> bool:
        """Whether the estimate is next to the largest that this number of users allows."""
        return self.information.value > SATURATED * math.log(self.n_users)


def mutual_information(posterior: DiagonalGaussian, *, rng: np.random.Generator, samples: int = 2) -> MutualInformation:
    """Estimate the information about the user in a code.

    Parameters
    ----------
    posterior
        Of at least 2 users, clean inputs.
    rng
        Source of the draws.
    samples
        Draws of each user for each term, at least 2.

    Returns
    -------
    MutualInformation

    Raises
    ------
    InvalidInput
        If there are fewer than two users or draws.

    Notes
    -----
    As :func:`~collabtheory.latent.decompose_kl`, quadratic in the number of users. A saturated estimate cannot tell two
    models apart; ``rate`` and ``upper`` can.

    Examples
    --------
    >>> q = DiagonalGaussian([[-50.0], [0.0], [50.0]], [[1.0], [1.0], [1.0]])
    >>> found = mutual_information(q, rng=np.random.default_rng(0))
    >>> math.isclose(found.information.value, math.log(3)), found.is_saturated, found.n_active
    (True, True, 1)
    """
    if posterior.n_users < 2:
        raise InvalidInput(f"posterior must have at least 2 users; it has {posterior.n_users}")
    split = decompose_kl(posterior, rng=rng, samples=samples)
    upper = min(gaussian_information_bound(posterior), split.rate)
    return MutualInformation(
        split.information, upper, split.rate, split.aggregate, posterior.n_users, collapse(posterior).n_active
    )


def gaussian_information_bound(posterior: DiagonalGaussian) -> float:
    r"""Return an upper bound of ``I(X; Z)`` in closed form: the information if the aggregate were Gaussian.

    .. math:: I(X; Z) \le \mathbb{E}_u KL(q_u \,\|\, r) = \tfrac12 \Big( \log\det \mathrm{Cov}_{\bar q}(z)
              - \frac1n \sum_{u,j} \log \sigma_{uj}^2 \Big)

    for r the normal law with the mean and covariance of the aggregate posterior (the best choice among normal laws).
    It is attained where the aggregate is normal.

    Examples
    --------
    >>> gaussian_information_bound(DiagonalGaussian([[-3.0], [3.0]], [[1.0], [1.0]])) == 0.5 * math.log(10)
    True
    """
    mu, sigma = posterior.numpy()
    centred = mu - mu.mean(0)
    covariance = centred.T @ centred / len(mu) + np.diag((sigma**2).mean(0))
    _, log_determinant = np.linalg.slogdet(covariance)
    return float(0.5 * (log_determinant - 2 * np.log(sigma).sum(1).mean()))
