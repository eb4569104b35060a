"""MovieLens as published: a folder or zip with ``ratings.csv``, ``ratings.dat`` or ``u.data``, and movie names."""

from __future__ import annotations

from pathlib import Path

from collabtheory.data.sources import Source
from collabtheory.errors import DataError

RATINGS = ("ratings.csv", "ratings.csv.gz", "ratings.dat", "u.data", "ratings.parquet")
MOVIES = ("movies.csv", "movies.csv.gz", "movies.dat", "u.item")


def sources_in_folder(folder: Path) -> tuple[Source, Source | None] | None:
    """Return the ratings and movies files of a MovieLens folder; None if it is not one."""
    ratings = next((folder / name for name in RATINGS if (folder / name).is_file()), None)
    if ratings is None:
        return None
    movies = next((folder / name for name in MOVIES if (folder / name).is_file()), None)
    return Source(ratings), None if movies is None else Source(movies)


def sources_in_zip(path: Path, members: list[str]) -> tuple[Source, Source | None]:
    """Return the ratings and movies members of a MovieLens zip, as downloaded; DataError if it has no ratings."""
    by_name = {name.rsplit("/", 1)[-1]: name for name in reversed(members) if name.count("/") <= 1}
    ratings = next((by_name[name] for name in RATINGS if name in by_name and not name.endswith("parquet")), None)
    if ratings is None:
        raise DataError(f"{path}: the zip holds none of {', '.join(RATINGS[:4])}; unpack it and name the table itself")
    movies = next((by_name[name] for name in MOVIES if name in by_name), None)
    return Source(path, ratings), None if movies is None else Source(path, movies)
