"""Training as a user asks for it: one data set in, one checkpoint out, resumable in between; and testing it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collabtheory.data import Interactions
from collabtheory.data.split import FoldIn, StrongSplit, split_by_users, strong_generalisation
from collabtheory.errors import DataError
from collabtheory.models.checkpoints import Checkpoint, load_model, save_model
from collabtheory.models.devices import find_device
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.models.trainer import Epoch, Trained, train, validation_ndcg
from collabtheory.runs.seeds import derive
from collabtheory.stats import Estimate, bootstrap_mean

if TYPE_CHECKING:
    import torch

    from collabtheory.ranking import Exposure, UserScores

TRAINING_KEYS = ("data", "seed", "training", "epoch", "item_ids")


@dataclass(frozen=True)
class CohortAccuracy:
    """Accuracy of the users with so many interactions: by metric, the mean with its interval over users."""

    name: str
    n_users: int
    means: Mapping[str, Estimate]


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint reached on users that its training never saw.

    Parameters
    ----------
    path, data, seed, epoch
        The checkpoint, the name of the data, the seed of the held-out items, the epoch of the weights.
    n_users, n_left_out
        Users tested, and test users with fewer than two of the model's items.
    means
        By metric: the mean over users with its BCa interval; its ends are NaN where there is one user only.
    cohorts
        The same by number of interactions; cohorts without a user are left out.
    exposure
        What is recommended: coverage of the catalogue and popularity.
    """

    path: Path
    data: str
    seed: int
    epoch: int
    n_users: int
    n_left_out: int
    means: Mapping[str, Estimate]
    cohorts: tuple[CohortAccuracy, ...]
    exposure: Exposure


def train_to_file(
    data: Interactions,
    path: Path,
    model: ModelSpec,
    training: TrainingSpec,
    *,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    device: str | torch.device = "cpu",
) -> tuple[Trained, float]:
    """Train on a data set and write the checkpoint; return the outcome and the test users' mean nDCG@100.

    The training state is kept beside ``path`` until the checkpoint is written, so that the same call goes on after a
    kill. ``device`` is where it trains (:func:`collabtheory.models.devices.find_device`); the checkpoint says which it
    was, and loads anywhere.
    """
    split = strong_generalisation(data, rng=derive(seed, "split"))
    state = path.with_name(f".{path.name}.training.safetensors")
    trained = train(model, training, split, seed=seed, resume_from=state, on_epoch=on_epoch, device=device)
    test_ndcg = validation_ndcg(trained.model, split.test)
    about = {
        "data": data.fingerprint,
        "data_name": data.name,
        "item_ids": split.train.item_ids.tolist(),
        "seed": seed,
        "training": training.model_dump(mode="json"),
        "epoch": trained.best_epoch,
        "device": trained.device,
        "test_ndcg_100": test_ndcg,
    }
    save_model(path, trained.model, about)
    state.unlink(missing_ok=True)
    return trained, test_ndcg


def evaluate_file(
    path: Path,
    data: Interactions,
    *,
    seed: int | None = None,
    metrics: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
) -> Evaluation:
    """Test a checkpoint of :func:`train_to_file` on the test users of its own split.

    Parameters
    ----------
    path
        The checkpoint.
    data
        The interactions that it was trained on, with the same filters.
    seed
        Draws the test users' held-out items; that of the training (and so the items of its own test) if None. The
        users tested are always those that neither weights nor choice of the epoch have seen.
    metrics
        Names as in :mod:`collabtheory.ranking.definitions`; nDCG@100, Recall@20 and Recall@50 if None or empty.
    device
        Where scores are computed (:func:`collabtheory.models.devices.find_device`); they are ranked on the CPU.

    Raises
    ------
    DataError
        If the file is no checkpoint of :func:`train_to_file` (or of a verification), or was trained on other data.
    InvalidInput
        If a metric is unknown, or the device is not there.
    """
    from collabtheory.ranking import DEFAULT_METRICS, evaluate

    place = find_device(device)
    found = load_model(path)
    _check_same_data(path, found, data)
    trained_with = int(str(found.about["seed"]))
    seed = trained_with if seed is None else seed
    split = _split_of(data, trained_with, seed)
    if _texts(found.about["item_ids"]) != _texts(split.train.item_ids):
        raise DataError(f"{path}: its items are not those of the split with seed {trained_with}; train it again")
    reached = evaluate(found.model.to(place).scores, split.test, metrics=metrics or DEFAULT_METRICS)
    return _summarised(Path(path), found, data, split, reached, seed)


def _summarised(
    path: Path, found: Checkpoint, data: Interactions, split: StrongSplit, reached: UserScores, seed: int
) -> Evaluation:
    from collabtheory.ranking import exposure

    popularity = np.bincount(split.train.matrix.indices, minlength=split.train.n_items)
    return Evaluation(
        path=path,
        data=data.name,
        seed=seed,
        epoch=int(str(found.about["epoch"])),
        n_users=reached.n_users,
        n_left_out=len(split.test.rows_left_out),
        means=_means(reached.values),
        cohorts=_cohorts(reached, data.sizes[reached.rows]),
        exposure=exposure(reached, split.test, popularity),
    )


def _cohorts(reached: UserScores, sizes: np.ndarray) -> tuple[CohortAccuracy, ...]:
    from collabtheory.ranking import COHORTS, cohort_of

    names, made = cohort_of(sizes), []
    for name in (cohort.name for cohort in COHORTS):
        chosen = names == name
        if chosen.any():
            values = {metric: column[chosen] for metric, column in reached.values.items()}
            made.append(CohortAccuracy(name, int(chosen.sum()), _means(values)))
    return tuple(made)


def _split_of(data: Interactions, trained_with: int, seed: int) -> StrongSplit:
    """Return the split of a training; with another seed the same users, and another draw of held-out items."""
    split = strong_generalisation(data, rng=derive(trained_with, "split"))
    if seed == trained_with:
        return split
    validation, test = (_all_rows(part) for part in (split.validation, split.test))
    return split_by_users(data, validation, test, rng=derive(seed, "split"))


def _all_rows(users: FoldIn) -> np.ndarray:
    return np.sort(np.concatenate([users.rows, users.rows_left_out]).astype(np.int64))


def _check_same_data(path: Path, found: Checkpoint, data: Interactions) -> None:
    missing = [key for key in TRAINING_KEYS if key not in found.about]
    if missing:
        raise DataError(f"{path}: not a checkpoint of `train` or `verify` (it says nothing of its {missing[0]})")
    if found.about["data"] != data.fingerprint:
        name = found.about.get("data_name", "other data")
        raise DataError(
            f"{path}: trained on other data ({name}, fingerprint {str(found.about['data'])[:12]}) than {data.name} "
            f"({data.fingerprint[:12]}); give the data and filters that it was trained with"
        )


def _texts(ids: Any) -> list[str]:
    return [str(one) for one in ids]


def _means(values: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    return {metric: _mean(column, metric) for metric, column in values.items()}


def _mean(values: np.ndarray, metric: str) -> Estimate:
    if len(values) == 1:
        return Estimate(float(values[0]), math.nan, math.nan, 1)
    return bootstrap_mean(values, rng=derive(0, "evaluate", metric))
