"""Rank correlations of pairs of users, with intervals that respect that pairs share users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A value with a 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float
    n: int


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Return Spearman's rank correlation; NaN if a side is constant or has fewer than three entries."""
    return _pearson(stats.rankdata(x), stats.rankdata(y))


def partial_spearman(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    r"""Return the rank correlation of x and y at fixed z.

    .. math:: (r_{xy} - r_{xz} r_{yz}) / \sqrt{(1-r_{xz}^2)(1-r_{yz}^2)}

    NaN if ``x`` or ``y`` is constant or a function of ``given``; the plain correlation if ``given`` is constant.
    """
    if len(x) < 3:
        return float("nan")
    ranks = [stats.rankdata(values) for values in (x, y, given)]
    xy = _pearson(ranks[0], ranks[1])
    if np.ptp(ranks[2]) == 0:
        return xy
    xz, yz = _pearson(ranks[0], ranks[2]), _pearson(ranks[1], ranks[2])
    rest = (1 - xz * xz) * (1 - yz * yz)
    return float((xy - xz * yz) / np.sqrt(rest)) if rest > 1e-12 else float("nan")


def grouped_jackknife(
    statistic: Callable[[np.ndarray], float], users: np.ndarray, partners: np.ndarray, *, groups: int = 20
) -> Estimate:
    """Return a statistic of pairs with a 95 % interval, by leaving out one group of users at a time.

    Parameters
    ----------
    statistic
        Maps a boolean selection of pairs to a number.
    users, partners
        The two users of each pair; a pair is left out if either is in the group.
    groups
        Number of groups; users are dealt to them by number. Fewer users make fewer groups, one user no interval.
        Nor is there one where a group is in all pairs, or the statistic is undefined (0/0) without it.

    Notes
    -----
    Pairs that share a user are not independent; leaving out whole users keeps that dependence in the interval
    (delete-a-group jackknife, Student's t with ``groups - 1`` degrees of freedom).
    """
    everything = statistic(np.ones(len(users), dtype=bool))
    order = {user: rank for rank, user in enumerate(np.unique(np.concatenate([users, partners])))}
    groups = min(groups, len(order))
    if groups < 2:
        return Estimate(everything, float("nan"), float("nan"), len(users))
    group_of = np.array([order[user] % groups for user in users]), np.array([order[user] % groups for user in partners])
    kept = [(group_of[0] != group) & (group_of[1] != group) for group in range(groups)]
    with np.errstate(invalid="ignore"):
        left_out = [statistic(chosen) if chosen.any() else float("nan") for chosen in kept]
    # Leaving out 1 of g groups of users leaves a share (1 - 1/g)^2 of the pairs, but 1 - 1/g of the independent units.
    error = np.sqrt((groups - 1) / groups * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    reach = float(stats.t.ppf(0.975, groups - 1) * error)
    return Estimate(everything, everything - reach, everything + reach, len(users))


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
