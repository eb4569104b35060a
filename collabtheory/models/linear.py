"""Linear item models: a user's scores are its contents times a matrix of item-item weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class LinearItemModel:
    r"""Scores :math:`s_u = x_u B` for dense weights :math:`B`.

    Parameters
    ----------
    weights
        ``(items, items)``, float64 or float32, finite; ``weights[i, j]`` is what having item ``i`` adds to the score
        of item ``j``.

    Raises
    ------
    InvalidInput
        If the weights are not square, finite, or of one of the two types.

    Examples
    --------
    >>> model = LinearItemModel(np.array([[0.0, 0.5], [-0.25, 0.0]]))
    >>> model.scores(sparse.csr_array([[1, 0], [1, 1]])).tolist()
    [[0.0, 0.5], [-0.25, 0.5]]
    >>> model.negative_share(), model.negative_sum(), model.positive_sum()
    (0.5, -0.25, 0.5)
    """

    weights: np.ndarray

    def __post_init__(self) -> None:
        shape, dtype = self.weights.shape, self.weights.dtype
        if len(shape) != 2 or shape[0] != shape[1] or dtype not in (np.float64, np.float32):
            raise InvalidInput(f"weights must be (items, items), float64 or float32; they are {shape}, {dtype}")
        # The sum of a row is finite if its entries are (short of overflow), and needs no array of the same size.
        if not np.isfinite(self.weights.sum(1)).all():
            raise InvalidInput("weights must be finite")

    @property
    def n_items(self) -> int:
        """Items that can be scored."""
        return int(self.weights.shape[0])

    def scores(self, contents: sparse.csr_array) -> np.ndarray:
        """Return the scores ``(users, items)`` of fold-in contents, in the weights' type; seen items are scored too.

        Raises
        ------
        InvalidInput
            If ``contents`` has another number of columns than there are items.
        """
        check_contents(contents, self.n_items)
        return np.asarray(contents.astype(self.weights.dtype) @ self.weights)

    def negative_share(self) -> float:
        """Return the share of negative ones among the weights off the diagonal; 0 with a single item."""
        off_diagonal = self.n_items * (self.n_items - 1)
        negative = sum(int((row < 0).sum()) for row in self.weights) - int((np.diag(self.weights) < 0).sum())
        return negative / off_diagonal if off_diagonal else 0.0

    def negative_sum(self) -> float:
        """Return the sum of the negative weights, at most 0."""
        return float(sum(np.minimum(row, 0).sum(dtype=np.float64) for row in self.weights))

    def positive_sum(self) -> float:
        """Return the sum of the positive weights."""
        return float(sum(np.maximum(row, 0).sum(dtype=np.float64) for row in self.weights))


def check_contents(contents: sparse.csr_array, n_items: int) -> None:
    """Refuse contents that are not CSR with one column per item."""
    if not isinstance(contents, sparse.csr_array):
        raise InvalidInput(f"contents must be a scipy.sparse.csr_array; it is a {type(contents).__name__}")
    if contents.ndim != 2 or contents.shape[1] != n_items:
        raise InvalidInput(f"contents must have {n_items} columns, one per item; its shape is {contents.shape}")
