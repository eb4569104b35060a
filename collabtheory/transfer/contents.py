"""What users interacted with, as the transfer kernels read it: sparse rows, sizes and the gradient scale."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.spatial.distance import cdist
from torch import Tensor

from collabtheory.errors import InvalidInput

SCALES = ("user", "interaction")


@dataclass(frozen=True, eq=False)
class Contents:
    """Contents ``x`` with the weight that the gradient scale gives each user's loss.

    Parameters
    ----------
    matrix
        ``x``, ``(N, I)`` CSR, canonical (sorted, no duplicates, no stored zeros), float64, nonnegative.
    sizes
        ``n_u``, the sum of each row, ``(N,)``.
    weights
        What each user's loss is multiplied by, ``(N,)``: 1 (nats per user) or ``1 / n_u`` (nats per interaction).
    mean_weights
        ``weights * sizes`` without rounding, ``(N,)``: the factor of the part of the mean that is linear in ``n``.
    """

    matrix: sparse.csr_array
    sizes: np.ndarray
    weights: np.ndarray
    mean_weights: np.ndarray

    @property
    def n_users(self) -> int:
        """Number of rows."""
        return int(self.matrix.shape[0])

    @property
    def n_items(self) -> int:
        """Number of columns, ``I``."""
        return int(self.matrix.shape[1])

    def weighted(self, dtype: torch.dtype = torch.float64) -> sparse.csr_array:
        """Return ``weights * x``, ``(N, I)`` CSR in the NumPy dtype that matches."""
        values = self.matrix.data * np.repeat(self.weights, np.diff(self.matrix.indptr))
        numpy_dtype = np.float32 if dtype == torch.float32 else np.float64
        return sparse.csr_array(
            (values.astype(numpy_dtype), self.matrix.indices, self.matrix.indptr), shape=self.matrix.shape
        )

    def identities(self) -> np.ndarray:
        """Return a number for each row, ``(N,)``, equal for equal contents only."""
        numbers: dict[tuple[bytes, bytes], int] = {}
        found = []
        for start, stop in pairwise(self.matrix.indptr):
            row = (self.matrix.indices[start:stop].tobytes(), self.matrix.data[start:stop].tobytes())
            found.append(numbers.setdefault(row, len(numbers)))
        return np.array(found)

    def squared_distances(self) -> np.ndarray:
        """Return ``|| w_u x_u - w_v x_v ||^2``, ``(N, N)``: zero for equal contents, accurate for near twins."""
        if not np.array_equal(self.matrix.data, np.round(self.matrix.data)):
            return _direct_squared_distances(self.weighted())
        # Integers: the sparse products are exact, so nothing cancels in the count of differing items.
        products = (self.matrix @ self.matrix.T).toarray()
        norms = products.diagonal().copy()
        a, b = self.weights[:, None], self.weights[None, :]
        differing = norms[:, None] + norms[None, :] - 2 * products
        squared = a * b * differing + (a - b) * (a * norms[:, None] - b * norms[None, :])
        return np.asarray(np.maximum(squared, 0.0))


def read_contents(x: Any, scale: str) -> Contents:
    """Read ``x`` (scipy sparse, NumPy, nested lists, torch) and check it.

    Raises
    ------
    InvalidInput
        If ``scale`` is unknown, ``x`` is not a 2-D array of finite nonnegative numbers, or it has no user or no item.
    """
    if scale not in SCALES:
        raise InvalidInput(f"scale must be one of {', '.join(map(repr, SCALES))}; it is {scale!r}")
    matrix = _to_csr(x)
    if min(matrix.shape) == 0:
        raise InvalidInput(f"x must have at least one user and one item; its shape is {tuple(matrix.shape)}")
    bad = ~(np.isfinite(matrix.data) & (matrix.data >= 0))
    if bad.any():
        position = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(matrix.indptr, position, side="right")) - 1
        column = int(matrix.indices[position])
        raise InvalidInput(
            f"x must be finite and nonnegative (1 = interacted); x[{row}, {column}] is {matrix.data[position]}"
        )
    sizes = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    if scale == "user":
        return Contents(matrix, sizes, np.ones_like(sizes), sizes)
    active = sizes > 0
    weights = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=active)
    return Contents(matrix, sizes, weights, active.astype(np.float64))


def _to_csr(x: Any) -> sparse.csr_array:
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = x.to_dense().numpy() if x.layout != torch.strided else x.numpy()
    if np.iscomplexobj(x):
        raise InvalidInput("x must be real numbers; it is complex")
    if not sparse.issparse(x):
        try:
            x = np.asarray(x, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"x must be a users x items array of numbers: {error}") from error
    if x.ndim != 2:
        raise InvalidInput(f"x must be 2-D (users, items); its shape is {tuple(x.shape)}")
    # A copy: canonicalising must never touch the caller's matrix.
    matrix = sparse.csr_array(x, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _direct_squared_distances(matrix: sparse.csr_array, columns: int = 2048) -> np.ndarray:
    total = np.zeros((matrix.shape[0], matrix.shape[0]))
    by_column = matrix.tocsc()
    for start in range(0, matrix.shape[1], columns):
        dense = by_column[:, start : start + columns].toarray()
        total += cdist(dense, dense, "sqeuclidean")
    return total
