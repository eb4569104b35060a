"""The item-item co-occurrence matrix, block by block, and the memory that dense item models are going to need."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput

MAX_BLOCK_ENTRIES = 250_000
"""Co-occurrence counts held in sparse form at a time."""
SPARSE_ENTRY_BYTES = 32
"""Of one such count: value, column, and what the sparse product and the copy to dense hold beside them."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a fit is about to allocate at its peak, and what it may, in bytes."""

    n_items: int
    predicted: int
    limit: int

    def __str__(self) -> str:
        return f"{self.n_items:,} items need {_gib(self.predicted)} at the peak; {_gib(self.limit)} may be used"


OnMemory = Callable[[MemoryPlan], object]


def announce_memory(n_items: int, predicted: int, limit: int | None, on_memory: OnMemory | None) -> None:
    """Tell ``on_memory`` the predicted peak, and refuse it where it is above the limit; allocates nothing.

    Parameters
    ----------
    n_items
        Columns of the data.
    predicted
        Bytes the fit allocates at its peak, beside its input.
    limit
        Bytes it may; :func:`free_memory` if None.
    on_memory
        Called with the plan first, also when it is then refused.

    Raises
    ------
    InvalidInput
        If the prediction is above the limit; the message names both.
    """
    plan = MemoryPlan(n_items, predicted, free_memory() if limit is None else limit)
    if on_memory is not None:
        on_memory(plan)
    if plan.predicted > plan.limit:
        raise InvalidInput(f"not enough memory: {plan}; drop rare items, or raise memory_limit")


def free_memory() -> int:
    """Return the bytes that can be allocated without swapping, within the limit of this control group if it has one."""
    machine = _available_on_machine()
    used, allowed = (_number_in(Path("/sys/fs/cgroup") / name) for name in ("memory.current", "memory.max"))
    return machine if used is None or allowed is None else max(0, min(machine, allowed - used))


def check_binary(matrix: sparse.csr_array) -> None:
    """Refuse what is not a binary CSR matrix with at least one row and column.

    Raises
    ------
    InvalidInput
        If a stored value is not 1 (ratings, say, whose Gram matrix is another model), or an entry is stored twice.
    """
    if not isinstance(matrix, sparse.csr_array):
        raise InvalidInput(f"matrix must be a scipy.sparse.csr_array; it is a {type(matrix).__name__}")
    if 0 in matrix.shape:
        raise InvalidInput(f"matrix must have a user and an item; its shape is {matrix.shape}")
    wrong = matrix.data != 1
    if wrong.any():
        raise InvalidInput(f"matrix must be binary; it holds {matrix.data[wrong][0]}: choose which ratings count as 1")
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    places = rows * matrix.shape[1] + matrix.indices
    if np.any(np.diff(places) <= 0) and len(np.unique(places)) < len(places):
        raise InvalidInput("matrix stores an entry twice, which would count it twice")


def co_occurrence_blocks(
    matrix: sparse.csr_array, max_entries: int = MAX_BLOCK_ENTRIES
) -> Iterator[tuple[slice, sparse.csr_array]]:
    r"""Yield the rows of :math:`G = X^T X` in sparse blocks of at most ``max_entries`` counts (but at least one row).

    Parameters
    ----------
    matrix
        Binary ``(users, items)``.
    max_entries
        Bound on the stored entries of a block.

    Yields
    ------
    tuple
        Which items, and their counts ``(len, items)``, int32 (exact up to 2^31 users), columns unsorted.

    Examples
    --------
    >>> x = sparse.csr_array(np.array([[1, 1, 0], [0, 1, 1]]))
    >>> [(block.start, counts.toarray().tolist()) for block, counts in co_occurrence_blocks(x, 4)]
    [(0, [[1, 1, 0]]), (1, [[1, 2, 1]]), (2, [[0, 1, 1]])]
    """
    ones = sparse.csr_array((np.ones(matrix.nnz, dtype=np.int32), matrix.indices, matrix.indptr), matrix.shape)
    by_item = sparse.csr_array(ones.T)
    # A row of G has no more entries than there are items, or interactions of the users who have its item.
    bounds = np.minimum(by_item @ np.diff(matrix.indptr).astype(np.int64), matrix.shape[1])
    start = 0
    while start < matrix.shape[1]:
        n_rows = max(1, int(np.searchsorted(np.cumsum(bounds[start : start + max_entries]), max_entries, "right")))
        rows = slice(start, min(start + n_rows, matrix.shape[1]))
        yield rows, sparse.csr_array(by_item[rows] @ ones)
        start = rows.stop


def dense_co_occurrence(matrix: sparse.csr_array) -> np.ndarray:
    r"""Return :math:`G = X^T X` as ``(items, items)``, float64, C order; the only dense array it makes."""
    gram = np.empty((matrix.shape[1], matrix.shape[1]))
    for rows, counts in co_occurrence_blocks(matrix):
        gram[rows] = counts.toarray()
    return gram


def co_occurrence_bytes(n_items: int, n_interactions: int) -> int:
    """Return the bytes that :func:`co_occurrence_blocks` holds at its peak: a block, and the data by item."""
    block = min(max(MAX_BLOCK_ENTRIES, n_items), n_items * n_items)
    return SPARSE_ENTRY_BYTES * block + 24 * n_interactions


def _available_on_machine() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # Not Linux; POSIX promises no count of free pages, so the installed ones have to do.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _number_in(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.3g} GiB"
