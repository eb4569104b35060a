"""How much a study does: sizes, folds, and the tuning budget that every method has alike."""

from __future__ import annotations

from pydantic import Field

from collabtheory.errors import InvalidInput
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.runs.frozen import Frozen


class StudyProfile(Frozen):
    """The base model and training, the folds, and the number of trials of each method's random search."""

    model: ModelSpec
    training: TrainingSpec
    folds: int = Field(5, ge=2)
    trials: int = Field(4, ge=1)
    measured_users: int = Field(400, ge=20)
    """Users whose posteriors are measured, drawn at random from all."""


STUDY_PROFILES: dict[str, StudyProfile] = {
    "quick": StudyProfile(
        model=ModelSpec(hidden=(100,), latent=32),
        training=TrainingSpec(epochs=100, batch_size=100, learning_rate=2e-3, annealing=0.2, patience=10),
        folds=3,
        trials=2,
        measured_users=150,
    ),
    "full": StudyProfile(
        model=ModelSpec(hidden=(300,), latent=100),
        training=TrainingSpec(epochs=150, batch_size=250, learning_rate=2e-3, annealing=0.1, patience=10),
        folds=5,
        trials=4,
    ),
    "paper": StudyProfile(
        model=ModelSpec(hidden=(600,), latent=200),
        training=TrainingSpec(epochs=200, batch_size=500, patience=30),
        folds=5,
        trials=10,
    ),
}


def get_study_profile(name: str) -> StudyProfile:
    """Return the study profile of that name.

    Raises
    ------
    InvalidInput
        If there is none; the message lists those that exist.
    """
    if name not in STUDY_PROFILES:
        raise InvalidInput(f"unknown profile {name!r}; choose one of {', '.join(STUDY_PROFILES)}")
    return STUDY_PROFILES[name]
