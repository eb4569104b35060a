"""Training as a user asks for it: one data set in, one checkpoint out, resumable in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from collabtheory.data import Interactions
from collabtheory.data.split import strong_generalisation
from collabtheory.models.checkpoints import save_model
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.models.trainer import Epoch, Trained, train, validation_ndcg
from collabtheory.runs.seeds import derive


def train_to_file(
    data: Interactions,
    path: Path,
    model: ModelSpec,
    training: TrainingSpec,
    *,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[Trained, float]:
    """Train on a data set and write the checkpoint; return the outcome and the test users' mean nDCG@100.

    The training state is kept beside ``path`` until the checkpoint is written, so that the same call goes on after a
    kill.
    """
    split = strong_generalisation(data, rng=derive(seed, "split"))
    state = path.with_name(f".{path.name}.training.safetensors")
    trained = train(model, training, split, seed=seed, resume_from=state, on_epoch=on_epoch)
    test_ndcg = validation_ndcg(trained.model, split.test)
    about = {
        "data": data.fingerprint,
        "data_name": data.name,
        "item_ids": split.train.item_ids.tolist(),
        "seed": seed,
        "training": training.model_dump(mode="json"),
        "epoch": trained.best_epoch,
        "test_ndcg_100": test_ndcg,
    }
    save_model(path, trained.model, about)
    state.unlink(missing_ok=True)
    return trained, test_ndcg
