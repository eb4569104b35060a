r"""What item anchors cost, and two smaller tables in their place: of low rank, and shared by groups of items.

A table ``E'`` in place of ``E`` moves no user's centroid by more than

.. math:: ||\bar e_x - \bar e'_x|| \le ||E - E'||_2 / \sqrt{n_x},

and the best table of rank ``r`` has :math:`||E - E'||_2 = \sigma_{r+1}(E)` (Eckart, Young, Mirsky).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.models.several_centroids import item_groups

ADAM_COPIES = 4
"""Numbers held per parameter while training with Adam: itself, its gradient, and two moments."""


@dataclass(frozen=True)
class AnchorCost:
    """Exact counts for one table of anchors.

    ``numbers`` are parameters, ``table_bytes`` what they take up, ``training_bytes`` the same with gradient and Adam's
    moments; ``centroid_additions`` and ``centroid_products`` count the arithmetic of all users' centroids (sums over
    stored interactions, then one division a coordinate).
    """

    numbers: int
    table_bytes: int
    training_bytes: int
    centroid_additions: int
    centroid_products: int


@dataclass(frozen=True, eq=False)
class LowRankAnchors:
    """Anchors ``E' = factors @ directions``: (items, r) and (r, d); ``error`` is ``||E - E'||_2``."""

    factors: np.ndarray
    directions: np.ndarray
    error: float

    @property
    def anchors(self) -> np.ndarray:
        """The table ``E'``, ``(items, d)``."""
        table: np.ndarray = self.factors @ self.directions
        return table


@dataclass(frozen=True, eq=False)
class SharedAnchors:
    """One anchor for each group of items: ``groups`` (items,) and ``table`` (k, d); ``error`` is ``||E - E'||_2``."""

    groups: np.ndarray
    table: np.ndarray
    error: float

    @property
    def anchors(self) -> np.ndarray:
        """The table ``E'``, ``(items, d)``."""
        table: np.ndarray = self.table[self.groups]
        return table


def anchor_cost(
    contents: sparse.csr_array, n_dimensions: int, *, rank: int | None = None, bytes_per_number: int = 4
) -> AnchorCost:
    """Return what anchors of these items cost, and the centroids of these users.

    Parameters
    ----------
    contents
        Binary, ``(users, items)``: ``nnz`` interactions of ``N`` users.
    n_dimensions
        ``d``.
    rank
        ``r`` of a low-rank table; None for the full one.
    bytes_per_number
        4 for float32.

    Returns
    -------
    AnchorCost
        Full: ``I d`` numbers, at most ``nnz d`` additions and ``N d`` divisions. Rank ``r``: ``I r + r d`` numbers,
        ``nnz r + N r d`` additions and ``N r + N r d`` products: fewer numbers if and only if ``r < I d / (I + d)``.

    Raises
    ------
    InvalidInput
        If ``n_dimensions``, ``rank`` or ``bytes_per_number`` is below 1.

    Examples
    --------
    ML-20M has 20,108 items after the usual filters; with 200 dimensions the table takes 16 MB:

    >>> nobody = sparse.csr_array((0, 20_108))
    >>> anchor_cost(nobody, 200).table_bytes, anchor_cost(nobody, 200, rank=20).table_bytes
    (16086400, 1624640)
    """
    for name, value in (("n_dimensions", n_dimensions), ("rank", rank), ("bytes_per_number", bytes_per_number)):
        if value is not None and value < 1:
            raise InvalidInput(f"{name} must be at least 1; it is {value}")
    (users, items), interactions = contents.shape, int(contents.nnz)
    if rank is None:
        numbers = items * n_dimensions
        additions, products = interactions * n_dimensions, users * n_dimensions
    else:
        numbers = (items + n_dimensions) * rank
        additions = interactions * rank + users * rank * n_dimensions
        products = users * rank + users * rank * n_dimensions
    table = numbers * bytes_per_number
    return AnchorCost(numbers, table, ADAM_COPIES * table, additions, products)


def low_rank_anchors(anchors: np.ndarray, rank: int) -> LowRankAnchors:
    """Return the best table of a given rank, by truncating the singular value decomposition.

    Parameters
    ----------
    anchors
        ``E``, ``(items, d)``, finite.
    rank
        ``r``, from 1 to ``min(items, d)``.

    Returns
    -------
    LowRankAnchors
        Its ``error`` is the singular value ``r + 1``, 0 at full rank.

    Raises
    ------
    InvalidInput
        If the rank is out of range or an anchor is not finite.

    Examples
    --------
    >>> low_rank_anchors(np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1).error
    1.0
    """
    anchors = _finite(anchors)
    if not 1 <= rank <= min(anchors.shape):
        raise InvalidInput(f"rank must be from 1 to {min(anchors.shape)}; it is {rank}")
    left, values, right = np.linalg.svd(anchors, full_matrices=False)
    error = float(values[rank]) if rank < len(values) else 0.0
    return LowRankAnchors(left[:, :rank] * values[:rank], right[:rank], error)


def shared_anchors(anchors: np.ndarray, n_groups: int, *, rng: np.random.Generator) -> SharedAnchors:
    """Return one anchor for each of ``k`` groups of items: the mean of the group's anchors, groups by k-means.

    Parameters
    ----------
    anchors
        ``E``, ``(items, d)``, finite.
    n_groups
        ``k``, from 1 to the number of items: ``k d`` numbers and one group number an item.
    rng
        Source of the start of k-means.

    Raises
    ------
    InvalidInput
        As for :func:`~collabtheory.models.several_centroids.item_groups`.

    Examples
    --------
    >>> found = shared_anchors(np.array([[0.0], [2.0], [9.0]]), 2, rng=np.random.default_rng(0))
    >>> found.anchors.tolist(), round(found.error, 6)
    ([[1.0], [1.0], [9.0]], 1.414214)
    """
    anchors = _finite(anchors)
    groups = item_groups(anchors, n_groups, rng=rng)
    sums = np.zeros((n_groups, anchors.shape[1]))
    np.add.at(sums, groups, anchors)
    table = sums / np.maximum(np.bincount(groups, minlength=n_groups), 1)[:, None]
    return SharedAnchors(groups, table, float(np.linalg.norm(anchors - table[groups], 2)))


def centroid_error_bound(error: float, sizes: np.ndarray) -> np.ndarray:
    r"""Return :math:`||E - E'||_2 / \sqrt{n_x}` for users with ``n_x`` items; 0 for users without items.

    Examples
    --------
    >>> centroid_error_bound(3.0, np.array([1, 9, 0])).tolist()
    [3.0, 1.0, 0.0]
    """
    sizes = np.asarray(sizes)
    bound: np.ndarray = np.where(sizes > 0, error / np.sqrt(np.maximum(sizes, 1)), 0.0)
    return bound


def _finite(anchors: np.ndarray) -> np.ndarray:
    table = np.asarray(anchors, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise InvalidInput(f"anchors must be finite and (items, d); their shape is {table.shape}")
    return table
