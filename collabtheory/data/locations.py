"""Where the file of a named data set is: a folder of the user's, the download cache, or the network."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import requests

from collabtheory.data.catalogue import BY_HAND, BY_HAND_ONLY, DOWNLOAD, EMBEDDED, ENTRIES, CatalogueEntry, entry_named
from collabtheory.data.million_song_files import triplets_file
from collabtheory.data.netflix_files import netflix_files
from collabtheory.errors import DataError

_SUFFIXES = (".csv.gz", ".csv", ".tsv.gz", ".tsv", ".parquet", ".npz", ".zip")
_TIMEOUT_SECONDS = 30


def fetch(name: str, *, folder: str | Path | None = None, offline: bool = False) -> Path | None:
    """Return the local file or folder of a named data set, downloading it if need be; None if it needs no file.

    The order is: ``folder``, the folder that the variable ``COLLABTHEORY_DATA`` names, the download cache, the network
    (unless ``offline`` or the variable ``COLLABTHEORY_OFFLINE`` is set). A download has to match its pinned SHA-256.

    Raises
    ------
    DataError
        If the name is unknown, a folder named does not exist, or the data cannot be had; the message says how to.
    """
    entry = entry_named(name)
    if entry.embedded:
        return None
    for place in _folders(folder):
        found = _in_folder(entry, place)
        if found is not None:
            return found
    if entry.url is None:
        raise DataError(
            f"{name}: cannot be downloaded freely; {BY_HAND[name]} and name the folder around it "
            "with folder=... or the variable COLLABTHEORY_DATA"
        )
    return _cached(entry) or _download(entry, offline or offline_by_environment())


def catalogue(*, folder: str | Path | None = None) -> list[CatalogueEntry]:
    """Return every named data set, with ``where`` it is now.

    Examples
    --------
    >>> [(entry.name, entry.where, entry.available) for entry in catalogue()][:2]
    [('planted', 'embedded', True), ('davis', 'embedded', True)]
    """
    return [replace(entry, where=_where(entry, folder)) for entry in ENTRIES.values()]


def offline_by_environment() -> bool:
    """Whether the variable ``COLLABTHEORY_OFFLINE`` forbids the network."""
    return os.environ.get("COLLABTHEORY_OFFLINE", "").strip().lower() not in ("", "0", "no", "false")


def _where(entry: CatalogueEntry, folder: str | Path | None) -> str:
    if entry.embedded:
        return EMBEDDED
    for place in _folders(folder):
        found = _in_folder(entry, place)
        if found is not None:
            return str(found)
    if entry.url is None:
        return BY_HAND_ONLY
    cached = _cache_folder() / f"{entry.name}.zip"
    return str(cached) if cached.is_file() else DOWNLOAD


def _folders(folder: str | Path | None) -> list[Path]:
    named = [("folder", folder), ("the variable COLLABTHEORY_DATA", os.environ.get("COLLABTHEORY_DATA") or None)]
    places = []
    for what, value in named:
        if value is not None:
            if not Path(value).is_dir():
                raise DataError(f"{what} names {value}, which is not a folder")
            places.append(Path(value))
    return places


def _in_folder(entry: CatalogueEntry, folder: Path) -> Path | None:
    files = [folder / f"{entry.name}{suffix}" for suffix in _SUFFIXES]
    found = next((path for path in files if path.is_file()), None)
    if found is None and (folder / entry.name).is_dir():
        found = folder / entry.name
    if found is None and entry.name == "netflix" and netflix_files(folder):
        found = folder
    if found is None and entry.name == "msd":
        found = triplets_file(folder)
    return found


def _cache_folder() -> Path:
    import pooch

    return Path(pooch.os_cache("collabtheory"))


def _cached(entry: CatalogueEntry) -> Path | None:
    import pooch

    path = _cache_folder() / f"{entry.name}.zip"
    return path if path.is_file() and pooch.file_hash(str(path)) == entry.sha256 else None


def _download(entry: CatalogueEntry, offline: bool) -> Path:
    import pooch

    if offline:
        raise DataError(
            f"{entry.name}: is neither in a folder named by folder=... or COLLABTHEORY_DATA nor in the cache, "
            f"and offline is set; download {entry.url} yourself and put it into such a folder"
        )
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        path = pooch.retrieve(
            entry.url,
            known_hash=f"sha256:{entry.sha256}",
            fname=f"{entry.name}.zip",
            path=_cache_folder(),
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS),
        )
    # pooch reports a wrong checksum as ValueError; a full disk or a refused connection is an OSError.
    except (requests.RequestException, ValueError, OSError) as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise DataError(
            f"{entry.name}: the download of {entry.url} failed ({reason}); get it yourself and "
            "name its folder with folder=... or COLLABTHEORY_DATA"
        ) from error
    return Path(path)
