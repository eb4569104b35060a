r"""Overlap of diagonal Gaussian posteriors: the Bhattacharyya affinity and log density ratios, row by row."""

from __future__ import annotations

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.models.posterior import DiagonalGaussian


def log_affinity(p: DiagonalGaussian, q: DiagonalGaussian) -> np.ndarray:
    r"""Logarithm of the Bhattacharyya affinity :math:`\int\sqrt{p\,q}` of ``p[u]`` and ``q[u]``, row by row, exact.

    .. math:: \sum_j \tfrac12 \log\frac{2\sigma_j\tau_j}{\sigma_j^2+\tau_j^2}
              - \frac{(\mu_j-\nu_j)^2}{4(\sigma_j^2+\tau_j^2)}

    Parameters
    ----------
    p, q
        Posteriors :math:`N(\mu, \sigma^2)` and :math:`N(\nu, \tau^2)` with the same number of rows and dimensions.

    Returns
    -------
    numpy.ndarray
        ``(n_users,)`` float64, at most 0, and 0 for identical rows. It stays finite where the affinity underflows.

    Raises
    ------
    InvalidInput
        If the shapes differ.

    Examples
    --------
    >>> p = DiagonalGaussian([[0.0]], [[1.0]])
    >>> log_affinity(p, DiagonalGaussian([[4.0]], [[1.0]]))
    array([-2.])
    """
    (mu, sigma), (nu, tau) = same_shape(p, q)
    # In ratios of standard deviations nothing overflows; log1p keeps near-equal widths.
    widths = -0.5 * np.log1p((sigma - tau) ** 2 / (2.0 * sigma * tau))
    distances = ((mu - nu) / np.hypot(sigma, tau)) ** 2 / 4.0
    total: np.ndarray = (widths - distances).sum(1)
    return total


def geometric_mean(p: DiagonalGaussian, q: DiagonalGaussian) -> DiagonalGaussian:
    r"""Return the law proportional to :math:`\sqrt{p\,q}`, a diagonal Gaussian again, row by row.

    Examples
    --------
    >>> middle = geometric_mean(DiagonalGaussian([[0.0]], [[1.0]]), DiagonalGaussian([[4.0]], [[1.0]]))
    >>> float(middle.mu[0, 0].round(9)), float(middle.sigma[0, 0].round(9))
    (2.0, 1.0)
    """
    (mu, sigma), (nu, tau) = same_shape(p, q)
    spread = np.hypot(sigma, tau)
    # Weights of the two means are their precisions, that is the other one's variance.
    centre = mu + (nu - mu) * (sigma / spread) ** 2
    return DiagonalGaussian(centre, np.sqrt(2.0) * (sigma / spread) * tau)


def log_ratio(p: DiagonalGaussian, q: DiagonalGaussian, codes: np.ndarray) -> np.ndarray:
    """Return ``log p_u(z) - log q_u(z)`` for the codes of every row.

    Parameters
    ----------
    p, q
        Posteriors with the same number of rows and dimensions.
    codes
        ``(n_users, S, d)``.

    Returns
    -------
    numpy.ndarray
        ``(n_users, S)`` float64.

    Examples
    --------
    >>> p, q = DiagonalGaussian([[0.0]], [[1.0]]), DiagonalGaussian([[2.0]], [[1.0]])
    >>> log_ratio(p, q, np.array([[[1.0], [0.0]]]))
    array([[0., 2.]])
    """
    (mu, sigma), (nu, tau) = same_shape(p, q)
    own = (codes - mu[:, None, :]) / sigma[:, None, :]
    other = (codes - nu[:, None, :]) / tau[:, None, :]
    # Differences of squares as products: two large squares that nearly cancel keep their digits.
    exponents: np.ndarray = 0.5 * np.einsum("usd,usd->us", other - own, other + own)
    exponents += np.log(tau / sigma).sum(1)[:, None]
    return exponents


def log_ratio_size(p: DiagonalGaussian, q: DiagonalGaussian) -> np.ndarray:
    r"""Root mean square of :math:`\log p/q` under the law proportional to :math:`\sqrt{p\,q}`, row by row, exact.

    For equal widths it is the distance of the means in standard deviations.

    Examples
    --------
    >>> log_ratio_size(DiagonalGaussian([[0.0]], [[0.5]]), DiagonalGaussian([[2.0]], [[0.5]]))
    array([4.])
    """
    (mu, sigma), (nu, tau) = same_shape(p, q)
    centre, width = geometric_mean(p, q).numpy()
    a, b, c, e = (centre - mu) / sigma, width / sigma, (centre - nu) / tau, width / tau
    # log p/q = constant + slope t + curvature t^2 in standardised t, for each coordinate.
    constant = np.log(tau / sigma) + 0.5 * (c - a) * (c + a)
    slope, curvature = c * e - a * b, 0.5 * (e - b) * (e + b)
    mean, variance = (constant + curvature).sum(1), (slope**2 + 2.0 * curvature**2).sum(1)
    return np.asarray(np.hypot(mean, np.sqrt(variance)))


def same_shape(
    p: DiagonalGaussian, q: DiagonalGaussian
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return both posteriors as arrays, refusing those that cannot be compared row by row."""
    for name, posterior in (("p", p), ("q", q)):
        if not isinstance(posterior, DiagonalGaussian):
            raise InvalidInput(f"{name} must be a DiagonalGaussian; it is a {type(posterior).__name__}")
    first, second = p.numpy(), q.numpy()
    if first[0].shape != second[0].shape:
        raise InvalidInput(f"p and q are compared row by row but have shapes {first[0].shape} and {second[0].shape}")
    return first, second
