"""Strong generalisation: models are tested on users they never saw, from a part of those users' items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from collabtheory.data.interactions import Interactions, binary_csr
from collabtheory.data.pair_table import distinct
from collabtheory.errors import DataError, InvalidInput


@dataclass(frozen=True, eq=False)
class FoldIn:
    """Users to be tested: what the model is shown of them, and what it must find.

    Parameters
    ----------
    rows
        Row numbers in the data that was split, ``(n,)``, int64.
    fold_in, held_out
        ``(n, n_kept_items)`` binary CSR, float32; every row of each has at least one entry, and no entry is in both.
    rows_left_out
        Users drawn for this part with fewer than two items among those kept.
    """

    rows: np.ndarray
    fold_in: csr_array
    held_out: csr_array
    rows_left_out: np.ndarray

    @property
    def n_users(self) -> int:
        """Users that can be tested."""
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class StrongSplit:
    """Train, validation and test users over one item set, that of the train users.

    Parameters
    ----------
    train
        The train users' interactions, ``n_kept_items`` columns.
    validation, test
        The users to be tested.
    train_rows
        Row numbers of the train users in the data that was split.
    items
        Columns kept, ascending: column ``j`` of every matrix here is column ``items[j]`` of the data.
    n_items_removed
        Items that no train user has.
    n_interactions_removed
        Validation and test interactions with such items.
    """

    train: Interactions
    validation: FoldIn
    test: FoldIn
    train_rows: np.ndarray
    items: np.ndarray
    n_items_removed: int
    n_interactions_removed: int

    def __str__(self) -> str:
        left_out = len(self.validation.rows_left_out) + len(self.test.rows_left_out)
        return (
            f"{self.train.n_users:,} train, {self.validation.n_users:,} validation, {self.test.n_users:,} test users; "
            f"{len(self.items):,} items; left out: {self.n_items_removed:,} items without a train user, "
            f"{self.n_interactions_removed:,} interactions with them, {left_out:,} users with fewer than 2 items left"
        )


def strong_generalisation(
    data: Interactions,
    *,
    n_validation: int | None = None,
    n_test: int | None = None,
    held_out_fraction: float = 0.2,
    rng: np.random.Generator,
) -> StrongSplit:
    """Split users at random into train, validation and test users (arXiv:1802.05814).

    Parameters
    ----------
    data
        At least 3 users.
    n_validation, n_test
        Users to draw; a tenth of all, at least 1, if None.
    held_out_fraction
        Share of a tested user's items that is held out, in (0, 1): ``floor(share * n)``, in 1 .. ``n - 1``.
    rng
        Source of the draw. What is drawn depends on ids, not on the order of rows and columns.

    Returns
    -------
    StrongSplit
        Over the train users' items; users with fewer than two of these are left out and counted, never scored.

    Raises
    ------
    InvalidInput
        If the numbers leave no train user, or the fraction is out of range.
    DataError
        If there are fewer than 3 users, or none of the users drawn can be tested.

    Examples
    --------
    >>> import numpy as np
    >>> from collabtheory.data import load
    >>> print(strong_generalisation(load("davis"), rng=np.random.default_rng(0)))  # doctest: +ELLIPSIS
    14 train, 2 validation, 2 test users; ... items; left out: ...
    """
    if data.n_users < 3:
        raise DataError(f"{data.name}: a train/validation/test split needs at least 3 users; there are {data.n_users}")
    tenth = max(1, round(0.1 * data.n_users))
    n_validation, n_test = (tenth if n is None else n for n in (n_validation, n_test))
    for argument, number in (("n_validation", n_validation), ("n_test", n_test)):
        if not isinstance(number, int | np.integer) or number < 0:
            raise InvalidInput(f"{argument} must be a whole number, 0 or more; it is {number!r}")
    if n_validation + n_test >= data.n_users:
        raise InvalidInput(
            f"n_validation + n_test must be below the {data.n_users} users; it is {n_validation + n_test}"
        )
    order = np.argsort(data.user_ids, kind="stable")[rng.permutation(data.n_users)]
    validation, test = order[:n_validation], order[n_validation : n_validation + n_test]
    return split_by_users(data, validation, test, held_out_fraction=held_out_fraction, rng=rng)


def user_folds(
    data: Interactions,
    k: int,
    *,
    n_validation: int | None = None,
    held_out_fraction: float = 0.2,
    rng: np.random.Generator,
) -> list[StrongSplit]:
    """Split users into ``k`` folds, each the test users of one split, so that every user is tested once.

    In each split the validation users (a tenth of all, if ``n_validation`` is None) are drawn from the other folds.
    Raises as :func:`strong_generalisation`; ``k`` must lie in 2..n_users.
    """
    if not isinstance(k, int | np.integer) or not 2 <= k <= data.n_users:
        raise InvalidInput(f"k must be a whole number in 2..{data.n_users} (the number of users); it is {k!r}")
    n_validation = max(1, round(0.1 * data.n_users)) if n_validation is None else n_validation
    order = np.argsort(data.user_ids, kind="stable")[rng.permutation(data.n_users)]
    splits = []
    for test in np.array_split(order, k):
        others = np.setdiff1d(order, test)
        if not 0 <= n_validation < len(others):
            raise InvalidInput(f"n_validation must lie in 0..{len(others) - 1}; it is {n_validation}")
        others = others[np.argsort(data.user_ids[others], kind="stable")]
        validation = rng.permutation(others)[:n_validation]
        splits.append(split_by_users(data, validation, test, held_out_fraction=held_out_fraction, rng=rng))
    return splits


def split_by_users(
    data: Interactions,
    validation_rows: np.ndarray,
    test_rows: np.ndarray,
    *,
    held_out_fraction: float = 0.2,
    rng: np.random.Generator,
) -> StrongSplit:
    """Split by given users; all others train. Arguments and errors as in :func:`strong_generalisation`."""
    if not 0 < held_out_fraction < 1:
        raise InvalidInput(f"held_out_fraction must lie strictly between 0 and 1; it is {held_out_fraction}")
    tested = np.concatenate([validation_rows, test_rows]).astype(np.int64)
    if len(distinct(tested)) != len(tested):
        raise InvalidInput("validation_rows and test_rows must not share a user or name one twice")
    train_rows = np.setdiff1d(np.arange(data.n_users), tested)
    kept = np.bincount(data.matrix[train_rows].indices, minlength=data.n_items) > 0
    if not kept.any():
        raise DataError(f"{data.name}: the train users have no item at all")
    items = np.flatnonzero(kept)
    removed = int(data.matrix[tested].nnz - data.matrix[tested][:, items].nnz) if len(tested) else 0
    validation, test = (
        _fold_in(data, np.sort(np.asarray(rows, dtype=np.int64)), items, held_out_fraction, rng, part)
        for part, rows in (("validation", validation_rows), ("test", test_rows))
    )
    return StrongSplit(
        data.select_users(train_rows).select_items(items),
        validation,
        test,
        train_rows=train_rows,
        items=items,
        n_items_removed=data.n_items - len(items),
        n_interactions_removed=removed,
    )


def _fold_in(
    data: Interactions, rows: np.ndarray, items: np.ndarray, fraction: float, rng: np.random.Generator, part: str
) -> FoldIn:
    matrix = csr_array(data.matrix[rows][:, items])
    matrix.sort_indices()
    usable = np.diff(matrix.indptr) >= 2
    if len(rows) and not usable.any():
        raise DataError(
            f"{data.name}: none of the {len(rows)} {part} users has two items that train users have; "
            "draw more users, or another seed"
        )
    matrix = matrix[usable]
    held = _draw_held_out(matrix, data.user_ids[rows[usable]], data.item_ids[items], fraction, rng)
    return FoldIn(rows[usable], _part(matrix, ~held), _part(matrix, held), rows[~usable])


def _draw_held_out(
    matrix: csr_array, user_ids: np.ndarray, item_ids: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Return which stored entries are held out: in each row the ``floor(fraction n)`` (1..n-1) smallest random keys."""
    sizes = np.diff(matrix.indptr)
    row = np.repeat(np.arange(matrix.shape[0]), sizes)
    # Keys are dealt out in the order of ids, so that they do not depend on how rows and columns are arranged.
    by_id = np.lexsort((_ranks(item_ids)[matrix.indices], _ranks(user_ids)[row]))
    keys = np.empty(matrix.nnz)
    keys[by_id] = rng.random(matrix.nnz)
    order = np.lexsort((keys, row))
    position = np.empty(matrix.nnz, dtype=np.int64)
    position[order] = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], sizes)
    n_held_out = np.clip(np.floor(fraction * sizes + 1e-9).astype(np.int64), 1, sizes - 1)
    return np.asarray(position < n_held_out[row])


def _ranks(ids: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(ids), dtype=np.int64)
    ranks[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    return ranks


def _part(matrix: csr_array, chosen: np.ndarray) -> csr_array:
    indptr = np.concatenate([[0], np.cumsum(chosen)])[matrix.indptr]
    return binary_csr(indptr, matrix.indices[chosen], matrix.shape)
