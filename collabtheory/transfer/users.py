"""Which users enter the pair table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.runs.memory import rows_within


@dataclass(frozen=True)
class ChosenUsers:
    """Rows of the users in the table, ascending, and which of them were drawn at random."""

    rows: np.ndarray
    drawn: np.ndarray

    def __post_init__(self) -> None:
        if len(self.rows) < 2:
            raise InvalidInput(f"a pair table needs at least two users with items; there are {len(self.rows)}")


def choose_users(data: Interactions, n_random: int, n_near: int, *, rng: np.random.Generator) -> ChosenUsers:
    """Draw users at random, and add the ``n_near`` closest of their nearest neighbours in input.

    Coverage is an honest share of all pairs only over drawn users; the near ones are there because theorems about
    near users would otherwise meet nobody. Users without items are never chosen.
    """
    eligible = np.flatnonzero(data.sizes > 0)
    drawn = rng.permutation(eligible)[:n_random]
    nearest, distance = nearest_in_input(data, drawn, eligible)
    rows = np.union1d(drawn, nearest[np.argsort(distance, kind="stable")][:n_near])
    return ChosenUsers(rows, np.isin(rows, drawn))


def nearest_in_input(data: Interactions, users: np.ndarray, eligible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each user the other eligible one at the smallest ``||x_u - x_v||_1 / (n_u + n_v)``, and this."""
    if len(users) == 0 or len(eligible) < 2:
        return users[:0], np.zeros(0)
    # Shared items, their copy in float64, the distance and its divisor.
    rows = rows_within(32 * len(eligible), most=len(users), what=f"the nearest of {len(eligible):,} users in input")
    columns = data.matrix[eligible].T.tocsr()
    found = [_nearest(data, users[start : start + rows], eligible, columns) for start in range(0, len(users), rows)]
    nearest, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return eligible[nearest], distance


def _nearest(
    data: Interactions, users: np.ndarray, eligible: np.ndarray, columns: sparse.csr_array
) -> tuple[np.ndarray, np.ndarray]:
    shared = (data.matrix[users] @ columns).toarray()
    distance = 1.0 - 2.0 * shared / (data.sizes[users][:, None] + data.sizes[eligible][None, :])
    distance[users[:, None] == eligible[None, :]] = np.inf
    nearest = np.argmin(distance, axis=1)
    return nearest, distance[np.arange(len(users)), nearest]
