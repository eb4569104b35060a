"""Is a quantity larger in one group of users than in another (cohorts): unpaired, within strata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.stats.bootstrap import bootstrap_sum
from collabtheory.stats.comparison import Comparison, Evidence, Expected, evidence_by_t
from collabtheory.stats.effects import cohens_d, group_superiority, standard_error_of_sum
from collabtheory.stats.permutation import difference_weights, label_permutation_p
from collabtheory.stats.run_noise import nested_error
from collabtheory.stats.samples import average_within, check_strata, finite_vector, numbered


@dataclass(frozen=True, kw_only=True)
class GroupComparison(Comparison):
    """A comparison of two groups; ``effect_size`` is Cohen's d of the pooled groups, strata aside.

    Parameters
    ----------
    n_first, n_second
        Users of each group that the difference was taken over.
    superiority
        Chance that a user of the first group has the larger value than one of the second (ties count half).
    """

    n_first: int
    n_second: int
    superiority: float


def compare_groups(
    first: np.ndarray,
    second: np.ndarray,
    *,
    strata: tuple[np.ndarray, np.ndarray] | None = None,
    runs: tuple[np.ndarray, np.ndarray] | None = None,
    rng: np.random.Generator,
    level: float = 0.95,
    practical: float = 0.0,
    expected: Expected = "greater",
    resamples: int = 9_999,
) -> GroupComparison:
    """Judge the claim "users of the first group have larger values", comparing within strata.

    Parameters
    ----------
    first, second
        ``(n_first,)`` and ``(n_second,)`` finite values, one row a user, every user once.
    strata
        Labels of both groups' users (fold, say). The difference is that of
        :func:`~collabtheory.stats.difference_weights`; users are resampled within stratum and group, labels
        permuted within strata. Strata that hold one group only are left out (``n`` counts who was used).
    runs
        Labels of the training run (fold) of both groups' users, who are nested in runs; each run holds both groups.
    rng, level, practical, expected, resamples
        As in :func:`~collabtheory.stats.compare_paired`, whose notes on runs apply here.

    Raises
    ------
    InvalidInput
        On NaN (the row is named), no stratum with both groups, one user alone in its group and stratum, or a run
        that lacks a group.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> result = compare_groups(rng.normal(1, 1, 80), rng.normal(0, 1, 120), rng=rng)
    >>> result.verdict, result.n, result.superiority > 0.5
    ('supported', 200, True)
    """
    sides = finite_vector(first, "first"), finite_vector(second, "second")
    values = np.concatenate(sides)
    in_first = np.arange(len(values)) < len(sides[0])
    stratum = _joined(strata, sides, "strata")
    used = difference_weights(in_first, stratum) != 0
    values, in_first, stratum = values[used], in_first[used], numbered(stratum[used], int(used.sum()), "strata")
    run = None if runs is None else numbered(_joined(runs, sides, "runs")[used], len(values), "runs")
    by_users = _by_users(values, in_first, stratum, level, resamples, rng)
    by_runs = None if run is None else _by_runs(values, in_first, stratum, run, level)
    return GroupComparison(
        by_users=by_users,
        by_runs=by_runs,
        effect_size=cohens_d(values[in_first], values[~in_first]),
        level=level,
        practical=practical,
        expected=expected,
        n_first=int(in_first.sum()),
        n_second=int((~in_first).sum()),
        superiority=group_superiority(values[in_first], values[~in_first]),
    )


def _joined(
    labels: tuple[np.ndarray, np.ndarray] | None, sides: tuple[np.ndarray, np.ndarray], name: str
) -> np.ndarray:
    if labels is None:
        return np.zeros(sum(map(len, sides)), dtype=np.int64)
    if len(labels) != 2 or any(len(one) != len(side) for one, side in zip(labels, sides, strict=True)):
        raise InvalidInput(f"{name} must be a pair of label vectors, as long as first and second")
    return numbered(np.concatenate(labels), sum(map(len, sides)), name)


def _by_users(
    values: np.ndarray,
    in_first: np.ndarray,
    stratum: np.ndarray,
    level: float,
    resamples: int,
    rng: np.random.Generator,
) -> Evidence:
    contributions = difference_weights(in_first, stratum) * values
    cells = 2 * stratum + in_first
    check_strata(cells, "stratum and group")
    interval = bootstrap_sum(contributions, cells, level=level, resamples=resamples, rng=rng)
    error, degrees = standard_error_of_sum(contributions, cells)
    p = label_permutation_p(values, in_first, strata=stratum, resamples=resamples, rng=rng)
    return Evidence(interval, error, float(degrees), p)


def _by_runs(values: np.ndarray, in_first: np.ndarray, stratum: np.ndarray, run: np.ndarray, level: float) -> Evidence:
    n_runs = int(run.max()) + 1
    if n_runs < 2:
        raise InvalidInput("runs must name at least 2 runs; leave runs out to treat the models as fixed")
    # A run with one group only would bring its own level into the difference.
    if len(np.unique(2 * run + in_first)) < 2 * n_runs:
        raise InvalidInput("every run must hold users of both groups")
    weights = difference_weights(in_first, stratum)
    difference = float(weights @ values)
    # What is left of the values after the fit that the difference is a coefficient of.
    rest = values - difference * in_first
    rest -= average_within(rest, stratum)[stratum]
    return evidence_by_t(difference, len(values), nested_error(weights * rest, run), level)
