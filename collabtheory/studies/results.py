"""What a study found: per-user accuracy of every method on the same users, and measures of their posteriors."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from collabtheory.errors import DataError, InvalidInput, PremiseNotMet
from collabtheory.runs.seeds import derive
from collabtheory.studies.plan import FIT, MEASURE
from collabtheory.studies.steps import MEASURES_FILE, USERS_FILE, read_fit

if TYPE_CHECKING:
    import pandas as pd

    from collabtheory.stats import Evidence, PairedComparison

MAIN_METRIC = "ndcg@100"


@dataclass(frozen=True)
class Study:
    """Results of a study, read from disk when first asked for.

    Parameters
    ----------
    fits, measured
        Result folders by method and fold.
    seed
        Root of the bootstrap and permutation draws.
    """

    fits: Mapping[str, Mapping[int, Path]]
    measured: Mapping[str, Mapping[int, Path]]
    seed: int = 0

    @classmethod
    def of_inputs(cls, inputs: Mapping[str, Path], seed: int) -> Study:
        """Return the study among the inputs of a task."""
        found: dict[str, dict[str, dict[int, Path]]] = {FIT: {}, MEASURE: {}}
        for name, folder in inputs.items():
            kind, _, rest = name.partition(" ")
            method, _, fold = rest.rpartition(" ")
            if kind in found and fold.isdigit():
                found[kind].setdefault(method, {})[int(fold)] = folder
        return cls(found[FIT], found[MEASURE], seed)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods fitted."""
        return tuple(self.fits)

    def users(self, method: str) -> pd.DataFrame:
        """Return one row a tested user, by fold and row: the same users in the same order for every method."""
        return _users(tuple(self._folders(method).items()))

    def about(self, method: str) -> list[dict[str, Any]]:
        """Return what each fold's fit says of itself."""
        return [read_fit(folder) for _, folder in sorted(self._folders(method).items())]

    def measures(self, method: str) -> list[dict[str, Any]]:
        """Return the measures of each fold's posteriors."""
        if method not in self.measured:
            raise InvalidInput(f"the posteriors of {method!r} were not measured; there are {', '.join(self.measured)}")
        folders = sorted(self.measured[method].items())
        return [json.loads((folder / MEASURES_FILE).read_text("utf-8")) for _, folder in folders]

    def still_rising(self, *methods: str) -> tuple[str, ...]:
        """Return those of the methods that were still improving at the end of training in a fold or more."""
        return tuple(name for name in methods if any(about.get("still_rising", False) for about in self.about(name)))

    def compare(
        self, first: str, second: str, *, metric: str = MAIN_METRIC, users: np.ndarray | None = None
    ) -> PairedComparison:
        """Ask whether the first of two methods is better, on the same users.

        Parameters
        ----------
        first, second
            Methods.
        metric
            Column of :meth:`users`.
        users
            Boolean, which users; all if left out.

        Raises
        ------
        DataError
            If the methods were not tested on the same users.
        """
        from collabtheory.stats import compare_paired

        left, right = self.users(first), self.users(second)
        if not (left["row"].equals(right["row"]) and left["fold"].equals(right["fold"])):
            raise DataError(f"{first} and {second} were tested on different users; run the study again")
        chosen = np.ones(len(left), dtype=bool) if users is None else users
        folds = left["fold"].to_numpy()[chosen]
        return compare_paired(
            left[metric].to_numpy()[chosen],
            right[metric].to_numpy()[chosen],
            strata=fold_strata(folds),
            runs=folds,
            rng=derive(self.seed, "compare", first, second, metric),
        )

    def per_user(self, method: str, name: str) -> pd.Series:
        """Return a measure of every user in every fold, indexed by (user, fold); undefined ones are left out.

        PremiseNotMet if the measure is not defined on these data.
        """
        import pandas as pd

        values: dict[tuple[int, int], float] = {}
        for fold, found in enumerate(self.measures(method)):
            if name not in found["per_user"]:
                raise PremiseNotMet(f"{name!r} is not defined for the users of {method} on these data")
            for user, value in zip(found["users"], found["per_user"][name], strict=True):
                if value is not None:
                    values[user, fold] = value
        return pd.Series(values, dtype=float)

    def mean_measure(self, method: str, name: str) -> float:
        """Return a measure's mean over the folds; NaN if a fold lacks it."""
        found = [one["values"].get(name, {}).get("value") for one in self.measures(method)]
        return float("nan") if any(value is None for value in found) else float(np.mean(found))

    def compare_measures(
        self,
        first: pd.Series,
        second: pd.Series | float,
        words: str,
        *,
        expected: Literal["greater", "less"] = "greater",
    ) -> PairedComparison:
        """Compare two measures (or one with a number) over the users who have both in every fold.

        Parameters
        ----------
        first, second
            As :meth:`per_user` returns them.
        words
            Names the comparison; its random draws depend on it.
        expected
            The direction that the claim expects.
        """
        import pandas as pd

        from collabtheory.stats import compare_paired

        other = pd.Series(second, index=first.index) if isinstance(second, float) else second
        both = pd.concat([first, other], axis=1, keys=["first", "second"]).dropna()
        everywhere = both.groupby(level=0).size()
        folds = both.index.get_level_values(1).nunique()
        both = both.loc[everywhere.index[everywhere == folds].tolist()]
        return compare_paired(
            both["first"].to_numpy(),
            both["second"].to_numpy(),
            users=both.index.get_level_values(0).to_numpy(),
            runs=both.index.get_level_values(1).to_numpy(),
            rng=derive(self.seed, "compare measures", words),
            expected=expected,
        )

    def _folders(self, method: str) -> Mapping[int, Path]:
        if method not in self.fits:
            raise InvalidInput(f"{method!r} is not part of this study; there are {', '.join(self.fits)}")
        return self.fits[method]


def fold_strata(folds: np.ndarray) -> np.ndarray | None:
    """Return the folds as strata to resample within; None where a fold has a single user, who cannot be resampled."""
    sizes = np.bincount(folds)
    return folds if sizes[sizes > 0].min() > 1 else None


def mean_over_folds(values: Sequence[float | None]) -> Evidence | None:
    """Return the mean over folds with Student's t interval, ``n`` the folds; None if a fold lacks the value."""
    from collabtheory.stats.comparison import evidence_by_t

    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return None
    error = float(np.std(numbers, ddof=1)) / math.sqrt(len(numbers))
    return evidence_by_t(float(np.mean(numbers)), len(numbers), (error, len(numbers) - 1), 0.95)


@functools.lru_cache(maxsize=64)
def _users(folders: tuple[tuple[int, Path], ...]) -> pd.DataFrame:
    import pandas as pd

    from collabtheory.ranking import read_frame

    frames = [read_frame(folder / USERS_FILE) for _, folder in sorted(folders)]
    return pd.concat(frames).sort_values(["fold", "row"], ignore_index=True)
