"""The Million Song Taste Profile as published: ``train_triplets.txt``, tab-separated user, song and play count."""

from __future__ import annotations

import re
from pathlib import Path

from collabtheory.data.columns import Columns
from collabtheory.data.pair_table import PairTable
from collabtheory.data.sources import Source
from collabtheory.data.table_files import read_text_table

TRIPLETS = "train_triplets.txt"
FILE_NAMES = (TRIPLETS, f"{TRIPLETS}.gz", f"{TRIPLETS}.zip")
# A listener is 40 hexadecimal digits, a song an Echo Nest id.
_FIRST_LINE = re.compile(rb"[0-9a-f]{40}\tSO[A-Z0-9]{16}\t\d+\r?", re.ASCII)
_COLUMNS = Columns("\t", 3, header_line=0, user=0, item=1, rating=2, time=None, rating_kind="count")


def triplets_file(folder: Path) -> Path | None:
    """Return the triplets file in ``folder``, or None; it is published as a zip."""
    return next((folder / name for name in FILE_NAMES if (folder / name).is_file()), None)


def is_million_song(head: bytes) -> bool:
    """Whether a file starts with a row of the Taste Profile."""
    return _FIRST_LINE.fullmatch(head.split(b"\n", 1)[0]) is not None


def read_million_song(source: Source) -> PairTable:
    """Read the triplets; the third column is a play count, so no rating threshold applies by default.

    Streamed: what is held is two int32 codes and a count per row, and each id once.
    """
    return read_text_table(source, b"", _COLUMNS)
