"""How much a run does: the settings behind ``--profile``."""

from __future__ import annotations

from pydantic import Field

from collabtheory.errors import InvalidInput
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.runs.frozen import Frozen


class PairSpec(Frozen):
    """Which pairs enter the table, and how they are measured."""

    random_users: int = Field(192, ge=2)
    """Users drawn at random; all ordered pairs among them are ``sampled``."""
    near_users: int = Field(64, ge=0)
    """Users added as the nearest in input to a drawn one, closest first; pairs with them are ``nearest``."""
    samples: int = Field(4, ge=1)
    """Codes per user, with common noise; every expectation over a posterior is the mean over these."""
    tube_radii: int = Field(10, ge=2)
    """Radii at which Lipschitz constants are certified; fewer are faster and make wider bounds."""
    learning_rate: float = Field(1e-4, gt=0)
    """Step size of the measured loss change, for losses in nats per user."""


class LadderSpec(Frozen):
    """Models that are trained alike but for one setting, for the statements about beta, masks and the PIA loss."""

    training: TrainingSpec
    beta: tuple[float, ...]
    """KL weights, at ``lambda_A = 0``."""
    alignment: tuple[float, ...]
    """Values of ``lambda_A``, at the KL weight of ``training``."""
    keep: tuple[float, ...]
    """Keep probabilities of the mask; 1 = clean inputs."""

    def rungs(self, model: ModelSpec) -> dict[tuple[str, float], tuple[ModelSpec, TrainingSpec]]:
        """Return model and training of every rung by setting and value."""
        by_beta = {("beta", b): (model, self.training.model_copy(update={"beta": b})) for b in self.beta}
        by_alignment = {
            ("alignment", a): (model.model_copy(update={"alignment_weight": a}), self.training) for a in self.alignment
        }
        by_keep = {("keep", k): (model.model_copy(update={"keep_probability": k}), self.training) for k in self.keep}
        return by_beta | by_alignment | by_keep


class Profile(Frozen):
    """Model, training, pairs and ladders of a run."""

    model: ModelSpec
    training: TrainingSpec
    pairs: PairSpec
    ladder: LadderSpec
    portrayed_alignment: float = 0.2
    """``lambda_A`` of the model with item alignment that is portrayed beside the masked and the clean one."""


_SMALL = ModelSpec(hidden=(200,), latent=32)
_STAGES = (0, 1, 3, 10)

PROFILES: dict[str, Profile] = {
    "quick": Profile(
        model=_SMALL,
        training=TrainingSpec(epochs=60, batch_size=100, snapshots=(0, 3)),
        pairs=PairSpec(random_users=96, near_users=32, tube_radii=7),
        ladder=LadderSpec(
            training=TrainingSpec(epochs=15, batch_size=100, learning_rate=3e-3, annealing=0.3),
            beta=(0.2, 1.0, 5.0),
            alignment=(0.0, 1.0, 10.0),
            keep=(0.3, 0.5, 1.0),
        ),
    ),
    "full": Profile(
        model=_SMALL,
        training=TrainingSpec(epochs=100, batch_size=100, snapshots=_STAGES),
        pairs=PairSpec(random_users=384, near_users=128),
        ladder=LadderSpec(
            training=TrainingSpec(epochs=40, batch_size=100, annealing=0.3),
            beta=(0.05, 0.2, 1.0, 2.0, 5.0),
            alignment=(0.0, 0.1, 1.0, 10.0),
            keep=(0.3, 0.5, 0.7, 0.9, 1.0),
        ),
    ),
    "paper": Profile(
        model=ModelSpec(hidden=(600,), latent=200),
        training=TrainingSpec(epochs=200, batch_size=500, snapshots=_STAGES),
        pairs=PairSpec(random_users=384, near_users=128),
        ladder=LadderSpec(
            training=TrainingSpec(epochs=100, batch_size=500, annealing=0.3),
            beta=(0.05, 0.2, 0.5, 1.0, 2.0, 5.0),
            alignment=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0),
            keep=(0.3, 0.5, 0.7, 0.9, 1.0),
        ),
    ),
}


def get_profile(name: str) -> Profile:
    """Return the profile of that name.

    Raises
    ------
    InvalidInput
        If there is none; the message lists those that exist.
    """
    if name not in PROFILES:
        raise InvalidInput(f"unknown profile {name!r}; choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def stage_name(epoch: int) -> str:
    """Return the name of the stage after ``epoch`` epochs."""
    return "initial" if epoch == 0 else f"epoch_{epoch}"
