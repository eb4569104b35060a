"""The fingerprint of a figure's data: equal data, equal fingerprint, in every process and on every machine."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import struct
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from collabtheory.errors import InvalidInput

Feed = Callable[[bytes], None]


def data_fingerprint(data: object) -> str:
    """Return the SHA-256 of what a value says, in hexadecimal.

    Each part goes in with its kind, its length and its order, so that no two different values give the same bytes:
    numbers as 64-bit floats or decimal integers, arrays with dtype and shape, tables with their column names, sets and
    mappings sorted by the fingerprints of what is in them.

    Parameters
    ----------
    data
        Dataclasses, named or plain tuples, lists, mappings, sets, strings, numbers, ``None``, enumerations, paths,
        NumPy arrays and scalars, SciPy sparse matrices, pandas tables, series and indices, nested as you like.

    Raises
    ------
    InvalidInput
        If a part is of another type, since its fingerprint might depend on where it lies in memory.

    Examples
    --------
    >>> data_fingerprint({"a": 1, "b": 2}) == data_fingerprint({"b": 2, "a": 1})
    True
    >>> data_fingerprint(1) == data_fingerprint(1.0), data_fingerprint(["ab"]) == data_fingerprint(["a", "b"])
    (False, False)
    """
    digest = hashlib.sha256()
    _feed(data, digest.update)
    return digest.hexdigest()


def _feed(value: object, feed: Feed) -> None:
    if value is None or isinstance(value, bool | np.bool_):
        _put("constant", str(None if value is None else bool(value)).encode(), feed)
    elif isinstance(value, enum.Enum):
        _put_parts("enumeration", (type(value).__name__, value.name), feed)
    elif isinstance(value, str | PurePath):
        _put("text", str(value).encode(), feed)
    elif isinstance(value, bytes):
        _put("bytes", value, feed)
    elif isinstance(value, int | np.integer):
        _put("integer", str(int(value)).encode(), feed)
    elif isinstance(value, float | np.floating):
        _put("float", struct.pack("<d", float(value)), feed)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        _put_parts("dataclass", (type(value).__name__, fields), feed)
    else:
        _feed_container(value, feed)


def _feed_container(value: object, feed: Feed) -> None:
    if isinstance(value, Mapping):
        entries = sorted((data_fingerprint(key), data_fingerprint(held)) for key, held in value.items())
        _put_parts("mapping", [text for entry in entries for text in entry], feed)
    elif isinstance(value, set | frozenset):
        _put_parts("set", sorted(map(data_fingerprint, value)), feed)
    elif isinstance(value, tuple | list):
        _put_parts("sequence", value, feed)
    elif isinstance(value, np.ndarray):
        _feed_array(value, feed)
    elif isinstance(value, pd.DataFrame):
        columns = [value.iloc[:, k] for k in range(value.shape[1])]
        _put_parts("table", (value.index, *((str(column.name), column.array) for column in columns)), feed)
    elif isinstance(value, pd.Series):
        _put_parts("series", (value.index, str(value.name), value.array), feed)
    elif isinstance(value, pd.Index | pd.api.extensions.ExtensionArray):
        _feed_array(np.asarray(value), feed)
    elif sp.issparse(value):
        _feed_sparse(value, feed)
    else:
        raise InvalidInput(f"no fingerprint for a {type(value).__name__}; figure data are dataclasses, arrays, tables")


def _feed_array(array: np.ndarray, feed: Feed) -> None:
    if array.dtype == object:
        _put_parts("objects", (array.shape, [_plain(one) for one in array.ravel()]), feed)
        return
    if array.dtype.kind not in "biufcSUmM":
        raise InvalidInput(f"no fingerprint for an array of {array.dtype}; use numbers, text or times")
    ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    _put_parts("array", (ordered.dtype.str, ordered.shape, ordered.tobytes()), feed)


def _plain(value: object) -> object:
    """Return ``None`` for what pandas takes as missing, whichever way it writes it."""
    return None if value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)) else value


def _feed_sparse(matrix: Any, feed: Feed) -> None:
    rows = sp.csr_array(matrix, copy=True)
    rows.sum_duplicates()
    indices, starts = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    _put_parts("sparse", (rows.shape, starts, indices, rows.data), feed)


def _put_parts(kind: str, parts: object, feed: Feed) -> None:
    named = [(key, held) for key, held in parts.items()] if isinstance(parts, dict) else list(parts)  # type: ignore[call-overload]
    _put(kind, str(len(named)).encode(), feed)
    for part in named:
        _feed(part, feed)


def _put(kind: str, content: bytes, feed: Feed) -> None:
    feed(f"{kind}:{len(content)}:".encode())
    feed(content)
