"""Whether codes of unfamiliar users are sparser or less committed, with what else differs between users held fixed.

Users with short histories also like other items; so each rank correlation is given the other measures of familiarity.
:mod:`~collabtheory.latent.changed_histories` asks the causal question on the same user instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.latent.code_sparsity import CodeSparsity
from collabtheory.stats import Estimate, grouped_jackknife, spearman

_BLOCK_USERS = 64


@dataclass(frozen=True, eq=False)
class Familiarity:
    """How familiar users are to a model trained on the data, ``(n,)`` float64 each.

    Parameters
    ----------
    history
        Number of items.
    popularity
        Mean of ``log(share of all users who have the item)`` over the user's items: the log-likelihood per item under
        popularity, up to a constant.
    typicality
        Mean over pairs of the user's items of ``C_ij / sqrt(C_ii C_jj)``, with ``C_ij`` the number of OTHER users who
        have both: how usual the combination is. NaN for a user with one item.
    """

    history: np.ndarray
    popularity: np.ndarray
    typicality: np.ndarray


@dataclass(frozen=True)
class FamiliarityEffect:
    """Rank correlations of a measure of familiarity with one of the code.

    Parameters
    ----------
    familiarity, outcome
        Names of the two.
    plain
        Spearman's correlation, with a 95 % interval.
    given_others
        The partial rank correlation at fixed other measures of familiarity.
    """

    familiarity: str
    outcome: str
    plain: Estimate
    given_others: Estimate


def familiarity(data: Interactions, users: np.ndarray) -> Familiarity:
    """Measure how familiar some users are.

    Parameters
    ----------
    data
        Interactions that popularity and co-occurrence are counted in.
    users
        ``(n,)`` row numbers of users with items.

    Raises
    ------
    InvalidInput
        If a user has no items.

    Examples
    --------
    >>> x = Interactions.from_pairs([0, 0, 1, 1, 2, 2, 3], [0, 1, 0, 1, 1, 2, 0])
    >>> found = familiarity(x, np.array([0, 2]))
    >>> found.history.tolist(), np.exp(found.popularity).round(3).tolist(), found.typicality.round(3).tolist()
    ([2.0, 2.0], [0.75, 0.433], [0.5, 0.0])
    """
    users = np.asarray(users)
    sizes = data.sizes[users]
    if (sizes == 0).any():
        raise InvalidInput(f"users must have items; row {users[sizes == 0][0]} has none")
    counts = np.asarray(data.matrix.sum(0), dtype=np.float64).ravel()
    logs = np.log(np.maximum(counts, 1.0) / data.n_users)
    history = sizes.astype(np.float64)
    return Familiarity(history, data.matrix[users] @ logs / history, _typicality(data, users, counts))


def familiarity_effects(measured: Familiarity, outcomes: CodeSparsity) -> tuple[FamiliarityEffect, ...]:
    """Correlate every measure of familiarity with every measure of the code, plainly and given the others.

    Users for whom a number is not defined are left out.
    """
    causes = np.stack(list(vars(measured).values()))
    found = []
    for outcome, values in vars(outcomes).items():
        defined = np.isfinite(values) & np.isfinite(causes).all(0)
        x, y = causes[:, defined], values[defined]
        for position, name in enumerate(vars(measured)):
            others = np.delete(x, position, axis=0)
            found.append(FamiliarityEffect(name, outcome, *_correlations(x[position], y, others)))
    return tuple(found)


def partial_rank_correlation(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """Return the rank correlation of ``x`` and ``y`` (n,) at fixed ``given`` (m, n).

    The correlation of what is left of both ranks after linear regression on the others' ranks.

    Returns
    -------
    float
        In [-1, 1]; NaN if a side is constant or a function of ``given``, or there are at most ``m + 2`` entries.

    Examples
    --------
    >>> z = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> round(partial_rank_correlation(z + [0, 2, 0, 2, 0, 2], z + [0, 2, 0, 2, 0, 2], z[None]), 9)
    1.0
    """
    if len(x) <= len(given) + 2:
        return float("nan")
    controls = np.stack([np.ones(len(x)), *(rankdata(row) for row in given)], axis=1)
    sides = np.stack([rankdata(x), rankdata(y)], axis=1)
    left = sides - controls @ np.linalg.lstsq(controls, sides, rcond=None)[0]
    norms = np.sqrt((left**2).sum(0))
    if (norms <= 1e-9 * np.sqrt((sides**2).sum(0))).any():
        return float("nan")
    return float(np.clip(left[:, 0] @ left[:, 1] / norms.prod(), -1.0, 1.0))


def _correlations(x: np.ndarray, y: np.ndarray, others: np.ndarray) -> tuple[Estimate, Estimate]:
    users = np.arange(len(y))
    if len(users) == 0:
        nothing = Estimate(float("nan"), float("nan"), float("nan"), 0)
        return nothing, nothing
    return (
        grouped_jackknife(lambda chosen: spearman(x[chosen], y[chosen]), users, users),
        grouped_jackknife(
            lambda chosen: partial_rank_correlation(x[chosen], y[chosen], others[:, chosen]), users, users
        ),
    )


def _typicality(data: Interactions, users: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # With w_i = 1/sqrt(C_ii) the sum over i != j of w_i w_j C_ij is the sum over the other users v of
    # (sum_{i in both} w_i)^2 - sum_{i in both} w_i^2: one sparse product, and no table of items by items.
    others = counts - 1
    weights = np.where(others > 0, 1.0 / np.sqrt(np.maximum(others, 1.0)), 0.0)
    sums = np.empty(len(users))
    for start in range(0, len(users), _BLOCK_USERS):
        rows = users[start : start + _BLOCK_USERS]
        mine = data.matrix[rows].astype(np.float64)
        both = (data.matrix @ (mine * sparse.csr_array(weights[None])).T.tocsc()).toarray()
        squares = (data.matrix @ (mine * sparse.csr_array(weights[None] ** 2)).T.tocsc()).toarray()
        pairs = both**2 - squares
        pairs[rows, np.arange(len(rows))] = 0.0
        sums[start : start + _BLOCK_USERS] = pairs.sum(0)
    sizes = data.sizes[users].astype(np.float64)
    n_pairs = sizes * (sizes - 1)
    return np.asarray(np.divide(sums, n_pairs, out=np.full(len(users), np.nan), where=n_pairs > 0))
