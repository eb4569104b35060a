"""The study of a run folder, for pictures: its published result, and the accuracy of every user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collabtheory.errors import DataError
from collabtheory.report.study_json import read_study
from collabtheory.report.study_schema import Interval, Method, Study
from collabtheory.report.study_words import by_accuracy
from collabtheory.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

TELLING = ("popularity", "ease", "mult_vae_clean", "mult_vae", "mult_vae_pia", "rec_vae")
"""Methods that a picture with few lines shows: the simplest, the strongest linear one, the paper's, and its rival."""


@dataclass(frozen=True)
class Mean:
    """A mean with its interval and over how many users it was taken; None where it is not known."""

    value: float
    low: float | None
    high: float | None
    n: int | None


def mean_of(interval: Interval | None) -> Mean | None:
    """Return a number of a study as the data of a picture; None stays what was not measured."""
    return None if interval is None else Mean(interval.value, interval.low, interval.high, interval.n)


def run_study(run: RunFolder) -> Study:
    """Return the study that a run published.

    Raises
    ------
    DataError
        If it published none, or the file is wrong.
    """
    path = run.path / "study.json"
    if not path.is_file():
        raise DataError(f"{run.path} has no study of recommenders (study.json is missing); run `collabtheory compare`")
    return read_study(path)


def user_accuracy(run: RunFolder) -> pd.DataFrame:
    """Return nDCG@100 of every tested user: ``fold``, ``row``, ``n_items``, and a column for each method, by name.

    Raises
    ------
    DataError
        If the run has no such table, or it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = run.path / "study_users.parquet"
    if not path.is_file():
        raise DataError(f"{run.path} has no accuracy of single users ({path.name} is missing); run `compare` again")
    try:
        return pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file; run `collabtheory compare` again") from error


def telling_methods(study: Study) -> list[Method]:
    """Return the methods that a picture with few lines shows: the :data:`TELLING`, else the six most accurate.

    The best of the study is always among them.
    """
    ranked = by_accuracy(study)
    chosen = [one for one in study.methods if one.name in TELLING]
    if len(chosen) < 2:
        return ranked[:6]
    return chosen if ranked[0] in chosen else [*chosen, ranked[0]]
