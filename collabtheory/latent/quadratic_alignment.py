r"""The quadratic model of Proposition 3.2: one user's loss in the posterior mean, with the pull to an anchor centroid.

.. math:: J(\mu) = \tfrac12 (\mu - m)^\top H (\mu - m) + \lambda_A ||\mu - \bar e||^2, \qquad 0 \le H \le L I

is least at :math:`\mu^* = \bar e + (H + 2 \lambda_A I)^{-1} H (m - \bar e)`: along an eigenvector of ``H`` with
eigenvalue ``h`` the optimum ``m`` is drawn to the centroid by exactly :math:`h / (h + 2 \lambda_A)`, at most
:math:`\tau = L / (L + 2 \lambda_A)`.
"""

from __future__ import annotations

import numpy as np

from collabtheory.errors import InvalidInput

ROUNDING = 1e-12
"""Relative asymmetry, and negative eigenvalues relative to the largest, that are put down to rounding."""


def contraction_factor(largest_curvature: np.ndarray | float, alignment_weight: float) -> np.ndarray:
    r"""Return :math:`\tau = L / (L + 2 \lambda_A)`, the share of the distance to the centroid that is left at most.

    Parameters
    ----------
    largest_curvature
        ``L >= 0``, largest eigenvalue of the loss's Hessian in the mean, any shape; nats per squared latent unit.
    alignment_weight
        ``lambda_A >= 0``, same unit.

    Returns
    -------
    numpy.ndarray
        In [0, 1], the shape of ``largest_curvature``. ``L = lambda_A = 0`` gives 1: nothing moves the mean.

    Raises
    ------
    InvalidInput
        If an argument is negative or NaN.

    References
    ----------
    [paper, Proposition 3.2], arXiv:2511.06781.

    Examples
    --------
    >>> contraction_factor([2.0, 20.0], 10.0).round(3).tolist()
    [0.091, 0.5]
    """
    curvature = np.asarray(largest_curvature, dtype=np.float64)
    _refuse_negative("largest_curvature", curvature)
    _refuse_negative("alignment_weight", np.asarray(alignment_weight))
    total = curvature + 2.0 * alignment_weight
    factor: np.ndarray = np.divide(curvature, total, out=np.ones_like(total), where=total > 0)
    return factor


def aligned_minimiser(
    curvature: np.ndarray, optima: np.ndarray, centroid: np.ndarray, alignment_weight: float
) -> np.ndarray:
    r"""Return :math:`\mu^* = \bar e + (H + 2 \lambda_A I)^{-1} H (m - \bar e)` for each optimum ``m``.

    Parameters
    ----------
    curvature
        ``H``, ``(d, d)``, symmetric, positive semidefinite; the same for all optima.
    optima
        ``m``, ``(..., d)``: where the loss without the pull is least, one a mask.
    centroid
        ``ebar``, ``(d,)`` or anything that broadcasts to ``optima``.
    alignment_weight
        ``lambda_A > 0``.

    Returns
    -------
    numpy.ndarray
        ``(..., d)``, float64.

    Raises
    ------
    InvalidInput
        If ``H`` is not square, symmetric and positive semidefinite, or the weight is not positive.

    Notes
    -----
    Evaluated along the eigenvectors of ``H``, so that the contraction survives rounding at any condition number
    (solving the linear system loses it beyond 1e8).

    References
    ----------
    [paper, Proposition 3.2], arXiv:2511.06781.

    Examples
    --------
    >>> aligned_minimiser(np.diag([2.0, 6.0]), np.array([4.0, 4.0]), np.zeros(2), 1.0).tolist()
    [2.0, 3.0]
    """
    values, vectors = _spectrum(np.asarray(curvature, dtype=np.float64))
    if not alignment_weight > 0:
        raise InvalidInput(f"alignment_weight must be positive; it is {alignment_weight}")
    pulled = (np.asarray(optima, dtype=np.float64) - centroid) @ vectors * contraction_factor(values, alignment_weight)
    minimiser: np.ndarray = centroid + pulled @ vectors.T
    return minimiser


def _spectrum(curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if curvature.ndim != 2 or curvature.shape[0] != curvature.shape[1]:
        raise InvalidInput(f"curvature must be square; its shape is {curvature.shape}")
    size = np.abs(curvature).max(initial=0.0)
    if not np.isfinite(size) or np.abs(curvature - curvature.T).max(initial=0.0) > ROUNDING * size:
        raise InvalidInput("curvature must be finite and symmetric")
    values, vectors = np.linalg.eigh(curvature)
    if values.min(initial=0.0) < -ROUNDING * len(values) * size:
        raise InvalidInput(f"curvature must be positive semidefinite; its smallest eigenvalue is {values.min():.3g}")
    return np.maximum(values, 0.0), vectors


def _refuse_negative(name: str, values: np.ndarray) -> None:
    if not np.all(values >= 0):
        raise InvalidInput(f"{name} must not be negative or NaN; it holds {values[~(values >= 0)].flat[0]}")
