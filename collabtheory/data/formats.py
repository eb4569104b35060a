"""Which reader a file or folder needs, told by what is in it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from collabtheory.data import million_song_files, movielens_files, netflix_files
from collabtheory.data.interactions import Interactions
from collabtheory.data.item_files import find_item_file
from collabtheory.data.pair_table import PairTable
from collabtheory.data.parquet_files import read_parquet
from collabtheory.data.sources import Source, refuse_pickle
from collabtheory.data.table_files import read_text_table
from collabtheory.errors import DataError


@dataclass(frozen=True)
class Read:
    """A table as read, where its items are described, and the name of its format."""

    table: PairTable
    items: Source | None
    format: str


def read_interactions(path: Path, *, netflix_min_rating: float | None = 4.0) -> Read | Interactions:
    """Read any supported file or folder; what :meth:`Interactions.save` wrote comes back as it was.

    The threshold of the Netflix Prize is applied while its 100 million rows stream by; all others come later.
    """
    try:
        if path.is_dir():
            return _read_folder(path, netflix_min_rating)
        if not path.exists():
            raise DataError(f"{path}: there is no such file")
        start = _start(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if start.startswith(b"PK\x03\x04"):
        return _read_zip(path)
    if start == b"PAR1":
        return Read(read_parquet(Source(path)), _item_source(path), "parquet")
    source = Source(path)
    head = source.head()
    refuse_pickle(source, head)
    if netflix_files.is_netflix(head):
        table = netflix_files.read_netflix([path], min_rating=netflix_min_rating, label=str(path))
        return Read(table, None, "Netflix Prize")
    return _read_text(source, head, _item_source(path))


def _read_folder(folder: Path, netflix_min_rating: float | None) -> Read:
    movielens = movielens_files.sources_in_folder(folder)
    if movielens is not None:
        ratings, movies = movielens
        read = read_interactions(ratings.path)
        if isinstance(read, Read):
            return Read(read.table, movies, f"MovieLens folder, {ratings.file_name}")
    files = netflix_files.netflix_files(folder)
    if files:
        table = netflix_files.read_netflix(files, min_rating=netflix_min_rating, label=str(folder))
        return Read(table, None, f"Netflix Prize, {len(files)} files")
    triplets = million_song_files.triplets_file(folder)
    if triplets is not None:
        read = read_interactions(triplets)
        if isinstance(read, Read):
            return read
    expected = ", ".join(
        (*movielens_files.RATINGS[:4:1], "mv_0000001.txt", "combined_data_1.txt", "train_triplets.txt")
    )
    raise DataError(f"{folder}: is a folder without a known file; expected one of {expected}, or name a file in it")


def _read_zip(path: Path) -> Read | Interactions:
    with Source(path).reading(), zipfile.ZipFile(path) as archive:
        members = archive.namelist()
    if "header.npy" in members:
        return Interactions.load(path)
    triplets = next((name for name in members if name.rsplit("/", 1)[-1] == million_song_files.TRIPLETS), None)
    if triplets is not None:
        return Read(million_song_files.read_million_song(Source(path, triplets)), None, "Million Song Taste Profile")
    ratings, movies = movielens_files.sources_in_zip(path, members)
    return _read_text(ratings, ratings.head(), movies)


def _read_text(source: Source, head: bytes, items: Source | None) -> Read:
    if million_song_files.is_million_song(head) or source.file_name in million_song_files.FILE_NAMES:
        return Read(million_song_files.read_million_song(source), None, "Million Song Taste Profile")
    return Read(read_text_table(source, head), items, "table of text")


def _item_source(path: Path) -> Source | None:
    found = find_item_file(path)
    return None if found is None else Source(found)


def _start(path: Path) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(4)
