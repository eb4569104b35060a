"""Draws of items without replacement for many users at once, each from a mixture of shelves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabtheory.data.pair_table import distinct
from collabtheory.data.planted_tables import PlantedTables

# After so many rounds the few users who still lack rare items draw uniformly on their shelf.
_ROUNDS_BY_TASTE = 24


@dataclass(frozen=True)
class Population:
    """Users to draw for: home community, second home (of bridges), whether a bridge, how many items; ``(n,)`` each."""

    home: np.ndarray
    second_home: np.ndarray
    bridge: np.ndarray
    size: np.ndarray


def draw_items(tables: PlantedTables, population: Population, mixing: float, rng: np.random.Generator) -> np.ndarray:
    """Return the items of all users, one user after the other, sorted within each.

    Every user draws until it has ``size`` distinct items; a draw of an item that is there already is thrown away, which
    is sampling without replacement. The signature items come first.
    """
    n_items = tables.popularity.size
    users = np.arange(len(population.size), dtype=np.int64)
    bridges = users[population.bridge]
    keys = np.concatenate(
        [
            users * n_items + tables.signature[population.home],
            bridges * n_items + tables.signature[population.second_home[bridges]],
        ]
    )
    keys.sort()
    # Counted, not searched for: a user's keys are consecutive.
    missing = population.size - np.bincount(keys // n_items, minlength=len(users))
    round_number = 0
    while missing.any():
        drawing = np.repeat(users, missing)
        items = _draw(tables, population, drawing, mixing, rng, uniform=round_number >= _ROUNDS_BY_TASTE)
        fresh = distinct(drawing * n_items + items)
        place = np.searchsorted(keys, fresh)
        known = keys[np.minimum(place, len(keys) - 1)] == fresh
        fresh, place = fresh[~known], place[~known]
        keys = np.insert(keys, place, fresh)
        missing = missing - np.bincount(fresh // n_items, minlength=len(users))
        round_number += 1
    return keys % n_items


def _draw(
    tables: PlantedTables,
    population: Population,
    users: np.ndarray,
    mixing: float,
    rng: np.random.Generator,
    *,
    uniform: bool,
) -> np.ndarray:
    n = len(users)
    at_second = population.bridge[users] & (rng.random(n) < 0.5)
    community = np.where(at_second, population.second_home[users], population.home[users])
    row = tables.shelf_row(community)
    position = _invert(tables.taste, community, rng.random(n))
    away = rng.random(n) < mixing
    # Another theme, the same shelf: this is what keeps the two shelves of a theme disjoint.
    elsewhere = (row + 2 * rng.integers(1, tables.n_themes, size=n)) % len(tables.popularity)
    away_position = _invert(tables.popularity, elsewhere, rng.random(n))
    row, position = np.where(away, elsewhere, row), np.where(away, away_position, position)
    if uniform:
        position = rng.integers(tables.shelf_items, size=n)
    return np.asarray(row * tables.shelf_items + position)


def _invert(cumulative: np.ndarray, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return, for each draw, the position in its row where the cumulative probability passes ``uniform``."""
    # Row r shifted by r makes one increasing array, so that one search serves all rows.
    flat = (cumulative + np.arange(len(cumulative))[:, None]).ravel()
    place = np.searchsorted(flat, rows + uniform, side="right")
    width = cumulative.shape[1]
    return np.asarray(np.minimum(place - rows * width, width - 1))
