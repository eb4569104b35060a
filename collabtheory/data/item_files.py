"""Titles and genres of items: ``<name>.items.csv``, and MovieLens' ``movies.csv``, ``movies.dat`` and ``u.item``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from collabtheory.data.columns import NAMES, normalise
from collabtheory.data.interactions import Interactions
from collabtheory.data.row_errors import csv_rows
from collabtheory.data.sources import Source
from collabtheory.errors import DataError

_TITLES = ("title", "name", "itemname", "movietitle", "artist", "song")
_GENRES = ("genres", "genre", "category", "categories", "tags")
_NO_GENRE = "(no genres listed)"


def find_item_file(ratings: Path) -> Path | None:
    """Return the file beside a table of interactions that tells about its items, or None."""
    stem = strip_suffixes(ratings.name)
    names = [f"{stem}.items{suffix}" for suffix in (".csv.gz", ".csv", ".tsv.gz", ".tsv")]
    if stem in ("ratings", "u"):
        names += ["movies.csv", "movies.dat", "u.item"]
    return next((ratings.parent / name for name in names if (ratings.parent / name).is_file()), None)


def strip_suffixes(name: str) -> str:
    """Return a file's name without the endings that tables have."""
    for suffix in (".gz", ".csv", ".tsv", ".txt", ".dat", ".data", ".parquet", ".npz", ".zip", ".inter"):
        name = name.removesuffix(suffix)
    return name


def with_items(data: Interactions, source: Source) -> Interactions:
    """Return the data with the titles and genres found in ``source``; items not in it are titled by their id.

    Raises
    ------
    DataError
        If the file has no item or title column, a row is malformed, or an item comes twice.
    """
    about: dict[str, tuple[str, str]] = {}
    for line, item, title, genres in _rows(source):
        if item in about:
            raise DataError(f"{source.label}, line {line}: item {item} comes a second time")
        about[item] = (title, "" if genres == _NO_GENRE else genres)
    found = [about.get(str(item), (str(item), "")) for item in data.item_ids]
    titles = np.array([title or str(item) for (title, _), item in zip(found, data.item_ids, strict=True)], dtype=object)
    return replace(data, item_titles=titles, item_genres=np.array([genres for _, genres in found], dtype=object))


def _rows(source: Source) -> Iterator[tuple[int, str, str, str]]:
    if source.file_name == "movies.dat":
        return _movies_dat(source)
    if source.file_name == "u.item":
        return _u_item(source)
    return _items_csv(source)


def _items_csv(source: Source) -> Iterator[tuple[int, str, str, str]]:
    rows = csv_rows(source, "\t" if ".tsv" in source.file_name else ",")
    line, header = next(rows, (1, []))
    names = [normalise(name) for name in header]
    item = next((position for position, name in enumerate(names) if name in (*NAMES["item"], "id")), None)
    title = next((position for position, name in enumerate(names) if name in _TITLES and position != item), None)
    genres = next((position for position, name in enumerate(names) if name in _GENRES), None)
    if item is None or title is None:
        raise DataError(f"{source.label}, line {line}: needs a header with item, title and optionally genres")
    for line, fields in rows:
        if len(fields) != len(header):
            raise DataError(f"{source.label}, line {line}: {len(fields)} fields where the header has {len(header)}")
        yield line, fields[item].strip(), fields[title], "" if genres is None else fields[genres]


def _movies_dat(source: Source) -> Iterator[tuple[int, str, str, str]]:
    for line, raw in source.lines():
        fields = _published_text(raw).split("::")
        if raw and len(fields) != 3:
            raise DataError(f"{source.label}, line {line}: {len(fields)} fields; expected item::title::genres")
        if raw:
            yield line, fields[0], fields[1], fields[2]


# The order of the 19 flags at the end of each row, as the README of ml-100k lists them.
_FLAGS = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def _u_item(source: Source) -> Iterator[tuple[int, str, str, str]]:
    for line, raw in source.lines():
        if not raw:
            continue
        fields = next(csv.reader([_published_text(raw)], delimiter="|", quoting=csv.QUOTE_NONE))
        if len(fields) != 5 + len(_FLAGS):
            raise DataError(f"{source.label}, line {line}: {len(fields)} fields; expected {5 + len(_FLAGS)}")
        genres = [name for name, flag in zip(_FLAGS, fields[5:], strict=True) if flag == "1" and name != "unknown"]
        yield line, fields[0], fields[1], "|".join(genres)


def _published_text(raw: bytes) -> str:
    """Decode a line of movies.dat or u.item: ml-10m is UTF-8, ml-100k and ml-1m are ISO-8859-1 as published."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
