"""Which pairs of users are local (near in input) and which are global (far in input, yet related)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput

_BLOCK_ITEMS = 1024


@dataclass(frozen=True, eq=False)
class PairSets:
    """A partition of the ordered pairs ``(u, v)``, ``u != v``, of some users.

    Parameters
    ----------
    k
        Neighbours that count as near.
    local
        ``(n, n)`` bool: v is among u's ``k`` nearest.
    far_related
        ``(n, n)`` bool: v is outside the nearer half of u's others, and related to u. These are the "global" pairs.
    """

    k: int
    local: np.ndarray
    far_related: np.ndarray

    @property
    def other(self) -> np.ndarray:
        """``(n, n)`` bool: the remaining pairs."""
        rest: np.ndarray = ~(self.local | self.far_related)
        np.fill_diagonal(rest, False)
        return rest


def pair_sets(
    data: Interactions, users: np.ndarray, *, k: int = 20, distance: str = "jaccard", cooccurring_users: int = 5
) -> PairSets:
    """Sort the ordered pairs of users by their inputs.

    Parameters
    ----------
    data
        Interactions; the co-occurrence of items is counted over all of its users.
    users
        ``(n,)`` row numbers, at least 3; neighbours are sought among them.
    k
        Neighbours that count as near; at most a quarter of the others, so that near and far never meet.
    distance
        ``"jaccard"``, or ``"l1"`` (the number of items that only one has, which puts short histories near everyone).
    cooccurring_users
        How many users must have both of two items for these to be neighbours in the co-occurrence graph.

    Returns
    -------
    PairSets
        Users are related if they share an item, or an item of one is a neighbour of an item of the other.

    Raises
    ------
    InvalidInput
        If an argument is out of range.

    Notes
    -----
    Ties in distance go to the smaller position in ``users``. No matrix is larger than ``n^2``, or ``n + 1024`` times
    the number of items.

    Examples
    --------
    >>> x = Interactions.from_pairs([0, 0, 1, 1, 2, 2, 3], [0, 1, 0, 1, 1, 2, 3])
    >>> sets = pair_sets(x, np.arange(4), k=1)
    >>> sets.local.astype(int)[0].tolist(), sets.far_related.astype(int)[0].tolist()
    ([0, 1, 0, 0], [0, 0, 1, 0])
    """
    if len(users) < 3:
        raise InvalidInput(f"users must be at least 3; there are {len(users)}")
    if k < 1 or cooccurring_users < 1:
        raise InvalidInput(f"k and cooccurring_users must be at least 1; they are {k} and {cooccurring_users}")
    rank = distance_ranks(data, users, distance)
    others = len(users) - 1
    k = min(k, max(1, others // 4))
    far_related = (rank > others // 2) & related(data, users, cooccurring_users)
    return PairSets(k, (rank >= 1) & (rank <= k), far_related)


def distance_ranks(data: Interactions, users: np.ndarray, distance: str = "jaccard") -> np.ndarray:
    """Return the rank of v among the others by input distance from u, from 1 (nearest); 0 on the diagonal, (n, n)."""
    x = data.matrix[users]
    shared = (x @ x.T).toarray().astype(np.float64)
    sizes = data.sizes[users].astype(np.float64)
    union = sizes[:, None] + sizes[None, :] - shared
    if distance == "jaccard":
        distances = 1.0 - np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    elif distance == "l1":
        distances = union - shared
    else:
        raise InvalidInput(f"distance must be 'jaccard' or 'l1'; it is {distance!r}")
    np.fill_diagonal(distances, -1.0)
    order = np.argsort(distances, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(users))[None, :], axis=1)
    return ranks


def related(data: Interactions, users: np.ndarray, cooccurring_users: int = 5) -> np.ndarray:
    """Return whether u and v share an item, or have items that at least so many users have together, (n, n) bool."""
    mine = data.matrix[users]
    columns = sparse.csc_array(data.matrix)
    occurring = np.flatnonzero(np.diff(sparse.csc_array(mine).indptr))
    reach = np.zeros(mine.shape, dtype=np.float32)
    for start in range(0, len(occurring), _BLOCK_ITEMS):
        items = occurring[start : start + _BLOCK_ITEMS]
        together = (columns[:, items].T @ data.matrix).toarray() >= cooccurring_users
        reach += mine[:, items].toarray() @ together.astype(np.float32)
    linked = (sparse.csr_array(reach > 0).astype(np.float32) @ mine.T).toarray() > 0
    return np.asarray(linked | ((mine @ mine.T).toarray() > 0))
