"""In what order users stand in a matrix: by planted communities where they are known, else like beside like."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

MOST_BLOCKS = 40
"""More borders than this would hide the cells; then those of themes alone are kept."""


@dataclass(frozen=True)
class Blocks:
    """Communities planted in the data, as positions in the order of the users; empty where none are known.

    Parameters
    ----------
    borders
        Positions before which a community begins.
    theme_borders
        Those of them before which a theme begins.
    themes
        Middle and name of each theme.
    """

    borders: tuple[int, ...]
    theme_borders: tuple[int, ...]
    themes: tuple[tuple[float, str], ...]


def community_blocks(truth: pd.DataFrame) -> Blocks:
    """Return the blocks of users sorted by the columns of ``truth``: the largest groups first, whole numbers from 0.

    Examples
    --------
    >>> community_blocks(pd.DataFrame({"theme": [0, 0, 0, 1], "community": [0, 0, 3, 5]}))
    Blocks(borders=(2, 3), theme_borders=(3,), themes=((1.0, 'theme 1'), (3.0, 'theme 2')))
    """
    theme = truth[truth.columns[0]].to_numpy()
    borders, theme_borders = _changes(truth.to_numpy()), _changes(theme[:, None])
    ends = (0, *theme_borders, len(theme))
    # Counted from 1, as the items of planted worlds are named.
    themes = tuple(
        ((first + last - 1) / 2, f"{truth.columns[0]} {int(theme[first]) + 1}") for first, last in pairwise(ends)
    )
    return Blocks(borders if len(borders) <= MOST_BLOCKS else theme_borders, theme_borders, themes)


def like_beside_like(pairs: pd.DataFrame, users: np.ndarray) -> np.ndarray:
    """Return positions in ``users`` such that users whose gradients point the same way stand together.

    Parameters
    ----------
    pairs
        ``u``, ``v`` and ``cosine``, each ordered pair at most once; a cosine that is missing or NaN counts as 0.
    users
        At least 2 values of ``u``.

    Notes
    -----
    The leaves of average linkage on ``1 - cosine``, turned so that neighbours are as alike as can be (Bar-Joseph et
    al., 2001; scipy's).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    cosine = pairs.pivot(index="u", columns="v", values="cosine").reindex(index=users, columns=users).to_numpy()
    cosine = np.nan_to_num((cosine + cosine.T) / 2)
    distance = squareform(np.clip(1.0 - cosine, 0.0, 2.0) * (1.0 - np.eye(len(users))), checks=False)
    return np.asarray(leaves_list(optimal_leaf_ordering(linkage(distance, "average"), distance)))


def _changes(labels: np.ndarray) -> tuple[int, ...]:
    return tuple(int(row) + 1 for row in np.flatnonzero((labels[1:] != labels[:-1]).any(axis=1)))
