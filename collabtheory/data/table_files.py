"""Tables of text (csv, tsv, ``::``): streamed through Arrow, whole columns at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from collabtheory.data.columns import Columns, find_columns
from collabtheory.data.pair_table import BadId, IdCodes, PairTable, whole_numbers
from collabtheory.data.row_errors import explain_first_bad_row, line_of_row
from collabtheory.data.sources import Source
from collabtheory.errors import DataError

_BLOCK_BYTES = 32 << 20
_EXACT_INTEGERS = 2.0**53


def read_text_table(source: Source, head: bytes, columns: Columns | None = None) -> PairTable:
    """Read a csv, tsv or ``::`` file.

    Arrow reads it fast and says little about what is wrong; on any trouble the file is read again line by line, only
    to name the first line that breaks a rule.

    Raises
    ------
    DataError
        One line with file and line number: wrong number of fields, non-numeric or NaN rating, empty id, id beyond 64
        bits, not UTF-8, compressed file cut off, no row at all.
    """
    columns = find_columns(source, head) if columns is None else columns
    # Integer times keep all their digits; a file with fractions of seconds needs the second try.
    for time_type in [pa.int64(), pa.float64()] if columns.time is not None else [pa.int64()]:
        try:
            return _Accumulator(source, columns).read(time_type)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    explain_first_bad_row(source, columns)
    raise DataError(f"{source.label}: cannot be read as a table ({reason})")


class _Accumulator:
    """Columns of one file, gathered batch by batch."""

    def __init__(self, source: Source, columns: Columns) -> None:
        self.source, self.columns = source, columns
        self.users, self.items = IdCodes(), IdCodes()
        self.user_codes: list[np.ndarray] = []
        self.item_codes: list[np.ndarray] = []
        self.ratings: list[np.ndarray] = []
        self.times: list[np.ndarray] = []

    def read(self, time_type: pa.DataType) -> PairTable:
        for batch in _batches(self.source, self.columns, time_type):
            self.user_codes.append(_codes(self.users, batch.column("user")))
            self.item_codes.append(_codes(self.items, batch.column("item")))
            if self.columns.rating is not None:
                self.ratings.append(batch.column("rating").to_numpy())
            if self.columns.time is not None:
                self.times.append(batch.column("time").to_numpy())
        return self._table()

    def _table(self) -> PairTable:
        if not sum(map(len, self.user_codes)):
            raise DataError(f"{self.source.label}: there is a header and no row below it")
        user_ids, user_codes = self._ids("user", self.users, self.user_codes)
        item_ids, item_codes = self._ids("item", self.items, self.item_codes)
        table = PairTable(
            self.source.label,
            *(user_codes, item_codes, user_ids, item_ids),
            rating_kind=self.columns.rating_kind,
            locate=lambda row: f"line {line_of_row(self.source, self.columns, row)}",
        )
        return self._with_numbers(table)

    def _ids(self, kind: str, ids: IdCodes, codes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        joined = _joined(codes)
        try:
            unique, rank = ids.finish()
        except BadId as error:
            row = int(np.flatnonzero(joined == error.code)[0])
            line = line_of_row(self.source, self.columns, row)
            raise DataError(f"{self.source.label}, line {line}: the {kind} id {error.reason}") from error
        return unique, rank[joined]

    def _with_numbers(self, table: PairTable) -> PairTable:
        if self.ratings:
            ratings = _joined(self.ratings)
            self._refuse(table, "rating", ~np.isfinite(ratings), "is not a finite number")
            table = replace(table, ratings=ratings)
        if self.times:
            times = _joined(self.times)
            if times.dtype != np.int64:
                # Written so that NaN is refused too.
                self._refuse(table, "timestamp", ~(np.abs(times) <= _EXACT_INTEGERS), "is not a usable number")
            table = replace(table, timestamps=whole_numbers(times))
        return table

    def _refuse(self, table: PairTable, what: str, bad: np.ndarray, reason: str) -> None:
        if bad.any():
            raise DataError(f"{table.label}, {table.locate(int(np.argmax(bad)))}: the {what} {reason}")


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Join the parts and let go of them: a long column is then held once, not twice."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _codes(ids: IdCodes, column: pa.Array) -> np.ndarray:
    encoded = column.dictionary_encode()
    return np.asarray(ids.add(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()])


def _batches(source: Source, columns: Columns, time_type: pa.DataType) -> Iterator[pa.RecordBatch]:
    wanted = {"user": columns.user, "item": columns.item, "rating": columns.rating, "time": columns.time}
    names = [f"unused {position}" for position in range(columns.n_fields)]
    for name, position in wanted.items():
        if position is not None:
            names[position] = name
    types = {"user": pa.string(), "item": pa.string(), "rating": pa.float64(), "time": time_type}
    types = {name: kind for name, kind in types.items() if wanted[name] is not None}
    read = pa_csv.ReadOptions(
        use_threads=False, block_size=_BLOCK_BYTES, column_names=names, skip_rows=columns.header_line
    )
    parse = pa_csv.ParseOptions(
        delimiter="\t" if columns.separator == "::" else columns.separator,
        # MovieLens files have no quoting: a title or name may hold a single quotation mark.
        quote_char=False if columns.separator == "::" else '"',
        newlines_in_values=True,
    )
    convert = pa_csv.ConvertOptions(
        column_types=types, include_columns=list(types), null_values=[], strings_can_be_null=False
    )
    with source.open() as stream:
        raw = _DoubleColons(stream) if columns.separator == "::" else _Watched(stream)
        n_rows = 0
        for batch in pa_csv.open_csv(_of_arrow(raw), read, parse, convert):
            n_rows += len(batch)
            yield batch
    if isinstance(raw, _Watched):
        _refuse_open_quotes(source, columns, raw, n_rows)


def _of_arrow(raw: io.RawIOBase) -> pa.NativeFile:
    """Return a stream as Arrow reads it; a short one whole, in memory of Arrow's own.

    Arrow's reading thread may let go of a Python stream as late as when the interpreter ends. That aborts a process
    which does little else than read.
    """
    first, second = raw.read(_BLOCK_BYTES), raw.read(_BLOCK_BYTES)
    if second:
        return pa.PythonFile(_Continued([first, second], raw), mode="r")
    whole = pa.BufferOutputStream()
    whole.write(first)
    return pa.BufferReader(whole.getvalue())


def _refuse_open_quotes(source: Source, columns: Columns, raw: _Watched, n_rows: int) -> None:
    """Refuse a quotation mark that is never closed: Arrow takes the rest of the file for one field and says nothing."""
    if raw.quotes % 2 or (raw.quotes and raw.n_lines != n_rows + columns.header_line):
        n_careful = explain_first_bad_row(source, columns)
        if n_careful != n_rows:
            raise DataError(f"{source.label}: {n_rows} rows or {n_careful}, depending on how quotation marks are read")


class _Continued(io.RawIOBase):
    """A stream of which some blocks were read before."""

    def __init__(self, blocks: list[bytes], rest: io.RawIOBase) -> None:
        self._blocks, self._rest = blocks, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._blocks.pop(0) if self._blocks else self._rest.read(size) or b""


class _Watched(io.RawIOBase):
    """A stream that counts its lines and quotation marks as it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._last = b"\n"
        self.breaks = self.quotes = 0

    @property
    def n_lines(self) -> int:
        """Lines so far, counting one without an end."""
        return self.breaks + (self._last != b"\n")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self.breaks += chunk.count(b"\n")
        self.quotes += chunk.count(b'"')
        self._last = chunk[-1:] or self._last
        return chunk


class _DoubleColons(io.RawIOBase):
    """A stream with every ``::`` turned into a tab, which Arrow can split on."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._rest + self._stream.read(size)
        # A colon at the very end may be the first half of a pair whose second half comes next.
        self._rest = b":" if len(chunk) > 1 and chunk.endswith(b":") and not chunk.endswith(b"::") else b""
        return (chunk[:-1] if self._rest else chunk).replace(b"::", b"\t")
