"""Recommenders and what they are made of."""

from collabtheory.models.checkpoints import Checkpoint, load_model, save_model
from collabtheory.models.item_anchors import alignment_loss
from collabtheory.models.kl import kl_to_prior, linear_beta
from collabtheory.models.likelihoods import LIKELIHOODS, Likelihood, get_likelihood
from collabtheory.models.masking import encoder_input
from collabtheory.models.mult_vae import MultVAE
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import EncoderLayers, Recommender, from_mult_vae
from collabtheory.models.specification import Masking, ModelSpec, TrainingSpec

__all__ = [
    "LIKELIHOODS",
    "Checkpoint",
    "DiagonalGaussian",
    "EncoderLayers",
    "Likelihood",
    "Masking",
    "ModelSpec",
    "MultVAE",
    "Recommender",
    "TrainingSpec",
    "alignment_loss",
    "encoder_input",
    "from_mult_vae",
    "get_likelihood",
    "kl_to_prior",
    "linear_beta",
    "load_model",
    "save_model",
]
