"""Named numbers with intervals, as plain values for JSON; and those of pairs of posteriors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.latent.drift import mean_over_users
from collabtheory.latent.posterior_overlap import log_affinity
from collabtheory.latent.wasserstein import pairwise_w2, w2
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.stats import Estimate
from collabtheory.transfer.help_by_distance import HelpByDistance, jackknife_estimate, leave_group_out
from collabtheory.transfer.pair_sets import PairSets

_BLOCK_ENTRIES = 1 << 22


class Values:
    """Numbers by name, each once, and vectors with one entry a user."""

    def __init__(self, n_users: int) -> None:
        self._n_users = n_users
        self._values: dict[str, dict[str, float | int | None]] = {}
        self._per_user: dict[str, list[float | None]] = {}

    def estimate(self, name: str, estimate: Estimate) -> None:
        """Add a value with its interval."""
        parts = (estimate.value, estimate.low, estimate.high)
        value, low, high = (number if math.isfinite(number) else None for number in map(float, parts))
        self._values[name] = {"value": value, "low": low, "high": high, "n": int(estimate.n)}

    def number(self, name: str, value: float, n: int) -> None:
        """Add a value without interval."""
        self.estimate(name, Estimate(value, math.nan, math.nan, n))

    def monte_carlo(self, name: str, value: float, standard_error: float, n: int) -> None:
        """Add a mean of draws; its interval is that of the draws, given the users."""
        reach = float(stats.norm.ppf(0.975)) * standard_error
        self.estimate(name, Estimate(value, value - reach, value + reach, n))

    def vector(self, name: str, values: np.ndarray) -> None:
        """Add one entry a user; NaN becomes None."""
        if len(values) != self._n_users:
            raise InvalidInput(f"{name} must have one entry for each of {self._n_users} users; it has {len(values)}")
        self._per_user[name] = [float(value) if math.isfinite(value) else None for value in values]

    def mean(self, name: str, values: np.ndarray, *, keep: bool = False) -> None:
        """Add the mean over the users for whom a number is defined; ``keep`` the numbers too, one a user."""
        defined = values[np.isfinite(values)]
        empty = Estimate(math.nan, math.nan, math.nan, 0)
        self.estimate(name, mean_over_users(defined) if len(defined) else empty)
        if keep:
            self.vector(name, values)

    def help(self, name: str, found: HelpByDistance) -> None:
        """Add the shares of local, global and other pairs."""
        for part, share in (("local", found.local), ("global", found.global_), ("other", found.other)):
            self.estimate(f"{name}.{part}.mass", share.mass)
            self.estimate(f"{name}.{part}.lift", share.lift)
            self.number(f"{name}.{part}.pair_share", share.pair_share, share.mass.n)
        self.estimate(f"{name}.lift_difference", found.lift_difference)
        self.vector(f"{name}.local", found.per_user_local)
        self.vector(f"{name}.global", found.per_user_global)

    def mask_spread(self, name: str, clean: DiagonalGaussian, draws: tuple[DiagonalGaussian, ...]) -> None:
        """Add how far masks move a user's posterior, and that relative to how far users are apart."""
        moves = [np.asarray(w2(draws[a], draws[b])) for a in range(len(draws)) for b in range(a)]
        moved, apart = np.mean(moves, 0), np.asarray(pairwise_w2(clean))
        self.mean(f"{name}.by_mask", moved, keep=True)
        pairs = 1.0 - np.eye(len(moved))
        sums = leave_group_out(np.stack([np.diag(moved), np.eye(len(moved)), apart, pairs]))
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = (sums[:, 0] / sums[:, 1]) / (sums[:, 2] / sums[:, 3])
        self.estimate(f"{name}.relative", jackknife_estimate(relative, len(moved)))

    def as_json(self) -> dict[str, Any]:
        """Return ``values`` and ``per_user``."""
        return {"values": self._values, "per_user": self._per_user}


def spread_and_overlap(values: Values, posterior: DiagonalGaussian, sets: PairSets) -> None:
    """Add mean W_2 between users and their Bhattacharyya affinities, of all, local and global pairs."""
    pairs = ~np.eye(posterior.n_users, dtype=bool)
    logarithms = pairwise_log_affinity(posterior)
    quantities = {
        "spread.between_users": np.asarray(pairwise_w2(posterior)),
        "overlap.affinity": np.exp(logarithms),
        "overlap.log_affinity": logarithms,
    }
    for name, table in quantities.items():
        for suffix, chosen in (("", pairs), (".local", sets.local), (".global", sets.far_related)):
            values.estimate(f"{name}{suffix}", mean_of_pairs(table, chosen))
    values.vector("overlap.affinity", quantities["overlap.affinity"].sum(1, where=pairs) / pairs.sum(1))


def mean_of_pairs(table: np.ndarray, chosen: np.ndarray) -> Estimate:
    """Return the mean of the chosen entries ``(n, n)``, with an interval from leaving out groups of users.

    Examples
    --------
    >>> mean_of_pairs(np.array([[9.0, 1.0], [3.0, 9.0]]), ~np.eye(2, dtype=bool)).value
    2.0
    """
    sums = leave_group_out(np.stack([np.where(chosen, table, 0.0), chosen.astype(np.float64)]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return jackknife_estimate(sums[:, 0] / sums[:, 1], int(chosen.sum()))


def pairwise_log_affinity(posterior: DiagonalGaussian) -> np.ndarray:
    """Return the log Bhattacharyya affinity of all pairs, ``(n, n)``, symmetric with a diagonal of zeros.

    Examples
    --------
    >>> pairwise_log_affinity(DiagonalGaussian([[0.0], [4.0]], [[1.0], [1.0]]))
    array([[ 0., -2.],
           [-2.,  0.]])
    """
    n = posterior.n_users
    result = np.zeros((n, n))
    first, second = np.triu_indices(n, 1)
    step = max(1, _BLOCK_ENTRIES // posterior.n_dimensions)
    for start in range(0, len(first), step):
        i, j = first[start : start + step], second[start : start + step]
        result[i, j] = log_affinity(posterior[i], posterior[j])
    return result + result.T
