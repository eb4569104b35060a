r"""Whether cohorts of interaction count mix among latent neighbours, or each lives on its own.

With the share :math:`s` of a user's ``k`` nearest latent neighbours that are of the user's own cohort, and the share
:math:`e_c = (n_c - 1)/(n - 1)` that random labels would give,

.. math:: \text{mixing} = \frac{1 - \bar s}{1 - \bar e}: \quad
          0 \text{ where cohorts are isolated, } 1 \text{ where they mix as by chance.}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.latent.neighbours import nearest
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.stats import Estimate, grouped_jackknife, spearman

COHORT_STARTS = (11, 51, 101)
"""Smallest sizes of the second to the last published cohort: [5-10], [11-50], [51-100], [100+]."""


@dataclass(frozen=True, eq=False)
class CohortMixing:
    """Neighbours by cohort.

    Parameters
    ----------
    same
        Share of neighbours of the user's own cohort, mean over users.
    by_chance
        What random labels would give, exactly.
    mixing
        Share of neighbours of another cohort over that by chance; NaN where there is one cohort only.
    assortativity
        Newman's coefficient of the neighbour graph: 1 isolated, 0 mixed as by chance.
    size_correlation
        Spearman correlation of the sizes of a user and a neighbour.
    per_user_same, per_user_by_chance
        ``(n,)`` each.
    """

    same: Estimate
    by_chance: float
    mixing: Estimate
    assortativity: Estimate
    size_correlation: Estimate
    per_user_same: np.ndarray
    per_user_by_chance: np.ndarray


def cohort_mixing(
    posterior: DiagonalGaussian, sizes: np.ndarray, k: int, *, starts: Sequence[int] = COHORT_STARTS
) -> CohortMixing:
    """Compare the cohorts of users with those of their nearest latent neighbours in W_2.

    Parameters
    ----------
    posterior
        Of at least 3 users.
    sizes
        ``(n,)``: interactions of each user.
    k
        Neighbours per user, between 1 and ``n - 1``.
    starts
        Smallest sizes of the second to the last cohort, increasing.

    Returns
    -------
    CohortMixing
        95 % intervals leave out groups of users.

    Raises
    ------
    InvalidInput
        If lengths differ, ``k`` is out of range, or ``starts`` do not increase.

    Notes
    -----
    Newman, "Mixing patterns in networks", Physical Review E 67, 026126 (2003), for the coefficient.

    Examples
    --------
    >>> q = DiagonalGaussian([[0.0], [0.1], [5.0], [5.1]], [[1.0]] * 4)
    >>> apart, mixed = cohort_mixing(q, np.array([5, 6, 20, 30]), 1), cohort_mixing(q, np.array([5, 20, 6, 30]), 1)
    >>> apart.mixing.value, round(apart.by_chance, 3), round(mixed.mixing.value, 9)
    (0.0, 0.333, 1.5)
    """
    sizes = np.asarray(sizes)
    if sizes.shape != (posterior.n_users,):
        raise InvalidInput(f"sizes must be one a user, ({posterior.n_users},); their shape is {sizes.shape}")
    if posterior.n_users < 3:
        raise InvalidInput(f"posterior must have at least 3 users; it has {posterior.n_users}")
    indices = np.asarray(nearest(posterior, k).indices)
    return mixing_of_neighbours(indices, sizes, cohorts(sizes, starts))


def cohorts(sizes: np.ndarray, starts: Sequence[int] = COHORT_STARTS) -> np.ndarray:
    """Return the number of each user's cohort, from 0.

    Examples
    --------
    >>> cohorts(np.array([5, 10, 11, 100, 101])).tolist()
    [0, 0, 1, 2, 3]
    """
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise InvalidInput(f"starts must increase; they are {tuple(starts)}")
    return np.searchsorted(np.asarray(starts), sizes, side="right")


def mixing_of_neighbours(indices: np.ndarray, sizes: np.ndarray, labels: np.ndarray) -> CohortMixing:
    """Return the mixing of given neighbours ``(n, k)`` under given labels ``(n,)``, whole numbers from 0."""
    n_users, k = indices.shape
    users, partners = np.repeat(np.arange(n_users), k), indices.ravel()
    agrees = labels[users] == labels[partners]
    counts = np.bincount(labels)
    expected = (counts[labels] - 1) / (n_users - 1)

    def mixing(chosen: np.ndarray) -> float:
        apart = 1 - expected[users[chosen]]
        return float(np.sum(~agrees[chosen]) / apart.sum()) if apart.sum() > 0 else float("nan")

    def assortativity(chosen: np.ndarray) -> float:
        return assortativity_of(labels[users[chosen]], labels[partners[chosen]])

    return CohortMixing(
        grouped_jackknife(lambda chosen: float(np.mean(agrees[chosen])), users, partners),
        float(expected.mean()),
        grouped_jackknife(mixing, users, partners),
        grouped_jackknife(assortativity, users, partners),
        grouped_jackknife(lambda chosen: spearman(sizes[users[chosen]], sizes[partners[chosen]]), users, partners),
        agrees.reshape(n_users, k).mean(1),
        expected,
    )


def assortativity_of(first: np.ndarray, second: np.ndarray) -> float:
    r"""Return Newman's coefficient of directed edges between labels, NaN where all edges are within one label.

    .. math:: r = \frac{\sum_c e_{cc} - \sum_c a_c b_c}{1 - \sum_c a_c b_c}

    Examples
    --------
    >>> assortativity_of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    0.0
    """
    n_labels = int(max(first.max(initial=0), second.max(initial=0))) + 1
    table = np.bincount(first * n_labels + second, minlength=n_labels**2).reshape(n_labels, n_labels) / len(first)
    by_chance = float(table.sum(0) @ table.sum(1))
    return float((np.trace(table) - by_chance) / (1 - by_chance)) if by_chance < 1 else float("nan")
