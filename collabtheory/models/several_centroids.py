r"""Alignment for users with several interests: the nearest of ``k`` centroids instead of one in between.

Items are put into ``k`` groups by their anchors. With ``p_j`` the share of the user's items in group ``j`` and ``c_j``
their centroid, the loss of Proposition 3.1 is, group by group,

.. math:: L_A = \sum_j p_j ||\mu - c_j||^2 + \mathrm{tr}\,\Sigma + \frac{1}{n} \sum_i ||e_i - c_{j(i)}||^2,

and the variant replaces the mean over groups by the smallest, or by a soft minimum in between:

.. math:: L_k = \min_j ||\mu - c_j||^2 + \ldots, \qquad
          L_{k,T} = -T \log \sum_j p_j e^{-||\mu - c_j||^2 / T} + \ldots, \qquad L_k \le L_{k,T} \le L_A.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.cluster import vq
from torch import Tensor

from collabtheory.errors import InvalidInput

ITERATIONS = 50


@dataclass(frozen=True, eq=False)
class GroupCentroids:
    """Each user's items by group: ``share`` (users, k), ``centroid`` (users, k, d) and ``within`` (users,).

    ``within`` is the mean squared distance of the user's anchors to the centroid of their own group. A group that the
    user has no item of has share and centroid 0.
    """

    share: Tensor
    centroid: Tensor
    within: Tensor


def item_groups(anchors: np.ndarray, n_groups: int, *, rng: np.random.Generator) -> np.ndarray:
    """Return the group of each item by k-means of the anchors (Lloyd's iterations from a k-means++ start).

    Parameters
    ----------
    anchors
        ``(items, d)``, finite.
    n_groups
        ``k``, from 1 to the number of items. Groups may end up empty where anchors coincide.
    rng
        Source of the start.

    Returns
    -------
    numpy.ndarray
        ``(items,)``, int64 in ``[0, k)``.

    Raises
    ------
    InvalidInput
        If ``n_groups`` is out of range or an anchor is not finite.

    Examples
    --------
    >>> groups = item_groups(np.array([[0.0], [0.1], [9.0]]), 2, rng=np.random.default_rng(0))
    >>> bool(groups[0] == groups[1] != groups[2])
    True
    """
    anchors = np.asarray(anchors, dtype=np.float64)
    if not 1 <= n_groups <= len(anchors):
        raise InvalidInput(f"n_groups must be from 1 to the number of items, {len(anchors)}; it is {n_groups}")
    if not np.isfinite(anchors).all():
        raise InvalidInput("anchors must be finite")
    start = anchors[_far_apart(anchors, n_groups, rng)]
    with warnings.catch_warnings():
        # An empty group keeps its start; that is an outcome, not a fault.
        warnings.simplefilter("ignore", UserWarning)
        _, groups = vq.kmeans2(anchors, start, iter=ITERATIONS, minit="matrix")
    return np.asarray(groups, dtype=np.int64)


def _far_apart(anchors: np.ndarray, n: int, rng: np.random.Generator) -> list[int]:
    """Draw items with probability proportional to the squared distance to those drawn before (k-means++)."""
    chosen = [int(rng.integers(len(anchors)))]
    nearest = np.full(len(anchors), np.inf)
    while len(chosen) < n:
        nearest = np.minimum(nearest, np.square(anchors - anchors[chosen[-1]]).sum(1))
        total = nearest.sum()
        chosen.append(int(rng.choice(len(anchors), p=nearest / total if total > 0 else None)))
    return chosen


def group_centroids(contents: Tensor, anchors: Tensor, groups: np.ndarray) -> GroupCentroids:
    """Return shares and centroids of each user's items by group, differentiable in the anchors.

    Parameters
    ----------
    contents
        Binary, or nonnegative weights, sparse or dense ``(users, items)``.
    anchors
        ``(items, d)``.
    groups
        Group of each item, ``(items,)``, from 0.

    Raises
    ------
    InvalidInput
        If there is not one nonnegative group per item.
    """
    groups = np.asarray(groups)
    if groups.shape != (anchors.shape[0],) or groups.dtype.kind not in "iu" or groups.min(initial=0) < 0:
        raise InvalidInput(f"groups must be {anchors.shape[0]} nonnegative integers, one an item")
    members = torch.nn.functional.one_hot(torch.from_numpy(groups.astype(np.int64))).to(anchors.dtype)
    amount = contents @ members
    total = amount.sum(1).clamp(min=torch.finfo(anchors.dtype).tiny)
    sums = torch.stack([contents @ (anchors * column[:, None]) for column in members.T], dim=1)
    centroid = sums / torch.where(amount > 0, amount, torch.ones_like(amount))[:, :, None]
    share = amount / total[:, None]
    mean_square = (contents @ anchors.square().sum(1, keepdim=True)).squeeze(1) / total
    within = mean_square - (share * centroid.square().sum(2)).sum(1)
    return GroupCentroids(share, centroid, within.clamp(min=0.0))


def nearest_centroid_loss(mu: Tensor, sigma: Tensor, centroids: GroupCentroids, *, temperature: float = 0.0) -> Tensor:
    """Return the alignment loss to the nearest of each user's centroids, ``(users,)``, squared latent units.

    Parameters
    ----------
    mu, sigma
        Posterior of the (masked) input, ``(users, d)``.
    centroids
        Of the unmasked contents, see :func:`group_centroids`.
    temperature
        ``T >= 0`` in squared latent units: 0 is the hard minimum, infinity the loss of the paper.

    Raises
    ------
    InvalidInput
        If the temperature is negative or NaN.

    Notes
    -----
    At temperature 0 the loss has a kink where two centroids are equally far: a small change of the input can carry the
    minimiser from one to the other, and no factor bounds the variance over masks there. A user without items has
    loss 0.

    Examples
    --------
    >>> anchors = torch.tensor([[-1.0], [3.0]])
    >>> found = group_centroids(torch.ones(1, 2), anchors, np.array([0, 1]))
    >>> mu, sigma = torch.zeros(1, 1), torch.zeros(1, 1)
    >>> [nearest_centroid_loss(mu, sigma, found, temperature=t).item() for t in (0.0, float("inf"))]
    [1.0, 5.0]
    """
    if not temperature >= 0:
        raise InvalidInput(f"temperature must not be negative; it is {temperature}")
    known = centroids.share.sum(1) > 0
    share = torch.where(known[:, None], centroids.share, torch.ones_like(centroids.share) / centroids.share.shape[1])
    distance = (mu[:, None] - centroids.centroid).square().sum(2)
    if temperature == 0:
        pull = distance.masked_fill(share == 0, torch.inf).amin(1)
    elif np.isinf(temperature):
        pull = (share * distance).sum(1)
    else:
        pull = -temperature * torch.logsumexp(share.log() - distance / temperature, 1)
    loss = pull + sigma.square().sum(1) + centroids.within
    return torch.where(known, loss, torch.zeros_like(loss))


def nearest_anchor_distance(contents: sparse.csr_array, anchors: np.ndarray) -> np.ndarray:
    """Return how far each user's centroid is from the nearest of its own anchors, ``(users,)``; NaN without items.

    Examples
    --------
    >>> nearest_anchor_distance(sparse.csr_array(np.array([[1, 1, 0]])), np.array([[0.0], [4.0], [2.0]])).tolist()
    [2.0]
    """
    distances = np.full(contents.shape[0], np.nan)
    for user, (start, end) in enumerate(zip(contents.indptr[:-1], contents.indptr[1:], strict=True)):
        own = anchors[contents.indices[start:end]]
        if len(own):
            distances[user] = np.linalg.norm(own - own.mean(0), axis=1).min()
    return distances
