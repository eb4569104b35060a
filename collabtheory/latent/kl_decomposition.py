r"""What the KL term of a VAE pays for: information about the user, and an aggregate posterior unlike the prior.

.. math:: \mathbb{E}_x KL(q(z|x) \,\|\, p) = I(X; Z) + KL(\bar q \,\|\, p), \qquad
          \bar q = \mathbb{E}_x\, q(z|x), \quad p = N(0, I)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from collabtheory.errors import InvalidInput
from collabtheory.models.posterior import DiagonalGaussian

SERIES = 0.1
"""Largest ``|sigma - 1|`` at which a series is used."""
_COEFFICIENTS = [(-1) ** k / k for k in range(18, 1, -1)]
_BLOCK_ENTRIES = 1 << 21


@dataclass(frozen=True)
class MonteCarlo:
    """A mean over random draws, with the standard error of that mean."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class KLDecomposition:
    """Both sides of the decomposition, in nats per user.

    Parameters
    ----------
    rate
        ``E KL(q(z|x) || p)``, in closed form.
    information
        ``I(X; Z)``, between 0 and ``log(n_users)``, which it cannot tell from more.
    aggregate
        ``KL(q_bar || p)``, from draws that are independent of those behind ``information``.
    """

    rate: float
    information: MonteCarlo
    aggregate: MonteCarlo

    @property
    def gap(self) -> float:
        """``rate - information - aggregate``: 0 up to the errors of the estimates."""
        return self.rate - self.information.value - self.aggregate.value

    @property
    def standard_error(self) -> float:
        """Standard error of :attr:`gap`."""
        return math.hypot(self.information.standard_error, self.aggregate.standard_error)


def kl_per_unit(posterior: DiagonalGaussian) -> np.ndarray:
    r"""KL divergence of every posterior to N(0, 1), unit by unit.

    .. math:: KL_{uj} = \tfrac12 (\mu_{uj}^2 + \sigma_{uj}^2 - 1 - 2 \log\sigma_{uj})

    Returns
    -------
    numpy.ndarray
        ``(n_users, d)`` float64, nats, never negative.

    Examples
    --------
    >>> kl_per_unit(DiagonalGaussian([[2.0, 0.0]], [[1.0, 1.0]]))
    array([[2., 0.]])
    """
    mu, sigma = posterior.numpy()
    excess = sigma - 1
    return np.asarray(0.5 * mu**2 + 0.5 * excess**2 + _above_log(excess))


def _above_log(excess: np.ndarray) -> np.ndarray:
    """Return ``e - log(1 + e)``, by its series near 0, where the difference loses all its digits."""
    near = np.clip(excess, -SERIES, SERIES)
    series = near**2 * np.polyval(_COEFFICIENTS, near)
    return np.asarray(np.where(np.abs(excess) <= SERIES, series, excess - np.log1p(excess)))


def decompose_kl(posterior: DiagonalGaussian, *, rng: np.random.Generator, samples: int = 2) -> KLDecomposition:
    r"""Split the mean KL divergence of posteriors to N(0, I) into mutual information and the aggregate's divergence.

    ``X`` is one of the users at hand with equal probability, so that the aggregate posterior is the exact mixture of
    their posteriors. Both terms on the right are means over draws :math:`z \sim q(z|x_u)`, ``samples`` of every user
    (stratified), and the two use different draws: on the same ones the identity would hold whatever the mixture is.

    Parameters
    ----------
    posterior
        Of at least one user.
    rng
        Source of the draws.
    samples
        Draws of each user for each term, at least 2 (the standard error needs two).

    Returns
    -------
    KLDecomposition

    Raises
    ------
    InvalidInput
        If there is no user or ``samples`` is below 2.

    Notes
    -----
    Costs ``2 n_users^2 samples d`` multiplications; draw some users where there are more than a few thousand. The
    mixture's densities are evaluated by inner products: relative to the exponent, they lose ``(mu / sigma)^2`` in
    16 digits. Hoffman and Johnson, "ELBO surgery", NIPS workshop 2016.

    Examples
    --------
    >>> one = DiagonalGaussian([[0.5, 0.0]], [[1.0, 2.0]])
    >>> split = decompose_kl(one, rng=np.random.default_rng(0))
    >>> abs(split.information.value) < 1e-12, round(split.rate, 3)
    (True, 0.932)
    """
    if posterior.n_users == 0:
        raise InvalidInput("posterior has no user")
    if samples < 2 or samples != int(samples):
        raise InvalidInput(f"samples must be an integer of at least 2; it is {samples}")
    information, aggregate = (_log_densities(posterior, rng, samples) for _ in range(2))
    own, mixture, _ = information
    _, mixture_again, prior = aggregate
    rate = float(kl_per_unit(posterior).sum(1).mean())
    return KLDecomposition(rate, _stratified(own - mixture), _stratified(mixture_again - prior))


def _log_densities(
    posterior: DiagonalGaussian, rng: np.random.Generator, samples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw from every posterior; return log-densities of its own, of the mixture and of the prior, ``(n, samples)``.

    All leave out the factor ``(2 pi)^(-d/2)`` that they share.
    """
    mu, sigma = posterior.numpy()
    noise = rng.standard_normal((len(mu), samples, mu.shape[1]))
    z = mu[:, None, :] + sigma[:, None, :] * noise
    own = -0.5 * (noise**2).sum(2) - np.log(sigma).sum(1)[:, None]
    mixture = _log_mixture(z.reshape(-1, mu.shape[1]), mu, sigma).reshape(len(mu), samples)
    return own, mixture, -0.5 * (z**2).sum(2)


def _log_mixture(z: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return ``log (1/n) sum_v N(z; mu_v, sigma_v^2)``, without the factor of ``2 pi``."""
    # Moved to the middle, where squares of differences lose the fewest digits by being expanded.
    middle = mu.mean(0)
    z, mu = z - middle, mu - middle
    precision = sigma**-2
    constant = -np.log(sigma).sum(1) - 0.5 * (mu**2 * precision).sum(1)
    result = np.empty(len(z))
    rows = max(1, _BLOCK_ENTRIES // len(mu))
    for start in range(0, len(z), rows):
        block = z[start : start + rows]
        exponents = block @ (mu * precision).T - 0.5 * (block**2) @ precision.T + constant
        result[start : start + rows] = logsumexp(exponents, axis=1)
    return result - math.log(len(mu))


def _stratified(values: np.ndarray) -> MonteCarlo:
    """Return the mean over users of values ``(n_users, samples)``; only what varies within a user is an error."""
    n_users, samples = values.shape
    error = math.sqrt(float(values.var(axis=1, ddof=1).sum()) / samples) / n_users
    return MonteCarlo(float(values.mean()), error)
