"""What a run holds for pictures: portraits of its models, ladders of settings, exact laws and sides of inequalities."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collabtheory.errors import DataError
from collabtheory.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from collabtheory.data.interactions import Interactions

CLEAN, MASKED, ALIGNED, GIVEN = "clean", "masked", "pia", "given"
SETTINGS = {
    CLEAN: "clean inputs",
    MASKED: "masked inputs",
    ALIGNED: "masked inputs + PIA",
    GIVEN: "the model given",
}
"""The settings that may be portrayed, in the order in which they are shown, and what they are called.

PIA is personalised item alignment, the paper's remedy.
"""


@dataclass(frozen=True, eq=False)
class Posteriors:
    """Posteriors of the portrayed users.

    Parameters
    ----------
    mu, sigma
        Means and standard deviations, ``(users, d)``, latent units, in the order of :func:`users`.
    explained
        Share of the means' variance on each axis of the PCA map, ``(2,)``.
    """

    mu: np.ndarray
    sigma: np.ndarray
    explained: np.ndarray


def setting_title(setting: str, *, short: bool = False) -> str:
    """Return what a setting is called at the head of a panel.

    Examples
    --------
    >>> setting_title("pia"), setting_title("pia", short=True)
    ('Masked inputs + PIA', 'Masked + PIA')
    """
    name = SETTINGS[setting].replace(" inputs", "") if short else SETTINGS[setting]
    return f"{name[0].upper()}{name[1:]}"


def settings(run: RunFolder) -> tuple[str, ...]:
    """Return the settings that the run portrays: clean, masked, pia in that order, or ``given`` alone.

    Raises
    ------
    DataError
        If it portrays none.
    """
    found = tuple(name for name in SETTINGS if (run.path / "portraits" / name / "users.parquet").is_file())
    if not found:
        raise DataError(
            f"{run.path} has no portraits of its models; run `collabtheory verify` without naming statements"
        )
    return found


def users(run: RunFolder, setting: str) -> pd.DataFrame:
    """Return one row for each portrayed user, the same users in every setting.

    Columns ``u`` (row in the data), ``user`` (name), ``n_items``, ``popularity`` (mean number of users of the items),
    ``kl`` (nats), ``hoyer``, ``active_units``, ``participation``; ``pca_x``, ``pca_y`` (latent units) and the
    posterior's covariance on these axes ``var_x``, ``var_y``, ``cov_xy``; ``tsne_x``, ``tsne_y`` (no unit).

    Raises
    ------
    DataError
        If the run has no such portrait, or the file is damaged.
    """
    return _table(_portrait(run, setting, "users.parquet"))


def posteriors(run: RunFolder, setting: str) -> Posteriors:
    """Return the posteriors of the portrayed users under one setting; raises as :func:`users` does."""
    path = _portrait(run, setting, "posteriors.npz")
    try:
        with np.load(path, allow_pickle=False) as held:
            return Posteriors(held["mu"], held["sigma"], held["explained"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not readable posteriors; run `collabtheory verify` again") from error


def contents(run: RunFolder, setting: str) -> Interactions:
    """Return the interactions of the portrayed users, in the order of :func:`users`; raises as it does."""
    from collabtheory.data.interactions import Interactions

    return Interactions.load(_portrait(run, setting, "contents.npz"))


def setting_pairs(run: RunFolder, setting: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the pair table of one setting's trained model: a row for each ordered pair of portrayed users.

    ``columns`` as in :meth:`.RunFolder.pairs`; raises as :func:`users` does.
    """
    return _table(_portrait(run, setting, "pairs/pairs.parquet"), columns)


def ladder(run: RunFolder, setting: str) -> pd.DataFrame:
    """Return what every value of a setting (``beta``, ``alignment``, ``keep``) came to.

    Columns ``value``, ``quantity``, ``middle``, ``low``, ``high``, ``n``. Raises DataError if the run has none.
    """
    return _table(_file(run, f"ladders/{setting}/ladder.parquet", f"no ladder of {setting!r}"))


def masking_grid(run: RunFolder) -> pd.DataFrame:
    """Return the exact masking law over its grid of ``delta`` and ``s``; raises DataError if the run has none."""
    return _table(_file(run, "laws/masking/masking_grid.parquet", "no table of the masking law"))


def compromise(run: RunFolder, stage: str) -> pd.DataFrame:
    """Return the compromise gap of real pairs at a stage; raises DataError if the run has none."""
    return _table(_file(run, f"laws/compromise/{stage}/compromise.parquet", f"no compromise gaps at stage {stage!r}"))


def item_weights(run: RunFolder) -> dict[str, Any]:
    """Return how EASE's weights are spread (counts by sign and size); raises DataError if the run has none."""
    path = _file(run, "laws/item_weights/item_weights.json", "no weights of EASE")
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not valid JSON; run `collabtheory verify` again") from error
    if not isinstance(held, dict):
        raise DataError(f"{path}: a JSON object was expected; run `collabtheory verify` again")
    return held


def bounds(run: RunFolder) -> pd.DataFrame:
    """Return both sides of cases of every inequality, evenly spaced by rank of slack.

    Columns ``id``, ``stage``, ``seed``, ``part``, ``text``, ``left``, ``right``. Raises DataError if the run has none.
    """
    return _table(_file(run, "bounds.parquet", "no sides of inequalities"))


def _portrait(run: RunFolder, setting: str, name: str) -> Path:
    return _file(run, f"portraits/{setting}/{name}", f"no portrait of {SETTINGS.get(setting, setting)}")


def _file(run: RunFolder, name: str, lacks: str) -> Path:
    path = run.path / name
    if not path.is_file():
        raise DataError(
            f"{run.path} has {lacks} ({name} is missing); run `collabtheory verify` without naming statements"
        )
    return path


def _table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        missing = [] if columns is None else [column for column in columns if column not in names]
        if missing:
            raise DataError(f"{path}: it has no column {missing[0]!r}; it has {', '.join(names)}")
        return pq.read_table(path, columns=None if columns is None else list(columns)).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file; run `collabtheory verify` again") from error
