r"""EASE: the linear autoencoder with zero diagonal, in closed form (arXiv:1905.03375)."""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.linalg import lapack

from collabtheory.errors import NumericalFailure
from collabtheory.models.item_gram import (
    OnMemory,
    announce_memory,
    check_binary,
    co_occurrence_bytes,
    dense_co_occurrence,
)
from collabtheory.models.linear import LinearItemModel
from collabtheory.runs.frozen import Frozen

_BLOCK = 256


class EaseSpec(Frozen):
    """What an EASE model is."""

    l2: float = Field(500.0, gt=0, allow_inf_nan=False)
    """Weight of the squared weights in the loss; of the order of users per item pair, 20 to 1,000 on public data."""
    clip_negative: bool = False
    """Set negative weights to 0 after the fit. This is not the fit under ``B >= 0``, which has other weights."""


def fit_ease(
    matrix: sparse.csr_array,
    spec: EaseSpec | None = None,
    *,
    memory_limit: int | None = None,
    on_memory: OnMemory | None = None,
) -> LinearItemModel:
    r"""Fit EASE.

    .. math:: \min_B \|X - XB\|_F^2 + \lambda \|B\|_F^2, \quad \operatorname{diag}(B) = 0

    has the solution :math:`B_{ij} = -P_{ij} / P_{jj}` off the diagonal, :math:`P = (X^T X + \lambda I)^{-1}`.

    Parameters
    ----------
    matrix
        Binary ``(users, items)``. An item of nobody gets zero weights.
    spec
        ``lambda`` and whether negative weights are clipped afterwards; the defaults if None.
    memory_limit
        Bytes the fit may allocate; what is free if None.
    on_memory
        Called with the predicted peak and the limit before anything large is allocated.

    Returns
    -------
    LinearItemModel
        Weights float64.

    Raises
    ------
    InvalidInput
        If ``matrix`` is not binary CSR, or the fit needs more than ``memory_limit``.
    NumericalFailure
        If ``X'X + l2 I`` is singular in float64 (``l2`` below rounding).

    Notes
    -----
    The inverse is made by Cholesky in the place of ``X'X``, and the weights in the place of the inverse: one array of
    ``8 items^2`` bytes in all. Time is cubic in items.

    Examples
    --------
    Two users have both items, so each predicts the other by ``2 / (2 + l2)``:

    >>> x = sparse.csr_array(np.ones((2, 2)))
    >>> fit_ease(x, EaseSpec(l2=2.0)).weights.round(12).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    spec = EaseSpec() if spec is None else spec
    check_binary(matrix)
    announce_memory(matrix.shape[1], predicted_bytes(matrix.shape[1], matrix.nnz), memory_limit, on_memory)
    weights = dense_co_occurrence(matrix)
    _add_to_diagonal(weights, spec.l2)
    invert_in_place(weights)
    scale = -np.diag(weights)
    weights /= scale
    np.fill_diagonal(weights, 0.0)
    # 0 / -p is -0.0; adding 0 leaves plain zeros, so that files of equal weights are equal.
    weights += 0.0
    if spec.clip_negative:
        np.maximum(weights, 0.0, out=weights)
    return LinearItemModel(weights)


def predicted_bytes(n_items: int, n_interactions: int = 0) -> int:
    """Return the bytes that :func:`fit_ease` allocates at its peak: ``8 items^2`` and blocks of bounded size.

    Examples
    --------
    >>> round(predicted_bytes(20_108, 10_000_000) / 2**30, 2)
    3.24
    """
    working = max(co_occurrence_bytes(n_items, n_interactions), 24 * _BLOCK * n_items)
    return 8 * n_items * n_items + working


def invert_in_place(matrix: np.ndarray) -> None:
    """Replace a symmetric positive definite matrix (float64, C order) by its inverse, without a second array.

    Raises
    ------
    NumericalFailure
        If it is not positive definite in float64.
    """
    # LAPACK counts columns first: the upper triangle of the transpose is the lower one here.
    view = matrix.T
    factor, failed = lapack.dpotrf(view, lower=0, clean=0, overwrite_a=1)
    inverse, failed_too = (factor, failed) if failed else lapack.dpotri(factor, lower=0, overwrite_c=1)
    if failed or failed_too:
        raise NumericalFailure(
            f"the co-occurrence matrix plus l2 is not positive definite (LAPACK code {failed or failed_too}); raise l2"
        )
    if not np.shares_memory(inverse, matrix):
        matrix[...] = inverse.T
    for start in range(0, len(matrix), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(matrix)))
        corner = np.tril(matrix[rows, rows])
        matrix[rows, rows] = corner + np.tril(corner, -1).T
        matrix[rows, rows.stop :] = matrix[rows.stop :, rows].T


def _add_to_diagonal(matrix: np.ndarray, value: float) -> None:
    matrix[np.diag_indices_from(matrix)] += value
