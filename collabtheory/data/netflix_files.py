"""The Netflix Prize as published: ``movie:`` lines followed by ``user,rating,date``, one movie after the other."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from collabtheory.data.filters import FilterStep
from collabtheory.data.pair_table import PairTable, distinct
from collabtheory.data.sources import Source
from collabtheory.errors import DataError

FILE_NAMES = ("mv_*.txt", "combined_data_*.txt", "mv_*.txt.gz", "combined_data_*.txt.gz")
MOVIE_LINE = re.compile(rb"\s*(\d{1,9}):\s*", re.ASCII)
_ROW = re.compile(rb"\s*\d{1,18}\s*,\s*\d+(\.\d+)?\s*,\s*(\d{4}-\d{2}-\d{2})\s*", re.ASCII)
_BLOCK_BYTES = 8 << 20


def netflix_files(folder: Path) -> list[Path]:
    """Return the rating files in ``folder`` or its ``training_set``, in order; empty if it has none."""
    for place in (folder, folder / "training_set"):
        for pattern in FILE_NAMES:
            files = sorted(place.glob(pattern), key=lambda path: (len(path.name), path.name))
            if files:
                return files
    return []


def is_netflix(head: bytes) -> bool:
    """Whether a file starts with a ``movie:`` line."""
    return MOVIE_LINE.fullmatch(head.split(b"\n", 1)[0]) is not None


def read_netflix(files: list[Path], *, min_rating: float | None, label: str) -> PairTable:
    """Read Netflix Prize files, keeping only ratings of at least ``min_rating``, movie by movie.

    The threshold is applied while reading: of the 100 million ratings, only those kept are ever held. Timestamps are
    days since 1970-01-01. A user who rates a movie twice is refused with the file's and the movie's name.
    """
    seen = _Counts()
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    movies: set[int] = set()
    for path in files:
        for movie, users, ratings, days in _movies(Source(path)):
            if movie in movies:
                raise DataError(f"{path}: movie {movie} comes a second time; name each file once")
            movies.add(movie)
            if len(distinct(users)) != len(users):
                raise DataError(f"{path}: movie {movie} has the same user twice; the published files have none")
            seen.add(users)
            keep = np.ones(len(users), dtype=bool) if min_rating is None else ratings >= min_rating
            if keep.any():
                kept.append((users[keep], np.full(keep.sum(), movie, np.int32), ratings[keep], days[keep]))
    if seen.interactions == 0:
        raise DataError(f"{label}: the Netflix files hold no rating")
    return _table(label, kept, seen, min_rating)


class _Counts:
    """Distinct users, movies and ratings before the threshold; users are merged now and then, not at every movie."""

    def __init__(self) -> None:
        self._users: list[np.ndarray] = []
        self._waiting = 0
        self.items = self.interactions = 0

    def add(self, users: np.ndarray) -> None:
        self._users.append(users)
        self._waiting += len(users)
        self.items += len(users) > 0
        self.interactions += len(users)
        if self._waiting > 8_000_000:
            self._merge()

    @property
    def users(self) -> int:
        self._merge()
        return len(self._users[0])

    def _merge(self) -> None:
        self._users, self._waiting = [distinct(np.concatenate(self._users))], 0


def _table(
    label: str,
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    seen: _Counts,
    min_rating: float | None,
) -> PairTable:
    if not kept:
        raise DataError(f"{label}: nothing is left after the filter 'rating >= {min_rating:g}'")
    users, movies, ratings, days = (np.concatenate(column) for column in zip(*kept, strict=True))
    user_ids, user_codes = np.unique(users, return_inverse=True)
    item_ids, item_codes = np.unique(movies, return_inverse=True)
    table = PairTable(
        *(label, user_codes.astype(np.int32), item_codes.astype(np.int32), user_ids, item_ids.astype(np.int64)),
        ratings=ratings,
        timestamps=days,
    )
    if min_rating is None:
        return table
    step = FilterStep(
        f"rating >= {min_rating:g}",
        *(seen.users, len(user_ids)),
        *(seen.items, len(item_ids)),
        *(seen.interactions, len(users)),
    )
    # The threshold is done: without ratings the later filters cannot apply it again.
    return replace(table, ratings=None, filters=(step,))


def _movies(source: Source) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield ``(movie, users, ratings, days)``, holding one movie's text at a time."""
    movie: int | None = None
    rows = bytearray()
    for chunk in _chunks(source):
        start = 0
        for line_start, line_end, number in _movie_lines(chunk):
            rows += chunk[start:line_start]
            if movie is not None:
                yield movie, *_parse(source, rows)
            elif rows.strip():
                _explain(source)
            movie, rows, start = number, bytearray(), line_end
        rows += chunk[start:]
    if movie is None:
        _explain(source)
    yield movie, *_parse(source, rows)


def _movie_lines(chunk: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield ``(start, end, movie)`` of each ``movie:`` line; only these have a colon, and searching for it is fast."""
    colon = chunk.find(b":")
    while colon >= 0:
        start, end = chunk.rfind(b"\n", 0, colon) + 1, chunk.find(b"\n", colon)
        match = MOVIE_LINE.fullmatch(chunk, start, end)
        if match is not None:
            yield start, end, int(match[1])
        colon = chunk.find(b":", end)


def _chunks(source: Source) -> Iterator[bytes]:
    """Yield blocks of whole lines."""
    rest = b""
    with source.open() as stream:
        while block := stream.read(_BLOCK_BYTES):
            head, newline, tail = (rest + block).rpartition(b"\n")
            rest = tail
            if newline:
                yield head + newline
    if rest:
        yield rest + b"\n"


def _parse(source: Source, rows: bytearray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not rows.strip():
        return np.zeros(0, np.int64), np.zeros(0, np.float64), np.zeros(0, np.int64)
    try:
        table = pa_csv.read_csv(
            io.BytesIO(bytes(rows)),
            pa_csv.ReadOptions(use_threads=False, column_names=["user", "rating", "day"]),
            pa_csv.ParseOptions(quote_char=False),
            pa_csv.ConvertOptions(
                column_types={"user": pa.int64(), "rating": pa.float64(), "day": pa.date32()}, null_values=[]
            ),
        )
    except pa.ArrowException:
        _explain(source)
    ratings = table["rating"].to_numpy()
    if not np.isfinite(ratings).all():
        _explain(source)
    return table["user"].to_numpy(), ratings, table["day"].cast(pa.int32()).to_numpy().astype(np.int64)


def _explain(source: Source) -> NoReturn:
    """Raise for the first line that is neither ``movie:`` nor ``user,rating,date``."""
    movie_seen = False
    for number, line in source.lines():
        if MOVIE_LINE.fullmatch(line):
            movie_seen = True
        elif line.strip() and not (movie_seen and _is_row(line)):
            expected = "user,rating,YYYY-MM-DD" if movie_seen else "a line 'movie:' before the first rating"
            raise DataError(
                f"{source.label}, line {number}: expected {expected}; found {line[:40].decode('ascii', 'replace')!r}"
            )
    raise DataError(f"{source.label}: is not a Netflix Prize file ('movie:' lines followed by user,rating,date)")


def _is_row(line: bytes) -> bool:
    match = _ROW.fullmatch(line)
    try:
        return match is not None and date.fromisoformat(match[2].decode()) is not None
    except ValueError:
        return False
