"""How EASE's weights are spread: between which items they pull, between which they push."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from collabtheory.models.ease import EaseSpec, fit_ease

MOST_ITEMS = 6000
N_BINS = 80


def item_weights(matrix: sparse.csr_array, l2: float = 500.0) -> dict[str, Any]:
    """Fit EASE and count its off-diagonal weights by sign and size.

    Parameters
    ----------
    matrix
        Binary interactions ``(users, items)``. Of more than 6,000 items the most popular 6,000 are taken (the weights
        of all would need ``8 I^2`` bytes); ``n_items`` and ``n_items_all`` say so.
    l2
        Regularisation.

    Returns
    -------
    dict
        ``l2``, ``n_items``, ``n_items_all``; ``edges`` of ``|weight|`` bins (even in the logarithm), ``positive`` and
        ``negative`` counts in them, ``below`` the first edge; ``share_negative`` of all weights, and
        ``mass_negative``, the negative share of the sum of ``|weight|``.
    """
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MOST_ITEMS])
    weights = np.asarray(fit_ease(sparse.csr_array(matrix[:, chosen]), EaseSpec(l2=l2)).weights, dtype=np.float64)
    off = weights[~np.eye(len(weights), dtype=bool)]
    size = np.abs(off)
    largest = float(size.max(initial=0.0))
    edges = np.geomspace(1e-6, 1.0, N_BINS + 1) * (largest if largest > 0 else 1.0)
    return {
        "l2": l2,
        "n_items": len(weights),
        "n_items_all": int(matrix.shape[1]),
        "edges": edges.tolist(),
        "positive": np.histogram(size[off > 0], edges)[0].tolist(),
        "negative": np.histogram(size[off < 0], edges)[0].tolist(),
        "below": int((size < edges[0]).sum()),
        "share_negative": float(np.mean(off < 0)) if off.size else 0.0,
        "mass_negative": float(size[off < 0].sum() / size.sum()) if largest > 0 else 0.0,
    }
