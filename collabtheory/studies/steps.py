"""The steps of a study: try settings, fit the best on every fold, measure posteriors. Any engine can run them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from collabtheory.data import Interactions
from collabtheory.data.split import StrongSplit, user_folds
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.runs.files import write_text
from collabtheory.runs.frozen import Frozen
from collabtheory.runs.seeds import derive
from collabtheory.runs.task import Workspace
from collabtheory.studies.methods import Setting, applied, get_method

USERS_FILE, FIT_FILE, MODEL_FILE, MEASURES_FILE = "users.parquet", "fit.json", "model.safetensors", "measures.json"
TUNED_FOLD = 0
"""Settings are tried on the validation users of this fold; its fit is the best trial itself."""
VALIDATION_METRIC = "ndcg@100"


class FoldSpec(Frozen):
    """One fold of a data set, and the base of what is fitted to it."""

    data: str
    data_file: Path = Field(exclude=True)
    folds: int
    fold: int
    seed: int
    model: ModelSpec
    training: TrainingSpec


class TrialStep(Frozen):
    """Fit one method with one draw of its settings on the tuned fold."""

    method: str
    trial: int
    where: FoldSpec


class FitStep(Frozen):
    """Fit one method on one fold, with the settings whose trial was best."""

    method: str
    where: FoldSpec


class MeasureStep(Frozen):
    """Measure the posteriors of one fitted method."""

    method: str
    where: FoldSpec
    users: int


@dataclass(frozen=True)
class Fitted:
    """A model that scores, and what is to be said about its fit."""

    model: Any
    about: dict[str, Any]


def try_settings(spec: TrialStep, work: Workspace) -> None:
    """Fit with the settings of one trial; keep its accuracy on validation and test users, and its model."""
    settings = get_method(spec.method).settings(spec.trial, spec.where.seed)
    fit_and_write(spec.method, settings, spec.where, work)


def fit_best(spec: FitStep, work: Workspace) -> None:
    """Fit with the best trial's settings; on the tuned fold the best trial is the fit."""
    trials = [work.inputs[name] for name in sorted(work.inputs, key=lambda name: int(name.partition(" ")[2]))]
    best = max(trials, key=lambda folder: read_fit(folder)["validation"])  # the first of equals
    if spec.where.fold == TUNED_FOLD:
        for file in sorted(best.iterdir()):
            (work.output / file.name).write_bytes(file.read_bytes())
        return
    fit_and_write(spec.method, read_fit(best)["settings"], spec.where, work)


def measure_posteriors(spec: MeasureStep, work: Workspace) -> None:
    """Measure collaboration, drift, collapse and sparsity of a fitted model on users drawn from all."""
    from collabtheory.latent.collaboration_report import measure_model
    from collabtheory.models.checkpoints import load_model
    from collabtheory.models.recommender import from_autoencoder

    data = Interactions.load(spec.where.data_file)
    split = fold_split(data, spec.where)
    known = data.select_items(split.items)
    # The same users for every method and fold, so that both are compared user by user.
    order = derive(spec.where.seed, "measured").permutation(np.flatnonzero(data.sizes > 0))[: spec.users]
    users = np.sort(order[known.sizes[order] > 0])
    recommender = from_autoencoder(load_model(work.inputs["fit"] / MODEL_FILE).model)
    rng = derive(spec.where.seed, "measures", spec.where.fold)
    found = measure_model(recommender, known, rng=rng, users=users)
    write_text(work.output / MEASURES_FILE, json.dumps(found, sort_keys=True) + "\n")


def fold_split(data: Interactions, where: FoldSpec) -> StrongSplit:
    """Return the split of one fold; every user is a test user of exactly one."""
    return user_folds(data, where.folds, rng=derive(where.seed, "folds"))[where.fold]


def read_fit(folder: Path) -> dict[str, Any]:
    """Return what a fit says of itself."""
    found: dict[str, Any] = json.loads((folder / FIT_FILE).read_text("utf-8"))
    return found


def fit_and_write(method: str, settings: Mapping[str, Setting], where: FoldSpec, work: Workspace) -> None:
    """Fit a method with these settings on a fold; write per-user accuracy, what is said of the fit, and the model."""
    from collabtheory.ranking import evaluate, exposure, to_frame, write_frame

    data = Interactions.load(where.data_file)
    split = fold_split(data, where)
    fitted = _fit(method, settings, split, where, work)
    validation = evaluate(fitted.model.scores, split.validation, metrics=(VALIDATION_METRIC,), count_at=())
    tested = evaluate(fitted.model.scores, split.test)
    popularity = np.bincount(split.train.matrix.indices, minlength=split.train.n_items)
    shown = exposure(tested, split.test, popularity)
    about = {
        "method": method,
        "settings": dict(settings),
        "validation": validation.means[VALIDATION_METRIC],
        "test": tested.means,
        "exposure": _plain(asdict(shown)),
        **fitted.about,
    }
    write_frame(to_frame(tested, where.fold, data.sizes), work.output / USERS_FILE)
    write_text(work.output / FIT_FILE, json.dumps(about, indent=1, sort_keys=True) + "\n")


def _fit(name: str, settings: Mapping[str, Setting], split: StrongSplit, where: FoldSpec, work: Workspace) -> Fitted:
    method = get_method(name)
    if method.is_trained:
        return _train(settings, split, where, work)
    return Fitted(_closed_form(method.kind, settings, split), {})


def _closed_form(kind: str, settings: Mapping[str, Setting], split: StrongSplit) -> Any:
    from collabtheory.models.ease import EaseSpec, fit_ease
    from collabtheory.models.item_knn import ItemKnnSpec, fit_item_knn
    from collabtheory.models.nonnegative_ease import NonnegativeEaseSpec, fit_nonnegative_ease
    from collabtheory.models.popularity import fit_popularity

    matrix = split.train.matrix
    if kind == "ease":
        return fit_ease(matrix, EaseSpec.model_validate(settings))
    if kind == "nonnegative_ease":
        return fit_nonnegative_ease(matrix, NonnegativeEaseSpec.model_validate(settings)).model
    if kind == "item_knn":
        return fit_item_knn(matrix, ItemKnnSpec.model_validate(settings))
    return fit_popularity(matrix)


def _train(settings: Mapping[str, Setting], split: StrongSplit, where: FoldSpec, work: Workspace) -> Fitted:
    from collabtheory.models.checkpoints import save_model
    from collabtheory.models.trainer import train

    model, training = applied(settings, where.model, where.training)
    trained = train(
        model,
        training,
        split,
        # Each fold has its own seed; two methods on one fold share it, so that their draws are paired.
        seed=where.seed * 1000 + where.fold,
        resume_from=work.scratch / "training.safetensors",
        on_epoch=lambda epoch: work.progress(epoch.epoch / training.epochs),
    )
    about = {
        "best_epoch": trained.best_epoch,
        "epochs": len(trained.history),
        "still_rising": trained.still_rising,
        "history": [round(epoch.validation_ndcg, 6) for epoch in trained.history],
    }
    items = [str(item) for item in split.train.item_ids.tolist()]
    save_model(work.output / MODEL_FILE, trained.model, {"data": where.data, "item_ids": items, "seed": where.seed})
    return Fitted(trained.model, about)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}
