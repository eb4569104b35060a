"""Which column is which: separator, header and the usual names of user, item, rating and time."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from collabtheory.data.sources import HEAD_BYTES, Source
from collabtheory.errors import DataError

NAMES = {
    "user": (
        "user",
        "userid",
        "uid",
        "useridx",
        "users",
        "visitor",
        "visitorid",
        "customer",
        "customerid",
        "reviewerid",
    ),
    "item": (
        *("item", "itemid", "iid", "itemidx", "items", "movie", "movieid", "artist", "artistid", "song", "songid"),
        *("track", "trackid", "product", "productid", "book", "bookid", "asin", "isbn", "business", "businessid"),
    ),
    "rating": ("rating", "ratings", "score", "stars", "overall"),
    "count": ("weight", "count", "counts", "plays", "playcount", "listencount", "total"),
    "time": ("timestamp", "time", "ts", "unixreviewtime"),
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


@dataclass(frozen=True)
class Columns:
    r"""Layout of a table of text.

    Parameters
    ----------
    separator
        As it stands in the file: ``","``, ``"\t"``, ``";"`` or ``"::"``.
    n_fields
        Fields in every row.
    header_line
        Line of the row of names, from 1 on; 0 if there is none.
    user, item
        Positions of the id columns.
    rating, time
        Positions, or None.
    rating_kind
        ``"rating"`` or ``"count"``.
    """

    separator: str
    n_fields: int
    header_line: int
    user: int
    item: int
    rating: int | None
    time: int | None
    rating_kind: str = "rating"


def is_number(text: str) -> bool:
    """Whether ``text`` is a plain finite decimal number (not NaN, not an infinity, not ``1_000``)."""
    return _NUMBER.fullmatch(text.strip()) is not None


def normalise(name: str) -> str:
    """Return a column name without case, blanks, underscores, or a ``:type`` at its end (RecBole)."""
    return re.sub(r"[\s_\-.]", "", name.split(":", 1)[0]).lower()


def find_columns(source: Source, head: bytes) -> Columns:
    """Find the layout of a text table from its first rows.

    Raises
    ------
    DataError
        If the file is empty, its first rows are not UTF-8 text, or user and item columns cannot be told.
    """
    rows = _first_rows(source, head)
    if not rows:
        raise DataError(f"{source.label}: the file is empty")
    number, first = rows[0]
    separator = _separator(first)
    fields = split_line(first, separator)
    following = [split_line(line, separator) for _, line in rows[1:2]]
    where = f"{source.label}, line {number}"
    known = {name for names in NAMES.values() for name in names}
    if any(normalise(field) in known for field in fields):
        return _named(where, separator, fields, number)
    if _looks_like_header(fields, following):
        raise _missing(where, "user", fields)
    if not 2 <= len(fields) <= 4:
        raise DataError(
            f"{where}: {len(fields)} fields; without a header a row is user,item or user,item,rating or "
            "user,item,rating,timestamp, separated by a comma, tab, ';' or '::'"
        )
    rating, time = (2 if len(fields) > 2 else None), (3 if len(fields) > 3 else None)
    return Columns(separator, len(fields), header_line=0, user=0, item=1, rating=rating, time=time)


def named_columns(where: str, names: list[str]) -> dict[str, int]:
    """Return the position of each kind of column that is there; DataError if user or item is missing or named twice."""
    found: dict[str, int] = {}
    for kind, synonyms in NAMES.items():
        positions = [position for position, name in enumerate(names) if normalise(name) in synonyms]
        # "user" beside "user_id" is no ambiguity: the first synonym in the list is the more explicit name.
        positions.sort(key=lambda position: synonyms.index(normalise(names[position])))
        if len(positions) > 1 and normalise(names[positions[0]]) == normalise(names[positions[1]]):
            raise DataError(f"{where}: two columns are named {names[positions[0]]!r}; rename or remove one")
        if positions:
            found[kind] = positions[0]
    for kind in ("user", "item"):
        if kind not in found:
            raise _missing(where, kind, names)
    return found


def split_line(line: str, separator: str) -> list[str]:
    """Split one line as the reader does (quotes as in csv); one that csv cannot split is one field."""
    if separator == "::":
        return line.split("::")
    try:
        return next(csv.reader([line], delimiter=separator), [""])
    except csv.Error:
        return [line]


def _named(where: str, separator: str, names: list[str], line: int) -> Columns:
    found = named_columns(where, names)
    kind = "rating" if "rating" in found else "count"
    return Columns(
        separator,
        len(names),
        header_line=line,
        user=found["user"],
        item=found["item"],
        rating=found.get(kind),
        time=found.get("time"),
        rating_kind=kind,
    )


def _missing(where: str, kind: str, names: list[str]) -> DataError:
    shown = ", ".join(repr(name[:30]) for name in names[:8])
    expected = ", ".join(NAMES[kind][:4])
    return DataError(f"{where}: no {kind} column among {shown}; name it one of {expected}, ..., or remove the header")


def _looks_like_header(fields: list[str], following: list[list[str]]) -> bool:
    """Whether a first row without known names is one of names: text where the next row, or a rating, has numbers."""
    if len(fields) >= 3 and not is_number(fields[2]) and fields[2].strip().lower() not in ("", "nan", "inf", "-inf"):
        return bool(following) and len(following[0]) == len(fields) and is_number(following[0][2])
    return (
        bool(following)
        and len(fields) >= 2
        and len(following[0]) == len(fields)
        and all(not _INTEGER.fullmatch(field.strip()) for field in fields[:2])
        and all(_INTEGER.fullmatch(field.strip()) for field in following[0][:2])
    )


def _separator(line: str) -> str:
    if "::" in line:
        return "::"
    return next((separator for separator in ("\t", ",", ";") if separator in line), ",")


def _first_rows(source: Source, head: bytes) -> list[tuple[int, str]]:
    """Return the first two rows that are not blank, with their line numbers."""
    complete = len(head) < HEAD_BYTES
    lines = head.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if not complete and len(lines) == 1:
        raise DataError(f"{source.label}, line 1: is longer than {HEAD_BYTES:,} bytes; this is not a table of text")
    rows: list[tuple[int, str]] = []
    for number, raw in enumerate(lines if complete else lines[:-1], start=1):
        text = decode(source, number, raw)
        if text:
            rows.append((number, text))
        if len(rows) == 2:
            break
    return rows


def decode(source: Source, number: int, raw: bytes) -> str:
    """Decode one line as UTF-8, or say which line is not."""
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source.label}, line {number}: is not UTF-8 text (byte {raw[error.start]:#04x}); save the file as UTF-8"
        ) from error
