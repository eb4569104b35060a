"""Accuracy of every user under every method, as one table of a run: what performance profiles are drawn from."""

from __future__ import annotations

from pathlib import Path

from collabtheory.runs.files import write_atomically
from collabtheory.runs.published import note_published
from collabtheory.studies.results import MAIN_METRIC, Study

USERS_TABLE = "study_users.parquet"


def publish_users(folder: Path, study: Study) -> Path:
    """Write nDCG@100 of every tested user into a run folder and return the path.

    Columns ``fold``, ``row`` (number of the user in the data), ``n_items`` (length of the history), then one for each
    method, by its name; the same users in the same order for every method.
    """
    frames = {name: study.users(name) for name in study.methods}
    first = next(iter(frames.values()))
    table = first[["fold", "row", "n_items"]].assign(**{name: one[MAIN_METRIC] for name, one in frames.items()})
    path = folder / USERS_TABLE
    write_atomically(path, lambda target: table.to_parquet(target, index=False))
    note_published(path)
    return path
