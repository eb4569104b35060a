"""What a planted world fixes before its users: which community lives where, and what it likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collabtheory.data.planted import PlantedWorld


@dataclass(frozen=True)
class PlantedTables:
    """Tables of a world.

    Parameters
    ----------
    theme, shelf
        Of each community, ``(n_communities,)``.
    signature
        The one item that every member has, ``(n_communities,)``.
    taste
        Cumulative probabilities of the items of a community's shelf, ``(n_communities, shelf_items)``.
    popularity
        Cumulative probabilities of each shelf by popularity alone, ``(2 * n_themes, shelf_items)``; shelf ``s`` of
        theme ``t`` is row ``2 t + s`` and holds the items from ``(2 t + s) * shelf_items`` on.
    """

    theme: np.ndarray
    shelf: np.ndarray
    signature: np.ndarray
    taste: np.ndarray
    popularity: np.ndarray

    @property
    def shelf_items(self) -> int:
        """Items of one shelf."""
        return int(self.popularity.shape[1])

    @property
    def n_themes(self) -> int:
        """Themes of the world."""
        return len(self.popularity) // 2

    def shelf_row(self, community: np.ndarray) -> np.ndarray:
        """Row of the shelf tables that each community lives on."""
        return np.asarray(2 * self.theme[community] + self.shelf[community])

    def shelf_of(self, community: int) -> tuple[int, int]:
        """First item and end of a community's shelf."""
        start = int(2 * self.theme[community] + self.shelf[community]) * self.shelf_items
        return start, start + self.shelf_items

    def opposite(self, community: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw, for each community given, one on the other shelf of the same theme."""
        per_shelf = len(self.theme) // len(self.popularity)
        row = 2 * self.theme[community] + 1 - self.shelf[community]
        return np.asarray(row * per_shelf + rng.integers(per_shelf, size=len(community)))


def planted_tables(world: PlantedWorld, rng: np.random.Generator) -> PlantedTables:
    """Draw popularity, a power law in random order on each shelf, and the tastes of the communities on it."""
    n_shelves, n = 2 * world.n_themes, world.shelf_items
    law = np.arange(1, n + 1, dtype=np.float64) ** -world.popularity_exponent
    popularity = rng.permuted(np.tile(law, (n_shelves, 1)), axis=1)
    row = np.repeat(np.arange(n_shelves), world.n_communities // n_shelves)
    taste = popularity[row] * np.exp(world.taste * rng.standard_normal((world.n_communities, n)))
    return PlantedTables(
        theme=row // 2,
        shelf=row % 2,
        signature=row * n + np.argmax(taste, axis=1),
        taste=_cumulative(taste),
        popularity=_cumulative(popularity),
    )


def _cumulative(weights: np.ndarray) -> np.ndarray:
    sums = np.cumsum(weights, axis=1)
    return np.asarray(sums / sums[:, -1:])
