"""The rules that interactions keep: which ids, positions and matrices are allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from collabtheory.data.pair_table import distinct
from collabtheory.errors import InvalidInput


def coded(argument: str, values: Sequence[Any] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(ids, codes)``: the sorted unique ids, int64 or text, and each value's position among them."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise InvalidInput(f"{argument} must be one-dimensional; its shape is {array.shape}")
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind in "iu":
        if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
            raise InvalidInput(f"{argument} has the id {array.max()}, which does not fit in 64 bits")
        array = array.astype(np.int64)
    elif array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(value, str) for value in array)):
        array = array.astype(object)
        if any(not value.strip() or "\0" in value for value in array):
            raise InvalidInput(f"{argument} has an id that is empty or has a NUL character")
    else:
        raise InvalidInput(f"{argument} must be integers or text; its type is {array.dtype}")
    ids, codes = np.unique(array, return_inverse=True)
    return ids, codes


def positions(argument: str, values: np.ndarray | Sequence[int], n: int) -> np.ndarray:
    """Return row or column numbers from a list of them, each at most once, or from a boolean mask."""
    array = np.asarray(values)
    if array.dtype == bool:
        if array.shape != (n,):
            raise InvalidInput(f"{argument} as a mask must have shape ({n},); its shape is {array.shape}")
        return np.flatnonzero(array)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InvalidInput(f"{argument} must be a list of positions or a mask; got shape {array.shape}, {array.dtype}")
    if array.min() < 0 or array.max() >= n:
        raise InvalidInput(f"{argument} must lie in 0..{n - 1}; it spans {array.min()}..{array.max()}")
    if len(distinct(array)) != len(array):
        raise InvalidInput(f"{argument} names a position twice")
    return array.astype(np.int64)


def check_matrix(matrix: csr_array) -> None:
    """Refuse a matrix that is not binary CSR, float32, with sorted indices inside it and none twice."""
    if not isinstance(matrix, csr_array):
        raise InvalidInput(f"matrix must be a scipy.sparse.csr_array; it is a {type(matrix).__name__}")
    if matrix.dtype != np.float32 or not np.all(matrix.data == 1):
        raise InvalidInput("matrix must hold ones only, as float32")
    indptr, indices = matrix.indptr, matrix.indices
    if len(indices) and not 0 <= indices.min() <= indices.max() < matrix.shape[1]:
        raise InvalidInput(f"matrix has a column outside 0..{matrix.shape[1] - 1}")
    if np.any(np.diff(indptr) < 0):
        raise InvalidInput("matrix has row pointers that go backwards")
    rising = np.ones(len(indices), dtype=bool)
    rising[1:] = indices[1:] > indices[:-1]
    starts = indptr[:-1]
    rising[starts[starts < len(indices)]] = True
    if not rising.all():
        raise InvalidInput("matrix must have sorted indices and no duplicates in each row")


def check_ids(argument: str, ids: np.ndarray, n: int) -> None:
    """Refuse ids that are not ``n`` unique integers or texts."""
    if not isinstance(ids, np.ndarray) or ids.shape != (n,):
        raise InvalidInput(f"{argument} must be an array of shape ({n},); its shape is {np.shape(ids)}")
    if ids.dtype != np.int64 and not (ids.dtype == object and all(isinstance(value, str) for value in ids)):
        raise InvalidInput(f"{argument} must be int64, or an object array of str; its type is {ids.dtype}")
    if len(distinct(ids)) != n:
        raise InvalidInput(f"{argument} has an id twice")
