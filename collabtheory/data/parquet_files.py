"""Parquet tables: streamed batch by batch, columns found by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from collabtheory.data.columns import named_columns
from collabtheory.data.pair_table import BadId, IdCodes, PairTable, whole_numbers
from collabtheory.data.sources import Source
from collabtheory.errors import DataError

_KINDS = ("user", "item", "rating", "time")


def read_parquet(source: Source) -> PairTable:
    """Read a parquet file with columns user, item and optionally rating and timestamp (rows are counted from 1)."""
    try:
        with pq.ParquetFile(source.path) as file:
            return _read(source, file)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{source.label}: is not a readable parquet file ({reason})") from error


def _read(source: Source, file: pq.ParquetFile) -> PairTable:
    schema = file.schema_arrow
    names = list(schema.names)
    found = named_columns(source.label, names)
    kind = "rating" if "rating" in found or "count" not in found else "count"
    if kind == "count":
        found["rating"] = found["count"]
    wanted = {part: names[found[part]] for part in _KINDS if part in found}
    _check_types(source, schema, wanted)
    ids = {"user": IdCodes(), "item": IdCodes()}
    parts: dict[str, list[np.ndarray]] = {part: [] for part in wanted}
    for batch in file.iter_batches(columns=list(wanted.values())):
        for part, name in wanted.items():
            column = batch.column(name)
            parts[part].append(_codes(ids[part], column) if part in ids else _numbers(part, column))
    if not sum(map(len, parts["user"])):
        raise DataError(f"{source.label}: the table has no row")
    columns = {part: np.concatenate(chunks) for part, chunks in parts.items()}
    user_ids, users = _finish(source, "user", ids["user"], columns["user"])
    item_ids, items = _finish(source, "item", ids["item"], columns["item"])
    table = PairTable(source.label, users, items, user_ids, item_ids, rating_kind=kind)
    return _with_numbers(table, columns)


def _with_numbers(table: PairTable, columns: dict[str, np.ndarray]) -> PairTable:
    for part, what in (("rating", "rating"), ("time", "timestamp")):
        if part in columns:
            bad = ~np.isfinite(columns[part])
            if bad.any():
                raise DataError(f"{table.label}, row {int(np.argmax(bad)) + 1}: the {what} is missing or not finite")
    times = columns.get("time")
    return replace(
        table,
        ratings=columns.get("rating"),
        timestamps=None if times is None else whole_numbers(times),
    )


def _check_types(source: Source, schema: pa.Schema, wanted: dict[str, str]) -> None:
    for part, name in wanted.items():
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if part in ("user", "item"):
            fits = pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
            rule = "integers or text"
        else:
            fits = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
            fits = fits or (part == "time" and pa.types.is_timestamp(kind))
            rule = "numbers"
        if not fits:
            raise DataError(f"{source.label}: column {name!r} holds {kind}; it must hold {rule}")


def _codes(ids: IdCodes, column: pa.Array) -> np.ndarray:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    # The null entry goes last, so that a missing id (index -1 after filling) finds None there.
    codes = (
        ids.add([*encoded.dictionary.to_pylist(), None])
        if encoded.null_count
        else ids.add(encoded.dictionary.to_pylist())
    )
    return np.asarray(codes[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)])


def _numbers(part: str, column: pa.Array) -> np.ndarray:
    if pa.types.is_timestamp(column.type):
        column = pc.divide(column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()), 1_000_000)
    if part == "time" and pa.types.is_integer(column.type) and not column.null_count:
        return np.asarray(column.cast(pa.int64()).to_numpy())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _finish(source: Source, kind: str, ids: IdCodes, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        unique, rank = ids.finish()
    except BadId as error:
        row = int(np.flatnonzero(codes == error.code)[0]) + 1
        raise DataError(f"{source.label}, row {row}: the {kind} id {error.reason}") from error
    return unique, rank[codes]
