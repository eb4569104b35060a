"""The same user with another history: what length, popularity and coherence of the items do to the code.

Each comparison is paired within the user, so that nothing else about the user differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.latent.code_sparsity import CodeSparsity, code_sparsity
from collabtheory.latent.masked_codes import kept_entries
from collabtheory.models.recommender import Recommender

KINDS = ("similar", "popular", "rare", "uniform")
LENGTHS = (5, 10, 20, 40)
_WINDOW = 5
_POOL_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class LengthExperiment:
    """Codes of the same users with random parts of their histories.

    Parameters
    ----------
    users
        Row numbers of the users with at least ``lengths[-1]`` items.
    lengths
        Items left, increasing. A shorter part is a part of the longer one.
    codes
        One :class:`CodeSparsity` a length.
    """

    users: np.ndarray
    lengths: tuple[int, ...]
    codes: tuple[CodeSparsity, ...]

    def shortest_minus_longest(self, outcome: str) -> np.ndarray:
        """Return the paired difference of an outcome, one a user."""
        return np.asarray(getattr(self.codes[0], outcome) - getattr(self.codes[-1], outcome))

    def per_doubling(self, outcome: str) -> np.ndarray:
        """Return the least-squares slope of an outcome on ``log2(length)``, one a user."""
        steps = np.log2(self.lengths) - np.log2(self.lengths).mean()
        values = np.stack([getattr(codes, outcome) for codes in self.codes])
        return np.asarray(steps @ values / (steps @ steps))


def length_experiment(
    recommender: Recommender,
    data: Interactions,
    users: np.ndarray,
    *,
    lengths: tuple[int, ...] = LENGTHS,
    rng: np.random.Generator,
) -> LengthExperiment:
    """Take items away at random, and look at the codes of what is left.

    Parameters
    ----------
    recommender, data, users
        The model, its data, and row numbers; users with fewer than ``lengths[-1]`` items are left out.
    lengths
        At least two, increasing, from 1.
    rng
        Source of the order in which items go.

    Raises
    ------
    InvalidInput
        If ``lengths`` are not increasing, or no user has as many items as the last.

    Examples
    --------
    >>> from collabtheory.data.planted import PlantedWorld, generate
    >>> from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
    >>> world = generate(PlantedWorld(n_users=40), 0)
    >>> model = from_mult_vae(MultVAE(ModelSpec(hidden=(4,), latent=2), 480, np.random.default_rng(0)))
    >>> found = length_experiment(model, world, np.arange(40), lengths=(5, 10, 20), rng=np.random.default_rng(1))
    >>> len(found.codes), found.per_doubling("kl").shape == found.users.shape
    (3, True)
    """
    if len(lengths) < 2 or lengths[0] < 1 or any(np.diff(lengths) <= 0):
        raise InvalidInput(f"lengths must be at least two increasing numbers from 1; they are {lengths}")
    users = np.asarray(users)
    long_enough = users[data.sizes[users] >= lengths[-1]]
    if len(long_enough) == 0:
        raise InvalidInput(f"no user has {lengths[-1]} items; take shorter lengths")
    contents = data.matrix[long_enough]
    order = _order_in_rows(contents, rng)
    codes = tuple(code_sparsity(recommender.posterior(kept_entries(contents, order < length))) for length in lengths)
    return LengthExperiment(long_enough, lengths, codes)


def replace_items(
    contents: sparse.csr_array, counts: np.ndarray, kind: str, *, share: float = 1.0, rng: np.random.Generator
) -> sparse.csr_array:
    """Exchange some of each user's items for equally many that the user does not have.

    Parameters
    ----------
    contents
        Binary contents, ``(users, items)``.
    counts
        Popularity of each item, ``(items,)``.
    kind
        What comes instead: ``"similar"``: for each item one of about its popularity, so that only the combination is
        unusual; ``"popular"`` and ``"rare"``: from the tenth of the items at either end (from more if these are too
        few); ``"uniform"``: any.
    share
        Of each user's items that go, in (0, 1]; at least one.
    rng
        The same state makes the same items go under every kind.

    Returns
    -------
    scipy.sparse.csr_array
        Rows of the same sizes.

    Raises
    ------
    InvalidInput
        If ``kind`` or ``share`` is not allowed, or a user has more items to exchange than there are others.

    Examples
    --------
    >>> x = sparse.csr_array(np.array([[1.0, 0, 0, 1.0, 0, 0]]))
    >>> counts = np.array([9, 8, 7, 3, 2, 1])
    >>> replace_items(x, counts, "popular", rng=np.random.default_rng(0)).toarray().sum()
    np.float64(2.0)
    """
    if kind not in KINDS:
        raise InvalidInput(f"kind must be one of {', '.join(map(repr, KINDS))}; it is {kind!r}")
    if not 0 < share <= 1:
        raise InvalidInput(f"share must lie in (0, 1]; it is {share}")
    sizes = np.diff(contents.indptr)
    goes = _order_in_rows(contents, rng) < np.maximum(1, np.rint(share * np.repeat(sizes, sizes)))
    by_rank = np.argsort(-np.asarray(counts), kind="stable")
    rank_of = np.argsort(by_rank, kind="stable")
    logs = np.log(np.maximum(np.asarray(counts)[by_rank], 1.0))
    columns = contents.indices.copy()
    for start, stop in zip(contents.indptr[:-1], contents.indptr[1:], strict=True):
        here = start + np.flatnonzero(goes[start:stop])
        columns[here] = by_rank[_newcomers(rank_of[columns[start:stop]], rank_of[columns[here]], logs, kind, rng)]
    changed = sparse.csr_array((contents.data.copy(), columns, contents.indptr.copy()), shape=contents.shape)
    changed.sort_indices()
    return changed


def _newcomers(
    mine: np.ndarray, leaving: np.ndarray, logs: np.ndarray, kind: str, rng: np.random.Generator
) -> np.ndarray:
    """Return the ranks of the items that come in place of those leaving; ranks are by popularity, 0 the most."""
    n_items = len(logs)
    is_free = np.ones(n_items, dtype=bool)
    is_free[mine] = False
    free = np.flatnonzero(is_free)
    n = len(leaving)
    if len(free) < n:
        raise InvalidInput(f"a user with {len(mine)} of {n_items} items has not {n} others to exchange them for")
    if kind == "similar":
        return _similar(free, leaving, logs, rng)
    pool = max(n, int(_POOL_SHARE * n_items))
    pools = {"popular": free[:pool], "rare": free[-pool:], "uniform": free}
    return np.asarray(rng.permutation(pools[kind])[:n])


def _similar(free: np.ndarray, leaving: np.ndarray, logs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    chosen = np.empty(len(leaving), dtype=np.int64)
    # Users have popular items, so what they do not have is rarer: each choice makes up for what those before it lost.
    lost = 0.0
    for position in rng.permutation(len(leaving)):
        at = int(np.searchsorted(-logs[free], -(logs[leaving[position]] + lost)))
        low, high = max(0, min(at - _WINDOW, len(free) - 1)), min(len(free), at + _WINDOW)
        pick = int(rng.integers(low, high))
        chosen[position] = free[pick]
        lost += logs[leaving[position]] - logs[free[pick]]
        free = np.delete(free, pick)
    return chosen


def _order_in_rows(contents: sparse.csr_array, rng: np.random.Generator) -> np.ndarray:
    """Return a random order of the entries of each row, counted from 0, ``(nnz,)``."""
    sizes = np.diff(contents.indptr)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((rng.random(contents.nnz), rows))
    position = np.empty(contents.nnz, dtype=np.int64)
    position[order] = np.arange(contents.nnz) - np.repeat(contents.indptr[:-1], sizes)
    return position
