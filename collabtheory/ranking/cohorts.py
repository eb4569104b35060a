"""Cohorts of users by their number of interactions, as the paper's tables have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput


@dataclass(frozen=True)
class Cohort:
    """Users whose number of interactions lies between two bounds, both included.

    Parameters
    ----------
    name
        Its name in tables and files, such as ``"5-10"``.
    smallest, largest
        Bounds; None for no upper bound.
    """

    name: str
    smallest: int
    largest: int | None


COHORTS = (
    Cohort("<5", 0, 4),
    Cohort("5-10", 5, 10),
    Cohort("11-50", 11, 50),
    Cohort("51-100", 51, 100),
    Cohort("100+", 101, None),
)
"""The paper's four cohorts, and one below them for users that its filter of 5 interactions would have left out.

The paper writes [5-10], [11-50], [51-100], [100+] (arXiv:2511.06781). Its last two both name 100; here a user with
exactly 100 interactions is in the third and the fourth begins at 101, so that every user is in exactly one.
"""


@dataclass(frozen=True)
class CohortSummary:
    """What one cohort reached.

    Parameters
    ----------
    cohort
        Which users.
    n_users
        How many there are.
    means
        Metric to its mean over the cohort; NaN where nobody is in it.
    standard_errors
        Metric to the standard error of that mean, ``s / sqrt(n)`` over users; NaN below two users.
    """

    cohort: Cohort
    n_users: int
    means: Mapping[str, float]
    standard_errors: Mapping[str, float]


def cohort_of(n_items: np.ndarray) -> np.ndarray:
    """Return the name of each user's cohort, ``(users,)``, object array of str.

    Parameters
    ----------
    n_items
        All interactions of each user, ``(users,)``, whole numbers, 0 or more.

    Raises
    ------
    InvalidInput
        If a number is negative, not whole or not finite; the message names its place.

    Examples
    --------
    >>> cohort_of(np.array([4, 5, 10, 11, 50, 51, 100, 101])).tolist()
    ['<5', '5-10', '5-10', '11-50', '11-50', '51-100', '51-100', '100+']
    """
    starts = [cohort.smallest for cohort in COHORTS[1:]]
    names = np.array([cohort.name for cohort in COHORTS], dtype=object)
    return np.asarray(names[np.searchsorted(starts, _whole(n_items), side="right")])


def by_cohort(values: Mapping[str, np.ndarray], n_items: np.ndarray) -> tuple[CohortSummary, ...]:
    """Summarise users' values by cohort; every user is in exactly one, and empty cohorts are there with no user.

    Parameters
    ----------
    values
        Metric name to each user's value, ``(users,)``; the ``values`` of
        :class:`~collabtheory.ranking.evaluation.UserScores`, or columns of a frame of several folds.
    n_items
        All interactions of each user, ``(users,)``: not only those of the fold-in, which the split cut short.

    Raises
    ------
    InvalidInput
        If lengths differ or a number of interactions is negative or not whole.

    Examples
    --------
    >>> low, first, *_ = by_cohort({"recall@20": np.array([0.2, 0.4, 1.0])}, np.array([5, 10, 300]))
    >>> low.n_users, first.cohort.name, first.n_users, round(first.means["recall@20"], 3)
    (0, '5-10', 2, 0.3)
    """
    names = cohort_of(n_items)
    for name, column in values.items():
        if np.shape(column) != names.shape:
            raise InvalidInput(f"{name} must have one value a user, {names.shape}; its shape is {np.shape(column)}")
    return tuple(_summary(cohort, values, names == cohort.name) for cohort in COHORTS)


def _summary(cohort: Cohort, values: Mapping[str, np.ndarray], members: np.ndarray) -> CohortSummary:
    n = int(members.sum())
    nan = float("nan")
    chosen = {name: np.asarray(column)[members] for name, column in values.items()}
    means = {name: float(column.mean()) if n else nan for name, column in chosen.items()}
    errors = {name: float(column.std(ddof=1) / np.sqrt(n)) if n > 1 else nan for name, column in chosen.items()}
    return CohortSummary(cohort, n, means, errors)


def _whole(n_items: np.ndarray) -> np.ndarray:
    numbers = np.asarray(n_items)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
        raise InvalidInput(f"n_items must be numbers, one a user; got shape {numbers.shape}, {numbers.dtype}")
    wrong = ~((numbers >= 0) & (numbers == np.floor(numbers)) & np.isfinite(numbers))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise InvalidInput(f"n_items must be whole numbers, 0 or more; user {place} has {numbers[place]}")
    return numbers
