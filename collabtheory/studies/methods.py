"""The methods that are compared: each a published model or one deliberate change of it, with what may be tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from collabtheory.errors import InvalidInput
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.runs.seeds import derive

Setting = float | int | str | tuple[int, ...]


@dataclass(frozen=True)
class Method:
    """A model with its training, as changes of the study's base, and the space that its settings are drawn from.

    Parameters
    ----------
    name, title
        For the command line, and for people.
    kind
        ``autoencoder``, or the closed-form model it is.
    changes
        What differs from the base model and training; held fixed while tuning.
    search
        Values that a random search draws from, by setting. The first trial always is the default.
    measured
        Whether its posteriors are measured as well (collaboration, drift, sparsity).
    """

    name: str
    title: str
    kind: Literal["autoencoder", "ease", "nonnegative_ease", "popularity", "item_knn"] = "autoencoder"
    changes: Mapping[str, Setting] = field(default_factory=dict)
    search: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)
    measured: bool = False

    @property
    def is_trained(self) -> bool:
        """Whether it is trained by gradient steps, and so can stop too early."""
        return self.kind == "autoencoder"

    def trials(self, wanted: int) -> int:
        """Return how many trials its search takes: one where nothing is tuned."""
        return wanted if self.search else 1

    def settings(self, trial: int, seed: int) -> dict[str, Setting]:
        """Return the settings of a trial: its fixed changes, and (after trial 0) a draw from its search space.

        Each setting goes through its values in a shuffled order before one comes again (a Latin hypercube), so that
        a few trials cover them, and as many trials as values try them all. The order hangs on the seed and the
        setting's name alone, so that two methods that tune it alike try the same values.
        """
        drawn: dict[str, Setting] = {}
        if trial > 0:
            for name, values in self.search.items():
                order = derive(seed, "tuning", name).permutation(len(values))
                drawn[name] = values[int(order[(trial - 1) % len(values)])]
        return {**self.changes, **drawn}


_COMMON = {"learning_rate": (5e-4, 1e-3, 2e-3, 4e-3)}
_MASKED = {**_COMMON, "keep_probability": (0.3, 0.5, 0.7)}
_VAE = {**_MASKED, "beta": (0.05, 0.1, 0.2, 0.4)}
_PIA = {**_VAE, "alignment_weight": (0.05, 0.2, 0.5, 1.0, 2.0)}
_BY_SIZE: dict[str, Setting] = {"kl_weighting": "by_size", "beta": 0.005}
_GAMMA = {"beta": (0.002, 0.005, 0.01, 0.02)}
_REC_VAE: dict[str, Setting] = {"architecture": "rec_vae", "learning_rate": 5e-4, "kl_schedule": "constant", **_BY_SIZE}
_L2 = (20.0, 100.0, 200.0, 1000.0)  # With the default of 500, the grid that five trials go through.

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("popularity", "Popularity", "popularity"),
        Method(
            *("item_knn", "Item-kNN, cosine", "item_knn"),
            search={"k": (20, 50, 100, 200), "shrinkage": (0.0, 10.0, 50.0)},
        ),
        Method("ease", "EASE", "ease", search={"l2": _L2}),
        Method("ease_clipped", "EASE, negative weights dropped", "ease", {"clip_negative": 1}, {"l2": _L2}),
        Method("ease_nonnegative", "EASE fitted with weights >= 0", "nonnegative_ease", search={"l2": _L2}),
        Method("mult_vae", "Mult-VAE (masked)", search=_VAE, measured=True),
        Method(
            *("mult_vae_clean", "Mult-VAE, clean inputs"),
            changes={"keep_probability": 1.0},
            search={**_COMMON, "beta": _VAE["beta"]},
            measured=True,
        ),
        Method(*("mult_vae_pia", "Mult-VAE + PIA"), changes={"alignment_weight": 0.2}, search=_PIA, measured=True),
        Method(
            *("mult_vae_pia_shuffled", "Mult-VAE + PIA with the items of others"),
            changes={"alignment_weight": 0.2, "alignment_items": "shuffled"},
            search=_PIA,
            measured=True,
        ),
        Method(
            *("mult_vae_pia_mean", "Mult-VAE + PIA, means only"),
            changes={"alignment_weight": 0.2, "alignment_terms": "mean"},
            search=_PIA,
        ),
        Method(
            *("mult_vae_pia_variance", "Mult-VAE + PIA, variances only"),
            changes={"alignment_weight": 0.2, "alignment_terms": "variance"},
            search=_PIA,
        ),
        Method(
            *("mult_vae_pia_annealed", "Mult-VAE + PIA, annealed"),
            changes={"alignment_weight": 0.2, "alignment_schedule": "linear"},
            search=_PIA,
        ),
        Method(
            *("mult_dae", "Mult-DAE"),
            changes={"architecture": "mult_dae", "hidden": (), "latent": 200, "annealing": 0.0},
            search={**_MASKED, "weight_decay": (0.0, 1e-5, 1e-4, 1e-3)},
        ),
        Method("rec_vae", "RecVAE", changes=_REC_VAE, search={**_MASKED, **_GAMMA}),
        Method(
            *("rec_vae_pia", "RecVAE + PIA"),
            changes={**_REC_VAE, "alignment_weight": 0.2},
            search={**_MASKED, **_GAMMA, "alignment_weight": _PIA["alignment_weight"]},
        ),
        Method(
            "gaussian",
            "Mult-VAE, Gaussian likelihood",
            changes={"likelihood": "gaussian", "confidence": 10.0},
            search={**_VAE, "confidence": (1.0, 3.0, 10.0, 30.0)},
        ),
        Method("bernoulli", "Mult-VAE, logistic likelihood", changes={"likelihood": "bernoulli"}, search=_VAE),
        Method("poisson", "Mult-VAE, Poisson likelihood", changes={"likelihood": "poisson"}, search=_VAE),
        Method(*("full_kl", "Mult-VAE, beta annealed to 1"), changes={"beta": 1.0}, search=_MASKED, measured=True),
        Method("strong_kl", "Mult-VAE, beta annealed to 5", changes={"beta": 5.0}, search=_MASKED, measured=True),
        Method(
            *("no_annealing", "Mult-VAE, beta = 1 from the start"),
            changes={"beta": 1.0, "kl_schedule": "constant"},
            search=_MASKED,
        ),
        Method("cyclical_kl", "Mult-VAE, cyclical KL weight", changes={"kl_schedule": "cyclical"}, search=_VAE),
        Method("kl_by_size", "Mult-VAE, KL weight by history length", changes=_BY_SIZE, search={**_MASKED, **_GAMMA}),
        Method("kl_learned", "Mult-VAE, learned KL weight a user", changes={"kl_weighting": "learned"}, search=_VAE),
        Method(
            *("modern", "Mult-VAE, modern training"),
            changes={"optimiser": "adamw", "learning_rate_schedule": "cosine", "weight_decay": 1e-3},
            search={
                **_VAE,
                "weight_decay": (1e-4, 1e-3, 1e-2, 1e-1),
                "objective": ("likelihood", "likelihood", "sampled_softmax"),
                "negatives": (100, 300),
                "width_factor": (1, 2),
            },
        ),
        Method(
            *("modern_bpr", "Mult-VAE, modern training, BPR with hard negatives"),
            changes={
                "optimiser": "adamw",
                "learning_rate_schedule": "cosine",
                "weight_decay": 1e-3,
                "objective": "bpr",
                "negatives": 20,
            },
            search={**_VAE, "weight_decay": (1e-4, 1e-3, 1e-2, 1e-1), "negatives": (5, 20, 50)},
        ),
    )
}


def get_method(name: str) -> Method:
    """Return the method of that name.

    Raises
    ------
    InvalidInput
        If there is none; the message lists those that exist.
    """
    if name not in METHODS:
        raise InvalidInput(f"unknown method {name!r}; choose from {', '.join(METHODS)}")
    return METHODS[name]


def applied(
    settings: Mapping[str, Setting], model: ModelSpec, training: TrainingSpec
) -> tuple[ModelSpec, TrainingSpec]:
    """Return the base model and training with these settings; ``width_factor`` multiplies the hidden widths."""
    widths = tuple(int(settings.get("width_factor", 1)) * width for width in model.hidden)  # type: ignore[arg-type]
    both = {"hidden": widths, **{name: value for name, value in settings.items() if name != "width_factor"}}
    of_model = {name: value for name, value in both.items() if name in ModelSpec.model_fields}
    of_training = {name: value for name, value in both.items() if name in TrainingSpec.model_fields}
    unknown = both.keys() - of_model.keys() - of_training.keys()
    if unknown:
        raise InvalidInput(f"no model or training has a setting {sorted(unknown)[0]!r}")
    return (
        ModelSpec.model_validate({**model.model_dump(), **of_model}),
        TrainingSpec.model_validate({**training.model_dump(), **of_training}),
    )
