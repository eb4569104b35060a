"""The steps that measure portraits. Any engine can run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from collabtheory.data import Interactions
from collabtheory.runs.files import write_atomically, write_text
from collabtheory.runs.frozen import Frozen
from collabtheory.runs.seeds import derive
from collabtheory.runs.task import Workspace

if TYPE_CHECKING:
    from collabtheory.models.recommender import Recommender

TRAINED = "trained"
FEWEST_MAPPED, FEWEST_COMPARED = 4, 12
LADDER_FILE, GRID_FILE, COMPROMISE_FILE, WEIGHTS_FILE = (
    "ladder.parquet",
    "masking_grid.parquet",
    "compromise.parquet",
    "item_weights.json",
)


class PortraitStep(Frozen):
    """Portray one trained model (inputs ``model`` and ``pairs``)."""

    seed: int


class LadderStep(Frozen):
    """Measure the models of a ladder (inputs ``pairs``, and ``setting=value`` for every model)."""

    seed: int
    data_file: Path = Field(exclude=True)


class GridStep(Frozen):
    """Tabulate the masking law."""


class CompromiseStep(Frozen):
    """Measure the compromise gap of real pairs at one stage (inputs ``model`` and ``pairs``)."""

    seed: int
    stage: str
    pairs: int = 1000


class WeightsStep(Frozen):
    """Fit EASE and count its weights."""

    data: str
    data_file: Path = Field(exclude=True)


def portray(spec: PortraitStep, work: Workspace) -> None:
    """Write the users, posteriors and contents of one model, see :mod:`.setting_portrait`."""
    from collabtheory.portraits.setting_portrait import write_portrait

    data = Interactions.load(work.inputs["model"] / "interactions.npz")
    users = _users(work.inputs["pairs"])
    posterior = _recommender(work.inputs["model"], TRAINED).posterior(data.matrix[users])
    if len(users) < FEWEST_MAPPED or posterior.n_dimensions < 2:
        return  # too few for a map: the run has none, and what would draw it says so
    write_portrait(work.output, posterior, data, users, rng=derive(spec.seed, "portrait"))


def measure_rungs(spec: LadderStep, work: Workspace) -> None:
    """Write what every model of the ladder came to, see :func:`.measure_ladder`."""
    from collabtheory.data.split import strong_generalisation
    from collabtheory.models.checkpoints import load_model
    from collabtheory.models.recommender import from_autoencoder
    from collabtheory.portraits.ladders import Rung, measure_ladder

    models = {float(name.partition("=")[2]): folder for name, folder in work.inputs.items() if "=" in name}
    rungs = {}
    for value, folder in models.items():
        model = load_model(folder / f"{TRAINED}.safetensors").model
        rungs[value] = Rung(from_autoencoder(model), model.scores)
    data, users = Interactions.load(next(iter(models.values())) / "interactions.npz"), _users(work.inputs["pairs"])
    if len(users) < FEWEST_COMPARED:
        return
    split = strong_generalisation(Interactions.load(spec.data_file), rng=derive(spec.seed, "split"))
    rng = derive(spec.seed, "ladder")
    found = measure_ladder(rungs, data, users, split.test, rng=rng)
    write_atomically(work.output / LADDER_FILE, lambda path: found.to_parquet(path, index=False))


def tabulate_masking(spec: GridStep, work: Workspace) -> None:
    """Write the masking law over its grid."""
    from collabtheory.portraits.laws import masking_grid

    write_atomically(work.output / GRID_FILE, lambda path: masking_grid().to_parquet(path, index=False))


def measure_compromise(spec: CompromiseStep, work: Workspace) -> None:
    """Write the compromise gap of pairs drawn from the pair table, one order of each."""
    from collabtheory.portraits.laws import compromise_table

    rng = derive(spec.seed, "compromise", spec.stage)
    pairs = pd.read_parquet(work.inputs["pairs"] / "pairs.parquet")
    pairs = pairs[(pairs["u"] < pairs["v"]) & (pairs["input_distance"] > 0)]
    if pairs.empty:
        return
    pairs = pairs.iloc[np.sort(rng.permutation(len(pairs))[: spec.pairs])]
    data = Interactions.load(work.inputs["model"] / "interactions.npz")
    recommender = _recommender(work.inputs["model"], spec.stage)
    p, q = (recommender.posterior(data.matrix[pairs[side].to_numpy()]) for side in ("u", "v"))
    found = compromise_table(pairs, p, q, rng=rng)
    write_atomically(work.output / COMPROMISE_FILE, lambda path: found.to_parquet(path, index=False))


def count_weights(spec: WeightsStep, work: Workspace) -> None:
    """Write how EASE's weights are spread."""
    from collabtheory.portraits.item_weights import item_weights

    found = item_weights(Interactions.load(spec.data_file).matrix)
    write_text(work.output / WEIGHTS_FILE, json.dumps(found, sort_keys=True) + "\n")


def _users(pairs: Path) -> np.ndarray:
    return np.unique(pd.read_parquet(pairs / "pairs.parquet", columns=["u"])["u"].to_numpy())


def _recommender(model: Path, stage: str) -> Recommender:
    from collabtheory.models.checkpoints import load_model
    from collabtheory.models.recommender import from_autoencoder

    return from_autoencoder(load_model(model / f"{stage}.safetensors").model)
