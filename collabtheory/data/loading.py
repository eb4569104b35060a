"""The one door: a name or a path in, interactions out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from collabtheory.data.catalogue import ENTRIES, CatalogueEntry
from collabtheory.data.davis import davis_women
from collabtheory.data.filters import apply_filters
from collabtheory.data.formats import Read, read_interactions
from collabtheory.data.interactions import Interactions, check_duplicates_argument
from collabtheory.data.item_files import strip_suffixes, with_items
from collabtheory.data.locations import fetch
from collabtheory.data.pair_table import PairTable
from collabtheory.data.planted import PlantedWorld, generate
from collabtheory.errors import DataError, InvalidInput

DEFAULT_MIN_RATING = 4.0
DEFAULT_MIN_USER_ITEMS = 5


def load(
    name_or_path: str | Path,
    *,
    min_rating: float | None = None,
    min_user_items: int | None = None,
    min_item_users: int | None = None,
    duplicates: str = "error",
    offline: bool = False,
    folder: str | Path | None = None,
    seed: int = 0,
) -> Interactions:
    """Load a named data set or a file as binary interactions, filtered as in the literature.

    Parameters
    ----------
    name_or_path
        A name of :func:`catalogue`, or a file (csv, tsv, ``::``, each also as ``.gz``; parquet; a MovieLens zip; what
        :meth:`Interactions.save` wrote) or a folder (MovieLens, Netflix Prize, Million Song).
    min_rating
        Keep ratings of at least this. None: the data set's own threshold; for a file 4 if it has a column of ratings,
        and no threshold if the column counts plays. ``-inf`` keeps all. Without effect where there is no such column.
    min_user_items
        Keep users with at least this many items afterwards. None: the data set's own value; 5 for a file.
    min_item_users
        Keep items with at least this many users. None: the data set's own value; no such filter for a file.
    duplicates
        A (user, item) pair that comes twice: ``"error"``, or keep the ``"first"``, the ``"last"`` or the one with the
        ``"max"`` rating (the first where there are no ratings).
    offline
        Never use the network (as the variable ``COLLABTHEORY_OFFLINE``).
    folder
        Where to look first, for names before ``COLLABTHEORY_DATA``, for relative paths after the working folder.
    seed
        Of the planted world; no other data set draws anything.

    Returns
    -------
    Interactions
        Rows and columns sorted by id; ``filters`` tells the counts before and after each filter.

    Raises
    ------
    DataError
        One line with file and row: missing, empty, malformed or damaged files, duplicates, nothing left.
    InvalidInput
        If an argument is out of range.

    Notes
    -----
    A file written by :meth:`Interactions.save` is filtered again only where a filter is given.

    Examples
    --------
    >>> load("davis")
    <Interactions davis: 18 users x 14 items, 89 interactions, density 0.3532>
    """
    _check_arguments(name_or_path, min_rating, min_user_items, min_item_users, duplicates)
    name = str(name_or_path)
    entry = ENTRIES.get(name) if isinstance(name_or_path, str) else None
    data: Read | Interactions
    if entry is not None and entry.embedded:
        data = davis_women() if name == "davis" else generate(PlantedWorld(), seed)
    else:
        path = _path(name_or_path, entry, folder, offline)
        data = read_interactions(path, netflix_min_rating=DEFAULT_MIN_RATING if min_rating is None else min_rating)
        name = entry.name if entry else strip_suffixes(path.name)
    if isinstance(data, Interactions):
        return _filter_again(data, min_user_items, min_item_users)
    table = apply_filters(
        data.table,
        min_rating=_rating_threshold(min_rating, entry, data.table),
        min_user_items=_first(min_user_items, entry.min_user_items if entry else DEFAULT_MIN_USER_ITEMS),
        min_item_users=_first(min_item_users, entry.min_item_users if entry else 0),
        duplicates=duplicates,
    )
    interactions = Interactions.from_table(table, name=name)
    return interactions if data.items is None else with_items(interactions, data.items)


def _first(value: int | None, default: int) -> int:
    return default if value is None else value


def _rating_threshold(min_rating: float | None, entry: CatalogueEntry | None, table: PairTable) -> float | None:
    if min_rating is not None:
        return min_rating
    if entry is not None:
        return entry.min_rating
    return DEFAULT_MIN_RATING if table.rating_kind == "rating" else None


def _path(name_or_path: str | Path, entry: CatalogueEntry | None, folder: str | Path | None, offline: bool) -> Path:
    if entry is not None:
        found = fetch(entry.name, folder=folder, offline=offline)
        if found is None:
            raise DataError(f"{entry.name}: is made by this package and has no file")
        return found
    path = Path(name_or_path)
    try:
        if folder is not None and not path.exists():
            path = Path(folder) / path
        if not path.exists():
            raise DataError(
                f"{name_or_path}: there is no such file, and no data set of that name ({', '.join(ENTRIES)})"
            )
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{str(name_or_path)[:80]!r}: is not a usable path ({error})") from error
    return path


def _filter_again(data: Interactions, min_user_items: int | None, min_item_users: int | None) -> Interactions:
    """Filter data that were not just read from a table; only by what was asked for."""
    rows = np.repeat(np.arange(data.n_users, dtype=np.int32), data.sizes)
    table = PairTable(data.name, rows, data.matrix.indices, data.user_ids, data.item_ids, filters=data.filters)
    kept = apply_filters(
        table,
        min_rating=None,
        min_user_items=_first(min_user_items, 0),
        min_item_users=_first(min_item_users, 0),
        duplicates="error",
    )
    if len(kept) == len(table):
        return replace(data, filters=kept.filters)
    users = np.bincount(kept.user_codes, minlength=data.n_users) > 0
    items = np.bincount(kept.item_codes, minlength=data.n_items) > 0
    return replace(data.select_users(users).select_items(items), filters=kept.filters)


def _check_arguments(
    name_or_path: str | Path,
    min_rating: float | None,
    min_user_items: int | None,
    min_item_users: int | None,
    duplicates: str,
) -> None:
    check_duplicates_argument(duplicates)
    if not str(name_or_path):
        raise InvalidInput("name_or_path is empty; give a name of the catalogue, a file or a folder")
    if min_rating is not None and (not isinstance(min_rating, int | float) or np.isnan(min_rating)):
        raise InvalidInput(f"min_rating must be a number; it is {min_rating!r}")
    for argument, value in (("min_user_items", min_user_items), ("min_item_users", min_item_users)):
        if value is not None and (not isinstance(value, int | np.integer) or value < 0):
            raise InvalidInput(f"{argument} must be a whole number, 0 or more; it is {value!r}")
