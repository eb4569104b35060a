"""Cohorts of users by the number of their interactions, as the paper's maps show them: near 5, near 50, near 350."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput

PAPER_SIZES = (5.0, 50.0, 350.0)
MOST_USERS = 24
"""Users of a cohort: more would hide each other on a map."""
FEWEST_USERS = 6
"""Users without which a cohort says nothing."""
FARTHEST = 1.6
"""A cohort stands for a size only if its users have at most so many times more or fewer interactions than that."""


@dataclass(frozen=True, eq=False)
class SizeCohort:
    """Some users of like history length.

    Parameters
    ----------
    rows
        Positions of the users, ascending.
    smallest, largest
        Interactions of the users with the fewest and the most.
    """

    rows: np.ndarray
    smallest: int
    largest: int

    @property
    def label(self) -> str:
        """True sizes and number of users."""
        sizes = f"{self.smallest:,}" if self.smallest == self.largest else f"{self.smallest:,} to {self.largest:,}"
        return f"{sizes} interactions (n = {len(self.rows)})"


def size_cohorts(sizes: np.ndarray, most: int = MOST_USERS) -> tuple[SizeCohort, ...]:
    """Return three cohorts of users, from short to long histories.

    Parameters
    ----------
    sizes
        ``(n,)`` interactions of each user, positive.
    most
        The most users of a cohort.

    Returns
    -------
    tuple of SizeCohort
        The users whose sizes are nearest to 5, 50 and 350 by ratio, as in the paper's figures, and within a factor of
        1.6; where one of the three has too few, the shortest, the middle and the longest histories instead. One
        cohort of everybody where there are fewer than five users or all sizes are equal, none without users.

    Raises
    ------
    InvalidInput
        If a size is not positive.

    Examples
    --------
    >>> [cohort.label for cohort in size_cohorts(np.array([4, 5, 6, 48, 50, 52, 300, 350, 400, 900]))]
    ['4 to 6 interactions (n = 3)', '48 to 52 interactions (n = 3)', '300 to 400 interactions (n = 3)']
    >>> [cohort.label for cohort in size_cohorts(np.arange(20, 30))]
    ['20 to 21 interactions (n = 2)', '24 to 25 interactions (n = 2)', '28 to 29 interactions (n = 2)']
    """
    sizes = np.asarray(sizes)
    if (sizes <= 0).any():
        raise InvalidInput("sizes must be positive; a user without interactions is in no cohort")
    if not len(sizes):
        return ()
    if len(sizes) < 5 or sizes.min() == sizes.max():
        return (_cohort(sizes, np.arange(len(sizes))[:most]),)
    near = [_nearest(sizes, target, most) for target in PAPER_SIZES]
    if min(map(len, near)) < min(FEWEST_USERS, len(sizes) // 5):
        n_each = min(most, len(sizes) // 5)
        order = np.argsort(sizes, kind="stable")
        middle = (len(order) - n_each) // 2
        near = [order[:n_each], order[middle : middle + n_each], order[len(order) - n_each :]]
    return tuple(_cohort(sizes, rows) for rows in near)


def _nearest(sizes: np.ndarray, target: float, n: int) -> np.ndarray:
    # Rounded, so that equal ratios are ties, which go to the longer history and then to the smaller position.
    ratio = np.round(np.abs(np.log(sizes / target)), 12)
    order = np.lexsort((np.arange(len(sizes)), -sizes, ratio))
    nearest: np.ndarray = order[ratio[order] <= np.log(FARTHEST)][:n]
    return nearest


def _cohort(sizes: np.ndarray, rows: np.ndarray) -> SizeCohort:
    return SizeCohort(np.sort(rows), int(sizes[rows].min()), int(sizes[rows].max()))
