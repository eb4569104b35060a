r"""Recall and nDCG by name, since libraries mean different things by the same word.

A name is ``family@k`` with an optional suffix; ``n`` is the number of a user's held-out items:

============== ==================================== ======================================
name           what the user's sum is divided by    who means this
============== ==================================== ======================================
``recall@k``   ``min(k, n)``                        arXiv:1802.05814, LensKit; default here
``recall@k/n`` ``n``                                RecBole, Cornac, RecTools, RecSys2019
``ndcg@k``     the gain of ``min(k, n)`` hits       most; default here
``ndcg@k/n``   the gain of ``n`` hits, not cut      RecSys2019
``ndcg@k/k``   the gain of ``k`` hits               RecTools
============== ==================================== ======================================

Two users with hits at places 1 and 4 of 5, one with two held-out items and one with ten, in each library's words:

>>> found, n = np.array([[True, False, False, True, False]] * 2), np.array([2, 10])
>>> for library, (recall, ndcg) in LIBRARIES.items():
...     recall, ndcg = (metric(name.replace("@k", "@5")).of(found, n).mean() for name in (recall, ndcg))
...     print(f"{library:16} {recall:.3f} {ndcg:.3f}")
collabtheory     0.700 0.681
arXiv:1802.05814 0.700 0.681
LensKit          0.700 0.681
RecBole          0.600 0.681
Cornac           0.600 0.681
RecTools         0.600 0.485
RecSys2019       0.600 0.596
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from collabtheory.errors import InvalidInput

DEFAULT_METRICS = ("ndcg@100", "recall@20", "recall@50")
"""The three of arXiv:1802.05814, in its definitions."""


@dataclass(frozen=True)
class Metric:
    """One named ranking metric; build it with :func:`metric`.

    Parameters
    ----------
    name
        Its name, such as ``"recall@20/n"``.
    k
        Places of the ranking that count.
    """

    name: str
    k: int

    def of(self, found: np.ndarray, n_held_out: np.ndarray) -> np.ndarray:
        """Return each user's value, ``(users,)`` in [0, 1], float64.

        Parameters
        ----------
        found
            Which ranked items are held out, best first, boolean ``(users, places)``; places behind ``k`` do not count,
            and a ranking shorter than ``k`` finds nothing there.
        n_held_out
            Held-out items of each user, ``(users,)``, at least 1.
        """
        return METRICS[self.name.replace(f"@{self.k}", "@k")](found[:, : self.k], n_held_out, self.k)


def metric(name: str) -> Metric:
    """Return the metric of a name.

    Raises
    ------
    InvalidInput
        If there is no such metric; the message lists those that exist.

    Examples
    --------
    Three held-out items, of which places 1 and 4 of a ranking of 4 hold two:

    >>> found, n = np.array([[True, False, False, True]]), np.array([3])
    >>> for name in ("recall@2", "recall@2/n", "ndcg@2", "ndcg@2/n", "ndcg@4", "ndcg@4/k"):
    ...     print(f"{name:10} {metric(name).of(found, n)[0]:.3f}")
    recall@2   0.500
    recall@2/n 0.333
    ndcg@2     0.613
    ndcg@2/n   0.469
    ndcg@4     0.671
    ndcg@4/k   0.559
    """
    k = re.search(r"@([1-9][0-9]*)(?=$|/)", name)
    if k is None or name.replace(k[0], "@k") not in METRICS:
        raise InvalidInput(f"there is no metric {name!r}; there are {', '.join(METRICS)}, with a whole number k >= 1")
    return Metric(name, int(k[1]))


def metrics_named(names: Sequence[str]) -> tuple[Metric, ...]:
    """Return the metrics of some names; InvalidInput if there is none, one comes twice, or one is unknown."""
    if isinstance(names, str) or not names or len(set(names)) != len(names):
        raise InvalidInput(f"metrics must be a list of different names, at least one; it is {names!r}")
    return tuple(metric(name) for name in names)


def _hits(found: np.ndarray) -> np.ndarray:
    return np.asarray(found.sum(1, dtype=np.float64))


def _gain(found: np.ndarray) -> np.ndarray:
    # Row by row rather than a matrix product, whose last digit would depend on how many users share the block.
    return np.asarray((found * _discounts(found.shape[1])).sum(1))


def _discounts(n: int) -> np.ndarray:
    return np.asarray(1.0 / np.log2(np.arange(2, n + 2)))


def _ideal(n_hits: np.ndarray) -> np.ndarray:
    """Return the gain of that many hits at the top of the ranking."""
    return np.asarray(np.cumsum(_discounts(int(n_hits.max(initial=1))))[n_hits - 1])


METRICS: MappingProxyType[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = MappingProxyType(
    {
        "recall@k": lambda found, n, k: _hits(found) / np.minimum(n, k),
        "recall@k/n": lambda found, n, k: _hits(found) / n,
        "ndcg@k": lambda found, n, k: _gain(found) / _ideal(np.minimum(n, k)),
        "ndcg@k/n": lambda found, n, k: _gain(found) / _ideal(n),
        "ndcg@k/k": lambda found, n, k: _gain(found) / _ideal(np.full_like(n, k)),
    }
)
"""What is computed from hits ``(users, at most k)``, held-out items ``(users,)`` and ``k``."""

LIBRARIES: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "collabtheory": ("recall@k", "ndcg@k"),
        "arXiv:1802.05814": ("recall@k", "ndcg@k"),
        "LensKit": ("recall@k", "ndcg@k"),
        "RecBole": ("recall@k/n", "ndcg@k"),
        "Cornac": ("recall@k/n", "ndcg@k"),
        "RecTools": ("recall@k/n", "ndcg@k/k"),
        "RecSys2019": ("recall@k/n", "ndcg@k/n"),
    }
)
"""What each library means by recall and nDCG, in the names of :data:`METRICS`."""
