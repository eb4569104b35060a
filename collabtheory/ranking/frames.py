"""Per-user results as tables: one row a tested user, so that any later test or cohort needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collabtheory.errors import DataError, InvalidInput
from collabtheory.ranking.definitions import metric
from collabtheory.runs.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from collabtheory.ranking.evaluation import UserScores

KEYS = ("fold", "row", "n_items")
"""The columns before the metrics: fold of the user, its row in the data, and all its interactions there; int64."""


def to_frame(scores: UserScores, fold: int, sizes: np.ndarray) -> pd.DataFrame:
    """Return one row a tested user: ``fold``, ``row``, ``n_items``, then one float64 column a metric.

    Parameters
    ----------
    scores
        Result of an evaluation.
    fold
        Number of the fold, 0 or more.
    sizes
        Interactions of every user of the data that was split, by row: its ``Interactions.sizes``. The split may have
        removed items that no train user has, so fold-in and held-out items may add up to fewer.

    Raises
    ------
    InvalidInput
        If the fold is negative, or ``sizes`` does not reach to the last row tested.

    Examples
    --------
    >>> from scipy import sparse
    >>> from collabtheory.data.split import FoldIn
    >>> from collabtheory.ranking import evaluate
    >>> fold_in, held_out = sparse.csr_array([[1, 0, 0]]), sparse.csr_array([[0, 1, 0]])
    >>> users = FoldIn(np.array([1]), fold_in, held_out, np.array([]))
    >>> reached = evaluate(lambda x: np.array([[3.0, 2.0, 1.0]]), users, metrics=["recall@1"])
    >>> to_frame(reached, 0, np.array([9, 2])).to_dict("records")
    [{'fold': 0, 'row': 1, 'n_items': 2, 'recall@1': 1.0}]
    """
    import pandas as pd

    sizes = np.asarray(sizes)
    if fold < 0 or sizes.ndim != 1 or (scores.n_users and len(sizes) <= scores.rows.max()):
        raise InvalidInput(
            f"fold must be 0 or more and sizes must have an entry for every row of the data, up to row "
            f"{scores.rows.max(initial=-1)}; fold is {fold} and sizes have shape {sizes.shape}"
        )
    keys = (np.full(scores.n_users, fold), scores.rows, sizes[scores.rows])
    columns = {name: np.asarray(column, dtype=np.int64) for name, column in zip(KEYS, keys, strict=True)}
    return pd.DataFrame(columns | dict(scores.values))


def write_frame(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write per-user results as parquet, visible only once complete; returns the path.

    Raises
    ------
    InvalidInput
        If a column is missing or of another type, a metric is unknown, a value is missing, or a user comes twice.
    OutputError
        If the file cannot be written.
    """
    problem = _problem(frame)
    if problem:
        raise InvalidInput(f"these are not per-user results: {problem}")
    write_atomically(Path(path), lambda temporary: frame.to_parquet(temporary, index=False))
    return Path(path)


def read_frame(path: str | Path) -> pd.DataFrame:
    """Read what :func:`write_frame` wrote; DataError if the file is missing or holds anything else."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        # Arrow's errors are of these two kinds as well.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read as per-user results ({reason})") from error
    problem = _problem(frame)
    if problem:
        raise DataError(f"{path}: does not hold per-user results: {problem}")
    return frame


def metric_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the names of the metrics of per-user results."""
    return tuple(name for name in frame.columns if name not in KEYS)


def _problem(frame: pd.DataFrame) -> str:
    """Return what keeps a table from being per-user results, in words; empty if nothing does."""
    missing = [name for name in KEYS if name not in frame.columns]
    if missing:
        return f"no column {', '.join(missing)}"
    wrong = [name for name in KEYS if frame[name].dtype != np.int64]
    wrong += [name for name in metric_columns(frame) if frame[name].dtype != np.float64]
    if wrong:
        return f"column {wrong[0]} holds {frame[wrong[0]].dtype}; keys are int64 and metrics float64"
    try:
        for name in metric_columns(frame):
            metric(name)
    except InvalidInput as error:
        return str(error)
    if not np.isfinite(frame[list(metric_columns(frame))].to_numpy()).all():
        return "a value is missing or not finite"
    twice = frame.duplicated(["fold", "row"])
    return f"row {frame['row'][twice].iloc[0]} comes twice in a fold" if twice.any() else ""
