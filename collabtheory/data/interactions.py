"""Interactions: who touched what, as a binary sparse matrix with its ids."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from collabtheory.data.filters import FilterStep, drop_duplicates
from collabtheory.data.interaction_rules import check_ids, check_matrix, coded, positions
from collabtheory.data.pair_table import PairTable
from collabtheory.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

DUPLICATES = ("error", "first", "last", "max")


@dataclass(frozen=True, eq=False)
class Interactions:
    r"""Binary interactions :math:`x_u \in \{0,1\}^I`, one row a user.

    Parameters
    ----------
    matrix
        ``(n_users, n_items)`` CSR, float32, every stored entry 1, indices sorted in each row, none twice.
        Users or items without an entry are allowed.
    user_ids, item_ids
        ``(n_users,)`` and ``(n_items,)``, unique; int64, or object arrays of str.
    item_titles, item_genres
        ``(n_items,)`` object arrays of str, aligned with ``item_ids``; several genres are joined with ``|``.
    timestamps
        ``(nnz,)``, int64, aligned with ``matrix.data``; in the file's unit.
    name
        Name of the data set.
    filters
        What was left out on the way here, with counts.
    truth
        Planted truth, one row a user; None for real data.

    Raises
    ------
    InvalidInput
        If a shape, type or rule above is broken; the message names the argument.

    Examples
    --------
    >>> x = Interactions.from_pairs([7, 7, 9], ["a", "b", "b"])
    >>> x.n_users, x.n_items, x.n_interactions, x.sizes.tolist()
    (2, 2, 3, [2, 1])
    >>> x.dense([1]).tolist()
    [[0.0, 1.0]]
    """

    matrix: csr_array
    user_ids: np.ndarray
    item_ids: np.ndarray
    item_titles: np.ndarray | None = None
    item_genres: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    name: str = "interactions"
    filters: tuple[FilterStep, ...] = ()
    truth: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        check_matrix(self.matrix)
        n_users, n_items = self.matrix.shape
        check_ids("user_ids", self.user_ids, n_users)
        check_ids("item_ids", self.item_ids, n_items)
        for argument, length in (("item_titles", n_items), ("item_genres", n_items), ("timestamps", self.matrix.nnz)):
            values = getattr(self, argument)
            if values is not None and np.shape(values) != (length,):
                raise InvalidInput(f"{argument} must have shape ({length},); its shape is {np.shape(values)}")
        if self.truth is not None and len(self.truth) != n_users:
            raise InvalidInput(f"truth must have one row a user ({n_users}); it has {len(self.truth)}")

    @classmethod
    def from_pairs(
        cls,
        users: Sequence[Any] | np.ndarray,
        items: Sequence[Any] | np.ndarray,
        *,
        timestamps: Sequence[int] | np.ndarray | None = None,
        duplicates: str = "error",
        name: str = "pairs",
    ) -> Interactions:
        """Build the matrix of some (user, item) pairs; rows and columns follow the sorted ids.

        Parameters
        ----------
        users, items
            ``(n,)``, integers within 64 bits, or text; one of each per interaction.
        timestamps
            ``(n,)``, integers, or None.
        duplicates
            What to do with a pair that comes twice: ``"error"``, ``"first"``, ``"last"`` or ``"max"`` (of the time).
        name
            Name of the data set.

        Raises
        ------
        InvalidInput
            If lengths differ, ids are neither integers nor text, or an id is empty.
        DataError
            If a pair comes twice under ``duplicates="error"``; the message names the row.
        """
        check_duplicates_argument(duplicates)
        user_ids, user_codes = coded("users", users)
        item_ids, item_codes = coded("items", items)
        if len(user_codes) != len(item_codes):
            raise InvalidInput(
                f"users and items must be equally long; they have {len(user_codes)} and {len(item_codes)}"
            )
        times = None if timestamps is None else np.asarray(timestamps)
        if times is not None and (times.shape != user_codes.shape or times.dtype.kind not in "iu"):
            raise InvalidInput(f"timestamps must be {len(user_codes)} integers; got shape {times.shape}, {times.dtype}")
        table = PairTable(name, user_codes, item_codes, user_ids, item_ids, timestamps=times)
        if duplicates == "max":
            table = replace(table, ratings=None if times is None else times.astype(np.float64))
        return cls.from_table(drop_duplicates(table, duplicates), name=name)

    @classmethod
    def from_table(cls, table: PairTable, *, name: str) -> Interactions:
        """Build the matrix of a pair table without duplicates; users and items without a pair are left out."""
        users, user_codes = _present(table.user_codes, len(table.user_ids))
        items, item_codes = _present(table.item_codes, len(table.item_ids))
        # The data are the positions in the table: after sorting they say which timestamp belongs to which entry.
        entries = coo_array((np.arange(len(table)), (user_codes, item_codes)), shape=(len(users), len(items))).tocsr()
        order = entries.data
        times = None if table.timestamps is None else table.timestamps[order].astype(np.int64)
        return cls(
            binary_csr(entries.indptr, entries.indices, entries.shape),
            user_ids=table.user_ids[users],
            item_ids=table.item_ids[items],
            timestamps=times,
            name=name,
            filters=table.filters,
        )

    @property
    def n_users(self) -> int:
        """Number of rows."""
        return int(self.matrix.shape[0])

    @property
    def n_items(self) -> int:
        """Number of columns."""
        return int(self.matrix.shape[1])

    @property
    def n_interactions(self) -> int:
        """Number of ones."""
        return int(self.matrix.nnz)

    @property
    def density(self) -> float:
        """Share of ones; 0 for an empty matrix."""
        cells = self.n_users * self.n_items
        return self.n_interactions / cells if cells else 0.0

    @property
    def sizes(self) -> np.ndarray:
        """Interactions of each user, ``n_x``: ``(n_users,)``, int64."""
        return np.asarray(np.diff(self.matrix.indptr), dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ids and matrix (hexadecimal): equal if and only if users, items and interactions are, in order."""
        digest = hashlib.sha256(f"interactions {self.n_users} {self.n_items}\n".encode())
        for ids in (self.user_ids, self.item_ids):
            digest.update(_id_bytes(ids))
        for part in (self.matrix.indptr, self.matrix.indices):
            digest.update(np.ascontiguousarray(part, dtype="<i8").data)
        return digest.hexdigest()

    def select_users(self, rows: np.ndarray | Sequence[int]) -> Interactions:
        """Return the data of some users, in the order given (row numbers, each at most once, or a boolean mask).

        The items stay, also those that nobody is left for.
        """
        rows = positions("rows", rows, self.n_users)
        return replace(
            self,
            **self._submatrix(lambda matrix: matrix[rows]),
            user_ids=self.user_ids[rows],
            truth=None if self.truth is None else self.truth.iloc[rows].reset_index(drop=True),
        )

    def select_items(self, columns: np.ndarray | Sequence[int]) -> Interactions:
        """Return the data on some items, in the order given (columns, each at most once, or a boolean mask).

        The users stay, also those that nothing is left for.
        """
        columns = positions("columns", columns, self.n_items)
        return replace(
            self,
            **self._submatrix(lambda matrix: matrix[:, columns]),
            item_ids=self.item_ids[columns],
            item_titles=None if self.item_titles is None else self.item_titles[columns],
            item_genres=None if self.item_genres is None else self.item_genres[columns],
        )

    def _submatrix(self, select: Callable[[csr_array], csr_array]) -> dict[str, Any]:
        entries = csr_array(
            (np.arange(1, self.n_interactions + 1), self.matrix.indices, self.matrix.indptr), self.matrix.shape
        )
        chosen = csr_array(select(entries))
        chosen.sort_indices()
        times = None if self.timestamps is None else self.timestamps[chosen.data - 1]
        return {"matrix": binary_csr(chosen.indptr, chosen.indices, chosen.shape), "timestamps": times}

    def dense(self, rows: np.ndarray | Sequence[int] | slice = slice(None), dtype: Any = np.float64) -> np.ndarray:
        """Return some users' rows as an array ``(len(rows), n_items)`` of 0 and 1, float64 unless told otherwise."""
        return np.asarray(self.matrix[rows].toarray(), dtype=dtype)

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.npz`` without pickle, visible only once complete; returns its path."""
        from collabtheory.data.storage import save_interactions

        return save_interactions(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Interactions:
        """Read what :meth:`save` wrote; DataError if the file is anything else."""
        from collabtheory.data.storage import load_interactions

        return load_interactions(Path(path))

    def __repr__(self) -> str:
        return (
            f"<Interactions {self.name}: {self.n_users:,} users x {self.n_items:,} items, "
            f"{self.n_interactions:,} interactions, density {self.density:.4f}>"
        )


def check_duplicates_argument(duplicates: str) -> None:
    """Refuse a value of ``duplicates`` that is not one of the four."""
    if duplicates not in DUPLICATES:
        raise InvalidInput(f"duplicates must be one of {', '.join(DUPLICATES)}; it is {duplicates!r}")


def binary_csr(indptr: np.ndarray, indices: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Return the CSR matrix of ones, float32, at the given places."""
    return csr_array((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=shape)


def _present(codes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes that occur, sorted, and each code's position among them."""
    there = np.bincount(codes, minlength=n) > 0
    return np.flatnonzero(there), (np.cumsum(there) - 1)[codes]


def _id_bytes(ids: np.ndarray) -> bytes:
    if ids.dtype == np.int64:
        return b"int64\n" + np.ascontiguousarray(ids, dtype="<i8").tobytes()
    # The length in front keeps ["ab", "c"] and ["a", "bc"] apart.
    return b"text\n" + b"".join(b"%d:%s" % (len(raw), raw) for raw in (value.encode() for value in ids))
