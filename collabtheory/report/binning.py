"""Reducing many points to what a figure shows of them: counts in cells, quartiles along an axis."""

from __future__ import annotations

import numpy as np


def bin_index(values: np.ndarray, low: float, high: float, n_bins: int) -> np.ndarray:
    """Return the number of the bin of each value, among ``n_bins`` equal ones from ``low`` to ``high``.

    The upper end belongs to the last bin; values outside are counted in the first or the last one.

    Examples
    --------
    >>> bin_index(np.array([0.0, 0.5, 1.0, 7.0]), 0.0, 1.0, 4).tolist()
    [0, 2, 3, 3]
    """
    return np.clip((values - low) / (high - low) * n_bins, 0, n_bins - 1).astype(np.int64)


def count_cells(across: np.ndarray, up: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return how many points have each pair of bin numbers, an array of that shape.

    Examples
    --------
    >>> count_cells(np.array([0, 0, 1]), np.array([1, 1, 0]), (2, 2)).tolist()
    [[0, 2], [1, 0]]
    """
    return np.bincount(across * shape[1] + up, minlength=shape[0] * shape[1]).reshape(shape)


def quartiles_by_bin(
    x: np.ndarray, y: np.ndarray, which: np.ndarray, n_bins: int, fewest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the median ``x`` and the quartiles of ``y`` of the points of each bin.

    Parameters
    ----------
    x, y
        Points, ``(n,)``.
    which
        The number of the bin of each point, ``(n,)``.
    n_bins
        How many bins there are.
    fewest
        A bin with fewer points than this says too little: its results are NaN.

    Returns
    -------
    tuple of numpy.ndarray
        Medians of ``x``, ``(n_bins,)``; 25, 50 and 75 % of ``y``, ``(3, n_bins)``.
    """
    centres, quartiles = np.full(n_bins, np.nan), np.full((3, n_bins), np.nan)
    for k in range(n_bins):
        members = which == k
        if np.count_nonzero(members) >= fewest:
            centres[k] = np.median(x[members])
            quartiles[:, k] = np.quantile(y[members], (0.25, 0.5, 0.75))
    return centres, quartiles


def equal_count_bins(x: np.ndarray, most: int, fewest: int) -> tuple[np.ndarray, int]:
    """Return the number of the bin of each value, in bins of about equally many, and how many bins there are.

    Parameters
    ----------
    x
        Values, ``(n,)``. Equal values share a bin, so that bins may differ in size.
    most
        The most bins.
    fewest
        Values that a bin ought to have; fewer bins are made where there are too few values.

    Examples
    --------
    >>> equal_count_bins(np.array([5.0, 1.0, 2.0, 2.0, 2.0, 9.0]), 3, 2)
    (array([2, 0, 0, 0, 0, 2]), 3)
    """
    n_bins = int(max(1, min(most, len(x) // fewest)))
    below = np.searchsorted(np.sort(x), x, side="left")
    return np.minimum(below * n_bins // max(len(x), 1), n_bins - 1), n_bins


def signed_root(values: np.ndarray) -> np.ndarray:
    """Return the square root with the sign kept: an axis on which small effects get room and zero stays where it is.

    Examples
    --------
    >>> signed_root(np.array([-4.0, 0.0, 0.25])).tolist()
    [-2.0, 0.0, 0.5]
    """
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def signed_square(values: np.ndarray) -> np.ndarray:
    """Return the inverse of :func:`signed_root`.

    Examples
    --------
    >>> signed_square(np.array([-2.0, 0.0, 0.5])).tolist()
    [-4.0, 0.0, 0.25]
    """
    return np.asarray(np.sign(values) * np.square(values))
