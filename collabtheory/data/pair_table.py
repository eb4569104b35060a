"""What every reader returns: one row per (user, item) pair of the file, in the file's order, with its ids coded."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collabtheory.data.filters import FilterStep

# "007" and "+7" are names, not numbers: reading them as 7 would merge two users silently.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class PairTable:
    """Pairs as read from a file.

    Parameters
    ----------
    label
        The file, as error messages name it.
    user_codes, item_codes
        ``(n,)``, int32: positions in the ids.
    user_ids, item_ids
        Sorted and unique; int64, or object (str).
    ratings
        ``(n,)``, float64, finite; None if the file has no third column.
    timestamps
        ``(n,)``, int64; None if the file has none.
    rating_kind
        ``"rating"`` or ``"count"`` (of plays): the default threshold is for ratings only.
    locate
        Says where a row of the table stands in the file ("line 12").
    filters
        What was left out so far.
    """

    label: str
    user_codes: np.ndarray
    item_codes: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray
    ratings: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    rating_kind: str = "rating"
    locate: Callable[[int], str] = lambda row: f"row {row + 1}"
    filters: tuple[FilterStep, ...] = ()

    def __len__(self) -> int:
        return len(self.user_codes)

    @property
    def n_users(self) -> int:
        """Users with at least one pair."""
        return int(np.count_nonzero(np.bincount(self.user_codes)))

    @property
    def n_items(self) -> int:
        """Items with at least one pair."""
        return int(np.count_nonzero(np.bincount(self.item_codes)))

    def rows(self, keep: np.ndarray) -> PairTable:
        """Return the table of the chosen rows (ids without a pair stay until the matrix is built)."""
        return replace(
            self,
            user_codes=self.user_codes[keep],
            item_codes=self.item_codes[keep],
            ratings=None if self.ratings is None else self.ratings[keep],
            timestamps=None if self.timestamps is None else self.timestamps[keep],
        )


def whole_numbers(times: np.ndarray) -> np.ndarray:
    """Return times as int64, fractions floored; integers keep every digit."""
    return times if times.dtype == np.int64 else np.floor(times).astype(np.int64)


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the sorted distinct values; ``np.unique`` of NumPy 2.3 hashes instead, ten times slower on millions."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return np.asarray(ordered[first])


class BadId(Exception):
    """An id that cannot be used; ``code`` is its code in order of appearance."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class IdCodes:
    """Codes of ids in order of appearance, filled batch by batch, so that a file is never held as text."""

    def __init__(self) -> None:
        self._code_of: dict[Hashable, int] = {}

    def add(self, values: Iterable[Hashable]) -> np.ndarray:
        """Return the codes, int32, of some values, giving new values the next free codes."""
        code_of = self._code_of
        return np.array([code_of.setdefault(value, len(code_of)) for value in values], dtype=np.int32)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(ids, rank)``: the sorted unique ids, and the position in them of each code.

        Text is stripped of surrounding blanks. Ids become int64 if every one is a plain integer, else they stay text.

        Raises
        ------
        BadId
            If an id is missing, empty, has a NUL character, or is an integer beyond 64 bits while all are integers.
        """
        values = [value.strip() if isinstance(value, str) else value for value in self._code_of]
        for code, value in enumerate(values):
            if value is None or value == "":
                raise BadId(code, "is empty")
            # NumPy's text arrays end at a NUL, so such an id would not survive being saved.
            if isinstance(value, str) and "\0" in value:
                raise BadId(code, "has a NUL character")
        return _sorted_ids(values)


def _sorted_ids(values: list[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    if all(isinstance(value, int) or _INTEGER.fullmatch(str(value)) for value in values):
        integers = [int(value) for value in values]  # type: ignore[call-overload]
        for code, integer in enumerate(integers):
            if not _INT64.min <= integer <= _INT64.max:
                raise BadId(code, "does not fit in 64 bits; write it as text, for example with a letter in front")
        array = np.array(integers, dtype=np.int64)
    else:
        array = np.array([str(value) for value in values], dtype=object)
    ids, rank = np.unique(array, return_inverse=True)
    return ids, rank.astype(np.int32)
