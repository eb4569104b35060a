"""The slow, careful reader: goes through a text table line by line to name the first line that breaks a rule."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator

from collabtheory.data.columns import Columns, decode, is_number
from collabtheory.data.sources import Source
from collabtheory.errors import DataError


def explain_first_bad_row(source: Source, columns: Columns) -> int:
    """Raise a DataError for the first line that is not as ``columns`` says; return the number of rows if all are."""
    n_rows = 0
    for line, fields in data_rows(source, columns):
        where = f"{source.label}, line {line}"
        if len(fields) != columns.n_fields:
            raise DataError(f"{where}: {len(fields)} fields where the first row has {columns.n_fields}")
        for kind, position in (("user", columns.user), ("item", columns.item)):
            if not fields[position].strip():
                raise DataError(f"{where}: the {kind} id is empty")
        for kind, number in (("rating", columns.rating), ("timestamp", columns.time)):
            if number is not None and not is_number(fields[number]):
                raise DataError(f"{where}: the {kind} {fields[number][:40]!r} is not a finite number")
        n_rows += 1
    return n_rows


def line_of_row(source: Source, columns: Columns, row: int) -> int:
    """Return the line, from 1 on, on which data row ``row`` (from 0 on) ends; blank lines are no rows."""
    return next(line for line, _ in itertools.islice(data_rows(source, columns), row, None))


def data_rows(source: Source, columns: Columns) -> Iterator[tuple[int, list[str]]]:
    """Yield ``(line, fields)`` of each row below the header."""
    rows = _double_colon_rows(source) if columns.separator == "::" else csv_rows(source, columns.separator)
    header = columns.header_line > 0
    for line, fields in rows:
        if header:
            header = False
        else:
            yield line, fields


def _double_colon_rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    for number, raw in source.lines():
        if raw:
            yield number, decode(source, number, raw).split("::")


def csv_rows(source: Source, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield ``(line, fields)`` of each row that is not blank; DataError on bad quoting or text that is not UTF-8."""
    lines = (decode(source, number, raw) + "\n" for number, raw in source.lines())
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{source.label}, line {reader.line_num}: cannot be split into fields ({error})") from error
        if fields is None:
            return
        if fields:
            yield reader.line_num, fields
