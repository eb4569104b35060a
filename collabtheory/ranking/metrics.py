"""Top-n ranking accuracy by the definitions of arXiv:1802.05814; libraries differ, so each one is spelt out."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput


def rank_unseen(scores: np.ndarray, seen: sparse.csr_array, k: int) -> np.ndarray:
    """Return each user's ``k`` best items that are not in ``seen``, best first, ``(users, min(k, items))``.

    Seen items score minus infinity. Equal scores are ordered by item number, so that the ranking is deterministic.
    """
    if scores.shape != seen.shape:
        raise InvalidInput(f"scores and seen must have the same shape; they have {scores.shape} and {seen.shape}")
    if not np.isfinite(scores).all():
        raise InvalidInput("scores must be finite")
    masked = np.array(scores, dtype=np.float64)
    masked[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = -np.inf
    order: np.ndarray = np.argsort(-masked, axis=1, kind="stable")
    return order[:, :k]


def hits(ranked: np.ndarray, held_out: sparse.csr_array) -> np.ndarray:
    """Return which ranked items are held out, boolean, the shape of ``ranked``."""
    relevant = np.zeros(held_out.shape, dtype=bool)
    relevant[np.repeat(np.arange(held_out.shape[0]), np.diff(held_out.indptr)), held_out.indices] = True
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
    sizes = _held_out_sizes(held_out)
    found = hits(rank_unseen(scores, seen, k), held_out)
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(sizes, k) - 1]
    gain: np.ndarray = found @ discounts[: found.shape[1]] / ideal
    return gain


def recall_at_k(scores: np.ndarray, seen: sparse.csr_array, held_out: sparse.csr_array, k: int = 20) -> np.ndarray:
    """Return Recall@k of each user with the denominator ``min(k, n)``, ``(users,)`` in [0, 1]; raises as nDCG does."""
    sizes = _held_out_sizes(held_out)
    found = hits(rank_unseen(scores, seen, k), held_out)
    recall: np.ndarray = found.sum(1) / np.minimum(sizes, k)
    return recall


def _held_out_sizes(held_out: sparse.csr_array) -> np.ndarray:
    sizes = np.diff(held_out.indptr)
    if (sizes == 0).any():
        row = int(np.flatnonzero(sizes == 0)[0])
        raise InvalidInput(f"user in row {row} has no held-out item; leave such users out of the evaluation")
    return np.asarray(sizes)
