"""Top-n ranking accuracy by the definitions of arXiv:1802.05814; libraries differ, so each one is spelt out."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.ranking.definitions import metric
from collabtheory.ranking.top_k import best_unseen, check_k, entries


def rank_unseen(scores: np.ndarray, seen: sparse.csr_array, k: int) -> np.ndarray:
    """Return each user's ``k`` best items that are not in ``seen``, best first, ``(users, min(k, items))``.

    Seen items score minus infinity. Equal scores are ordered by item number, so that the ranking is deterministic.

    Raises
    ------
    InvalidInput
        If the shapes differ, a score is not finite, or ``k`` is below 1.
    """
    ranked = np.empty((seen.shape[0], max(0, min(k, seen.shape[1]))), dtype=np.int64)
    for block in best_unseen(scores, seen, k):
        ranked[block.users] = block.items
    return ranked


def hits(ranked: np.ndarray, held_out: sparse.csr_array) -> np.ndarray:
    """Return which ranked items are held out, boolean, the shape of ``ranked``."""
    relevant = np.zeros(held_out.shape, dtype=bool)
    relevant[entries(held_out, slice(0, held_out.shape[0]))] = True
    return np.take_along_axis(relevant, ranked, axis=1)


def ndcg_at_k(scores: np.ndarray, seen: sparse.csr_array, held_out: sparse.csr_array, k: int = 100) -> np.ndarray:
    r"""Return nDCG@k of each user, ``(users,)`` in [0, 1].

    :math:`\sum_{r \le k} [\text{item at rank } r \text{ held out}] / \log_2(r + 1)` over its largest possible value,
    whose sum runs to ``min(k, n)``, ``n`` the number of held-out items. Every user needs at least one held-out item.

    Raises
    ------
    InvalidInput
        If a user has no held-out item (leave such users out; their score is undefined, not NaN or 0).
    """
    return _values(f"ndcg@{k}", scores, seen, held_out, k)


def recall_at_k(scores: np.ndarray, seen: sparse.csr_array, held_out: sparse.csr_array, k: int = 20) -> np.ndarray:
    """Return Recall@k of each user with the denominator ``min(k, n)``, ``(users,)`` in [0, 1]; raises as nDCG does."""
    return _values(f"recall@{k}", scores, seen, held_out, k)


def held_out_sizes(held_out: sparse.csr_array, rows: np.ndarray | None = None) -> np.ndarray:
    """Return how many items each user holds out; refuse a user without any, by its number in ``rows``."""
    sizes = np.diff(held_out.indptr)
    if (sizes == 0).any():
        row = int(np.flatnonzero(sizes == 0)[0])
        user = row if rows is None else int(rows[row])
        raise InvalidInput(f"user in row {user} has no held-out item; leave such users out of the evaluation")
    return np.asarray(sizes, dtype=np.int64)


def _values(name: str, scores: np.ndarray, seen: sparse.csr_array, held_out: sparse.csr_array, k: int) -> np.ndarray:
    check_k(k)
    sizes = held_out_sizes(held_out)
    found = np.empty((len(sizes), min(k, seen.shape[1])), dtype=bool)
    for block in best_unseen(scores, seen, k):
        found[block.users] = block.found(held_out)
    return metric(name).of(found, sizes)
