"""Evaluation of a scorer on tested users: accuracy of each user and exposure of each item, in one pass over blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.ranking.definitions import DEFAULT_METRICS, Metric, metrics_named
from collabtheory.ranking.metrics import held_out_sizes
from collabtheory.ranking.top_k import best_unseen, check_k

if TYPE_CHECKING:
    from collabtheory.data.split import FoldIn

Scorer = Callable[[sparse.csr_array], np.ndarray]
"""Maps fold-in contents ``(users, items)`` to scores ``(users, items)``, finite floats, larger is better."""


@dataclass(frozen=True, eq=False)
class UserScores:
    """What a scorer reached on each tested user, and which items it recommended.

    Parameters
    ----------
    rows
        Row numbers of the users in the data that was split, ``(users,)``, int64.
    values
        Metric name to each user's value, ``(users,)`` in [0, 1], float64.
    n_fold_in, n_held_out
        Items shown to the model, and items to be found, ``(users,)``, int64.
    recommended
        Length ``k`` of the list to the number of users whose ``k`` best items include each item, ``(items,)``, int64.
    """

    rows: np.ndarray
    values: Mapping[str, np.ndarray]
    n_fold_in: np.ndarray
    n_held_out: np.ndarray
    recommended: Mapping[int, np.ndarray]

    @property
    def n_users(self) -> int:
        """Users tested."""
        return len(self.rows)

    @property
    def means(self) -> dict[str, float]:
        """Mean of each metric over the users."""
        return {name: float(values.mean()) for name, values in self.values.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return each user's value of a metric; InvalidInput lists the metrics there are."""
        if name not in self.values:
            raise InvalidInput(f"{name!r} was not evaluated; there are {', '.join(self.values)}")
        return self.values[name]


def evaluate(
    scores: Scorer,
    users: FoldIn,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    count_at: Sequence[int] = (20, 100),
    block: int = 512,
) -> UserScores:
    """Rank the unseen items of each tested user by a scorer, and compare them with the held-out items.

    Parameters
    ----------
    scores
        Called on ``block`` users' fold-in contents at a time; a model's ``.scores``.
    users
        Whom to test.
    metrics
        Names as in :mod:`~collabtheory.ranking.definitions`.
    count_at
        Lengths of the lists over which recommendations of each item are counted.
    block
        Users scored at a time. Memory is about ``20 * block * n_items`` bytes; results do not depend on it, provided
        that a user's scores do not.

    Returns
    -------
    UserScores
        In the order of ``users.rows``.

    Raises
    ------
    InvalidInput
        If a metric is unknown, a user has no held-out item, or one that is also in its fold-in, or the scores of a
        user are not finite or have another shape than the contents; the message names the user's row in the data.

    Notes
    -----
    Equal scores are ordered by item number. Items of the fold-in are never recommended: with fewer than ``k`` unseen
    items the ranking is shorter.

    Examples
    --------
    Popularity, where one user of two finds its item in first place and the other in second:

    >>> from collabtheory.data.split import FoldIn
    >>> fold_in = sparse.csr_array([[1, 0, 0, 0], [0, 0, 0, 1]])
    >>> held_out = sparse.csr_array([[0, 1, 0, 0], [0, 1, 0, 0]])
    >>> users = FoldIn(np.array([4, 7]), fold_in, held_out, np.array([]))
    >>> popularity = np.array([4.0, 3.0, 2.0, 1.0])
    >>> reached = evaluate(lambda x: np.tile(popularity, (x.shape[0], 1)), users, metrics=["recall@1", "ndcg@2"])
    >>> reached["recall@1"].tolist(), reached["ndcg@2"].round(3).tolist()
    ([1.0, 0.0], [1.0, 0.631])
    """
    if block < 1:
        raise InvalidInput(f"block must be at least 1; it is {block}")
    named = metrics_named(metrics)
    n_held_out = _checked_sizes(users)
    tally = _Tally(named, tuple(count_at), n_held_out, users)
    for start in range(0, len(n_held_out), block):
        part = slice(start, min(start + block, len(n_held_out)))
        seen = sparse.csr_array(users.fold_in[part])
        tally.add(np.asarray(scores(seen)), seen, sparse.csr_array(users.held_out[part]), part)
    n_fold_in = np.diff(users.fold_in.indptr).astype(np.int64)
    return UserScores(np.asarray(users.rows), tally.values, n_fold_in, n_held_out, tally.recommended)


class _Tally:
    """Accuracy and exposure, filled block by block, so that no more than a block is ever ranked at once."""

    def __init__(
        self, metrics: tuple[Metric, ...], count_at: tuple[int, ...], sizes: np.ndarray, users: FoldIn
    ) -> None:
        for k in count_at:
            check_k(k)
        self.metrics = metrics
        self.rows = users.rows
        self.sizes = sizes
        self.longest = max([metric.k for metric in metrics] + list(count_at))
        self.values = {metric.name: np.empty(len(sizes)) for metric in metrics}
        self.recommended = {k: np.zeros(users.fold_in.shape[1], dtype=np.int64) for k in count_at}

    def add(self, scores: np.ndarray, seen: sparse.csr_array, held_out: sparse.csr_array, part: slice) -> None:
        """Rank the users of ``part`` once, and enter what every metric and count needs."""
        for ranking in best_unseen(scores, seen, self.longest, self.rows[part]):
            users = slice(part.start + ranking.users.start, part.start + ranking.users.stop)
            found = ranking.found(held_out)
            for metric in self.metrics:
                self.values[metric.name][users] = metric.of(found, self.sizes[users])
            for k, counts in self.recommended.items():
                items = ranking.items[:, :k][ranking.unseen[:, :k]]
                counts += np.bincount(items, minlength=len(counts))


def _checked_sizes(users: FoldIn) -> np.ndarray:
    """Return the numbers of held-out items, having refused users that cannot be tested."""
    shapes = users.fold_in.shape, users.held_out.shape
    if shapes[0] != shapes[1] or shapes[0][0] != len(users.rows):
        raise InvalidInput(
            f"fold_in and held_out must have {len(users.rows)} rows and equal shapes; they have {shapes}"
        )
    if not len(users.rows):
        raise InvalidInput("there is no user to evaluate")
    sizes = held_out_sizes(users.held_out, users.rows)
    both = np.diff(sparse.csr_array(users.fold_in.multiply(users.held_out)).indptr)
    if both.any():
        row = int(users.rows[np.flatnonzero(both)[0]])
        raise InvalidInput(f"the user in row {row} has an item both in its fold-in and held out; hold out other items")
    return sizes
