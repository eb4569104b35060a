r"""Wasserstein distances of diagonal Gaussian posteriors: exact W_2, a bracket of W_1, and W_1 in the l1 metric.

Notation: ``dm`` and ``ds`` are the differences of the means and of the standard deviations of one pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.errors import InvalidInput
from collabtheory.latent._kinds import give_back, is_torch, parameters
from collabtheory.latent.comonotone_cost import comonotone_cost
from collabtheory.models.posterior import Array, DiagonalGaussian


@dataclass(frozen=True, eq=False)
class W1Bounds:
    """Bracket of W_1 with the Euclidean ground metric, row by row.

    Parameters
    ----------
    lower, upper
        ``(n_users,)`` float64, latent units; ``lower <= W_1 <= upper <= W_2``.
    """

    lower: Array
    upper: Array


def w2(p: DiagonalGaussian, q: DiagonalGaussian) -> Array:
    r"""Exact 2-Wasserstein distance of ``p[u]`` and ``q[u]``, row by row.

    .. math:: W_2 = \sqrt{\sum_j \Delta\mu_j^2 + \Delta\sigma_j^2}

    Parameters
    ----------
    p, q
        Posteriors with the same number of rows and dimensions.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_users,)`` float64, latent units. No rows give an empty array, identical rows 0.

    Raises
    ------
    InvalidInput
        If the shapes differ.

    Examples
    --------
    >>> p = DiagonalGaussian([[0.0, 0.0]], [[1.0, 1.0]])
    >>> w2(p, DiagonalGaussian([[3.0, 0.0]], [[1.0, 5.0]]))
    array([5.])
    """
    dm, ds = _differences(p, q)
    scale = _row_scale(dm, ds)
    return give_back(
        scale * torch.sqrt(((dm / scale[:, None]) ** 2 + (ds / scale[:, None]) ** 2).sum(1)), is_torch(p, q)
    )


def w1_bounds(p: DiagonalGaussian, q: DiagonalGaussian) -> W1Bounds:
    r"""Bracket of the 1-Wasserstein distance of ``p[u]`` and ``q[u]``, row by row, without sampling.

    With :math:`w_j = E|\Delta\mu_j + \Delta\sigma_j Z|`, the one-dimensional distances in closed form,

    .. math:: \sqrt{\textstyle\sum_j w_j^2} \;\le\; W_1 \;\le\; E\|\Delta\mu + \Delta\sigma \odot Z\| \;\le\; W_2 .

    The lower bound is Jensen's inequality on any coupling, the upper bound is the cost of the comonotone coupling; its
    expectation is a quadrature whose error bound is added, so that the upper bound stays one
    (:mod:`collabtheory.latent.comonotone_cost`).

    Parameters
    ----------
    p, q
        Posteriors with the same number of rows and dimensions.

    Returns
    -------
    W1Bounds
        ``lower`` and ``upper``, ``(n_users,)`` float64. One dimension: both are the exact distance.
        ``lower >= sqrt(2 / pi) * W_2`` always. Identical rows give 0.

    Raises
    ------
    InvalidInput
        If the shapes differ.

    Notes
    -----
    Not in the paper, which uses W_1 without evaluating it.

    Examples
    --------
    >>> p = DiagonalGaussian([[0.0, 0.0]], [[1.0, 1.0]])
    >>> bounds = w1_bounds(p, DiagonalGaussian([[3.0, 4.0]], [[1.0, 1.0]]))
    >>> float(bounds.lower[0]), float(bounds.upper[0])
    (5.0, 5.0)
    """
    dm, ds = _differences(p, q)
    scale = _row_scale(dm, ds)
    dm, ds = dm / scale[:, None], ds / scale[:, None]
    longest = torch.sqrt((dm * dm + ds * ds).sum(1))
    lower = torch.minimum(torch.sqrt((_folded_normal_mean(dm, ds) ** 2).sum(1)), longest)
    # Rounding alone can put the quadrature a last digit outside [lower, W_2].
    upper = lower if dm.shape[1] == 1 else torch.minimum(torch.maximum(comonotone_cost(dm, ds), lower), longest)
    as_torch = is_torch(p, q)
    return W1Bounds(give_back(scale * lower, as_torch), give_back(scale * upper, as_torch))


def w1_l1(p: DiagonalGaussian, q: DiagonalGaussian) -> Array:
    r"""Exact 1-Wasserstein distance with the l1 ground metric, :math:`\sum_j E|\Delta\mu_j + \Delta\sigma_j Z|`.

    Parameters
    ----------
    p, q
        Posteriors with the same number of rows and dimensions.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_users,)`` float64. ``w1_l1 / sqrt(d)`` is a lower bound of the Euclidean W_1.

    Raises
    ------
    InvalidInput
        If the shapes differ.

    Examples
    --------
    >>> p = DiagonalGaussian([[0.0, 0.0]], [[1.0, 1.0]])
    >>> w1_l1(p, DiagonalGaussian([[3.0, 4.0]], [[1.0, 1.0]]))
    array([7.])
    """
    dm, ds = _differences(p, q)
    scale = _row_scale(dm, ds)
    distances = scale * _folded_normal_mean(dm / scale[:, None], ds / scale[:, None]).sum(1)
    return give_back(distances, is_torch(p, q))


def w2_to_prior(p: DiagonalGaussian) -> Array:
    r"""Exact W_2 of each posterior to the prior N(0, I): :math:`\sqrt{\|\mu\|^2 + \|\sigma - 1\|^2}`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_users,)`` float64.

    Examples
    --------
    >>> w2_to_prior(DiagonalGaussian([[3.0]], [[5.0]]))
    array([5.])
    """
    mu, sigma = parameters("p", p)
    return give_back(torch.linalg.vector_norm(torch.cat([mu, sigma - 1], 1), dim=1), is_torch(p))


def pairwise_w2(p: DiagonalGaussian, q: DiagonalGaussian | None = None) -> Array:
    """Exact W_2 of every row of ``p`` to every row of ``q`` (default: of ``p``).

    Computed from differences, never from inner products, so that near twins and large common offsets keep their
    digits. No temporary is larger than the result.

    Parameters
    ----------
    p, q
        Posteriors of the same dimension.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(p.n_users, q.n_users)`` float64; with ``q`` omitted symmetric with a diagonal of exact zeros.

    Raises
    ------
    InvalidInput
        If the dimensions differ.

    Examples
    --------
    >>> pairwise_w2(DiagonalGaussian([[0.0], [3.0]], [[1.0], [5.0]]))
    array([[0., 5.],
           [5., 0.]])
    """
    points, others = embedded(p, p if q is None else q)
    extent = largest_entry(torch.cat([points, others]))
    distances = torch.cdist(points / extent, others / extent, compute_mode="donot_use_mm_for_euclid_dist")
    return give_back(distances * extent, is_torch(p, q))


def embedded(p: DiagonalGaussian, q: DiagonalGaussian) -> tuple[Tensor, Tensor]:
    """Return the points ``[mu, sigma]`` of both, whose Euclidean distance is W_2, ``(n_users, 2 d)`` float64.

    One tensor twice where both are one object.
    """
    mu_p, sigma_p = parameters("p", p)
    if p is q:
        points = torch.cat([mu_p, sigma_p], 1)
        return points, points
    mu_q, sigma_q = parameters("q", q, mu_p.device)
    if mu_p.shape[1] != mu_q.shape[1]:
        raise InvalidInput(f"p has {mu_p.shape[1]} dimensions and q has {mu_q.shape[1]}; they must agree")
    return torch.cat([mu_p, sigma_p], 1), torch.cat([mu_q, sigma_q], 1)


def _differences(p: DiagonalGaussian, q: DiagonalGaussian) -> tuple[Tensor, Tensor]:
    mu_p, sigma_p = parameters("p", p)
    mu_q, sigma_q = parameters("q", q, mu_p.device)
    if mu_p.shape != mu_q.shape:
        raise InvalidInput(
            f"p and q are compared row by row but have shapes {tuple(mu_p.shape)} and {tuple(mu_q.shape)}; "
            "use pairwise_w2 for all pairs"
        )
    return mu_p - mu_q, sigma_p - sigma_q


def _row_scale(dm: Tensor, ds: Tensor) -> Tensor:
    """Largest entry of each row (1 for a row of zeros): dividing by it keeps squares within range."""
    scale = torch.maximum(dm.abs().amax(1), ds.abs().amax(1))
    return torch.where(scale > 0, scale, 1.0)


def largest_entry(points: Tensor) -> Tensor:
    """Power of two next to the largest entry, so that dividing by it is exact."""
    largest = points.abs().max() if points.numel() else torch.tensor(0.0, dtype=torch.float64)
    return torch.where(largest > 0, torch.exp2(torch.floor(torch.log2(largest))), torch.ones_like(largest))


def _folded_normal_mean(dm: Tensor, ds: Tensor) -> Tensor:
    """Return ``E|dm + ds Z|`` elementwise; ``|dm|`` where ``ds = 0``."""
    dm, ds = dm.abs(), ds.abs()
    ratio = dm / torch.where(ds > 0, ds, 1.0)
    mean = ds * math.sqrt(2 / math.pi) * torch.exp(-0.5 * ratio**2) + dm * torch.erf(ratio / math.sqrt(2))
    return torch.where(ds > 0, mean, dm)
