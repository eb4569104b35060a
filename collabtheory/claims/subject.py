"""What a check may look at: one model at one stage of training, its users, and the pair table."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.runs.seeds import derive

if TYPE_CHECKING:
    import pandas as pd

    from collabtheory.data import Interactions
    from collabtheory.models.posterior import DiagonalGaussian
    from collabtheory.models.recommender import Recommender
    from collabtheory.studies.results import Study
    from collabtheory.transfer import TransferKernels


@dataclass(frozen=True)
class Subject:
    """One model at one stage, read from disk when first asked for.

    ``checkpoint``, ``interactions_file`` and ``pairs_file`` are None for checks without a model (stage ``none``).
    """

    seed: int
    stage: str | None = None
    checkpoint: Path | None = None
    interactions_file: Path | None = None
    pairs_file: Path | None = None
    given: Recommender | None = None
    """A model in memory, in place of a checkpoint."""
    profile: str = "quick"
    """How much work a check may do: ``quick``, ``full`` or ``paper``."""
    rungs: Mapping[str, Mapping[float, Path]] = field(default_factory=dict)
    """Checkpoints of the models that differ in one setting, by its name and value."""
    inputs: Mapping[str, Path] = field(default_factory=dict)
    """Result folders of the fits and measures of a study, by what they are."""

    def rng(self, *words: str | int) -> np.random.Generator:
        """Return the generator of these words, independent of every other."""
        return derive(self.seed, "check", str(self.stage), *words)

    @functools.cached_property
    def interactions(self) -> Interactions:
        """The data, with the model's items as columns."""
        from collabtheory.data import Interactions

        return Interactions.load(_there(self.interactions_file, "interactions"))

    @functools.cached_property
    def recommender(self) -> Recommender:
        """The model, in float64."""
        if self.given is not None:
            return self.given
        from collabtheory.models.checkpoints import load_model
        from collabtheory.models.recommender import from_autoencoder

        return from_autoencoder(load_model(_there(self.checkpoint, "model")).model)

    def ladder(self, setting: str) -> dict[float, Recommender]:
        """Return the models that were trained alike but for one setting, by its value, ascending.

        Parameters
        ----------
        setting
            ``"beta"`` (the KL weight) or ``"alignment"`` (``lambda_A`` of the PIA loss, 0 = without anchors).
        """
        from collabtheory.models.checkpoints import load_model
        from collabtheory.models.recommender import from_autoencoder

        if setting not in self.rungs:
            raise InvalidInput(f"this check has no ladder {setting!r}; give it stages='ladder'")
        return {value: from_autoencoder(load_model(path).model) for value, path in sorted(self.rungs[setting].items())}

    def users_with_items(self, most: int) -> np.ndarray:
        """Return at most that many rows, drawn at random, of users that have items; ascending."""
        rows: np.ndarray = np.sort(self.rng("users").permutation(np.flatnonzero(self.interactions.sizes > 0))[:most])
        return rows

    def anchors(self, recommender: Recommender | None = None) -> np.ndarray:
        """Return the model's item anchors ``(items, d)``, or random ones where it was trained without."""
        model = recommender or self.recommender
        if model.item_anchors is not None:
            return model.item_anchors
        d = model.posterior(self.interactions.matrix[:1]).n_dimensions
        return self.rng("anchors").standard_normal((self.interactions.n_items, d))

    @functools.cached_property
    def study(self) -> Study:
        """The results of several methods on the same users, for checks with ``stages="study"``."""
        from collabtheory.studies.results import Study

        if not self.inputs:
            raise InvalidInput("this check has no study; give it stages='study' and the methods it compares")
        return Study.of_inputs(self.inputs, self.seed)

    @functools.cached_property
    def pairs(self) -> pd.DataFrame:
        """The pair table, one row an ordered pair (u, v)."""
        import pandas as pd

        return pd.read_parquet(_there(self.pairs_file, "pair table"))

    @functools.cached_property
    def users(self) -> np.ndarray:
        """Row numbers of the users in the pair table, ascending."""
        return np.unique(self.pairs["u"].to_numpy())

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """The codes of :attr:`users` that the pair table was measured with, ``(users, S, d)``."""
        from collabtheory.transfer.pair_table import CODES_FILE

        codes: np.ndarray = np.load(_there(self.pairs_file, "pair table").with_name(CODES_FILE), allow_pickle=False)
        return codes

    @functools.cached_property
    def kernels(self) -> TransferKernels:
        """The transfer kernels of :attr:`users` with the codes of the pair table."""
        from collabtheory.transfer import TransferKernels

        return TransferKernels(
            self.recommender.decoder, self.recommender.likelihood, self.interactions.matrix[self.users], self.codes
        )

    @functools.cached_property
    def posterior(self) -> DiagonalGaussian:
        """Clean-input posteriors of all users of :attr:`interactions`."""
        return self.recommender.posterior(self.interactions.matrix)


def _there(path: Path | None, what: str) -> Path:
    if path is None:
        raise InvalidInput(f"this check runs without a model and has no {what}; give it stages='every' or 'last'")
    return path
