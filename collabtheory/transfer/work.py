"""Least numbers of floating-point operations of the kernels: what a run costs before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def gram_flops(widths: Sequence[int], n_users: int, n_samples: int) -> float:
    """Return the least work of a Gram matrix: forward, backward, and the symmetric half of the products.

    Parameters
    ----------
    widths
        ``(d, hidden..., I)`` of the decoder.
    n_users, n_samples
        ``N`` and ``S``.

    Examples
    --------
    >>> round(gram_flops((200, 600, 1447), 256, 4) / 1e9, 1)
    6.8
    """
    rows = n_users * n_samples
    layers = list(pairwise(widths))
    forward = sum(a * b for a, b in layers)
    backward = sum(a * b for a, b in layers[1:])
    return float(2 * rows * (forward + backward) + rows**2 * sum(a + b for a, b in layers))


def loss_change_flops(widths: Sequence[int], n_users: int, n_sources: int, n_samples: int) -> float:
    """Return the least work of the loss changes of all pairs: every layer but the first, for every step and code.

    Parameters
    ----------
    widths
        ``(d, hidden..., I)`` of the decoder.
    n_users, n_sources, n_samples
        Users whose loss is measured, users whose step is taken, and ``S``.

    Examples
    --------
    >>> round(loss_change_flops((200, 600, 1447), 256, 256, 4) / 1e9, 1)
    461.2
    """
    rows = n_users * n_sources * n_samples
    layers = list(pairwise(widths))
    dense = sum(a * b for a, b in layers[1:])
    low_rank = n_samples * (sum(a + b for a, b in layers))
    return float(2 * rows * (dense + low_rank))
