"""The ``k`` best items of each user without sorting all of them, in one exact order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput

# Larger blocks fall out of the cache, and fresh pages cost as much as the selection itself.
BLOCK_ENTRIES = 1 << 18


def top_k(values: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the ``k`` largest values of each row, largest first, ties by column number.

    Equal to a full stable sort of each row in descending order, cut at ``k``.

    Parameters
    ----------
    values
        ``(rows, columns)``, floats without NaN; infinite values are allowed.
    k
        At least 1.

    Returns
    -------
    np.ndarray
        ``(rows, min(k, columns))``, int64.

    Raises
    ------
    InvalidInput
        If ``k`` is below 1.

    Examples
    --------
    >>> top_k(np.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]]), 3).tolist()
    [[1, 2, 3], [0, 1, 2]]
    """
    check_k(k)
    n, columns = values.shape
    if k >= columns:
        return np.argsort(-values, axis=1, kind="stable")
    least = np.partition(values, columns - k, axis=1)[:, columns - k]
    chosen = np.flatnonzero(values >= least[:, None])
    if len(chosen) > n * k:
        chosen = _first_ties(values, chosen, least, k)
    items = (chosen % columns).reshape(n, k)
    order = np.argsort(-np.take_along_axis(values, items, axis=1), axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1)


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best unseen items of some neighbouring users.

    Parameters
    ----------
    users
        Which rows of the scores these are.
    items
        ``(users, min(k, items))``, best first. A user with fewer unseen items has seen ones behind them, by number.
    unseen
        Which of them are unseen, boolean: the others pad the ranking, and are neither recommended nor a hit.
    """

    users: slice
    items: np.ndarray
    unseen: np.ndarray

    def found(self, held_out: sparse.csr_array) -> np.ndarray:
        """Return which ranked items are unseen and held out, boolean; ``held_out`` has a row for every user scored."""
        relevant = np.zeros((len(self.items), held_out.shape[1]), dtype=bool)
        relevant[entries(held_out, self.users)] = True
        return np.asarray(np.take_along_axis(relevant, self.items, axis=1) & self.unseen)


def best_unseen(
    scores: np.ndarray, seen: sparse.csr_array, k: int, rows: np.ndarray | None = None
) -> Iterator[Ranking]:
    """Yield the users' best unseen items in blocks that fit the cache.

    Parameters
    ----------
    scores
        ``(users, items)``, finite; never changed.
    seen
        ``(users, items)`` CSR.
    k
        At least 1.
    rows
        Numbers of the users for messages, ``(users,)``; counted from 0 if None.

    Raises
    ------
    InvalidInput
        If the shapes differ, a score is not finite (the message names the row) or ``k`` is below 1.
    """
    check_k(k)
    if scores.shape != seen.shape:
        raise InvalidInput(f"scores and seen must have the same shape; they have {scores.shape} and {seen.shape}")
    rows = np.arange(len(scores)) if rows is None else rows
    values = scores if scores.dtype in (np.float32, np.float64) else scores.astype(np.float64)
    step = max(1, BLOCK_ENTRIES // max(1, scores.shape[1]))
    for start in range(0, scores.shape[0], step):
        users = slice(start, min(start + step, scores.shape[0]))
        check_finite(values[users], rows[users])
        masked = values[users].copy(order="C")
        masked[entries(seen, users)] = -np.inf
        items = top_k(masked, k)
        yield Ranking(users, items, np.take_along_axis(masked, items, axis=1) > -np.inf)


def entries(matrix: sparse.csr_array, users: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, counted from ``users.start``, and columns of the stored entries of some users."""
    indptr = matrix.indptr[users.start : users.stop + 1]
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), matrix.indices[indptr[0] : indptr[-1]]


def check_k(k: int) -> None:
    """Refuse a length of ranking below 1."""
    if k < 1:
        raise InvalidInput(f"k must be at least 1; it is {k}")


def check_finite(scores: np.ndarray, rows: np.ndarray) -> None:
    """Refuse scores that are not finite; the message names the user's number in ``rows``."""
    finite = np.isfinite(scores)
    if not finite.all():
        place, item = (int(index) for index in np.argwhere(~finite)[0])
        raise InvalidInput(
            f"scores must be finite; that of item {item} for the user in row {rows[place]} is {scores[place, item]}"
        )


def _first_ties(values: np.ndarray, chosen: np.ndarray, least: np.ndarray, k: int) -> np.ndarray:
    """Drop, in each row, the last of the entries that tie at its least value, so that ``k`` are left."""
    row = chosen // values.shape[1]
    tied = values.ravel()[chosen] == least[row]
    ties = np.bincount(row[tied], minlength=len(least))
    surplus = np.bincount(row, minlength=len(least)) - k
    # Tied entries come by row, then column: the place of each among those of its row.
    place = np.arange(int(tied.sum())) - np.repeat(np.cumsum(ties) - ties, ties)
    keep = np.ones(len(chosen), dtype=bool)
    keep[tied] = place < np.repeat(ties - surplus, ties)
    return np.asarray(chosen[keep])
