"""Least numbers of floating-point operations of the kernels: what a run costs before it starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise

from collabtheory.transfer.item_draws import PILOT_ROWS, PILOT_SOURCES
from collabtheory.transfer.loss_change import STEP_ROWS

_LOG = logging.getLogger("collabtheory")


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


def surrogate_flops(widths: Sequence[int], n_users: int, n_sources: int, n_samples: int, n_items: int) -> float:
    """Return the work of the surrogate loss changes: ``n_items`` instead of all in the last layer, for every step.

    Two products of output sensitivities come once for each pair of rows, and the pass through all items once for each
    user. Each block of users weighs all items by a few exact steps, and by each source's. A source's own items, a few
    more, are not counted.

    Parameters
    ----------
    widths
        ``(d, hidden..., I)`` of the decoder.
    n_users, n_sources, n_samples
        As in :func:`loss_change_flops`.
    n_items
        Items per pair.

    Examples
    --------
    >>> round(surrogate_flops((200, 600, 20000), 1024, 1024, 1, 256) / 1e9, 1)
    581.5
    """
    rows = n_users * n_samples
    few = loss_change_flops((*widths[:-1], min(n_items, widths[-1])), n_users, n_sources, n_samples)
    kernels = 4.0 * rows * n_sources * n_samples * widths[-1]
    weighed = -(-rows // STEP_ROWS) * (PILOT_ROWS * min(PILOT_SOURCES, n_sources) + n_sources)
    return few + kernels + (6.0 * rows + 2.0 * weighed) * widths[-2] * widths[-1]


ANNOUNCED_FROM = 1e13
"""Operations from which a kernel says what it is about to do: minutes on one core."""


def announce(what: str, flops: float) -> None:
    """Log what a large computation will cost, before it starts (``logging``, level WARNING)."""
    if flops >= ANNOUNCED_FROM:
        _LOG.warning("%s: about %.1e floating-point operations; fewer sources= or users= cost less", what, flops)
