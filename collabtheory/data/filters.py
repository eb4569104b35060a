"""Filters of the literature: rating threshold, users per item, items per user; with counts before and after each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from collabtheory.data.pair_table import PairTable
from collabtheory.errors import DataError


@dataclass(frozen=True)
class FilterStep:
    """What one filter did: users, items and interactions that were there before it and after it.

    Only users and items with at least one interaction are counted.

    Examples
    --------
    >>> print(FilterStep("rating >= 4", 943, 942, 1682, 1447, 100000, 55375))
    rating >= 4: 943 -> 942 users, 1,682 -> 1,447 items, 100,000 -> 55,375 interactions
    """

    name: str
    users_before: int
    users_after: int
    items_before: int
    items_after: int
    interactions_before: int
    interactions_after: int

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.users_before:,} -> {self.users_after:,} users, "
            f"{self.items_before:,} -> {self.items_after:,} items, "
            f"{self.interactions_before:,} -> {self.interactions_after:,} interactions"
        )


def apply_filters(
    table: PairTable, *, min_rating: float | None, min_user_items: int, min_item_users: int, duplicates: str
) -> PairTable:
    """Drop duplicates, then low ratings, then rare items, then short users, once each in this order.

    The order and the single pass are those of the published protocol (arXiv:1802.05814), so an item may end below
    ``min_item_users`` through the users that left after it.

    Raises
    ------
    DataError
        On duplicates under ``duplicates="error"``, and when a filter leaves nothing.
    """
    table = drop_duplicates(table, duplicates)
    if min_rating is not None and table.ratings is not None:
        table = keep_pairs(table, table.ratings >= min_rating, f"rating >= {min_rating:g}")
    if min_item_users > 1:
        counts = np.bincount(table.item_codes, minlength=len(table.item_ids))
        table = keep_pairs(table, (counts >= min_item_users)[table.item_codes], f"items with >= {min_item_users} users")
    if min_user_items > 0:
        counts = np.bincount(table.user_codes, minlength=len(table.user_ids))
        table = keep_pairs(table, (counts >= min_user_items)[table.user_codes], f"users with >= {min_user_items} items")
    return table


def keep_pairs(table: PairTable, keep: np.ndarray, name: str) -> PairTable:
    """Return the table with only the pairs marked in ``keep`` (boolean, one per pair), and a step that says so."""
    kept = table if keep.all() else table.rows(keep)
    step = FilterStep(
        name,
        *(table.n_users, kept.n_users),
        *(table.n_items, kept.n_items),
        *(len(table), len(kept)),
    )
    if len(kept) == 0:
        raise DataError(
            f"{table.label}: nothing is left after the filter '{name}' ({len(table):,} interactions before it)"
        )
    return replace(kept, filters=(*table.filters, step))


def drop_duplicates(table: PairTable, duplicates: str) -> PairTable:
    """Keep one row of each (user, item) pair: the first, the last, or the one with the largest rating."""
    keys = table.user_codes.astype(np.int64) * max(len(table.item_ids), 1) + table.item_codes
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return table
    del ordered
    order = np.argsort(keys, kind="stable")
    repeats = np.flatnonzero(keys[order[1:]] == keys[order[:-1]]) + 1
    if duplicates == "error":
        row = int(order[repeats].min())
        user, item = (
            repr(ids[codes[row]]) if ids.dtype == object else ids[codes[row]]
            for ids, codes in ((table.user_ids, table.user_codes), (table.item_ids, table.item_codes))
        )
        raise DataError(
            f"{table.label}, {table.locate(row)}: user {user} has item {item} a second time; "
            'say which to keep with duplicates="first", "last" or "max"'
        )
    if duplicates == "max" and table.ratings is not None:
        order = np.lexsort((-table.ratings, keys))
    starts = np.ones(len(keys), dtype=bool)
    starts[repeats] = False
    positions = np.flatnonzero(starts)
    if duplicates == "last":
        positions = np.append(positions[1:], len(keys)) - 1
    keep = np.zeros(len(keys), dtype=bool)
    keep[order[positions]] = True
    return keep_pairs(table, keep, f"duplicates, {duplicates} kept")
