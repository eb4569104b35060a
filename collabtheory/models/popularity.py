"""Popularity: every user gets the items that most train users have. The floor, and a self-test of an evaluator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.models.item_gram import check_binary
from collabtheory.models.linear import check_contents


@dataclass(frozen=True, eq=False)
class PopularityModel:
    """The same scores for everyone.

    Parameters
    ----------
    counts
        Train users who have each item, ``(items,)``, finite and not negative.
    """

    counts: np.ndarray

    def __post_init__(self) -> None:
        if self.counts.ndim != 1 or not (np.isfinite(self.counts) & (self.counts >= 0)).all():
            raise InvalidInput("counts must be one finite number, 0 or more, per item")

    @property
    def n_items(self) -> int:
        """Items that can be scored."""
        return len(self.counts)

    def scores(self, contents: sparse.csr_array) -> np.ndarray:
        """Return the counts once per user, ``(users, items)``, float64; InvalidInput if the columns do not fit."""
        check_contents(contents, self.n_items)
        return np.tile(self.counts.astype(np.float64), (contents.shape[0], 1))


def fit_popularity(matrix: sparse.csr_array) -> PopularityModel:
    """Count the users of each item.

    Parameters
    ----------
    matrix
        Binary ``(users, items)``.

    Raises
    ------
    InvalidInput
        If ``matrix`` is not binary CSR.

    Examples
    --------
    >>> fit_popularity(sparse.csr_array([[1, 1, 0], [0, 1, 0]])).counts.tolist()
    [1, 2, 0]
    """
    check_binary(matrix)
    return PopularityModel(np.bincount(matrix.indices, minlength=matrix.shape[1]))
