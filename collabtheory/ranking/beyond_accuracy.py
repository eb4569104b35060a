r"""What recommendations do to the catalogue: coverage, concentration of exposure, popularity bias.

All follow from how often each item is recommended, ``counts`` :math:`c_i`, which
:func:`~collabtheory.ranking.evaluation.evaluate` tallies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput

if TYPE_CHECKING:
    from collabtheory.data.split import FoldIn
    from collabtheory.ranking.evaluation import UserScores


@dataclass(frozen=True)
class Exposure:
    """Which items the users' ``k`` best lists hold.

    Parameters
    ----------
    k
        Length of the lists.
    coverage
        Share of the catalogue that is recommended to anyone, in (0, 1].
    gini
        Concentration of the recommendations over the catalogue, in [0, 1).
    popularity_percentile
        Mean over recommendations of the item's popularity percentile, in (0, 1); .5 for items drawn at random.
    history_percentile
        The same of the users' own items (fold-in and held out): mean over users of the mean over their items.
    popularity_lift
        ``popularity_percentile / history_percentile - 1``: 0 if users get items as popular as those they chose,
        positive if they get more popular ones.
    """

    k: int
    coverage: float
    gini: float
    popularity_percentile: float
    history_percentile: float
    popularity_lift: float


def exposure(scores: UserScores, users: FoldIn, popularity: np.ndarray, *, k: int = 100) -> Exposure:
    """Describe which items a scorer recommended to tested users.

    Parameters
    ----------
    scores
        Result of an evaluation that counted recommendations at ``k``.
    users
        The users evaluated.
    popularity
        Train interactions of each item, ``(items,)``, finite.
    k
        Length of the lists.

    Raises
    ------
    InvalidInput
        If nothing was counted at ``k``, the users are others than those evaluated, or shapes differ.

    Examples
    --------
    >>> from collabtheory.data.split import FoldIn
    >>> from collabtheory.ranking.evaluation import evaluate
    >>> fold_in = sparse.csr_array([[1, 0, 0, 0], [0, 0, 0, 1]])
    >>> held_out = sparse.csr_array([[0, 1, 0, 0], [0, 1, 0, 0]])
    >>> users = FoldIn(np.array([0, 1]), fold_in, held_out, np.array([]))
    >>> popularity = np.array([9.0, 5.0, 2.0, 1.0])
    >>> reached = evaluate(lambda x: np.tile(popularity, (x.shape[0], 1)), users, count_at=[1])
    >>> found = exposure(reached, users, popularity, k=1)
    >>> found.coverage, found.gini, found.popularity_percentile, found.history_percentile, found.popularity_lift
    (0.5, 0.5, 0.75, 0.5625, 0.33333333333333326)
    """
    if k not in scores.recommended:
        raise InvalidInput(f"recommendations were not counted at k = {k}; they were at {sorted(scores.recommended)}")
    counts = scores.recommended[k]
    if not np.array_equal(scores.rows, users.rows) or users.fold_in.shape[1] != len(counts):
        raise InvalidInput("scores and users must be of the same evaluation; their rows or numbers of items differ")
    percentiles = popularity_percentiles(popularity)
    if len(percentiles) != len(counts):
        raise InvalidInput(f"popularity must have one entry an item ({len(counts)}); it has {len(percentiles)}")
    recommended = float(counts @ percentiles / counts.sum())
    own = history_percentile(sparse.csr_array(users.fold_in + users.held_out), percentiles)
    return Exposure(k, catalogue_coverage(counts), gini(counts), recommended, own, recommended / own - 1)


def catalogue_coverage(counts: np.ndarray) -> float:
    """Return the share of items with a count above 0; counts ``(items,)``, not all 0."""
    return float(np.mean(_counts(counts) > 0))


def gini(counts: np.ndarray) -> float:
    r"""Return the Gini coefficient of counts.

    .. math:: G = \frac{\sum_{i,j} |c_i - c_j|}{2 I \sum_i c_i} = \frac{\sum_i (2 i - I - 1)\, c_{(i)}}{I \sum_i c_i}

    0 if all items are recommended equally often, ``1 - 1/I`` if only one ever is.

    Parameters
    ----------
    counts
        ``(items,)``, finite, 0 or more.

    Raises
    ------
    InvalidInput
        If a count is negative or not finite, or all are 0.

    Examples
    --------
    >>> gini(np.array([3, 3, 3, 3])), gini(np.array([0, 0, 0, 7]))
    (0.0, 0.75)
    """
    ordered = np.sort(_counts(counts))
    n = len(ordered)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


def popularity_percentiles(popularity: np.ndarray) -> np.ndarray:
    """Return each item's popularity percentile, ``(items,)`` in (0, 1), with mean .5 over the catalogue.

    The share of less popular items and half of those equally popular, the item itself among them.

    Raises
    ------
    InvalidInput
        If there is no item, or an entry is not finite.

    Examples
    --------
    >>> popularity_percentiles(np.array([10.0, 1.0, 1.0, 50.0])).tolist()
    [0.625, 0.25, 0.25, 0.875]
    """
    values = np.asarray(popularity, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InvalidInput(f"popularity must be finite numbers, one an item; its shape is {values.shape}")
    _, place, ties = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(ties) - ties / 2)[place] / len(values))


def history_percentile(contents: sparse.csr_array, percentiles: np.ndarray) -> float:
    """Return the mean over users of the mean percentile of their items; every user needs an item."""
    binary = sparse.csr_array((np.ones(contents.nnz), contents.indices, contents.indptr), contents.shape)
    sizes = np.diff(binary.indptr)
    if not len(sizes) or (sizes == 0).any():
        raise InvalidInput("every user needs at least one item for a history to have a popularity")
    return float(np.mean(binary @ percentiles / sizes))


def _counts(counts: np.ndarray) -> np.ndarray:
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InvalidInput("counts must be finite numbers, 0 or more, one an item, and not all 0")
    return values
