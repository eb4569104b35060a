"""What the planted truth says about a pair of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collabtheory.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

RELATIONS = ("self", "exact_twin", "twin", "near", "far_related", "same_theme", "unrelated")


def relation(truth: pd.DataFrame, u: np.ndarray | int, v: np.ndarray | int) -> np.ndarray:
    """Return the planted relation of pairs of users.

    ========== =================================================================================
    exact_twin the same items
    twin       near-duplicates: they differ by one or two items
    near       same community: at least one item shared
    far_related same theme, opposite shelves: no item shared, linked by bridge users
    same_theme same theme, but neither of the above (a bridge, or two communities of one shelf)
    unrelated  different themes
    self       the same row twice
    ========== =================================================================================

    Parameters
    ----------
    truth
        ``Interactions.truth`` of a planted world, also after ``select_users``.
    u, v
        Row numbers, arrays of one shape (or broadcast to one).

    Returns
    -------
    numpy.ndarray
        Object array of str of that shape.

    Raises
    ------
    InvalidInput
        If the truth lacks a column, or a row is out of range.

    Examples
    --------
    >>> from collabtheory.data import PlantedWorld, generate
    >>> truth = generate(PlantedWorld(n_users=60), seed=0).truth
    >>> twin = truth.index[truth["role"] == "exact_twin"][0]
    >>> relation(truth, twin, truth["partner"][twin]).item()
    'exact_twin'
    """
    needed = ("user", "community", "theme", "shelf", "role", "partner")
    lacking = [column for column in needed if column not in truth.columns]
    if lacking:
        raise InvalidInput(f"truth lacks the column {lacking[0]!r}; it must come from a planted world")
    u, v = np.broadcast_arrays(np.asarray(u), np.asarray(v))
    for name, rows in (("u", u), ("v", v)):
        if rows.size and (rows.min() < 0 or rows.max() >= len(truth)):
            raise InvalidInput(f"{name} must lie in 0..{len(truth) - 1}; it spans {rows.min()}..{rows.max()}")
    user, community, theme, shelf, role, partner = (truth[column].to_numpy() for column in needed)
    same_theme = theme[u] == theme[v]
    pair = partner[u] == user[v]
    cases = (
        (u == v, "self"),
        (pair & (role[u] == "exact_twin"), "exact_twin"),
        (pair, "twin"),
        ((community[u] == community[v]) & (community[u] >= 0), "near"),
        (same_theme & (shelf[u] >= 0) & (shelf[v] >= 0) & (shelf[u] != shelf[v]), "far_related"),
        (same_theme, "same_theme"),
    )
    return np.select([condition for condition, _ in cases], [name for _, name in cases], "unrelated").astype(object)
