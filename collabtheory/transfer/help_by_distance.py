r"""The help between users divided among sets of pairs, with intervals that leave out whole users.

The mass of a set P of ordered pairs is its share of all help :math:`h_{uv} \ge 0`,

.. math:: M(P) = \frac{\sum_{(u,v) \in P} h_{uv}}{\sum_{u \ne v} h_{uv}} ,

and its lift is its mass divided by its share of the pairs: 1 if pairs in P help each other like any others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from collabtheory.stats import Estimate
from collabtheory.transfer.pair_sets import PairSets

GROUPS = 20
"""Groups of users that the jackknife leaves out in turn."""
LOCAL, FAR, OTHER = range(3)


@dataclass(frozen=True)
class MassShare:
    """Share of the help between users that falls on a set of pairs.

    Parameters
    ----------
    mass
        The share, with a 95 % interval.
    pair_share
        The set's share of the pairs.
    lift
        ``mass / pair_share``, with a 95 % interval; NaN without pairs.
    """

    mass: Estimate
    pair_share: float
    lift: Estimate


@dataclass(frozen=True, eq=False)
class HelpByDistance:
    """The help between users, divided into local, global and other pairs.

    Parameters
    ----------
    local, global_, other
        Shares of the three sets.
    lift_difference
        Lift of the local pairs minus that of the global ones.
    per_user_local, per_user_global
        ``(n,)``: the sets' shares of the help that each user receives; NaN for a user whom nobody helps.
    """

    local: MassShare
    global_: MassShare
    other: MassShare
    lift_difference: Estimate
    per_user_local: np.ndarray
    per_user_global: np.ndarray

    @property
    def local_dominates(self) -> bool:
        """Whether a local pair carries more help than a global one."""
        return self.local.lift.value > self.global_.lift.value


def help_by_distance(values: np.ndarray, sets: PairSets) -> HelpByDistance:
    """Divide the positive part of values ``(n, n)`` among the sets; NaN entries and the diagonal are left out.

    Examples
    --------
    >>> local = np.array([[0, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    >>> far = np.array([[0, 0, 1], [0, 0, 0], [0, 0, 0]], dtype=bool)
    >>> found = help_by_distance(np.array([[9.0, 3, 1], [-2, 9, 0], [4, 0, 9]]), PairSets(1, local, far))
    >>> found.local.mass.value, found.global_.mass.value, found.other.mass.value
    (0.375, 0.125, 0.5)
    """
    known = ~np.isnan(values) & ~np.eye(len(values), dtype=bool)
    given = np.where(known, np.maximum(values, 0.0), 0.0)
    masks = np.stack([sets.local, sets.far_related, sets.other]) & known
    sums = leave_group_out(np.concatenate([masks * given, masks.astype(np.float64)]))
    n_pairs = int(known.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        mass, pairs = (part / part.sum(1, keepdims=True) for part in (sums[:, :3], sums[:, 3:]))
        lift = mass / pairs
        received = (masks * given).sum(2) / given.sum(1)
    local, far, other = (
        MassShare(jackknife_estimate(mass[:, s], n_pairs), float(pairs[0, s]), jackknife_estimate(lift[:, s], n_pairs))
        for s in (LOCAL, FAR, OTHER)
    )
    difference = jackknife_estimate(lift[:, LOCAL] - lift[:, FAR], n_pairs)
    return HelpByDistance(local, far, other, difference, received[LOCAL], received[FAR])


def leave_group_out(tables: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Return the sums of tables of pairs ``(m, n, n)``: of all pairs, and without each group of users, (1 + g, m).

    From sums by group: one pass over the pairs serves all groups.

    Examples
    --------
    >>> leave_group_out(np.array([[[0.0, 1], [2, 0]]])).ravel().tolist()
    [3.0, 0.0, 0.0]
    """
    n_users = tables.shape[1]
    groups = min(groups, n_users)
    member = (np.arange(n_users)[:, None] % groups == np.arange(groups)[None, :]).astype(np.float64)
    by_group = member.T @ tables @ member
    total = by_group.sum((1, 2))
    touched = by_group.sum(2) + by_group.sum(1) - by_group.diagonal(axis1=1, axis2=2)
    return np.concatenate([total[None], (total[:, None] - touched).T])


def jackknife_estimate(values: np.ndarray, n: int) -> Estimate:
    """Return the first value with the interval of the delete-a-group jackknife over the others."""
    left_out = values[1:]
    groups = len(left_out)
    error = np.sqrt((groups - 1) / groups * np.sum((left_out - left_out.mean()) ** 2))
    reach = float(stats.t.ppf(0.975, groups - 1) * error)
    value = float(values[0])
    return Estimate(value, value - reach, value + reach, n)
