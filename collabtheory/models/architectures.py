"""The autoencoders by name."""

from __future__ import annotations

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.models.autoencoder import Autoencoder
from collabtheory.models.mult_dae import MultDAE
from collabtheory.models.mult_vae import MultVAE
from collabtheory.models.rec_vae import RecVAE
from collabtheory.models.specification import ModelSpec


def build(spec: ModelSpec, n_items: int, rng: np.random.Generator) -> Autoencoder:
    """Return a new autoencoder of that specification, with weights drawn from ``rng``.

    Raises
    ------
    InvalidInput
        If the specification does not fit its architecture.
    """
    if spec.architecture == "rec_vae":
        if len(spec.hidden) != 1:
            raise InvalidInput(f"a rec_vae has one hidden width; hidden is {spec.hidden}")
        return RecVAE(spec, n_items, rng)
    if spec.architecture == "mult_dae":
        return MultDAE(spec, n_items, rng)
    return MultVAE(spec, n_items, rng)
