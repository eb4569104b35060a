r"""Cumulated probabilities of a sum of two binomials, for millions of pairs of users at once.

Pairs share few distinct triples of threshold ``x``, ``delta`` and ``s``, and with the cumulated ``F`` of the first,

.. math:: P(A + B \le x) = \sum_{j=0}^{s} P(B = j)\, F_\delta(x - j), \qquad
    A \sim \mathrm{Bin}(\delta, p),\; B \sim \mathrm{Bin}(s, q) .

No term is negative, so that tiny probabilities keep their relative accuracy.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

BLOCK_ENTRIES = 1 << 20
"""Probabilities that are held at once."""
SMALL = 50
"""Numbers of trials up to which binomial coefficients are taken from integers."""


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths, one behind the other; row ``i`` starts at ``starts[i]``."""

    values: np.ndarray
    starts: np.ndarray


def binomials(n: np.ndarray, p: float) -> Ragged:
    """Return the probabilities of ``0, ..., n`` under ``Bin(n, p)`` for every ``n`` of a list."""
    ends = np.cumsum(n + 1)
    starts = ends - (n + 1)
    trials = np.repeat(n, n + 1)
    k = np.arange(len(trials)) - np.repeat(starts, n + 1)
    values = np.empty(len(trials))
    small = trials <= SMALL
    values[~small] = stats.binom.pmf(k[~small], trials[~small], p)
    values[small] = _CHOOSE[trials[small], k[small]] * p ** k[small] * (1 - p) ** (trials[small] - k[small])
    return Ragged(values, starts)


def binomial_sums(
    thresholds: np.ndarray, first: np.ndarray, second: np.ndarray, p: float, q: float, *, upper: bool
) -> np.ndarray:
    """Return ``P(A + B <= x)``, or ``P(A + B >= x)``, for ``A ~ Bin(first, p)`` and ``B ~ Bin(second, q)``.

    Parameters
    ----------
    thresholds, first, second
        ``(pairs,)`` int64, the latter two >= 0.
    p, q
        Probabilities.
    upper
        Which of both.

    Returns
    -------
    numpy.ndarray
        ``(pairs,)`` float64 in [0, 1].

    Examples
    --------
    >>> binomial_sums(np.array([0, 1]), np.array([1, 1]), np.array([1, 1]), 0.5, 0.5, upper=False)
    array([0.25, 0.75])
    """
    # One step beyond either end stands for everything there.
    (delta, shared, x), which = _distinct(first, second, np.clip(thresholds, -1, first + second + 1))
    result = np.empty(len(x))
    for block in _blocks_of_rows(delta):
        cumulated, row = _cumulated(delta[block], p, upper)
        for part in _blocks_of_sums(shared[block]):
            here = block.start + part
            result[here] = _sums(cumulated, row[part], delta[here], shared[here], x[here], q)
    return np.asarray(np.minimum(result, 1.0)[which])


def _distinct(first: np.ndarray, second: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct triples, ordered by the first entry, ``(3, n)``, and which of them each pair is."""
    spans = [int(part.max(initial=0)) + 2 for part in (second, thresholds)]
    if (int(first.max(initial=0)) + 1) * spans[0] * spans[1] >= 2**62:
        return np.unique(np.stack([first, second, thresholds]), axis=1, return_inverse=True)
    code, which = np.unique((first * spans[0] + second) * spans[1] + thresholds + 1, return_inverse=True)
    code, x = np.divmod(code, spans[1])
    return np.stack([*np.divmod(code, spans[0]), x - 1]), which


def _blocks_of_rows(delta: np.ndarray) -> Iterator[slice]:
    """Cut ascending values so that the cumulated probabilities of each part fit in a block."""
    values, starts = np.unique(delta, return_index=True)
    number = np.cumsum(values + 3) // BLOCK_ENTRIES
    cuts = [*starts[np.flatnonzero(np.diff(number, prepend=-1))], len(delta)]
    return (slice(start, stop) for start, stop in itertools.pairwise(cuts))


def _blocks_of_sums(shared: np.ndarray) -> Iterator[np.ndarray]:
    """Yield positions of similar values, so that the terms of their sums fit in a block and few of them are 0."""
    order = np.argsort(shared, kind="stable")
    start = 0
    while start < len(order):
        terms = np.arange(1, len(order) - start + 1) * (shared[order[start:]] + 1)
        stop = start + max(1, int(np.searchsorted(terms, BLOCK_ENTRIES, side="right")))
        yield order[start:stop]
        start = stop


def _cumulated(delta: np.ndarray, p: float, upper: bool) -> tuple[Ragged, np.ndarray]:
    """Return ``P(A <= y)`` or ``P(A >= y)``, ``y = -1, ..., delta + 1``, a row for each value, and each one's row."""
    values, row = np.unique(delta, return_inverse=True)
    pmf = binomials(values, p)
    starts = pmf.starts + 2 * np.arange(len(values))
    sums = np.empty(len(pmf.values) + 2 * len(values))
    for n, source, start in zip(values.tolist(), pmf.starts.tolist(), starts.tolist(), strict=True):
        one = pmf.values[source : source + n + 1]
        if upper:
            sums[start], sums[start + n + 2] = 1.0, 0.0
            sums[start + 1 : start + n + 2] = np.cumsum(one[::-1])[::-1]
        else:
            sums[start], sums[start + n + 2] = 0.0, 1.0
            sums[start + 1 : start + n + 2] = np.cumsum(one)
    return Ragged(sums, starts), row


def _sums(
    cumulated: Ragged, row: np.ndarray, delta: np.ndarray, shared: np.ndarray, x: np.ndarray, q: float
) -> np.ndarray:
    """Return ``sum_j P(B = j) F(x - j)`` for each entry."""
    values, which = np.unique(shared, return_inverse=True)
    pmf = binomials(values, q)
    j = np.arange(int(shared.max(initial=0)) + 1)
    inside = np.minimum(j, shared[:, None])
    weights = pmf.values[pmf.starts[which][:, None] + inside]
    weights[j > shared[:, None]] = 0.0
    steps = np.clip(x[:, None] + 1 - j, 0, delta[:, None] + 2)
    sums: np.ndarray = np.einsum("ij,ij->i", weights, cumulated.values[cumulated.starts[row][:, None] + steps])
    return sums


def _choose() -> np.ndarray:
    """Return the binomial coefficients up to ``SMALL``, each an integer rounded once."""
    return np.array([[math.comb(n, k) for k in range(SMALL + 1)] for n in range(SMALL + 1)], dtype=np.float64)


_CHOOSE = _choose()
