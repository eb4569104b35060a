"""The data sets that go by a name: what they are, their published filters, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from collabtheory.errors import DataError

_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
EMBEDDED, DOWNLOAD, BY_HAND_ONLY = "embedded", "download", "by hand"
_MOVIELENS_LICENCE = "research use, no redistribution (GroupLens)"


@dataclass(frozen=True)
class CatalogueEntry:
    """One named data set.

    Parameters
    ----------
    name, description, size, licence
        For people.
    source
        Where it comes from, in words or as an address.
    min_rating
        Published threshold; None where there is no rating (visits) or the third column counts plays.
    min_user_items, min_item_users
        Published filters.
    url, sha256
        Of the download; None where there is none.
    embedded
        Made by this package, needing no file.
    where
        Where it is now: ``"embedded"``, a path, ``"download"`` or ``"by hand"``; empty before anyone looked.
    """

    name: str
    description: str
    size: str
    licence: str
    source: str
    min_rating: float | None = None
    min_user_items: int = 5
    min_item_users: int = 0
    url: str | None = None
    sha256: str | None = None
    embedded: bool = False
    where: str = ""

    @property
    def available(self) -> bool:
        """Whether it can be loaded now without the network."""
        return self.where not in ("", DOWNLOAD, BY_HAND_ONLY)


def _movielens(name: str, description: str, size: str, sha256: str) -> CatalogueEntry:
    url = f"{_GROUPLENS}/{name}.zip"
    return CatalogueEntry(name, description, size, _MOVIELENS_LICENCE, url, min_rating=4.0, url=url, sha256=sha256)


# SHA-256 as pinned by TensorFlow Datasets for the same addresses (tensorflow_datasets/url_checksums/movielens.txt).
# GroupLens itself publishes MD5 only: ml-100k 0e33842e24a9c977be4e0107933c0723,
# ml-1m c4d9eecfca2ab87c1945afe126590906, ml-20m cd245b17a1ae2cc31bb14903e1204af3.
ENTRIES = {
    entry.name: entry
    for entry in (
        CatalogueEntry(
            *("planted", "planted worlds with known truth, the default", "1,000 users x 480 items"),
            *("Apache-2.0", "made from a seed by this package"),
            min_user_items=1,
            embedded=True,
        ),
        CatalogueEntry(
            *("davis", "Davis Southern Women: who attended which social event", "18 users x 14 items, 89 interactions"),
            *("public domain", "networkx"),
            min_user_items=1,
            embedded=True,
        ),
        _movielens(
            *("ml-100k", "MovieLens 100k, ratings 1-5", "943 users x 1,682 items, 100,000 ratings"),
            "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        ),
        _movielens(
            *("ml-1m", "MovieLens 1M, ratings 1-5", "6,040 users x 3,706 items, 1,000,209 ratings"),
            "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        ),
        _movielens(
            *("ml-20m", "MovieLens 20M, ratings 0.5-5", "138,493 users x 26,744 items, 20,000,263 ratings"),
            "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        ),
        _movielens(
            # GroupLens says that this one may change; a new edition fails the checksum instead of changing results.
            *(
                "ml-latest-small",
                "MovieLens latest small (edition of 9/2018)",
                "610 users x 9,724 items, 100,836 ratings",
            ),
            "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        ),
        CatalogueEntry(
            *(
                "lastfm-2k",
                "Last.fm artists, play counts (any play counts)",
                "1,892 users x 17,632 items, 92,834 pairs",
            ),
            *(
                "non-commercial use (HetRec 2011)",
                "local folder, lastfm-2k.csv.gz (grouplens.org/datasets/hetrec-2011)",
            ),
        ),
        CatalogueEntry(
            *("msweb", "visits to areas of a web site, training users", "32,711 users x 285 items, 98,654 visits"),
            *("CC BY 4.0 (UCI)", "local folder, msweb.csv.gz (UCI: Anonymous Microsoft Web Data)"),
        ),
        CatalogueEntry(
            *("msweb-test", "visits to areas of a web site, test users", "5,000 users x 236 items, 15,191 visits"),
            *("CC BY 4.0 (UCI)", "local folder, msweb-test.csv.gz (UCI: Anonymous Microsoft Web Data)"),
        ),
        CatalogueEntry(
            *("netflix", "Netflix Prize, ratings 1-5", "480,189 users x 17,770 items, 100,480,507 ratings"),
            *(
                "no longer distributed by Netflix; no redistribution",
                "local folder netflix/ with mv_*.txt or combined_data_*.txt",
            ),
            min_rating=4.0,
        ),
        CatalogueEntry(
            *("msd", "Million Song Taste Profile, play counts (any play counts)", "1,019,318 users x 384,546 items"),
            *("non-commercial research (The Echo Nest)", "local folder msd/ with train_triplets.txt"),
            min_user_items=20,
            min_item_users=200,
        ),
    )
}

# What to do where nothing can be downloaded.
BY_HAND = {
    "netflix": (
        "get the Netflix Prize data yourself (nf_prize_dataset.tar.gz, or netflix-inc/netflix-prize-data on Kaggle), "
        "unpack mv_*.txt or combined_data_*.txt into a folder 'netflix'"
    ),
    "msd": (
        "get train_triplets.txt.zip yourself (Million Song Dataset: the Echo Nest Taste Profile Subset), "
        "put it into a folder 'msd'"
    ),
    "lastfm-2k": "put lastfm-2k.csv.gz (user,item,rating; from HetRec 2011's user_artists.dat) into a folder",
    "msweb": "put msweb.csv.gz (user,item; from UCI's anonymous-msweb.data) into a folder",
    "msweb-test": "put msweb-test.csv.gz (user,item; from UCI's anonymous-msweb.test) into a folder",
}


def entry_named(name: str) -> CatalogueEntry:
    """Return the entry of that name, or say which names there are."""
    if name not in ENTRIES:
        raise DataError(f"there is no data set named {name!r}; named data sets are {', '.join(ENTRIES)}")
    return ENTRIES[name]
