"""Planted worlds: users made from a seed, whose communities, themes and twins are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack

from collabtheory.data.interactions import Interactions, binary_csr
from collabtheory.data.planted_draws import Population, draw_items
from collabtheory.data.planted_tables import PlantedTables, planted_tables
from collabtheory.errors import InvalidInput
from collabtheory.runs.seeds import derive

ROLES = np.array(["member", "bridge", "twin", "exact_twin"], dtype=object)
MEMBER, BRIDGE, TWIN, EXACT_TWIN = range(4)


@dataclass(frozen=True)
class PlantedWorld:
    """Specification of a planted world.

    Items form ``n_themes`` themes of equal size; each theme is cut in two halves, its *shelves* A and B. A community
    lives on one shelf. Its members draw from that shelf, with a power law of popularity bent by the community's own
    taste, and now and then (``mixing``) from other themes, there too from shelf A only if their own is A. So users of
    the two shelves of a theme share **no** item: they are far in input, yet related, through *bridge* users who draw
    from both shelves. Every member has the community's one signature item, so that members always overlap.

    Parameters
    ----------
    n_users, n_items
        Size of the world.
    n_themes
        Themes, at least 2; ``n_items`` must be a multiple of ``2 * n_themes``.
    n_communities
        Communities in all, a multiple of ``2 * n_themes``.
    mean_items, size_spread
        Sizes ``n_x`` are log-normal with this mean (before clipping) and this standard deviation of the logarithm.
    min_items
        Smallest ``n_x``, at least 3; the largest is seven tenths of a shelf.
    popularity_exponent
        ``a >= 0`` of the power law ``rank^-a`` inside a shelf.
    taste
        Standard deviation of a community's log preference on top of popularity; 0: popularity alone.
    mixing
        Probability, in [0, 0.5], that a draw comes from another theme. Repeated draws are thrown away, so on narrow
        shelves the share of such items ends higher.
    bridge_share
        Probability, in [0, 0.5], that a user is a bridge.
    exact_twin_share, twin_share
        Share of users in pairs with identical items, and in pairs that differ by one or two items.
    block_users
        Users made at once. Part of the world: each block has a seed of its own.

    Raises
    ------
    InvalidInput
        If a value is out of range.
    """

    n_users: int = 1000
    n_items: int = 480
    n_themes: int = 4
    n_communities: int = 16
    mean_items: float = 32.0
    size_spread: float = 0.3
    min_items: int = 8
    popularity_exponent: float = 0.8
    taste: float = 0.7
    mixing: float = 0.08
    bridge_share: float = 0.15
    exact_twin_share: float = 0.06
    twin_share: float = 0.1
    block_users: int = 16_384

    def __post_init__(self) -> None:
        for name, least in (
            ("n_users", 1),
            ("n_themes", 2),
            ("n_communities", 1),
            ("min_items", 3),
            ("block_users", 2),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise InvalidInput(f"{name} must be a whole number, at least {least}; it is {value!r}")
        for name in ("n_items", "n_communities"):
            value = getattr(self, name)
            if value < 1 or value % (2 * self.n_themes):
                raise InvalidInput(f"{name} must be a multiple of 2 * n_themes = {2 * self.n_themes}; it is {value}")
        ranges = (
            *(("mixing", 0, 0.5), ("bridge_share", 0, 0.5), ("exact_twin_share", 0, 0.5), ("twin_share", 0, 0.4)),
            *(("popularity_exponent", 0, 3), ("taste", 0, 3), ("size_spread", 0, 2)),
        )
        for name, low, high in ranges:
            if not low <= getattr(self, name) <= high:
                raise InvalidInput(f"{name} must lie in [{low}, {high}]; it is {getattr(self, name)}")
        if not self.min_items <= self.mean_items <= self.max_items:
            raise InvalidInput(
                f"mean_items must lie in [min_items, seven tenths of a shelf] = [{self.min_items}, {self.max_items}]; "
                f"it is {self.mean_items}"
            )

    @property
    def shelf_items(self) -> int:
        """Items of one shelf."""
        return self.n_items // (2 * self.n_themes)

    @property
    def max_items(self) -> int:
        """Largest size of a user."""
        return (7 * self.shelf_items) // 10

    @property
    def n_blocks(self) -> int:
        """Blocks that the world is made in."""
        return -(-self.n_users // self.block_users)


@dataclass(frozen=True)
class PlantedBlock:
    """Users ``first_user ...`` of a world: their matrix ``(users, n_items)`` and their truth."""

    first_user: int
    matrix: csr_array
    truth: pd.DataFrame


def generate(world: PlantedWorld, seed: int) -> Interactions:
    """Make a planted world.

    Parameters
    ----------
    world
        What it is like.
    seed
        The same seed gives the same world (for one version of NumPy, whose distributions may change).

    Returns
    -------
    Interactions
        Users and items numbered from 0, items titled "theme 3 / item 12", genres the theme. ``truth`` has, per user:
        ``user`` (the id), ``community`` (-1 for a bridge), ``theme``, ``shelf`` (0, 1; -1 for a bridge), ``role``
        ("member", "bridge", "twin", "exact_twin") and ``partner`` (the twin's id, or -1).

    Examples
    --------
    >>> generate(PlantedWorld(n_users=50), seed=0).n_users
    50
    """
    blocks = list(stream(world, seed))
    matrix = csr_array(vstack([block.matrix for block in blocks], format="csr"))
    items = np.arange(world.n_items, dtype=np.int64)
    theme_items = 2 * world.shelf_items
    titles = [f"theme {item // theme_items + 1} / item {item % theme_items + 1}" for item in items]
    return Interactions(
        binary_csr(matrix.indptr, matrix.indices, matrix.shape),
        np.arange(world.n_users, dtype=np.int64),
        items,
        item_titles=np.array(titles, dtype=object),
        item_genres=np.array([f"theme {item // theme_items + 1}" for item in items], dtype=object),
        name="planted",
        truth=pd.concat([block.truth for block in blocks], ignore_index=True),
    )


def stream(world: PlantedWorld, seed: int) -> Iterator[PlantedBlock]:
    """Yield the world block by block; memory is bounded by one block, whatever ``n_users``.

    Any block can be made alone: its draws depend on the seed and its number only. The blocks together are
    :func:`generate`'s world.
    """
    tables = planted_tables(world, derive(seed, "planted", "tables"))
    for number in range(world.n_blocks):
        first = number * world.block_users
        n_users = min(world.block_users, world.n_users - first)
        yield _block(world, tables, first, n_users, derive(seed, "planted", "block", number))


def _block(
    world: PlantedWorld, tables: PlantedTables, first: int, n_users: int, rng: np.random.Generator
) -> PlantedBlock:
    role, partner = _roles(world, n_users, rng)
    copies = (partner >= 0) & (partner < np.arange(n_users))
    originals = np.flatnonzero(~copies)
    community = rng.integers(world.n_communities, size=n_users)
    # A bridge has a second home, on the other shelf of its theme.
    other = tables.opposite(community, rng)
    community[copies] = community[partner[copies]]
    log_mean = np.log(world.mean_items) - world.size_spread**2 / 2
    sizes = np.rint(np.exp(rng.normal(log_mean, world.size_spread, size=n_users))).astype(np.int64)
    sizes = np.clip(sizes, world.min_items, world.max_items)
    population = Population(community[originals], other[originals], role[originals] == BRIDGE, sizes[originals])
    drawn = draw_items(tables, population, world.mixing, rng)
    rows = [drawn[start:stop] for start, stop in _bounds(sizes[originals])]
    items: list[np.ndarray] = [np.zeros(0, dtype=np.int64)] * n_users
    for user, row in zip(originals, rows, strict=True):
        items[user] = row
    for user in np.flatnonzero(copies):
        original = items[partner[user]]
        exact = role[user] == EXACT_TWIN
        items[user] = (
            original
            if exact
            else _edited(original, tables.shelf_of(community[user]), tables.signature[community[user]], rng)
        )
    return PlantedBlock(first, _matrix(items, world.n_items), _truth(tables, first, community, role, partner))


def _bounds(sizes: np.ndarray) -> Iterator[tuple[int, int]]:
    stops = np.cumsum(sizes)
    yield from zip((stops - sizes).tolist(), stops.tolist(), strict=True)


def _roles(world: PlantedWorld, n_users: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return each user's role and the place of its twin in the block (-1: none)."""
    role = np.full(n_users, MEMBER)
    partner = np.full(n_users, -1)
    order = rng.permutation(n_users)
    exact_pairs, near_pairs = (int(share * n_users / 2 + 0.5) for share in (world.exact_twin_share, world.twin_share))
    used = 0
    for kind, pairs in ((EXACT_TWIN, exact_pairs), (TWIN, near_pairs)):
        pairs = min(pairs, (n_users - used) // 2)
        left, right = order[used : used + pairs], order[used + pairs : used + 2 * pairs]
        role[left], role[right] = kind, kind
        partner[left], partner[right] = right, left
        used += 2 * pairs
    rest = order[used:]
    role[rest[rng.random(len(rest)) < world.bridge_share]] = BRIDGE
    return role, partner


def _edited(items: np.ndarray, shelf: tuple[int, int], signature: int, rng: np.random.Generator) -> np.ndarray:
    """Return a copy that lacks one item, has one more, or has one exchanged; the signature item stays."""
    lacks, gains = ((True, False), (False, True), (True, True))[rng.integers(3)]
    new = rng.choice(np.setdiff1d(np.arange(*shelf), items))
    if lacks:
        items = items[items != rng.choice(items[items != signature])]
    return np.append(items, new) if gains else items


def _matrix(items: list[np.ndarray], n_items: int) -> csr_array:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in items])])
    matrix = binary_csr(indptr, np.concatenate(items), (len(items), n_items))
    matrix.sort_indices()
    return matrix


def _truth(
    tables: PlantedTables, first: int, community: np.ndarray, role: np.ndarray, partner: np.ndarray
) -> pd.DataFrame:
    bridge = role == BRIDGE
    return pd.DataFrame(
        {
            "user": np.arange(first, first + len(role)),
            "community": np.where(bridge, -1, community),
            "theme": tables.theme[community],
            "shelf": np.where(bridge, -1, tables.shelf[community]),
            "role": ROLES[role],
            "partner": np.where(partner >= 0, partner + first, -1),
        }
    )
