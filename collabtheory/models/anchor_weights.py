r"""Weights of a user's items in the alignment loss: by popularity or by recency, and how far they move the centroid.

The centroid :math:`\bar e_w = \frac{1}{W} \sum w_i e_i` differs from the plain :math:`\bar e` by the covariance of
weights and anchors over the user's items, so by Cauchy-Schwarz

.. math:: ||\bar e_w - \bar e||^2 \le c_w^2 \, \frac{1}{n} \sum_i ||e_i - \bar e||^2,
          \qquad c_w = \mathrm{std}(w) / \mathrm{mean}(w).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput


@dataclass(frozen=True)
class CentroidShift:
    """How far weights move each user's centroid, and how far they could at most, ``(users,)``, latent units.

    ``spread`` is the root-mean-square distance of the user's anchors to their plain centroid, what a shift has to
    be held against. Users without items have 0 everywhere.
    """

    shift: np.ndarray
    bound: np.ndarray
    spread: np.ndarray


def popularity_weights(contents: sparse.csr_array, exponent: float = 1.0) -> sparse.csr_array:
    r"""Return weights :math:`w_i = c_i^{-\gamma}`, with ``c_i`` the number of users that have item ``i``.

    Parameters
    ----------
    contents
        Binary, ``(users, items)``.
    exponent
        ``gamma``: 1 lets every item pull as much over all users as any other, 0 is the paper's loss, negative values
        favour popular items. Finite.

    Returns
    -------
    scipy.sparse.csr_array
        ``(users, items)``, float64, positive on the user's items: in place of the contents in
        :func:`~collabtheory.models.alignment_loss`.

    Raises
    ------
    InvalidInput
        If the exponent is not finite.

    Examples
    --------
    >>> popularity_weights(sparse.csr_array(np.array([[1, 1], [0, 1]]))).toarray().tolist()
    [[1.0, 0.5], [0.0, 0.5]]
    """
    if not np.isfinite(exponent):
        raise InvalidInput(f"exponent must be finite; it is {exponent}")
    counts = np.bincount(contents.indices, minlength=contents.shape[1]).astype(np.float64)
    return _with_data(contents, counts[contents.indices] ** -exponent)


def recency_weights(contents: sparse.csr_array, timestamps: np.ndarray, half_life: float) -> sparse.csr_array:
    r"""Return weights :math:`w_{ui} = 2^{-(t_u - t_{ui}) / h}`, with ``t_u`` the user's latest time.

    Parameters
    ----------
    contents
        Binary, ``(users, items)``.
    timestamps
        ``(nnz,)``, aligned with ``contents.data``, as in :class:`~collabtheory.data.Interactions`.
    half_life
        ``h > 0``, in the unit of the timestamps: an item that much older counts half as much.

    Returns
    -------
    scipy.sparse.csr_array
        ``(users, items)``, float64, in (0, 1] on the user's items; the latest has 1. Times so old that the power
        underflows get the smallest positive number, so that no item of the user's is lost.

    Raises
    ------
    InvalidInput
        If there is not one finite time per interaction, or the half-life is not positive.

    Examples
    --------
    >>> x = sparse.csr_array(np.array([[1, 1, 0], [0, 0, 1]]))
    >>> recency_weights(x, np.array([100, 130, 5]), half_life=30).toarray().tolist()
    [[0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    times = np.asarray(timestamps, dtype=np.float64)
    if times.shape != (contents.nnz,) or not np.isfinite(times).all():
        raise InvalidInput(f"timestamps must be {contents.nnz} finite numbers, one an interaction; got {times.shape}")
    if not half_life > 0:
        raise InvalidInput(f"half_life must be positive; it is {half_life}")
    users = np.repeat(np.arange(contents.shape[0]), np.diff(contents.indptr))
    latest = np.full(contents.shape[0], -np.inf)
    np.maximum.at(latest, users, times)
    weights = np.exp2((times - latest[users]) / half_life)
    return _with_data(contents, np.maximum(weights, np.finfo(np.float64).tiny))


def centroid_shift(weights: sparse.csr_array, anchors: np.ndarray) -> CentroidShift:
    """Return how far weights move each user's centroid from the plain one, with the bound above.

    Parameters
    ----------
    weights
        ``(users, items)``, positive on the user's items.
    anchors
        ``(items, d)``.

    Raises
    ------
    InvalidInput
        If a stored weight is not positive and finite.

    Examples
    --------
    >>> found = centroid_shift(sparse.csr_array(np.array([[3.0, 1.0]])), np.array([[0.0], [2.0]]))
    >>> found.shift.tolist(), found.bound.tolist(), found.spread.tolist()
    ([0.5], [0.5], [1.0])
    """
    if weights.nnz and not (np.all(weights.data > 0) and np.all(np.isfinite(weights.data))):
        raise InvalidInput("weights must be positive and finite on the user's items, and absent elsewhere")
    plain = _with_data(weights, np.ones(weights.nnz))
    size = np.maximum(np.diff(weights.indptr), 1).astype(np.float64)
    centroid = plain @ anchors / size[:, None]
    # Relative to the user's mean weight, centred: the shift is then one product, without cancellation of centroids.
    mean = np.asarray(weights.sum(axis=1)).ravel() / size
    owners = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    relative = weights.data / np.where(mean > 0, mean, 1.0)[owners] - 1.0
    off = anchors[weights.indices] - centroid[owners]
    shift = np.zeros_like(centroid)
    np.add.at(shift, owners, relative[:, None] * off)
    variance = np.bincount(owners, relative**2, len(size)) / size
    spread = np.bincount(owners, np.square(off).sum(1), len(size)) / size
    return CentroidShift(np.linalg.norm(shift, axis=1) / size, np.sqrt(variance * spread), np.sqrt(spread))


def _with_data(contents: sparse.csr_array, data: np.ndarray) -> sparse.csr_array:
    return sparse.csr_array((data.astype(np.float64), contents.indices, contents.indptr), shape=contents.shape)
